//! What the journal is told of a message, step by step.
//!
//! The first steps are remembered and put into words only when what there is to answer is answered: nobody waits then. Nothing is
//! told before them, so the journal has its lines in the order of the steps.

use std::path::PathBuf;

use serde::Serialize;

use super::active::Active;
use super::claimed::Claimed;
use super::clock::Now;
use super::decide::{Decision, Sent};
use crate::bus::layout::ClaimName;
use crate::bus::record::Finish;
use crate::message::{AgentId, Message, MessageId};

/// What the journal says beside the step itself: of a claim, a call, an outcome.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Accepted<'a> {
    id: &'a str,
    sender: &'a str,
    recipient: String,
    action: &'a str,
    dropped_as: &'a str,
    bytes: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SentLine<'a> {
    id: &'a str,
    sender: &'a str,
    recipient: String,
    action: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_reply_to: Option<&'a str>,
    /// The ticket of the message whose handling sent it.
    from: String,
}

#[derive(Serialize)]
struct Called<'a> {
    id: &'a str,
    sender: &'a str,
    recipient: &'a str,
    action: &'a str,
    by: &'a str,
}

#[derive(Serialize)]
struct Outcome<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a str>,
    to: Vec<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
}

/// A step that a message has taken before anything is decided about it.
#[derive(Debug)]
pub struct FirstStep {
    claim: ClaimName,
    message: Message,
    /// Unix milliseconds.
    at: u64,
    what: What,
}

#[derive(Debug)]
enum What {
    Accepted { dropped_as: String, bytes: u64 },
    Called { by: AgentId },
}

impl Active<'_> {
    pub(super) fn accepted(&mut self, claimed: &Claimed, now: Now) {
        let dropped_as = claimed.claim.dropped_as.clone();
        self.first_step(claimed, now, What::Accepted { dropped_as, bytes: claimed.claim.state.bytes });
    }

    /// The handling of a message begins.
    pub(super) fn called(&mut self, claimed: &Claimed, by: &AgentId, now: Now) {
        self.first_step(claimed, now, What::Called { by: by.clone() });
    }

    fn first_step(&mut self, claimed: &Claimed, now: Now, what: What) {
        let (claim, message) = (claimed.claim.name.clone(), claimed.message.clone());
        self.first_steps.push(FirstStep { claim, message, at: now.wall_ms, what });
    }

    /// Tells the journal of the first steps that it has not been told of.
    pub(super) fn tell_first_steps(&mut self) {
        let (disk, day) = (&self.core.disk, &self.calendar.day);
        for FirstStep { claim, message, at, what } in self.first_steps.drain(..) {
            let (id, sender, action) = (message.id().as_str(), message.sender().as_str(), message.action().as_str());
            match &what {
                What::Accepted { dropped_as, bytes } => {
                    let recipient = message.recipient().to_string();
                    let more = Accepted { id, sender, recipient, action, dropped_as, bytes: *bytes };
                    self.journal.step(disk, day, at, "accepted", &claim, more);
                }
                What::Called { by } => {
                    let more = Called { id, sender, recipient: by.as_str(), action, by: by.as_str() };
                    self.journal.step(disk, day, at, "called", &claim, more);
                }
            }
        }
    }

    /// The first line of a message that did not come by the drop: which one brought it about.
    pub(super) fn tell_sent(&mut self, decision: &Decision, sent: &Sent) {
        let message = &sent.message;
        let more = SentLine {
            id: message.id().as_str(),
            sender: message.sender().as_str(),
            recipient: message.recipient().to_string(),
            action: message.action().as_str(),
            in_reply_to: message.in_reply_to().map(MessageId::as_str),
            from: decision.record.claim.ticket.to_string(),
        };
        let day = &self.calendar.day;
        self.journal.step(&self.core.disk, day, decision.record.story.at, "sent", &sent.name, more);
    }

    /// The line that names the outcome, where the last line alone does not (`finished` follows `replied` and the like).
    pub(super) fn tell_outcome(&mut self, decision: &Decision) {
        let record = &decision.record;
        if matches!(record.finish, Finish::Deferred { .. } | Finish::Held { .. }) {
            return;
        }
        let story = &record.story;
        let to = record.effects.iter().map(|effect| effect.to.path("".as_ref())).collect();
        let more = Outcome {
            id: story.id.as_deref(),
            sender: story.sender.as_deref(),
            recipient: story.recipient.as_deref(),
            action: story.action.as_deref(),
            by: story.by.as_deref(),
            to,
            code: story.code.as_deref(),
        };
        let day = &self.calendar.day;
        self.journal.step(&self.core.disk, day, story.at, &story.outcome, &record.claim, more);
    }
}
