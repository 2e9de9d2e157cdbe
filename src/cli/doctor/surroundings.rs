//! What the bus stands on: the file system, locks, the clock, events, free space, and the settings beside it.

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
    let free = fs2::available_space(patient.bus).ok()?;
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
    findings.extend(clock(patient, &path));
    findings.extend(locks(patient, &path));
    // If it stays, the next look finds it as a leftover.
    let _ = patient.disk.remove_file(&path);
    findings
}

fn clock(patient: &Patient, fresh: &Path) -> Option<Finding> {
    let stat = patient.disk.stat(fresh).ok().flatten()?;
    let file_ms = u64::try_from(stat.st_mtime).ok()?.saturating_mul(1_000);
    let apart = file_ms.abs_diff(units::now_ms());
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
    let open = || patient.disk.open_beneath(path, OFlags::RDWR).ok().flatten().map(std::fs::File::from);
    let (first, second) = (open()?, open()?);
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
