//! What the bus stands on: the file system, locks, the clock, events, free space, and the settings beside it.

use std::fs::File;
use std::path::Path;

use fs2::FileExt as _;
use postroom::bus::disk::Sync;
use postroom::bus::file_system::{Verdict, judge};
use postroom::bus::layout;
use rustix::fs::OFlags;
use uuid::Uuid;

use super::{Finding, Patient};
use crate::cli::wait::Watch;
use crate::cli::{text, units, workspace};

/// Below this, a message of the largest size may not fit together with its reply and the log.
const LITTLE_SPACE: u64 = 64 << 20;
/// File systems keep times to a second or finer; more than this is a different clock.
const SKEW_MS: u64 = 2_500;

pub fn file_system(patient: &Patient) -> Option<Finding> {
    let wrong = |what: String| {
        Finding::problem("file-system", what)
            .because("renames there may be neither atomic nor seen by all, so a message can be lost or handled twice")
            .mend("put the bus on a local disk; `postroom serve --force-file-system` insists")
            .at(patient.bus)
    };
    match judge(patient.bus) {
        Ok(Verdict::Fit) => None,
        Ok(Verdict::Unfit { what }) => Some(wrong(format!("the bus is on {what}"))),
        Err(error) => Some(wrong(text::sentence(&error.to_string()))),
    }
}

pub fn settings(patient: &Patient) -> Option<Finding> {
    let path = workspace::settings_path(patient.bus);
    let failure = workspace::settings(patient.bus).err()?;
    let (what, hint) = failure.into_texts();
    Some(
        Finding::problem("settings", what)
            .because("no service starts with settings that it does not understand")
            .mend(hint.unwrap_or_else(|| "correct the file; every key is optional".into()))
            .at(path),
    )
}

pub fn space(patient: &Patient) -> Option<Finding> {
    // A system that does not say is no finding of its own: writing will tell.
    too_little(fs2::available_space(patient.bus).ok()?, patient)
}

fn too_little(free: u64, patient: &Patient) -> Option<Finding> {
    (free < LITTLE_SPACE).then(|| {
        Finding::problem("space", format!("only {} are free", units::bytes(free)))
            .because("with no space left, nothing more is taken from the drop; what is decided is safe")
            .mend("make room; `postroom dead-letter purge` and a smaller retention.remove_days help")
            .at(patient.bus)
    })
}

/// Tries a lock and compares clocks, with a hidden file of its own.
pub fn locks_and_clock(patient: &Patient) -> Vec<Finding> {
    let path = Path::new(layout::PRIVATE).join(format!(".doctor-{}", Uuid::now_v7()));
    // Not writable: `permissions` has said so.
    if patient.disk.create(&path, &[b"tried by postroom doctor\n"], Sync::Later).is_err() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    findings.extend(clock(patient, &path, units::now_ms()));
    findings.extend(locks(patient, &path));
    // If it stays, the next look finds it as a leftover.
    let _ = patient.disk.remove_file(&path);
    findings
}

/// `fresh`: a file that was made just now, `now_ms` by this machine's clock.
fn clock(patient: &Patient, fresh: &Path, now_ms: u64) -> Option<Finding> {
    let stat = patient.disk.stat(fresh).ok().flatten()?;
    let file_ms = u64::try_from(stat.st_mtime).ok()?.saturating_mul(1_000);
    let apart = file_ms.abs_diff(now_ms);
    (apart > SKEW_MS).then(|| {
        Finding::problem(
            "clock",
            format!("the file system's clock and this machine's are {} apart", units::span(apart)),
        )
        .because("the order of messages goes by the files' times, and expiry by this machine's")
        .mend("set the clocks by the network time, or put the bus on a local disk")
    })
}

fn locks(patient: &Patient, path: &Path) -> Option<Finding> {
    let open = || patient.disk.open_beneath(path, OFlags::RDWR).ok().flatten().map(File::from);
    exclusive(&open()?, &open()?, patient)
}

/// Does a lock through one opening of a file keep out whoever locks through the other?
fn exclusive(first: &File, second: &File, patient: &Patient) -> Option<Finding> {
    let works = first.try_lock_exclusive().is_ok() && second.try_lock_exclusive().is_err();
    (!works).then(|| {
        Finding::problem("no-locks", "file locks do not work here")
            .because("a service that dies is noticed at once only by its lock; without, after the lease (10 s)")
            .mend("put the bus on a local disk")
            .at(patient.bus)
    })
}

pub fn events(patient: &Patient) -> Option<Finding> {
    (!Watch::on(&[patient.bus]).has_events()).then(|| {
        Finding::note("no-events", "the system gives no events for the bus folder")
            .because("messages are found only every bus.rescan_ms; on Linux the limit is fs.inotify.max_user_instances")
            .mend("raise the limit, or close programs that watch many folders")
            .at(patient.bus)
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::on_a_bus;
    use super::*;

    fn checks(findings: impl IntoIterator<Item = Finding>) -> Vec<&'static str> {
        findings.into_iter().map(|finding| finding.check).collect()
    }

    #[test]
    fn a_bus_on_this_machine_is_well() {
        on_a_bus(|patient| {
            assert_eq!(checks(locks_and_clock(patient)), [""; 0]);
            assert_eq!(checks(events(patient)), [""; 0]);
        });
    }

    #[test]
    fn little_space_is_a_problem() {
        on_a_bus(|patient| {
            assert_eq!(checks(too_little(LITTLE_SPACE, patient)), [""; 0]);
            let found = too_little(LITTLE_SPACE - 1, patient).expect("a finding");
            assert_eq!((found.check, found.what.as_str()), ("space", "only 64 MiB are free"));
        });
    }

    #[test]
    fn clocks_that_differ_are_a_problem() {
        on_a_bus(|patient| {
            let path = Path::new("fresh");
            patient.disk.create(path, &[b"x"], Sync::Later).expect("created");
            let now = units::now_ms();
            assert_eq!(checks(clock(patient, path, now)), [""; 0]);
            for other in [now + 60_000, now - 60_000] {
                assert_eq!(checks(clock(patient, path, other)), ["clock"]);
            }
        });
    }

    /// Two names of one opening share its lock, as all openings do where the file system has none.
    #[test]
    fn locks_that_keep_nobody_out_are_a_problem() {
        on_a_bus(|patient| {
            let file = File::open(patient.bus.join(layout::FORMAT)).expect("open");
            let other = File::open(patient.bus.join(layout::FORMAT)).expect("open");
            assert_eq!(checks(exclusive(&file, &file.try_clone().expect("a copy"), patient)), ["no-locks"]);
            file.unlock().expect("unlocked");
            assert_eq!(checks(exclusive(&file, &other, patient)), [""; 0]);
        });
    }

    #[test]
    fn a_folder_that_cannot_be_watched_is_a_note() {
        on_a_bus(|patient| {
            let missing = patient.bus.join("missing");
            assert_eq!(checks(events(&Patient { bus: &missing, ..*patient })), ["no-events"]);
        });
    }
}
