//! What the command line asks of the active service: files in `.postroom/requests/`, answered in `.postroom/answers/`.
//!
//! Each request can be carried out again: what is done already is not found, and a crash in between loses nothing. What the crash left of
//! it, a reason without its letter, goes then.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::active::{Active, Ready};
use super::answer::{reply_id, ticket_of_reply};
use super::clock::Now;
use crate::bus::disk::{Moved, Sync};
use crate::bus::layout::{self, ClaimName, Ticket};
use crate::bus::{BusError, Disk, publish};
use crate::message::{AgentId, MessageId};

/// A request has at most this many bytes: about 100,000 tickets.
const MAX_BYTES: u64 = 8 << 20;
/// An error reply is looked for under so many names: its owner fills that folder as he likes. One that is not found stays, beside
/// the answer to the second try.
const MAX_NUMBERS: u32 = 64;
/// After so many that are not there, none is expected any more.
const MAX_MISSING: u32 = 8;
/// So many bytes have the id of a reply of the service in them.
const REPLY_START: usize = 128;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Op {
    /// Try dead letters once more.
    Retry,
    /// Remove dead letters for good.
    Purge,
}

#[derive(Debug, Deserialize)]
struct Request {
    op: Op,
    tickets: Vec<String>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    ok: bool,
    done: Vec<String>,
    not_found: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// What of a `.why.json` a retry needs.
#[derive(Debug, Default, Deserialize)]
struct Why {
    id: Option<String>,
    sender: Option<String>,
}

impl Active<'_> {
    /// Carries out every request that is there.
    pub(super) fn answer_requests(&mut self, now: Now) -> Result<(), BusError> {
        let mut names = Vec::new();
        self.disk().for_each(Path::new(layout::REQUESTS), |name, _| {
            names.extend(
                name.to_str().filter(|name| !name.starts_with('.') && name.ends_with(".json")).map(str::to_owned),
            );
        })?;
        for name in names {
            match self.answer_file(&name, now) {
                Err(error @ BusError::Disk(_)) => self.one_failed(&error, now),
                done => done?,
            }
        }
        Ok(())
    }

    fn answer_file(&mut self, name: &str, now: Now) -> Result<(), BusError> {
        let path = Path::new(layout::REQUESTS).join(name);
        // What cannot be read as a request is left for `doctor` to show.
        let Ok(Some(text)) = self.disk().read(&path, MAX_BYTES) else { return Ok(()) };
        let request = serde_json::from_slice::<Request>(&text);
        let answer = match &request {
            Ok(request) => self.answer_request(request, now)?,
            Err(error) => Answer { message: Some(format!("not a request: {error}")), ..Answer::default() },
        };
        self.give_answer(name, &answer)?;
        publish::remove(self.disk(), &self.room, &path)?;
        let answered = request.map(|request| request.tickets).unwrap_or_default();
        let answered: HashSet<Ticket> = answered.iter().filter_map(|ticket| Ticket::parse(ticket)).collect();
        self.carried_out.retain(|letter| !answered.contains(&letter.ticket));
        Ok(())
    }

    fn give_answer(&self, name: &str, answer: &Answer) -> Result<(), BusError> {
        let text = serde_json::to_vec(answer).expect("our own types are always JSON");
        let made = self.room.file(format!("{}{name}", layout::ROOM_ANSWER));
        self.disk().remove_file(&made)?;
        let created = self.disk().create(&made, &[&text, b"\n"], Sync::Later);
        created.map_err(|error| self.room.missing(self.disk(), error))?;
        match self.disk().rename_over(&made, &Path::new(layout::ANSWERS).join(name))? {
            Moved::Done | Moved::Taken => Ok(()),
            Moved::Gone if self.room.exists(self.disk())? => Ok(()),
            Moved::Gone => Err(BusError::RoomGone),
        }
    }

    fn answer_request(&mut self, request: &Request, now: Now) -> Result<Answer, BusError> {
        let mut answer = Answer { ok: true, ..Answer::default() };
        let letters = Letters::find(self.disk())?;
        let mut carried_out = by_ticket(self.carried_out.iter().cloned());
        for wanted in &request.tickets {
            self.room.beat_if_due(self.disk())?;
            let ticket = Ticket::parse(wanted);
            if let Some(letter) = ticket.and_then(|ticket| carried_out.get(&ticket)) {
                self.remove_reason(letter)?;
                answer.done.push(wanted.clone());
                continue;
            }
            let found = ticket.and_then(|ticket| letters.there.get(&ticket));
            let done = match (found, &request.op) {
                (Some(letter), Op::Retry) => self.retry(letter, now)?,
                (Some(letter), Op::Purge) => self.purge(letter)?,
                // What was tried again has another ticket now, so only of what is removed it is known that all is as it was asked for.
                (None, op) => self.remove_left(&letters, ticket)? && matches!(op, Op::Purge),
            };
            if let Some(letter) = found.filter(|_| done) {
                carried_out.insert(letter.ticket, letter.clone());
            }
            if done { answer.done.push(wanted.clone()) } else { answer.not_found.push(wanted.clone()) }
        }
        Ok(answer)
    }

    /// Removes the reason of a letter that is not there: a service died, or was replaced, while it carried this request out. `false`: there
    /// is none, or its letter is on the way to it.
    fn remove_left(&self, letters: &Letters, ticket: Option<Ticket>) -> Result<bool, BusError> {
        let Some(letter) = ticket.and_then(|ticket| letters.reasons.get(&ticket)) else { return Ok(false) };
        if self.undone().any(|decision| decision.record.claim.ticket == letter.ticket) {
            return Ok(false);
        }
        self.remove_reason(letter)?;
        Ok(true)
    }

    /// A dead letter goes back into the room as a new message with a ticket of its own. The error reply that its sender has not taken yet
    /// is withdrawn first: after an error all of it is done again, and once the letter is in the room nothing would find that reply.
    fn retry(&mut self, letter: &ClaimName, now: Now) -> Result<bool, BusError> {
        let (file, why_file) = letter.dead();
        let dead_letter = Path::new(layout::DEAD_LETTER);
        let why: Why = self
            .disk()
            .read(&dead_letter.join(&why_file), MAX_BYTES)?
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        let sender = why.sender.as_deref().and_then(|sender| AgentId::parse(sender).ok());
        let id = why.id.as_deref().and_then(|id| MessageId::parse(id).ok());
        if let Some(sender) = &sender
            && self.inbox_is_usable(sender)?
            && let Some(reply) = self.error_reply_to(letter, sender, id.as_ref())?
        {
            publish::remove(self.disk(), &self.room, &reply)?;
        }
        let fresh =
            ClaimName { attempt: 1, ticket: Ticket { part: letter.ticket.part, ..Ticket::new() }, ..letter.clone() };
        match self.disk().rename_new(&dead_letter.join(&file), &self.room.file(fresh.to_string()))? {
            Moved::Done => {}
            Moved::Taken => return Ok(false),
            Moved::Gone if self.room.exists(self.disk())? => return Ok(false),
            Moved::Gone => return Err(BusError::RoomGone),
        }
        let more = serde_json::json!({ "from": letter.ticket.to_string(), "id": why.id, "sender": why.sender });
        self.look_at_clock(now);
        self.journal.step(&self.core.disk, &self.calendar.day, now.wall_ms, "retried", &fresh, more);
        if let (Some(sender), Some(id)) = (sender, id) {
            self.release(letter.ticket, &sender, &id);
        }
        self.ready.push_back(Ready::new(fresh));
        self.carried_out.push(letter.clone());
        self.remove_reason(letter)?;
        Ok(true)
    }

    /// What is left of a dead letter that is in the room again, or no more.
    fn remove_reason(&self, letter: &ClaimName) -> Result<(), BusError> {
        let (_, why_file) = letter.dead();
        publish::remove(self.disk(), &self.room, &Path::new(layout::DEAD_LETTER).join(why_file))
    }

    /// The error reply that told the sender of this dead letter, if it lies in his inbox still. Its id says which one it is; its name is
    /// one of a few, since another's file may have had the first one.
    fn error_reply_to(
        &self,
        letter: &ClaimName,
        sender: &AgentId,
        id: Option<&MessageId>,
    ) -> Result<Option<PathBuf>, BusError> {
        let stems = match id {
            Some(id) => [letter.recipient.as_deref(), Some(AgentId::POSTROOM)]
                .map(|responder| layout::reply_stem(id.as_str(), responder))
                .to_vec(),
            None => vec![reply_id(1, letter.ticket).to_string()],
        };
        for stem in stems {
            let mut missing = 0;
            for number in 1..=MAX_NUMBERS {
                let path = layout::inbox(sender.as_str()).join(layout::delivery_name(&stem, number));
                match self.disk().stat(&path)? {
                    Some(_) if self.tells_of(&path, letter.ticket) => return Ok(Some(path)),
                    Some(_) => missing = 0,
                    // Those before it may have been taken while it waits.
                    None if missing < MAX_MISSING => missing += 1,
                    None => break,
                }
            }
        }
        Ok(None)
    }

    /// Is it the service's own answer to the message with this ticket? Its id stands at the beginning of what the service writes; whatever
    /// else lies in the inbox, and however large, is not read.
    fn tells_of(&self, path: &Path, ticket: Ticket) -> bool {
        let start = self.disk().read_start(path, REPLY_START).ok().flatten().unwrap_or_default();
        let start = String::from_utf8_lossy(&start);
        let id = start.strip_prefix("{\"id\":\"").and_then(|rest| rest.split('"').next());
        id.and_then(ticket_of_reply) == Some(ticket)
    }

    fn purge(&mut self, letter: &ClaimName) -> Result<bool, BusError> {
        let (file, _) = letter.dead();
        let dead_letter = Path::new(layout::DEAD_LETTER);
        let gone = self.room.file(format!("gone-{}-letter", letter.ticket));
        match self.disk().rename_new(&dead_letter.join(file), &gone)? {
            Moved::Done => {}
            Moved::Taken => return Ok(false),
            Moved::Gone if self.room.exists(self.disk())? => return Ok(false),
            Moved::Gone => return Err(BusError::RoomGone),
        }
        self.carried_out.push(letter.clone());
        self.disk().remove_file(&gone)?;
        self.remove_reason(letter)?;
        Ok(true)
    }
}

/// What there is in `dead-letter/`, by its tickets.
struct Letters {
    there: HashMap<Ticket, ClaimName>,
    /// The letters whose reasons are there.
    reasons: HashMap<Ticket, ClaimName>,
}

impl Letters {
    fn find(disk: &Disk) -> Result<Letters, BusError> {
        let (mut letters, mut reasons) = (Vec::new(), Vec::new());
        disk.for_each(Path::new(layout::DEAD_LETTER), |name, _| {
            letters.extend(name.to_str().and_then(layout::parse_dead));
            reasons.extend(name.to_str().and_then(layout::parse_reason));
        })?;
        Ok(Letters { there: by_ticket(letters), reasons: by_ticket(reasons) })
    }
}

fn by_ticket(letters: impl IntoIterator<Item = ClaimName>) -> HashMap<Ticket, ClaimName> {
    letters.into_iter().map(|letter| (letter.ticket, letter)).collect()
}
