//! What does not belong into a bus: unknown names at its top, temporary files that nobody finished, and what the service has
//! moved aside because it could not understand it.

use std::path::{Path, PathBuf};

use postroom::bus::disk::EntryKind;
use postroom::bus::layout;

use super::{Finding, Patient};
use crate::cli::{Failure, text, units};

/// Temporary files that are older are nobody's.
const DAY_MS: u64 = 86_400_000;
/// What `init`, a repository and desktops put there.
const KNOWN: [&str; 7] = ["README.md", "schema", "samples", ".gitignore", ".gitkeep", ".gitattributes", ".DS_Store"];
/// How names end that a writer gives a file before it renames it.
const BEING_WRITTEN: [&str; 8] = [".tmp", ".temp", ".part", ".partial", ".writing", ".new", ".swp", "~"];
/// How many names one finding shows.
const SHOWN: usize = 8;

pub fn at_the_top(patient: &Patient) -> Result<Vec<Finding>, Failure> {
    let (mut folders, mut files, mut leftovers) = (Vec::new(), Vec::new(), Vec::new());
    for entry in patient.disk.list(Path::new(""))? {
        let name = entry.name.to_string_lossy().into_owned();
        let is_known = KNOWN.contains(&name.as_str()) || layout::FOLDERS.contains(&name.as_str());
        if is_known || (layout::is_drop_name(&entry.name) && entry.kind != EntryKind::Folder) {
            continue;
        }
        if entry.kind == EntryKind::Folder {
            folders.push(name);
        } else if is_no_message(&name) {
            files.push(name);
        } else if age(patient, Path::new(&entry.name))? > DAY_MS {
            leftovers.push(name);
        }
    }
    for name in patient.disk.list(Path::new(layout::PRIVATE))?.iter().filter_map(|entry| entry.name.to_str()) {
        let path = PathBuf::from(layout::PRIVATE).join(name);
        if name.starts_with('.') && age(patient, &path)? > DAY_MS {
            leftovers.push(path.to_string_lossy().into_owned());
        }
    }
    Ok([foreign(&folders), foreign_files(&files), leftover(&leftovers)].into_iter().flatten().collect())
}

/// Will it never become one? (A name that ends in `.JSON` is a finding among what is misplaced.)
fn is_no_message(name: &str) -> bool {
    let ending = name.to_ascii_lowercase();
    !name.starts_with('.') && !ending.ends_with(".json") && !BEING_WRITTEN.iter().any(|end| ending.ends_with(end))
}

fn foreign_files(names: &[String]) -> Option<Finding> {
    let count = units::count(names.len(), "file that does not belong there", "files that do not belong there");
    (!names.is_empty()).then(|| {
        Finding::note("foreign-file", format!("the bus folder has {count}: {}", some(names)))
            .because("only names that end in .json are messages: these are ignored")
            .mend("rename what is a message so that it ends in .json, and move the rest out of the bus")
            .at(".")
    })
}

fn foreign(names: &[String]) -> Option<Finding> {
    let count = units::count(names.len(), "folder that does not belong there", "folders that do not belong there");
    (!names.is_empty()).then(|| {
        Finding::note("foreign-folder", format!("the bus has {count}: {}", some(names)))
            .because("folders in the drop are ignored: a message put into one is never seen")
            .mend("move it out of the bus")
    })
}

fn leftover(names: &[String]) -> Option<Finding> {
    let count = units::count(names.len(), "file", "files");
    (!names.is_empty()).then(|| {
        Finding::note("leftover", format!("{count} that nobody finished in a day: {}", some(names)))
            .because("only names that end in .json and do not start with a point are messages; a writer probably died before its rename")
            .mend("look whether they matter, and remove them")
    })
}

/// What recovery could not understand.
pub fn moved_aside(patient: &Patient) -> Result<Option<Finding>, Failure> {
    let mut names = Vec::new();
    patient.disk.for_each(Path::new(layout::PRIVATE), |name, _| {
        let name = name.to_string_lossy();
        if name.starts_with("found-") || name.starts_with("damaged-log") {
            names.push(name.into_owned());
        }
    })?;
    names.sort_unstable();
    let count = units::count(names.len(), "thing", "things");
    Ok((!names.is_empty()).then(|| {
        Finding::problem("moved-aside", format!("{count} of our own could not be understood: {}", some(&names)))
            .because("a disk error or a foreign hand changed the service's private files; what they said may be lost")
            .mend("check the disk; keep the files for a report, then remove them")
            .at(layout::PRIVATE)
    }))
}

fn age(patient: &Patient, path: &Path) -> Result<u64, Failure> {
    let changed = patient.disk.stat(path)?.map_or(i64::MAX, |stat| stat.st_mtime);
    Ok(patient.now_ms.saturating_sub(u64::try_from(changed).unwrap_or(0).saturating_mul(1_000)))
}

/// As many names as one finding shows.
pub fn some(names: &[String]) -> String {
    let mut shown: Vec<String> = names.iter().take(SHOWN).map(|name| text::field(name)).collect();
    if names.len() > SHOWN {
        shown.push(format!("and {} more", names.len() - SHOWN));
    }
    shown.join(", ")
}
