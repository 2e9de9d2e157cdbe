//! Each kind of call that a running service makes fails once, with each error that it can have; and the disk is full
//! for a while. The service runs on, everything is answered, and it ends well when asked.

use std::collections::BTreeMap;

use crate::cases::{Verdict, each};
use crate::running::{LONG, serve, settled, stop};
use crate::support::audit::{Moment, audit};
use crate::support::trace::{Aim, Fault, Kind, Plan, Report, Scope, Step};
use crate::support::workload::{Sent, drop_all, echo, one_of_each};
use crate::support::workspace::{Durability, Workspace, wait_until};

/// Most of a case is waiting for the service to try again.
const WORKERS: usize = 4;

/// One fault: a call as it reads, which of those that read so, and what happens to it.
#[derive(Clone, Debug)]
struct Case {
    what: String,
    nth: usize,
    fault: Fault,
}

/// The errors that a call can return on a local disk (`man 2` of each), and a write that is cut short.
fn faults(step: &Step) -> Vec<Fault> {
    let mut errors = match (step.kind, step.call) {
        (Kind::Reads, "read" | "pread64" | "getdents64") => vec![libc::EIO, libc::EINTR],
        (Kind::Reads, _) => vec![libc::EIO, libc::EMFILE, libc::ENFILE, libc::EINTR],
        (Kind::Grows | Kind::Changes, "openat" | "openat2" | "open") => {
            vec![libc::EIO, libc::EMFILE, libc::ENOSPC, libc::EROFS, libc::EINTR]
        }
        (Kind::Grows | Kind::Changes, "flock") => vec![libc::EIO, libc::EINTR],
        (Kind::Grows | Kind::Changes, _) => vec![libc::EIO, libc::ENOSPC, libc::EROFS],
    };
    let interruptible = [
        "write",
        "pwrite64",
        "writev",
        "fsync",
        "fdatasync",
        "fallocate",
        "ftruncate",
    ];
    if interruptible.contains(&step.call) {
        errors.push(libc::EINTR);
    }
    let mut faults: Vec<Fault> = errors.into_iter().map(Fault::Errno).collect();
    if matches!(step.call, "write" | "pwrite64") {
        faults.push(Fault::ShortWrite);
    }
    faults
}

fn fresh(durability: Durability) -> (Workspace, Vec<Sent>) {
    let workspace = Workspace::new(durability);
    let sent = one_of_each();
    drop_all(&workspace, &sent);
    (workspace, sent)
}

fn drop_one_more(workspace: &Workspace, sent: &mut Vec<Sent>) {
    let more = echo("11.json", "dora", "d-1", "[1.0]");
    workspace.drop_file(&more.file, &more.bytes);
    sent.push(more);
}

/// All steps of a run in which nothing fails, from its start to its clean end.
fn undisturbed(durability: Durability) -> Vec<Step> {
    let (workspace, mut sent) = fresh(durability);
    let service = serve(&workspace, Scope::Failable, Plan::Count);
    let mut findings = Vec::new();
    findings.extend(settled(&workspace, &sent, || false).err());
    drop_one_more(&workspace, &mut sent);
    findings.extend(settled(&workspace, &sent, || false).err());
    let report = stop(service, "the service", &mut findings);
    findings.extend(audit(workspace.bus(), &sent, Moment::Ended));
    let steps = report.map(|report| report.steps).unwrap_or_default();
    assert!(findings.is_empty(), "{findings:#?}\n{}", workspace.tree());
    steps
}

/// Each kind of step with each of its faults: the first step of its kind, and where there are many, a later one.
fn cases(steps: &[Step]) -> Vec<Case> {
    let mut kinds: BTreeMap<&str, Vec<&Step>> = BTreeMap::new();
    for step in steps {
        kinds.entry(&step.what).or_default().push(step);
    }
    let mut cases = Vec::new();
    for (what, steps) in kinds {
        let places = if steps.len() > 4 {
            vec![1, steps.len() / 2]
        } else {
            vec![1]
        };
        for nth in places {
            cases.extend(faults(steps[0]).into_iter().map(|fault| Case {
                what: what.to_owned(),
                nth,
                fault,
            }));
        }
    }
    cases
}

fn failed_at(durability: Durability, case: &Case) -> Verdict {
    let (workspace, mut sent) = fresh(durability);
    let aim = Aim::Named {
        what: case.what.clone(),
        nth: case.nth,
    };
    let service = serve(&workspace, Scope::Failable, Plan::Fail(aim, case.fault));
    let mut findings = Vec::new();
    findings.extend(settled(&workspace, &sent, || service.has_ended()).err());
    drop_one_more(&workspace, &mut sent);
    findings.extend(settled(&workspace, &sent, || service.has_ended()).err());
    if service.has_ended() {
        findings.push("the service ended by itself".to_owned());
    }
    let report = stop(service, "the service", &mut findings);
    findings.extend(audit(workspace.bus(), &sent, Moment::Ended));
    let hit = report.as_ref().and_then(|report| report.hit.clone());
    if hit.is_none() && findings.is_empty() {
        return Verdict::Past;
    }
    let step = hit.map_or_else(|| "nothing".to_owned(), |step| step.to_string());
    let name = format!("{} at {step}", told(case.fault));
    Verdict::on(name, findings, || scene(&workspace, report.as_ref()))
}

fn told(fault: Fault) -> String {
    match fault {
        Fault::Errno(errno) => std::io::Error::from_raw_os_error(errno).to_string(),
        Fault::ShortWrite => "a short write".to_owned(),
    }
}

fn scene(workspace: &Workspace, report: Option<&Report>) -> String {
    let told = report.map_or_else(String::new, |report| {
        let near = report.hit.as_ref().map_or(0, |hit| hit.number);
        let around = report
            .steps
            .iter()
            .filter(|step| step.number + 10 > near && step.number < near + 60);
        let steps: String = around
            .map(|step| format!("  #{} {}\n", step.number, step.exact))
            .collect();
        format!("steps around it:\n{steps}it said:\n{}\n", report.output)
    });
    told + &workspace.tree()
}

fn sweep(durability: Durability) {
    let cases = cases(&undisturbed(durability));
    assert!(cases.len() > 100, "a service makes more kinds of steps: {cases:#?}");
    let missed = each(WORKERS, &cases, |case| failed_at(durability, case));
    assert!(
        missed.len() * 5 < cases.len(),
        "{} of {} were never reached: {missed:#?}",
        missed.len(),
        cases.len()
    );
}

#[test]
fn every_error_at_every_step_with_full_durability() {
    sweep(Durability::Full);
}

#[test]
fn every_error_at_every_step_with_process_durability() {
    sweep(Durability::Process);
}

/// From the step that `from` names on, nothing can be written until the service has tried for a while.
fn full_disk(durability: Durability, from: usize) -> Verdict {
    const REFUSED: usize = 25;
    let (workspace, mut sent) = fresh(durability);
    let choose = Box::new(move |step: &Step| step.kind == Kind::Grows && step.number >= from);
    let service = serve(&workspace, Scope::Changes, Plan::FailWhile(choose, libc::ENOSPC));
    let mut findings = Vec::new();
    // A service that has nothing to write while the disk is full gets something.
    let result = settled(&workspace, &sent, || service.hit().is_some() || service.has_ended());
    findings.extend(result.err());
    drop_one_more(&workspace, &mut sent);
    let tried = wait_until(LONG, || {
        let refused = service.refused();
        if refused >= REFUSED || service.has_ended() {
            Ok(())
        } else {
            Err(format!("it tried only {refused} times"))
        }
    });
    findings.extend(tried.err());
    service.heal();
    findings.extend(settled(&workspace, &sent, || service.has_ended()).err());
    if service.has_ended() {
        findings.push("the service ended by itself".to_owned());
    }
    let report = stop(service, "the service", &mut findings);
    findings.extend(audit(workspace.bus(), &sent, Moment::Ended));
    Verdict::on(format!("no space from step {from} on"), findings, || {
        scene(&workspace, report.as_ref())
    })
}

#[test]
fn a_full_disk_is_survived_wherever_it_begins() {
    let from: Vec<usize> = (1..=121).step_by(12).collect();
    for durability in [Durability::Full, Durability::Process] {
        let missed = each(WORKERS, &from, |from| full_disk(durability, *from));
        assert!(missed.is_empty(), "the disk was full in each case: {missed:?}");
    }
}
