//! Read-only views of a bus for people: what is where, who is active, what the journal says.
//!
//! Invariant: nothing here changes a bus; [`View`] holds the disk and gives out only what was read. What it reads may change
//! at any moment, so nothing decides anything on it, and what is gone at a second look is left out. Names and contents are
//! strangers' text: whoever shows them makes them visible first.

mod heading;
mod journal;
mod states;

pub use heading::Heading;
pub use journal::{Day, JournalLine, Tail};
pub use states::{Item, State};

use std::path::Path;

use rustix::io::Errno;

use super::create;
use super::disk::{Disk, DiskError};
use super::error::BusError;
use super::place::Place;
use super::term::{self, Holder, Look};

/// A bus, to be looked at.
#[derive(Debug)]
pub struct View {
    disk: Disk,
}

impl View {
    /// Opens a bus. It must be one, of a format that this program knows.
    pub fn open(path: &Path) -> Result<View, BusError> {
        let not_a_bus = || BusError::NotABus { path: path.to_owned() };
        let disk = match Disk::open(path) {
            Ok(disk) => disk,
            Err(error) if error.is_not_found() || error.source.kind() == std::io::ErrorKind::NotADirectory => {
                return Err(not_a_bus());
            }
            Err(error) => return Err(error.into()),
        };
        create::check_format(&disk)?;
        Ok(View { disk })
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        self.disk.path()
    }

    /// This process on this bus.
    pub fn here(&self) -> Place {
        Place::here(&self.disk)
    }

    /// Who is active; nobody if the owner of the highest term is dead.
    pub fn active(&self) -> Result<Option<Holder>, BusError> {
        Ok(match term::look(&self.disk, &self.here())?.0 {
            Look::Free(_) => None,
            Look::Held(holder) => Some(holder),
        })
    }

    /// A whole file of the bus; `None` if it is not there.
    pub fn read(&self, path: &Path, max: u64) -> Result<Option<Vec<u8>>, BusError> {
        Ok(self.disk.read(path, max)?)
    }

    /// The same of a file that anybody may have put there; `None` also if it can be no file of ours.
    pub fn read_ours(&self, path: &Path, max: u64) -> Result<Option<Vec<u8>>, BusError> {
        match self.disk.read(path, max) {
            Err(error) if is_foreign(&error) => Ok(None),
            read => Ok(read?),
        }
    }

    /// Is something there?
    pub fn exists(&self, path: &Path) -> Result<bool, BusError> {
        Ok(self.disk.stat(path)?.is_some())
    }

    /// The names in a folder, sorted; none if it is not there.
    pub fn names(&self, folder: &Path) -> Result<Vec<std::ffi::OsString>, BusError> {
        Ok(self.disk.list(folder)?.into_iter().map(|entry| entry.name).collect())
    }
}

/// Was it not read because of what it is (a link, a folder, a FIFO, a socket, too large, closed to us)? Then the disk is well, and
/// everything else can be looked at.
pub(super) fn is_foreign(error: &DiskError) -> bool {
    match Errno::from_io_error(&error.source) {
        Some(errno) => matches!(errno, Errno::LOOP | Errno::NXIO | Errno::ACCESS | Errno::PERM),
        // Not the system's word but ours: no regular file, or larger than it may be.
        None => true,
    }
}
