//! The figures of a run, and how they are shown.

use std::time::Duration;

use serde::Serialize;

use super::{Durability, Mode};
use crate::cli::print::{BAD, BOLD, DIM, styled};
use crate::cli::table::{Cell, cell, number, table};
use crate::cli::units;

/// What one mode showed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    pub mode: &'static str,
    pub messages: u32,
    /// Messages without a reply when the bench gave up.
    pub missing: u32,
    /// From the first drop (in `backlog`: from the start of the service) to the last reply.
    pub seconds: f64,
    pub per_second: f64,
    /// From a message's drop to its reply; none in `backlog`, where that says how long the service was not there.
    pub p50_us: Option<f64>,
    pub p99_us: Option<f64>,
    /// User and system time of the service for each message.
    pub cpu_us_per_message: Option<f64>,
    /// The most memory that the service had, in KiB.
    pub peak_kib: Option<u64>,
    /// In `backlog`: from the start of the service to the first reply.
    pub first_reply_ms: Option<f64>,
    /// Throughput as a part of that of the bare calls.
    pub of_floor: Option<f64>,
}

/// The bare file-system calls of the job, one after the other in one thread.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Floor {
    pub messages: u32,
    pub us_per_message: f64,
    pub per_second: f64,
    /// One strict parse of such a message, in memory.
    pub strict_parse_us: f64,
}

/// What was measured of a run.
#[derive(Debug)]
pub struct Measured {
    pub mode: Mode,
    pub messages: u32,
    pub took: Duration,
    /// Of each message that was answered, from drop to reply.
    pub latencies: Vec<Duration>,
    pub cpu: Option<Duration>,
    pub peak_kib: Option<u64>,
    pub first_reply: Option<Duration>,
}

impl Run {
    pub fn of(mut measured: Measured) -> Run {
        measured.latencies.sort_unstable();
        let answered = measured.latencies.len();
        let seconds = measured.took.as_secs_f64();
        let is_backlog = measured.mode == Mode::Backlog;
        let latency = |part| percentile(&measured.latencies, part).filter(|_| !is_backlog).map(micros);
        Run {
            mode: measured.mode.as_str(),
            messages: measured.messages,
            missing: measured.messages - answered as u32,
            seconds,
            per_second: answered as f64 / seconds,
            p50_us: latency(0.50),
            p99_us: latency(0.99),
            cpu_us_per_message: measured.cpu.map(|cpu| micros(cpu) / f64::from(measured.messages)),
            peak_kib: measured.peak_kib,
            first_reply_ms: measured.first_reply.filter(|_| is_backlog).map(|time| time.as_secs_f64() * 1e3),
            of_floor: None,
        }
    }

    /// Only where the service has as much to do as it can is its throughput its own.
    pub fn compare(&mut self, floor: &Floor) {
        let is_full = self.mode == Mode::Blast.as_str() || self.mode == Mode::Backlog.as_str();
        self.of_floor = is_full.then_some(self.per_second / floor.per_second);
    }

    pub fn is_whole(&self) -> bool {
        self.missing == 0
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// The value below which this part of the sorted values lies (nearest rank).
fn percentile(sorted: &[Duration], part: f64) -> Option<Duration> {
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

pub fn shown(runs: &[Run], floor: &Floor, durability: Durability) -> String {
    let us = |value: Option<f64>| number(value.map_or_else(String::new, |us| units::span_us(us.round() as u64)));
    let rows: Vec<Vec<Cell>> = runs
        .iter()
        .map(|run| {
            let mut notes = Vec::new();
            notes.extend(run.first_reply_ms.map(|ms| format!("first reply after {}", units::span(ms.round() as u64))));
            notes.extend(run.of_floor.map(|part| format!("{part:.2} of the bare calls")));
            let missing = if run.is_whole() { cell(notes.join(", ")) } else { lost(run) };
            vec![
                cell(run.mode).style(BOLD),
                number(run.messages),
                number(format!("{:.0}/s", run.per_second)),
                us(run.p50_us),
                us(run.p99_us),
                us(run.cpu_us_per_message),
                number(run.peak_kib.map_or_else(String::new, |kib| units::bytes(kib * 1024))),
                missing,
            ]
        })
        .collect();
    let mut out = format!("{} {}\n\n", styled(DIM, "durability"), durability.as_str());
    out.push_str(&table(&["mode", "messages", "throughput", "p50", "p99", "cpu each", "memory", ""], &rows));
    out.push_str(&format!(
        "\nthe bare file-system calls of the job: {:.0}/s, {} each (one thread, nothing else running)\n",
        floor.per_second,
        units::span_us(floor.us_per_message.round() as u64),
    ));
    out
}

fn lost(run: &Run) -> Cell {
    cell(format!("{} without a reply", units::count(run.missing as usize, "message", "messages"))).style(BAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&values, 0.50), Some(Duration::from_millis(100)));
        assert_eq!(percentile(&values, 0.99), Some(Duration::from_millis(198)));
        assert_eq!(percentile(&values[..1], 0.99), Some(Duration::from_millis(1)));
        assert_eq!(percentile(&[], 0.5), None);
    }

    #[test]
    fn what_is_missing_is_counted() {
        let measured = Measured {
            mode: Mode::Blast,
            messages: 4,
            took: Duration::from_secs(2),
            latencies: vec![Duration::from_micros(5), Duration::from_micros(1), Duration::from_micros(3)],
            cpu: Some(Duration::from_micros(8)),
            peak_kib: None,
            first_reply: None,
        };
        let run = Run::of(measured);
        assert_eq!((run.missing, run.is_whole(), run.per_second), (1, false, 1.5));
        assert_eq!((run.p50_us.map(f64::round), run.cpu_us_per_message.map(f64::round)), (Some(3.0), Some(2.0)));
    }
}
