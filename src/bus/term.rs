//! Who is active. The highest term in `processing/` is; a lock on a lower one means nothing.
//!
//! A term is begun when the lock of the highest room is free, or when its owner's line has not changed over enough looks. The
//! lines and rules are those of the commit protocol, "Who is active"; `tests/model` shows what each of them prevents.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fs2::FileExt as _;
use rustix::fs::OFlags;
use uuid::Uuid;

use super::disk::{Disk, DiskError, EntryKind, Moved, Sync};
use super::error::BusError;
use super::layout;
use super::log::{Durability, Log};
use super::place::Place;
use super::room::{Line, Prepared, Room, try_lock};

/// How the file begins that a standby writes to see whether the disk answers.
const PROBE: &str = ".look-";

/// What a look at the highest room found.
#[derive(Debug)]
pub enum Look {
    /// Nobody is active: the term after this one (0: there was none) can be begun.
    Free(u64),
    /// Somebody is, or may be.
    Held(Holder),
}

/// The service that is active.
#[derive(Clone, Debug)]
pub struct Holder {
    pub term: u64,
    /// Its lock file, to wait on.
    pub lock: PathBuf,
    /// Who it is, if its line could be read.
    pub line: Option<Line>,
}

/// Counts the looks between which the holder's line did not change.
#[derive(Debug)]
pub struct Lease {
    looks: u32,
    seen: Option<(u64, Vec<u8>)>,
    unchanged: u32,
    changed: bool,
    /// Written and synced between looks, so that a disk that stands still, or a laptop that slept, ends no lease.
    probe: PathBuf,
}

impl Lease {
    pub fn new(looks: u32) -> Lease {
        let probe = Path::new(layout::PROCESSING).join(format!("{PROBE}{}", Uuid::now_v7()));
        Lease { looks, seen: None, unchanged: 0, changed: false, probe }
    }

    /// Counts one look, which must be at least the look interval after the last. `true`: the lease has run out.
    pub fn look(&mut self, disk: &Disk, term: u64, line: &[u8]) -> Result<bool, BusError> {
        let same = self.seen.as_ref().is_some_and(|(seen_term, seen)| *seen_term == term && seen == line);
        if !same {
            self.changed = self.seen.as_ref().is_some_and(|(seen_term, _)| *seen_term == term);
            self.seen = Some((term, line.to_vec()));
            self.unchanged = 0;
            return Ok(false);
        }
        disk.remove_file(&self.probe)?;
        disk.create(&self.probe, &[b"the disk answers\n"], Sync::Now)?;
        disk.remove_file(&self.probe)?;
        self.unchanged += 1;
        Ok(self.unchanged >= self.looks)
    }

    /// Did the line change between two looks at the same term? Then its owner is alive.
    pub fn has_changed(&self) -> bool {
        self.changed
    }

    /// Something was not as it should be between two looks (an error, a long pause): they do not count.
    pub fn reset(&mut self) {
        self.seen = None;
        self.unchanged = 0;
    }
}

/// The terms there are, highest first.
fn terms(disk: &Disk) -> Result<Vec<u64>, BusError> {
    let mut terms = Vec::new();
    disk.for_each(Path::new(layout::PROCESSING), |name, _| {
        terms.extend(name.to_str().and_then(layout::parse_term));
    })?;
    terms.sort_unstable_by(|a, b| b.cmp(a));
    Ok(terms)
}

/// The highest term there is; 0 if there is none.
pub fn highest(disk: &Disk) -> Result<u64, BusError> {
    Ok(terms(disk)?.first().copied().unwrap_or(0))
}

/// The room in a term's folder.
fn room_of(disk: &Disk, outer: &Path) -> Result<Option<PathBuf>, BusError> {
    let mut room = None;
    disk.for_each(outer, |name, kind| {
        let is_uuid = name.to_str().is_some_and(|name| Uuid::parse_str(name).is_ok());
        if is_uuid && matches!(kind, EntryKind::Folder | EntryKind::Unknown) {
            room = Some(outer.join(name));
        }
    })?;
    Ok(room)
}

/// Looks at who is active, and returns the text of its line too (for [`Lease::look`]).
pub fn look(disk: &Disk, here: &Place) -> Result<(Look, Vec<u8>), BusError> {
    let Some(term) = terms(disk)?.first().copied() else { return Ok((Look::Free(0), Vec::new())) };
    let Some(room) = room_of(disk, &layout::term_folder(term))? else { return Ok((Look::Free(term), Vec::new())) };
    let text = disk.read(&room.join(layout::ROOM_LINE), 64 * 1024)?.unwrap_or_default();
    let line = Line::parse(&text);
    let holder = Holder { term, lock: room.join(layout::ROOM_LOCK), line };
    // A lock says nothing across hosts; there only the line counts.
    let foreign = holder.line.as_ref().is_some_and(|line| !line.place.same_host(here));
    if !foreign && lock_is_free(disk, &holder.lock)? {
        return Ok((Look::Free(term), text));
    }
    Ok((Look::Held(holder), text))
}

/// Can this lock be had? One that is not there is held by nobody.
fn lock_is_free(disk: &Disk, path: &Path) -> Result<bool, BusError> {
    let Some(fd) = disk.open_beneath(path, OFlags::RDWR)? else { return Ok(true) };
    Ok(try_lock(&std::fs::File::from(fd), path)?)
}

/// Waits, blocking, until the holder's lock is free: its process has ended.
pub fn wait_for_lock(disk: &Disk, lock: &Path) -> Result<(), BusError> {
    let Some(fd) = disk.open_beneath(lock, OFlags::RDWR)? else { return Ok(()) };
    std::fs::File::from(fd).lock_exclusive().map_err(|e| DiskError::new("lock", lock, e).into())
}

/// Tries to begin the term after `after`, which [`look`] found free. `None`: somebody else was faster.
pub fn begin(
    disk: &Disk,
    after: u64,
    place: Arc<Place>,
    durability: Durability,
    now_ms: u64,
    journal: (String, u64),
) -> Result<Option<(Room, Log)>, BusError> {
    let next = after_that(after)?;
    let prepared = match Prepared::make(disk, place.clone(), now_ms) {
        Err(BusError::RoomGone) => return Ok(None),
        made => made?,
    };
    let log = Log::create(disk, &prepared.path(), durability, place, journal);
    let synced = log.and_then(|log| match durability {
        Durability::Full => prepared.sync(disk).map(|()| log),
        Durability::Process => Ok(log),
    });
    let log = match synced {
        Ok(log) => log,
        Err(_) if prepared.is_taken(disk) => return Ok(None),
        Err(error) => {
            // The error is what matters; a prepared room that stays is removed by the next winner.
            let _ = prepared.discard(disk);
            return Err(error);
        }
    };
    if terms(disk)?.first().is_some_and(|highest| *highest > after) {
        prepared.discard(disk)?;
        return Ok(None);
    }
    let Some(room) = prepared.enter(disk, next)? else { return Ok(None) };
    if durability == Durability::Full {
        disk.sync_folder(Path::new(layout::PROCESSING))?;
    }
    if terms(disk)?.first().is_some_and(|highest| *highest > room.term) {
        room.withdraw(disk)?;
        return Ok(None);
    }
    Ok(Some((room, log)))
}

/// The term after this one. Only a folder that no service has made has a number that none can follow.
fn after_that(term: u64) -> Result<u64, BusError> {
    term.checked_add(1).filter(|next| *next < u64::MAX).ok_or_else(|| BusError::Damaged {
        path: layout::term_folder(term),
        what: "has a number that no service gives".into(),
    })
}

/// Takes every other room into the own one, highest term first, then the prepared rooms whose owner is dead. From here on
/// whatever their owners try fails.
pub fn take_others(disk: &Disk, room: &Room) -> Result<(), BusError> {
    for term in terms(disk)? {
        if term != room.term {
            take(disk, room, &layout::term_folder(term), &term.to_string())?;
        }
    }
    remove_probes(disk)?;
    flatten(disk, room)?;
    for entry in disk.list(Path::new(layout::PROCESSING))? {
        let Some(uuid) = entry.name.to_str().and_then(|name| name.strip_prefix('.')) else { continue };
        let Ok(uuid) = Uuid::parse_str(uuid) else { continue };
        let outer = layout::prepared_folder(uuid);
        if lock_is_free(disk, &outer.join(uuid.to_string()).join(layout::ROOM_LOCK))? {
            take(disk, room, &outer, &format!("prepared-{uuid}"))?;
        }
    }
    Ok(())
}

/// Takes the rooms inside the rooms that were taken over out of them, so that however many services fail to begin one after the
/// other, the paths do not grow.
fn flatten(disk: &Disk, room: &Room) -> Result<(), BusError> {
    let is_old = |name: &std::ffi::OsStr| name.to_str().is_some_and(|name| name.starts_with(layout::ROOM_OLD));
    loop {
        let mut nested = Vec::new();
        for outer in disk.list(&room.path)?.into_iter().filter(|entry| is_old(&entry.name)) {
            let outer = room.file(&outer.name);
            for inner in disk.list(&outer)?.into_iter().filter(|entry| entry.kind == EntryKind::Folder) {
                let inner = outer.join(&inner.name);
                nested.extend(disk.list(&inner)?.into_iter().filter(|e| is_old(&e.name)).map(|e| inner.join(&e.name)));
            }
        }
        if nested.is_empty() {
            return Ok(());
        }
        for path in nested {
            take(disk, room, &path, "nested")?;
        }
    }
}

/// Removes what a standby wrote to see whether the disk answers, and did not live to remove. One that lives does not miss it.
pub fn remove_probes(disk: &Disk) -> Result<(), BusError> {
    for entry in disk.list(Path::new(layout::PROCESSING))? {
        if entry.name.to_str().is_some_and(|name| name.starts_with(PROBE)) {
            disk.remove_file(&Path::new(layout::PROCESSING).join(&entry.name))?;
        }
    }
    Ok(())
}

fn take(disk: &Disk, room: &Room, outer: &Path, label: &str) -> Result<(), BusError> {
    for number in 0.. {
        let name = match number {
            0 => format!("{}{label}", layout::ROOM_OLD),
            n => format!("{}{label}~{n}", layout::ROOM_OLD),
        };
        match disk.rename_new(outer, &room.file(name))? {
            Moved::Done => return Ok(()),
            Moved::Taken => {}
            Moved::Gone if room.exists(disk)? => return Ok(()),
            Moved::Gone => return Err(BusError::RoomGone),
        }
    }
    unreachable!("there are fewer rooms than numbers")
}

/// How long a term's owner may take between two beats without being counted as still.
pub fn beat_interval(look: Duration) -> Duration {
    look / 2
}
