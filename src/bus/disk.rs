//! The one door to the disk: every change of a bus goes through here.
//!
//! All paths are relative to the bus folder, which is held open, so that the bus may be moved while it is in use. What
//! others may have put there is opened beneath the bus without following links (`openat2`, where the system has it).
//! Renames never replace anything unless the call says so. Losing a race is an answer ([`Moved`]), not an error.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{self as sys, Access, AtFlags, CWD, Dir, Mode, OFlags, RenameFlags, Stat};
use rustix::io::{Errno, retry_on_intr};

/// What was being done, to which path, and what the system said.
#[derive(Debug)]
pub struct DiskError {
    pub doing: &'static str,
    pub path: PathBuf,
    pub source: io::Error,
}

impl DiskError {
    pub fn new(doing: &'static str, path: impl AsRef<Path>, source: impl Into<io::Error>) -> DiskError {
        DiskError { doing, path: path.as_ref().to_owned(), source: source.into() }
    }

    fn errno(&self) -> Option<Errno> {
        Errno::from_io_error(&self.source)
    }

    /// The system does not let this process do it.
    pub fn is_not_permitted(&self) -> bool {
        matches!(self.errno(), Some(Errno::ACCESS | Errno::PERM))
    }

    /// Something is short that all have to share: descriptors, memory. It says nothing of the path.
    pub fn is_shortage(&self) -> bool {
        matches!(self.errno(), Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::INTR))
    }

    /// The path, or a folder on the way to it, is not there.
    pub fn is_not_found(&self) -> bool {
        self.errno() == Some(Errno::NOENT)
    }
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.doing, self.path.display(), self.source)
    }
}

impl std::error::Error for DiskError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// How a rename that must not replace anything ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    Done,
    /// The new name is taken.
    Taken,
    /// The old name, or the folder of either, is not there: look again before believing which.
    Gone,
}

/// Whether a new file must be on the disk before the call returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    Now,
    /// The kernel writes it when it likes; a crash of the program alone loses nothing.
    Later,
}

/// One entry of a folder.
#[derive(Clone, Debug)]
pub struct Entry {
    pub name: std::ffi::OsString,
    pub kind: EntryKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    File,
    Folder,
    /// A link, FIFO, socket or device.
    Other,
    /// The file system does not say in its listings.
    Unknown,
}

/// An open bus folder.
#[derive(Debug)]
pub struct Disk {
    root: OwnedFd,
    path: PathBuf,
    /// Whose files this process may open as an owner.
    #[cfg(target_os = "linux")]
    user: u32,
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const PRIVATE_FILE: Mode = Mode::RUSR.union(Mode::WUSR);
const PRIVATE_FOLDER: Mode = Mode::RWXU;

impl Disk {
    /// Opens a bus folder. It must exist.
    pub fn open(path: &Path) -> Result<Disk, DiskError> {
        let root = retry_on_intr(|| sys::openat(CWD, path, FOLDER, Mode::empty()))
            .map_err(|e| DiskError::new("open the bus", path, e))?;
        Ok(Disk {
            root,
            path: path.to_owned(),
            #[cfg(target_os = "linux")]
            user: rustix::process::geteuid().as_raw(),
        })
    }

    /// The path the bus was opened by, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open folder itself.
    pub fn root(&self) -> &OwnedFd {
        &self.root
    }

    /// Is the open folder still the one at its path?
    pub fn is_at_its_path(&self) -> Result<bool, DiskError> {
        let own = sys::fstat(&self.root).map_err(|e| self.error("look at", "", e))?;
        match sys::statat(CWD, &self.path, AtFlags::empty()) {
            Ok(stat) => Ok((stat.st_dev, stat.st_ino) == (own.st_dev, own.st_ino)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
            Err(e) => Err(self.error("look at", "", e)),
        }
    }

    fn error(&self, doing: &'static str, path: impl AsRef<Path>, errno: Errno) -> DiskError {
        DiskError::new(doing, self.path.join(path), errno)
    }

    /// Opens something beneath the bus that others may have put there: no link is followed, no FIFO waited for.
    /// `None` if it is not there.
    pub fn open_beneath(&self, path: &Path, flags: OFlags) -> Result<Option<OwnedFd>, DiskError> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        #[cfg(target_os = "linux")]
        let opened = {
            use rustix::fs::ResolveFlags;
            let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            match retry_on_intr(|| sys::openat2(&self.root, path, flags, Mode::empty(), beneath)) {
                // A kernel without openat2, or a sandbox that forbids it: the last component is still not followed.
                Err(Errno::NOSYS | Errno::PERM) => sys::openat(&self.root, path, flags, Mode::empty()),
                other => other,
            }
        };
        #[cfg(not(target_os = "linux"))]
        let opened = sys::openat(&self.root, path, flags, Mode::empty());
        match opened {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(self.error("open", path, e)),
        }
    }

    /// Opens a file directly in the drop for reading; the name has no folder in it, so nothing can be followed but itself.
    /// `owner`: the file's, as just seen.
    pub fn open_drop(&self, name: &OsStr, owner: u32) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        // A file that was just written would get a new time of access with its first reading, which is a change on the disk. Only
        // its owner may do without (open(2), O_NOATIME).
        #[cfg(target_os = "linux")]
        if owner == self.user {
            match sys::openat(&self.root, name, flags | OFlags::NOATIME, Mode::empty()) {
                Err(Errno::PERM) => {}
                opened => return opened,
            }
        }
        #[cfg(not(target_os = "linux"))]
        let _ = owner;
        sys::openat(&self.root, name, flags, Mode::empty())
    }

    /// What is at this path, not following links. `None` if nothing is.
    pub fn stat(&self, path: &Path) -> Result<Option<Stat>, DiskError> {
        match sys::statat(&self.root, path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(self.error("look at", path, e)),
        }
    }

    /// May this process list a folder and make files in it? A folder that is gone by now may be made again.
    pub fn may_fill(&self, path: &Path) -> Result<bool, DiskError> {
        let access = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
        match sys::accessat(&self.root, path, access, AtFlags::EACCESS) {
            Ok(()) | Err(Errno::NOENT) => Ok(true),
            Err(Errno::ACCESS | Errno::PERM) => Ok(false),
            Err(e) => Err(self.error("look at", path, e)),
        }
    }

    /// Renames within the bus, never onto something.
    pub fn rename_new(&self, from: &Path, to: &Path) -> Result<Moved, DiskError> {
        self.moved(sys::renameat_with(&self.root, from, &self.root, to, RenameFlags::NOREPLACE), to)
    }

    /// Renames something of the bus into an open folder, never onto something. Only the room's side needs to be spelled from
    /// the bus root (see the commit protocol, "Who is active").
    pub fn rename_into(&self, from: &Path, folder: &OwnedFd, name: &str) -> Result<Moved, DiskError> {
        self.moved(sys::renameat_with(&self.root, from, folder, name, RenameFlags::NOREPLACE), Path::new(name))
    }

    /// Renames onto whatever is there.
    pub fn rename_over(&self, from: &Path, to: &Path) -> Result<Moved, DiskError> {
        self.moved(sys::renameat(&self.root, from, &self.root, to), to)
    }

    fn moved(&self, result: Result<(), Errno>, to: &Path) -> Result<Moved, DiskError> {
        match result {
            Ok(()) => Ok(Moved::Done),
            Err(Errno::EXIST | Errno::NOTEMPTY) => Ok(Moved::Taken),
            Err(Errno::NOENT) => Ok(Moved::Gone),
            Err(e) => Err(self.error("rename to", to, e)),
        }
    }

    /// Makes a new file with this content, given in pieces. If anything fails, the half-made file is removed.
    pub fn create(&self, path: &Path, pieces: &[&[u8]], sync: Sync) -> Result<(), DiskError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = sys::openat(&self.root, path, flags, PRIVATE_FILE).map_err(|e| self.error("create", path, e))?;
        let written = write_pieces(&fd, pieces).and_then(|()| match sync {
            Sync::Now => sys::fdatasync(&fd),
            Sync::Later => Ok(()),
        });
        if let Err(e) = written {
            drop(fd);
            // If this fails too the file stays in a private folder, where recovery removes what no record names.
            let _ = sys::unlinkat(&self.root, path, AtFlags::empty());
            return Err(self.error("write", path, e));
        }
        Ok(())
    }

    /// Writes the content, in pieces, of a file that was made empty, and tells how many names the file has. After an error
    /// the content may be there in part.
    pub fn write_new(&self, file: &File, pieces: &[&[u8]]) -> io::Result<u64> {
        write_pieces(file, pieces)?;
        Ok(sys::fstat(file)?.st_nlink)
    }

    /// Opens a file of our own for appending, made if need be.
    pub fn open_append(&self, path: &Path) -> Result<File, DiskError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = sys::openat(&self.root, path, flags, PRIVATE_FILE).map_err(|e| self.error("open", path, e))?;
        Ok(File::from(fd))
    }

    /// Makes a new file for reading and writing; an error if the name is taken.
    pub fn create_open(&self, path: &Path) -> Result<File, DiskError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = sys::openat(&self.root, path, flags, PRIVATE_FILE).map_err(|e| self.error("create", path, e))?;
        Ok(File::from(fd))
    }

    /// Reads a whole file of the bus without following links. `None` if it is not there; an error if it is not a regular
    /// file or has more than `max` bytes.
    pub fn read(&self, path: &Path, max: u64) -> Result<Option<Vec<u8>>, DiskError> {
        let Some(fd) = self.open_beneath(path, OFlags::RDONLY)? else { return Ok(None) };
        let stat = sys::fstat(&fd).map_err(|e| self.error("look at", path, e))?;
        if !is_regular(&stat) {
            return Err(DiskError::new("read", self.path.join(path), io::Error::other("not a regular file")));
        }
        if stat.st_size as u64 > max {
            let says = format!("{} bytes, more than the {max} expected", stat.st_size);
            return Err(DiskError::new("read", self.path.join(path), io::Error::other(says)));
        }
        let failed = |e| DiskError::new("read", self.path.join(path), e);
        let bytes = read_all(&File::from(fd), stat.st_size as u64, max).map_err(failed)?;
        if bytes.len() as u64 > max {
            return Err(failed(io::Error::other(format!("more than the {max} bytes expected, and growing"))));
        }
        Ok(Some(bytes))
    }

    /// Reads at most the first `len` bytes of a file, as [`Disk::read`] does the whole.
    pub fn read_start(&self, path: &Path, len: usize) -> Result<Option<Vec<u8>>, DiskError> {
        let Some(fd) = self.open_beneath(path, OFlags::RDONLY)? else { return Ok(None) };
        let stat = sys::fstat(&fd).map_err(|e| self.error("look at", path, e))?;
        if !is_regular(&stat) {
            return Err(DiskError::new("read", self.path.join(path), io::Error::other("not a regular file")));
        }
        let mut start = vec![0; len];
        let read = retry_on_intr(|| rustix::io::pread(&fd, &mut start, 0)).map_err(|e| self.error("read", path, e))?;
        start.truncate(read);
        Ok(Some(start))
    }

    /// Makes a private folder; all is well if it is there already and is a folder.
    pub fn make_folder(&self, path: &Path) -> Result<(), DiskError> {
        match sys::mkdirat(&self.root, path, PRIVATE_FOLDER) {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => match self.stat(path)? {
                Some(stat) if is_folder(&stat) => Ok(()),
                _ => Err(self.error("make the folder", path, Errno::NOTDIR)),
            },
            Err(e) => Err(self.error("make the folder", path, e)),
        }
    }

    /// Opens a folder of the bus, not following links. `None` if nothing is there.
    pub fn open_folder(&self, path: &Path) -> Result<Option<OwnedFd>, DiskError> {
        self.open_beneath(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// Removes one file; `false` if it was not there.
    pub fn remove_file(&self, path: &Path) -> Result<bool, DiskError> {
        match sys::unlinkat(&self.root, path, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(e) => Err(self.error("remove", path, e)),
        }
    }

    /// Removes an empty folder; `false` if it is not empty.
    pub fn remove_folder(&self, path: &Path) -> Result<bool, DiskError> {
        match sys::unlinkat(&self.root, path, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(true),
            Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
            Err(e) => Err(self.error("remove the folder", path, e)),
        }
    }

    /// Calls `each` for every entry of a folder. A folder that is not there has none.
    pub fn for_each(&self, path: &Path, mut each: impl FnMut(&OsStr, EntryKind)) -> Result<(), DiskError> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let Some(fd) = self.open_folder(path)? else { return Ok(()) };
        let mut dir = Dir::new(fd).map_err(|e| self.error("list", path, e))?;
        while let Some(entry) = dir.read() {
            let entry = entry.map_err(|e| self.error("list", path, e))?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let kind = match entry.file_type() {
                sys::FileType::RegularFile => EntryKind::File,
                sys::FileType::Directory => EntryKind::Folder,
                sys::FileType::Unknown => EntryKind::Unknown,
                sys::FileType::Symlink
                | sys::FileType::Fifo
                | sys::FileType::Socket
                | sys::FileType::CharacterDevice
                | sys::FileType::BlockDevice => EntryKind::Other,
            };
            each(OsStr::from_bytes(name), kind);
        }
        Ok(())
    }

    /// The entries of a folder, sorted by name.
    pub fn list(&self, path: &Path) -> Result<Vec<Entry>, DiskError> {
        let mut entries = Vec::new();
        self.for_each(path, |name, kind| entries.push(Entry { name: name.to_owned(), kind }))?;
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Makes the names in a folder durable.
    pub fn sync_folder(&self, path: &Path) -> Result<(), DiskError> {
        let fd = self.open_folder(path)?.ok_or_else(|| self.error("open", path, Errno::NOENT))?;
        sys::fsync(&fd).map_err(|e| self.error("sync the folder", path, e))
    }

    /// Another handle of the bus folder, for [`Disk::sync_by`].
    pub fn handle(&self) -> Result<OwnedFd, DiskError> {
        sys::openat(&self.root, ".", FOLDER, Mode::empty()).map_err(|e| self.error("open", "", e))
    }

    /// Makes everything on the bus's file system durable.
    pub fn sync_all(&self) -> Result<(), DiskError> {
        self.sync_by(&self.root)
    }

    /// The same by another handle: what the kernel could not write it tells to every handle once (syncfs(2), since Linux 5.8).
    pub fn sync_by(&self, handle: &OwnedFd) -> Result<(), DiskError> {
        #[cfg(target_os = "linux")]
        let synced = sys::syncfs(handle);
        #[cfg(not(target_os = "linux"))]
        let synced = {
            let _ = handle;
            sys::sync();
            Ok::<(), Errno>(())
        };
        synced.map_err(|e| self.error("sync the file system of", "", e))
    }
}

fn write_pieces(fd: impl AsFd, pieces: &[&[u8]]) -> Result<(), Errno> {
    let mut slices: Vec<io::IoSlice> = pieces.iter().map(|piece| io::IoSlice::new(piece)).collect();
    let mut rest = slices.as_mut_slice();
    // Also removes empty pieces from the front.
    io::IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match rustix::io::writev(&fd, rest) {
            Ok(0) => return Err(Errno::NOSPC),
            Ok(n) => io::IoSlice::advance_slices(&mut rest, n),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Reads from the start until the end of the file; `expected` bytes are foreseen. Where it grows meanwhile and has more than `max` bytes,
/// there are more in what is returned, and not all.
pub fn read_all(file: &File, expected: u64, max: u64) -> io::Result<Vec<u8>> {
    let most = usize::try_from(max).unwrap_or(usize::MAX).saturating_add(1);
    let mut bytes = Vec::with_capacity((expected as usize).saturating_add(1).min(most));
    while bytes.len() < most {
        if bytes.len() == bytes.capacity() {
            bytes.reserve(bytes.len().min(most - bytes.len()));
        }
        let (asked, at) = (bytes.capacity() - bytes.len(), bytes.len() as u64);
        match rustix::io::pread(file, rustix::buffer::spare_capacity(&mut bytes), at) {
            // A regular file gives less than asked for only at its end.
            Ok(n) if n < asked => return Ok(bytes),
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(bytes)
}

pub fn is_regular(stat: &Stat) -> bool {
    sys::FileType::from_raw_mode(stat.st_mode) == sys::FileType::RegularFile
}

pub fn is_folder(stat: &Stat) -> bool {
    sys::FileType::from_raw_mode(stat.st_mode) == sys::FileType::Directory
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_grows_while_it_is_read_is_not_read_for_ever() {
        let top = tempfile::tempdir().expect("a folder");
        let path = top.path().join("x");
        std::fs::write(&path, vec![b'x'; 100_000]).expect("written");
        let read = |expected, max| read_all(&File::open(&path).expect("opened"), expected, max).expect("read").len();
        assert_eq!((read(100_000, 100_000), read(10, 100_000), read(10, u64::MAX)), (100_000, 100_000, 100_000));
        // It had 10 bytes when it was looked at, and may have 20.
        assert!((21..1000).contains(&read(10, 20)), "{}", read(10, 20));
    }
}
