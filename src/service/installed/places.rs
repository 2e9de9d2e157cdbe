//! Where extensions and what is set for them are found, and in which state that is.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::extension::Configuration;
use crate::policy::Settings;

/// What tells one state of a file from another: inode, bytes, and when content and name changed.
pub(super) type State = (u64, u64, i128, i128);

/// Every extension file of the folder, and the settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) extensions: BTreeMap<OsString, State>,
    pub(super) settings: Option<State>,
}

/// Where extensions and what is set for them are found.
#[derive(Clone, Debug)]
pub struct Places {
    pub folder: PathBuf,
    /// `postroom.toml`; `None`: the settings that the service began with stay as they are.
    pub settings: Option<PathBuf>,
    /// Where relative paths in the settings start.
    pub base: PathBuf,
}

impl Places {
    /// What is set for extensions now. `None`: it is not read again.
    pub(super) fn read_settings(&self) -> Result<Option<Configuration>, String> {
        let Some(file) = &self.settings else { return Ok(None) };
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(format!("cannot read {}: {error}", file.display())),
        };
        let settings = Settings::parse(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(Some(Configuration::from_settings(&settings, &self.base)))
    }

    /// A folder that is not there has no files.
    pub(super) fn files(&self) -> io::Result<Files> {
        let mut extensions = BTreeMap::new();
        let entries = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            entries => Some(entries?),
        };
        for entry in entries.into_iter().flatten() {
            let entry = entry?;
            let name = entry.file_name();
            let text = name.as_encoded_bytes();
            if !text.ends_with(b".wasm") || text.starts_with(b".") {
                continue;
            }
            if let Some(state) = state(&entry.path()) {
                extensions.insert(name, state);
            }
        }
        Ok(Files { extensions, settings: self.settings.as_deref().and_then(state) })
    }

    /// The paths of these, in the order of their names.
    pub(super) fn paths(&self, files: &Files) -> Vec<PathBuf> {
        files.extensions.keys().map(|name| self.folder.join(name)).collect()
    }
}

/// A link leads to the file itself, as it does where extensions are loaded. None: it is not there.
pub(super) fn state(path: &Path) -> Option<State> {
    let meta = std::fs::metadata(path).ok()?;
    let ns = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    Some((meta.ino(), meta.len(), ns(meta.mtime(), meta.mtime_nsec()), ns(meta.ctime(), meta.ctime_nsec())))
}
