//! What the command line asks of the active service: files in `.postroom/requests/`, answered in `.postroom/answers/`.
//!
//! Each request can be carried out again: what is done already is not found, and a crash in between loses nothing.

use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::active::{Active, Ready};
use super::clock::Now;
use crate::bus::disk::{Moved, Sync};
use crate::bus::layout::{self, ClaimName, Ticket};
use crate::bus::{BusError, Disk};
use crate::message::{AgentId, Envelope, MessageId};

/// A request has at most this many bytes: about 100,000 tickets.
const MAX_BYTES: u64 = 8 << 20;

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
            let path = Path::new(layout::REQUESTS).join(&name);
            // What cannot be read as a request is left for `doctor` to show.
            let Ok(Some(text)) = self.disk().read(&path, MAX_BYTES) else { continue };
            let answer = match serde_json::from_slice::<Request>(&text) {
                Ok(request) => self.answer_request(&request, now)?,
                Err(error) => Answer { message: Some(format!("not a request: {error}")), ..Answer::default() },
            };
            self.give_answer(&name, &answer)?;
            self.disk().remove_file(&path)?;
        }
        Ok(())
    }

    fn give_answer(&self, name: &str, answer: &Answer) -> Result<(), BusError> {
        let text = serde_json::to_vec(answer).expect("our own types are always JSON");
        let made = self.room.file(format!("answer-{name}"));
        self.disk().remove_file(&made)?;
        self.disk().create(&made, &[&text, b"\n"], Sync::Later)?;
        self.disk().rename_over(&made, &Path::new(layout::ANSWERS).join(name))?;
        Ok(())
    }

    fn answer_request(&mut self, request: &Request, now: Now) -> Result<Answer, BusError> {
        let mut answer = Answer { ok: true, ..Answer::default() };
        let letters = dead_letters(self.disk())?;
        for wanted in &request.tickets {
            let found = Ticket::parse(wanted).and_then(|ticket| letters.iter().find(|letter| letter.ticket == ticket));
            let Some(letter) = found else {
                answer.not_found.push(wanted.clone());
                continue;
            };
            let done = match request.op {
                Op::Retry => self.retry(letter, now)?,
                Op::Purge => self.purge(letter)?,
            };
            if done { answer.done.push(wanted.clone()) } else { answer.not_found.push(wanted.clone()) }
        }
        Ok(answer)
    }

    /// A dead letter goes back into the room as a new message with a ticket of its own; the error reply that its sender has not
    /// taken yet is withdrawn.
    fn retry(&mut self, letter: &ClaimName, now: Now) -> Result<bool, BusError> {
        let (file, why_file) = letter.dead();
        let dead_letter = Path::new(layout::DEAD_LETTER);
        let why: Why = self
            .disk()
            .read(&dead_letter.join(&why_file), MAX_BYTES)?
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        let fresh =
            ClaimName { attempt: 1, ticket: Ticket { part: letter.ticket.part, ..Ticket::new() }, ..letter.clone() };
        match self.disk().rename_new(&dead_letter.join(&file), &self.room.file(fresh.to_string()))? {
            Moved::Done => {}
            Moved::Taken => return Ok(false),
            Moved::Gone if self.room.exists(self.disk())? => return Ok(false),
            Moved::Gone => return Err(BusError::RoomGone),
        }
        let more = serde_json::json!({ "from": letter.ticket.to_string(), "id": why.id, "sender": why.sender });
        self.calendar.set(now.wall_ms);
        self.journal.step(&self.core.disk, &self.calendar.day, now.wall_ms, "retried", &fresh, more);
        self.withdraw(&dead_letter.join(why_file), &fresh, "why")?;
        let sender = why.sender.as_deref().and_then(|sender| AgentId::parse(sender).ok());
        let id = why.id.as_deref().and_then(|id| MessageId::parse(id).ok());
        if let (Some(sender), Some(id)) = (sender, id) {
            let responder = letter.recipient.as_deref();
            let name = layout::delivery_name(&layout::reply_stem(id.as_str(), responder), 1);
            let reply = layout::inbox(sender.as_str()).join(name);
            if self.is_error_reply(&reply)? {
                self.withdraw(&reply, &fresh, "reply")?;
            }
            self.release(letter.ticket, &sender, &id);
        }
        self.ready.push_back(Ready { name: fresh, suspect: false, earlier: Vec::new() });
        Ok(true)
    }

    /// Takes a file of ours away, through the room, so that a service that was replaced takes nothing.
    fn withdraw(&self, path: &Path, claim: &ClaimName, what: &str) -> Result<(), BusError> {
        let gone: PathBuf = self.room.file(format!("gone-{}-{what}", claim.ticket));
        if self.disk().rename_new(path, &gone)? == Moved::Done {
            self.disk().remove_file(&gone)?;
        }
        Ok(())
    }

    fn is_error_reply(&self, path: &Path) -> Result<bool, BusError> {
        #[derive(Deserialize)]
        struct Reply<'a> {
            #[serde(borrow)]
            action: std::borrow::Cow<'a, str>,
            error: Option<IgnoredAny>,
            #[serde(borrow)]
            payload: Option<&'a RawValue>,
        }
        /// Of an `mcp.response`.
        #[derive(Deserialize)]
        struct Response {
            success: bool,
        }
        let text = self.disk().read(path, self.core.settings.bus.max_message_bytes).ok().flatten();
        let Some(reply) = text.as_ref().and_then(|text| serde_json::from_slice::<Reply>(text).ok()) else {
            return Ok(false);
        };
        let has_failed = |payload: &RawValue| {
            serde_json::from_str::<Response>(payload.get()).is_ok_and(|response| !response.success)
        };
        let is_response = reply.action == Envelope::RESPONSE;
        Ok(reply.error.is_some() || (is_response && reply.payload.is_some_and(has_failed)))
    }

    fn purge(&mut self, letter: &ClaimName) -> Result<bool, BusError> {
        let (file, why_file) = letter.dead();
        let dead_letter = Path::new(layout::DEAD_LETTER);
        let gone = self.room.file(format!("gone-{}-letter", letter.ticket));
        match self.disk().rename_new(&dead_letter.join(file), &gone)? {
            Moved::Done => {}
            Moved::Taken => return Ok(false),
            Moved::Gone if self.room.exists(self.disk())? => return Ok(false),
            Moved::Gone => return Err(BusError::RoomGone),
        }
        self.disk().remove_file(&gone)?;
        self.withdraw(&dead_letter.join(why_file), letter, "why")?;
        Ok(true)
    }
}

fn dead_letters(disk: &Disk) -> Result<Vec<ClaimName>, BusError> {
    let mut letters = Vec::new();
    disk.for_each(Path::new(layout::DEAD_LETTER), |name, _| {
        letters.extend(name.to_str().and_then(layout::parse_dead));
    })?;
    Ok(letters)
}
