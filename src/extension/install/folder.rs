//! The door to the folder of the extensions: every change of it is made here.
//!
//! | name | what it is |
//! | --- | --- |
//! | `NAME.wasm` | an installed extension; the only names that the service looks at |
//! | `NAME.wasm.aside-N` | had that name, and was no extension |
//! | `.NAME.HASH.new` | complete, on its way to that name |
//! | `.NAME.HASH.old` | the version before, for a roll-back |
//! | `.check-ID/` | links that show the set as it would be |
//! | `.writing-ID` | being written |
//! | `.install-lock` | held by who changes the folder |
//!
//! Invariant: a name that ends in `.new`, `.old`, `.wasm` or `.lock` is given by a rename, to a file that is complete and synced.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use fs2::FileExt as _;
use rustix::fs::{self as sys, AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use uuid::Uuid;

use super::InstallError;
use crate::extension::{ComponentHash, package};

const HELD_BY: &str = ".install-lock";
const WRITING: &str = ".writing-";
const CHECK: &str = ".check-";

/// The folder, held by this process alone.
#[derive(Debug)]
pub(super) struct Folder {
    fd: OwnedFd,
    path: PathBuf,
    /// Locked as long as it is open.
    _held: File,
}

/// What a hidden name of ours stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hidden {
    /// Nobody needs it any more.
    Leftover,
    /// Links of a rehearsal.
    Check,
    /// An earlier version: its name as an extension, and the beginning of its hash.
    Old { name: String, short: String },
    /// A folder where we make files, or the other way round.
    Stranger,
}

/// What has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// A regular file or a link to one, with what is in it.
    File(ComponentHash),
    Directory,
    /// It cannot be read, for this reason.
    Unreadable(String),
}

impl Folder {
    /// Makes the folder if need be, and waits until nobody else holds it.
    pub(super) fn hold(path: &Path, waiting: impl FnOnce(&str)) -> Result<Folder, InstallError> {
        make(path).map_err(|error| InstallError::folder("make the folder", path, error))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = sys::openat(CWD, path, flags, Mode::empty())
            .map_err(|error| InstallError::folder("open the folder", path, error))?;
        let failed = |error: io::Error| InstallError::folder("lock", path.join(HELD_BY), error);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let held = sys::openat(&fd, HELD_BY, flags, Mode::RUSR | Mode::WUSR).map_err(|error| failed(error.into()))?;
        let mut held = File::from(held);
        if let Err(error) = held.try_lock_exclusive() {
            if error.kind() != fs2::lock_contended_error().kind() {
                return Err(failed(error));
            }
            waiting(&holder(&mut held));
            held.lock_exclusive().map_err(failed)?;
        }
        // Who waits reads this; that nobody can is no reason to stop.
        let _ = held.set_len(0).and_then(|()| held.rewind()).and_then(|()| writeln!(held, "{}", std::process::id()));
        Ok(Folder { fd, path: path.to_owned(), _held: held })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn error(&self, doing: &'static str, name: &str, error: impl Into<io::Error>) -> InstallError {
        InstallError::folder(doing, self.path.join(name), error)
    }

    /// Writes a file under a name, in place of what is there: whole or not at all, and synced.
    pub(super) fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), InstallError> {
        let writing = format!("{WRITING}{}", Uuid::now_v7());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
        let fd = sys::openat(&self.fd, &writing, flags, mode).map_err(|e| self.error("create", &writing, e))?;
        let mut file = File::from(fd);
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        if let Err(error) = written {
            // If this fails too, the next holder removes it.
            let _ = self.remove(&writing);
            return Err(self.error("write", name, error));
        }
        self.rename(&writing, name)?;
        self.sync()
    }

    /// Gives a file another name, over what has it.
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), InstallError> {
        sys::renameat(&self.fd, from, &self.fd, to).map_err(|error| self.error("rename to", to, error))
    }

    /// Gives a file another name that nobody has; `false` if somebody has.
    pub(super) fn rename_new(&self, from: &str, to: &str) -> Result<bool, InstallError> {
        match sys::renameat_with(&self.fd, from, &self.fd, to, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(error) => Err(self.error("rename to", to, error)),
        }
    }

    /// Removes a file, if it is there.
    pub(super) fn remove(&self, name: &str) -> Result<(), InstallError> {
        match sys::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(self.error("remove", name, error)),
        }
    }

    /// Makes the names in the folder durable.
    pub(super) fn sync(&self) -> Result<(), InstallError> {
        sys::fsync(&self.fd).map_err(|error| self.error("sync the folder", "", error))
    }

    /// The bytes of a file, links followed (an extension may be one, to where it is built). Nothing else is opened: a FIFO would wait for
    /// its writer, a device may have no end.
    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>, InstallError> {
        package::read_regular(&self.path.join(name))
            .map_err(|why| self.error("read", name, io::Error::other(why.reason)))
    }

    /// What has this name now.
    pub(super) fn look(&self, name: &str) -> Found {
        let path = self.path.join(name);
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Nothing,
            Ok(metadata) if metadata.is_dir() => Found::Directory,
            Ok(_) | Err(_) => match package::read_regular(&path) {
                Ok(bytes) => Found::File(ComponentHash::of(&bytes)),
                Err(why) => Found::Unreadable(why.reason),
            },
        }
    }

    /// The hash of a file; None if there is no such file or it cannot be read.
    pub(super) fn hash_of(&self, name: &str) -> Option<ComponentHash> {
        match self.look(name) {
            Found::File(hash) => Some(hash),
            Found::Nothing | Found::Directory | Found::Unreadable(_) => None,
        }
    }

    /// Moves what has a name to the first free one of `NAME.ENDING-1`, `NAME.ENDING-2` and so on; the new name.
    pub(super) fn move_aside(&self, name: &str, ending: &str) -> Result<String, InstallError> {
        self.first_free(name, ending, |aside| self.rename_new(name, aside))
    }

    /// Gives what has a name a second one, `NAME.aside-1` and so on, so that the first can be taken whole or not at all. What can have only one
    /// name, such as a folder, is moved.
    pub(super) fn set_aside(&self, name: &str) -> Result<String, InstallError> {
        self.first_free(name, "aside", |aside| match sys::linkat(&self.fd, name, &self.fd, aside, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(_) => self.rename_new(name, aside),
        })
    }

    /// Undoes that.
    pub(super) fn put_back(&self, aside: &str, name: &str) -> Result<(), InstallError> {
        let which = |name: &str| {
            let metadata = fs::symlink_metadata(self.path.join(name)).ok()?;
            Some((metadata.dev(), metadata.ino()))
        };
        if !self.rename_new(aside, name)? && which(aside) == which(name) {
            return self.remove(aside);
        }
        Ok(())
    }

    fn first_free(
        &self,
        name: &str,
        ending: &str,
        take: impl Fn(&str) -> Result<bool, InstallError>,
    ) -> Result<String, InstallError> {
        let mut number = 1_u64;
        loop {
            let free = format!("{name}.{ending}-{number}");
            if take(&free)? {
                return Ok(free);
            }
            number += 1;
        }
    }

    /// The hash of the version of an extension that was kept last, if there is one but this.
    pub(super) fn kept_last(&self, name: &str, but: Option<&ComponentHash>) -> Option<ComponentHash> {
        let hidden = self.hidden().ok()?.into_iter();
        let own = hidden.filter(|(_, kind)| matches!(kind, Hidden::Old { name: of, .. } if of == name));
        let whole = own.filter_map(|(file, _)| {
            let hash = self.hash_of(&file).filter(|hash| file == kept(name, hash) && but != Some(hash))?;
            let kept_at = fs::symlink_metadata(self.path.join(&file)).and_then(|metadata| metadata.modified()).ok();
            Some((kept_at, hash))
        });
        whole.max().map(|(_, hash)| hash)
    }

    /// Every hidden name of our spelling.
    pub(super) fn hidden(&self) -> Result<Vec<(String, Hidden)>, InstallError> {
        let failed = |error| self.error("list", "", error);
        let mut hidden = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let Some((name, kind)) = name.to_str().and_then(|name| Some((name, meaning(name)?))) else { continue };
            let is_folder = entry.file_type().map_err(failed)?.is_dir();
            let kind = if is_folder == (kind == Hidden::Check) { kind } else { Hidden::Stranger };
            hidden.push((name.to_owned(), kind));
        }
        hidden.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(hidden)
    }

    /// An empty folder in this one.
    pub(super) fn make_check(&self) -> Result<String, InstallError> {
        let name = format!("{CHECK}{}", Uuid::now_v7());
        sys::mkdirat(&self.fd, &name, Mode::RWXU).map_err(|error| self.error("make the folder", &name, error))?;
        Ok(name)
    }

    /// In the folder `check`: a link `name` to the file `target` of this one.
    pub(super) fn link_in_check(&self, check: &str, name: &str, target: &str) -> Result<(), InstallError> {
        let link = format!("{check}/{name}");
        sys::symlinkat(format!("../{target}"), &self.fd, &link)
            .map_err(|error| self.error("make the link", &link, error))
    }

    /// Removes a folder of links. Anything else in it is somebody's, and stays with it.
    pub(super) fn remove_check(&self, check: &str) -> Result<(), InstallError> {
        let failed = |error: io::Error| self.error("remove", check, error);
        for entry in fs::read_dir(self.path.join(check)).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_type().map_err(failed)?.is_symlink() {
                let name = Path::new(check).join(entry.file_name());
                sys::unlinkat(&self.fd, &name, AtFlags::empty()).map_err(|error| failed(error.into()))?;
            }
        }
        sys::unlinkat(&self.fd, check, AtFlags::REMOVEDIR).map_err(|error| failed(error.into()))
    }
}

/// The name of an installed file.
pub(super) fn file(name: &str) -> String {
    format!("{name}.wasm")
}

/// The name of a file on its way.
pub(super) fn staged(name: &str, hash: &ComponentHash) -> String {
    format!(".{name}.{}.new", hash.short())
}

/// The name of an earlier version.
pub(super) fn kept(name: &str, hash: &ComponentHash) -> String {
    format!(".{name}.{}.old", hash.short())
}

fn meaning(file: &str) -> Option<Hidden> {
    if file.starts_with(CHECK) {
        return Some(Hidden::Check);
    }
    if file.starts_with(WRITING) {
        return Some(Hidden::Leftover);
    }
    let rest = file.strip_prefix('.')?;
    let (stem, kind) = rest.rsplit_once('.')?;
    let (name, short) = stem.rsplit_once('.')?;
    let is_ours = short.len() == 16 && short.bytes().all(|byte| byte.is_ascii_hexdigit());
    match kind {
        "new" if is_ours => Some(Hidden::Leftover),
        "old" if is_ours => Some(Hidden::Old { name: name.to_owned(), short: short.to_owned() }),
        _ => None,
    }
}

/// Who holds the folder, in words.
fn holder(held: &mut File) -> String {
    let mut text = String::new();
    let read = held.take(32).read_to_string(&mut text);
    match (read, text.trim().parse::<u32>()) {
        (Ok(_), Ok(id)) => format!("process {id}"),
        (Ok(_) | Err(_), _) => "another process".into(),
    }
}

#[allow(clippy::disallowed_methods, reason = "what is above the folder of extensions is the user's, and not private")]
fn make(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| *parent != OsStr::new("")) {
        fs::create_dir_all(parent)?;
    }
    match fs::DirBuilder::new().mode(0o755).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}
