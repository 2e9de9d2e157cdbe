//! What the disk refuses when a handler has ended makes its run one in vain: the message is put aside and handled again later.
//!
//! Invariant: no handler runs without end. Where a stored value was refused, none runs before that can be read; and what was refused as often in
//! a row as a message has attempts counts as a failed attempt.

use std::collections::HashMap;

use crate::bus::BusError;
use crate::bus::layout::Ticket;
use crate::bus::record::Finish;
use crate::extension::StateKey;
use crate::message::{Code, Failure, Retry};
use crate::service::active::{Active, Ready, Turn};
use crate::service::claimed::Aside;
use crate::service::clock::Now;
use crate::service::decide::Handler;
use crate::service::lanes::{Job, described};
use crate::service::stored::Unreadable;

/// Messages whose handlers have run in vain, until one runs well or they are given up.
#[derive(Debug, Default)]
pub struct Vain(HashMap<Ticket, Refusals>);

#[derive(Debug, Default)]
struct Refusals {
    in_a_row: u32,
    /// What was refused last.
    why: String,
    /// The stored value that could not be read.
    key: Option<StateKey>,
}

impl Vain {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// This value cannot be read.
    pub fn note_key(&mut self, ticket: Ticket, key: StateKey) {
        self.0.entry(ticket).or_default().key = Some(key);
    }

    fn refused(&mut self, ticket: Ticket, why: &BusError) {
        let refusals = self.0.entry(ticket).or_default();
        refusals.in_a_row += 1;
        refusals.why = why.to_string();
    }

    /// It is no more in vain.
    pub fn forget(&mut self, ticket: Ticket) {
        self.0.remove(&ticket);
    }

    /// What waits for another attempt is still to show that it can be handled.
    pub fn finished(&mut self, ticket: Ticket, finish: &Finish) {
        match finish {
            Finish::Deferred { .. } => {}
            Finish::Archive { .. } | Finish::Held { .. } | Finish::DeadLetter { .. } => self.forget(ticket),
        }
    }
}

impl Active<'_> {
    pub(super) fn ended_in_vain(&mut self, aside: Aside, error: &BusError, now: Now) {
        self.vain.refused(aside.ready.name.ticket, error);
        // It had its turn when it came to its handler.
        let ready = Ready { turn: Turn::Had, ..aside.ready };
        self.put_aside(Aside { ready, ..aside });
        self.one_failed(error, now);
    }

    /// Before a handler: gives the job back if it may run. What has run in vain does not where the disk still refuses what it needs, nor
    /// where that was so too often.
    pub(in crate::service) fn unless_in_vain(&mut self, job: Job, now: Now) -> Result<Option<Job>, BusError> {
        let Some(refusals) = self.vain.0.get_mut(&job.claimed.claim.name.ticket) else { return Ok(Some(job)) };
        if refusals.in_a_row >= self.core.settings.retry.attempts {
            let failure = too_often(refusals);
            refusals.in_a_row = 0;
            self.fail_unrun(job, failure, now)?;
            return Ok(None);
        }
        match refusals.key.as_ref().map(|key| self.state.get(key)) {
            Some(Err(Unreadable::Disk { error, .. })) => {
                self.ended_in_vain(Aside::of(&job.claimed), &error.into(), now);
                Ok(None)
            }
            // Damage is told of when the handler has run.
            None | Some(Ok(_) | Err(Unreadable::Damaged { .. })) => Ok(Some(job)),
        }
    }

    fn fail_unrun(&mut self, job: Job, failure: Failure, now: Now) -> Result<(), BusError> {
        let Job { claimed, extension, envelope, hops, .. } = job;
        let aside = Aside::of(&claimed);
        let described = described(self.lanes.host(), &extension);
        let handler = Handler { name: extension, described, took_us: 0, log: Vec::new() };
        match self.failed(claimed, &handler, hops, failure, envelope.as_ref(), now) {
            Ok(decision) => self.unsettled.push(decision),
            Err(error) if error.is_transient() => self.ended_in_vain(aside, &error, now),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn too_often(refusals: &Refusals) -> Failure {
    let Refusals { in_a_row, why, .. } = refusals;
    let message = format!("what its handler did could not be kept, {in_a_row} times in a row: {why}");
    Failure { code: Code::Internal, message, details: None, retry: Retry::Later }
}
