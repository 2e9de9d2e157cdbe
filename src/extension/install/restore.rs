//! Going back to the version before.

use super::add::{Candidate, Existing, Installed};
use super::error::InstallError;
use super::folder::Found;
use super::{Installer, folder};
use crate::extension::{ComponentHash, package};

impl Installer {
    /// Installs the version before this one, checked like any other; the present one becomes the version before. That the present one cannot be
    /// used, or is gone, is a reason to go back, not one to refuse it.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its timer enabled.
    pub async fn roll_back(&mut self, name: &str) -> Result<Installed, InstallError> {
        let none = || InstallError::NoPrevious { name: name.to_owned() };
        let previous = self.previous(name)?.ok_or_else(none)?;
        let file = folder::kept(name, &previous);
        if self.folder.hash_of(&file) != Some(previous) {
            return Err(none());
        }
        let bytes = self.folder.read(&file)?;
        let candidate = Candidate { name: name.to_owned(), bytes, grants: Vec::new() };
        self.add(candidate, Existing::Replace).await
    }

    /// The version before: what the lock file says of an extension that can be used, for all others what is kept.
    fn previous(&self, name: &str) -> Result<Option<ComponentHash>, InstallError> {
        if let Some(locked) = self.lock.extensions.get(name) {
            return Ok(locked.previous);
        }
        package::check_name(name).map_err(|_| self.not_installed(name))?;
        let present = self.folder.look(&folder::file(name));
        let but = if let Found::File(hash) = &present { Some(hash) } else { None };
        match self.folder.kept_last(name, but) {
            None if present == Found::Nothing => Err(self.not_installed(name)),
            kept => Ok(kept),
        }
    }
}
