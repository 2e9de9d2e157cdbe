//! The commit log of a room: numbered, checksummed frames in a preallocated file, one sync for a whole batch.
//!
//! Numbers go up by one; the first frame that is not whole, or not the next number, ends the log, so what an earlier use of the file
//! left behind it is not read. A batch is decided when the sync returned. After a failed sync the kernel may have dropped the pages
//! and called them clean, so that file is never synced again: a new one with everything that is not yet checkpointed takes its
//! place.
//!
//! | where | what |
//! | --- | --- |
//! | here | writing: batches, notes, the new beginning after a checkpoint |
//! | `frame` | one frame |
//! | `contents` | reading it all back |
//! | `zeroing` | the file is as long as it gets before it is needed |

mod contents;
mod frame;
mod zeroing;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

pub use self::contents::{Contents, read};
use self::zeroing::Zeroing;
use super::disk::{Disk, DiskError, Moved};
use super::error::BusError;
use super::layout;
use super::place::Place;
use super::record::Record;
use super::room::Room;

/// The file grows by this many zeroed bytes at a time; a sync of bytes that were there before costs a third of one that
/// makes the file longer.
const GROW: u64 = 1 << 20;
/// A checkpoint is due when the log holds this many bytes: 20,000 ordinary messages that come at once do not have to wait for one.
/// More would make recovery longer, and the memory that it needs.
pub const CHECKPOINT_AT: u64 = 32 << 20;
/// Where a checkpoint has nothing to wait for, a short log is as fast.
const CHECKPOINT_UNSYNCED_AT: u64 = 12 << 20;
/// About as many bytes as the record of an ordinary message has, with its reply.
const FRAME: usize = 2048;

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

#[derive(Debug)]
pub struct Log {
    file: File,
    durability: Durability,
    place: Arc<Place>,
    /// Where the next frame goes.
    end: u64,
    allocated: u64,
    /// Makes the file longer, beside the service.
    zeroing: Option<Zeroing>,
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
        let mut log = Log::of(file, durability, place);
        log.append_notes(&path, &[begin])?;
        Ok(log)
    }

    fn of(file: File, durability: Durability, place: Arc<Place>) -> Log {
        let (kept, zeroing) = (Vec::new(), None);
        Log { file, durability, place, end: 0, allocated: 0, zeroing, next_number: 1, kept, distrusted: false }
    }

    /// Begins to make the file as long as it gets before a checkpoint, so that no commit has to make it longer: that costs tens
    /// of milliseconds each time. For a service that is to run for long. Only for speed: where it fails, the log grows as it goes.
    pub fn preallocate(&mut self, disk: &Disk, room: &Room) {
        if self.durability == Durability::Process {
            return;
        }
        // A handle of its own: if a sync by it fails, the next one of the log is told of that, too.
        if let Ok(Some(file)) = disk.open_beneath(&room.file(layout::ROOM_LOG), OFlags::WRONLY) {
            self.zeroing = Zeroing::begin(File::from(file), self.allocated, CHECKPOINT_AT + GROW).ok();
        }
    }

    /// Takes over what has been zeroed, and waits where that is less than `needed`. After that nobody else writes below `needed`.
    fn take_zeroed(&mut self, needed: u64) {
        if let Some(zeroing) = &self.zeroing {
            self.allocated = self.allocated.max(zeroing.wait_for(needed));
            self.zeroing.take_if(|_| self.allocated < needed);
        }
    }

    fn grow(&mut self, path: &Path, to: u64) -> Result<(), BusError> {
        debug_assert!(self.zeroing.is_none(), "another one is making it longer");
        if to > self.allocated {
            let zeros = vec![0; (to - self.allocated) as usize];
            self.file.write_all_at(&zeros, self.allocated).map_err(|e| DiskError::new("grow", path, e))?;
            self.allocated = to;
        }
        Ok(())
    }

    /// How many bytes it holds since the last checkpoint.
    pub fn bytes(&self) -> u64 {
        self.end
    }

    /// Is it time for a checkpoint?
    pub fn is_full(&self) -> bool {
        self.end
            >= match self.durability {
                Durability::Full => CHECKPOINT_AT,
                Durability::Process => CHECKPOINT_UNSYNCED_AT,
            }
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
            frame::append(number, &mut frames, |out| {
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
        self.zeroing = None;
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
            frame::append(number, &mut frames, |out| {
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
            self.take_zeroed(end);
            // Else the zeros of two would meet, and those that come later would lie on frames.
            if end > self.allocated {
                self.grow(path, end.next_multiple_of(GROW))?;
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn text(word: &str) -> String {
        word.to_owned()
    }

    fn place() -> Arc<Place> {
        Arc::new(Place {
            host: text("host"),
            host_name: text("host"),
            boot: text("boot"),
            mount: text("mount"),
            namespace: text("namespace"),
            pid: 1,
        })
    }

    /// A file may be as long as it likes when others begin to make it longer.
    #[test]
    fn no_zeros_come_to_lie_on_frames() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let open = || File::options().create(true).truncate(false).read(true).write(true).open(&path).expect("opened");
        let mut log = Log::of(open(), Durability::Full, place());
        log.allocated = 1000;
        log.zeroing = Some(Zeroing::begin(open(), 1000, CHECKPOINT_AT + GROW).expect("a thread"));
        let note = |bytes: usize| Note::Started { claim: "x".repeat(bytes) };
        let head = log.frames_of(&[note(0)]).len();
        // The first ends just before the end of what is zeroed then, and not at a round number.
        log.append_notes(&path, &[note(GROW as usize + 500 - head)]).expect("written");
        for _ in 0..64 {
            log.append_notes(&path, &[note(300_000)]).expect("written");
        }
        // Its thread ends first.
        drop(log);
        let mut frames = frame::Frames::new(open(), CHECKPOINT_AT);
        let mut count = 0;
        while frames.next().expect("read").is_some() {
            count += 1;
        }
        assert_eq!(count, 65);
    }

    #[test]
    fn after_a_failed_checkpoint_the_next_commit_can_be_read() {
        let place = place();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        std::fs::write(&path, b"").expect("written");
        // Not open for writing, so that every write fails.
        let mut log = Log::of(File::open(&path).expect("opened"), Durability::Full, place.clone());
        log.next_number = 5;
        let begin = Note::Begin { day: text("2025-11-21"), journal: 0, place };
        log.begin_again(&path, &[begin]).expect_err("not writable");
        assert!(log.distrusted);
        let started = Note::Started { claim: "1.0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11~a.json".to_owned() };
        let frames = log.frames_of(&[started]);
        log.kept.extend(frames);
        let contents = contents::tests::parsed(&log.kept);
        assert_eq!((contents.begin, contents.begun.len()), (Some((text("2025-11-21"), 0)), 1));
    }
}
