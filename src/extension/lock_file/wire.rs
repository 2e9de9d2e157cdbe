//! `extensions.lock` as TOML. What is not known in it makes it damaged: a newer program raises the version.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{LockFile, Locked, Stamp, UnderWay, VERSION};
use crate::extension::analysis::Analysis;
use crate::extension::graph::Interface;
use crate::extension::hash::ComponentHash;
use crate::extension::{About, Command, package};

const HEADING: &str = "\
# What is installed in this folder. Written by postroom; do not edit it. It may be deleted: it is made again from the files.
";

#[derive(Deserialize)]
struct Head {
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    version: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    under_way: Vec<Change>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    extension: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "what")]
enum Change {
    Install {
        name: String,
        sha256: ComponentHash,
        #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "added-grants")]
        added_grants: Vec<String>,
    },
    Remove {
        name: String,
        sha256: ComponentHash,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Entry {
    name: String,
    /// For who reads it; always the name and `.wasm`.
    file: String,
    sha256: ComponentHash,
    size: u64,
    /// Inode, time of the last change of the content, and of anything.
    stamp: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<ComponentHash>,
    #[serde(default)]
    about: AboutTable,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subcommand: Option<SubcommandTable>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    bare_imports: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    bare_exports: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    import: Vec<InterfaceTable>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    export: Vec<InterfaceTable>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AboutTable {
    version: String,
    description: String,
    actions: Vec<String>,
    capabilities: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SubcommandTable {
    name: String,
    about: String,
    usage: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InterfaceTable {
    interface: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    functions: BTreeMap<String, String>,
}

/// The format's version, whatever else is in the text.
pub(super) fn version(text: &str) -> Result<u32, String> {
    toml::from_str::<Head>(text).map(|head| head.version).map_err(|error| error.message().to_owned())
}

pub(super) fn parse(text: &str) -> Result<LockFile, String> {
    let file: File = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    let mut lock = LockFile::default();
    for change in file.under_way {
        lock.under_way.push(match change {
            Change::Install { name, sha256, added_grants } => {
                UnderWay::Install { name: checked_name(name)?, sha256, added_grants }
            }
            Change::Remove { name, sha256 } => UnderWay::Remove { name: checked_name(name)?, sha256 },
        });
    }
    for entry in file.extension {
        let name = checked_name(entry.name.clone())?;
        if entry.file != format!("{name}.wasm") {
            return Err(format!("{name} is in a file of another name"));
        }
        if lock.extensions.insert(name.clone(), locked(entry)?).is_some() {
            return Err(format!("{name} is there twice"));
        }
    }
    Ok(lock)
}

/// A name from this file ends up in paths.
fn checked_name(name: String) -> Result<String, String> {
    package::check_name(&name)?;
    Ok(name)
}

fn locked(entry: Entry) -> Result<Locked, String> {
    let AboutTable { version, description, actions, capabilities } = entry.about;
    let about = About { version, description, actions, capabilities };
    let subcommand =
        entry.subcommand.map(|SubcommandTable { name, about, usage }| Command { name, about, usage }.checked());
    Ok(Locked {
        sha256: entry.sha256,
        stamp: stamp(entry.size, &entry.stamp).ok_or("a stamp is no stamp")?,
        about: about.checked().map_err(|bad| bad.to_string())?,
        subcommand: subcommand.transpose().map_err(|bad| bad.to_string())?,
        interfaces: Analysis {
            imports: entry.import.into_iter().map(interface).collect::<Result<_, _>>()?,
            exports: entry.export.into_iter().map(interface).collect::<Result<_, _>>()?,
            bare_imports: entry.bare_imports,
            bare_exports: entry.bare_exports,
        },
        previous: entry.previous,
    })
}

fn stamp(bytes: u64, text: &str) -> Option<Stamp> {
    let mut parts = text.split(' ');
    let inode = parts.next()?.parse().ok()?;
    let (modified_ns, changed_ns) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some(Stamp { bytes, inode, modified_ns, changed_ns })
}

fn interface(InterfaceTable { interface, version, functions }: InterfaceTable) -> Result<Interface, String> {
    let version = version.map(|version| version.parse()).transpose();
    let version = version.map_err(|error| format!("the version of {interface}: {error}"))?;
    Ok(Interface { name: interface, version, functions })
}

pub(super) fn text(lock: &LockFile) -> String {
    let under_way = lock.under_way.iter().map(|change| match change.clone() {
        UnderWay::Install { name, sha256, added_grants } => Change::Install { name, sha256, added_grants },
        UnderWay::Remove { name, sha256 } => Change::Remove { name, sha256 },
    });
    let file = File {
        version: VERSION,
        under_way: under_way.collect(),
        extension: lock.extensions.iter().map(|(name, locked)| entry(name, locked)).collect(),
    };
    let toml = toml::to_string(&file).expect("texts, numbers and tables of them are always TOML");
    format!("{HEADING}{toml}")
}

fn entry(name: &str, locked: &Locked) -> Entry {
    let Stamp { bytes, inode, modified_ns, changed_ns } = locked.stamp;
    let About { version, description, actions, capabilities } = locked.about.clone();
    let tables = |interfaces: &[Interface]| interfaces.iter().map(table).collect();
    Entry {
        name: name.to_owned(),
        file: format!("{name}.wasm"),
        sha256: locked.sha256,
        size: bytes,
        stamp: format!("{inode} {modified_ns} {changed_ns}"),
        previous: locked.previous,
        about: AboutTable { version, description, actions, capabilities },
        subcommand: locked.subcommand.clone().map(|Command { name, about, usage }| SubcommandTable {
            name,
            about,
            usage,
        }),
        bare_imports: locked.interfaces.bare_imports.clone(),
        bare_exports: locked.interfaces.bare_exports.clone(),
        import: tables(&locked.interfaces.imports),
        export: tables(&locked.interfaces.exports),
    }
}

fn table(interface: &Interface) -> InterfaceTable {
    InterfaceTable {
        interface: interface.name.clone(),
        version: interface.version.as_ref().map(ToString::to_string),
        functions: interface.functions.clone(),
    }
}
