//! Going back to the version before.

use super::add::{Candidate, Existing, Installed};
use super::error::InstallError;
use super::{Installer, folder};

impl Installer {
    /// Installs the version before this one, checked like any other; the present one becomes the version before.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its timer enabled.
    pub async fn roll_back(&mut self, name: &str) -> Result<Installed, InstallError> {
        let none = || InstallError::NoPrevious { name: name.to_owned() };
        let previous = self.installed(name)?.previous.ok_or_else(none)?;
        let file = folder::kept(name, &previous);
        if self.folder.hash_of(&file) != Some(previous) {
            return Err(none());
        }
        let bytes = self.folder.read(&file)?;
        let candidate = Candidate { name: name.to_owned(), bytes, grants: Vec::new() };
        self.add(candidate, Existing::Replace).await
    }
}
