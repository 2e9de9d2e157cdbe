//! The ids of a day, made anew from its journal: for whoever has removed the file of a day that is to be remembered. Without it the
//! messages of that day would be handled again if they came again.
//!
//! A day that is packed is left out. The file comes about in the room and gets its name in one step, so it is whole, and a service that
//! was replaced adds none.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::moved::MovedDays;
use super::{AnswerNote, BusError, Disk, DiskError, EntryKind, IdNote, IdState, Room, Ticket, line, path_of, time};
use crate::bus::disk::Moved;
use crate::bus::journal;
use crate::bus::layout::{self, ClaimName};

/// So much is collected before it is written.
const CHUNK: usize = 1 << 20;

/// What is needed of a line of the journal.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    step: String,
    ticket: String,
    term: u64,
    outcome: String,
    id: String,
    sender: String,
    recipient: String,
    action: String,
    by: Option<String>,
    in_reply_to: Option<String>,
    /// Absent where the id was not used up.
    digest: Option<String>,
    #[serde(default)]
    hops: u32,
    #[serde(default)]
    is_answer: bool,
    #[serde(default)]
    effects: Vec<Effect>,
}

#[derive(Deserialize)]
struct Effect {
    to: std::path::PathBuf,
}

/// Makes the files that are missing of the last `keep_days` days.
pub fn missing(disk: &Disk, room: &Room, keep_days: u32, now_ms: u64) -> Result<(), BusError> {
    let there: HashSet<std::ffi::OsString> =
        disk.list(Path::new(layout::IDS))?.into_iter().map(|entry| entry.name).collect();
    let moved = MovedDays::read(disk, &there)?;
    let today = time::day(now_ms);
    let is_old = |day: &str| time::days_between(day, &today).is_none_or(|age| age > i64::from(keep_days));
    let mut homes = BTreeSet::new();
    for entry in disk.list(Path::new(layout::ARCHIVE))? {
        let Some(day) = entry.name.to_str().filter(|day| time::is_day(day)) else { continue };
        if matches!(entry.kind, EntryKind::Folder | EntryKind::Unknown) {
            homes.insert(moved.home(day).to_owned());
        }
    }
    for home in homes.into_iter().filter(|home| !is_old(home) && !there.contains(OsStr::new(home))) {
        let days = moved.guests(&home).into_iter().chain([home.as_str()]);
        rebuild(disk, room, &home, days)?;
    }
    Ok(())
}

/// Makes the file of `home` from the journals of these days, in this order.
fn rebuild<'a>(disk: &Disk, room: &Room, home: &str, days: impl Iterator<Item = &'a str>) -> Result<(), BusError> {
    let mut made = None;
    for day in days {
        let Some(journal) = journal::open(disk, day)? else { continue };
        let made = match &mut made {
            Some(made) => made,
            None => made.insert(Made::begin(disk, room, home)?),
        };
        made.take_in(disk, room, day, journal)?;
    }
    made.map_or(Ok(()), |made| made.end(disk, room, home))
}

/// A file of ids that comes about in the room.
struct Made {
    path: PathBuf,
    file: File,
}

impl Made {
    fn begin(disk: &Disk, room: &Room, home: &str) -> Result<Made, BusError> {
        // What is left of it by a crash, recovery removes.
        let path = room.file(format!("gone-ids-{home}"));
        let file = disk.open_append(&path).map_err(|error| room.missing(disk, error))?;
        Ok(Made { path, file })
    }

    fn take_in(&mut self, disk: &Disk, room: &Room, day: &str, journal: File) -> Result<(), BusError> {
        let from = journal::journal_path(day);
        let failed = |e| DiskError::new("append to", &self.path, e);
        let mut lines = Vec::new();
        for (number, told) in BufReader::with_capacity(CHUNK, journal).split(b'\n').enumerate() {
            if number % 4096 == 0 {
                room.beat_if_due(disk)?;
            }
            let told = told.map_err(|e| DiskError::new("read", &from, e))?;
            add(&mut lines, &told);
            if lines.len() >= CHUNK {
                self.file.write_all(&lines).map_err(failed)?;
                lines.clear();
            }
        }
        Ok(self.file.write_all(&lines).map_err(failed)?)
    }

    fn end(self, disk: &Disk, room: &Room, home: &str) -> Result<(), BusError> {
        self.file.sync_all().map_err(|e| DiskError::new("sync", &self.path, e))?;
        match disk.rename_new(&self.path, &path_of(home))? {
            Moved::Done => Ok(()),
            Moved::Taken => disk.remove_file(&self.path).map(|_| ()).map_err(BusError::from),
            Moved::Gone => Err(room.missing(disk, DiskError::new("rename", &self.path, rustix::io::Errno::NOENT))),
        }
    }
}

/// Adds what a line of the journal tells of an id. Of most lines nothing.
fn add(lines: &mut Vec<u8>, told: &[u8]) {
    let Ok(told) = serde_json::from_slice::<Told>(told) else { return };
    let is_end = matches!(told.step.as_str(), "finished" | "deferred" | "held");
    let Some(ticket) = Ticket::parse(&told.ticket).filter(|_| is_end) else { return };
    if let (true, Some(asked)) = (told.is_answer, &told.in_reply_to) {
        let note = AnswerNote { sender: told.recipient.clone(), id: asked.clone(), responder: told.sender.clone() };
        line::write_answer(lines, told.term, ticket, &note);
    }
    let recipients = told.recipients();
    let Some(digest) = told.digest else { return };
    let state = if told.outcome == "dead" { IdState::Released } else { IdState::Used };
    let Told { sender, id, action, hops, .. } = told;
    line::write_note(lines, told.term, ticket, &IdNote { state, sender, id, digest, recipients, action, hops });
}

impl Told {
    /// Who may answer it: as it is noted when the message is decided.
    fn recipients(&self) -> Vec<String> {
        match (self.outcome.as_str(), &self.by) {
            ("split", _) => {
                let part = |effect: &Effect| ClaimName::parse(effect.to.file_name()?.to_str()?)?.recipient;
                // The star says that the answers are told apart by name.
                std::iter::once("*".to_owned()).chain(self.effects.iter().filter_map(part)).collect()
            }
            // An extension is named with its version and hash.
            ("replied" | "handled" | "delivered" | "deferred", Some(by)) => {
                by.split_whitespace().next().map(str::to_owned).into_iter().collect()
            }
            _ => vec![self.recipient.clone()],
        }
    }
}
