//! Dead letters: what is refused or given up, the reason beside it, and the word to its sender.

use serde::Serialize;

use super::active::Active;
use super::answer::reply_id;
use super::check::{InboxState, MAX_HOPS};
use super::claimed::Claimed;
use super::clock::Now;
use super::decide::{Decision, Handler, effect};
use crate::bus::BusError;
use crate::bus::claim::Claim;
use crate::bus::layout;
use crate::bus::record::{Effect, Finish, IdState, LoggedLine, Record, Story, Target};
use crate::message::{
    Action, AgentId, Code, Delivery, Envelope, JsonText, Message, MessageId, Refusal, Reply, ReplyBody, ReplyError,
    Salvage, Trust,
};
use crate::policy::Refused;
use crate::policy::limits::ERROR_REPLY_BOUND;
use crate::policy::reply;

/// So many lines of an extension's log stand in the reason; all of them in the journal.
const WHY_LOG_LINES: usize = 16;

/// The content of a `.why.json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Why<'a> {
    code: &'a str,
    message: &'a str,
    hint: &'a str,
    at: u64,
    attempts: u32,
    dropped_as: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'a str>,
    /// The last lines that the last attempt wrote.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    log: &'a [LoggedLine],
}

impl Active<'_> {
    /// It is given up: the reason beside it, and an error reply to its sender.
    pub(super) fn dead(
        &mut self,
        claimed: Claimed,
        refused: Refused,
        details: Option<&JsonText>,
        by: Option<(&Handler, Option<&Envelope>)>,
        hops: u32,
        now: Now,
    ) -> Result<Decision, BusError> {
        let message = claimed.message.clone();
        // Also where it was refused before anybody counted: else an extension that answers each refusal would never be a loop.
        let hops = hops.max(claimed.claim.name.sent.map_or(0, u32::from));
        let recipient = claimed.part.as_ref().map_or_else(|| message.recipient().to_string(), ToString::to_string);
        let about = About {
            id: Some(message.id().as_str()),
            sender: Some(message.sender().as_str()),
            recipient: Some(recipient),
            action: Some(message.action().as_str()),
        };
        let log = by.map_or(&[][..], |(handler, _)| &handler.log);
        let (finish, why) = dead_files(&claimed.claim, &refused, about, log, now);
        let mut effects = vec![why];
        // A failure cannot answer a failure, and a name that is not the sender's own gets nothing.
        let takes_answer = match claimed.claim.name.sent {
            // A message of its own; not where that would be refused as a loop, too.
            Some(_) => hops < MAX_HOPS,
            None => !self.is_reserved(message.sender()) && self.takes_error_replies(message.sender(), now)?,
        };
        let mut sent = None;
        if takes_answer && !self.is_an_answer(&message)? {
            let service = AgentId::parse(AgentId::POSTROOM).expect("a constant that is a valid name");
            let (name, envelope) = by.map_or((&service, None), |(handler, envelope)| (&handler.name, envelope));
            // Refused before anybody read the envelope. What is for an agent is a message like any other.
            let is_ours = claimed.one_recipient().is_some_and(|recipient| self.is_reserved(recipient));
            let refused_call = if is_ours { Envelope::of_refused(&message) } else { None };
            let envelope = envelope.or(refused_call.as_ref());
            let body = ReplyBody::Error(ReplyError { code: refused.code, message: &refused.message, details });
            let answer = self.reply_effect(&claimed, name, hops, body, envelope, now)?;
            effects.push(answer.effect);
            sent = answer.sent;
        }
        let mut story = self.story(&claimed, "dead", now);
        (story.code, story.message) = (Some(refused.code.to_string()), Some(refused.message));
        if let Some((handler, _)) = by {
            handler.tell(&mut story);
        }
        let note = uses_id(refused.code)
            .then(|| Self::id_note(&claimed, IdState::Released, hops, vec![message.recipient().to_string()]))
            .flatten();
        let mut decision = self.decision(claimed, finish, effects, note, story);
        decision.sent.extend(sent);
        Ok(decision)
    }

    /// It is not even a message: aside with it, and a word to whoever can be read as its sender and is known.
    pub(super) fn unfit(&mut self, claim: Claim, refusal: &Refusal, now: Now) -> Result<Decision, BusError> {
        let refused = Refused::from(refusal);
        let salvage: &Salvage = &refusal.envelope;
        let about = About {
            id: salvage.id.as_ref().map(MessageId::as_str),
            sender: salvage.sender.as_ref().map(AgentId::as_str),
            recipient: salvage.recipient.clone(),
            action: salvage.action.as_deref(),
        };
        let (finish, why) = dead_files(&claim, &refused, about, &[], now);
        let mut effects = vec![why];
        effects.extend(self.reply_to_unfit(&claim, salvage, &refused, now)?);
        let story = Story {
            outcome: "dead".into(),
            id: salvage.id.as_ref().map(ToString::to_string),
            sender: salvage.sender.as_ref().map(ToString::to_string),
            recipient: salvage.recipient.clone(),
            action: salvage.action.clone(),
            accepted_at: claim.name.ticket.accepted_ms(),
            at: now.wall_ms,
            code: Some(refused.code.to_string()),
            message: Some(refused.message),
            ..Story::default()
        };
        let record = Record {
            term: self.room.term,
            place: self.room.place.clone(),
            claim: claim.name,
            finish,
            effects,
            ahead: None,
            id: None,
            answers: None,
            story,
        };
        Ok(Decision {
            record,
            message: None,
            key: None,
            parts: Vec::new(),
            sent: Vec::new(),
            due: None,
            bytes: claim.state.bytes,
            number: 0,
            staged: false,
        })
    }

    fn reply_to_unfit(
        &mut self,
        claim: &Claim,
        salvage: &Salvage,
        refused: &Refused,
        now: Now,
    ) -> Result<Option<Effect>, BusError> {
        let Some(sender) = &salvage.sender else { return Ok(None) };
        let known = self.registry.contains(sender) || self.inbox_state(sender)? == InboxState::Folder;
        if salvage.is_answer || !known || self.is_reserved(sender) || !self.takes_error_replies(sender, now)? {
            return Ok(None);
        }
        let service = AgentId::parse(AgentId::POSTROOM).expect("a constant that is a valid name");
        let unknown = Action::parse("unknown").expect("a constant that is a valid action");
        let action = salvage.action.as_deref().and_then(|action| Action::parse(action).ok()).unwrap_or(unknown);
        let error = ReplyError { code: refused.code, message: &refused.message, details: None };
        let reply = Reply {
            id: reply_id(1, claim.name.ticket),
            responder: &service,
            action: &action,
            now_ms: now.wall_ms,
            body: ReplyBody::Error(error),
            delivery: &Delivery {
                accepted_at: claim.name.ticket.accepted_ms(),
                attempt: claim.name.attempt,
                trust: Trust::Unsigned,
                hops: 1,
                ticket: claim.name.ticket.to_string(),
                traceparent: None,
            },
        };
        let Some(rendered) = reply.to_refused(salvage, error) else { return Ok(None) };
        // Without an id that could be told, nothing is named after it.
        let stem = match &salvage.id {
            None => reply.id.to_string(),
            // The one name that another message with this id may be answered under is not for this one.
            Some(id) => {
                let is_anothers = self.asked(sender.as_str(), id.as_str())?.is_some_and(|seen| !seen.released);
                layout::reply_stem(id.as_str(), is_anothers.then_some(AgentId::POSTROOM))
            }
        };
        let target = self.inbox_target(sender, stem)?;
        Ok(Some(effect(target, &rendered)))
    }

    /// Does it answer a message that is remembered, or one of the service's own replies? An answer that fails is not answered, so
    /// that failures cannot loop; naming some other message is no answer (bus format, section 3, "A reply").
    fn is_an_answer(&self, message: &Message) -> Result<bool, BusError> {
        let Some(asked) = message.in_reply_to() else { return Ok(false) };
        if super::answer::hops_of_reply(asked.as_str()).is_some() {
            return Ok(true);
        }
        let Some(author) = reply::asker(message) else { return Ok(false) };
        let asked = self.asked(author.as_str(), asked.as_str())?;
        Ok(asked.is_some_and(|seen| reply::has_action_of(message, &seen.action)))
    }

    /// Is there a place for an error reply, and does anybody read there?
    fn takes_error_replies(&mut self, sender: &AgentId, now: Now) -> Result<bool, BusError> {
        let limits = &self.core.settings.limits;
        if !self.inbox_is_usable(sender)? {
            return Ok(false);
        }
        let is_new = self.inbox_state(sender)? == InboxState::Absent;
        if is_new && limits.agents != 0 && self.inboxes.folders(&self.core.disk)? >= limits.agents {
            return Ok(false);
        }
        let counted = self.count_inbox(sender, ERROR_REPLY_BOUND, now)?;
        Ok(counted < ERROR_REPLY_BOUND)
    }

    fn is_reserved(&self, name: &AgentId) -> bool {
        name.is_postroom() || self.lanes.host().package(name.as_str()).is_some()
    }
}

struct About<'a> {
    id: Option<&'a str>,
    sender: Option<&'a str>,
    recipient: Option<String>,
    action: Option<&'a str>,
}

fn dead_files(claim: &Claim, refused: &Refused, about: About<'_>, log: &[LoggedLine], now: Now) -> (Finish, Effect) {
    let (name, why_name) = claim.name.dead();
    let why = Why {
        code: refused.code.as_str(),
        message: &refused.message,
        hint: refused.hint.as_deref().unwrap_or_else(|| refused.code.usual_hint()),
        at: now.wall_ms,
        attempts: claim.name.attempt,
        dropped_as: &claim.dropped_as,
        id: about.id,
        sender: about.sender,
        recipient: about.recipient,
        action: about.action,
        log: &log[log.len().saturating_sub(WHY_LOG_LINES)..],
    };
    let mut text = serde_json::to_vec_pretty(&why).expect("our own types are always JSON");
    text.push(b'\n');
    (Finish::DeadLetter { name }, Effect::whole(Target::Why { name: why_name }, text))
}

/// Does a message that ends for this reason hold its id until the next checkpoint? Not where the id is another message's, or
/// nobody's.
fn uses_id(code: Code) -> bool {
    match code {
        Code::UnknownRecipient
        | Code::Denied
        | Code::Expired
        | Code::HandlerFailed
        | Code::Timeout
        | Code::ResourceLimit
        | Code::Loop
        | Code::RateLimited
        | Code::Internal => true,
        // A control command refuses what it was sent with this code; the parser's refusals never come here.
        Code::InvalidMessage => true,
        Code::MalformedJson
        | Code::TooLarge
        | Code::NotARegularFile
        | Code::IdConflict
        | Code::Unsigned
        | Code::BadSignature
        | Code::StaleTimestamp
        | Code::NotPermitted => false,
    }
}
