//! An extension loaded to be tried, installed or not; nothing is changed anywhere.

use std::path::Path;

use super::error::InstallError;
use super::{Place, SettingsFile, rehearse};
use crate::extension::{Broken, ExtensionHost, package};

/// What is to be tried.
#[derive(Debug)]
pub struct Trial {
    name: String,
    /// None for what is installed.
    bytes: Option<Vec<u8>>,
    /// What is installed beside it.
    place: Option<Place>,
}

impl Trial {
    /// A component under a name, with everything that is installed at a place, if there is one.
    pub fn of_file(name: String, bytes: Vec<u8>, place: Option<Place>) -> Trial {
        Trial { name, bytes: Some(bytes), place }
    }

    pub fn of_installed(name: String, place: Place) -> Trial {
        Trial { name, bytes: None, place: Some(place) }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Loads it and what is beside it.
    ///
    /// # Errors
    /// It is not there or does not load.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its timer enabled.
    pub async fn host(&self) -> Result<ExtensionHost, InstallError> {
        let name = &self.name;
        package::check_name(name).map_err(|reason| InstallError::Name { name: name.clone(), reason })?;
        let settings = self.place.as_ref().map_or(Path::new(""), |place| &place.settings);
        let settings = SettingsFile::read(settings)?;
        let base = self.place.as_ref().map_or(Path::new(""), Place::base_folder);
        let configuration = super::Configuration::from_settings(settings.settings(), base);
        let (host, broken) = match (&self.bytes, &self.place) {
            (None, Some(place)) => rehearse::load(&place.folder, &configuration).await?,
            (Some(bytes), place) => {
                package::check_bytes(bytes).map_err(|reason| InstallError::NoComponent { reason })?;
                let folder = beside(name, bytes, place.as_ref())?;
                rehearse::load(folder.path(), &configuration).await?
            }
            (None, None) => (ExtensionHost::empty(), Vec::new()),
        };
        match host.package(name) {
            Some(_) => Ok(host),
            None => Err(reason(name, broken, &host)),
        }
    }
}

fn reason(name: &str, broken: Vec<Broken>, host: &ExtensionHost) -> InstallError {
    match broken.into_iter().find(|broken| broken.name == name) {
        Some(broken) => InstallError::Unusable { name: name.to_owned(), reason: broken.reason },
        None => InstallError::NotInstalled {
            name: name.to_owned(),
            nearest: crate::policy::nearest(name, host.packages().map(|package| package.name.as_str()))
                .into_iter()
                .map(str::to_owned)
                .collect(),
        },
    }
}

/// A folder with this component, and links to what is installed under other names.
fn beside(name: &str, bytes: &[u8], place: Option<&Place>) -> Result<tempfile::TempDir, InstallError> {
    use std::io::Write as _;
    let folder = tempfile::tempdir().map_err(|e| InstallError::folder("make a folder in", std::env::temp_dir(), e))?;
    let own = super::folder::file(name);
    let path = folder.path().join(&own);
    let written = tempfile::NamedTempFile::new_in(folder.path())
        .and_then(|mut file| file.write_all(bytes).map(|()| file))
        .and_then(|file| file.persist(&path).map_err(|error| error.error));
    written.map_err(|error| InstallError::folder("write", &path, error))?;
    let Some(place) = place else { return Ok(folder) };
    let files = package::files(&place.folder).map_err(|e| InstallError::folder("list", &place.folder, e))?;
    for file in files {
        let Some(other) = file.file_name().filter(|other| *other != own.as_str()) else { continue };
        let link = folder.path().join(other);
        let target = std::path::absolute(&file).map_err(|e| InstallError::folder("find", &file, e))?;
        std::os::unix::fs::symlink(target, &link).map_err(|e| InstallError::folder("make the link", &link, e))?;
    }
    Ok(folder)
}
