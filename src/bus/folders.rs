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

use super::disk::{Disk, DiskError, Moved};
use super::error::BusError;
use super::publish::make_with_parents;

/// Folders outside the room, opened without following links. What was opened for one batch is used for another only if it was looked
/// at again since ([`Folders::confirm`]).
#[derive(Default)]
pub struct Folders {
    open: HashMap<OsString, Open>,
}

struct Open {
    folder: OwnedFd,
    /// How it looked when it was opened.
    looked: Stat,
    /// Opened or looked at for this batch.
    is_sure: bool,
}

/// The same folder, in which the same may be done by the same?
fn looks_alike(one: &Stat, other: &Stat) -> bool {
    let is_same = (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino);
    is_same && (one.st_mode, one.st_uid, one.st_gid) == (other.st_mode, other.st_uid, other.st_gid)
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

    /// Is the folder that was just looked at the one that is open here, with the same rights? Then it counts for this batch, too.
    pub fn confirm(&mut self, path: &Path, stat: &Stat) -> bool {
        let Some(open) = self.open.get_mut(path.as_os_str()) else { return false };
        open.is_sure = looks_alike(&open.looked, stat);
        open.is_sure
    }

    /// Renames something of the bus into one of these folders, which is opened, and made, if need be. Whatever else comes of it than a
    /// rename or a name that is taken, the folder is not trusted any more: it may be gone, or have got other rights.
    pub fn rename_into(&mut self, disk: &Disk, from: &Path, folder: &Path, name: &str) -> Result<Moved, BusError> {
        let moved = disk.rename_into(from, self.get(disk, folder)?, name);
        if !matches!(moved, Ok(Moved::Done | Moved::Taken)) {
            self.open.remove(folder.as_os_str());
        }
        Ok(moved?)
    }

    fn get(&mut self, disk: &Disk, path: &Path) -> Result<&OwnedFd, BusError> {
        if !self.is_sure(disk, path)? {
            let folder = match disk.open_folder(path)? {
                Some(folder) => folder,
                None => {
                    make_with_parents(disk, path)?;
                    let absent = || DiskError::new("open", path, Errno::NOENT);
                    disk.open_folder(path)?.ok_or_else(absent)?
                }
            };
            let looked = rustix::fs::fstat(&folder).map_err(|e| DiskError::new("look at", path, e))?;
            self.open.insert(path.as_os_str().to_owned(), Open { folder, looked, is_sure: true });
        }
        Ok(&self.open[path.as_os_str()].folder)
    }

    /// Is it open for this batch? What was opened for an earlier one is looked at.
    fn is_sure(&mut self, disk: &Disk, path: &Path) -> Result<bool, BusError> {
        match self.open.get(path.as_os_str()) {
            None => Ok(false),
            Some(open) if open.is_sure => Ok(true),
            Some(_) => Ok(disk.stat(path)?.is_some_and(|stat| self.confirm(path, &stat))),
        }
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
            self.folders.confirm(Path::new("inbox/a"), &stat)
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
    fn after_an_error_a_folder_is_opened_and_asked_for_its_rights_again() {
        let mut bus = bus();
        for name in ["1.json", "2.json", "3.json"] {
            std::fs::write(bus.path(name), name).expect("written");
        }
        let mut moved = |from: &str, to: &str| {
            let moved = bus.folders.rename_into(&bus.disk, Path::new(from), Path::new("inbox/a"), to);
            (moved.ok(), bus.is_open())
        };
        assert_eq!(moved("1.json", "x.json"), (Some(Moved::Done), true));
        assert_eq!(moved("2.json", "x.json"), (Some(Moved::Taken), true));
        assert_eq!(moved("1.json", "y.json"), (Some(Moved::Gone), false));
        assert_eq!(moved("2.json", "z.json"), (Some(Moved::Done), true));
        assert_eq!(moved("3.json", &"long".repeat(100)), (None, false));
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
