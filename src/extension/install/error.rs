//! Why extensions were left as they were.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::extension::ComponentHash;
use crate::extension::LoadError;
use crate::extension::graph::Problem;
use crate::extension::lock_file::LockError;

/// Nothing was changed, for this reason.
#[derive(Debug)]
pub enum InstallError {
    Folder {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    Lock(LockError),
    Load(LoadError),
    Settings {
        path: PathBuf,
        reason: String,
        hint: Option<String>,
    },
    /// No extension can have this name.
    Name {
        name: String,
        reason: String,
    },
    /// Another component has the name.
    Taken {
        name: String,
        installed: ComponentHash,
    },
    /// Something that is no extension has the name.
    Occupied {
        name: String,
        reason: String,
    },
    NotInstalled {
        name: String,
        nearest: Vec<String>,
    },
    /// The bytes are no component.
    NoComponent {
        reason: String,
    },
    /// What it imports cannot be had.
    Unresolved {
        name: String,
        problems: Vec<Problem>,
    },
    /// It cannot be loaded.
    Unfit {
        name: String,
        reason: String,
    },
    /// It cannot be loaded where it is.
    Unusable {
        name: String,
        reason: String,
    },
    /// Others, which work now, would not work with it.
    WouldBreak {
        name: String,
        others: Vec<(String, String)>,
    },
    /// Others need it.
    Needed {
        name: String,
        by: Vec<String>,
    },
    /// What is to be removed is no file.
    Directory {
        path: PathBuf,
    },
    /// There is no earlier version to go back to.
    NoPrevious {
        name: String,
    },
}

impl InstallError {
    pub(super) fn folder(doing: &'static str, path: impl Into<PathBuf>, source: impl Into<io::Error>) -> InstallError {
        InstallError::Folder { doing, path: path.into(), source: source.into() }
    }

    /// What can be done, where something can.
    pub fn hint(&self) -> Option<String> {
        match self {
            InstallError::Lock(LockError::Newer { .. }) => {
                Some("a newer postroom wrote it: use that, or delete the file to have it made again".into())
            }
            InstallError::Settings { hint, .. } => hint.clone(),
            InstallError::Name { .. } => Some("give it another name with --name".into()),
            InstallError::Taken { name, .. } => Some(format!(
                "replace it with `postroom ext upgrade {name}`, or --force; or install under another --name"
            )),
            InstallError::Occupied { .. } => Some("--force moves it aside; or install under another --name".into()),
            InstallError::NotInstalled { nearest, .. } => nearest.first().map(|near| format!("did you mean {near}?")),
            InstallError::Unresolved { problems, .. } => match problems.first()? {
                Problem::Missing { interface, .. } => {
                    Some(format!("install an extension that offers {interface} first; see `postroom ext libs`"))
                }
                Problem::ChosenLacks { .. }
                | Problem::TooOld { .. }
                | Problem::OtherVersion { .. }
                | Problem::Ambiguous { .. }
                | Problem::MissingFunction { .. }
                | Problem::TypeMismatch { .. }
                | Problem::Cycle { .. }
                | Problem::ProviderSetAside { .. } => Some("see what is offered with `postroom ext libs`".into()),
            },
            InstallError::Directory { .. } => {
                Some("nothing in it was touched: look into it, then move it away or delete it yourself".into())
            }
            InstallError::Needed { .. } => Some("remove these too with --cascade".into()),
            InstallError::WouldBreak { .. } => Some("install versions of these first that work with it".into()),
            InstallError::Unfit { reason, .. } if reason.contains("not granted to it") => {
                Some("grant it with --grant, if you trust the extension with that".into())
            }
            InstallError::Folder { .. }
            | InstallError::Lock(LockError::Io { .. } | LockError::Damaged { .. })
            | InstallError::Load(_)
            | InstallError::NoComponent { .. }
            | InstallError::Unfit { .. }
            | InstallError::Unusable { .. }
            | InstallError::NoPrevious { .. } => None,
        }
    }
}

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InstallError::Folder { doing, path, source } => write!(f, "cannot {doing} {}: {source}", path.display()),
            InstallError::Lock(error) => error.fmt(f),
            InstallError::Load(error) => error.fmt(f),
            InstallError::Settings { path, reason, .. } => {
                write!(f, "cannot use the settings {}: {reason}", path.display())
            }
            InstallError::Name { name, reason } => write!(f, "{name:?} cannot be installed: {reason}"),
            InstallError::Taken { name, installed } => {
                write!(f, "{name} is installed already, with another content (SHA-256 {}…)", installed.short())
            }
            InstallError::Occupied { name, reason } => {
                write!(f, "the file {name}.wasm is there already, and is no extension: {reason}")
            }
            InstallError::NotInstalled { name, .. } => write!(f, "there is no extension {name}"),
            InstallError::NoComponent { reason } => write!(f, "it cannot be installed: {reason}"),
            InstallError::Unresolved { name, problems } => {
                write!(f, "{name} cannot be installed")?;
                problems
                    .iter()
                    .enumerate()
                    .try_for_each(|(nth, problem)| write!(f, "{}{problem}", if nth == 0 { ": " } else { "; " }))
            }
            InstallError::Unusable { name, reason } => write!(f, "{name} cannot be used: {reason}"),
            InstallError::Unfit { name, reason } => write!(f, "{name} cannot be installed: {reason}"),
            InstallError::WouldBreak { name, others } => {
                write!(f, "{name} cannot be installed, because others would not work any more: ")?;
                let others: Vec<String> = others.iter().map(|(other, why)| format!("{other} ({why})")).collect();
                f.write_str(&others.join("; "))
            }
            InstallError::Needed { name, by } => {
                let verb = if by.len() == 1 { "needs" } else { "need" };
                write!(f, "{name} stays: {} {verb} it", by.join(" and "))
            }
            InstallError::Directory { path } => write!(f, "{} is a folder, not an extension", path.display()),
            InstallError::NoPrevious { name } => write!(f, "there is no earlier version of {name} to go back to"),
        }
    }
}

impl std::error::Error for InstallError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            InstallError::Folder { source, .. } => Some(source),
            InstallError::Lock(error) => Some(error),
            InstallError::Load(error) => Some(error),
            InstallError::Settings { .. }
            | InstallError::Name { .. }
            | InstallError::Taken { .. }
            | InstallError::Occupied { .. }
            | InstallError::NotInstalled { .. }
            | InstallError::NoComponent { .. }
            | InstallError::Unresolved { .. }
            | InstallError::Unfit { .. }
            | InstallError::Unusable { .. }
            | InstallError::WouldBreak { .. }
            | InstallError::Needed { .. }
            | InstallError::Directory { .. }
            | InstallError::NoPrevious { .. } => None,
        }
    }
}

impl From<LockError> for InstallError {
    fn from(error: LockError) -> InstallError {
        InstallError::Lock(error)
    }
}

impl From<LoadError> for InstallError {
    fn from(error: LoadError) -> InstallError {
        InstallError::Load(error)
    }
}
