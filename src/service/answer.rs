//! Answers: what a handler says becomes a file in the sender's inbox, or, where an extension asked, a message of its own in the room.
//!
//! Invariant: an answer to an extension gets none; so what extensions say to each other ends.

use super::active::Active;
use super::claimed::Claimed;
use super::clock::Now;
use super::decide::{Decision, Handler, Sent, effect};
use crate::bus::BusError;
use crate::bus::layout::{self, ClaimName, Ticket};
use crate::bus::record::{AnswerNote, Effect, IdState, Target};
use crate::message::{Action, AgentId, Code, Envelope, Given, Message, MessageId, Rendered, Reply, ReplyBody};

/// An answer, and what it is if it is a message of its own.
pub(super) struct Answer {
    pub effect: Effect,
    pub sent: Option<Sent>,
}

/// The id of one of our own replies says how deep in a chain it is, so an answer to it can be counted without remembering it.
pub(super) fn reply_id(hops: u32, ticket: Ticket) -> MessageId {
    MessageId::parse(&format!("r{hops}.{ticket}")).expect("a letter, digits, a point and a ticket are a valid id")
}

/// The hops that [`reply_id`] wrote into an id.
pub fn hops_of_reply(id: &str) -> Option<u32> {
    parts_of_reply(id).map(|(hops, _)| hops)
}

/// The ticket of the message that a reply with this id answers.
pub(super) fn ticket_of_reply(id: &str) -> Option<Ticket> {
    parts_of_reply(id).map(|(_, ticket)| ticket)
}

fn parts_of_reply(id: &str) -> Option<(u32, Ticket)> {
    let (hops, ticket) = id.strip_prefix('r')?.split_once('.')?;
    Some((hops.parse().ok()?, Ticket::parse(ticket)?))
}

impl Active<'_> {
    /// An answer of the handler `by`: a file in the sender's inbox, or, where an extension asked, a message of its own in the room.
    pub(super) fn reply_effect(
        &mut self,
        claimed: &Claimed,
        by: &AgentId,
        hops: u32,
        body: ReplyBody<'_>,
        envelope: Option<&Envelope>,
        now: Now,
    ) -> Result<Answer, BusError> {
        let message = &claimed.message;
        let body_code = match &body {
            ReplyBody::Error(error) => Some(error.code),
            ReplyBody::OfMessage | ReplyBody::Payload(_) => None,
        };
        let response = Action::parse(Envelope::RESPONSE).expect("a constant that is a valid action");
        let reply = Reply {
            id: reply_id(hops + 1, claimed.claim.name.ticket),
            responder: by,
            action: if envelope.is_some() { &response } else { message.action() },
            now_ms: now.wall_ms,
            body,
            delivery: &Self::delivery(claimed, hops + 1),
        };
        let rendered = match envelope {
            Some(envelope) => reply.to_envelope(message, envelope),
            None => reply.to(message),
        };
        if claimed.claim.name.sent.is_some() {
            return Ok(answer_to_extension(&rendered, hops + 1, now));
        }
        // The one name that the first message with this id may be answered under is not for the second.
        let is_conflict = matches!(&body_code, Some(Code::IdConflict));
        let responder = claimed.part.as_ref().map(AgentId::as_str).or(is_conflict.then_some(AgentId::POSTROOM));
        let stem = layout::reply_stem(message.id().as_str(), responder);
        let target = self.inbox_target(message.sender(), stem)?;
        Ok(Answer { effect: effect(target, &rendered), sent: None })
    }

    /// A handler has answered.
    pub(super) fn replied(
        &mut self,
        claimed: Claimed,
        handler: &Handler,
        hops: u32,
        body: ReplyBody<'_>,
        envelope: Option<&Envelope>,
        now: Now,
    ) -> Result<Decision, BusError> {
        let Answer { effect, sent } = self.reply_effect(&claimed, &handler.name, hops, body, envelope, now)?;
        let mut story = self.story(&claimed, "replied", now);
        handler.tell(&mut story);
        let note = Self::id_note(&claimed, IdState::Used, hops, vec![handler.name.to_string()]);
        let finish = self.archive(&claimed.claim.name, Some(claimed.message.id().as_str()));
        let mut decision = self.decision(claimed, finish, vec![effect], note, story);
        decision.sent.extend(sent);
        Ok(decision)
    }

    /// A handler is done with an answer, which gets none: two extensions would answer each other's answers.
    pub(super) fn handled(&mut self, claimed: Claimed, handler: &Handler, hops: u32, now: Now) -> Decision {
        let mut story = self.story(&claimed, "handled", now);
        handler.tell(&mut story);
        let note = Self::id_note(&claimed, IdState::Used, hops, vec![handler.name.to_string()]);
        let finish = self.archive(&claimed.claim.name, Some(claimed.message.id().as_str()));
        self.decision(claimed, finish, Vec::new(), note, story)
    }

    /// That `message`, which is an answer, was the answer to what `asker` sent.
    pub(super) fn answer_note(message: &Message, asker: &AgentId) -> Option<AnswerNote> {
        message.in_reply_to().map(|asked| AnswerNote {
            sender: asker.to_string(),
            id: asked.to_string(),
            responder: message.sender().to_string(),
        })
    }
}

/// An answer to what an extension sent: handled by it like any message, but not answered in turn.
fn answer_to_extension(rendered: &Rendered, hops: u32, now: Now) -> Answer {
    let text = rendered.to_vec();
    let given = Given { file_identity: (0, 0), now_ms: now.wall_ms };
    let message = Message::parse(text.clone(), given).expect("what the service writes is a message");
    let name = ClaimName::sent(hops, message.id().as_str());
    let effect = Effect::whole(Target::Room { name: name.to_string() }, text);
    Answer { effect, sent: Some(Sent { name, message }) }
}
