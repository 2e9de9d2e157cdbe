//! Installing a component under a name, also over another one.

use std::collections::BTreeSet;

use super::error::InstallError;
use super::exchange::{Carried, Exchange, Present};
use super::folder;
use super::rehearse::{Rehearsed, interfaces, rehearse};
use super::{Installer, is_built_in, nodes};
use crate::extension::analysis::Analysis;
use crate::extension::graph::resolve;
use crate::extension::lock_file::{Locked, Stamp};
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
        let analysis = interfaces(bytes).map_err(|reason| InstallError::NoComponent { reason })?;
        let sha256 = ComponentHash::of(bytes);
        let present = self.present(name);
        if existing == Existing::Refuse {
            refuse_over(name, &present, &sha256)?;
        }
        self.check_resolution(name, &analysis)?;
        let staged = folder::staged(name, &sha256);
        self.folder.replace(&staged, bytes)?;
        let settled = self.settle(&candidate, sha256, &present, &staged, analysis).await;
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
        present: &Present,
        staged: &str,
        interfaces: Analysis,
    ) -> Result<Installed, InstallError> {
        let name = &candidate.name;
        let (settings, _) = self.settings.granting(name, &candidate.grants)?;
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
            Present::Nothing | Present::Unusable(_) => Change::New,
            Present::Component(previous) if *previous == sha256 => Change::None,
            Present::Component(previous) => Change::Replaced { previous: *previous },
        };
        let previous = match change {
            Change::Replaced { previous } => Some(previous),
            Change::New | Change::None => match self.lock.extensions.get(name) {
                Some(before) => before.previous,
                None => self.folder.kept_last(name, Some(&sha256)),
            },
        };
        warnings.extend(self.warnings(name, subcommand.as_ref()));
        let stamp = Stamp { bytes: 0, inode: 0, modified_ns: 0, changed_ns: 0 };
        let locked = Locked { sha256, stamp, about: about.clone(), subcommand, interfaces, previous };
        let exchange = Exchange { name, sha256, staged, change, present, grants: &candidate.grants };
        let Carried { granted, aside } = self.carry_out(&exchange, locked)?;
        if let (Some(aside), Present::Unusable(reason)) = (aside, present) {
            warnings.push(format!("{name}.wasm was no extension ({reason}), and is now {aside}"));
        }
        if change == Change::New {
            warnings.extend(self.inherited(name, &granted));
        }
        Ok(Installed { name: name.clone(), sha256, about, change, granted, warnings })
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

    /// Grants outlive an extension, and pass to whoever takes the name next.
    fn inherited(&self, name: &str, granted_now: &[String]) -> Option<String> {
        let mut granted = self.granted_to(name)?;
        granted.retain(|grant| !granted_now.contains(grant));
        let granted = (!granted.is_empty()).then(|| granted.join(", "))?;
        Some(format!("[extension.{name}] was in {} already, and grants it {granted}", self.place.settings_name()))
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

/// Something else has the name, and is not to be replaced.
fn refuse_over(name: &str, present: &Present, new: &ComponentHash) -> Result<(), InstallError> {
    match present {
        Present::Component(installed) if installed != new => {
            Err(InstallError::Taken { name: name.to_owned(), installed: *installed })
        }
        Present::Unusable(reason) => Err(InstallError::Occupied { name: name.to_owned(), reason: reason.clone() }),
        Present::Component(_) | Present::Nothing => Ok(()),
    }
}
