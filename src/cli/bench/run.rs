//! One mode on one fresh bus.

use std::path::Path;
use std::time::{Duration, Instant};

use postroom::bus::layout;
use serde::Deserialize;

use super::figures::{Measured, Run};
use super::load::{self, Dropped, Gate};
use super::process::{Service, make_bus};
use super::replies::Replies;
use super::{Mode, Plan};
use crate::cli::{Exit, Failure, print, text};

/// After so long without any reply the rest counts as missing.
const PATIENCE: Duration = Duration::from_secs(30);

/// When each message's reply was seen.
struct Seen {
    latencies: Vec<Option<Duration>>,
    count: u32,
    first: Option<Duration>,
    last: Duration,
}

pub fn run(plan: &Plan<'_>, top: &Path) -> Result<Run, Failure> {
    let top = top.join(plan.mode.as_str());
    let bus = make_bus(&top, plan)?;
    plan.guests.install(&bus)?;
    let measured = match plan.mode {
        Mode::Blast | Mode::Idle | Mode::Rate => live(plan, &bus)?,
        Mode::Backlog => backlog(plan, &bus)?,
    };
    no_errors(&bus)?;
    std::fs::remove_dir_all(&top).map_err(|error| Failure::io("remove", &top, &error))?;
    Ok(Run::of(measured))
}

/// A figure of messages that were refused says nothing about those that are not.
fn no_errors(bus: &Path) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Reply {
        error: Option<Error>,
    }
    #[derive(Deserialize)]
    struct Error {
        code: String,
        message: String,
    }
    let inbox = bus.join(layout::inbox(load::SENDER));
    let failed = |error| Failure::io("read the replies in", &inbox, &error);
    for entry in inbox.read_dir().map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let bytes = std::fs::read(&path).map_err(failed)?;
        let error = serde_json::from_slice::<Reply>(&bytes).map(|reply| reply.error);
        match error {
            Ok(None) => {}
            Ok(Some(Error { code, message })) => {
                let what = format!(
                    "the answer to a message is an error: {}: {}",
                    text::field(&code),
                    text::sentence(&message)
                );
                return Err(Failure::new(Exit::Problems, what).with_hint("nothing was measured that means anything"));
            }
            Err(error) => return Err(Failure::io("understand", &path, &error.into())),
        }
    }
    Ok(())
}

/// The writer at work beside the service.
fn live(plan: &Plan<'_>, bus: &Path) -> Result<Measured, Failure> {
    let mut service = Service::start(bus)?;
    service.wait_until_active()?;
    let mut replies = watch(bus)?;
    let cpu_before = service.cpu();
    let (dropped, gate) = (Dropped::new(plan.messages), Gate::default());
    let (seen, written) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| load::write(bus, plan, &dropped, &gate));
        let seen = read(plan, bus, &mut replies, &dropped, &gate);
        gate.close();
        (seen, writer.join())
    });
    match written {
        Ok(written) => written.map_err(|error| Failure::io("drop messages in", bus, &error))?,
        Err(panic) => std::panic::resume_unwind(panic),
    }
    let cpu = service.cpu().zip(cpu_before).map(|(after, before)| after.saturating_sub(before));
    measured(plan, seen?, cpu, service)
}

/// Everything is there before the service starts; time counts from its start.
fn backlog(plan: &Plan<'_>, bus: &Path) -> Result<Measured, Failure> {
    load::write(bus, plan, &Dropped::new(plan.messages), &Gate::default())
        .map_err(|error| Failure::io("drop messages in", bus, &error))?;
    let mut replies = watch(bus)?;
    let dropped = Dropped::all_now(plan.messages);
    let mut service = Service::start(bus)?;
    service.wait_until_active()?;
    let seen = read(plan, bus, &mut replies, &dropped, &Gate::default())?;
    let cpu = service.cpu();
    measured(plan, seen, cpu, service)
}

fn watch(bus: &Path) -> Result<Replies, Failure> {
    let inbox = bus.join(layout::inbox(load::SENDER));
    Replies::watch(&inbox).map_err(|error| Failure::io("watch", &inbox, &error))
}

fn read(plan: &Plan<'_>, bus: &Path, replies: &mut Replies, dropped: &Dropped, gate: &Gate) -> Result<Seen, Failure> {
    let mut seen = Seen { latencies: vec![None; plan.messages as usize], count: 0, first: None, last: Duration::ZERO };
    let bar = print::progress(u64::from(plan.messages), plan.mode.as_str());
    let mut progress = Instant::now();
    while seen.count < plan.messages && progress.elapsed() < PATIENCE {
        let before = seen.count;
        replies
            .next(&mut |number| {
                if seen.note(number, dropped) {
                    gate.leave();
                }
            })
            .map_err(|error| Failure::io("watch for replies in", bus, &error))?;
        if seen.count > before {
            progress = Instant::now();
            bar.set_position(u64::from(seen.count));
        }
    }
    bar.finish_and_clear();
    Ok(seen)
}

impl Seen {
    /// `true`: this is its first reply.
    fn note(&mut self, number: u32, dropped: &Dropped) -> bool {
        let Some(slot) = self.latencies.get_mut(number as usize) else { return false };
        if slot.is_some() {
            return false;
        }
        let Some(latency) = dropped.since(number) else { return false };
        *slot = Some(latency);
        self.count += 1;
        self.last = dropped.began.elapsed();
        self.first.get_or_insert(self.last);
        true
    }
}

fn measured(plan: &Plan<'_>, seen: Seen, cpu: Option<Duration>, service: Service) -> Result<Measured, Failure> {
    let peak_kib = service.peak_kib();
    service.stop()?;
    Ok(Measured {
        mode: plan.mode,
        messages: plan.messages,
        took: seen.last,
        latencies: seen.latencies.into_iter().flatten().collect(),
        cpu,
        peak_kib,
        first_reply: seen.first,
    })
}
