//! A service that finds old days in the archive: one to be packed, one to be removed. A kill, a stop with another beside it, or an error at
//! every step; whatever happens, each archived message is in its day's folder or in a packed file, and in the end the day is packed.

use std::path::Path;
use std::sync::Arc;

use crate::aged::Aged;
use crate::cases::{Verdict, count_up, each, each_pair};
use crate::running::{OneError, Scene};
use crate::support::audit::{Moment, audit_beside};
use crate::support::trace::{Aim, Plan, Scope, Step};
use crate::support::workspace::{Durability, Workspace};

const WORKERS: usize = 3;
/// Housekeeping that failed is done again after 10 s, and almost all of a case is waiting for that.
const WAITING: usize = 32;

/// A bus with the old days, on which one message waits.
fn aged(durability: Durability) -> (Scene, Arc<Aged>) {
    let workspace = Workspace::new(durability);
    let aged = Arc::new(Aged::put_into(&workspace));
    let mut scene = Scene::with(workspace, Vec::new(), {
        let aged = aged.clone();
        Box::new(move |bus, sent, moment| {
            // Many look at once, for as long as housekeeping takes: nothing more as long as this is not done.
            if moment == Moment::Idle && aged.is_unpacked(bus) {
                return vec!["the old day has a folder still".to_owned()];
            }
            let mut findings = audit_beside(bus, sent, moment, &|path: &Path| aged.has(path));
            findings.extend(aged.findings(bus, moment));
            findings
        })
    });
    scene.drop_one_more("1.json");
    (scene, aged)
}

fn killed_at(durability: Durability, at: usize) -> Verdict {
    let (mut scene, aged) = aged(durability);
    let Some(step) = scene.serve_until_killed(at) else {
        return scene.verdict_without_fault(&format!("step {at}"));
    };
    aged.nothing_is_lost(&mut scene, "after the kill");
    let next = scene.serve(Scope::Changes, Plan::Count);
    scene.drop_one_more("2.json");
    scene.settle("with the next service", || false);
    scene.stop(next, "the next service");
    scene.verdict(format!("killed before {step}"))
}

/// Once more while the next service recovers.
fn killed_twice((first, second): (usize, usize)) -> Verdict {
    let (mut scene, aged) = aged(Durability::Full);
    let one = scene.serve_until_killed(first);
    scene.drop_one_more("2.json");
    let two = scene.serve_until_killed(second);
    aged.nothing_is_lost(&mut scene, "after the kill");
    let next = scene.serve(Scope::Changes, Plan::Count);
    scene.drop_one_more("3.json");
    scene.settle("with the third service", || false);
    scene.stop(next, "the third service");
    match (one, two) {
        (Some(one), Some(two)) => scene.verdict(format!("killed before {one}, then before {two}")),
        _ => scene.verdict_without_fault(&format!("step {first} or {second}")),
    }
}

fn stopped_at(durability: Durability, at: usize) -> Verdict {
    let (mut scene, aged) = aged(durability);
    let sleeper = scene.serve(Scope::Changes, Plan::Stop(Aim::Number(at)));
    let Some(step) = scene.until_it_stands(&sleeper) else {
        scene.stop(sleeper, "the only service");
        return scene.verdict_without_fault(&format!("step {at}"));
    };
    aged.nothing_is_lost(&mut scene, "while it stands still");
    let other = scene.serve(Scope::Changes, Plan::Count);
    scene.drop_one_more("2.json");
    scene.settle("while the first stands still", || false);
    let packed = aged.packed_files(scene.workspace.bus());
    scene.wake(&sleeper);
    scene.drop_one_more("3.json");
    scene.settle("after the first woke up", || false);
    scene.stop(sleeper, "the service that was woken");
    scene.stop(other, "the service that took over");
    let after = aged.packed_files(scene.workspace.bus());
    scene.note("woken, it packed", if packed == after { Ok(()) } else { Err(format!("{after:?}, not {packed:?}")) });
    scene.verdict(format!("stood still before {step}"))
}

fn is_about_old_days(step: &Step) -> bool {
    let parts = ["archive/DAY.jsonl", "archive/DAY ->", "packed-", "gone-packing-", "gone-day-", "gone-DAY", "found-"];
    parts.iter().any(|part| step.what.contains(part)) || step.what == "fsync archive"
}

fn failed_at(error: &OneError) -> Verdict {
    let (scene, aged) = aged(Durability::Full);
    scene.serve_refused(error, |scene| aged.nothing_is_lost(scene, "after an error"))
}

#[test]
fn killed_while_old_days_are_packed_and_removed() {
    for durability in [Durability::Full, Durability::Process] {
        let killed = count_up(WORKERS, |at| killed_at(durability, at));
        println!("killed before each of {killed} steps");
        assert!(killed > 60, "only {killed} steps were reached");
    }
}

#[test]
fn killed_again_while_old_days_are_packed_and_removed() {
    each_pair(WORKERS, (12..84).step_by(12), killed_twice);
}

#[test]
fn stopped_while_old_days_are_packed_and_removed() {
    let stopped = count_up(WORKERS, |at| stopped_at(Durability::Full, at));
    println!("stopped before each of {stopped} steps");
    assert!(stopped > 60, "only {stopped} steps were reached");
}

#[test]
fn whatever_fails_while_old_days_are_packed_and_removed() {
    let (scene, aged) = aged(Durability::Full);
    let steps = scene.undisturbed(|scene| aged.nothing_is_lost(scene, "undisturbed"));
    let steps: Vec<Step> = steps.into_iter().filter(is_about_old_days).collect();
    assert!(steps.len() > 20, "{steps:#?}");
    let errors = OneError::at_each(&steps);
    println!("{} errors", errors.len());
    let missed = each(WAITING, &errors, failed_at);
    assert!(missed.is_empty(), "never reached: {missed:?}");
}
