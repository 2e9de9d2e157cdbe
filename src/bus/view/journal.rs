//! Reading the journal: the days there are, the lines of a day (packed or not), and a day's journal while it grows.
//!
//! A line that is torn or is no line of a version that we know is skipped. Repeats are the reader's to ignore.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::Deserialize;

use super::View;
use crate::bus::disk::{DiskError, EntryKind, is_regular};
use crate::bus::error::BusError;
use crate::bus::journal::VERSION;
use crate::bus::layout;
use crate::bus::record::{EarlierAttempt, LoggedLine};
use crate::bus::retention::packed_day;
use crate::bus::time;

/// Longer lines are skipped: no line of ours is as long.
const LINE_MAX: u64 = 256 << 20;

/// The archive of one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Day {
    /// `YYYY-MM-DD`, UTC.
    pub day: String,
    pub is_packed: bool,
    /// Where its lines are. More than one for a day that was packed again after a crash; they repeat each other.
    files: Vec<PathBuf>,
}

impl Day {
    /// The folder with the day's messages; `None` once it is packed.
    pub fn folder(&self) -> Option<PathBuf> {
        (!self.is_packed).then(|| Path::new(layout::ARCHIVE).join(&self.day))
    }
}

/// What a line of the journal says. Texts are strangers'.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JournalLine {
    pub v: u32,
    pub step: String,
    /// Unix milliseconds.
    pub at: u64,
    pub ticket: String,
    pub attempt: u32,
    pub term: u64,
    pub instance: String,
    pub n: u64,
    pub outcome: Option<String>,
    pub id: Option<String>,
    pub sender: Option<String>,
    pub recipient: Option<String>,
    pub action: Option<String>,
    pub in_reply_to: Option<String>,
    pub accepted_at: Option<u64>,
    pub by: Option<String>,
    pub took_us: Option<u64>,
    pub code: Option<String>,
    pub message: Option<String>,
    /// The message whose handling sent this one.
    pub from: Option<String>,
    /// What extensions wrote in the attempt.
    #[serde(default)]
    pub log: Vec<LoggedLine>,
    #[serde(default)]
    pub earlier: Vec<EarlierAttempt>,
    pub now_at: Option<PathBuf>,
    #[serde(default)]
    pub effects: Vec<EffectLine>,
}

/// An effect of a finished attempt; its text is not kept here.
#[derive(Clone, Debug, Deserialize)]
pub struct EffectLine {
    pub to: PathBuf,
}

impl JournalLine {
    /// Reads one line; `None` if it is torn, or of a version that we do not know.
    pub fn parse(line: &[u8]) -> Option<JournalLine> {
        serde_json::from_slice(line).ok().filter(|line: &JournalLine| line.v == VERSION)
    }

    /// The ticket of the whole message, without the number of a delivery.
    pub fn root(&self) -> &str {
        self.ticket.split_once('.').map_or(&self.ticket, |(root, _)| root)
    }
}

impl View {
    /// The days in the archive, oldest first; one that is being packed is there twice, the folder first.
    pub fn days(&self) -> Result<Vec<Day>, BusError> {
        let archive = Path::new(layout::ARCHIVE);
        let mut found = BTreeMap::new();
        self.disk.for_each(archive, |name, kind| {
            let Some(name) = name.to_str() else { return };
            let may_be = |expected| kind == expected || kind == EntryKind::Unknown;
            if let Some((day, number)) = packed_day(name).filter(|_| may_be(EntryKind::File)) {
                found.insert((day.to_owned(), Some(number)), archive.join(name));
            } else if time::is_day(name) && may_be(EntryKind::Folder) {
                found.insert((name.to_owned(), None), archive.join(name).join(layout::JOURNAL));
            }
        })?;
        let mut days: Vec<Day> = Vec::new();
        for ((day, number), file) in found {
            let is_packed = number.is_some();
            match days.last_mut().filter(|last| last.day == day && last.is_packed == is_packed) {
                Some(last) => last.files.push(file),
                None => days.push(Day { day, is_packed, files: vec![file] }),
            }
        }
        Ok(days)
    }

    /// Calls `each` with the text of every line of a day, in the order of its files. What of them cannot be read, or only in part because
    /// it is damaged, comes back as errors: it takes nothing from the others.
    pub fn each_line(&self, day: &Day, each: &mut dyn FnMut(&[u8])) -> Vec<DiskError> {
        let read = |path: &PathBuf| self.lines_of(path, day.is_packed, each);
        day.files.iter().map(read).filter_map(Result::err).collect()
    }

    fn lines_of(&self, path: &Path, is_packed: bool, each: &mut dyn FnMut(&[u8])) -> Result<(), DiskError> {
        let Some(file) = self.journal(path)? else { return Ok(()) };
        let failed = |error| DiskError::new("read all of", self.path().join(path), error);
        if is_packed {
            let unpacked = zstd::Decoder::new(file).map_err(failed)?;
            lines(BufReader::new(unpacked), each).map_err(failed)
        } else {
            lines(BufReader::with_capacity(1 << 18, file), each).map_err(failed)
        }
    }

    /// `None` also for what is no file: somebody else put it there, `doctor` tells of it, and the other days can be read.
    fn journal(&self, path: &Path) -> Result<Option<File>, DiskError> {
        if !self.disk.stat(path)?.is_some_and(|stat| is_regular(&stat)) {
            return Ok(None);
        }
        Ok(self.disk.open_beneath(path, OFlags::RDONLY)?.map(File::from))
    }

    /// The journal of a day while it grows, from `back` bytes before its end (from the next whole line on).
    pub fn tail(&self, day: &str, back: u64) -> Result<Tail, BusError> {
        let mut tail = Tail { path: crate::bus::journal::journal_path(day), at: 0, half: Vec::new(), skip: false };
        let end = self.disk.stat(&tail.path)?.map_or(0, |stat| stat.st_size as u64);
        tail.at = end.saturating_sub(back);
        tail.skip = tail.at > 0;
        Ok(tail)
    }
}

fn lines(mut from: impl BufRead, each: &mut dyn FnMut(&[u8])) -> std::io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut from).take(LINE_MAX).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        each(line.strip_suffix(b"\n").unwrap_or(&line));
    }
}

/// A place in a growing journal.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    at: u64,
    /// A line whose end is not there yet.
    half: Vec<u8>,
    /// It began in the middle of a line, which is not shown.
    skip: bool,
}

impl Tail {
    /// Calls `each` with every whole line that came since the last call.
    pub fn read(&mut self, view: &View, each: &mut dyn FnMut(&[u8])) -> Result<(), BusError> {
        let Some(mut file) = view.journal(&self.path)? else { return Ok(()) };
        let mut block = vec![0; 1 << 16];
        let path = view.path().join(&self.path);
        let failed = |error| BusError::from(DiskError::new("read", &path, error));
        file.seek(SeekFrom::Start(self.at)).map_err(failed)?;
        loop {
            let read = file.read(&mut block).map_err(failed)?;
            if read == 0 {
                return Ok(());
            }
            self.at += read as u64;
            self.take(&block[..read], each);
        }
    }

    fn take(&mut self, mut block: &[u8], each: &mut dyn FnMut(&[u8])) {
        while let Some(end) = block.iter().position(|byte| *byte == b'\n') {
            self.half.extend_from_slice(&block[..end]);
            if !std::mem::replace(&mut self.skip, false) {
                each(&self.half);
            }
            self.half.clear();
            block = &block[end + 1..];
        }
        self.half.extend_from_slice(block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torn_and_foreign_lines_are_no_lines() {
        let whole =
            br#"{"v":1,"step":"accepted","at":5,"ticket":"t.2","attempt":1,"term":3,"instance":"i","n":9,"new":1}"#;
        let line = JournalLine::parse(whole).expect("a line");
        assert_eq!((line.root(), line.term, line.n), ("t", 3, 9));
        assert!(JournalLine::parse(&whole[..40]).is_none());
        assert!(JournalLine::parse(br#"{"v":2,"step":"accepted"}"#).is_none());
        assert!(JournalLine::parse(b"").is_none());
    }

    #[test]
    fn a_tail_gives_whole_lines_only() {
        let mut tail = Tail { path: PathBuf::new(), at: 0, half: Vec::new(), skip: true };
        let mut seen = Vec::new();
        for block in [&b"iddle\nfir"[..], b"st\nsec", b"", b"ond\n"] {
            tail.take(block, &mut |line| seen.push(String::from_utf8_lossy(line).into_owned()));
        }
        assert_eq!(seen, ["first", "second"]);
    }
}
