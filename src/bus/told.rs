//! Which ends of attempts the journal tells already, so that recovery writes the lines that are missing and no others.
//!
//! One attempt can end more than once: it waits, is taken up again as the same attempt, and is answered. So an end is an attempt and the
//! step that its line names.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;

use super::disk::{Disk, DiskError};
use super::error::BusError;
use super::journal;
use super::layout::{self, Ticket};
use super::record::{EndStep, Record};
use super::room::Alive;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told(HashSet<(Ticket, u32, EndStep)>);

impl Told {
    /// Reads the journals from the oldest of these beginnings on: day and bytes.
    pub(super) fn since(disk: &Disk, alive: Alive<'_>, begins: &[(String, u64)]) -> Result<Told, BusError> {
        let mut told = Told::default();
        let Some(first_day) = begins.iter().map(|(day, _)| day).min() else { return Ok(told) };
        for entry in disk.list(Path::new(layout::ARCHIVE))? {
            let Some(day) = entry.name.to_str().filter(|day| *day >= first_day.as_str()) else { continue };
            let from = begins.iter().filter(|(begin, _)| begin == day).map(|(_, at)| *at).min().unwrap_or(0);
            let Some(mut file) = journal::open(disk, day)? else { continue };
            let path = journal::journal_path(day);
            file.seek(SeekFrom::Start(from)).map_err(|e| DiskError::new("read", &path, e))?;
            for (number, line) in BufReader::new(file).split(b'\n').enumerate() {
                if number % 4096 == 0 {
                    alive()?;
                }
                let line = line.map_err(|e| DiskError::new("read", &path, e))?;
                told.0.extend(end_in(&line));
            }
        }
        Ok(told)
    }

    /// Does it tell the end that this record says?
    pub(super) fn has(&self, record: &Record) -> bool {
        self.0.contains(&(record.claim.ticket, record.claim.attempt, record.finish.step()))
    }
}

/// If this line tells an end: which.
fn end_in(line: &[u8]) -> Option<(Ticket, u32, EndStep)> {
    #[derive(serde::Deserialize)]
    struct Line<'a> {
        step: Cow<'a, str>,
        ticket: Cow<'a, str>,
        attempt: u32,
    }
    let line: Line = serde_json::from_slice(line).ok()?;
    Some((Ticket::parse(&line.ticket)?, line.attempt, EndStep::parse(&line.step)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_reads_a_long_journal_says_that_it_is_alive_and_ends_when_it_is_replaced() {
        let top = tempfile::tempdir().expect("a folder");
        let (begin, path) = ("2024-10-27".to_owned(), top.path().join(journal::journal_path("2024-10-27")));
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, "{}\n".repeat(10_000)).expect("written");
        let disk = Disk::open(top.path()).expect("opened");
        let beats = std::cell::Cell::new(0);
        let alive = || {
            beats.set(beats.get() + 1);
            if beats.get() < 3 { Ok(()) } else { Err(BusError::RoomGone) }
        };
        let ended = Told::since(&disk, &alive, &[(begin, 0)]);
        assert!(matches!(ended, Err(BusError::RoomGone)), "{ended:?}");
    }

    #[test]
    fn only_the_steps_that_end_an_attempt_are_ends() {
        let ticket = Ticket::new();
        let line = |step: &str| format!(r#"{{"v":1,"step":"{step}","at":1,"ticket":"{ticket}","attempt":2,"more":3}}"#);
        for step in [EndStep::Finished, EndStep::Deferred, EndStep::Held] {
            assert_eq!(end_in(line(step.name()).as_bytes()), Some((ticket, 2, step)));
        }
        for other in [line("accepted"), line("replied"), String::new(), line("finished").replace('}', "")] {
            assert_eq!(end_in(other.as_bytes()), None, "{other}");
        }
    }
}
