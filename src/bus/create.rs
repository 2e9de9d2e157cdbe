//! Making a bus, and opening one that is there.

use std::path::Path;

use uuid::Uuid;

use super::disk::{self, Disk, DiskError, Moved, Sync};
use super::error::BusError;
use super::layout;

/// What [`create`] found and made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Created {
    /// Folders and files that were not there, relative to the bus.
    pub made: Vec<String>,
    /// It was a bus already.
    pub was_there: bool,
}

/// Makes a bus of this folder, or completes one. What is there stays as it is.
pub fn create(path: &Path) -> Result<Created, BusError> {
    let mut created = Created::default();
    if !path.exists() {
        make_private(path).map_err(|e| DiskError::new("make the folder", path, e))?;
        created.made.push(".".into());
    }
    let disk = Disk::open(path)?;
    created.was_there = disk.stat(layout::FORMAT.as_ref())?.is_some() && !is_unfinished(&disk)?;
    for folder in layout::FOLDERS {
        if disk.stat(folder.as_ref())?.is_none() {
            created.made.push(folder.to_owned());
        }
        check_folder(&disk, folder)?;
    }
    if created.was_there {
        check_format(&disk)?;
    } else {
        write_format(&disk)?;
        created.made.push(layout::FORMAT.to_owned());
    }
    Ok(created)
}

/// An empty file names no format: whoever was to write it was killed before. (It was once written in place.)
fn is_unfinished(disk: &Disk) -> Result<bool, BusError> {
    Ok(disk.stat(layout::FORMAT.as_ref())?.is_some_and(|stat| disk::is_regular(&stat) && stat.st_size == 0))
}

/// It is there whole or not at all: half of it would be a format that nobody knows.
fn write_format(disk: &Disk) -> Result<(), BusError> {
    let private = Path::new(layout::PRIVATE);
    let hidden = private.join(format!(".format-{}", Uuid::now_v7()));
    disk.create(&hidden, &[layout::FORMAT_LINE.as_bytes()], Sync::Now)?;
    if disk.rename_new(&hidden, layout::FORMAT.as_ref())? == Moved::Taken {
        if is_unfinished(disk)? {
            disk.rename_over(&hidden, layout::FORMAT.as_ref())?;
        } else {
            // Another `init` was faster.
            disk.remove_file(&hidden)?;
        }
    }
    disk.sync_folder(private)?;
    check_format(disk)
}

#[allow(clippy::disallowed_methods, reason = "what is above the bus is the user's, and not private")]
fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::DirBuilder::new().mode(0o700).create(path)
}

/// Opens a bus: the format must be known, and every folder of it a real one (a missing one is made).
pub fn open(path: &Path) -> Result<Disk, BusError> {
    let disk = match Disk::open(path) {
        Ok(disk) => disk,
        Err(error) if error.is_not_found() => return Err(BusError::NotABus { path: path.to_owned() }),
        Err(error) => return Err(error.into()),
    };
    check_format(&disk)?;
    check_folders(&disk)?;
    Ok(disk)
}

/// Looks whether an open bus is still what it was: in its place, every folder of it a real one (a missing one is made).
///
/// # Errors
/// [`BusError::Moved`], [`BusError::Damaged`], or the disk refuses.
pub fn check(disk: &Disk) -> Result<(), BusError> {
    if is_moved(disk)? {
        return Err(BusError::Moved { path: disk.path().to_owned() });
    }
    check_folders(disk)
}

/// Was the open folder removed, moved, or replaced by another at its path?
pub fn is_moved(disk: &Disk) -> Result<bool, BusError> {
    Ok(!disk.is_at_its_path()?)
}

fn check_folders(disk: &Disk) -> Result<(), BusError> {
    layout::FOLDERS.iter().try_for_each(|folder| check_folder(disk, folder))
}

/// Is it a bus, of the format that this program knows?
pub(super) fn check_format(disk: &Disk) -> Result<(), BusError> {
    let path = disk.path().to_owned();
    let Some(text) = disk.read(layout::FORMAT.as_ref(), 4096)? else { return Err(BusError::NotABus { path }) };
    if text.is_empty() {
        let what = "is empty: `postroom init` was interrupted, and must be run again".into();
        return Err(BusError::Damaged { path: path.join(layout::FORMAT), what });
    }
    if text != layout::FORMAT_LINE.as_bytes() {
        return Err(BusError::NewerFormat { path, found: String::from_utf8_lossy(&text).trim_end().to_owned() });
    }
    Ok(())
}

/// A link in the place of a folder would lead out of the bus.
fn check_folder(disk: &Disk, folder: &str) -> Result<(), BusError> {
    match disk.stat(folder.as_ref())? {
        Some(stat) if disk::is_folder(&stat) => Ok(()),
        Some(_) => {
            let what = "is not a folder (a link or a file in its place)".into();
            Err(BusError::Damaged { path: disk.path().join(folder), what })
        }
        None => Ok(disk.make_folder(folder.as_ref())?),
    }
}
