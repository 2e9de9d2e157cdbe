//! Check and route: collects the facts about a claimed message and has the policy decide.

use std::time::Duration;

use super::active::{Active, Turn};
use super::claimed::Claimed;
use super::clock::Now;
use super::decide::Decision;
use super::inboxes::Coming;
use super::waiting::Due;
use crate::bus::ids::Seen;
use crate::bus::layout::Ticket;
use crate::bus::record::Target;
use crate::bus::{BusError, disk, file_system, layout};
use crate::message::{Action, AgentId, Code, Envelope, Message, MessageId, Recipient};
use crate::policy::limits::{self, Load};
use crate::policy::reply::{self, Asked};
use crate::policy::route::{self, Route, Who};
use crate::policy::{Refused, route::Standing};

/// After this many messages, each caused by the one before, the next is a loop.
pub(super) const MAX_HOPS: u32 = 16;

/// What is to become of a message.
#[derive(Debug)]
pub enum Verdict {
    Go(Checked),
    Refuse(Refused),
    /// So many messages have led to each other.
    Loop(Refused, u32),
    /// The same message was there before, under this ticket.
    Duplicate(Option<Ticket>),
    /// Not before it is due; why.
    Wait(Due, &'static str),
}

/// A message that passed, and what handling it needs to know.
#[derive(Debug)]
pub struct Checked {
    pub route: Route,
    pub hops: u32,
    /// It is an answer; to a message with several recipients?
    pub answers: Option<Answers>,
}

/// What is in the place of an inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InboxState {
    Absent,
    Folder,
    /// A link, a file, or a folder that this service may not list and write into: nothing can be delivered there.
    Unusable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answers {
    pub several: bool,
}

/// The refusal of a message whose time is over.
pub(super) fn expired(message: &Message, now: Now) -> Option<Refused> {
    message.expires_at().filter(|at| now.wall_ms >= *at).map(|_| {
        Refused::new(Code::Expired, "it was not handled before its expiresAt")
            .with_hint("send it again with a later expiresAt")
    })
}

/// It would wait, only to be refused then.
fn expires_before_its_time(message: &Message) -> Option<Refused> {
    let (from, until) = (message.not_before()?, message.expires_at()?);
    (until <= from).then(|| {
        Refused::new(Code::Expired, "its expiresAt is not later than its notBefore, so it could never be handled")
            .with_hint("send it again with a later expiresAt")
    })
}

fn went_to(recipients: &[String], agent: &str) -> bool {
    recipients.iter().any(|recipient| recipient == agent)
}

impl Active<'_> {
    pub(super) fn check(&mut self, claimed: &Claimed, now: Now) -> Result<Verdict, BusError> {
        let message = &claimed.message;
        // Where it says that it comes from, it does: no dropped file has such a name.
        if claimed.claim.name.sent.is_none()
            && let Err(refused) = route::may_send(message.sender(), &self.who(now))
        {
            return Ok(Verdict::Refuse(refused));
        }
        if let Some(refused) = self.killed_too_often(claimed) {
            return Ok(Verdict::Refuse(refused));
        }
        if let Some(verdict) = self.seen_before(claimed)? {
            return Ok(verdict);
        }
        if let Some(refused) = expired(message, now).or_else(|| expires_before_its_time(message)) {
            return Ok(Verdict::Refuse(refused));
        }
        if let Some(until) = message.not_before().filter(|until| now.wall_ms < *until) {
            return Ok(match self.admit(claimed, None, now)? {
                Ok(()) => Verdict::Wait(Due::Date(until), "notBefore"),
                Err(refused) => Verdict::Refuse(refused),
            });
        }
        let hops = self.hops(claimed)?;
        if hops > MAX_HOPS {
            let refused =
                Refused::new(Code::Loop, format!("{hops} messages have led to each other, more than {MAX_HOPS}"))
                    .with_hint("two programs or extensions answer each other without end");
            return Ok(Verdict::Loop(refused, hops));
        }
        let answers = match self.answer(claimed)? {
            Ok(reply::Standing::Ordinary) => None,
            Ok(reply::Standing::Answer { several }) => Some(Answers { several }),
            Ok(reply::Standing::Again) => return Ok(Verdict::Duplicate(None)),
            Err(refused) => return Ok(Verdict::Refuse(refused)),
        };
        self.look_at_recipients(claimed)?;
        let route = match route::route(message, claimed.part.as_ref(), &self.who(now)) {
            // Whoever asked is known for the answers to his message, whatever has become of his inbox.
            Err(refused) if answers.is_some() && refused.code == Code::UnknownRecipient => match message.recipient() {
                Recipient::One(asker) if self.inbox_is_usable(asker)? => Route::Inbox(asker.clone()),
                Recipient::One(_) | Recipient::Many(_) | Recipient::All => return Ok(Verdict::Refuse(refused)),
            },
            Err(refused) => match self.wait_for_extension(claimed, now) {
                Some(due) => return Ok(Verdict::Wait(due, "its extension is being loaded")),
                None => return Ok(Verdict::Refuse(self.set_aside(claimed).unwrap_or(refused))),
            },
            Ok(route) => route,
        };
        if let Err(refused) = self.admit(claimed, Some(&route), now)? {
            return Ok(Verdict::Refuse(refused));
        }
        if let Some(refused) = self.does_not_fit(claimed, &route) {
            return Ok(Verdict::Refuse(refused));
        }
        // Last: what is refused takes nobody's turn.
        let turn = self.wait_for_turn(claimed, now);
        if !turn.is_zero() {
            return Ok(Verdict::Wait(Due::Turn(now.mono + turn, message.priority()), "its sender's rate"));
        }
        Ok(Verdict::Go(Checked { route, hops, answers }))
    }

    /// A message whose copies are more than the disk has room for.
    fn does_not_fit(&self, claimed: &Claimed, route: &Route) -> Option<Refused> {
        let Route::Split(recipients) = route else { return None };
        let undecided = self.unsettled.iter().map(|decision| limits::copies(decision.bytes, decision.parts.len()));
        let free = file_system::free_bytes(&self.core.disk)?.saturating_sub(undecided.sum());
        limits::room_for_copies(claimed.claim.state.bytes, recipients.len(), free).err()
    }

    /// Who is known is not to be answered where the disk does not tell. Each is looked at once in a batch, so this costs nothing.
    fn look_at_recipients(&self, claimed: &Claimed) -> Result<(), BusError> {
        let named = match (&claimed.part, claimed.message.recipient()) {
            (Some(part), _) => std::slice::from_ref(part),
            (None, Recipient::One(one)) => std::slice::from_ref(one),
            (None, Recipient::Many(many)) => many,
            (None, Recipient::All) => &[],
        };
        let is_agent = |name: &&AgentId| !name.is_postroom() && self.lanes.host().package(name.as_str()).is_none();
        named.iter().filter(is_agent).try_for_each(|name| self.inbox_state(name).map(drop))
    }

    /// How long it has to wait because its sender sends faster than it may.
    fn wait_for_turn(&mut self, claimed: &Claimed, now: Now) -> Duration {
        // What waited for its turn has had it; what waited for a date has not.
        let waited_for_date = claimed.waited_until.is_some() && claimed.waited_until == claimed.message.not_before();
        let name = &claimed.claim.name;
        let is_first = name.attempt == 1 && name.sent.is_none() && name.ticket.part.is_none();
        if !is_first || !(waited_for_date || claimed.turn == Turn::Unknown) {
            return Duration::ZERO;
        }
        let per_second = self.core.settings.limits.per_sender_per_second;
        let running_ns = now.mono.saturating_duration_since(self.began).as_nanos() as u64;
        Duration::from_nanos(self.rates.take_turn(claimed.message.sender(), per_second, running_ns))
    }

    /// Where it is for an extension whose file is there and of no use: why.
    fn set_aside(&self, claimed: &Claimed) -> Option<Refused> {
        let extension = claimed.one_recipient()?;
        let reason = self.core.installed.set_aside(extension)?;
        let message = format!("the extension {:?} is set aside: {reason}", extension.as_str());
        let hint = "repair or replace its file, then `postroom dead-letter retry`; `postroom ext check` tells more";
        Some(Refused::new(Code::UnknownRecipient, message).with_hint(hint))
    }

    /// A message during which the service died again and again is given up.
    fn killed_too_often(&self, claimed: &Claimed) -> Option<Refused> {
        let attempts = self.core.settings.retry.attempts;
        (claimed.suspect && claimed.claim.name.attempt > attempts).then(|| {
            Refused::new(Code::Internal, format!("it was begun {attempts} times, and at the last the service ended"))
                .with_hint("look at the handler; `postroom dead-letter retry` tries again")
        })
    }

    /// The same sender and id before: a duplicate or a conflict.
    pub(super) fn seen_before(&self, claimed: &Claimed) -> Result<Option<Verdict>, BusError> {
        let message = &claimed.message;
        if claimed.claim.name.ticket.part.is_some() {
            return Ok(None);
        }
        let Some(seen) = self.ids.seen(message.sender().as_str(), message.id().as_str())? else { return Ok(None) };
        if seen.ticket.uuid == claimed.claim.name.ticket.uuid {
            return Ok(None);
        }
        // A dead letter that the user has tried again has a new ticket; its id was its own.
        if claimed.known && seen.released {
            return Ok(None);
        }
        if message.has_content(&seen.digest) {
            return Ok(Some(Verdict::Duplicate(Some(seen.ticket))));
        }
        Ok(Some(Verdict::Refuse(
            Refused::new(
                Code::IdConflict,
                format!(
                    "{:?} has used the id {:?} for another message",
                    message.sender().as_str(),
                    message.id().as_str()
                ),
            )
            .with_hint("give every message an id of its own, such as a UUID"),
        )))
    }

    /// One more than the hops of the message it answers: as remembered, or as the id of one of our own replies tells. What an extension
    /// sent has its own number, and the higher one counts.
    fn hops(&self, claimed: &Claimed) -> Result<u32, BusError> {
        let sent = claimed.claim.name.sent.map_or(0, u32::from);
        Ok(sent.max(self.hops_behind_answered(&claimed.message)?))
    }

    /// The message that is answered went to the one who answers, and as a rule it came from one of those to whom the answer goes. In a
    /// ring it did not; and whoever answers what was never sent to him is counted, too.
    fn hops_behind_answered(&self, message: &Message) -> Result<u32, BusError> {
        let Some(asked) = message.in_reply_to() else { return Ok(0) };
        if let Some(hops) = super::answer::hops_of_reply(asked.as_str()) {
            return Ok(hops.saturating_add(1));
        }
        let authors = match message.recipient() {
            Recipient::One(author) => std::slice::from_ref(author),
            Recipient::Many(authors) => authors,
            Recipient::All => &[],
        };
        let reader = message.sender().as_str();
        let from_them = authors.iter().filter_map(|author| self.asked(author.as_str(), asked.as_str()).transpose());
        let from_them: Vec<Seen> = from_them.collect::<Result<_, _>>()?;
        let received = from_them.iter().filter(|seen| went_to(&seen.recipients, reader)).map(|seen| seen.hops).max();
        let received = match received {
            Some(hops) => Some(hops),
            None => self.hops_of_received(reader, asked.as_str())?,
        };
        let behind = received.or_else(|| from_them.iter().map(|seen| seen.hops).max());
        Ok(behind.map_or(0, |hops| hops.saturating_add(1)))
    }

    /// How deep in a chain the messages with this id are that went to `reader`, whoever sent them.
    fn hops_of_received(&self, reader: &str, id: &str) -> Result<Option<u32>, BusError> {
        let noted = self.undone().filter_map(|decision| decision.record.id.as_ref()).filter(|note| note.id == id);
        let noted = noted.filter(|note| went_to(&note.recipients, reader)).map(|note| note.hops);
        let known = self.ids.named(id)?.into_iter().filter(|seen| went_to(&seen.recipients, reader));
        Ok(known.map(|seen| seen.hops).chain(noted).max())
    }

    fn answer(&self, claimed: &Claimed) -> Result<Result<reply::Standing, Refused>, BusError> {
        let message = &claimed.message;
        // The one answer of an extension is what its handler returns; whatever else it says is a message like any other. And an answer
        // to an extension was made by the service itself, which may speak for a recipient that does not exist.
        if claimed.claim.name.sent.is_some() {
            return Ok(Ok(reply::Standing::Ordinary));
        }
        let (Some(asker), Some(asked_id)) = (reply::asker(message), message.in_reply_to()) else {
            return Ok(Ok(reply::Standing::Ordinary));
        };
        let Some(seen) = self.asked(asker.as_str(), asked_id.as_str())? else {
            return Ok(reply::standing(message, None));
        };
        let answered = self.ids.answer_of(asker.as_str(), asked_id.as_str(), message.sender().as_str())?;
        let again = answered.is_some_and(|ticket| ticket.uuid != claimed.claim.name.ticket.uuid)
            || self.is_being_answered(asker, asked_id.as_str(), message.sender(), claimed);
        let several = seen.recipients.len() > 1;
        let asked = Asked { action: seen.action, recipients: seen.recipients, answered: again, several };
        Ok(reply::standing(message, Some(&asked)))
    }

    /// What is known of a message that is answered. Its reader may be faster than the note of its end.
    pub(super) fn asked(&self, sender: &str, id: &str) -> Result<Option<Seen>, BusError> {
        Ok(self.ids.seen(sender, id)?.or_else(|| {
            let noted = |decision: &Decision| {
                let note = decision.record.id.as_ref().filter(|note| note.sender == sender && note.id == id)?;
                Some(Seen::noted(decision.record.claim.ticket, note))
            };
            self.undone().find_map(noted)
        }))
    }

    /// Another answer of the same responder is in an extension's hands, or decided already but not yet noted.
    fn is_being_answered(&self, asker: &AgentId, id: &str, responder: &AgentId, claimed: &Claimed) -> bool {
        let is_handled = self.lanes.claims().filter(|job| job.answers.is_some()).any(|job| {
            let message = &job.claimed.message;
            (message.sender(), message.in_reply_to().map(MessageId::as_str)) == (responder, Some(id))
                && job.extension == *asker
                && job.claimed.claim.name.ticket != claimed.claim.name.ticket
        });
        if is_handled {
            return true;
        }
        self.undone().any(|decision| {
            decision.record.claim.ticket != claimed.claim.name.ticket
                && decision.record.answers.as_ref().is_some_and(|note| {
                    (note.sender.as_str(), note.id.as_str(), note.responder.as_str())
                        == (asker.as_str(), id, responder.as_str())
                })
        })
    }

    /// May it wait, in its recipient's inbox, for its handler, or (no route yet) for its time?
    fn admit(&mut self, claimed: &Claimed, route: Option<&Route>, now: Now) -> Result<Result<(), Refused>, BusError> {
        let limits = &self.core.settings.limits;
        let message = &claimed.message;
        let disk = &self.core.disk;
        // An extension needs no inbox: its answers are messages in the room.
        let has_inbox = claimed.claim.name.sent.is_none();
        if has_inbox && !self.inbox_is_usable(message.sender())? {
            let text = format!(
                "inbox/{} is not a folder that can be written into, so no answer could be given",
                message.sender()
            );
            return Ok(Err(Refused::new(Code::NotPermitted, text)));
        }
        let mut load = Load::default();
        if let Some(Route::Inbox(agent)) = route {
            load.inbox_messages = self.count_inbox(agent, limits.per_inbox_messages, now)?;
        }
        let was_admitted =
            claimed.known && (claimed.claim.name.ticket.part.is_none() || claimed.waited_until.is_some());
        if was_admitted && has_inbox {
            // But for the inbox.
            return Ok(limits::admit(limits, &load, 0));
        }
        (load.sender_messages, load.sender_bytes) = self.senders.of(message.sender());
        let elsewhere = self.waiting.len() + self.drop.parked_len();
        let left = if limits.bus_messages == 0 { 0 } else { limits.bus_messages.saturating_sub(elsewhere).max(1) };
        let coming = if self.inboxes.sums_anew(left, now) { self.coming_files(now)? } else { Coming::default() };
        load.bus_messages = elsewhere + self.inboxes.total(disk, left, &coming, now)?;
        // An answer will need an inbox for the sender.
        if has_inbox && self.inbox_state(message.sender())? == InboxState::Absent {
            if self.inboxes.lists_folders() {
                self.show_all(now)?;
            }
            load.inboxes = Some(self.inboxes.folders(disk)?);
        }
        Ok(limits::admit(limits, &load, claimed.claim.state.bytes))
    }

    /// How full an inbox is, with what is decided and not there yet: a batch must not go beyond a limit either.
    pub(super) fn count_inbox(&mut self, agent: &AgentId, limit: u64, now: Now) -> Result<u64, BusError> {
        let coming =
            if self.inboxes.counts_anew(agent, limit, now) { self.coming_files(now)? } else { Coming::default() };
        self.inboxes.count(&self.core.disk, agent, limit, &coming, now)
    }

    /// Has published what can be, and says what cannot be there yet.
    fn coming_files(&mut self, now: Now) -> Result<Coming, BusError> {
        self.show_all(now)?;
        let mut coming = Coming::default();
        for effect in self.undone().flat_map(|decision| &decision.record.effects) {
            if let Target::Inbox { agent, .. } = &effect.to {
                coming.add(agent);
            }
        }
        Ok(coming)
    }

    /// Before folders are counted: what is decided is to be in them.
    fn show_all(&mut self, now: Now) -> Result<(), BusError> {
        self.wait_for_publisher(0, now)
    }

    /// Nothing is there yet, or a real folder.
    pub(super) fn inbox_is_usable(&self, agent: &AgentId) -> Result<bool, BusError> {
        Ok(self.inbox_state(agent)? != InboxState::Unusable)
    }

    /// What is in the place of an agent's inbox; looked at once in a batch.
    pub(super) fn inbox_state(&self, agent: &AgentId) -> Result<InboxState, BusError> {
        if let Some(state) = self.inbox_states.borrow().get(agent) {
            return Ok(*state);
        }
        let path = layout::inbox(agent.as_str());
        let state = match self.core.disk.stat(&path)? {
            None if self.coming.contains(agent) => InboxState::Folder,
            None => InboxState::Absent,
            // Asked anew after every scan: not all that forbids it can be seen.
            Some(stat) if self.publisher.folders().confirm(&path, &stat) => InboxState::Folder,
            Some(stat) if disk::is_folder(&stat) && self.core.disk.may_fill(&path)? => InboxState::Folder,
            Some(_) => InboxState::Unusable,
        };
        self.inbox_states.borrow_mut().insert(agent.clone(), state);
        Ok(state)
    }

    pub(super) fn who(&self, now: Now) -> Present<'_> {
        Present { active: self, now }
    }

    /// The call in an older envelope, if this message is one and is not for an agent.
    pub(super) fn envelope(&self, message: &Message) -> Result<Option<Envelope>, Refused> {
        Envelope::parse(message).map_err(|refusal| Refused::from(&refusal))
    }
}

/// Who is on the bus now.
pub(super) struct Present<'a> {
    active: &'a Active<'a>,
    now: Now,
}

impl Who for Present<'_> {
    fn is_reserved(&self, name: &AgentId) -> bool {
        name.is_postroom() || self.active.lanes.host().package(name.as_str()).is_some()
    }

    fn standing(&self, name: &AgentId) -> Standing {
        if name.is_postroom() {
            return Standing::Service;
        }
        if self.active.lanes.host().package(name.as_str()).is_some() {
            return Standing::Extension;
        }
        match self.active.inbox_state(name) {
            Ok(InboxState::Folder) => Standing::Agent,
            Ok(InboxState::Absent) if self.active.registry.contains(name) => Standing::Agent,
            // Nothing can be delivered there. (That it cannot be looked at now, `look_at_recipients` has met.)
            Ok(InboxState::Absent | InboxState::Unusable) | Err(_) => Standing::Unknown,
        }
    }

    fn everybody(&self, sender: &AgentId, action: &Action) -> Vec<AgentId> {
        let agents = self.active.registry.agents().iter();
        let present =
            agents.filter(|(agent, registration)| *agent != sender && !registration.is_away(self.now.wall_ms));
        let mut all: Vec<AgentId> = present.map(|(agent, _)| agent.clone()).collect();
        let declaring = self.active.lanes.host().packages().filter(|package| package.declares(action.as_str()));
        let declaring = declaring.filter_map(|package| AgentId::parse(&package.name).ok());
        // An extension may have registered, too; and one that sends does not mean itself.
        let declaring: Vec<AgentId> = declaring.filter(|name| name != sender && !all.contains(name)).collect();
        all.extend(declaring);
        all
    }

    fn names(&self) -> Vec<String> {
        let mut names = vec![AgentId::POSTROOM.to_owned()];
        names.extend(self.active.lanes.host().packages().map(|package| package.name.clone()));
        names.extend(self.active.registry.agents().keys().map(ToString::to_string));
        // Without the folder's names the hint is only poorer.
        let _ = self.active.core.disk.for_each(layout::INBOX.as_ref(), |name, _| {
            names.extend(name.to_str().map(str::to_owned));
        });
        names
    }
}
