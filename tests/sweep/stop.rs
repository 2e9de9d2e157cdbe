//! The active service stands still before every step in turn, another takes over and answers everything, and then the
//! first one wakes up: it must change nothing, and know that it is no longer the active one.

use crate::cases::{Verdict, count_up};
use crate::running::{LONG, serve, settled, stop};
use crate::support::audit::{Moment, audit};
use crate::support::trace::{Aim, Plan, Report, Scope, Traced};
use crate::support::workload::{Sent, drop_all, echo, one_of_each};
use crate::support::workspace::{Durability, Workspace, wait_until};

/// Most of a case is waiting for a lease to run out.
const WORKERS: usize = 3;

/// How many steps a service that was woken makes before it counts as having noticed: more than publishing a batch
/// takes, and a stand-by makes one or two with each look.
const AWAKE: usize = 40;

struct Scene {
    workspace: Workspace,
    sent: Vec<Sent>,
    findings: Vec<String>,
}

impl Scene {
    fn new(durability: Durability) -> Self {
        let workspace = Workspace::new(durability);
        let sent = one_of_each();
        drop_all(&workspace, &sent);
        Self {
            workspace,
            sent,
            findings: Vec::new(),
        }
    }

    fn check<T>(&mut self, what: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|why| self.findings.push(format!("{what}: {why}"))).ok()
    }

    /// Drops an echo and waits until it and everything before it is settled.
    fn one_more(&mut self, file: &str, when: &str) {
        let more = echo(file, "dora", file.trim_end_matches(".json"), "[1.0]");
        self.workspace.drop_file(&more.file, &more.bytes);
        self.sent.push(more);
        let result = settled(&self.workspace, &self.sent, || false);
        self.check(when, result);
    }
}

fn stopped_at(durability: Durability, at: usize) -> Verdict {
    let mut scene = Scene::new(durability);
    let sleeper = serve(&scene.workspace, Scope::Changes, Plan::Stop(Aim::Number(at)));
    let result = settled(&scene.workspace, &scene.sent, || {
        sleeper.is_stopped() || sleeper.has_ended()
    });
    scene.check("before it stood still", result);
    if !sleeper.is_stopped() {
        // All is done: what remains are the steps of a clean end.
        sleeper.signal(libc::SIGTERM);
    }
    let Some(step) = sleeper.stopped(LONG) else {
        let report = sleeper.finish(LONG);
        scene
            .findings
            .extend(audit(scene.workspace.bus(), &scene.sent, Moment::Ended));
        return if scene.findings.is_empty() {
            Verdict::Past
        } else {
            broken(scene, format!("not stopped: {report:?}"), &[])
        };
    };
    let other = serve(&scene.workspace, Scope::Changes, Plan::Count);
    scene.one_more("11.json", "while the first stands still");
    wake(&mut scene, &sleeper);
    scene.one_more("12.json", "after the first woke up");
    let reports = [
        stop(sleeper, "the service that was woken", &mut scene.findings),
        stop(other, "the service that took over", &mut scene.findings),
    ];
    scene
        .findings
        .extend(audit(scene.workspace.bus(), &scene.sent, Moment::Ended));
    broken(scene, format!("stood still before {step}"), &reports)
}

/// Wakes it and waits until it has done what harm it can: it ended, or made many steps more.
fn wake(scene: &mut Scene, sleeper: &Traced) {
    let before = sleeper.steps();
    sleeper.wake();
    let awake = wait_until(LONG, || {
        let made = sleeper.steps() - before;
        if made >= AWAKE || sleeper.has_ended() {
            Ok(())
        } else {
            Err(format!("it made only {made} steps"))
        }
    });
    scene.check("the first was woken", awake);
}

fn broken(scene: Scene, name: String, reports: &[Option<Report>]) -> Verdict {
    let Scene {
        workspace, findings, ..
    } = scene;
    Verdict::on(name, findings, || {
        let tell = |report: &Report| format!("steps:\n{}it said:\n{}\n", report.tail(200), report.output);
        let told: String = reports.iter().flatten().map(tell).collect();
        told + &workspace.tree()
    })
}

fn sweep(durability: Durability) {
    let stopped = count_up(WORKERS, |at| stopped_at(durability, at));
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
