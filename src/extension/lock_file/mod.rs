//! `extensions.lock`: what is installed in a folder, as it was found when it was installed.
//!
//! The files of the folder are the truth; this one says what is in them, so that nobody has to read, compile and ask them to know: their
//! hashes, interfaces with all types, what they say about themselves, their subcommands. It may be deleted, and is made again. The one thing
//! that only it knows is what a command has begun and not finished ([`UnderWay`]).
//!
//! Absent on purpose: writing it to the disk; only who holds the folder may do that (`install`).
//!
//! Invariant: an entry speaks about a file only as long as [`Locked::is_of`] says so. A file of a newer format is refused, not rewritten.

mod wire;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::analysis::Analysis;
use super::hash::ComponentHash;
use super::{About, Command, Facts};

/// Its name in the folder of the extensions.
pub const FILE_NAME: &str = "extensions.lock";

/// The format that this program writes and the newest that it reads.
const VERSION: u32 = 1;

/// Larger is none of ours: a thousand extensions with a hundred functions each have 20 MB.
const MOST_BYTES: u64 = 64 << 20;

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockFile {
    /// By name.
    pub extensions: BTreeMap<String, Locked>,
    /// What has been begun. Whoever holds the folder next finishes it or undoes it.
    pub under_way: Vec<UnderWay>,
}

/// An installed extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locked {
    pub sha256: ComponentHash,
    pub stamp: Stamp,
    pub about: About,
    pub subcommand: Option<Command>,
    pub interfaces: Analysis,
    /// The version before this one, which is kept beside it for a roll-back.
    pub previous: Option<ComponentHash>,
}

/// What the system says about a file without reading it. As long as that stays, the file has not been changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub bytes: u64,
    pub inode: u64,
    /// Nanoseconds since 1970, of its content and of the rest.
    pub modified_ns: i128,
    pub changed_ns: i128,
}

/// A change that has been begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnderWay {
    /// This file takes that name. The grants were not in the settings before.
    Install { name: String, sha256: ComponentHash, added_grants: Vec<String> },
    /// This file goes, if it still has this hash.
    Remove { name: String, sha256: ComponentHash },
}

/// Why there is no lock file to be had.
#[derive(Debug)]
pub enum LockError {
    Io {
        path: PathBuf,
        source: io::Error,
    },
    /// Made by a newer program; it must not be rewritten.
    Newer {
        path: PathBuf,
        version: u32,
    },
    /// It says nothing that can be relied on.
    Damaged {
        path: PathBuf,
        reason: String,
    },
}

impl LockFile {
    /// Reads the file of this folder; None if there is none.
    pub fn read(folder: &Path) -> Result<Option<LockFile>, LockError> {
        let path = folder.join(FILE_NAME);
        let failed = |source| LockError::Io { path: path.clone(), source };
        match fs::metadata(&path) {
            Ok(metadata) if !metadata.is_file() => {
                return Err(LockError::Damaged { path, reason: "it is not a regular file".into() });
            }
            Ok(metadata) if metadata.len() > MOST_BYTES => {
                return Err(LockError::Damaged { path, reason: format!("it has more than {MOST_BYTES} bytes") });
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        }
        match fs::read(&path) {
            Ok(bytes) => LockFile::parse(&bytes, &path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    fn parse(bytes: &[u8], path: &Path) -> Result<LockFile, LockError> {
        let damaged = |reason: String| LockError::Damaged { path: path.to_owned(), reason };
        let text = std::str::from_utf8(bytes).map_err(|error| damaged(error.to_string()))?;
        match wire::version(text).map_err(damaged)? {
            VERSION => wire::parse(text).map_err(damaged),
            version if version > VERSION => Err(LockError::Newer { path: path.to_owned(), version }),
            version => Err(damaged(format!("there never was a version {version}"))),
        }
    }

    /// What is known of a file as it is now: the argument of [`ExtensionHost::load_known`](super::ExtensionHost::load_known).
    pub fn facts(&self, path: &Path) -> Option<Facts> {
        let name = path.file_stem()?.to_str()?;
        self.of_file(name, &fs::metadata(path).ok()?).map(Locked::facts)
    }

    /// What is known of the files of a folder. A lock file that cannot be used says nothing, and everything is looked at anew.
    pub fn of_folder(folder: &Path) -> LockFile {
        LockFile::read(folder).ok().flatten().unwrap_or_default()
    }

    /// As it stands in the file: equal locks are equal texts.
    pub fn to_text(&self) -> String {
        wire::text(self)
    }

    /// The entry for a file of the folder, if the file is still the one that it is about.
    pub fn of_file(&self, name: &str, metadata: &Metadata) -> Option<&Locked> {
        self.extensions.get(name).filter(|locked| locked.is_of(metadata))
    }
}

impl Locked {
    /// What the host asks of a file that it need not read.
    pub fn facts(&self) -> Facts {
        Facts {
            sha256: self.sha256.0,
            analysis: self.interfaces.clone(),
            about: self.about.clone(),
            command: self.subcommand.clone(),
        }
    }

    /// Is this the very file that was looked at? As far as can be known without reading it.
    pub fn is_of(&self, metadata: &Metadata) -> bool {
        self.stamp == Stamp::of(metadata)
    }
}

impl Stamp {
    pub fn of(metadata: &Metadata) -> Stamp {
        let ns = |seconds: i64, ns: i64| i128::from(seconds) * 1_000_000_000 + i128::from(ns);
        Stamp {
            bytes: metadata.len(),
            inode: metadata.ino(),
            modified_ns: ns(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: ns(metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::Io { path, source } => write!(f, "cannot read {}: {source}", path.display()),
            LockError::Newer { path, version } => {
                write!(f, "{} has format {version}; this postroom knows {VERSION}", path.display())
            }
            LockError::Damaged { path, reason } => write!(f, "{} is damaged: {reason}", path.display()),
        }
    }
}

impl std::error::Error for LockError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LockError::Io { source, .. } => Some(source),
            LockError::Newer { .. } | LockError::Damaged { .. } => None,
        }
    }
}
