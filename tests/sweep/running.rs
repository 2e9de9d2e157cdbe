//! One bus with one or more `postroom serve` that keep running under the tracer, and what was found wrong so far.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cases::Verdict;
use crate::support::audit::{Moment, audit};
use crate::support::trace::{Aim, Ending, Fault, Kind, Plan, Report, Scope, Step, Traced, When};
use crate::support::workload::{Sent, drop_all, echo, one_of_each};
use crate::support::workspace::{Durability, Workspace, below, wait_until};

/// Far more than anything takes; only a service that hangs needs it.
pub const LONG: Duration = Duration::from_secs(60);

/// What is wrong with a bus to which this was sent.
pub type Look = Box<dyn Fn(&Path, &[Sent], Moment) -> Vec<String>>;

/// A call, as it reads and which of those that read so, and how it fails once.
#[derive(Clone, Debug)]
pub struct OneError {
    what: String,
    nth: usize,
    errno: i32,
}

impl OneError {
    /// Each of these steps fails with an error that its call can have, one that needs room also for want of it.
    pub fn at_each(steps: &[Step]) -> Vec<OneError> {
        let mut errors = Vec::new();
        for (index, step) in steps.iter().enumerate() {
            let nth = 1 + steps[..index].iter().filter(|before| before.what == step.what).count();
            let kinds: &[i32] = if step.kind == Kind::Grows { &[libc::ENOSPC, libc::EIO] } else { &[libc::EIO] };
            errors.extend(kinds.iter().map(|errno| OneError { what: step.what.clone(), nth, errno: *errno }));
        }
        errors
    }
}

/// A bus in use.
pub struct Scene {
    pub workspace: Workspace,
    sent: Vec<Sent>,
    look: Look,
    findings: Vec<String>,
    /// The services that were asked to end: the second time they would end at once.
    asked: Vec<libc::pid_t>,
    /// What services that have ended did and said.
    ended: Vec<(String, Report)>,
}

impl Scene {
    /// A fresh bus in which the messages wait.
    pub fn new(durability: Durability) -> Self {
        let scene = Self { sent: one_of_each(), ..Self::empty(durability) };
        drop_all(&scene.workspace, &scene.sent);
        scene
    }

    /// A fresh bus in which nothing waits.
    pub fn empty(durability: Durability) -> Self {
        Self::with(Workspace::new(durability), Vec::new(), Box::new(audit))
    }

    /// A bus that was used before, what becomes of which messages in it, and who looks at it.
    pub fn with(workspace: Workspace, sent: Vec<Sent>, look: Look) -> Self {
        Self { workspace, sent, look, findings: Vec::new(), asked: Vec::new(), ended: Vec::new() }
    }

    /// Starts a service.
    pub fn serve(&self, scope: Scope, plan: Plan) -> Traced {
        Traced::start(self.workspace.serve(), self.workspace.bus(), scope, plan)
    }

    /// Notes what went wrong.
    pub fn note(&mut self, what: &str, result: Result<(), String>) {
        self.findings.extend(result.err().map(|why| format!("{what}: {why}")));
    }

    /// Whether nothing was found wrong so far.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// Waits until every message is in its end state, or until `unless` makes that pointless.
    pub fn settle(&mut self, when: &str, mut unless: impl FnMut() -> bool) {
        let (bus, sent, look) = (self.workspace.bus(), &self.sent, &self.look);
        let settled = wait_until(LONG, || {
            if unless() {
                return Ok(());
            }
            let findings = look(bus, sent, Moment::Idle);
            if findings.is_empty() { Ok(()) } else { Err(findings.join("; ")) }
        });
        self.note(when, settled);
    }

    /// A service that is killed before this step. Once everything is settled it is asked to end, so that its end is among the steps; `None`
    /// when it did.
    pub fn serve_until_killed(&mut self, at: usize) -> Option<Step> {
        let victim = self.serve(Scope::Changes, Plan::Kill(Aim::Number(at), When::Before));
        self.settle("before the kill", || victim.has_ended());
        self.ask_to_end(&victim);
        let step = victim.ended(LONG);
        let ending = step.as_ref().map_or(Ending::Exit(0), |_| Ending::Signal(libc::SIGKILL));
        self.ends(victim, "the service that was to be killed", ending);
        step
    }

    /// The steps of a service that nothing disturbs, to its end. `check`: what must be when all is settled.
    pub fn undisturbed(mut self, check: impl FnOnce(&mut Scene)) -> Vec<Step> {
        let service = self.serve(Scope::Changes, Plan::Count);
        self.settle("undisturbed", || false);
        check(&mut self);
        self.ask_to_end(&service);
        let report = service.finish(LONG).unwrap_or_else(|why| panic!("{why}"));
        if let Verdict::Broken(case) = self.verdict("not disturbed".to_owned()) {
            panic!("without any fault: {:#?}\n{}", case.findings, case.scene);
        }
        report.steps
    }

    /// A service to which one call fails: it runs on, says so once, and comes to the same end.
    pub fn serve_refused(mut self, error: &OneError, check: impl FnOnce(&mut Scene)) -> Verdict {
        let OneError { what, nth, errno } = error;
        let aim = Aim::Named { what: what.clone(), nth: *nth };
        let service = self.serve(Scope::Changes, Plan::Fail(aim, Fault::Errno(*errno)));
        self.settle("after an error", || service.has_ended());
        check(&mut self);
        self.drop_one_more("2.json");
        self.settle("after one more", || service.has_ended());
        let reached = service.hit().is_some();
        let said = wait_until(LONG, || if reached { is_said_once(&service.said()) } else { Ok(()) });
        self.note("said", said);
        self.stop(service, "the service");
        let name = format!("{} at {what} ({nth})", std::io::Error::from_raw_os_error(*errno));
        if reached { self.verdict(name) } else { self.verdict_without_fault(&name) }
    }

    /// Drops an echo; its id is its file name.
    pub fn drop_one_more(&mut self, file: &str) {
        self.drop_with(file, "[1.0]");
    }

    /// The same, with this payload.
    pub fn drop_with(&mut self, file: &str, payload: &str) {
        let more = echo(file, "dora", file.trim_end_matches(".json"), payload);
        self.workspace.drop_file(&more.file, &more.bytes);
        self.sent.push(more);
    }

    /// Waits until a service stands at its plan's stop. When all messages are settled before, what remains are the
    /// steps of a clean end, so it is asked to end; `None` when it did.
    pub fn until_it_stands(&mut self, sleeper: &Traced) -> Option<Step> {
        self.settle("before it stood still", || sleeper.is_stopped() || sleeper.has_ended());
        if !sleeper.is_stopped() {
            self.ask_to_end(sleeper);
        }
        sleeper.stopped(LONG)
    }

    /// Wakes a service whose place another has taken, and waits until it says that it knows, or has ended. It must have changed nothing
    /// that others see.
    pub fn wake(&mut self, sleeper: &Traced) {
        let (before, seen) = (sleeper.said().len(), self.seen());
        sleeper.wake();
        let awake = wait_until(LONG, || {
            let said = sleeper.said().split_off(before);
            if said.contains("standing by") || sleeper.has_ended() { Ok(()) } else { Err(format!("it says {said:?}")) }
        });
        self.note("woken", awake);
        let said = sleeper.said().split_off(before);
        let complains = said.contains("trying again");
        self.note("woken, it complains of what another service did", if complains { Err(said) } else { Ok(()) });
        let now = self.seen();
        let changed: Vec<_> = seen.keys().chain(now.keys()).filter(|path| seen.get(*path) != now.get(*path)).collect();
        self.note("woken, it changed", if changed.is_empty() { Ok(()) } else { Err(format!("{changed:?}")) });
    }

    /// What each file says that others see, but for the journals: lines of earlier steps may still come.
    fn seen(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let bus = self.workspace.bus();
        let folders = ["inbox", "dead-letter", "archive", "agents", "deferred", "held", ".postroom/answers"];
        let paths = folders.iter().flat_map(|folder| below(&bus.join(folder)));
        let files = paths.filter(|path| path.is_file() && !path.ends_with("journal.jsonl"));
        files.map(|path| (path.clone(), std::fs::read(path).unwrap_or_default())).collect()
    }

    /// Asks a service to end; it must say that it did well. The commit protocol gives it 10 s, a loaded machine more.
    pub fn stop(&mut self, service: Traced, who: &str) {
        self.ask_to_end(&service);
        self.ends(service, who, Ending::Exit(0));
    }

    fn ask_to_end(&mut self, service: &Traced) {
        if !self.asked.contains(&service.pid()) {
            self.asked.push(service.pid());
            service.signal(libc::SIGTERM);
        }
    }

    /// One more service, that handles what is there and ends.
    pub fn serve_once(&mut self) {
        let command = self.workspace.serve_once();
        let service = Traced::start(command, self.workspace.bus(), Scope::Changes, Plan::Count);
        self.ends(service, "the last service", Ending::Exit(0));
    }

    /// Waits for a service's end.
    pub fn ends(&mut self, service: Traced, who: &str, expected: Ending) {
        match service.finish(LONG) {
            Ok(report) => {
                if report.ending != expected {
                    self.findings.push(format!("{who} ended with {:?} instead of {expected:?}", report.ending));
                }
                self.ended.push((who.to_owned(), report));
            }
            Err(why) => self.findings.push(format!("{who} does not end: {why}")),
        }
    }

    /// The last audit, when every service has ended.
    pub fn verdict(mut self, name: String) -> Verdict {
        self.findings.extend((self.look)(self.workspace.bus(), &self.sent, Moment::Ended));
        let Self { workspace, findings, ended, .. } = self;
        Verdict::on(name, findings, || {
            let told: String = ended.iter().map(|(who, report)| tell(who, report)).collect();
            told + &workspace.tree()
        })
    }

    /// The same for a run in which the fault was not made.
    pub fn verdict_without_fault(self, name: &str) -> Verdict {
        match self.verdict(format!("{name} was not reached")) {
            Verdict::Held | Verdict::Past => Verdict::Past,
            Verdict::Broken(case) => Verdict::Broken(case),
        }
    }
}

/// That something is wrong, and that it is over.
fn is_said_once(said: &str) -> Result<(), String> {
    let times = ["trying again", "working again"].map(|what| said.matches(what).count());
    if times == [1, 1] { Ok(()) } else { Err(said.to_owned()) }
}

/// The steps around the fault, or the last ones, and what the program printed.
fn tell(who: &str, report: &Report) -> String {
    let last = report.steps.len();
    let (from, to) = report
        .hit
        .as_ref()
        .map_or((last.saturating_sub(200), last), |hit| (hit.number.saturating_sub(20), hit.number + 100));
    let shown = report.steps.iter().filter(|step| (from..=to).contains(&step.number));
    let steps: String = shown.map(|step| format!("  #{} {}\n", step.number, step.exact)).collect();
    format!("{who}: {:?} after {last} steps, of them\n{steps}it said:\n{}\n", report.ending, report.output)
}
