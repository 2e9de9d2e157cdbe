//! Each kind of call that a running service makes fails once, with each error that it can have; and the disk is full
//! for a while. The service runs on, everything is answered, and it ends well when asked.

use std::collections::BTreeMap;

use postroom::bus::layout;

use crate::cases::{Verdict, each};
use crate::running::{LONG, Scene};
use crate::support::trace::{Aim, Ending, Fault, Kind, Plan, Scope, Step, Traced};
use crate::support::workspace::{Durability, wait_until};

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
        (Kind::Reads, "newfstatat" | "fstat") => vec![libc::EIO],
        (Kind::Reads, _) => vec![libc::EIO, libc::EMFILE, libc::ENFILE, libc::EINTR],
        (Kind::Grows | Kind::Changes, "openat" | "openat2" | "open") => {
            vec![libc::EIO, libc::EMFILE, libc::ENOSPC, libc::EROFS, libc::EINTR]
        }
        (Kind::Grows | Kind::Changes, "flock") => vec![libc::EIO, libc::EINTR],
        (Kind::Grows | Kind::Changes, _) => vec![libc::EIO, libc::ENOSPC, libc::EDQUOT, libc::EROFS],
    };
    let interruptible = ["write", "pwrite64", "writev", "fsync", "fdatasync", "fallocate", "ftruncate"];
    if interruptible.contains(&step.call) {
        errors.push(libc::EINTR);
    }
    let mut faults: Vec<Fault> = errors.into_iter().map(Fault::Errno).collect();
    if matches!(step.call, "write" | "pwrite64") {
        faults.push(Fault::ShortWrite);
    }
    faults
}

/// All steps of a run in which nothing fails, from its start to its clean end.
fn undisturbed(durability: Durability) -> Vec<Step> {
    let mut scene = Scene::new(durability);
    let service = scene.serve(Scope::Failable, Plan::Count);
    scene.settle("at first", || false);
    scene.drop_one_more("11.json");
    scene.settle("after one more", || false);
    service.signal(libc::SIGTERM);
    let report = service.finish(LONG).unwrap_or_else(|why| panic!("{why}"));
    match scene.verdict("not disturbed".to_owned()) {
        Verdict::Held => report.steps,
        Verdict::Past => unreachable!("no step was aimed at"),
        Verdict::Broken(case) => panic!("without any fault: {:#?}\n{}", case.findings, case.scene),
    }
}

/// How many of the faults of a step are tried.
#[derive(Clone, Copy, Debug)]
enum Faults {
    All,
    /// The first: which error it is makes no difference to what the durability changes.
    One,
}

/// Each kind of step with its faults: the first step of its kind, and where there are many, a later one.
fn cases(steps: &[Step], which: Faults) -> Vec<Case> {
    let mut kinds: BTreeMap<&str, Vec<&Step>> = BTreeMap::new();
    for step in steps {
        kinds.entry(&step.what).or_default().push(step);
    }
    let mut cases = Vec::new();
    let limit = match which {
        Faults::All => usize::MAX,
        Faults::One => 1,
    };
    for (what, steps) in kinds {
        let places = if steps.len() > 4 { vec![1, steps.len() / 2] } else { vec![1] };
        for nth in places {
            let faults = faults(steps[0]).into_iter().take(limit);
            cases.extend(faults.map(|fault| Case { what: what.to_owned(), nth, fault }));
        }
    }
    cases
}

fn failed_at(durability: Durability, case: &Case) -> Verdict {
    let mut scene = Scene::new(durability);
    let aim = Aim::Named { what: case.what.clone(), nth: case.nth };
    let service = scene.serve(Scope::Failable, Plan::Fail(aim, case.fault));
    scene.settle("at first", || service.has_ended());
    scene.drop_one_more("11.json");
    scene.settle("after one more", || service.has_ended());
    let name = format!("{} at {} ({})", told(case.fault), case.what, case.nth);
    if service.has_ended() && is_refusal_to_start(case, &service.said()) {
        scene.ends(service, "the service", Ending::Exit(1));
        scene.serve_once();
        return scene.verdict(name);
    }
    runs_still(&mut scene, &service);
    service.signal(libc::SIGTERM);
    let reached = service.ended(LONG).is_some();
    scene.ends(service, "the service", Ending::Exit(0));
    if case.what.starts_with("syncfs") {
        // Nothing proves that what was published is on the disk, so its log has to stay for the next service.
        scene.serve_once();
    } else if !scene.is_clean() {
        // What is found from here on is lost, and not only left to the next one.
        scene.serve_once();
    }
    if reached { scene.verdict(name) } else { scene.verdict_without_fault(&name) }
}

/// A service that cannot even open its bus may say so and end: it runs from the moment at which it says who is active.
/// An interruption is no reason.
fn is_refusal_to_start(case: &Case, said: &str) -> bool {
    let of_its_opening = |path: &str| path == "." || path == layout::FORMAT || layout::FOLDERS.contains(&path);
    case.what.rsplit(' ').next().is_some_and(of_its_opening)
        && case.fault != Fault::Errno(libc::EINTR)
        && !said.contains("active")
        && said.contains("error: ")
}

fn runs_still(scene: &mut Scene, service: &Traced) {
    let ended = service.has_ended();
    scene.note("before it was asked to", if ended { Err("the service ended".to_owned()) } else { Ok(()) });
}

fn told(fault: Fault) -> String {
    match fault {
        Fault::Errno(errno) => std::io::Error::from_raw_os_error(errno).to_string(),
        Fault::ShortWrite => "a short write".to_owned(),
    }
}

fn sweep(durability: Durability, which: Faults) {
    let cases = cases(&undisturbed(durability), which);
    assert!(cases.len() > 60, "a service makes more kinds of steps: {cases:#?}");
    let missed = each(WORKERS, &cases, |case| failed_at(durability, case));
    assert!(missed.len() * 5 < cases.len(), "{} of {} were never reached: {missed:#?}", missed.len(), cases.len());
}

#[test]
fn every_error_at_every_step_with_full_durability() {
    sweep(Durability::Full, Faults::All);
}

#[test]
fn an_error_at_every_step_with_process_durability() {
    sweep(Durability::Process, Faults::One);
}

/// From this step on nothing can be written, until the service has been refused some times: its patience grows with
/// each, so this is about a second.
fn full_disk(durability: Durability, from: usize) -> Verdict {
    const REFUSED: usize = 5;
    let mut scene = Scene::new(durability);
    let choose = Box::new(move |step: &Step| step.kind == Kind::Grows && step.number >= from);
    let service = scene.serve(Scope::Changes, Plan::FailWhile(choose, libc::ENOSPC));
    scene.settle("before the disk was full", || service.hit().is_some() || service.has_ended());
    scene.drop_one_more("11.json");
    let tried = wait_until(LONG, || {
        let refused = service.refused();
        if refused >= REFUSED || service.has_ended() { Ok(()) } else { Err(format!("it tried only {refused} times")) }
    });
    scene.note("while the disk was full", tried);
    service.heal();
    scene.settle("after the disk had room again", || service.has_ended());
    runs_still(&mut scene, &service);
    scene.stop(service, "the service");
    scene.verdict(format!("no space from step {from} on"))
}

#[test]
fn a_full_disk_is_survived_wherever_it_begins() {
    let from: Vec<usize> = (1..=121).step_by(12).collect();
    for durability in [Durability::Full, Durability::Process] {
        let missed = each(WORKERS, &from, |from| full_disk(durability, *from));
        assert!(missed.is_empty(), "the disk was full in each case: {missed:?}");
    }
}

/// What a service has synced before it had to is no promise; but if that fails, nothing proves any more what is on the disk.
#[test]
fn an_early_sync_that_fails_keeps_the_log() {
    let mut scene = Scene::new(Durability::Full);
    let aim = Aim::Named { what: "syncfs .".to_owned(), nth: 1 };
    let service = scene.serve(Scope::Failable, Plan::Fail(aim, Fault::Errno(libc::EIO)));
    // In all more than is worth an early sync, and far less than a full log.
    let payload = format!("\"{}\"", "x".repeat(14 * 1024));
    for number in 0..700 {
        scene.drop_with(&format!("long-{number}.json"), &payload);
    }
    scene.settle("with a long log", || service.has_ended());
    let hit = wait_until(LONG, || service.hit().map(|_| ()).ok_or_else(|| service.said()));
    scene.note("the early sync", hit);
    let says_so = || if service.said().contains("rests on this service's log") { Ok(()) } else { Err(service.said()) };
    scene.note("said", wait_until(LONG, says_so));
    scene.drop_one_more("11.json");
    scene.settle("after it", || service.has_ended());
    runs_still(&mut scene, &service);
    scene.stop(service, "the service");
    let rooms = std::fs::read_dir(scene.workspace.bus().join("processing")).expect("a folder").count();
    assert_eq!(rooms, 1, "the log is left to the next service");
    scene.serve_once();
    if let Verdict::Broken(case) = scene.verdict("a failed early sync".to_owned()) {
        panic!("{:#?}\n{}", case.findings, case.scene);
    }
}
