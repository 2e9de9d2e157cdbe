//! The change itself: a checked file takes its name, and what had the name is kept, moved aside, or put back.

use std::path::Path;

use super::Installer;
use super::add::Change;
use super::error::InstallError;
use super::folder::{self, Folder, Found};
use super::rehearse::interfaces;
use crate::extension::lock_file::{Locked, Stamp, UnderWay};
use crate::extension::{ComponentHash, package};
use crate::policy::grants::Grant;

/// What has the name so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Present {
    Nothing,
    /// A component, which can come back.
    Component(ComponentHash),
    /// Nothing to go back to, and why. It is moved aside.
    Unusable(String),
}

/// A file that was checked, on its way to its name.
pub(super) struct Exchange<'a> {
    pub(super) name: &'a str,
    pub(super) sha256: ComponentHash,
    /// Where it is now.
    pub(super) staged: &'a str,
    pub(super) change: Change,
    pub(super) present: &'a Present,
    pub(super) grants: &'a [Grant],
}

/// What a change has brought with it.
#[derive(Default)]
pub(super) struct Carried {
    /// What was not granted before.
    pub(super) granted: Vec<String>,
    /// The new name of what was moved aside.
    pub(super) aside: Option<String>,
}

impl Installer {
    /// What has the name now. Who is in the lock file has been looked at.
    pub(super) fn present(&self, name: &str) -> Present {
        let own = folder::file(name);
        match self.folder.look(&own) {
            Found::Nothing => Present::Nothing,
            Found::Directory => Present::Unusable("it is a directory".into()),
            Found::Unreadable(reason) => Present::Unusable(reason),
            Found::File(sha256) if self.lock.extensions.contains_key(name) => Present::Component(sha256),
            Found::File(sha256) => {
                let read = package::read(&self.folder.path().join(&own)).map_err(String::from);
                let read = read.and_then(|bytes| interfaces(&bytes));
                read.map_or_else(Present::Unusable, |_| Present::Component(sha256))
            }
        }
    }

    /// The rename of the staged file is the fact; before it everything can be undone, after it finished.
    pub(super) fn carry_out(&mut self, exchange: &Exchange<'_>, locked: Locked) -> Result<Carried, InstallError> {
        let Exchange { name, sha256, grants, .. } = *exchange;
        // They may have been edited since they were read.
        self.settings = self.settings.read_again()?;
        let (_, added_grants) = self.settings.granting(name, grants)?;
        let under_way = UnderWay::Install { name: name.to_owned(), sha256, added_grants: added_grants.clone() };
        self.lock.under_way.push(under_way);
        let mut carried = Carried::default();
        let done = self.write_lock().and_then(|()| self.put(exchange, &mut carried));
        let done = done.and_then(|()| self.record(name, locked));
        if let Err(error) = done {
            self.undo(exchange, &added_grants, carried.aside);
            return Err(error);
        }
        self.broken.retain(|broken| broken.name != name);
        Ok(carried)
    }

    fn put(&mut self, exchange: &Exchange<'_>, carried: &mut Carried) -> Result<(), InstallError> {
        let Exchange { name, staged, grants, .. } = *exchange;
        let own = folder::file(name);
        if let Change::Replaced { previous } = exchange.change {
            keep(&self.folder, name, &previous)?;
        }
        (self.settings, carried.granted) = self.settings.grant(name, grants, &self.folder)?;
        if let Present::Unusable(_) = exchange.present {
            carried.aside = Some(self.folder.set_aside(&own)?);
        }
        self.folder.rename(staged, &own)?;
        self.folder.sync()
    }

    /// In the lock file it is installed, and nothing is under way.
    fn record(&mut self, name: &str, mut locked: Locked) -> Result<(), InstallError> {
        let path = self.folder.path().join(folder::file(name));
        locked.stamp = match std::fs::metadata(&path) {
            Ok(metadata) => Stamp::of(&metadata),
            Err(error) => return Err(InstallError::folder("look at", path, error)),
        };
        let (before, kept) = (self.lock.clone(), locked.previous);
        self.lock.under_way.pop();
        let superseded = self.lock.extensions.insert(name.to_owned(), locked).and_then(|locked| locked.previous);
        if let Err(error) = self.write_lock() {
            self.lock = before;
            return Err(error);
        }
        // An older roll-back is of no use any more; if it stays, the next holder removes it.
        if let Some(superseded) = superseded.filter(|hash| kept != Some(*hash)) {
            let _ = self.folder.remove(&folder::kept(name, &superseded));
        }
        Ok(())
    }

    /// Puts back what was there. What fails here is finished or undone by the next holder, who finds it in the lock file.
    fn undo(&mut self, exchange: &Exchange<'_>, added_grants: &[String], aside: Option<String>) {
        let Exchange { name, sha256, change, .. } = exchange;
        let own = folder::file(name);
        if self.folder.hash_of(&own) == Some(*sha256) {
            let _ = match change {
                Change::New => self.folder.remove(&own),
                Change::Replaced { previous } => self.folder.rename(&folder::kept(name, previous), &own),
                Change::None => Ok(()),
            };
        }
        if let Some(aside) = aside {
            let _ = self.folder.put_back(&aside, &own);
        }
        let _ = self.folder.sync();
        if let Ok(settings) = self.settings.take_back(name, added_grants, &self.folder) {
            self.settings = settings;
            self.lock.under_way.retain(|change| !matches!(change, UnderWay::Install { name: of, .. } if of == name));
        }
        let _ = self.write_lock();
    }
}

/// Keeps a copy of an installed file, so that the name always has a file.
fn keep(folder: &Folder, name: &str, hash: &ComponentHash) -> Result<(), InstallError> {
    let bytes = folder.read(&folder::file(name))?;
    if ComponentHash::of(&bytes) != *hash {
        let changed = std::io::Error::other("somebody else has changed it meanwhile");
        return Err(InstallError::folder("replace", Path::new(folder.path()).join(folder::file(name)), changed));
    }
    folder.replace(&folder::kept(name, hash), &bytes)
}
