//! What is installed: the lock file compared with the files. What the lock file knows is believed as long as the file is the same; the rest
//! is read, compiled and asked.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::InstallError;
use super::{nearest, nodes, rehearse};
use crate::extension::graph::{Resolution, resolve};
use crate::extension::lock_file::{FILE_NAME, LockError, LockFile, Locked};
use crate::extension::{Broken, Command, Configuration, package};

/// A look at the folder.
#[derive(Debug)]
pub struct Survey {
    /// What works by itself, by name.
    pub extensions: BTreeMap<String, Locked>,
    /// Who serves whom. What is set aside in it, is in `broken`, too.
    pub resolution: Resolution,
    /// What cannot be used, and why.
    pub broken: Vec<Broken>,
    pub lock: LockState,
    /// As the lock file has it.
    pub(super) written: LockFile,
}

/// How the lock file stands to the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockState {
    /// It says what is there.
    Current,
    /// Nothing is there, and nothing is said.
    Absent,
    /// These names have changed since: other files, none, or new ones; or an interrupted change waits to be finished.
    Behind { names: Vec<String> },
    /// It cannot be relied on, for this reason.
    Damaged { reason: String },
}

/// # Panics
/// Outside of a tokio runtime with its timer enabled.
pub(super) async fn survey(folder: &Path, configuration: &Configuration) -> Result<Survey, InstallError> {
    let (written, damaged) = written(folder)?;
    let was_there = written.is_some();
    let written = written.unwrap_or_default();
    let files = package::files(folder).map_err(|error| InstallError::folder("list", folder, error))?;
    let Compared { mut extensions, unknown, mut names } = compare(&written, &files);
    let mut broken = Vec::new();
    if !unknown.is_empty() {
        let (found, failed) = rehearse::look_at(folder, &unknown, configuration).await?;
        extensions.extend(found);
        // What was broken before and still is, is no news.
        broken = failed;
        names.retain(|name| extensions.contains_key(name) || written.extensions.contains_key(name));
    }
    let resolution = resolve(&nodes(&extensions), configuration.choices());
    for (name, problems) in &resolution.set_aside {
        if !broken.iter().any(|known| known.name == *name) {
            let reason = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            broken.push(Broken { name: name.clone(), path: folder.join(format!("{name}.wasm")), reason });
        }
    }
    broken.sort_by(|a, b| a.name.cmp(&b.name));
    let lock = match damaged {
        Some(reason) => LockState::Damaged { reason },
        None if !was_there && extensions.is_empty() => LockState::Absent,
        None if names.is_empty() && written.under_way.is_empty() => LockState::Current,
        None => LockState::Behind { names },
    };
    Ok(Survey { extensions, resolution, broken, lock, written })
}

/// The interface of a subcommand, without its version.
const CLI: &str = "postroom:extension/cli";

/// The subcommands of what is installed, by name of the extension. A file that the lock file does not know is loaded and asked only if it
/// exports one.
///
/// # Panics
/// Outside of a tokio runtime with its timer enabled.
pub(super) async fn subcommands(
    folder: &Path,
    configuration: &Configuration,
) -> Result<BTreeMap<String, Command>, InstallError> {
    let files = package::files(folder).map_err(|error| InstallError::folder("list", folder, error))?;
    let Compared { mut extensions, mut unknown, .. } = compare(&LockFile::of_folder(folder), &files);
    unknown.retain(|file| {
        let interfaces = package::read(file).map_err(String::from).and_then(|bytes| rehearse::interfaces(&bytes));
        interfaces.is_ok_and(|interfaces| interfaces.exports.iter().any(|export| export.name == CLI))
    });
    if !unknown.is_empty() {
        extensions.extend(rehearse::look_at(folder, &unknown, configuration).await?.0);
    }
    Ok(extensions.into_iter().filter_map(|(name, locked)| Some((name, locked.subcommand?))).collect())
}

/// The lock file, or why it cannot be relied on.
pub(super) fn written(folder: &Path) -> Result<(Option<LockFile>, Option<String>), InstallError> {
    match LockFile::read(folder) {
        Ok(lock) => Ok((lock, None)),
        Err(LockError::Damaged { reason, .. }) => Ok((None, Some(reason))),
        Err(error @ (LockError::Newer { .. } | LockError::Io { .. })) => Err(error.into()),
    }
}

struct Compared {
    extensions: BTreeMap<String, Locked>,
    /// Files of which nothing is known.
    unknown: Vec<PathBuf>,
    /// Names of these, and of those that are gone.
    names: Vec<String>,
}

fn compare(written: &LockFile, files: &[PathBuf]) -> Compared {
    let mut compared = Compared { extensions: BTreeMap::new(), unknown: Vec::new(), names: Vec::new() };
    for path in files {
        let name = package::shown_name(path);
        match fs::metadata(path).ok().and_then(|metadata| written.of_file(&name, &metadata)) {
            Some(locked) => {
                compared.extensions.insert(name, locked.clone());
            }
            None => {
                compared.names.push(name);
                compared.unknown.push(path.clone());
            }
        }
    }
    let is_gone = |name: &&String| !files.iter().any(|path| package::shown_name(path) == **name);
    compared.names.extend(written.extensions.keys().filter(is_gone).cloned());
    compared.names.sort();
    compared
}

impl Survey {
    /// Is this extension usable?
    pub fn works(&self, name: &str) -> bool {
        self.extensions.contains_key(name) && !self.broken.iter().any(|broken| broken.name == name)
    }

    /// The entry of the name, or which names are alike.
    pub fn extension(&self, name: &str) -> Result<&Locked, InstallError> {
        self.extensions.get(name).ok_or_else(|| InstallError::NotInstalled {
            name: name.to_owned(),
            nearest: nearest(name, self.extensions.keys()),
        })
    }

    /// Where the lock file is.
    pub fn lock_path(folder: &Path) -> PathBuf {
        folder.join(FILE_NAME)
    }
}
