//! Is every folder of the bus there, a folder, and ours alone?

use std::path::Path;

use postroom::bus::disk::{is_folder, is_regular};
use postroom::bus::layout;
use rustix::fs::{Access, AtFlags, accessat};

use super::{Finding, Patient};
use crate::cli::Failure;

const MAKE: &str = "`postroom init` makes what is missing and leaves the rest as it is";

/// Folders that are missing, or something else in their place.
pub fn missing(patient: &Patient) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    for folder in layout::FOLDERS {
        findings.extend(match patient.disk.stat(Path::new(folder))? {
            None => Some(
                Finding::problem("missing-folder", format!("the folder {folder}/ is missing"))
                    .because("what belongs there cannot be put anywhere")
                    .mend(MAKE)
                    .at(folder),
            ),
            Some(stat) if !is_folder(&stat) => Some(
                Finding::problem("not-a-folder", format!("{folder} is a link or a file in place of a folder"))
                    .because("the service follows no links in a bus: through one, a message could reach any place on the disk")
                    .mend("move it away, then `postroom init`; to have the bus elsewhere, use --bus DIR")
                    .at(folder),
            ),
            Some(_) => None,
        });
    }
    let format = patient.disk.stat(Path::new(layout::FORMAT))?;
    if !format.is_some_and(|stat| is_regular(&stat)) {
        findings.push(
            Finding::problem(
                "no-format",
                format!("{} is missing: this folder is not (or no longer) a bus", layout::FORMAT),
            )
            .because("without it no program can know which rules the files here follow")
            .mend(MAKE)
            .at(layout::FORMAT),
        );
    } else if patient.disk.read(Path::new(layout::FORMAT), 4096)?.as_deref() != Some(layout::FORMAT_LINE.as_bytes()) {
        findings.push(
            Finding::problem(
                "other-format",
                format!("{} names a format that this postroom does not know", layout::FORMAT),
            )
            .because("a newer postroom made this bus; an older one would break it")
            .mend("use the newer postroom")
            .at(layout::FORMAT),
        );
    }
    Ok(findings)
}

/// Can we write everywhere, and can nobody else?
pub fn permissions(patient: &Patient) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    let all = [""].into_iter().chain(layout::FOLDERS);
    for folder in all {
        let named = if folder.is_empty() { "the bus folder" } else { folder };
        let path = if folder.is_empty() { "." } else { folder };
        let Some(stat) = patient.disk.stat(Path::new(path))?.filter(is_folder) else { continue };
        let mode = stat.st_mode & 0o777;
        let access = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
        if accessat(patient.disk.root(), path, access, AtFlags::empty()).is_err() {
            findings.push(
                Finding::problem(
                    "not-writable",
                    format!("{named} cannot be read and written by this user (mode {mode:03o})"),
                )
                .because("every step of a message is a rename, which needs write permission on both folders")
                .mend(format!("chown it to the user that runs the service, and `chmod 700 {path}` in the bus"))
                .at(path),
            );
        }
        if mode & 0o022 != 0 {
            findings.push(
                Finding::problem("open-to-others", format!("other users can write to {named} (mode {mode:03o})"))
                    .because("whoever can write there can send as anybody, and change what the service relies on")
                    .mend(format!("`chmod 700 {path}` in the bus"))
                    .at(path),
            );
        } else if mode & 0o055 != 0 && folder.is_empty() {
            findings.push(
                Finding::note("not-private", format!("other users can look into {named} (mode {mode:03o})"))
                    .because("messages may hold what is not meant for them")
                    .mend("`chmod 700` the bus folder")
                    .at(path),
            );
        }
    }
    Ok(findings)
}
