//! What an attempt of an extension collected becomes part of its message's decision: all of it or nothing.
//!
//! An attempt that rests on a stored value which another message has changed since is not decided but run again; one that the disk keeps
//! from being decided is put aside (see [`vain`]).

pub(super) mod vain;

use std::time::Duration;

use super::active::Active;
use super::attempt::Ask;
use super::claimed::Aside;
use super::clock::Now;
use super::decide::{Decision, Handler, Sent};
use super::lanes::{Ended, Job};
use super::stored::Unreadable;
use crate::bus::BusError;
use crate::bus::layout::{self, ClaimName};
use crate::bus::record::{Effect, LoggedLine, Target};
use crate::bus::state::Value;
use crate::control::{self, Change};
use crate::extension::{Attempted, Effects, Level, LogLine, StateKey, Stored};
use crate::message::{Code, Failure, Given, Handled, JsonText, Message, Payload, ReplyBody, Retry};

/// So often in a row an attempt may find that what it read has changed; then it counts as failed, and waits like any other retry. Each time
/// another message got on, so this is reached only where many change one value all the time.
const CONFLICTS: u32 = 100;

/// A handler has ended, and this is what it leaves.
#[derive(Debug)]
pub struct Left {
    pub attempted: Attempted,
    /// By control commands that it called.
    pub changes: Vec<Change>,
    pub took: Duration,
    /// The extension as the journal names it: with version and hash of what ran.
    pub described: String,
}

/// What is to become of an attempt.
enum Outcome {
    /// What it did becomes true.
    Kept(Box<Decision>),
    /// It failed: nothing of it does.
    Failed(Box<Decision>),
    /// What it read has changed.
    RunAgain(Box<Job>),
}

impl Active<'_> {
    /// A handler has ended: what it answered becomes a decision. After an error of the disk the message is handled again later.
    pub(super) fn ended(&mut self, ended: Ended) {
        let Some(job) = self.lanes.ended(ended.ticket) else { return };
        let mut left = ended.left;
        let reusable = left.attempted.reusable.take();
        let aside = Aside::of(&job.claimed);
        let outcome = self.attempted(job, left, Now::get());
        if let (Ok(Outcome::Kept(_)), Some(reusable)) = (&outcome, reusable) {
            // Of any other attempt an instance would remember something that never was.
            reusable.rest();
        }
        match outcome {
            Ok(Outcome::Kept(decision) | Outcome::Failed(decision)) => {
                self.vain.forget(decision.record.claim.ticket);
                self.unsettled.push(*decision);
            }
            Ok(Outcome::RunAgain(job)) if self.stop_at.is_none() => self.lanes.start(*job),
            Ok(Outcome::RunAgain(job)) => self.put_off_for_stop(job.claimed, Now::get()),
            Err(error) if error.is_transient() => self.ended_in_vain(aside, &error, Now::get()),
            // The next step meets it, too.
            Err(_) => self.relist = true,
        }
    }

    fn attempted(&mut self, mut job: Job, left: Left, now: Now) -> Result<Outcome, BusError> {
        let Left { attempted: Attempted { handled, effects, log, reusable: _ }, changes, took, described } = left;
        let log = log.into_iter().map(logged).collect();
        let name = job.extension.clone();
        let handler = Handler { name, described, took_us: took.as_micros() as u64, log };
        let payload = match handled {
            Handled::Reply(payload) => payload,
            Handled::Failed(failure) => return self.attempt_failed(job, &handler, failure, now),
        };
        match self.state.changed_since(&effects.read) {
            Ok(None) => {}
            Ok(Some(_)) if job.conflicts < CONFLICTS => {
                job.conflicts += 1;
                return Ok(Outcome::RunAgain(Box::new(job)));
            }
            Ok(Some(key)) => return self.attempt_failed(job, &handler, too_many_conflicts(&key), now),
            Err(error) => return self.attempt_unreadable(job, &handler, error, now),
        }
        let written = match self.state.next(&effects.written) {
            Ok(written) => written,
            Err(error) => return self.attempt_unreadable(job, &handler, error, now),
        };
        let sent = match sent_by(&job, &effects, now) {
            Ok(sent) => sent,
            Err(failure) => return self.attempt_failed(job, &handler, failure, now),
        };
        let Job { claimed, envelope, hops, answers, .. } = job;
        let claim = claimed.claim.name.clone();
        let answer_note = answers.and_then(|_| Self::answer_note(&claimed.message, &handler.name));
        let gets_answer = answer_note.is_none() && !(claim.sent.is_some() && claimed.message.is_reply());
        let mut decision = if gets_answer {
            self.replied(claimed, &handler, hops, body(&payload), envelope.as_ref(), now)?
        } else {
            self.handled(claimed, &handler, hops, now)
        };
        decision.record.answers = answer_note;
        for (effect, sent) in sent {
            decision.record.effects.push(effect);
            decision.sent.push(sent);
        }
        for (key, stored) in &written {
            decision.record.effects.push(state_effect(key, stored, &claim, now));
        }
        for change in &changes {
            self.registry.apply(change);
            decision.record.effects.push(Self::change_effect(change));
        }
        self.state.decide(written);
        Ok(Outcome::Kept(Box::new(decision)))
    }

    fn attempt_failed(&mut self, job: Job, handler: &Handler, failure: Failure, now: Now) -> Result<Outcome, BusError> {
        let Job { claimed, envelope, hops, .. } = job;
        let decision = self.failed(claimed, handler, hops, failure, envelope.as_ref(), now)?;
        Ok(Outcome::Failed(Box::new(decision)))
    }

    fn attempt_unreadable(
        &mut self,
        job: Job,
        handler: &Handler,
        error: Unreadable,
        now: Now,
    ) -> Result<Outcome, BusError> {
        match error {
            Unreadable::Disk { key, error } => {
                self.vain.note_key(job.claimed.claim.name.ticket, key);
                Err(error.into())
            }
            damaged @ Unreadable::Damaged { .. } => {
                let message = damaged.to_string();
                let failure = Failure { code: Code::Internal, message, details: None, retry: Retry::Final };
                self.attempt_failed(job, handler, failure, now)
            }
        }
    }

    /// Answers a control command of a running attempt. What it would change is the attempt's until that is committed.
    pub(super) fn answer_ask(&mut self, ask: Ask) {
        let Ask { extension, action, parameters, changes, answer } = ask;
        let now = Now::get();
        let message = match nested_message(&extension, &action, &parameters, now) {
            Ok(message) => message,
            Err(failure) => {
                // Who asked may be gone: its attempt was over.
                let _ = answer.send((Handled::Failed(failure), None));
                return;
            }
        };
        let mut registered = std::borrow::Cow::Borrowed(self.registry.agents());
        for change in changes {
            match change {
                Change::Register(agent, registration) => registered.to_mut().insert(agent, registration),
                Change::Unregister(agent) => registered.to_mut().remove(&agent),
            };
        }
        let call = control::Call {
            message: &message,
            action: message.action().as_str(),
            parameters: message.payload_text(),
            bus: control::View { registered: &registered, ..self.view(now) },
        };
        let control::Answer { handled, change } = control::answer(&call);
        let handled = match handled {
            Handled::Reply(Payload::OfMessage) => Handled::Reply(Payload::Text(JsonText::trusted(parameters))),
            other => other,
        };
        let _ = answer.send((handled, change));
    }
}

/// The message that a nested control command is, from the extension that calls it.
fn nested_message(extension: &str, action: &str, parameters: &str, now: Now) -> Result<Message, Failure> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let text = format!(
        "{{\"id\":\"nested\",\"sender\":{},\"recipient\":\"postroom\",\"action\":{},\"payload\":{parameters},\"timestamp\":{}}}",
        quoted(extension),
        quoted(action),
        now.wall_ms
    );
    Message::parse(text, Given { file_identity: (0, 0), now_ms: now.wall_ms }).map_err(|refusal| Failure {
        code: refusal.code,
        message: refusal.message,
        details: None,
        retry: Retry::Final,
    })
}

/// Each message that was sent, as a ticket of its own in the room, one hop behind the one that was handled.
fn sent_by(job: &Job, effects: &Effects, now: Now) -> Result<Vec<(Effect, Sent)>, Failure> {
    let hops = job.hops.saturating_add(1);
    let sent = effects.sent.iter().map(|sent| {
        let given = Given { file_identity: (0, 0), now_ms: now.wall_ms };
        let message = Message::parse(sent.text.as_str(), given).map_err(|refusal| refusal.message);
        let message = message.and_then(|message| match message.sender().as_str() == sent.sender {
            true => Ok(message),
            false => Err(format!("it names {} as its sender", message.sender())),
        });
        let message = message.map_err(|reason| Failure {
            code: Code::Internal,
            message: format!("{} sent something that is no message of its own: {reason}", sent.sender),
            details: None,
            retry: Retry::Final,
        })?;
        let name = ClaimName::sent(hops, message.id().as_str());
        let text = format!("{}\n", message.text().as_str().trim_end()).into_bytes();
        let effect = Effect::whole(Target::Room { name: name.to_string() }, text);
        Ok((effect, Sent { name, message }))
    });
    sent.collect()
}

fn state_effect(key: &StateKey, stored: &Stored, claim: &ClaimName, now: Now) -> Effect {
    let value = Value {
        key: key.key.clone(),
        version: stored.version,
        ticket: claim.ticket.to_string(),
        attempt: claim.attempt,
        at: now.wall_ms,
        value: stored.value.clone(),
    };
    let (extension, name) = (key.extension.clone(), layout::state_name(&key.key));
    Effect::whole(Target::State { extension, name, version: stored.version }, value.encode())
}

fn too_many_conflicts(key: &StateKey) -> Failure {
    let message = format!(
        "what it had read of {:?} was changed by another message {CONFLICTS} times in a row before it could commit",
        key.key
    );
    Failure { code: Code::HandlerFailed, message, details: None, retry: Retry::Later }
}

fn logged(line: LogLine) -> LoggedLine {
    let level = match line.level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    };
    LoggedLine { by: line.extension, level: level.to_owned(), text: line.text }
}

fn body(payload: &Payload) -> ReplyBody<'_> {
    match payload {
        Payload::OfMessage => ReplyBody::OfMessage,
        Payload::Text(text) => ReplyBody::Payload(text),
    }
}

#[cfg(test)]
pub(super) mod tests;
