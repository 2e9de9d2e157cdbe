//! Is every folder of the bus there, a folder, and ours alone?

use std::path::Path;

use postroom::bus::disk::{is_folder, is_regular};
use postroom::bus::layout;
use rustix::fs::{Access, AtFlags, accessat};

use super::strangers::some;
use super::{Finding, Patient};
use crate::cli::{Failure, text, units};

/// The check whose findings say that this user cannot do what must be done.
pub const NOT_WRITABLE: &str = "not-writable";
const MAKE: &str = "`postroom init` makes what is missing and leaves the rest as it is";

/// Folders that are missing, or something else in their place. Of a folder that is no bus, that is all there is to say.
pub fn missing(patient: &Patient) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    let is_bus = patient.disk.stat(Path::new(layout::FORMAT))?.is_some_and(|stat| is_regular(&stat));
    for folder in layout::FOLDERS {
        findings.extend(match patient.disk.stat(Path::new(folder))? {
            None if !is_bus => None,
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
    findings.extend(format(patient)?);
    Ok(findings)
}

/// Does the bus say by which rules it goes, and are they ours?
fn format(patient: &Patient) -> Result<Option<Finding>, Failure> {
    let path = Path::new(layout::FORMAT);
    let none = |what: &str| {
        Finding::problem("no-format", format!("{} {what}", layout::FORMAT))
            .because("without it no program can know which rules the files here follow")
            .mend(MAKE)
    };
    let finding = match patient.disk.stat(path)? {
        Some(stat) if is_regular(&stat) && stat.st_size == 0 => {
            none("is empty: `postroom init` was interrupted before it was done")
        }
        Some(stat) if is_regular(&stat) => {
            if patient.disk.read(path, 4096)?.as_deref() == Some(layout::FORMAT_LINE.as_bytes()) {
                return Ok(None);
            }
            Finding::problem(
                "other-format",
                format!("{} names a format that this postroom does not know", layout::FORMAT),
            )
            .because("a newer postroom made this bus; an older one would break it")
            .mend("use the newer postroom")
        }
        Some(_) | None => none("is missing: this folder is not (or no longer) a bus"),
    };
    Ok(Some(finding.at(layout::FORMAT)))
}

/// Can we write everywhere, and can nobody else?
pub fn permissions(patient: &Patient) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    let all = [""].into_iter().chain(layout::FOLDERS);
    for folder in all {
        let named = if folder.is_empty() { "the bus folder" } else { folder };
        let path = if folder.is_empty() { "." } else { folder };
        let Some(mode) = mode(patient, Path::new(path))? else { continue };
        if !is_writable(patient, Path::new(path)) {
            let what = format!("{named} cannot be read and written by this user (mode {mode:03o})");
            findings.push(not_writable(what, path));
        }
        if mode & OTHERS_WRITE != 0 {
            findings.push(open_to_others(format!("other users can write to {named} (mode {mode:03o})"), path));
        } else if mode & 0o055 != 0 && folder.is_empty() {
            findings.push(
                Finding::note("not-private", format!("other users can look into {named} (mode {mode:03o})"))
                    .because("messages may hold what is not meant for them")
                    .mend("`chmod 700` the bus folder")
                    .at(path),
            );
        }
    }
    findings.extend(inboxes(patient)?);
    Ok(findings)
}

/// The same for the inbox of each agent: a message whose answer could not be put into its sender's is refused.
fn inboxes(patient: &Patient) -> Result<Vec<Finding>, Failure> {
    let (mut closed, mut open) = (Vec::new(), Vec::new());
    // An inbox is made by anybody's umask, and most of them stand in a folder that lets nobody through.
    let others_come_near = mode(patient, Path::new("."))?.is_some_and(|mode| mode & OTHERS_ENTER != 0);
    // One that cannot be listed was found above.
    for inbox in patient.disk.list(Path::new(layout::INBOX)).unwrap_or_default() {
        let (path, name) = (Path::new(layout::INBOX).join(&inbox.name), inbox.name.to_string_lossy().into_owned());
        let Some(mode) = mode(patient, &path)? else { continue };
        if !is_writable(patient, &path) {
            closed.push(name.clone());
        }
        if mode & OTHERS_WRITE != 0 && others_come_near {
            open.push(name);
        }
    }
    let is = |names: &[String]| units::count(names.len(), "inbox", "inboxes");
    let closed = (!closed.is_empty()).then(|| {
        let what = format!("{} cannot be read and written by this user: {}", is(&closed), some(&closed));
        not_writable(what, &format!("{}/NAME", layout::INBOX))
    });
    let open = (!open.is_empty()).then(|| {
        let what = format!("other users can write to {}: {}", is(&open), some(&open));
        open_to_others(what, &format!("{}/NAME", layout::INBOX))
    });
    Ok(closed.into_iter().chain(open).map(|it| it.at(layout::INBOX)).collect())
}

const OTHERS_WRITE: u32 = 0o022;
const OTHERS_ENTER: u32 = 0o011;

/// The mode of a folder; `None` of anything else.
fn mode(patient: &Patient, path: &Path) -> Result<Option<u32>, Failure> {
    Ok(patient.disk.stat(path)?.filter(is_folder).map(|stat| stat.st_mode & 0o777))
}

fn is_writable(patient: &Patient, path: &Path) -> bool {
    let access = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    accessat(patient.disk.root(), path, access, AtFlags::empty()).is_ok()
}

/// What a check could not look at because this user may not. Any other failure ends the examination.
pub fn closed(failure: Failure, bus: &Path) -> Result<Finding, Failure> {
    if !failure.is_denied() {
        return Err(failure);
    }
    let (what, _) = failure.into_texts();
    Ok(Finding::problem(NOT_WRITABLE, what)
        .because("who may not enter the bus and each of its folders can neither send messages nor run the service")
        .mend(format!(
            "as the user that owns it, or root: `chown -R` {} to the user that runs the service, and `chmod 700` it and its folders",
            text::path(bus)
        ))
        .at(bus))
}

fn not_writable(what: String, path: &str) -> Finding {
    Finding::problem(NOT_WRITABLE, what)
        .because("every step of a message is a rename, which needs write permission on both folders")
        .mend(format!("chown it to the user that runs the service, and `chmod 700 {path}` in the bus"))
        .at(path)
}

fn open_to_others(what: String, path: &str) -> Finding {
    Finding::problem("open-to-others", what)
        .because("whoever can write there can send as anybody, and change what the service relies on")
        .mend(format!("`chmod 700 {path}` in the bus"))
        .at(path)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use postroom::bus::DiskError;

    use super::*;

    #[test]
    fn what_this_user_may_not_see_is_a_finding_and_nothing_else_is() {
        let closed = |kind: ErrorKind| closed(DiskError::new("open the bus", "bus", kind).into(), Path::new("bus"));
        let found = closed(ErrorKind::PermissionDenied).expect("a finding");
        assert_eq!((found.check, found.what.as_str()), (NOT_WRITABLE, "cannot open the bus bus: permission denied"));
        assert!(closed(ErrorKind::NotFound).is_err());
    }
}
