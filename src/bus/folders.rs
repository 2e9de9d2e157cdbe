//! Folders that files are published into, held open so that only the room's side of a rename is spelled from the bus (see the commit
//! protocol, "Who is active").
//!
//! To look at a folder costs less than to open it, and a message that comes alone is a batch of its own: so they are kept open from one
//! batch to the next.
//!
//! Invariant: nothing is put into a folder that has not been at its path since the batch began.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::Stat;
use rustix::io::Errno;

use super::disk::{Disk, DiskError};
use super::error::BusError;
use super::publish::make_with_parents;

/// Folders outside the room, opened without following links. What was opened for one batch is used for another only if it was looked
/// at again since ([`Folders::is_open`]).
#[derive(Debug, Default)]
pub struct Folders {
    open: HashMap<OsString, Open>,
}

#[derive(Debug)]
struct Open {
    folder: OwnedFd,
    looks: Looks,
    /// Opened or looked at for this batch.
    is_sure: bool,
}

/// Which folder it is, and who may do what in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Looks {
    device: u64,
    inode: u64,
    mode: u32,
    owner: u32,
    group: u32,
}

impl Looks {
    #[allow(clippy::unnecessary_cast, clippy::useless_conversion, reason = "the types differ from system to system")]
    fn of(stat: &Stat) -> Looks {
        let (device, inode, mode) = (stat.st_dev as u64, stat.st_ino as u64, u32::from(stat.st_mode));
        Looks { device, inode, mode, owner: stat.st_uid, group: stat.st_gid }
    }
}

impl Folders {
    /// More than these are not kept open from batch to batch.
    const KEPT: usize = 64;

    /// A batch begins: the folders may have been replaced since the last one.
    pub fn doubt(&mut self) {
        if self.open.len() > Folders::KEPT {
            self.open.clear();
        }
        self.open.values_mut().for_each(|open| open.is_sure = false);
    }

    /// Closes all of them.
    pub fn forget_all(&mut self) {
        self.open.clear();
    }

    /// Is the folder that was just looked at the one that is open here, with the same rights? Then it is sure for this batch.
    pub fn is_open(&mut self, path: &Path, stat: &Stat) -> bool {
        let Some(open) = self.open.get_mut(path.as_os_str()) else { return false };
        open.is_sure = open.looks == Looks::of(stat);
        open.is_sure
    }

    /// The folder, opened if need be, and made if it is not there.
    pub fn get(&mut self, disk: &Disk, path: &Path) -> Result<&OwnedFd, BusError> {
        if !self.open.get(path.as_os_str()).is_some_and(|open| open.is_sure) {
            let folder = match disk.open_folder(path)? {
                Some(folder) => folder,
                None => {
                    make_with_parents(disk, path)?;
                    let absent = || DiskError::new("open", path, Errno::NOENT);
                    disk.open_folder(path)?.ok_or_else(absent)?
                }
            };
            let stat = rustix::fs::fstat(&folder).map_err(|e| DiskError::new("look at", path, e))?;
            let open = Open { folder, looks: Looks::of(&stat), is_sure: true };
            self.open.insert(path.as_os_str().to_owned(), open);
        }
        Ok(&self.open[path.as_os_str()].folder)
    }

    /// Closes this one.
    pub fn forget(&mut self, path: &Path) {
        self.open.remove(path.as_os_str());
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::path::PathBuf;

    use super::*;

    struct Bus {
        top: tempfile::TempDir,
        disk: Disk,
        folders: Folders,
    }

    fn bus() -> Bus {
        let top = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(top.path().join("inbox/a")).expect("made");
        let disk = Disk::open(top.path()).expect("opened");
        Bus { top, disk, folders: Folders::default() }
    }

    impl Bus {
        fn path(&self, path: &str) -> PathBuf {
            self.top.path().join(path)
        }

        /// The inode of the folder that files would be put into.
        fn target(&mut self) -> u64 {
            let folder = self.folders.get(&self.disk, Path::new("inbox/a")).expect("opened");
            rustix::fs::fstat(folder).expect("looked").st_ino
        }

        /// A batch begins, and the folder is looked at.
        fn is_open(&mut self) -> bool {
            self.folders.doubt();
            let stat = self.disk.stat(Path::new("inbox/a")).expect("looked").expect("there");
            self.folders.is_open(Path::new("inbox/a"), &stat)
        }

        fn is_now(&self) -> u64 {
            self.path("inbox/a").metadata().expect("looked").ino()
        }

        fn replace(&self) {
            std::fs::rename(self.path("inbox/a"), self.path("inbox/b")).expect("put aside");
            std::fs::create_dir(self.path("inbox/a")).expect("made");
        }
    }

    #[test]
    fn a_folder_that_was_replaced_is_opened_anew_whether_it_is_looked_at_or_not() {
        let mut bus = bus();
        assert!(!bus.is_open(), "it was never asked for");
        let first = bus.target();
        assert!(bus.is_open());
        bus.replace();
        assert_eq!(bus.target(), first, "in the same batch it stays the one that was looked at");
        assert!(!bus.is_open());
        let second = bus.target();
        assert_eq!((second, first == second), (bus.is_now(), false));
        bus.replace();
        bus.folders.doubt();
        assert_eq!(bus.target(), bus.is_now(), "nobody has looked");
    }

    #[test]
    fn other_rights_are_worth_a_question() {
        let mut bus = bus();
        bus.target();
        std::fs::set_permissions(bus.path("inbox/a"), std::fs::Permissions::from_mode(0o500)).expect("set");
        assert!(!bus.is_open());
    }

    #[test]
    fn not_everything_is_kept_open() {
        let mut bus = bus();
        for n in 0..=Folders::KEPT {
            bus.folders.get(&bus.disk, &Path::new("inbox").join(n.to_string())).expect("made and opened");
        }
        bus.folders.doubt();
        assert!(bus.folders.open.is_empty());
        bus.target();
        bus.folders.forget_all();
        assert!(!bus.is_open());
    }
}
