//! The folder of the compiled code: ours alone, or not used.
//!
//! Invariant: everything is done relative to the open folder whose owner and mode were checked, and no link in it is followed.

use std::fs::File;
use std::io::{IoSlice, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{self as sys, AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;
use uuid::Uuid;

use super::{CacheTrouble, FOLDER_VARIABLE};

/// A file that is used is marked as used at most this often.
const MARKED_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// A file that is being written is renamed within seconds; one that is older was left by a program that died.
const LEFT_BEHIND: Duration = Duration::from_secs(60 * 60);
/// The beginning of names of files that are being written.
const UNFINISHED: &str = ".new-";

#[derive(Debug)]
pub(super) struct Place {
    folder: OwnedFd,
}

impl Place {
    pub(super) fn open(path: &Path) -> Result<Place, CacheTrouble> {
        let trouble = |reason: String, hint: &str| CacheTrouble { folder: path.to_owned(), reason, hint: hint.into() };
        let elsewhere = format!("make it a folder of your own, or name another with {FOLDER_VARIABLE}");
        make(path).map_err(|error| trouble(format!("it cannot be made: {error}"), &elsewhere))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = sys::openat(CWD, path, flags, Mode::empty()).and_then(|folder| Ok((sys::fstat(&folder)?, folder)));
        let (stat, folder) = opened.map_err(|error| trouble(format!("it cannot be opened: {error}"), &elsewhere))?;
        if stat.st_uid != rustix::process::geteuid().as_raw() {
            return Err(trouble("it belongs to another user, who could put code there".into(), &elsewhere));
        }
        if stat.st_mode & 0o077 != 0 {
            let reason = format!("others may enter it (mode {:03o}) and could put code there", stat.st_mode & 0o777);
            return Err(trouble(reason, &format!("look at what is in it, then `chmod 700 {}`", path.display())));
        }
        Ok(Place { folder })
    }

    /// Is there anything of this name?
    pub(super) fn has(&self, name: &str) -> bool {
        sys::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// The bytes of a file that is ours alone; None if there is none.
    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match sys::openat(&self.folder, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(format!("it cannot be opened: {error}")),
        };
        let stat = sys::fstat(&file).map_err(|error| format!("it cannot be looked at: {error}"))?;
        if !is_regular(&stat) {
            return Err("it is not a regular file".into());
        }
        if stat.st_uid != rustix::process::geteuid().as_raw() || stat.st_mode & 0o022 != 0 {
            return Err("it belongs to another user, or others may write to it".into());
        }
        let mut bytes = Vec::with_capacity(usize::try_from(stat.st_size).unwrap_or(0));
        match File::from(file).read_to_end(&mut bytes) {
            Ok(_) => Ok(Some(bytes)),
            Err(error) => Err(format!("it cannot be read: {error}")),
        }
    }

    /// Puts a file there, whole or not at all, over whatever has the name.
    pub(super) fn write(&self, name: &str, header: &[u8], code: &[u8]) -> Result<(), String> {
        let unfinished = format!("{UNFINISHED}{}", Uuid::now_v7());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = sys::openat(&self.folder, &unfinished, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|error| format!("it cannot be written: {error}"))?;
        let written = write_both(File::from(file), header, code)
            .and_then(|()| Ok(sys::renameat(&self.folder, &unfinished, &self.folder, name)?));
        written.map_err(|error| {
            // If this fails too, `shrink` removes it some day.
            let _ = sys::unlinkat(&self.folder, &unfinished, AtFlags::empty());
            format!("it cannot be written: {error}")
        })
    }

    /// Notes that a file is of use, so that it is not the oldest.
    pub(super) fn mark_used(&self, name: &str) {
        // Only an order of removal rests on this, so what fails here does no harm.
        let Ok(stat) = sys::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW) else { return };
        if age(stat.st_mtime) > MARKED_EVERY {
            let now = Timespec { tv_sec: 0, tv_nsec: sys::UTIME_NOW };
            let times = Timestamps { last_access: now, last_modification: now };
            let _ = sys::utimensat(&self.folder, name, &times, AtFlags::SYMLINK_NOFOLLOW);
        }
    }

    /// Removes what was left unfinished, and the files that were used the longest ago until the rest has at most so many bytes.
    pub(super) fn shrink(&self, total_bytes: u64) -> Result<(), String> {
        let mut files = self.files().map_err(|error| format!("its folder cannot be listed: {error}"))?;
        files.retain(|file| {
            let is_left = file.name.starts_with(UNFINISHED);
            if is_left && age(file.used) > LEFT_BEHIND {
                self.remove(&file.name);
            }
            !is_left
        });
        files.sort_by(|a, b| (b.used, b.used_ns, &b.name).cmp(&(a.used, a.used_ns, &a.name)));
        let mut sum = 0_u64;
        for file in files {
            sum = sum.saturating_add(file.bytes);
            if sum > total_bytes {
                self.remove(&file.name);
            }
        }
        Ok(())
    }

    /// Another process may have been faster.
    fn remove(&self, name: &str) {
        let _ = sys::unlinkat(&self.folder, name, AtFlags::empty());
    }

    fn files(&self) -> Result<Vec<Kept>, Errno> {
        let mut files = Vec::new();
        let mut folder = Dir::read_from(&self.folder)?;
        while let Some(entry) = folder.read() {
            let entry = entry?;
            // What has a name that is not ours is not ours to remove.
            let Ok(name) = entry.file_name().to_str() else { continue };
            if !name.ends_with(".code") && !name.starts_with(UNFINISHED) {
                continue;
            }
            match sys::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if is_regular(&stat) => files.push(Kept {
                    name: name.to_owned(),
                    bytes: stat.st_size as u64,
                    used: stat.st_mtime,
                    used_ns: stat.st_mtime_nsec,
                }),
                Ok(_) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(files)
    }
}

struct Kept {
    name: String,
    bytes: u64,
    /// Unix seconds, and nanoseconds of these.
    used: i64,
    used_ns: u64,
}

fn write_both(mut file: File, header: &[u8], code: &[u8]) -> std::io::Result<()> {
    let mut slices = [IoSlice::new(header), IoSlice::new(code)];
    let mut rest: &mut [IoSlice<'_>] = &mut slices;
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn make(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// How long ago this Unix time is; nothing if it is to come.
fn age(seconds: i64) -> Duration {
    let then = UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    SystemTime::now().duration_since(then).unwrap_or_default()
}
