//! kill -9 before every step of a run that handles everything, then once more while the next run recovers.

use std::time::Duration;

use crate::cases::{Verdict, count_up, each};
use crate::support::audit::{Moment, audit};
use crate::support::trace::{Aim, Ending, Fault, Plan, Report, Scope, When, run};
use crate::support::workload::{drop_all, one_of_each};
use crate::support::workspace::{Durability, Workspace};

/// Far more than a run takes; only a service that hangs needs it.
const LONG: Duration = Duration::from_secs(60);
const WORKERS: usize = 2;

fn fresh(durability: Durability) -> Workspace {
    let workspace = Workspace::new(durability);
    drop_all(&workspace, &one_of_each());
    workspace
}

fn serve_once(workspace: &Workspace, plan: Plan) -> Report {
    run(workspace.serve_once(), workspace.bus(), Scope::Changes, plan, LONG)
}

/// The last run, that nothing disturbs, and what it leaves.
fn recover(workspace: &Workspace) -> (Report, Vec<String>) {
    let report = serve_once(workspace, Plan::Count);
    let mut findings = audit(workspace.bus(), &one_of_each(), Moment::Ended);
    if report.ending != Ending::Exit(0) {
        findings.insert(0, format!("the run after the kill ended with {:?}", report.ending));
    }
    (report, findings)
}

fn scene(workspace: &Workspace, killed: &[&Report], last: &Report) -> String {
    let mut told = String::new();
    for report in killed {
        told += &format!("steps before the kill:\n{}it said:\n{}\n", report.tail(15), report.output);
    }
    told + &format!("the last run's steps:\n{}it said:\n{}\n{}", last.tail(150), last.output, workspace.tree())
}

fn killed_once(durability: Durability, at: usize, when: When) -> Verdict {
    let workspace = fresh(durability);
    let killed = serve_once(&workspace, Plan::Kill(Aim::Number(at), when));
    let (last, findings) = recover(&workspace);
    match &killed.hit {
        None if findings.is_empty() && killed.ending == Ending::Exit(0) => Verdict::Past,
        hit => {
            let step = hit.as_ref().map_or_else(|| format!("nothing: {:?}", killed.ending), ToString::to_string);
            let name = format!("killed {when:?} {step}");
            Verdict::on(name, findings, || scene(&workspace, &[&killed], &last))
        }
    }
}

fn killed_twice(durability: Durability, first: usize, second: usize) -> Verdict {
    let workspace = fresh(durability);
    let one = serve_once(&workspace, Plan::Kill(Aim::Number(first), When::Before));
    let two = serve_once(&workspace, Plan::Kill(Aim::Number(second), When::Before));
    let (last, findings) = recover(&workspace);
    match (&one.hit, &two.hit) {
        (Some(one_step), Some(two_step)) => {
            let name = format!("killed before {one_step}, then before {two_step}");
            Verdict::on(name, findings, || scene(&workspace, &[&one, &two], &last))
        }
        _ if findings.is_empty() => Verdict::Past,
        _ => Verdict::on(format!("killed before {first}, then at most {second}"), findings, || {
            scene(&workspace, &[&one, &two], &last)
        }),
    }
}

/// Without a kill the same audit must be content, and the run must have been worth sweeping.
fn undisturbed(durability: Durability) -> usize {
    let workspace = fresh(durability);
    let (report, findings) = recover(&workspace);
    assert!(findings.is_empty(), "{findings:#?}\n{}", scene(&workspace, &[], &report));
    assert!(report.steps.len() > 40, "eight messages take more steps:\n{}", report.tail(40));
    report.steps.len()
}

fn sweep(durability: Durability) {
    let steps = undisturbed(durability);
    let killed = count_up(WORKERS, |at| killed_once(durability, at, When::Before));
    println!("killed before each of {killed} steps");
    // Which messages share a batch differs from run to run, so the number of steps does a little.
    assert!(killed * 2 > steps, "only {killed} of about {steps} steps were reached");
}

fn sweep_twice(durability: Durability) {
    let steps = undisturbed(durability);
    let spread = |count: usize| (1..=steps).step_by((steps / count).max(1)).collect::<Vec<_>>();
    let pairs: Vec<(usize, usize)> =
        spread(12).into_iter().flat_map(|first| spread(9).into_iter().map(move |second| (first, second))).collect();
    let missed = each(WORKERS, &pairs, |(first, second)| killed_twice(durability, *first, *second));
    assert!(missed.len() * 2 < pairs.len(), "most pairs were never reached: {missed:?}");
}

/// The nth sync of the log fails, and some steps later comes the kill (the protocol's interleavings 2 and 3).
fn failed_sync_then_kill(nth: usize, later: usize) -> Verdict {
    let workspace = fresh(Durability::Full);
    let aim = Aim::Named { what: "fdatasync processing/1/ROOM/log".to_owned(), nth };
    let killed = serve_once(&workspace, Plan::FailThenKill(aim, Fault::Errno(libc::EIO), later));
    let (last, findings) = recover(&workspace);
    match (&killed.hit, killed.ending) {
        (Some(step), Ending::Signal(_)) => {
            let name = format!("failed {step}, killed {later} steps later");
            Verdict::on(name, findings, || scene(&workspace, &[&killed], &last))
        }
        _ if findings.is_empty() => Verdict::Past,
        _ => Verdict::on(format!("sync {nth} failed"), findings, || scene(&workspace, &[&killed], &last)),
    }
}

#[test]
fn killed_at_every_step_with_full_durability() {
    sweep(Durability::Full);
}

#[test]
fn killed_at_every_step_with_process_durability() {
    sweep(Durability::Process);
}

#[test]
fn killed_just_after_a_step() {
    let steps = undisturbed(Durability::Full);
    let chosen: Vec<usize> = (1..=steps).step_by(7).collect();
    let missed = each(WORKERS, &chosen, |at| killed_once(Durability::Full, *at, When::After));
    assert!(missed.len() * 2 < chosen.len(), "most were never reached: {missed:?}");
}

#[test]
fn killed_again_while_recovering_with_full_durability() {
    sweep_twice(Durability::Full);
}

#[test]
fn killed_again_while_recovering_with_process_durability() {
    sweep_twice(Durability::Process);
}

#[test]
fn failed_sync_then_kill_at_each_step_after_it() {
    let cases: Vec<(usize, usize)> = (1..=3).flat_map(|nth| (1..=40).map(move |later| (nth, later))).collect();
    let missed = each(WORKERS, &cases, |(nth, later)| failed_sync_then_kill(*nth, *later));
    assert!(missed.len() * 2 < cases.len(), "most were never reached: {missed:?}");
}
