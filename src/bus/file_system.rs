//! Can the file system under a folder keep the bus's promises? They rest on renames that are atomic and seen by everybody at
//! once, on locks, and on one machine at work: network file systems, file systems in user space, and folders that a cloud
//! program synchronises give none of that reliably.
//!
//! The judgement is by the file system's type (`statfs`) and by the names and marks that the synchronising programs leave. It
//! can be wrong in both directions, so whoever knows better may insist.

use std::path::Path;

use super::disk::{Disk, DiskError};

/// What is known of the file system under a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing speaks against it.
    Fit,
    /// It cannot be trusted with a bus; `what` completes "… is on".
    Unfit { what: String },
}

/// How many bytes can still be written to the bus by whom the service runs as. `None`: the system does not say.
pub fn free_bytes(disk: &Disk) -> Option<u64> {
    let stat = rustix::fs::fstatvfs(disk.root()).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Judges the file system that `path` is on. If it does not exist yet, its nearest parent that does is judged.
///
/// # Errors
/// The system cannot say what is under the path.
pub fn judge(path: &Path) -> Result<Verdict, DiskError> {
    let failed = |error| DiskError::new("look at the file system of", path, error);
    let absolute = std::path::absolute(path).map_err(failed)?;
    let mut existing = absolute.as_path();
    let real = loop {
        match (std::fs::canonicalize(existing), existing.parent()) {
            (Ok(real), _) => break real,
            (Err(error), Some(parent)) if error.kind() == std::io::ErrorKind::NotFound => existing = parent,
            (Err(error), _) => return Err(failed(error)),
        }
    };
    let rest = absolute.strip_prefix(existing).unwrap_or(Path::new(""));
    if let Some(what) = kind(&real).map_err(failed)?.or_else(|| synced_by(&real.join(rest))) {
        return Ok(Verdict::Unfit { what });
    }
    Ok(Verdict::Fit)
}

/// The types (`f_type` of statfs(2), `linux/magic.h`, and the drivers' own sources) that are not local, with their names.
#[cfg(target_os = "linux")]
const UNFIT: [(u64, &str); 18] = [
    (0x6969, "NFS, a network file system"),
    (0x517B, "SMB, a network file system"),
    (0xFF53_4D42, "CIFS, a network file system"),
    (0xFE53_4D42, "SMB2, a network file system"),
    (0x564C, "NCP, a network file system"),
    (0x0102_1997, "9P, a file system of another machine"),
    (0x5346_414F, "AFS, a network file system"),
    (0x6B41_4653, "AFS, a network file system"),
    (0x7375_7245, "Coda, a network file system"),
    (0x00C3_6400, "Ceph, a network file system"),
    (0x0BD0_0BD0, "Lustre, a network file system"),
    (0x4750_4653, "GPFS, a network file system"),
    (0x1983_0326, "BeeGFS, a network file system"),
    (0x0116_1970, "GFS2, a file system that several machines share"),
    (0x7461_636F, "OCFS2, a file system that several machines share"),
    (0x786F_4256, "a folder shared with a virtual machine (vboxsf)"),
    (0xBACB_ACBC, "a folder shared with a virtual machine (vmhgfs)"),
    (0x6573_5546, "FUSE, a file system in user space (sshfs, a cloud drive, a shared folder)"),
];

#[cfg(target_os = "linux")]
fn kind(path: &Path) -> std::io::Result<Option<String>> {
    let found = rustix::fs::statfs(path)?.f_type as u64;
    // Some platforms give the 32 bits of the type with the sign spread over 64.
    let found = found & 0xFFFF_FFFF;
    Ok(UNFIT.iter().find(|(magic, _)| *magic == found).map(|(_, what)| (*what).to_owned()))
}

#[cfg(not(target_os = "linux"))]
fn kind(_: &Path) -> std::io::Result<Option<String>> {
    Ok(None)
}

/// The folders of programs that synchronise, by name: exactly, or followed by a space (`OneDrive - Example`).
const SYNCED_NAMES: [(&str, &str); 9] = [
    ("dropbox", "Dropbox"),
    ("onedrive", "OneDrive"),
    ("google drive", "Google Drive"),
    ("googledrive", "Google Drive"),
    ("icloud drive", "iCloud"),
    ("iclouddrive", "iCloud"),
    ("mobile documents", "iCloud"),
    ("com~apple~clouddocs", "iCloud"),
    ("cloudstorage", "a cloud program"),
];

/// What such programs leave in the top folder that they synchronise.
const SYNCED_MARKS: [(&str, &str); 4] = [
    (".stfolder", "Syncthing"),
    (".dropbox.cache", "Dropbox"),
    (".nextcloudsync.log", "Nextcloud"),
    (".owncloudsync.log", "ownCloud"),
];

fn synced_by(path: &Path) -> Option<String> {
    let by_name = path.components().find_map(|component| {
        let name = component.as_os_str().to_string_lossy().to_lowercase();
        SYNCED_NAMES
            .iter()
            .find(|(synced, _)| name.strip_prefix(synced).is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')))
    });
    let by_mark = || {
        path.ancestors()
            .find_map(|folder| SYNCED_MARKS.iter().find(|(mark, _)| folder.join(mark).symlink_metadata().is_ok()))
    };
    by_name.or_else(by_mark).map(|(_, program)| format!("a folder that {program} synchronises"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_folder_is_fit_and_a_synced_one_is_not() {
        let top = tempfile::tempdir().expect("a folder");
        let fit = top.path().join("Dropboxes/onedriver/ai-communication");
        assert_eq!(judge(&fit).expect("judged"), Verdict::Fit, "not there yet, and only similar names");
        for (name, program) in [("Dropbox", "Dropbox"), ("OneDrive - Example", "OneDrive"), ("iCloud Drive", "iCloud")]
        {
            let path = top.path().join(name).join("work/ai-communication");
            std::fs::create_dir_all(&path).expect("made");
            let what = format!("a folder that {program} synchronises");
            assert_eq!(judge(&path).expect("judged"), Verdict::Unfit { what }, "{name}");
        }
        std::fs::create_dir_all(top.path().join("shared/.stfolder")).expect("made");
        let synced = judge(&top.path().join("shared/a/b")).expect("judged");
        assert_eq!(synced, Verdict::Unfit { what: "a folder that Syncthing synchronises".into() });
    }

    #[test]
    fn a_link_is_judged_by_where_it_leads() {
        let top = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(top.path().join("Dropbox/bus")).expect("made");
        std::os::unix::fs::symlink(top.path().join("Dropbox"), top.path().join("plain")).expect("linked");
        assert!(matches!(judge(&top.path().join("plain/bus")).expect("judged"), Verdict::Unfit { .. }));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn proc_is_local_and_known() {
        assert_eq!(judge(Path::new("/proc")).expect("judged"), Verdict::Fit);
    }
}
