//! Outcomes become decisions: what is published, where the message goes, what is remembered of it. Nothing here touches the disk
//! but to look which names are free.

use super::active::Active;
use super::check::{Answers, InboxState};
use super::claimed::{Claimed, Key};
use super::clock::Now;
use super::waiting::Due;
use crate::bus::BusError;
use crate::bus::layout::{self, ClaimName, Ticket};
use crate::bus::record::{EarlierAttempt, Effect, Finish, IdNote, IdState, LoggedLine, Piece, Record, Story, Target};
use crate::control::{Change, Registration};
use crate::message::{AgentId, Delivery, Envelope, Failure, Field, Message, Rendered, Trust};
use crate::policy::{Refused, retry};

/// One message whose fate is decided in memory: the next step is to make that durable.
#[derive(Debug)]
pub struct Decision {
    pub record: Record,
    /// The message, if it was one: its text is what effects refer to.
    pub message: Option<Message>,
    /// Sender and id, if this message holds them.
    pub key: Option<Key>,
    /// The deliveries it was split into.
    pub parts: Vec<ClaimName>,
    /// Messages that its handling brought about, in the room from the commit on: what its handler sent, and an answer to an extension.
    pub sent: Vec<Sent>,
    /// It was deferred: when it is due.
    pub due: Option<Due>,
    pub bytes: u64,
    /// Decisions are carried out in this order.
    pub number: u64,
    /// Its effects lie in the room. From then on they are not touched again: a log whose sync failed may name them.
    pub staged: bool,
}

/// A message that goes into the room with another one's commit.
#[derive(Debug)]
pub struct Sent {
    pub name: ClaimName,
    pub message: Message,
}

/// Who handled a message, and how long that took.
#[derive(Clone, Debug)]
pub struct Handler {
    pub name: AgentId,
    /// As the journal names it: for an extension with version and hash.
    pub described: String,
    pub took_us: u64,
    /// What it wrote about that.
    pub log: Vec<LoggedLine>,
}

impl Handler {
    /// Writes into an attempt's story who handled it.
    pub(super) fn tell(&self, story: &mut Story) {
        story.by = Some(self.described.clone());
        story.took_us = Some(self.took_us);
        story.log.clone_from(&self.log);
    }
}

pub(super) fn effect(to: Target, rendered: &Rendered) -> Effect {
    let [head, _, tail] = rendered.segments();
    let shared = rendered.shared_range();
    let mut body = vec![Piece::Bytes(head.to_vec())];
    if !shared.is_empty() {
        body.push(Piece::OfMessage { start: shared.start, len: shared.len() });
    }
    if !tail.is_empty() {
        body.push(Piece::Bytes(tail.to_vec()));
    }
    Effect { to, body }
}

impl Active<'_> {
    pub(super) fn story(&self, claimed: &Claimed, outcome: &str, now: Now) -> Story {
        let message = &claimed.message;
        Story {
            outcome: outcome.to_owned(),
            id: Some(message.id().to_string()),
            sender: Some(message.sender().to_string()),
            recipient: Some(claimed.part.as_ref().map_or_else(|| message.recipient().to_string(), ToString::to_string)),
            action: Some(message.action().to_string()),
            in_reply_to: message.in_reply_to().map(ToString::to_string),
            accepted_at: claimed.accepted_at,
            at: now.wall_ms,
            earlier: claimed.earlier.clone(),
            ..Story::default()
        }
    }

    pub(super) fn decision(
        &self,
        claimed: Claimed,
        finish: Finish,
        effects: Vec<Effect>,
        id: Option<IdNote>,
        story: Story,
    ) -> Decision {
        Decision {
            record: Record {
                term: self.room.term,
                place: self.room.place.clone(),
                finish,
                effects,
                ahead: None,
                id,
                answers: None,
                story,
                claim: claimed.claim.name.clone(),
            },
            key: claimed.claim.name.ticket.part.is_none().then(|| claimed.key()),
            bytes: claimed.claim.state.bytes,
            message: Some(claimed.message),
            parts: Vec::new(),
            sent: Vec::new(),
            due: None,
            number: 0,
            staged: false,
        }
    }

    pub(super) fn archive(&self, claim: &ClaimName, id: Option<&str>) -> Finish {
        let (day, hour) = (self.calendar.day.clone(), self.calendar.hour.clone());
        Finish::Archive { day, hour, name: claim.archived(id) }
    }

    /// What is remembered of a message that passed the checks. Of one delivery of several: nothing of its own.
    pub(super) fn id_note(claimed: &Claimed, state: IdState, hops: u32, recipients: Vec<String>) -> Option<IdNote> {
        let message = &claimed.message;
        claimed.claim.name.ticket.part.is_none().then(|| IdNote {
            state,
            sender: message.sender().to_string(),
            id: message.id().to_string(),
            digest: message.content_digest().to_string(),
            recipients,
            action: message.action().to_string(),
            hops,
        })
    }

    pub(super) fn delivery(claimed: &Claimed, hops: u32) -> Delivery {
        Delivery {
            accepted_at: claimed.accepted_at,
            attempt: claimed.claim.name.attempt,
            trust: Trust::Unsigned,
            hops,
            ticket: claimed.claim.name.ticket.to_string(),
            traceparent: None,
        }
    }

    /// A free name in an inbox. For the limits the file and its inbox are there from now on: one batch must not go beyond them.
    pub(super) fn inbox_target(&mut self, agent: &AgentId, stem: String) -> Result<Target, BusError> {
        let state = self.inbox_state(agent)?;
        let target = Target::Inbox { agent: agent.to_string(), stem, number: 1 };
        let target = self.inbox_names.choose(&self.core.disk, target)?;
        if state == InboxState::Absent {
            self.inboxes.folder_made();
            self.inbox_states.borrow_mut().insert(agent.clone(), InboxState::Folder);
            self.coming.insert(agent.clone());
        }
        self.inboxes.delivered(agent.as_str());
        Ok(target)
    }

    /// It is put into an agent's inbox: as a message, or as the answer to one.
    pub(super) fn delivered(
        &mut self,
        claimed: Claimed,
        agent: &AgentId,
        hops: u32,
        answers: Option<Answers>,
        now: Now,
    ) -> Result<Decision, BusError> {
        let message = &claimed.message;
        let rendered = message.render_delivered(&Self::delivery(&claimed, hops));
        let (stem, answer_note) = match (answers, message.in_reply_to()) {
            (Some(Answers { several }), Some(asked)) => {
                let responder = several.then(|| message.sender().as_str());
                (layout::reply_stem(asked.as_str(), responder), Self::answer_note(message, agent))
            }
            (Some(_), None) | (None, _) => (message.id().to_string(), None),
        };
        let target = self.inbox_target(agent, stem)?;
        let mut story = self.story(&claimed, "delivered", now);
        story.by = Some(agent.to_string());
        let note = Self::id_note(&claimed, IdState::Used, hops, vec![agent.to_string()]);
        let finish = self.archive(&claimed.claim.name, Some(claimed.message.id().as_str()));
        let mut decision = self.decision(claimed, finish, vec![effect(target, &rendered)], note, story);
        decision.record.answers = answer_note;
        Ok(decision)
    }

    /// The same was there before: archived as such, and nothing is published.
    pub(super) fn duplicate(&mut self, claimed: Claimed, of: Option<Ticket>, now: Now) -> Decision {
        let mut story = self.story(&claimed, "duplicate", now);
        story.message = Some(match of {
            Some(ticket) => format!("the same message as {ticket}"),
            None => "this recipient has answered already".to_owned(),
        });
        let finish = self.archive(&claimed.claim.name, Some(claimed.message.id().as_str()));
        self.decision(claimed, finish, Vec::new(), None, story)
    }

    /// Each recipient gets a delivery of its own, which is a message in the room from the commit on.
    pub(super) fn split(&mut self, claimed: Claimed, recipients: &[AgentId], hops: u32, now: Now) -> Decision {
        let message = &claimed.message;
        let text = message.text().as_bytes();
        let body = if message.states(Field::Id) && message.states(Field::Timestamp) {
            vec![Piece::OfMessage { start: 0, len: text.len() }]
        } else {
            // Copies have other inodes: what was given to the original from its file is written down.
            part_text(message)
        };
        let parts: Vec<ClaimName> =
            (1..).zip(recipients).map(|(part, agent)| claimed.claim.name.part(part, agent.as_str())).collect();
        let effects =
            parts.iter().map(|name| Effect { to: Target::Room { name: name.to_string() }, body: body.clone() });
        let effects = effects.collect();
        let story = self.story(&claimed, "split", now);
        // The star says that the answers are told apart by name, however many there are.
        let mut to: Vec<String> = vec!["*".to_owned()];
        to.extend(recipients.iter().map(ToString::to_string));
        let note = Self::id_note(&claimed, IdState::Used, hops, to);
        let finish = self.archive(&claimed.claim.name, Some(message.id().as_str()));
        let mut decision = self.decision(claimed, finish, effects, note, story);
        decision.parts = parts;
        decision
    }

    /// It waits in `deferred/`, as the same attempt.
    pub(super) fn wait(&mut self, claimed: Claimed, due: Due, why: &str, now: Now) -> Decision {
        let due_ms = match due {
            Due::Date(ms) => ms,
            Due::At(instant) | Due::Extension(instant) | Due::Turn(instant, _) => {
                now.wall_ms + instant.saturating_duration_since(now.mono).as_millis() as u64
            }
        };
        let mut story = self.story(&claimed, "deferred", now);
        story.message = Some(why.to_owned());
        let recipients = vec![claimed.message.recipient().to_string()];
        let note = Self::id_note(&claimed, IdState::Used, 0, recipients);
        let finish = Finish::Deferred { name: claimed.claim.name.waiting(due_ms) };
        self.announce(&claimed);
        let mut decision = self.decision(claimed, finish, Vec::new(), note, story);
        decision.due = Some(due);
        decision
    }

    /// It will wait: for the limits it does so from now on.
    fn announce(&mut self, claimed: &Claimed) {
        self.waiting.announce();
        self.senders.add(claimed.message.sender(), claimed.claim.state.bytes);
    }

    /// A handler has failed: another attempt later, or a dead letter.
    pub(super) fn failed(
        &mut self,
        claimed: Claimed,
        handler: &Handler,
        hops: u32,
        failure: Failure,
        envelope: Option<&Envelope>,
        now: Now,
    ) -> Result<Decision, BusError> {
        let settings = &self.core.settings.retry;
        let attempt = claimed.claim.name.attempt;
        let refused = Refused::new(failure.code, failure.message);
        let again = failure.retry == crate::message::Retry::Later && attempt < settings.attempts;
        if !again {
            return self.dead(claimed, refused, failure.details.as_ref(), Some((handler, envelope)), hops, now);
        }
        let wait = retry::backoff_ms(settings, attempt, uuid::Uuid::now_v7().as_u128() as u64);
        let mut story = self.story(&claimed, "deferred", now);
        handler.tell(&mut story);
        (story.code, story.message) = (Some(refused.code.to_string()), Some(refused.message.clone()));
        let mut earlier = claimed.earlier.clone();
        let code = refused.code.to_string();
        earlier.push(EarlierAttempt { attempt, at: now.wall_ms, code, message: refused.message });
        let note = Self::id_note(&claimed, IdState::Used, hops, vec![handler.name.to_string()]);
        let finish = Finish::Deferred { name: claimed.claim.name.next_attempt().waiting(now.wall_ms + wait) };
        self.announce(&claimed);
        let mut decision = self.decision(claimed, finish, Vec::new(), note, story);
        decision.record.story.earlier = earlier;
        decision.due = Some(Due::At(now.mono + std::time::Duration::from_millis(wait)));
        Ok(decision)
    }

    /// What a control command would change, as effects.
    pub(super) fn change_effect(change: &Change) -> Effect {
        match change {
            Change::Register(agent, registration) => {
                let mut text = serde_json::to_vec_pretty(registration).expect("our own types are always JSON");
                text.push(b'\n');
                Effect::whole(Target::Agent { agent: agent.to_string() }, text)
            }
            Change::Unregister(agent) => Effect::whole(Target::AgentGone { agent: agent.to_string() }, Vec::new()),
        }
    }
}

impl Decision {
    /// Writes down that the sender is alive, unless the message itself changes its registration.
    pub(super) fn note_alive(&mut self, alive: Option<Registration>) {
        let Some(registration) = alive else { return };
        let changes = |to: &Target| matches!(to, Target::Agent { .. } | Target::AgentGone { .. });
        let agent = AgentId::parse(&registration.agent);
        if let (Ok(agent), false) = (agent, self.record.effects.iter().any(|effect| changes(&effect.to))) {
            self.record.effects.push(Active::change_effect(&Change::Register(agent, registration)));
        }
    }
}

/// The message's text with the id and timestamp that it was given.
fn part_text(message: &Message) -> Vec<Piece> {
    let text = message.text().as_bytes();
    let open = text.iter().position(|byte| *byte == b'{').unwrap_or(0);
    let mut head = String::from("{");
    if !message.states(Field::Id) {
        head.push_str(&format!("\"id\":\"{}\",", message.id()));
    }
    if !message.states(Field::Timestamp) {
        head.push_str(&format!("\"timestamp\":{},", message.timestamp()));
    }
    vec![Piece::Bytes(head.into_bytes()), Piece::OfMessage { start: open + 1, len: text.len() - open - 1 }]
}
