//! The set as it would be, loaded for real before anything is changed: links in a folder of their own show the host what it will find.
//!
//! Absent on purpose: opinions. What does not load is told; who asked decides.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::InstallError;
use super::folder::{self, Folder};
use crate::extension::analysis::{Analysis, analyse};
use crate::extension::lock_file::{Locked, Stamp};
use crate::extension::{About, Broken, Command, ComponentHash, Configuration, ExtensionHost, Package, package};

/// Loads these files with all others of their folder, and says what is in them.
///
/// # Panics
/// Outside of a tokio runtime with its timer enabled.
pub(super) async fn look_at(
    folder: &Path,
    files: &[PathBuf],
    configuration: &Configuration,
) -> Result<(BTreeMap<String, Locked>, Vec<Broken>), InstallError> {
    // Before the bytes are read: if the file changes meanwhile, the stamp is of no use, and the next look is.
    let stamps: BTreeMap<&Path, Stamp> =
        files.iter().filter_map(|path| Some((path.as_path(), Stamp::of(&fs::metadata(path).ok()?)))).collect();
    let (host, mut broken) = load(folder, configuration).await?;
    let mut found = BTreeMap::new();
    for path in files {
        let package = host.packages().find(|package| package.path == *path);
        let (Some(package), Some(stamp)) = (package, stamps.get(path.as_path())) else { continue };
        match facts(package, *stamp) {
            Ok(locked) => {
                found.insert(package.name.clone(), locked);
            }
            Err(reason) => broken.push(Broken { name: package.name.clone(), path: path.clone(), reason }),
        }
    }
    Ok((found, broken))
}

fn facts(package: &Package, stamp: Stamp) -> Result<Locked, String> {
    let bytes = package::read(&package.path)?;
    let sha256 = ComponentHash::of(&bytes);
    if sha256.0 != package.sha256 {
        return Err("it is being changed".into());
    }
    let interfaces = interfaces(&bytes)?;
    Ok(Locked {
        sha256,
        stamp,
        about: package.about.clone(),
        subcommand: package.command.clone(),
        interfaces,
        previous: None,
    })
}

pub(super) fn interfaces(bytes: &[u8]) -> Result<Analysis, String> {
    analyse(bytes).map_err(|error| error.to_string())
}

/// What a staged file is, in the company of all others, and who does not load beside it.
pub(super) struct Rehearsed {
    pub(super) about: About,
    pub(super) subcommand: Option<Command>,
    pub(super) broken: Vec<Broken>,
    /// About compiled code that was not trusted, or could not be kept.
    pub(super) warnings: Vec<String>,
}

/// Loads the folder as if the file `staged` had the name of an extension already.
///
/// # Panics
/// Outside of a tokio runtime with its timer enabled.
pub(super) async fn rehearse(
    folder: &Folder,
    name: &str,
    staged: &str,
    configuration: &Configuration,
) -> Result<Rehearsed, InstallError> {
    let check = folder.make_check()?;
    let rehearsed = in_check(folder, &check, name, staged, configuration).await;
    // What is left of it the next holder removes.
    let _ = folder.remove_check(&check);
    rehearsed
}

async fn in_check(
    folder: &Folder,
    check: &str,
    name: &str,
    staged: &str,
    configuration: &Configuration,
) -> Result<Rehearsed, InstallError> {
    let own = folder::file(name);
    let files = package::files(folder.path()).map_err(|e| InstallError::folder("list", folder.path(), e))?;
    for file in files.iter().filter_map(|path| path.file_name()?.to_str()).filter(|file| *file != own) {
        folder.link_in_check(check, file, file)?;
    }
    folder.link_in_check(check, &own, staged)?;
    let (host, broken) = load(&folder.path().join(check), configuration).await?;
    match host.package(name) {
        Some(package) => Ok(Rehearsed {
            about: package.about.clone(),
            subcommand: package.command.clone(),
            broken,
            warnings: host.cache_notes(),
        }),
        None => {
            let reason = broken.into_iter().find(|broken| broken.name == name).map(|broken| broken.reason);
            let reason = reason.unwrap_or_else(|| "it cannot be loaded".into());
            Err(InstallError::Unfit { name: name.to_owned(), reason })
        }
    }
}

/// The one place where a set is loaded to look at it.
pub(super) async fn load(
    folder: &Path,
    configuration: &Configuration,
) -> Result<(ExtensionHost, Vec<Broken>), InstallError> {
    Ok(ExtensionHost::load(folder, configuration).await?)
}
