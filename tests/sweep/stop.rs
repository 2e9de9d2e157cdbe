//! The active service stands still before every step in turn, another takes over and answers everything, and then the
//! first one wakes up: it must change nothing, and know that it is no longer the active one. Also with two of three.

use crate::cases::{Verdict, count_up, each};
use crate::running::{LONG, Scene};
use crate::support::trace::{Aim, Ending, Plan, Scope, When};
use crate::support::workspace::Durability;

/// Most of a case is waiting for a lease to run out.
const WORKERS: usize = 3;

fn stopped_at(durability: Durability, at: usize) -> Verdict {
    let mut scene = Scene::new(durability);
    let sleeper = scene.serve(Scope::Changes, Plan::Stop(Aim::Number(at)));
    let Some(step) = scene.until_it_stands(&sleeper) else {
        scene.stop(sleeper, "the only service");
        return scene.verdict_without_fault(&format!("step {at}"));
    };
    let other = scene.serve(Scope::Changes, Plan::Count);
    scene.drop_one_more("11.json");
    scene.settle("while the first stands still", || false);
    scene.wake(&sleeper);
    scene.drop_one_more("12.json");
    scene.settle("after the first woke up", || false);
    scene.stop(sleeper, "the service that was woken");
    scene.stop(other, "the service that took over");
    scene.verdict(format!("stood still before {step}"))
}

/// Which of two sleepers wakes up first.
#[derive(Clone, Copy, Debug)]
enum Waking {
    FirstFirst,
    SecondFirst,
}

fn two_stopped(first: usize, second: usize, waking: Waking) -> Verdict {
    let mut scene = Scene::new(Durability::Full);
    let one = scene.serve(Scope::Changes, Plan::Stop(Aim::Number(first)));
    let Some(one_step) = scene.until_it_stands(&one) else {
        scene.stop(one, "the only service");
        return scene.verdict_without_fault(&format!("step {first}"));
    };
    let two = scene.serve(Scope::Changes, Plan::Stop(Aim::Number(second)));
    scene.drop_one_more("11.json");
    let Some(two_step) = scene.until_it_stands(&two) else {
        scene.wake(&one);
        scene.stop(one, "the first service");
        scene.stop(two, "the second service");
        return scene.verdict_without_fault(&format!("step {second}"));
    };
    let three = scene.serve(Scope::Changes, Plan::Count);
    scene.drop_one_more("12.json");
    scene.settle("while two stand still", || false);
    let order = match waking {
        Waking::FirstFirst => [&one, &two],
        Waking::SecondFirst => [&two, &one],
    };
    order.into_iter().for_each(|sleeper| scene.wake(sleeper));
    scene.drop_one_more("13.json");
    scene.settle("after both woke up", || false);
    scene.stop(one, "the first service");
    scene.stop(two, "the second service");
    scene.stop(three, "the third service");
    scene.verdict(format!("stood still before {one_step}, the next before {two_step}, {waking:?}"))
}

/// When the second of two services is started.
#[derive(Clone, Copy, Debug)]
enum Start {
    /// With the first: which of them becomes active is open.
    Together,
    /// When the first is active and has nothing to do: the second stands by.
    Later,
}

/// Two services run, and one of them is killed. What it leaves of a room that it never entered may stay until the next
/// service begins, so one more has a turn at the end.
fn killed_beside_another(durability: Durability, start: Start, at: usize) -> Verdict {
    let mut scene = Scene::new(durability);
    let plan = Plan::Kill(Aim::Number(at), When::Before);
    let (other, victim) = match start {
        Start::Together => {
            let victim = scene.serve(Scope::Changes, plan);
            (scene.serve(Scope::Changes, Plan::Count), victim)
        }
        Start::Later => {
            let other = scene.serve(Scope::Changes, Plan::Count);
            scene.settle("with the first service", || false);
            (other, scene.serve(Scope::Changes, plan))
        }
    };
    scene.settle("with two services", || false);
    // Both active and stand-by make steps with every look, so it gets there.
    let reached = victim.ended(LONG);
    scene.drop_one_more("11.json");
    scene.settle("after the kill", || false);
    match &reached {
        Some(_) => scene.ends(victim, "the victim", Ending::Signal(libc::SIGKILL)),
        None => scene.stop(victim, "the victim that was spared"),
    }
    scene.stop(other, "the other service");
    scene.serve_once();
    match reached {
        Some(step) => scene.verdict(format!("killed ({start:?}) before {step}")),
        None => scene.verdict_without_fault(&format!("step {at}")),
    }
}

fn sweep(durability: Durability) {
    let stopped = count_up(WORKERS, |at| stopped_at(durability, at));
    println!("stopped before each of {stopped} steps");
    assert!(stopped > 40, "only {stopped} steps were reached");
}

#[test]
fn stopped_at_every_step_with_full_durability() {
    sweep(Durability::Full);
}

#[test]
fn stopped_at_every_step_with_process_durability() {
    sweep(Durability::Process);
}

#[test]
fn two_of_three_hang_in_turn() {
    let mut cases = Vec::new();
    for first in (5..100).step_by(13) {
        for second in (5..100).step_by(13) {
            let waking = if (first + second) % 2 == 0 { Waking::FirstFirst } else { Waking::SecondFirst };
            cases.push((first, second, waking));
        }
    }
    let missed = each(WORKERS, &cases, |(first, second, waking)| two_stopped(*first, *second, *waking));
    assert!(missed.len() * 2 < cases.len(), "most were never reached: {missed:?}");
}

#[test]
fn killed_with_another_beside_it() {
    let both = [Durability::Full, Durability::Process];
    let together =
        both.into_iter().flat_map(|durability| (1..120).step_by(4).map(move |at| (durability, Start::Together, at)));
    let later = both.into_iter().flat_map(|durability| (1..16).map(move |at| (durability, Start::Later, at)));
    let cases: Vec<_> = together.chain(later).collect();
    let missed = each(WORKERS, &cases, |(durability, start, at)| killed_beside_another(*durability, *start, *at));
    assert!(missed.is_empty(), "never reached: {missed:?}");
}
