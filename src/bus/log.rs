//! The commit log of a room: numbered, checksummed frames in a preallocated file, one sync for a whole batch.
//!
//! A frame is a line `postroom <number> <length> <crc32>` followed by that many bytes and a newline. Numbers go up by one; the first
//! frame that is not whole, or not the next number, ends the log, so what an earlier use of the file left behind it is not
//! read. A batch is decided when the sync returned. After a failed sync the kernel may have dropped the pages and called them
//! clean, so that file is never synced again: a new one with everything that is not yet checkpointed takes its place.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::disk::{Disk, DiskError, Moved, read_all};
use super::error::BusError;
use super::layout::{self, ClaimName};
use super::place::Place;
use super::record::{self, Record};
use super::room::Room;

/// The file grows by this many zeroed bytes at a time; a sync of bytes that were there before costs a third of one that
/// makes the file longer.
const GROW: u64 = 1 << 20;
/// A checkpoint is due when the log holds this many bytes.
const CHECKPOINT_AT: u64 = 12 << 20;
/// About as many bytes as the record of an ordinary message has, with its reply.
const FRAME: usize = 2048;
/// A frame's head has this many bytes: `postroom `, number (20 digits), length (10), checksum (8 hex), newline.
const HEAD: usize = 9 + 20 + 1 + 10 + 1 + 8 + 1;

/// What a commit has to survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Power loss.
    Full,
    /// The end of the process.
    Process,
}

/// What stands in a log beside decisions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Note {
    /// The first frame: where the journal ended when this use of the file began, and where its records were decided unless
    /// they say otherwise.
    Begin { day: String, journal: u64, place: Arc<Place> },
    /// The handling of this claim began beside others (an extension).
    Started { claim: String },
    /// The handling of this claim began, and the one noted so before it had ended (one after the other).
    StartedNext { claim: String },
}

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

#[derive(Debug)]
pub struct Log {
    file: File,
    durability: Durability,
    place: Arc<Place>,
    /// Where the next frame goes.
    end: u64,
    allocated: u64,
    next_number: u64,
    /// Every frame since the last checkpoint, for a new file after a failed sync (only kept where there are syncs).
    kept: Vec<u8>,
    /// A sync failed, or the first frame may be torn: this file is not to be trusted any more.
    distrusted: bool,
}

impl Log {
    /// Makes the log of a room that is being prepared.
    pub fn create(
        disk: &Disk,
        folder: &Path,
        durability: Durability,
        place: Arc<Place>,
        journal: (String, u64),
    ) -> Result<Log, BusError> {
        let path = folder.join(layout::ROOM_LOG);
        let file = disk.create_open(&path)?;
        let begin = Note::Begin { day: journal.0, journal: journal.1, place: place.clone() };
        let mut log =
            Log { file, durability, place, end: 0, allocated: 0, next_number: 1, kept: Vec::new(), distrusted: false };
        log.append_notes(&path, &[begin])?;
        Ok(log)
    }

    /// Makes the file as long as it gets before a checkpoint, so that no commit has to make it longer: that costs tens of
    /// milliseconds each time. For a service that is to run for long.
    pub fn preallocate(&mut self, room: &Room) -> Result<(), BusError> {
        if self.durability == Durability::Process {
            return Ok(());
        }
        let path = room.file(layout::ROOM_LOG);
        self.grow(&path, CHECKPOINT_AT + GROW)?;
        let synced = self.sync(&path);
        // As after any failed sync: this file is not synced again, the next commit makes a new one.
        self.distrusted |= synced.is_err();
        synced
    }

    fn grow(&mut self, path: &Path, to: u64) -> Result<(), BusError> {
        if to > self.allocated {
            let zeros = vec![0; (to - self.allocated) as usize];
            self.file.write_all_at(&zeros, self.allocated).map_err(|e| DiskError::new("grow", path, e))?;
            self.allocated = to;
        }
        Ok(())
    }

    /// Is it time for a checkpoint?
    pub fn is_full(&self) -> bool {
        self.end >= CHECKPOINT_AT
    }

    /// Will the next commit put a new file in this one's place?
    pub fn is_distrusted(&self) -> bool {
        self.distrusted
    }

    /// Notes that a handling begins. Unsynced: it counts the attempts that killed the service, not what a power cut ends.
    pub fn note(&mut self, room: &Room, note: &Note) -> Result<(), BusError> {
        self.append_notes(&room.file(layout::ROOM_LOG), std::slice::from_ref(note))
    }

    /// Decides a batch of records, each with the text of its message. On an error nothing is decided; the caller calls
    /// again with the same batch.
    pub fn commit(&mut self, disk: &Disk, room: &Room, batch: &[(&Record, &[u8])]) -> Result<(), BusError> {
        let mut frames = Vec::with_capacity(batch.len() * FRAME);
        for (number, (record, message)) in (self.next_number..).zip(batch) {
            frame(number, &mut frames, |out| {
                out.push(b'R');
                record.encode(&self.place, message, out);
            });
        }
        if !self.distrusted {
            let path = room.file(layout::ROOM_LOG);
            self.write(&path, &frames)?;
            if let Err(error) = self.sync(&path) {
                self.distrusted = true;
                return Err(error);
            }
            self.end += frames.len() as u64;
            if self.durability == Durability::Full {
                self.kept.extend_from_slice(&frames);
            }
        } else {
            self.replace(disk, room, &frames)?;
        }
        self.next_number += batch.len() as u64;
        Ok(())
    }

    /// Puts a new file in the place of one that cannot be trusted: what was decided before, then `frames`, synced as a
    /// whole. The staged files of `frames` are still there, so whoever reads the old file meanwhile carries out the same.
    fn replace(&mut self, disk: &Disk, room: &Room, frames: &[u8]) -> Result<(), BusError> {
        let (path, new_path) = (room.file(layout::ROOM_LOG), room.file(layout::ROOM_NEW_LOG));
        disk.remove_file(&new_path)?;
        let file = disk.create_open(&new_path).map_err(|e| room.missing(disk, e))?;
        let failed = |doing: &'static str| {
            let path = new_path.clone();
            move |e| DiskError::new(doing, path, e)
        };
        file.write_all_at(&self.kept, 0).map_err(failed("write"))?;
        file.write_all_at(frames, self.kept.len() as u64).map_err(failed("write"))?;
        file.sync_all().map_err(failed("sync"))?;
        if disk.rename_over(&new_path, &path)? != Moved::Done {
            return Err(room.missing(disk, DiskError::new("rename", &new_path, rustix::io::Errno::NOENT)));
        }
        disk.sync_folder(&room.path)?;
        self.file = file;
        self.kept.extend_from_slice(frames);
        self.end = self.kept.len() as u64;
        self.allocated = self.end;
        self.distrusted = false;
        if self.durability == Durability::Process {
            self.kept.clear();
        }
        Ok(())
    }

    /// Starts the file again from its beginning. Only after a successful [`Disk::sync_all`] that was begun when everything
    /// in the log was published, finished, journalled and its ids noted. `notes`: the new beginning, and the handlings
    /// still under way.
    pub fn checkpoint(&mut self, room: &Room, notes: &[Note]) -> Result<(), BusError> {
        self.begin_again(&room.file(layout::ROOM_LOG), notes)
    }

    fn begin_again(&mut self, path: &Path, notes: &[Note]) -> Result<(), BusError> {
        self.kept.clear();
        self.end = 0;
        let result = self.append_notes(path, notes).and_then(|()| self.sync(path));
        if result.is_err() {
            // Its first frame may be half written, and then nothing behind it would be read: the next commit makes a
            // new file. None of the old frames is needed any more.
            self.distrusted = true;
            self.kept = self.frames_of(notes);
            // The next frame must not get one of these numbers again: that would end the log for whoever reads it.
            self.next_number += notes.len() as u64;
        }
        result
    }

    fn frames_of(&self, notes: &[Note]) -> Vec<u8> {
        let mut frames = Vec::with_capacity(notes.len() * FRAME / 4);
        for (number, note) in (self.next_number..).zip(notes) {
            frame(number, &mut frames, |out| {
                out.push(b'N');
                serde_json::to_writer(&mut *out, note).expect("writing JSON to memory does not fail");
            });
        }
        frames
    }

    fn append_notes(&mut self, path: &Path, notes: &[Note]) -> Result<(), BusError> {
        let frames = self.frames_of(notes);
        if !self.distrusted {
            self.write(path, &frames)?;
            self.end += frames.len() as u64;
        }
        if self.distrusted || self.durability == Durability::Full {
            self.kept.extend_from_slice(&frames);
        }
        self.next_number += notes.len() as u64;
        Ok(())
    }

    /// Writes at the end without moving it, so that a failed write is repeated at the same place.
    fn write(&mut self, path: &Path, frames: &[u8]) -> Result<(), BusError> {
        let end = self.end + frames.len() as u64;
        if end > self.allocated && self.durability == Durability::Full {
            self.grow(path, end.next_multiple_of(GROW))?;
        }
        self.file.write_all_at(frames, self.end).map_err(|e| DiskError::new("write", path, e))?;
        Ok(())
    }

    fn sync(&self, path: &Path) -> Result<(), BusError> {
        match self.durability {
            Durability::Process => Ok(()),
            Durability::Full => self.file.sync_data().map_err(|e| DiskError::new("sync", path, e).into()),
        }
    }
}

fn frame(number: u64, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let head = out.len();
    out.resize(head + HEAD, b' ');
    body(out);
    let (len, sum) = {
        let body = &out[head + HEAD..];
        (body.len(), checksum(number, body))
    };
    let mut place = &mut out[head..head + HEAD];
    writeln!(place, "postroom {number:020} {len:010} {sum:08x}").expect("a head has this many bytes");
    out.push(b'\n');
}

/// CRC-32 (IEEE) over number and body, so that a frame moved to another place does not pass.
fn checksum(number: u64, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(body);
    hasher.finalize()
}

fn split_frame(text: &[u8], expected: Option<u64>) -> Option<(u64, &[u8], &[u8])> {
    let (head, rest) = text.split_at_checked(HEAD)?;
    let head = std::str::from_utf8(head).ok()?.strip_suffix('\n')?;
    let mut parts = head.strip_prefix("postroom ")?.split(' ');
    let number: u64 = parts.next()?.parse().ok()?;
    let len: usize = parts.next()?.parse().ok()?;
    let sum = u32::from_str_radix(parts.next()?, 16).ok()?;
    if expected.is_some_and(|expected| expected != number) {
        return None;
    }
    let (body, rest) = rest.split_at_checked(len)?;
    let rest = rest.strip_prefix(b"\n")?;
    (checksum(number, body) == sum).then_some((number, body, rest))
}

/// Reads the log in this folder. A `log.new` beside it takes effect by its rename only and is not looked at.
pub fn read(disk: &Disk, folder: &Path) -> Result<Contents, BusError> {
    let path: PathBuf = folder.join(layout::ROOM_LOG);
    let Some(fd) = disk.open_beneath(&path, rustix::fs::OFlags::RDONLY)? else { return Ok(Contents::default()) };
    let file = File::from(fd);
    let len = file.metadata().map_err(|e| DiskError::new("look at", &path, e))?.len();
    let text = read_all(&file, len as usize).map_err(|e| DiskError::new("read", &path, e))?;
    Ok(parse(&text))
}

fn parse(mut text: &[u8]) -> Contents {
    let mut contents = Contents::default();
    let mut expected = None;
    let mut one_by_one = None;
    let mut place: Option<Arc<Place>> = None;
    while let Some((number, body, rest)) = split_frame(text, expected) {
        expected = Some(number + 1);
        text = rest;
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
    contents
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(number: u64, claim: &str, out: &mut Vec<u8>) {
        let note = Note::Started { claim: format!("{claim}.0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11~a.json") };
        framed_note(number, &note, out);
    }

    fn framed_note(number: u64, note: &Note, out: &mut Vec<u8>) {
        frame(number, out, |out| {
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
        assert_eq!(parse(&text).begun.len(), 2, "a number twice");
        for cut in 0..whole {
            let expected = usize::from(cut >= whole / 2);
            assert_eq!(parse(&text[..cut]).begun.len(), expected, "cut at {cut}");
        }
        let mut flipped = text[..whole].to_vec();
        flipped[whole - 5] ^= 1;
        assert_eq!(parse(&flipped).begun.len(), 1);
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
        let attempts: Vec<u32> = parse(&text).begun.iter().map(|claim| claim.attempt).collect();
        assert_eq!(attempts, [1, 3]);
    }

    #[test]
    fn after_a_failed_checkpoint_the_next_commit_can_be_read() {
        let text = |word: &str| word.to_owned();
        let place = Arc::new(Place {
            host: text("host"),
            host_name: text("host"),
            boot: text("boot"),
            mount: text("mount"),
            namespace: text("namespace"),
            pid: 1,
        });
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        std::fs::write(&path, b"").expect("written");
        let mut log = Log {
            // Not open for writing, so that every write fails.
            file: File::open(&path).expect("opened"),
            durability: Durability::Full,
            place: place.clone(),
            end: 0,
            allocated: 0,
            next_number: 5,
            kept: Vec::new(),
            distrusted: false,
        };
        let begin = Note::Begin { day: text("2025-11-21"), journal: 0, place };
        log.begin_again(&path, &[begin]).expect_err("not writable");
        assert!(log.distrusted);
        note(log.next_number, "1", &mut log.kept);
        let contents = parse(&log.kept);
        assert_eq!((contents.begin, contents.begun.len()), (Some((text("2025-11-21"), 0)), 1));
    }
}
