//! Installing, replacing and removing extensions, so that a folder has the old set or the new one, whatever dies meanwhile.
//!
//! One rename puts a file in its place, and everything that can be known about it is known before: it is read, its interfaces are resolved
//! together with those of all others, and it is compiled, linked, instantiated and asked what it is, in a folder of links that shows
//! the set as it would be. What has been begun stands in `extensions.lock`; whoever holds the folder next finishes it or undoes it.
//!
//! | file | what it is |
//! | --- | --- |
//! | `folder` | the door to the folder: one holder, staging, renames |
//! | `survey` | what is installed: the lock file compared with the files |
//! | `rehearse` | the set as it would be, loaded |
//! | `add`, `remove`, `restore` | the changes |
//! | `exchange` | a checked file takes its name, or everything is put back |
//! | `recover` | finishing or undoing what was interrupted |
//! | `trial` | an extension loaded to be tried, installed or not |
//! | `grants` | `grants` in `postroom.toml`, comments kept |
//!
//! Absent on purpose: the service. It sees files come and go like those that anybody puts there.
//!
//! Invariant: at every moment each name in the folder has a complete file that passed all checks, or none; and the old file of a name is
//! there, under one name or another, until the new one is in the lock file.

mod add;
mod error;
mod exchange;
mod folder;
mod grants;
mod recover;
mod rehearse;
mod remove;
mod restore;
mod survey;
mod trial;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use add::{Candidate, Change, Existing, Installed};
pub use error::InstallError;
pub use remove::Dependents;
pub use survey::{LockState, Survey};
pub use trial::Trial;

use super::graph::{Interface, Node};
use super::lock_file::{LockFile, Locked};
use super::{Broken, Command, Configuration, ExtensionHost, LoadError};
use crate::policy::Settings;
use folder::Folder;
use grants::SettingsFile;

/// Where extensions are installed, and what is known there.
#[derive(Clone, Debug)]
pub struct Place {
    /// The folder of the extensions.
    pub folder: PathBuf,
    /// `postroom.toml`, which need not exist.
    pub settings: PathBuf,
    /// Names that no extension can have: the commands of the program.
    pub reserved: Vec<String>,
}

/// Holds the folder of the extensions: nobody else changes it meanwhile.
#[derive(Debug)]
pub struct Installer {
    place: Place,
    folder: Folder,
    settings: SettingsFile,
    lock: LockFile,
    broken: Vec<Broken>,
}

impl Place {
    fn base_folder(&self) -> &Path {
        self.settings.parent().unwrap_or(Path::new(""))
    }

    fn settings_name(&self) -> std::borrow::Cow<'_, str> {
        self.settings.file_name().unwrap_or_default().to_string_lossy()
    }

    fn configuration(&self, settings: &Settings) -> Configuration {
        Configuration::from_settings(settings, self.base_folder())
    }

    /// What is installed here, without changing anything.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its timer enabled.
    pub async fn survey(&self) -> Result<Survey, InstallError> {
        let settings = SettingsFile::read(&self.settings)?;
        survey::survey(&self.folder, &self.configuration(settings.settings())).await
    }

    /// The subcommands of what is installed, by name of the extension.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its timer enabled.
    pub async fn subcommands(&self) -> Result<BTreeMap<String, Command>, InstallError> {
        let settings = SettingsFile::read(&self.settings)?;
        survey::subcommands(&self.folder, &self.configuration(settings.settings())).await
    }

    /// The extensions, ready to be called: as a service has them, what the lock file knows not looked at again.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its timer enabled.
    pub async fn host(&self) -> Result<(ExtensionHost, Vec<Broken>), InstallError> {
        let settings = SettingsFile::read(&self.settings)?;
        Ok(load_installed(&self.folder, &self.configuration(settings.settings())).await?)
    }

    /// Loads everything as a service would, and says what does not load, and what was found out about compiled code.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its timer enabled.
    pub async fn load_all(&self) -> Result<(Vec<Broken>, Vec<String>), InstallError> {
        let settings = SettingsFile::read(&self.settings)?;
        let (host, broken) = rehearse::load(&self.folder, &self.configuration(settings.settings())).await?;
        Ok((broken, host.cache_notes()))
    }
}

impl Installer {
    /// Makes the folder if it is not there, waits until nobody else holds it (`waiting` is told who does), and brings to an end what was
    /// interrupted; what that was is returned in sentences.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its timer enabled.
    pub async fn open(place: Place, waiting: impl FnOnce(&str)) -> Result<(Installer, Vec<String>), InstallError> {
        let mut installer = Installer::hold(place, waiting)?;
        let told = installer.recover().await?;
        Ok((installer, told))
    }

    /// The same to remove something, and nothing else: no code of an extension runs. What an extension is that the lock file does not know, is
    /// not found out.
    pub fn open_to_remove(place: Place, waiting: impl FnOnce(&str)) -> Result<(Installer, Vec<String>), InstallError> {
        let mut installer = Installer::hold(place, waiting)?;
        let told = installer.recover_unlooked()?;
        Ok((installer, told))
    }

    fn hold(place: Place, waiting: impl FnOnce(&str)) -> Result<Installer, InstallError> {
        let folder = Folder::hold(&place.folder, waiting)?;
        let settings = SettingsFile::read(&place.settings)?;
        Ok(Installer { place, folder, settings, lock: LockFile::default(), broken: Vec::new() })
    }

    /// What is installed.
    pub fn lock(&self) -> &LockFile {
        &self.lock
    }

    /// Files that cannot be used.
    pub fn broken(&self) -> &[Broken] {
        &self.broken
    }

    /// What the settings grant to this name, whoever has it; None if they say nothing of it.
    pub fn granted_to(&self, name: &str) -> Option<Vec<String>> {
        self.settings.granted_to(name)
    }

    /// Is there something of this name that could be replaced?
    pub fn check_installed(&self, name: &str) -> Result<(), InstallError> {
        if self.broken.iter().any(|broken| broken.name == name) {
            return Ok(());
        }
        self.installed(name).map(drop)
    }

    fn installed(&self, name: &str) -> Result<&Locked, InstallError> {
        self.lock.extensions.get(name).ok_or_else(|| self.not_installed(name))
    }

    fn not_installed(&self, name: &str) -> InstallError {
        InstallError::NotInstalled { name: name.to_owned(), nearest: nearest(name, self.lock.extensions.keys()) }
    }

    fn write_lock(&self) -> Result<(), InstallError> {
        self.folder.replace(super::lock_file::FILE_NAME, self.lock.to_text().as_bytes())
    }
}

/// Loads a folder as its lock file knows it: what that says of a file that has not changed since is believed, and the file is read, compared with
/// its hash and compiled (or taken from the cache) when it is first used.
///
/// # Panics
/// Outside of a tokio runtime with its timer enabled.
pub async fn load_installed(
    folder: &Path,
    configuration: &Configuration,
) -> Result<(ExtensionHost, Vec<Broken>), LoadError> {
    let lock = LockFile::of_folder(folder);
    ExtensionHost::load_known(folder, configuration, &|path| lock.facts(path)).await
}

/// The installed extensions as nodes of the graph.
pub fn nodes<'a>(extensions: impl IntoIterator<Item = (&'a String, &'a Locked)>) -> Vec<Node> {
    extensions.into_iter().map(|(name, locked)| locked.interfaces.node(name, is_built_in)).collect()
}

/// Is this interface the host's? Then no extension is asked for it.
pub fn is_built_in(interface: &Interface) -> bool {
    super::host::is_built_in(&interface.name)
}

/// The installed names that are most like this one.
fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a String>) -> Vec<String> {
    crate::policy::nearest(name, names.map(String::as_str)).into_iter().map(str::to_owned).collect()
}
