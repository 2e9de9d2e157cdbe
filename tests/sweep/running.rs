//! One bus with one or more `postroom serve` that keep running under the tracer, and what was found wrong so far.

use std::time::Duration;

use crate::cases::Verdict;
use crate::support::audit::{Moment, audit};
use crate::support::trace::{Ending, Plan, Report, Scope, Step, Traced};
use crate::support::workload::{Sent, drop_all, echo, one_of_each};
use crate::support::workspace::{Durability, Workspace, wait_until};

/// Far more than anything takes; only a service that hangs needs it.
pub const LONG: Duration = Duration::from_secs(30);

/// A bus in use.
pub struct Scene {
    pub workspace: Workspace,
    sent: Vec<Sent>,
    findings: Vec<String>,
    /// The services that were asked to end: the second time they would end at once.
    asked: Vec<libc::pid_t>,
    /// What services that have ended did and said.
    ended: Vec<(String, Report)>,
}

impl Scene {
    /// A fresh bus in which the messages wait.
    pub fn new(durability: Durability) -> Self {
        let mut scene = Self::empty(durability);
        scene.sent = one_of_each();
        drop_all(&scene.workspace, &scene.sent);
        scene
    }

    /// A fresh bus in which nothing waits.
    pub fn empty(durability: Durability) -> Self {
        Self {
            workspace: Workspace::new(durability),
            sent: Vec::new(),
            findings: Vec::new(),
            asked: Vec::new(),
            ended: Vec::new(),
        }
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
        let (bus, sent) = (self.workspace.bus(), &self.sent);
        let settled = wait_until(LONG, || {
            if unless() {
                return Ok(());
            }
            let findings = audit(bus, sent, Moment::Idle);
            if findings.is_empty() { Ok(()) } else { Err(findings.join("; ")) }
        });
        self.note(when, settled);
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

    /// Wakes a service whose place another has taken, and waits until it says that it knows, or has ended.
    pub fn wake(&mut self, sleeper: &Traced) {
        let before = sleeper.said().len();
        sleeper.wake();
        let awake = wait_until(LONG, || {
            let said = sleeper.said().split_off(before);
            if said.contains("standing by") || sleeper.has_ended() { Ok(()) } else { Err(format!("it says {said:?}")) }
        });
        self.note("woken", awake);
        let said = sleeper.said().split_off(before);
        let complains = said.contains("trying again");
        self.note("woken, it complains of what another service did", if complains { Err(said) } else { Ok(()) });
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
        self.findings.extend(audit(self.workspace.bus(), &self.sent, Moment::Ended));
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
