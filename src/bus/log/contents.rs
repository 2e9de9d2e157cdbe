//! What a log says, read back.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::disk::{Disk, DiskError};
use super::super::error::BusError;
use super::super::layout::{self, ClaimName};
use super::super::place::Place;
use super::super::record::{self, Record};
use super::super::room::Alive;
use super::Note;
use super::frame::Frames;

/// So much of a file is read at a time.
const AT_A_TIME: usize = 256 * 1024;

/// Everything that one log says.
#[derive(Debug, Default)]
pub struct Contents {
    pub records: Vec<Record>,
    /// Where the journal ended when this use of the file began: day and bytes.
    pub begin: Option<(String, u64)>,
    /// The claims whose handling had begun and was not decided after that: all that ran beside others, and of those that ran
    /// one after the other only the last. A record of the same attempt that stands before (it waited, and was taken up again)
    /// says nothing about it.
    pub begun: Vec<ClaimName>,
    /// A frame was whole but could not be understood.
    pub damaged: bool,
}

/// Reads the log in this folder. A `log.new` beside it takes effect by its rename only and is not looked at.
pub fn read(disk: &Disk, alive: Alive<'_>, folder: &Path) -> Result<Contents, BusError> {
    let path: PathBuf = folder.join(layout::ROOM_LOG);
    let Some(fd) = disk.open_beneath(&path, rustix::fs::OFlags::RDONLY)? else { return Ok(Contents::default()) };
    let file = File::from(fd);
    let len = file.metadata().map_err(|e| DiskError::new("look at", &path, e))?.len();
    parse(BufReader::with_capacity(AT_A_TIME, file), len, alive, &path)
}

fn parse(from: impl Read, len: u64, alive: Alive<'_>, path: &Path) -> Result<Contents, BusError> {
    let mut contents = Contents::default();
    let mut frames = Frames::new(from, len);
    let mut one_by_one = None;
    let mut place: Option<Arc<Place>> = None;
    while let Some(body) = frames.next().map_err(|e| DiskError::new("read", path, e))? {
        alive()?;
        match body.split_first() {
            Some((b'R', record)) => match Record::decode(place.as_ref(), record) {
                Some(record) => {
                    contents.begun.retain(|claim| !record::same_attempt(claim, &record.claim));
                    one_by_one = one_by_one.filter(|claim| !record::same_attempt(claim, &record.claim));
                    contents.records.push(record);
                }
                None => contents.damaged = true,
            },
            Some((b'N', note)) => match serde_json::from_slice(note) {
                Ok(Note::Begin { day, journal, place: of_log }) => {
                    contents.begin = Some((day, journal));
                    place = Some(of_log);
                }
                Ok(Note::Started { claim }) => contents.begun.extend(ClaimName::parse(&claim)),
                Ok(Note::StartedNext { claim }) => one_by_one = ClaimName::parse(&claim),
                Err(_) => contents.damaged = true,
            },
            _ => contents.damaged = true,
        }
    }
    contents.begun.extend(one_by_one);
    Ok(contents)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::frame;
    use super::*;

    pub fn parsed(text: &[u8]) -> Contents {
        parse(text, text.len() as u64, &|| Ok(()), Path::new("log")).expect("memory can be read")
    }

    fn note(number: u64, claim: &str, out: &mut Vec<u8>) {
        let note = Note::Started { claim: format!("{claim}.0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11~a.json") };
        framed_note(number, &note, out);
    }

    fn framed_note(number: u64, note: &Note, out: &mut Vec<u8>) {
        frame::append(number, out, |out| {
            out.push(b'N');
            serde_json::to_writer(out, note).expect("a note is JSON");
        });
    }

    #[test]
    fn a_log_ends_at_the_first_frame_that_is_not_whole_or_not_the_next() {
        let mut text = Vec::new();
        note(7, "1", &mut text);
        note(8, "2", &mut text);
        let whole = text.len();
        note(8, "3", &mut text);
        assert_eq!(parsed(&text).begun.len(), 2, "a number twice");
        for cut in 0..whole {
            let expected = usize::from(cut >= whole / 2);
            assert_eq!(parsed(&text[..cut]).begun.len(), expected, "cut at {cut}");
        }
        let mut flipped = text[..whole].to_vec();
        flipped[whole - 5] ^= 1;
        assert_eq!(parsed(&flipped).begun.len(), 1);
    }

    #[test]
    fn whoever_reads_a_log_says_that_it_is_alive_and_ends_when_it_is_replaced() {
        let mut text = Vec::new();
        (1..=100).for_each(|number| note(number, "1", &mut text));
        let beats = std::cell::Cell::new(0);
        let alive = || {
            beats.set(beats.get() + 1);
            if beats.get() < 50 { Ok(()) } else { Err(BusError::RoomGone) }
        };
        let ended = parse(&*text, text.len() as u64, &alive, Path::new("log"));
        assert!(matches!(ended, Err(BusError::RoomGone)) && beats.get() == 50, "{ended:?}");
    }

    #[test]
    fn of_handlings_one_after_the_other_only_the_last_counts() {
        let claim = |n: u32| format!("{n}.0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11~a.json");
        let notes = [
            Note::Started { claim: claim(1) },
            Note::StartedNext { claim: claim(2) },
            Note::StartedNext { claim: claim(3) },
        ];
        let mut text = Vec::new();
        for (number, note) in (1..).zip(&notes) {
            framed_note(number, note, &mut text);
        }
        let attempts: Vec<u32> = parsed(&text).begun.iter().map(|claim| claim.attempt).collect();
        assert_eq!(attempts, [1, 3]);
    }
}
