//! From a file in the drop to a claim in the room.
//!
//! A file is read where it lies, held by a read lease (`F_SETLEASE`) that no writer can have it open beside; then it is renamed
//! into the room, and looked at again: what was claimed must be what was read. The lease is asked again after the rename, so
//! nobody can have begun to write in between. A claim is in exactly one place: the room.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, OFlags, Stat};
use rustix::io::Errno;

use super::disk::{self, Disk, DiskError, Moved};
use super::error::BusError;
use super::layout::{self, ClaimName, Ticket, WaitingName};
use super::room::Room;

/// What tells one state of one file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileState {
    pub inode: u64,
    pub bytes: u64,
    pub modified_ns: i128,
    /// When the file got its name or content; what the order of messages goes by.
    pub changed_ns: i128,
    pub links: u64,
}

impl FileState {
    fn of(stat: &Stat) -> FileState {
        FileState {
            inode: stat.st_ino,
            bytes: stat.st_size as u64,
            modified_ns: i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec),
            changed_ns: i128::from(stat.st_ctime) * 1_000_000_000 + i128::from(stat.st_ctime_nsec),
            links: stat.st_nlink,
        }
    }

    /// The same content of the same file, as far as the system can tell (a rename changes only `changed_ns`).
    fn same_content(&self, other: &FileState) -> bool {
        (self.inode, self.bytes, self.modified_ns) == (other.inode, other.bytes, other.modified_ns)
    }
}

/// Can anybody be writing to the file?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writers {
    /// Nobody has it open for writing, and as long as the lease is held nobody can.
    None,
    /// Somebody has.
    Some,
    /// The system cannot tell.
    Unknown,
}

/// What a look at a file in the drop found.
#[derive(Debug)]
pub enum Found {
    /// Read whole. Whether it is complete, the parser says.
    File(Opened),
    /// A regular file over the size limit; not read.
    TooLarge(FileState, Writers),
    /// Somebody is writing to it.
    BeingWritten(FileState),
    /// A link, FIFO, socket or device; never opened.
    NotAFile(FileState),
    /// A regular file that may not be read, or not yet.
    Unreadable(FileState),
    /// A folder: ignored.
    Folder,
    /// Not there (any more).
    Gone,
}

/// A file of the drop, read and still held.
#[derive(Debug)]
pub struct Opened {
    pub name: OsString,
    pub state: FileState,
    pub bytes: Vec<u8>,
    pub writers: Writers,
    file: File,
}

/// Looks at a file in the drop and reads it, unless it has more than `max_bytes`.
pub fn open(disk: &Disk, name: &OsStr, max_bytes: u64) -> Result<Found, DiskError> {
    // Looked at first: opening a FIFO would let its writer go on, and opening a device may do anything.
    let owner = match rustix::fs::statat(disk.root(), name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if disk::is_regular(&stat) => stat.st_uid,
        Ok(stat) if disk::is_folder(&stat) => return Ok(Found::Folder),
        Ok(stat) => return Ok(Found::NotAFile(FileState::of(&stat))),
        Err(Errno::NOENT) => return Ok(Found::Gone),
        Err(e) => return Err(DiskError::new("look at", name, e)),
    };
    let fd = match disk.open_drop(name, owner) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(Found::Gone),
        // A link (LOOP), a socket (NXIO), a device without a driver (NODEV), or a file we may not read (ACCESS, PERM).
        Err(Errno::LOOP | Errno::NXIO | Errno::NODEV | Errno::ACCESS | Errno::PERM) => return unopened(disk, name),
        Err(e) => return Err(DiskError::new("open", name, e)),
    };
    let stat = rustix::fs::fstat(&fd).map_err(|e| DiskError::new("look at", name, e))?;
    let state = FileState::of(&stat);
    if disk::is_folder(&stat) {
        return Ok(Found::Folder);
    }
    if !disk::is_regular(&stat) {
        return Ok(Found::NotAFile(state));
    }
    let writers = hold(&fd);
    if writers == Writers::Some {
        return Ok(Found::BeingWritten(state));
    }
    if state.bytes > max_bytes {
        return Ok(Found::TooLarge(state, writers));
    }
    let file = File::from(fd);
    let bytes = disk::read_all(&file, state.bytes, max_bytes).map_err(|e| DiskError::new("read", name, e))?;
    if bytes.len() as u64 > max_bytes {
        // It has grown since: where no lease is to be had, nothing keeps a writer out.
        return Ok(Found::TooLarge(FileState { bytes: bytes.len() as u64, ..state }, writers));
    }
    Ok(Found::File(Opened { name: name.to_owned(), state, bytes, writers, file }))
}

/// The state of something in the drop, not opened. `None`: it is not there.
pub fn state_of(disk: &Disk, name: &OsStr) -> Result<Option<FileState>, DiskError> {
    Ok(disk.stat(Path::new(name))?.as_ref().map(FileState::of))
}

fn unopened(disk: &Disk, name: &OsStr) -> Result<Found, DiskError> {
    Ok(match disk.stat(Path::new(name))? {
        None => Found::Gone,
        Some(stat) if disk::is_folder(&stat) => Found::Folder,
        Some(stat) if disk::is_regular(&stat) => Found::Unreadable(FileState::of(&stat)),
        Some(stat) => Found::NotAFile(FileState::of(&stat)),
    })
}

/// Asks for a read lease: the kernel grants it only while nobody has the file open for writing, and makes the next writer
/// wait until it is given back. See fcntl(2), "Leases". The signal a lease break sends is set to one that is ignored.
#[cfg(target_os = "linux")]
fn hold(fd: &OwnedFd) -> Writers {
    // SAFETY: fcntl on an open descriptor with integer arguments touches no memory of ours.
    let set = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETLEASE, libc::F_RDLCK) };
    if set == 0 {
        return Writers::None;
    }
    match std::io::Error::last_os_error().raw_os_error() {
        Some(libc::EAGAIN) => Writers::Some,
        _ => Writers::Unknown,
    }
}

#[cfg(not(target_os = "linux"))]
fn hold(_: &OwnedFd) -> Writers {
    Writers::Unknown
}

/// Can anybody be writing to this file, which need not be on a bus? Asked for a moment only.
pub fn writers_of(path: &Path) -> Writers {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    rustix::fs::open(path, flags, rustix::fs::Mode::empty()).map_or(Writers::Unknown, |fd| hold(&fd))
}

/// Is the lease still whole? Not once a writer has begun to wait for it.
#[cfg(target_os = "linux")]
fn still_held(file: &File) -> bool {
    // SAFETY: as in `hold`.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLEASE) == libc::F_RDLCK }
}

#[cfg(not(target_os = "linux"))]
fn still_held(_: &File) -> bool {
    true
}

/// A message in the room, not yet decided.
#[derive(Clone, Debug)]
pub struct Claim {
    pub name: ClaimName,
    /// What it was called where it was dropped.
    pub dropped_as: String,
    pub state: FileState,
}

/// How a claim ended.
#[derive(Debug)]
pub enum Claimed {
    Yes(Claim),
    /// Somebody else took it, or it changed under way and was put back.
    No,
}

/// Claims a file that was read.
pub fn claim(disk: &Disk, room: &Room, opened: &Opened) -> Result<Claimed, BusError> {
    let name = ClaimName::first(Ticket::new(), &opened.name);
    if !take(disk, room, &opened.name, &name)? {
        return Ok(Claimed::No);
    }
    let stat = stat_in_room(disk, room, &name)?;
    let unchanged = FileState::of(&stat).same_content(&opened.state) && stat.st_nlink == 1;
    let undisturbed = opened.writers == Writers::Unknown || still_held(&opened.file);
    if !(unchanged && undisturbed) {
        put_back(disk, room, &name, &opened.name)?;
        return Ok(Claimed::No);
    }
    let dropped_as = opened.name.to_string_lossy().into_owned();
    Ok(Claimed::Yes(Claim { name, dropped_as, state: opened.state }))
}

/// Claims a thing of the drop as it is, unread: it will be moved aside. If it is another one by now, or was changed, back it
/// goes: it may be a good message.
pub fn claim_unread(disk: &Disk, room: &Room, dropped: &OsStr, state: FileState) -> Result<Claimed, BusError> {
    let name = ClaimName::first(Ticket::new(), dropped);
    if !take(disk, room, dropped, &name)? {
        return Ok(Claimed::No);
    }
    let stat = stat_in_room(disk, room, &name)?;
    let found = FileState::of(&stat);
    // The times of a FIFO or device change whenever somebody uses it.
    let unchanged = if disk::is_regular(&stat) { found.same_content(&state) } else { found.inode == state.inode };
    if !unchanged {
        put_back(disk, room, &name, dropped)?;
        return Ok(Claimed::No);
    }
    let dropped_as = dropped.to_string_lossy().into_owned();
    Ok(Claimed::Yes(Claim { name, dropped_as, state }))
}

fn stat_in_room(disk: &Disk, room: &Room, name: &ClaimName) -> Result<Stat, BusError> {
    let path = room.file(name.file_name());
    disk.stat(&path)?.ok_or_else(|| room.missing(disk, DiskError::new("look at", &path, Errno::NOENT)))
}

fn take(disk: &Disk, room: &Room, dropped: &OsStr, name: &ClaimName) -> Result<bool, BusError> {
    let to = room.file(name.file_name());
    match disk.rename_new(Path::new(dropped), &to)? {
        Moved::Done => Ok(true),
        // Tickets are never given twice, so the name cannot be taken; if it is, the file is left where it is.
        Moved::Taken => Ok(false),
        Moved::Gone if room.exists(disk)? => Ok(false),
        Moved::Gone => Err(BusError::RoomGone),
    }
}

/// Puts a claim back into the drop, under a fresh name if its own has been taken since.
fn put_back(disk: &Disk, room: &Room, name: &ClaimName, dropped: &OsStr) -> Result<(), BusError> {
    let from = room.file(name.file_name());
    if disk.rename_new(&from, Path::new(dropped))? == Moved::Taken {
        let fresh = format!("{}.json", name.to_string().trim_end_matches(".json").replace('~', "-"));
        disk.rename_new(&from, Path::new(&fresh))?;
    }
    Ok(())
}

/// Takes a message that waits in `folder` (`deferred/` or `held/`) back into the room. `None`: it is not there any more.
pub fn resume(disk: &Disk, room: &Room, folder: &str, waiting: &str) -> Result<Option<ClaimName>, BusError> {
    let Some(name) = WaitingName::parse(waiting) else { return Ok(None) };
    let from: PathBuf = Path::new(folder).join(waiting);
    match disk.rename_new(&from, &room.file(name.claim.to_string()))? {
        Moved::Done => Ok(Some(name.claim)),
        Moved::Taken => Ok(None),
        Moved::Gone if room.exists(disk)? => Ok(None),
        Moved::Gone => Err(BusError::RoomGone),
    }
}

/// What a claim that is in the room already holds.
#[derive(Debug)]
pub enum Read {
    Message(Claim, Vec<u8>),
    /// Somebody still writes to it (it was claimed by a service that did not get to put it back).
    BeingWritten,
    TooLarge(FileState),
    NotAFile(FileState),
    /// This process may not read it: it was claimed to be moved aside for that, or its rights were changed since.
    Unreadable(FileState),
    /// It has another name elsewhere.
    Linked(FileState),
}

/// Reads a claim that is in the room already: one that was adopted, resumed, split off or retried. It may have been claimed unread,
/// to be moved aside, by a service that did not get so far.
pub fn read(disk: &Disk, room: &Room, name: ClaimName, max_bytes: u64) -> Result<Read, BusError> {
    let path = room.file(name.file_name());
    let Some(stat) = disk.stat(&path)? else {
        return Err(room.missing(disk, DiskError::new("read", &path, Errno::NOENT)));
    };
    let state = FileState::of(&stat);
    if !disk::is_regular(&stat) {
        return Ok(Read::NotAFile(state));
    }
    if state.bytes > max_bytes {
        return Ok(Read::TooLarge(state));
    }
    if has_other_links(&state) {
        return Ok(Read::Linked(state));
    }
    let fd = match disk.open_beneath(&path, OFlags::RDONLY) {
        Ok(Some(fd)) => fd,
        Ok(None) => return Err(room.missing(disk, DiskError::new("read", &path, Errno::NOENT))),
        Err(error) if error.is_not_permitted() => return Ok(Read::Unreadable(state)),
        Err(error) => return Err(error.into()),
    };
    if hold(&fd) == Writers::Some {
        return Ok(Read::BeingWritten);
    }
    let bytes =
        disk::read_all(&File::from(fd), state.bytes, max_bytes).map_err(|e| DiskError::new("read", &path, e))?;
    if bytes.len() as u64 > max_bytes {
        return Ok(Read::TooLarge(FileState { bytes: bytes.len() as u64, ..state }));
    }
    let dropped_as = format!("{}.json", name.stem);
    Ok(Read::Message(Claim { name, dropped_as, state }, bytes))
}

/// The priority of a message in the drop, read ahead of its turn into `buffer`. `None`: it is no message now, states none that
/// counts, or is larger than a message may be. Nothing is decided by it but the order in which files are read; so it asks for no
/// lease and looks only as far as it must.
pub fn glance_at_priority(disk: &Disk, name: &OsStr, max_bytes: u64, buffer: &mut Vec<u8>) -> Option<u8> {
    #[derive(serde::Deserialize)]
    struct Glance {
        priority: Option<u8>,
    }
    // As in `open`: what is no regular file is not opened.
    let stat = rustix::fs::statat(disk.root(), name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let bytes = u64::try_from(stat.st_size).ok().filter(|bytes| *bytes <= max_bytes && disk::is_regular(&stat))?;
    buffer.resize(usize::try_from(bytes).ok()?, 0);
    let fd = disk.open_drop(name, stat.st_uid).ok()?;
    let read = rustix::io::pread(&fd, &mut buffer[..], 0).ok()?;
    serde_json::from_slice::<Glance>(&buffer[..read]).ok()?.priority
}

/// A hard link to a file elsewhere could change it behind our back; after the grace time it is moved aside.
pub fn has_other_links(state: &FileState) -> bool {
    state.links > 1
}

/// The drop names that could be messages, in no order.
pub fn for_each_drop(disk: &Disk, mut each: impl FnMut(&OsStr)) -> Result<(), DiskError> {
    disk.for_each(Path::new(""), |name, kind| {
        use disk::EntryKind::{File, Folder, Other, Unknown};
        match kind {
            Folder => {}
            File | Other | Unknown if layout::is_drop_name(name) => each(name),
            File | Other | Unknown => {}
        }
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// Where times of access are kept at all: with `relatime`, the usual case, the first reading after a change would set it.
    #[test]
    fn reading_a_dropped_file_changes_nothing_of_it() {
        let bus = tempfile::tempdir().expect("a folder");
        std::fs::write(bus.path().join("a.json"), "{}").expect("written");
        let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1);
        let file = File::options().write(true).open(bus.path().join("a.json")).expect("opened");
        file.set_times(std::fs::FileTimes::new().set_accessed(long_ago)).expect("set");
        drop(file);
        let disk = Disk::open(bus.path()).expect("opened");
        let found = open(&disk, OsStr::new("a.json"), 100).expect("looked");
        assert!(matches!(&found, Found::File(opened) if opened.bytes == b"{}"), "{found:?}");
        let accessed = std::fs::metadata(bus.path().join("a.json")).expect("looked").accessed();
        assert_eq!(accessed.expect("a time"), long_ago);
    }
}
