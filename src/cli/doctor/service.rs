//! Is a service at work, alive, on this machine; and does what waits go on?

use std::path::Path;
use std::time::{Duration, Instant};

use postroom::bus::layout;
use postroom::bus::term::Holder;
use postroom::bus::view::{State, View};

use super::{Finding, Patient};
use crate::cli::wait::Watch;
use crate::cli::{Failure, text, units, workspace};

/// A message that waits in the drop for longer, with a service at work, is stuck: the grace time has long passed.
const STUCK_MS: u64 = 60_000;

/// Who is at work.
struct Active {
    is_attended: bool,
    findings: Vec<Finding>,
}

/// What can be said of the service and of what it does.
pub fn all(patient: &Patient, view: &View) -> Result<Vec<Finding>, Failure> {
    let active = active(patient, view)?;
    let mut findings: Vec<Finding> = rooms(patient, active.is_attended)?.into_iter().collect();
    findings.extend(active.findings);
    findings.extend(stuck(patient, view, active.is_attended)?);
    Ok(findings)
}

fn active(patient: &Patient, view: &View) -> Result<Active, Failure> {
    let Some(holder) = view.active()? else {
        let finding = Finding::problem("no-service", "no service is at work on this bus")
            .because("messages wait in the drop until one starts; nothing is lost meanwhile")
            .mend("start one: `postroom serve`");
        return Ok(Active { is_attended: false, findings: vec![finding] });
    };
    let mut findings = Vec::new();
    findings.extend(elsewhere(view, &holder));
    findings.extend(silent(patient, view, &holder)?);
    Ok(Active { is_attended: true, findings })
}

fn elsewhere(view: &View, holder: &Holder) -> Option<Finding> {
    let line = holder.line.as_ref()?;
    let here = view.here();
    let who = text::field(&line.place.host_name);
    if !line.place.same_host(&here) {
        return Some(
            Finding::problem("other-host", format!("the service at work is on another machine: {who}"))
                .because("locks and caches do not reach across machines; no service here can take over safely")
                .mend("stop the service there, or use the bus only there"),
        );
    }
    line.place.other_namespace(&here).then(|| {
        let pid = line.place.pid;
        Finding::problem(
            "other-namespace",
            format!("the service at work (process {pid}) runs in another mount namespace"),
        )
        .because("in a container or sandbox the same path may be another mount, and a rename between two mounts fails")
        .mend("run every service of a bus inside, or every one outside of the container")
    })
}

/// A living service changes its line at least once in a look.
fn silent(patient: &Patient, view: &View, holder: &Holder) -> Result<Option<Finding>, Failure> {
    let Some(room) = holder.lock.parent() else { return Ok(None) };
    let line = room.join(layout::ROOM_LINE);
    let look = workspace::settings(patient.bus).unwrap_or_default().bus.look_ms;
    let patience = Duration::from_millis(look.saturating_mul(2).saturating_add(500));
    let (until, first) = (Instant::now() + patience, view.read(&line, 1 << 16)?);
    let watch = Watch::on(&[&patient.bus.join(room)]);
    while Instant::now() < until {
        watch.next(Some(until));
        if view.read(&line, 1 << 16)? != first {
            return Ok(None);
        }
    }
    let who = holder.line.as_ref().map(|line| format!(" (process {})", line.place.pid)).unwrap_or_default();
    let waited = units::span(patience.as_millis() as u64);
    Ok(Some(
        Finding::problem("silent-service", format!("the service at work{who} gave no sign of life for {waited}"))
            .because("it hangs or is stopped (SIGSTOP, a suspended container, a disk that stands still)")
            .mend("end it, or start another `postroom serve`: that takes over when the lease is over")
            .at(line),
    ))
}

/// Rooms that a dead service left.
fn rooms(patient: &Patient, is_attended: bool) -> Result<Option<Finding>, Failure> {
    if is_attended {
        return Ok(None);
    }
    let mut rooms = Vec::new();
    patient.disk.for_each(Path::new(layout::PROCESSING), |name, _| {
        rooms.extend(name.to_str().and_then(layout::parse_term));
    })?;
    let Some(room) = rooms.into_iter().max() else { return Ok(None) };
    Ok(Some(
        Finding::problem("stale-room", "a service ended without cleaning up: its room is still there")
            .because("it was killed, or the power failed; messages that it had in hand wait in its room")
            .mend("start a service: it works off the room before anything else, and nothing is lost or done twice")
            .at(layout::term_folder(room)),
    ))
}

/// Messages that a service at work does not take.
fn stuck(patient: &Patient, view: &View, is_attended: bool) -> Result<Option<Finding>, Failure> {
    let mut paths = Vec::new();
    view.each(State::Drop, &mut |item| paths.push(item.path))?;
    let mut oldest: Option<(u64, std::path::PathBuf)> = None;
    for path in paths.iter().filter(|_| is_attended) {
        let Some((_, changed)) = view.size_and_change(path)? else { continue };
        if oldest.as_ref().is_none_or(|(other, _)| changed < *other) {
            oldest = Some((changed, path.clone()));
        }
    }
    let stuck = oldest.filter(|(changed, _)| patient.now_ms.saturating_sub(*changed) > STUCK_MS);
    Ok(stuck.map(|(changed, path)| {
        let age = units::span(patient.now_ms.saturating_sub(changed));
        Finding::problem("stuck", format!("a message waits in the drop for {age} although a service is at work"))
            .because("a program has the file open for writing, or the service has trouble (full disk, no permission)")
            .mend("`lsof` tells who has it open; the service's standard error tells its trouble")
            .at(path)
    }))
}

pub fn dead_letters(view: &View) -> Result<Option<Finding>, Failure> {
    let count = view.count(State::DeadLetter)?;
    Ok((count > 0).then(|| {
        Finding::note(
            "dead-letters",
            format!("{} refused or given up", units::count(count, "message was", "messages were")),
        )
        .because("each has its reason beside it")
        .mend("`postroom dead-letter list`; then `retry` or `purge`")
        .at(layout::DEAD_LETTER)
    }))
}

#[cfg(test)]
mod tests {
    use postroom::bus::disk::Sync;

    use super::super::tests::on_a_bus;
    use super::*;

    /// When a file came, no test can change; what time it is now, it can.
    #[test]
    fn what_waits_for_a_minute_is_stuck_if_a_service_is_there() {
        on_a_bus(|patient| {
            patient.disk.create(Path::new("a.json"), &[b"{}"], Sync::Later).expect("created");
            let view = View::open(patient.bus).expect("a bus");
            let found = |later_ms: u64, is_attended| {
                let patient = Patient { now_ms: units::now_ms() + later_ms, ..*patient };
                stuck(&patient, &view, is_attended).expect("looked").map(|finding| (finding.check, finding.path))
            };
            assert_eq!(found(0, true), None);
            assert_eq!(found(2 * STUCK_MS, true), Some(("stuck", Some("a.json".into()))));
            assert_eq!(found(2 * STUCK_MS, false), None, "nobody could take it");
        });
    }
}
