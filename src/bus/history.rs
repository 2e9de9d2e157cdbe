//! What the journal says of attempts before a restart, so that the last line of a message can tell its whole story.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;

use super::disk::{Disk, DiskError};
use super::error::BusError;
use super::layout::{self, Ticket};
use super::record::EarlierAttempt;
use super::room::Alive;
use super::{journal, time};

/// How a line of this step begins, after its version.
const STEP: &[u8] = b"\"step\":\"deferred\"";

/// What is needed of a line.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    step: String,
    ticket: String,
    attempt: u32,
    at: u64,
    code: Option<String>,
    message: Option<String>,
}

/// The failed attempts of these tickets, oldest first. Reads the journals of the days since the first of them was given; a packed
/// day is left out (a retry does not wait that long).
pub fn earlier_attempts(
    disk: &Disk,
    alive: Alive<'_>,
    tickets: &HashSet<Ticket>,
) -> Result<HashMap<Ticket, Vec<EarlierAttempt>>, BusError> {
    let mut found: HashMap<Ticket, Vec<EarlierAttempt>> = HashMap::new();
    let Some(first) = tickets.iter().map(|ticket| ticket.accepted_ms()).min() else { return Ok(found) };
    let first_day = time::day(first);
    for entry in disk.list(Path::new(layout::ARCHIVE))? {
        let Some(day) = entry.name.to_str().filter(|day| *day >= first_day.as_str()) else { continue };
        let Some(journal) = journal::open(disk, day)? else { continue };
        let path = journal::journal_path(day);
        for (number, line) in BufReader::new(journal).split(b'\n').enumerate() {
            if number % 4096 == 0 {
                alive()?;
            }
            let line = line.map_err(|e| DiskError::new("read", &path, e))?;
            add(&mut found, tickets, &line);
        }
    }
    Ok(found)
}

/// Reads one line; most are of other steps and are told by their text alone.
fn add(found: &mut HashMap<Ticket, Vec<EarlierAttempt>>, tickets: &HashSet<Ticket>, line: &[u8]) {
    if !line.windows(STEP.len()).take(64).any(|part| part == STEP) {
        return;
    }
    let Ok(line) = serde_json::from_slice::<Line>(line) else { return };
    let Some(ticket) = Ticket::parse(&line.ticket).filter(|ticket| tickets.contains(ticket)) else { return };
    let (Some(code), "deferred") = (line.code, line.step.as_str()) else { return };
    let attempts = found.entry(ticket).or_default();
    if attempts.iter().all(|earlier| earlier.attempt != line.attempt) {
        let message = line.message.unwrap_or_default();
        attempts.push(EarlierAttempt { attempt: line.attempt, at: line.at, code, message });
    }
}
