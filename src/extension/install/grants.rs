//! `[extension.NAME] grants` in `postroom.toml`: added and taken back without touching anything else, comments and order included.
//!
//! Invariant: what is written is the file as it is at that moment, and the grants. Whoever edits it while a component is checked, which takes
//! seconds, finds that edit again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use toml_edit::{Array, DocumentMut, Item, Table, Value};

use super::InstallError;
use super::folder::Folder;
use crate::policy::Settings;
use crate::policy::grants::Grant;

/// The settings file as it was read.
#[derive(Clone, Debug)]
pub(super) struct SettingsFile {
    path: PathBuf,
    text: String,
    settings: Settings,
}

impl SettingsFile {
    /// Reads it.
    pub(super) fn read(path: &Path) -> Result<SettingsFile, InstallError> {
        let text = text_of(path).map_err(|error| InstallError::folder("read the settings", path, error))?;
        SettingsFile { path: path.to_owned(), text: String::new(), settings: Settings::default() }.with_text(text)
    }

    /// As it is now.
    pub(super) fn read_again(&self) -> Result<SettingsFile, InstallError> {
        SettingsFile::read(&self.path)
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    fn with_text(&self, text: String) -> Result<SettingsFile, InstallError> {
        let settings = Settings::parse(&text).map_err(|error| InstallError::Settings {
            path: self.path.clone(),
            reason: error.message,
            hint: error.hint,
        })?;
        Ok(SettingsFile { path: self.path.clone(), text, settings })
    }

    /// Everything that reaches beyond the extension and is set for this name; None if nothing at all is set for it.
    pub(super) fn granted_to(&self, name: &str) -> Option<Vec<String>> {
        let own = self.settings.extension.get(name)?;
        let grants = Grant::ALL.into_iter().filter(|grant| own.grants.has(*grant)).map(|grant| grant.to_string());
        let wasi = [
            ("WASI environment", own.wasi.environment.is_empty()),
            ("WASI folders", own.wasi.folders.is_empty()),
            ("WASI network", own.wasi.network.is_empty()),
        ];
        let wasi = wasi.into_iter().filter(|(_, is_empty)| !is_empty).map(|(what, _)| what.to_owned());
        Some(grants.chain(wasi).collect())
    }

    /// With these grants for this extension; and which of them were not there before.
    pub(super) fn granting(&self, name: &str, grants: &[Grant]) -> Result<(SettingsFile, Vec<String>), InstallError> {
        let mut document = self.document()?;
        let added = add(&mut document, name, grants).map_err(|reason| self.wrong(reason))?;
        let text = if added.is_empty() { self.text.clone() } else { document.to_string() };
        Ok((self.with_text(text)?, added))
    }

    /// Without these grants for this extension.
    pub(super) fn without(&self, name: &str, grants: &[String]) -> Result<SettingsFile, InstallError> {
        if grants.is_empty() {
            // An empty list or table is the user's.
            return Ok(self.clone());
        }
        let mut document = self.document()?;
        take_back(&mut document, name, grants);
        self.with_text(document.to_string())
    }

    fn document(&self) -> Result<DocumentMut, InstallError> {
        self.text.parse().map_err(|error: toml_edit::TomlError| self.wrong(error.to_string()))
    }

    fn wrong(&self, reason: String) -> InstallError {
        InstallError::Settings { path: self.path.clone(), reason, hint: None }
    }

    /// The file as it is now, with these grants for this extension, is written; and which of them were not there before. The folder must be
    /// held, so no other installer writes meanwhile.
    pub(super) fn grant(
        &self,
        name: &str,
        grants: &[Grant],
        _held: &Folder,
    ) -> Result<(SettingsFile, Vec<String>), InstallError> {
        self.edit(|now| now.granting(name, grants))
    }

    /// The same without these grants.
    pub(super) fn take_back(
        &self,
        name: &str,
        grants: &[String],
        _held: &Folder,
    ) -> Result<SettingsFile, InstallError> {
        Ok(self.edit(|now| Ok((now.without(name, grants)?, ())))?.0)
    }

    /// Makes a new text of the one that is there now, until nobody has written meanwhile.
    fn edit<T>(
        &self,
        edit: impl Fn(&SettingsFile) -> Result<(SettingsFile, T), InstallError>,
    ) -> Result<(SettingsFile, T), InstallError> {
        loop {
            let now = SettingsFile::read(&self.path)?;
            let (edited, found) = edit(&now)?;
            let failed = |error| InstallError::folder("write the settings", &self.path, error);
            if edited.text == now.text || write_over(&self.path, &now.text, &edited.text).map_err(failed)? {
                return Ok((edited, found));
            }
        }
    }
}

fn text_of(path: &Path) -> io::Result<String> {
    match fs::read_to_string(path) {
        // No file is an empty one.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read,
    }
}

/// Whole or not at all, and only over what was read; `false` if that is not there any more. A link keeps leading where it leads.
fn write_over(path: &Path, read: &str, text: &str) -> io::Result<bool> {
    use std::io::Write as _;
    let path = fs::canonicalize(path).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(path.to_owned()),
        _ => Err(error),
    })?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = tempfile::Builder::new().prefix(".postroom.toml.").tempfile_in(folder)?;
    new.write_all(text.as_bytes())?;
    if let Ok(metadata) = fs::metadata(&path) {
        new.as_file().set_permissions(metadata.permissions())?;
    }
    new.as_file().sync_all()?;
    // After the sync, which is what takes long.
    if text_of(&path)? != read {
        return Ok(false);
    }
    new.persist(&path)?;
    fs::File::open(folder)?.sync_all()?;
    Ok(true)
}

/// Adds what is missing and says what that was.
fn add(document: &mut DocumentMut, name: &str, grants: &[Grant]) -> Result<Vec<String>, String> {
    if grants.is_empty() {
        return Ok(Vec::new());
    }
    let not_a_table = |what: &str| format!("[{what}] is not a table");
    let all = document.entry("extension").or_insert_with(|| {
        let mut table = Table::new();
        // Only `[extension.NAME]` is written.
        table.set_implicit(true);
        Item::Table(table)
    });
    let all = all.as_table_like_mut().ok_or_else(|| not_a_table("extension"))?;
    if !all.contains_key(name) {
        all.insert(name, Item::Table(Table::new()));
    }
    let own = all.get_mut(name).and_then(Item::as_table_like_mut).ok_or_else(|| not_a_table(name))?;
    if !own.contains_key("grants") {
        own.insert("grants", Item::Value(Value::Array(Array::new())));
    }
    let list = own.get_mut("grants").and_then(Item::as_array_mut);
    let list = list.ok_or_else(|| format!("extension.{name}.grants is not a list"))?;
    let mut added = Vec::new();
    for grant in grants {
        let spelled = grant.as_str();
        if !list.iter().any(|value| value.as_str() == Some(spelled)) {
            list.push(spelled);
            added.push(spelled.to_owned());
        }
    }
    Ok(added)
}

/// Removes what is there, and the list and the table if nothing else is in them.
fn take_back(document: &mut DocumentMut, name: &str, grants: &[String]) {
    let Some(all) = document.get_mut("extension").and_then(Item::as_table_like_mut) else { return };
    let Some(own) = all.get_mut(name).and_then(Item::as_table_like_mut) else { return };
    let Some(list) = own.get_mut("grants").and_then(Item::as_array_mut) else { return };
    list.retain(|value| !value.as_str().is_some_and(|spelled| grants.iter().any(|grant| grant == spelled)));
    if list.is_empty() {
        own.remove("grants");
    }
    if own.is_empty() {
        all.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> SettingsFile {
        let empty = SettingsFile { path: "postroom.toml".into(), text: String::new(), settings: Settings::default() };
        empty.with_text(text.to_owned()).unwrap()
    }

    #[test]
    fn only_the_grants_change() {
        let text = "# mine\n[bus]  # yes\ngrace_ms = 7 # seven\n\n[extension.a]\nconcurrency = 1 # one\ngrants = [\n  \"log\", # logs\n]\n";
        let (granted, added) = file(text).granting("a", &[Grant::Log, Grant::Bus]).unwrap();
        assert_eq!(added, ["bus"]);
        assert_eq!(granted.text, text.replace("\"log\",", "\"log\", \"bus\","));
        assert!(granted.settings.extension["a"].grants.has(Grant::Bus));
        let back = granted.without("a", &added).unwrap();
        assert!(!back.settings.extension["a"].grants.has(Grant::Bus));
        assert!(back.settings.extension["a"].grants.has(Grant::Log));
        for comment in ["# mine", "# yes", "# seven", "# one"] {
            assert!(granted.text.contains(comment) && back.text.contains(comment), "{comment}");
        }
    }

    #[test]
    fn what_was_not_there_is_made_and_goes_again() {
        for text in [
            "",
            "[bus]\ngrace_ms = 7\n",
            "[extension.b]\nconcurrency = 2\n",
            "extension = { b = { concurrency = 2 } }\n",
        ] {
            let (granted, added) = file(text).granting("a-1", &[Grant::Bus, Grant::Invoke]).unwrap();
            assert_eq!(added, ["bus", "invoke"], "{text}");
            assert!(granted.settings.extension["a-1"].grants.has(Grant::Invoke));
            assert!(granted.text.starts_with(text.trim_end_matches(" }\n")), "{}", granted.text);
            let back = granted.without("a-1", &added).unwrap();
            assert_eq!(back.settings, file(text).settings, "{text}");
        }
        let (same, added) = file("[extension.a]\ngrants = [\"bus\"]\n").granting("a", &[Grant::Bus]).unwrap();
        assert_eq!((same.text.as_str(), added.len()), ("[extension.a]\ngrants = [\"bus\"]\n", 0));
        let empty = "[extension.a]\ngrants = []\n";
        assert_eq!(file(empty).without("a", &[]).unwrap().text, empty);
    }

    #[test]
    fn a_name_with_a_dot_is_one_name() {
        let (granted, _) = file("").granting("a.b", &[Grant::Bus]).unwrap();
        assert_eq!(granted.text, "[extension.\"a.b\"]\ngrants = [\"bus\"]\n");
    }

    #[test]
    fn what_was_written_meanwhile_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("postroom.toml");
        assert!(write_over(&path, "", "a = 1\n").unwrap(), "no file is an empty one");
        assert!(!write_over(&path, "", "b = 1\n").unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "a = 1\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
