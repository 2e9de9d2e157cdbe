//! Installing a component under a name, also over another one.

use std::collections::BTreeSet;
use std::path::Path;

use super::error::InstallError;
use super::folder::{self, Folder};
use super::rehearse::{Rehearsed, interfaces, rehearse};
use super::{Installer, SettingsFile, is_built_in, nodes};
use crate::extension::analysis::Analysis;
use crate::extension::graph::resolve;
use crate::extension::lock_file::{Locked, Stamp, UnderWay};
use crate::extension::{About, Command, ComponentHash, package};
use crate::policy::grants::Grant;

/// A component that is to be installed.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub name: String,
    pub bytes: Vec<u8>,
    /// What it is granted by `postroom.toml` from now on, in addition.
    pub grants: Vec<Grant>,
}

/// What becomes of an extension that has the name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and the new one is refused, unless they are the same.
    Refuse,
    /// It is replaced, and kept for a roll-back.
    Replace,
}

/// What has been installed.
#[derive(Clone, Debug)]
pub struct Installed {
    pub name: String,
    pub sha256: ComponentHash,
    pub about: About,
    pub change: Change,
    /// What was not granted before and is now.
    pub granted: Vec<String>,
    /// Worth knowing; nothing is broken.
    pub warnings: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    New,
    Replaced {
        previous: ComponentHash,
    },
    /// This very component was there.
    None,
}

impl Installer {
    /// Checks a component together with everything that is installed, and puts it in its place.
    ///
    /// # Errors
    /// Whatever is wrong with it, found before anything was changed; then everything is as it was.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its timer enabled.
    pub async fn add(&mut self, candidate: Candidate, existing: Existing) -> Result<Installed, InstallError> {
        let Candidate { name, bytes, .. } = &candidate;
        self.check_name(name)?;
        package::check_bytes(bytes).map_err(|reason| InstallError::NoComponent { reason })?;
        let sha256 = ComponentHash::of(bytes);
        let present = self.folder.hash_of(&folder::file(name));
        match present {
            Some(installed) if installed != sha256 && existing == Existing::Refuse => {
                return Err(InstallError::Taken { name: name.clone(), installed });
            }
            Some(_) | None => {}
        }
        let analysis = interfaces(bytes).map_err(|reason| InstallError::NoComponent { reason })?;
        self.check_resolution(name, &analysis)?;
        let staged = folder::staged(name, &sha256);
        self.folder.replace(&staged, bytes)?;
        let settled = self.settle(&candidate, sha256, present, &staged, analysis).await;
        if settled.is_err() {
            // If this fails, too, the next holder removes it.
            let _ = self.folder.remove(&staged);
        }
        settled
    }

    /// Everything from the staged file on.
    async fn settle(
        &mut self,
        candidate: &Candidate,
        sha256: ComponentHash,
        present: Option<ComponentHash>,
        staged: &str,
        interfaces: Analysis,
    ) -> Result<Installed, InstallError> {
        let name = &candidate.name;
        let (settings, granted) = self.settings.granting(name, &candidate.grants)?;
        let configuration = self.place.configuration(settings.settings());
        let Rehearsed { about, subcommand, broken, mut warnings } =
            rehearse(&self.folder, name, staged, &configuration).await?;
        let worked = |other: &String| !self.broken.iter().any(|broken| broken.name == *other);
        let others: Vec<(String, String)> = broken
            .into_iter()
            .filter(|broken| self.lock.extensions.contains_key(&broken.name) && worked(&broken.name))
            .map(|broken| (broken.name, broken.reason))
            .collect();
        if !others.is_empty() {
            return Err(InstallError::WouldBreak { name: name.clone(), others });
        }
        let change = match present {
            None => Change::New,
            Some(previous) if previous == sha256 => Change::None,
            Some(previous) => Change::Replaced { previous },
        };
        let before = self.lock.extensions.get(name);
        let previous = match change {
            Change::Replaced { previous } => Some(previous),
            Change::New => None,
            Change::None => before.and_then(|locked| locked.previous),
        };
        warnings.extend(self.warnings(name, subcommand.as_ref()));
        let stamp = Stamp { bytes: 0, inode: 0, modified_ns: 0, changed_ns: 0 };
        let locked = Locked { sha256, stamp, about: about.clone(), subcommand, interfaces, previous };
        self.carry_out(name, locked, change, staged, settings, &granted)?;
        Ok(Installed { name: name.clone(), sha256, about, change, granted, warnings })
    }

    /// The change itself. The rename of the staged file is the fact; before it everything can be undone, after it finished.
    fn carry_out(
        &mut self,
        name: &str,
        mut locked: Locked,
        change: Change,
        staged: &str,
        settings: SettingsFile,
        granted: &[String],
    ) -> Result<(), InstallError> {
        let (sha256, added_grants) = (locked.sha256, granted.to_vec());
        self.lock.under_way.push(UnderWay::Install { name: name.to_owned(), sha256, added_grants });
        let own = folder::file(name);
        let done = self.write_lock().and_then(|()| {
            if let Change::Replaced { previous } = change {
                keep(&self.folder, name, &previous)?;
            }
            settings.write(&self.settings, &self.folder)?;
            self.folder.rename(staged, &own)?;
            self.folder.sync()
        });
        if let Err(error) = done {
            self.undo(name, &sha256, change, &settings);
            return Err(error);
        }
        let before = self.lock.clone();
        self.lock.under_way.pop();
        let path = self.folder.path().join(&own);
        locked.stamp = match std::fs::metadata(&path) {
            Ok(metadata) => Stamp::of(&metadata),
            Err(error) => return Err(InstallError::folder("look at", path, error)),
        };
        let superseded = self.lock.extensions.insert(name.to_owned(), locked).and_then(|locked| locked.previous);
        if let Err(error) = self.write_lock() {
            self.lock = before;
            self.undo(name, &sha256, change, &settings);
            return Err(error);
        }
        self.settings = settings;
        self.broken.retain(|broken| broken.name != name);
        // An older roll-back is of no use any more; if it stays, the next holder removes it.
        let kept = self.lock.extensions.get(name).and_then(|locked| locked.previous);
        if let Some(superseded) = superseded.filter(|hash| kept != Some(*hash)) {
            let _ = self.folder.remove(&folder::kept(name, &superseded));
        }
        Ok(())
    }

    /// Puts back what was there. What fails here is finished or undone by the next holder, who finds it in the lock file.
    fn undo(&mut self, name: &str, sha256: &ComponentHash, change: Change, granted: &SettingsFile) {
        let own = folder::file(name);
        if self.folder.hash_of(&own) == Some(*sha256) {
            let _ = match change {
                Change::New => self.folder.remove(&own),
                Change::Replaced { previous } => self.folder.rename(&folder::kept(name, &previous), &own),
                Change::None => Ok(()),
            };
        }
        let _ = self.settings.write(granted, &self.folder);
        let _ = self.folder.sync();
        self.lock.under_way.retain(|change| !matches!(change, UnderWay::Install { name: of, .. } if of == name));
        let _ = self.write_lock();
    }

    fn check_name(&self, name: &str) -> Result<(), InstallError> {
        let wrong = |reason: String| InstallError::Name { name: name.to_owned(), reason };
        package::check_name(name).map_err(wrong)?;
        if self.place.reserved.iter().any(|reserved| reserved == name) {
            return Err(wrong(format!("`postroom {name}` is a command of the program")));
        }
        Ok(())
    }

    /// Does it find everything that it imports, and do all others still?
    fn check_resolution(&self, name: &str, analysis: &Analysis) -> Result<(), InstallError> {
        let configuration = self.place.configuration(self.settings.settings());
        let resolved = |nodes: &[_]| resolve(nodes, configuration.choices()).set_aside;
        let installed = nodes(&self.lock.extensions);
        let mut with_it: Vec<_> = installed.iter().filter(|node| node.name != name).cloned().collect();
        with_it.push(analysis.node(name, is_built_in));
        let (before, mut after) = (resolved(&installed), resolved(&with_it));
        if let Some(problems) = after.remove(name) {
            return Err(InstallError::Unresolved { name: name.to_owned(), problems });
        }
        let others: Vec<(String, String)> = after
            .into_iter()
            .filter(|(other, _)| !before.contains_key(other))
            .map(|(other, problems)| (other, problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))
            .collect();
        match others.is_empty() {
            true => Ok(()),
            false => Err(InstallError::WouldBreak { name: name.to_owned(), others }),
        }
    }

    fn warnings(&self, name: &str, subcommand: Option<&Command>) -> Vec<String> {
        let Some(command) = subcommand.map(|subcommand| subcommand.name.as_str()) else { return Vec::new() };
        let mut warnings = Vec::new();
        if self.place.reserved.iter().any(|reserved| reserved == command) {
            warnings.push(format!("its subcommand {command} cannot be run: that is a command of the program"));
        }
        let others: BTreeSet<&str> = self
            .lock
            .extensions
            .iter()
            .filter(|(other, locked)| {
                *other != name && locked.subcommand.as_ref().is_some_and(|other| other.name == command)
            })
            .map(|(other, _)| other.as_str())
            .collect();
        if let Some(other) = others.first() {
            let first = (*other).min(name);
            warnings
                .push(format!("{other} has a subcommand {command}, too; `postroom {command}` runs that of {first}"));
        }
        warnings
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
