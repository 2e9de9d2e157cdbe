//! The journal: `archive/<day>/journal.jsonl`, one JSON object a line for every step of every message.
//!
//! Lines are collected during a pass and appended with one write, whole lines only. A takeover does not fence an append, so
//! each line carries the term and the ticket: readers ignore repeats, and of two lines for one step the higher term counts. A
//! line that a crash left torn is closed with a newline before the next is written; recovery writes it again.

use std::borrow::Cow;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::Serialize;

use super::disk::{Disk, DiskError, is_regular};
use super::error::BusError;
use super::layout::{self, ClaimName};
use super::record::{Finish, Piece, Record, Story};

/// The version of the line format.
pub const VERSION: u32 = 1;

#[derive(Debug)]
pub struct Journal {
    instance: String,
    term: u64,
    next: u64,
    /// Lines not yet written, and the day they belong to.
    waiting: Vec<u8>,
    waiting_day: String,
    file: Option<(String, File)>,
    /// The last write may have left half a line.
    torn: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a, T: Serialize> {
    v: u32,
    step: &'a str,
    at: u64,
    ticket: String,
    attempt: u32,
    term: u64,
    instance: &'a str,
    n: u64,
    #[serde(flatten)]
    more: T,
}

/// What the `finished` line says of one effect: its path, and its text in pieces. A piece that is a range is that range of
/// the archived message.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EffectLine<'a> {
    to: PathBuf,
    pieces: Vec<PieceLine<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum PieceLine<'a> {
    Text(Cow<'a, str>),
    OfMessage { start: usize, len: usize },
}

/// Almost always it is UTF-8, and to see that costs less than to look for what is not, piece by piece.
fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Finished<'a> {
    #[serde(flatten)]
    story: &'a Story,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<&'a str>,
    /// How many messages, each caused by the one before, led to it.
    #[serde(skip_serializing_if = "is_nought")]
    hops: u32,
    /// It is the answer to the message that it names.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_answer: bool,
    /// Where the message's own file is now.
    now_at: PathBuf,
    effects: Vec<EffectLine<'a>>,
}

fn is_nought(number: &u32) -> bool {
    *number == 0
}

impl Journal {
    pub fn new(instance: String, term: u64) -> Journal {
        Journal {
            instance,
            term,
            next: 1,
            waiting: Vec::new(),
            waiting_day: String::new(),
            file: None,
            // The last line of a journal that somebody else wrote may be torn too.
            torn: true,
        }
    }

    /// Adds a line about a step. `more` is whatever else it says, as a JSON object.
    pub fn step(&mut self, disk: &Disk, day: &str, at: u64, step: &str, claim: &ClaimName, more: impl Serialize) {
        if self.waiting_day != day {
            // A day's lines that cannot be written now are written with the next day's: late, but not lost.
            let _ = self.flush(disk);
            day.clone_into(&mut self.waiting_day);
        }
        let ticket = claim.ticket.to_string();
        let (term, n) = (self.term, self.next);
        let line =
            Line { v: VERSION, step, at, ticket, attempt: claim.attempt, term, instance: &self.instance, n, more };
        serde_json::to_writer(&mut self.waiting, &line).expect("writing JSON to memory does not fail");
        self.waiting.push(b'\n');
        self.next += 1;
    }

    /// Adds the line that tells a message's whole story, where its file is archived; for one that is not, to the journal of `day`.
    pub fn finished(&mut self, disk: &Disk, day: &str, record: &Record, message: &[u8]) {
        let effects = record.effects.iter().map(|effect| EffectLine {
            to: effect.to.path(Path::new("")),
            pieces: effect
                .body
                .iter()
                .map(|piece| match piece {
                    Piece::Bytes(bytes) => PieceLine::Text(text_of(bytes)),
                    Piece::OfMessage { start, len } if !effect.refers_to_message() => {
                        PieceLine::Text(text_of(message.get(*start..*start + *len).unwrap_or_default()))
                    }
                    Piece::OfMessage { start, len } => PieceLine::OfMessage { start: *start, len: *len },
                })
                .collect(),
        });
        let more = Finished {
            story: &record.story,
            digest: record.id.as_ref().map(|note| note.digest.as_str()),
            hops: record.id.as_ref().map_or(0, |note| note.hops),
            is_answer: record.answers.is_some(),
            now_at: record.finish.path(),
            effects: effects.collect(),
        };
        let day = match &record.finish {
            Finish::Archive { day: archived, .. } => archived.as_str(),
            Finish::Deferred { .. } | Finish::Held { .. } | Finish::DeadLetter { .. } => day,
        };
        self.step(disk, day, record.story.at, record.finish.step().name(), &record.claim, &more);
    }

    /// Writes what waits.
    pub fn flush(&mut self, disk: &Disk) -> Result<(), BusError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let path = journal_path(&self.waiting_day);
        // A day's folder that was removed meanwhile is made anew: lines into a file without a name would be lost.
        let removed = |file: &File| file.metadata().is_ok_and(|meta| std::os::unix::fs::MetadataExt::nlink(&meta) == 0);
        self.file.take_if(|(_, file)| removed(file));
        if self.file.as_ref().is_none_or(|(day, _)| *day != self.waiting_day) {
            disk.make_folder(&Path::new(layout::ARCHIVE).join(&self.waiting_day))?;
            self.file = Some((self.waiting_day.clone(), disk.open_append(&path)?));
            self.torn = true;
        }
        let Some((_, file)) = &mut self.file else { return Ok(()) };
        if self.torn && !ends_with_newline(file).map_err(|e| DiskError::new("read", &path, e))? {
            file.write_all(b"\n").map_err(|e| DiskError::new("append to", &path, e))?;
        }
        self.torn = true;
        file.write_all(&self.waiting).map_err(|e| DiskError::new("append to", &path, e))?;
        self.torn = false;
        self.waiting.clear();
        Ok(())
    }

    /// Is everything written?
    pub fn is_flushed(&self) -> bool {
        self.waiting.is_empty()
    }
}

pub fn journal_path(day: &str) -> PathBuf {
    Path::new(layout::ARCHIVE).join(day).join(layout::JOURNAL)
}

/// The journal of a day, open for reading. `None`: there is none, or something else in its place, which tells nothing.
pub fn open(disk: &Disk, day: &str) -> Result<Option<File>, BusError> {
    let path = journal_path(day);
    if !disk.stat(&path)?.is_some_and(|stat| is_regular(&stat)) {
        return Ok(None);
    }
    Ok(disk.open_beneath(&path, OFlags::RDONLY)?.map(File::from))
}

/// How long the journal of a day is now, in bytes.
pub fn length(disk: &Disk, day: &str) -> Result<u64, BusError> {
    Ok(disk.stat(&journal_path(day))?.map_or(0, |stat| stat.st_size as u64))
}

/// Is the last line of an appended file whole?
pub(super) fn ends_with_newline(file: &File) -> std::io::Result<bool> {
    use std::os::unix::fs::FileExt;
    let len = file.metadata()?.len();
    if len == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.read_exact_at(&mut last, len - 1)?;
    Ok(last == *b"\n")
}
