//! Every key that `postroom.toml` may have.

use super::{SettingsError, wrong};
use crate::policy::nearest;

/// Table by table.
pub(super) const KEYS: [(&str, &[&str]); 5] = [
    ("bus", &["durability", "grace_ms", "rescan_ms", "look_ms", "lease_looks", "max_message_bytes", "dedup_days"]),
    ("retry", &["attempts", "first_ms", "max_ms"]),
    ("retention", &["pack_days", "remove_days"]),
    ("limits", &["per_sender_messages", "per_sender_bytes", "per_inbox_messages", "bus_messages", "agents"]),
    ("extensions", &["dir", "deadline_ms", "memory_bytes", "concurrency", "grants", "instance", "uses"]),
];

/// Of `[extension.NAME]`. What lies in `config` is the extension's own, and `providers` has interfaces as keys.
const EXTENSION_KEYS: &[&str] =
    &["concurrency", "deadline_ms", "memory_bytes", "grants", "instance", "providers", "config", "wasi"];
/// Of `[extension.NAME.wasi]`. The keys of `environment` are variables.
const WASI_KEYS: &[&str] = &["environment", "folders", "network"];
/// Of each of its `folders`.
const FOLDER_KEYS: &[&str] = &["path", "as", "write"];

/// Are all keys known?
pub(super) fn check(table: &toml::Table) -> Result<(), SettingsError> {
    for (name, value) in table {
        if name == "extension" {
            for (extension, value) in value.as_table().into_iter().flatten() {
                check_extension(&format!("extension.{extension}"), value)?;
            }
            continue;
        }
        let Some((_, keys)) = KEYS.iter().find(|(known, _)| known == name) else {
            let tables = KEYS.iter().map(|(known, _)| *known).chain(["extension"]);
            return Err(unknown(&format!("table [{name}]"), name, tables));
        };
        check_table(name, value, keys)?;
    }
    Ok(())
}

fn check_extension(name: &str, value: &toml::Value) -> Result<(), SettingsError> {
    check_table(name, value, EXTENSION_KEYS)?;
    let Some(wasi) = value.get("wasi") else { return Ok(()) };
    check_table(&format!("{name}.wasi"), wasi, WASI_KEYS)?;
    for folder in wasi.get("folders").and_then(toml::Value::as_array).into_iter().flatten() {
        check_table(&format!("{name}.wasi.folders"), folder, FOLDER_KEYS)?;
    }
    Ok(())
}

fn check_table(name: &str, value: &toml::Value, keys: &[&'static str]) -> Result<(), SettingsError> {
    let Some(table) = value.as_table() else { return Err(wrong(format!("[{name}] must be a table"))) };
    for key in table.keys() {
        if !keys.contains(&key.as_str()) {
            return Err(unknown(&format!("key {key:?} in [{name}]"), key, keys.iter().copied()));
        }
    }
    Ok(())
}

fn unknown<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> SettingsError {
    let known: Vec<&str> = known.into_iter().collect();
    let hint = match nearest(name, known.iter().copied()).first() {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("there are {}", known.join(", ")),
    };
    SettingsError { message: format!("unknown {what}"), hint: Some(hint) }
}
