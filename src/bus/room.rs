//! A room: the private folder `processing/<term>/<uuid>/` of the one service that is active.
//!
//! The path names both term and uuid, so the path of an old room never resolves again. Every path of a room is spelled from
//! the bus root; only the descriptors of the log, the lock and a file made ahead are held. A service whose room is gone never makes it again.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fs2::FileExt as _;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::disk::{Disk, DiskError, Sync};
use super::error::BusError;
use super::layout;
use super::place::Place;

/// How often a service that is busy with one thing says that it is alive.
const BEAT: Duration = Duration::from_millis(250);

/// Called again and again by whatever takes long, so that its service does not count as hung.
pub type Alive<'a> = &'a dyn Fn() -> Result<(), BusError>;

/// What the owner writes into its room: who it is, and a number that grows while it is alive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub beat: String,
    pub started_at: u64,
    #[serde(flatten)]
    pub place: Place,
}

impl Line {
    /// The beat has a fixed width, so that the line is always written over the whole of the last one.
    pub fn text(place: &Place, started_at: u64, beat: u64) -> Vec<u8> {
        let line = Line { beat: format!("{beat:020}"), started_at, place: place.clone() };
        let mut text = serde_json::to_vec(&line).expect("a struct of strings and numbers is always JSON");
        text.push(b'\n');
        text
    }

    pub fn parse(text: &[u8]) -> Option<Line> {
        serde_json::from_slice(text).ok()
    }
}

/// The room of this service, with its lock held.
#[derive(Debug)]
pub struct Room {
    pub term: u64,
    pub uuid: Uuid,
    /// `processing/<term>/<uuid>`.
    pub path: PathBuf,
    pub place: Arc<Place>,
    started_at: u64,
    beat: AtomicU64,
    beat_at: Mutex<Instant>,
    /// Held until the process ends or the room is left; the kernel frees it then.
    _lock: File,
}

/// A room that is complete but has no term yet: `processing/.<uuid>/<uuid>/`.
#[derive(Debug)]
pub struct Prepared {
    uuid: Uuid,
    place: Arc<Place>,
    started_at: u64,
    lock: File,
}

impl Prepared {
    /// Makes the folder with lock and line. The log is put in by the caller (`path`), who then calls [`Prepared::sync`].
    ///
    /// # Errors
    /// [`BusError::RoomGone`] if a service that has become active meanwhile took the half-made room for a dead one's.
    pub fn make(disk: &Disk, place: Arc<Place>, now_ms: u64) -> Result<Prepared, BusError> {
        let uuid = Uuid::now_v7();
        disk.make_folder(&layout::prepared_folder(uuid))?;
        match Prepared::fill(disk, uuid, &Line::text(&place, now_ms, 0)) {
            Ok(Some(lock)) => Ok(Prepared { uuid, place, started_at: now_ms, lock }),
            Err(_) if is_taken(disk, uuid) => Err(BusError::RoomGone),
            Ok(None) => {
                let _ = remove_unused(disk, &layout::prepared_folder(uuid), uuid);
                Err(BusError::RoomGone)
            }
            Err(error) => {
                // The error is what matters; a prepared room that stays is removed by the next winner.
                let _ = remove_unused(disk, &layout::prepared_folder(uuid), uuid);
                Err(error.into())
            }
        }
    }

    /// The lock, held. `None`: another service has it for a moment, to see whether this room's owner lives.
    fn fill(disk: &Disk, uuid: Uuid, line: &[u8]) -> Result<Option<File>, DiskError> {
        let inner = layout::prepared_folder(uuid).join(uuid.to_string());
        disk.make_folder(&inner)?;
        let lock_path = inner.join(layout::ROOM_LOCK);
        let lock = disk.create_open(&lock_path)?;
        if !try_lock(&lock, &lock_path)? {
            return Ok(None);
        }
        disk.create(&inner.join(layout::ROOM_LINE), &[line], Sync::Later)?;
        Ok(Some(lock))
    }

    /// Has another service taken it, because it looked like a dead one's?
    pub fn is_taken(&self, disk: &Disk) -> bool {
        is_taken(disk, self.uuid)
    }

    pub fn path(&self) -> PathBuf {
        layout::prepared_folder(self.uuid).join(self.uuid.to_string())
    }

    /// Makes the room durable as it is.
    pub fn sync(&self, disk: &Disk) -> Result<(), BusError> {
        let inner = self.path();
        for name in [layout::ROOM_LINE, layout::ROOM_LOCK, layout::ROOM_LOG] {
            let path = inner.join(name);
            let fd = disk.open_beneath(&path, OFlags::RDONLY)?.ok_or(BusError::RoomGone)?;
            rustix::fs::fsync(&fd).map_err(|e| DiskError::new("sync", &path, e))?;
        }
        disk.sync_folder(&inner)?;
        disk.sync_folder(&layout::prepared_folder(self.uuid))?;
        Ok(())
    }

    /// Tries to become the room of `term`. `None`: somebody else has that term, and this room is taken away again.
    pub fn enter(self, disk: &Disk, term: u64) -> Result<Option<Room>, BusError> {
        use super::disk::Moved;
        match disk.rename_new(&layout::prepared_folder(self.uuid), &layout::term_folder(term))? {
            Moved::Done => Ok(Some(Room {
                term,
                uuid: self.uuid,
                path: layout::room(term, self.uuid),
                place: self.place,
                started_at: self.started_at,
                beat: AtomicU64::new(0),
                beat_at: Mutex::new(Instant::now()),
                _lock: self.lock,
            })),
            Moved::Taken | Moved::Gone => {
                remove_unused(disk, &layout::prepared_folder(self.uuid), self.uuid)?;
                Ok(None)
            }
        }
    }

    pub fn discard(self, disk: &Disk) -> Result<(), BusError> {
        remove_unused(disk, &layout::prepared_folder(self.uuid), self.uuid)
    }
}

impl Room {
    pub fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        let name = name.as_ref();
        let mut path = PathBuf::with_capacity(self.path.as_os_str().len() + 1 + name.as_os_str().len());
        path.push(&self.path);
        path.push(name);
        path
    }

    /// Is it still there? Asked whenever something in it was "not found".
    pub fn exists(&self, disk: &Disk) -> Result<bool, BusError> {
        Ok(disk.stat(&self.path)?.is_some())
    }

    /// The error for something not found in the room: the room itself is gone, or else `error`.
    pub fn missing(&self, disk: &Disk, error: DiskError) -> BusError {
        match self.exists(disk) {
            Ok(true) => BusError::Disk(error),
            Ok(false) => BusError::RoomGone,
            Err(other) => other,
        }
    }

    /// Says that this service is alive, by changing its line. Not synced: only the living read it.
    pub fn beat(&self, disk: &Disk) -> Result<(), BusError> {
        let path = self.file(layout::ROOM_LINE);
        let Some(fd) = disk.open_beneath(&path, OFlags::WRONLY)? else {
            let absent = DiskError::new("open", &path, rustix::io::Errno::NOENT);
            return Err(self.missing(disk, absent));
        };
        let beat = self.beat.fetch_add(1, Ordering::Relaxed) + 1;
        File::from(fd)
            .write_all_at(&Line::text(&self.place, self.started_at, beat), 0)
            .map_err(|e| DiskError::new("write", &path, e).into())
    }

    /// The same, if the last time was a while ago. For everything that takes long: whoever does not beat counts as hung.
    pub fn beat_if_due(&self, disk: &Disk) -> Result<(), BusError> {
        let is_due = {
            // An instant is whole whatever panicked while it was held.
            let mut at = self.beat_at.lock().unwrap_or_else(PoisonError::into_inner);
            let is_due = at.elapsed() >= BEAT;
            if is_due {
                *at = Instant::now();
            }
            is_due
        };
        if is_due { self.beat(disk) } else { Ok(()) }
    }

    /// Takes an own, still empty room away again: a higher term was there first.
    pub fn withdraw(self, disk: &Disk) -> Result<(), BusError> {
        use super::disk::Moved;
        let away = layout::prepared_folder(self.uuid);
        match disk.rename_new(&layout::term_folder(self.term), &away)? {
            Moved::Done => remove_unused(disk, &away, self.uuid),
            // Taken over meanwhile: the winner removes it.
            Moved::Gone | Moved::Taken => Ok(()),
        }
    }

    /// Removes the room after a clean end, in the order of the protocol: the log first, the line and the lock last.
    pub fn remove(&self, disk: &Disk) -> Result<(), BusError> {
        for name in [layout::ROOM_LOG, layout::ROOM_NEW_LOG, layout::ROOM_LINE, layout::ROOM_LOCK] {
            disk.remove_file(&self.file(name))?;
        }
        if disk.remove_folder(&self.path)? {
            disk.remove_folder(&layout::term_folder(self.term))?;
        }
        Ok(())
    }
}

/// `false`: another process holds it.
pub(super) fn try_lock(lock: &File, path: &Path) -> Result<bool, DiskError> {
    match lock.try_lock_exclusive() {
        Ok(()) => Ok(true),
        Err(e) if e.raw_os_error() == fs2::lock_contended_error().raw_os_error() => Ok(false),
        Err(e) => Err(DiskError::new("lock", path, e)),
    }
}

/// Once made, a prepared room is there until its owner enters it or takes it away, or another service takes it.
fn is_taken(disk: &Disk, uuid: Uuid) -> bool {
    matches!(disk.stat(&layout::prepared_folder(uuid)), Ok(None))
}

/// Removes a room in which nothing was ever claimed.
fn remove_unused(disk: &Disk, outer: &Path, uuid: Uuid) -> Result<(), BusError> {
    let inner = outer.join(uuid.to_string());
    for name in [layout::ROOM_LOG, layout::ROOM_LINE, layout::ROOM_LOCK] {
        disk.remove_file(&inner.join(name))?;
    }
    if disk.remove_folder(&inner)? {
        disk.remove_folder(outer)?;
    }
    Ok(())
}
