//! Every key that `postroom.toml` may have.

use super::{SettingsError, wrong};
use crate::policy::nearest;

/// Table by table.
pub(super) const KEYS: [(&str, &[&str]); 5] = [
    ("bus", &["durability", "grace_ms", "rescan_ms", "look_ms", "lease_looks", "max_message_bytes", "dedup_days"]),
    ("retry", &["attempts", "first_ms", "max_ms"]),
    ("retention", &["pack_days", "remove_days"]),
    (
        "limits",
        &[
            "per_sender_messages",
            "per_sender_bytes",
            "per_inbox_messages",
            "bus_messages",
            "agents",
            "per_sender_per_second",
        ],
    ),
    ("extensions", &["dir", "deadline_ms", "memory_bytes", "concurrency", "grants", "instance", "uses"]),
];

/// Of `[extension.NAME]`. What lies in `config` is the extension's own, and `providers` has interfaces as keys.
const EXTENSION_KEYS: &[&str] =
    &["concurrency", "deadline_ms", "memory_bytes", "grants", "instance", "providers", "config", "wasi"];
/// Of `[extension.NAME.wasi]`. The keys of `environment` are variables.
const WASI_KEYS: &[&str] = &["environment", "folders", "network"];
/// Of each of its `folders`.
const FOLDER_KEYS: &[&str] = &["path", "as", "write"];

/// The keys whose value is a whole number; the unit of the others is in their name.
const COUNTS: &[&str] = &[
    "lease_looks",
    "attempts",
    "per_sender_messages",
    "per_inbox_messages",
    "bus_messages",
    "agents",
    "per_sender_per_second",
    "concurrency",
    "uses",
];
/// Those that are kept as 32 bits.
const SMALL: &[&str] = &["lease_looks", "dedup_days", "attempts", "pack_days", "remove_days", "concurrency", "uses"];

/// Is every value that must be a whole number one? Said here in the file's words; further down only Rust's types are known.
pub(super) fn check_numbers(table: &toml::Table) -> Result<(), SettingsError> {
    for (name, value) in table.iter().filter_map(|(name, value)| Some((name, value.as_table()?))) {
        if name == "extension" {
            for (extension, value) in value.iter().filter_map(|(name, value)| Some((name, value.as_table()?))) {
                check_numbers_of(&format!("extension.{extension}"), value)?;
            }
        } else {
            check_numbers_of(name, value)?;
        }
    }
    Ok(())
}

fn check_numbers_of(name: &str, table: &toml::Table) -> Result<(), SettingsError> {
    for (key, value) in table {
        let units = [("_ms", " of milliseconds"), ("_bytes", " of bytes"), ("_days", " of days")];
        let unit = match units.iter().find(|(end, _)| key.ends_with(end)) {
            Some((_, unit)) => unit,
            None if COUNTS.contains(&key.as_str()) => "",
            None => continue,
        };
        match value.as_integer() {
            Some(number) if number < 0 => {}
            Some(number) if SMALL.contains(&key.as_str()) && number > i64::from(u32::MAX) => {
                return Err(wrong(format!("{name}.{key} must be at most {}", u32::MAX)));
            }
            Some(_) => continue,
            None => {}
        }
        return Err(wrong(format!("{name}.{key} must be a whole number{unit}, not {value}")));
    }
    Ok(())
}

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
