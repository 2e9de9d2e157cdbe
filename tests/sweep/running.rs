//! A `postroom serve` that keeps running, under the tracer, and the messages that are to be settled meanwhile.

use std::time::Duration;

use crate::support::audit::{Moment, audit};
use crate::support::trace::{Ending, Plan, Report, Scope, Traced};
use crate::support::workload::Sent;
use crate::support::workspace::{Workspace, wait_until};

/// Far more than anything takes; only a service that hangs needs it.
pub const LONG: Duration = Duration::from_secs(30);

/// Starts the service.
pub fn serve(workspace: &Workspace, scope: Scope, plan: Plan) -> Traced {
    Traced::start(workspace.serve(), workspace.bus(), scope, plan)
}

/// Waits until every message is in its end state, or `unless` says something (the service has ended, or stands still).
pub fn settled(workspace: &Workspace, sent: &[Sent], mut unless: impl FnMut() -> bool) -> Result<(), String> {
    wait_until(LONG, || {
        if unless() {
            return Ok(());
        }
        let findings = audit(workspace.bus(), sent, Moment::Idle);
        if findings.is_empty() {
            Ok(())
        } else {
            Err(findings.join("; "))
        }
    })
}

/// Asks it to stop; it must say that it did well. The commit protocol gives it 10 s, a loaded machine a little more.
pub fn stop(service: Traced, who: &str, findings: &mut Vec<String>) -> Option<Report> {
    service.signal(libc::SIGTERM);
    match service.finish(LONG) {
        Ok(report) => {
            if report.ending != Ending::Exit(0) {
                findings.push(format!(
                    "{who} ended with {:?} after SIGTERM: {}",
                    report.ending, report.output
                ));
            }
            Some(report)
        }
        Err(why) => {
            findings.push(format!("{who} does not end after SIGTERM: {why}"));
            None
        }
    }
}
