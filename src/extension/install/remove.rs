//! Removing extensions. What the lock file says is under way is the fact: from then on they go, whatever dies meanwhile.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::InstallError;
use super::folder::{self, Found, Hidden};
use super::rehearse::interfaces;
use super::{Installer, is_built_in, nearest};
use crate::extension::graph::{Choices, Node, resolve};
use crate::extension::lock_file::UnderWay;
use crate::extension::package;

/// What becomes of those that need what is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dependents {
    /// They stay, and so does it.
    Refuse,
    /// They go, too, and what needs them.
    RemoveToo,
}

impl Installer {
    /// Removes an extension, also a broken one; returns the names of all that went, dependents first.
    ///
    /// # Errors
    /// It is not there, or others need it; then nothing is changed.
    pub fn remove(&mut self, name: &str, dependents: Dependents) -> Result<Vec<String>, InstallError> {
        let files = self.files()?;
        // A name that is not listed may lead anywhere.
        if !files.iter().any(|file| file.file_name() == Some(OsStr::new(&folder::file(name)))) {
            let names: Vec<String> = files.iter().map(|file| package::shown_name(file)).collect();
            let nearest = nearest(name, names.iter());
            return Err(InstallError::NotInstalled { name: name.to_owned(), nearest });
        }
        self.refuse_directory(name)?;
        let going = self.with_dependents(name, &files);
        let by: Vec<String> = going.iter().filter(|other| *other != name).cloned().collect();
        if !by.is_empty() && dependents == Dependents::Refuse {
            return Err(InstallError::Needed { name: name.to_owned(), by });
        }
        let mut unknown = Vec::new();
        for name in &going {
            match self.folder.look(&folder::file(name)) {
                // What is gone already needs no removing.
                Found::Nothing => {}
                Found::File(sha256) if package::check_name(name).is_ok() => {
                    self.lock.under_way.push(UnderWay::Remove { name: name.clone(), sha256 });
                }
                Found::File(_) | Found::Unreadable(_) => unknown.push(name.clone()),
                Found::Directory => self.refuse_directory(name)?,
            }
        }
        if let Err(error) = self.write_lock() {
            self.lock.under_way.clear();
            return Err(error);
        }
        for name in unknown {
            self.remove_unknown(&name)?;
        }
        self.finish_removals()?;
        Ok(going)
    }

    fn files(&self) -> Result<Vec<PathBuf>, InstallError> {
        let path = self.folder.path();
        package::files(path).map_err(|error| InstallError::folder("list", path, error))
    }

    fn refuse_directory(&self, name: &str) -> Result<(), InstallError> {
        match self.folder.look(&folder::file(name)) {
            Found::Directory => Err(InstallError::Directory { path: self.folder.path().join(folder::file(name)) }),
            Found::Nothing | Found::File(_) | Found::Unreadable(_) => Ok(()),
        }
    }

    /// Removes what cannot be under way in the lock file: it has no content that could be told again, or a name that no extension can have.
    fn remove_unknown(&mut self, name: &str) -> Result<(), InstallError> {
        self.folder.remove(&folder::file(name))?;
        self.remove_kept(name)?;
        self.lock.extensions.remove(name);
        self.broken.retain(|broken| broken.name != name);
        Ok(())
    }

    /// Carries out what is under way.
    pub(super) fn finish_removals(&mut self) -> Result<(), InstallError> {
        let mut names = BTreeSet::new();
        for change in &self.lock.under_way {
            let UnderWay::Remove { name, sha256 } = change else { continue };
            // Somebody may have put another file there since.
            if self.folder.hash_of(&folder::file(name)) == Some(*sha256) {
                self.folder.remove(&folder::file(name))?;
            }
            if self.folder.look(&folder::file(name)) == Found::Nothing {
                self.remove_kept(name)?;
            }
            names.insert(name.clone());
        }
        self.folder.sync()?;
        self.lock.under_way.retain(|change| !matches!(change, UnderWay::Remove { .. }));
        self.lock.extensions.retain(|name, _| !names.contains(name));
        self.broken.retain(|broken| !names.contains(&broken.name));
        self.write_lock()
    }

    /// Every earlier version of a name.
    fn remove_kept(&self, name: &str) -> Result<(), InstallError> {
        for (file, hidden) in self.folder.hidden()? {
            if matches!(hidden, Hidden::Old { name: of, .. } if of == name) {
                self.folder.remove(&file)?;
            }
        }
        Ok(())
    }

    /// The name, behind everything that works now and would not without it. Whoever finds another provider stays.
    fn with_dependents(&self, name: &str, files: &[PathBuf]) -> Vec<String> {
        let configuration = self.place.configuration(self.settings.settings());
        let nodes = files.iter().filter_map(|file| self.node(file)).collect();
        without(name, nodes, configuration.choices())
    }

    /// What the file offers and needs: as the lock file has it, or from its bytes. Nothing of it runs.
    fn node(&self, file: &Path) -> Option<Node> {
        let name = package::name(file).ok()?;
        let known = self.lock.of_file(&name, &fs::metadata(file).ok()?).map(|locked| locked.interfaces.clone());
        let interfaces = known.or_else(|| interfaces(&package::read(file).ok()?).ok())?;
        Some(interfaces.node(&name, is_built_in))
    }
}

/// The name, behind everything that could not be loaded without it: dependents before what they need.
fn without(name: &str, mut nodes: Vec<Node>, choices: &Choices) -> Vec<String> {
    let before = resolve(&nodes, choices);
    let mut going = vec![name.to_owned()];
    // Without the ones that lose their provider, others may lose theirs.
    loop {
        nodes.retain(|node| !going.contains(&node.name));
        let lost = resolve(&nodes, choices).set_aside.into_keys().filter(|lost| !before.set_aside.contains_key(lost));
        let lost: Vec<String> = lost.collect();
        if lost.is_empty() {
            break;
        }
        going.extend(lost);
    }
    going.sort_by_key(|going| std::cmp::Reverse(before.order.iter().position(|name| name == going)));
    going
}
