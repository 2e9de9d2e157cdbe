//! A service dies with everything decided and nothing published, and some of it cannot be published by the next one: inboxes are no
//! folders. A kill, or an error, at every step of that one until it has come to rest; then the inboxes are free, and all is as ever.

use std::fs;

use crate::cases::{Verdict, each};
use crate::running::{LONG, Scene};
use crate::support::audit::{Moment, audit};
use crate::support::trace::{Aim, Ending, Fault, Plan, Scope, Traced, When};
use crate::support::workload::{ODD_PAYLOAD, drop_all, echo, one_of_each};
use crate::support::workspace::{Durability, Workspace, wait_until};

const WORKERS: usize = 2;
/// Of the one a reply, of the other a registration, too.
const BLOCKED: [&str; 2] = ["inbox/alice", "inbox/carol"];

/// The bus that such a service has left.
fn decided() -> Scene {
    let workspace = Workspace::new(Durability::Full);
    let kinds = one_of_each();
    // A message to several, and a registration.
    let sent = vec![echo("01.json", "alice", "a-1", ODD_PAYLOAD), kinds[1].clone(), kinds[3].clone(), kinds[7].clone()];
    drop_all(&workspace, &sent);
    let mut scene = Scene::with(workspace, sent, Box::new(audit));
    let aim = Aim::Named { what: "fdatasync processing/1/ROOM/log".to_owned(), nth: 1 };
    // One that runs once makes its log no longer beside itself: the first sync is that of the batch.
    let (once, plan) = (scene.workspace.serve_once(), Plan::Kill(aim, When::After));
    let victim = Traced::start(once, scene.workspace.bus(), Scope::Changes, plan);
    victim.ended(LONG);
    scene.ends(victim, "the service that decided", Ending::Signal(libc::SIGKILL));
    for inbox in BLOCKED {
        scene.workspace.put(inbox, b"in the way");
    }
    scene
}

fn free(scene: &Scene) {
    for inbox in BLOCKED {
        fs::remove_file(scene.workspace.bus().join(inbox)).expect("it is still in the way");
    }
}

/// It has tried, and what is left is for those inboxes alone.
fn comes_to_rest(scene: &mut Scene, service: &Traced) {
    let bob = scene.workspace.bus().join("inbox/bob/b-1.reply.json");
    let rested = wait_until(LONG, || {
        let is_at_rest = service.said().contains("trying again") && bob.exists();
        if is_at_rest || service.has_ended() { Ok(()) } else { Err(service.said()) }
    });
    scene.note("beside the inboxes", rested);
}

fn killed_at(at: usize) -> Verdict {
    let mut scene = decided();
    let victim = scene.serve(Scope::Changes, Plan::Kill(Aim::Number(at), When::Before));
    let step = victim.ended(LONG);
    scene.ends(victim, "the service that recovered", Ending::Signal(libc::SIGKILL));
    free(&scene);
    scene.serve_once();
    scene.verdict(format!("killed before {}", step.map_or_else(|| at.to_string(), |step| step.to_string())))
}

fn refused_at(at: usize) -> Verdict {
    let mut scene = decided();
    let service = scene.serve(Scope::Changes, Plan::Fail(Aim::Number(at), Fault::Errno(libc::EIO)));
    comes_to_rest(&mut scene, &service);
    free(&scene);
    scene.settle("once the inboxes are free", || service.has_ended());
    scene.stop(service, "the service that recovered");
    scene.verdict(format!("an error at {at}"))
}

/// How many steps there are until it has come to rest. Everything but what waits is done then.
fn steps() -> usize {
    let mut scene = decided();
    let service = scene.serve(Scope::Changes, Plan::Count);
    comes_to_rest(&mut scene, &service);
    let steps = service.steps();
    let left = audit(scene.workspace.bus(), &[], Moment::Idle);
    assert!(steps > 40 && !left.is_empty(), "{steps} steps: {left:?}");
    free(&scene);
    scene.settle("undisturbed", || service.has_ended());
    scene.stop(service, "the service that recovered");
    if let Verdict::Broken(case) = scene.verdict("not disturbed".to_owned()) {
        panic!("without any fault: {:#?}\n{}", case.findings, case.scene);
    }
    steps
}

#[test]
fn killed_while_something_is_set_aside() {
    let numbers: Vec<usize> = (1..=steps()).collect();
    each(WORKERS, &numbers, |at| killed_at(*at));
}

#[test]
fn refused_while_something_is_set_aside() {
    let numbers: Vec<usize> = (1..=steps()).collect();
    each(WORKERS, &numbers, |at| refused_at(*at));
}
