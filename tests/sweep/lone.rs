//! A service that has nothing to do, and then one message: its reply is written into the file that was made ahead. A kill, or a
//! stop with another beside it, at every step from the start of the service to its end.

use crate::cases::{Verdict, count_up};
use crate::running::{LONG, Scene};
use crate::support::trace::{Aim, Ending, Plan, Scope, Traced, When};
use crate::support::workspace::{Durability, below, wait_until};

const WORKERS: usize = 3;

/// An empty bus and a service on it, that has come to rest unless its plan has got it before.
fn at_rest(durability: Durability, plan: Plan) -> (Scene, Traced) {
    let mut scene = Scene::empty(durability);
    let service = scene.serve(Scope::Changes, plan);
    let rested = wait_until(LONG, || {
        let is_ahead = below(&scene.workspace.bus().join("processing"))
            .iter()
            .any(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("+ahead.")));
        if is_ahead || service.is_stopped() || service.has_ended() { Ok(()) } else { Err(service.said()) }
    });
    scene.note("with nothing to do", rested);
    (scene, service)
}

fn killed_at(durability: Durability, at: usize) -> Verdict {
    let (mut scene, service) = at_rest(durability, Plan::Kill(Aim::Number(at), When::Before));
    scene.drop_one_more("1.json");
    scene.settle("a lone message", || service.has_ended());
    service.signal(libc::SIGTERM);
    let Some(step) = service.ended(LONG) else {
        scene.ends(service, "the only service", Ending::Exit(0));
        return scene.verdict_without_fault(&format!("step {at}"));
    };
    scene.ends(service, "the service that was killed", Ending::Signal(libc::SIGKILL));
    scene.serve_once();
    scene.verdict(format!("killed before {step}"))
}

fn stopped_at(durability: Durability, at: usize) -> Verdict {
    let (mut scene, sleeper) = at_rest(durability, Plan::Stop(Aim::Number(at)));
    scene.drop_one_more("1.json");
    let Some(step) = scene.until_it_stands(&sleeper) else {
        scene.stop(sleeper, "the only service");
        return scene.verdict_without_fault(&format!("step {at}"));
    };
    let other = scene.serve(Scope::Changes, Plan::Count);
    // The first message may be answered: that the other has taken over is seen by this one.
    scene.drop_one_more("2.json");
    scene.settle("while the first stands still", || false);
    scene.wake(&sleeper);
    scene.drop_one_more("3.json");
    scene.settle("after the first woke up", || false);
    scene.stop(sleeper, "the service that was woken");
    scene.stop(other, "the service that took over");
    scene.verdict(format!("stood still before {step}"))
}

#[test]
fn killed_around_a_lone_message() {
    for durability in [Durability::Full, Durability::Process] {
        let killed = count_up(WORKERS, |at| killed_at(durability, at));
        assert!(killed > 30, "only {killed} steps were reached");
    }
}

#[test]
fn stopped_around_a_lone_message() {
    for durability in [Durability::Full, Durability::Process] {
        let stopped = count_up(WORKERS, |at| stopped_at(durability, at));
        assert!(stopped > 30, "only {stopped} steps were reached");
    }
}
