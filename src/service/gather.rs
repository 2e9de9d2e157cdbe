//! What is there to be done next: from the room, from `deferred/`, from the drop, in the order it is to be done.

use std::collections::HashSet;
use std::ffi::OsString;
use std::time::Duration;

use super::active::{Active, Ready};
use super::claimed::{Claimed, Key};
use super::clock::Now;
use super::drop_queue::{BATCH, Parked};
use super::settle::undone;
use super::waiting::Waiter;
use crate::bus::claim::{self, Claim, FileState, Found, Opened};
use crate::bus::layout::{ClaimName, WaitingName};
use crate::bus::{BusError, layout};
use crate::message::{AgentId, Code, Given, Message, Recipient, Refusal};
use crate::policy::Refused;

/// After an error a message in `deferred/` is tried again so much later.
const AGAIN: Duration = Duration::from_secs(1);

/// A batch is closed when so many bytes were read for it.
const BATCH_BYTES: u64 = 8 << 20;

/// In one pass at most so many names of the drop are looked at, whatever is found: between two there is a sign of life, and to find that a
/// long queue has to wait is no reason to let the lanes run empty.
const LOOKS: usize = 4 * BATCH;

/// Something to be claimed, or claimed already.
#[derive(Debug)]
pub enum Candidate {
    /// A message in the drop, read and parsed.
    Dropped { opened: Opened, message: Message },
    /// Something in the drop that is refused before it is even a message.
    Unfit { name: OsString, state: FileState, refusal: Box<Refusal> },
    /// A message that lies in the room.
    InRoom(Box<Claimed>),
    /// The same, but it cannot be a message.
    UnfitInRoom { claim: Claim, refusal: Box<Refusal> },
}

/// Where a name in the drop was waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Queue,
    /// For room in its extension's lane; it is its turn now.
    Parked,
}

impl Candidate {
    /// Higher priority first; what was accepted before comes before what is only dropped; then the order of the change times,
    /// then of the names.
    fn order(&self) -> (u8, u8, u128, i128, Vec<u8>) {
        use std::os::unix::ffi::OsStrExt;
        match self {
            Candidate::Dropped { opened, message } => {
                let name = opened.name.as_bytes().to_vec();
                (9 - message.priority().min(9), 1, 0, opened.state.changed_ns, name)
            }
            Candidate::Unfit { name, state, .. } => (5, 1, 0, state.changed_ns, name.as_bytes().to_vec()),
            Candidate::InRoom(claimed) => {
                let ticket = claimed.claim.name.ticket;
                let part = i128::from(ticket.part.unwrap_or(0));
                (9 - claimed.message.priority().min(9), 0, ticket.uuid.as_u128(), part, Vec::new())
            }
            Candidate::UnfitInRoom { claim, .. } => (5, 0, claim.name.ticket.uuid.as_u128(), 0, Vec::new()),
        }
    }
}

impl Active<'_> {
    /// At most [`BATCH`] candidates, in order.
    pub(super) fn gather(&mut self, now: Now) -> Result<Vec<Candidate>, BusError> {
        self.lanes.end_gathering();
        if self.relist {
            self.list_own_room()?;
        }
        if let Some(candidates) = self.gather_suspect(now)? {
            return Ok(candidates);
        }
        self.drop.peek(&self.core.disk, self.core.settings.bus.max_message_bytes);
        let mut candidates = Vec::new();
        let mut refused = None;
        let mut bytes = 0;
        while candidates.len() < BATCH && bytes < BATCH_BYTES {
            let ready = match self.next_in_room(now) {
                Ok(None) => break,
                Ok(Some(ready)) => ready,
                Err(error @ BusError::Disk(_)) => {
                    refused = Some(error);
                    break;
                }
                Err(error) => return Err(error),
            };
            match self.read_in_room(ready) {
                Ok(candidate) => {
                    if let Some(Candidate::InRoom(claimed)) = &candidate {
                        bytes += claimed.claim.state.bytes;
                        claimed.one_recipient().into_iter().for_each(|recipient| self.lanes.gather(recipient));
                    }
                    candidates.extend(candidate);
                }
                Err(error @ BusError::Disk(_)) => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        for _ in 0..LOOKS {
            if candidates.len() >= BATCH || bytes >= BATCH_BYTES {
                break;
            }
            let Some((name, from)) = self.next_in_drop() else { break };
            match self.look_at(name, from, now) {
                Ok((read, candidate)) => {
                    bytes += read;
                    if let Some(Candidate::Dropped { message, .. }) = &candidate
                        && let Recipient::One(recipient) = message.recipient()
                    {
                        self.lanes.gather(recipient);
                    }
                    candidates.extend(candidate);
                }
                Err(BusError::RoomGone) => return Err(BusError::RoomGone),
                // One file that cannot be read must not hold up the others: the next scan finds it again.
                Err(error) => refused = Some(error),
            }
        }
        if let Some(error) = refused {
            self.one_failed(&error, now);
            if candidates.is_empty() {
                return Err(error);
            }
        }
        candidates.sort_by_cached_key(Candidate::order);
        self.lanes.end_gathering();
        Ok(candidates)
    }

    /// A message that may have killed a service runs alone: `Some` while there is one (empty: wait until all else is done).
    fn gather_suspect(&mut self, now: Now) -> Result<Option<Vec<Candidate>>, BusError> {
        if self.alone.is_some() {
            return Ok(Some(Vec::new()));
        }
        let Some(index) = self.ready.iter().position(|ready| ready.suspect) else { return Ok(None) };
        if !self.lanes.is_idle() {
            return Ok(Some(Vec::new()));
        }
        let Some(ready) = self.ready.remove(index) else { return Ok(None) };
        let name = ready.name.clone();
        let candidates: Vec<Candidate> = match self.read_in_room(ready) {
            Ok(candidate) => candidate.into_iter().collect(),
            // It waits for the next scan; the others go on meanwhile.
            Err(error @ BusError::Disk(_)) => {
                self.one_failed(&error, now);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        // Only now: after an error it is to be read again, which nothing is while one runs alone.
        if !candidates.is_empty() {
            self.alone = Some(name);
        }
        Ok(Some(candidates))
    }

    fn next_in_room(&mut self, now: Now) -> Result<Option<Ready>, BusError> {
        if let Some(ready) = self.ready.pop_front() {
            return Ok(Some(ready));
        }
        while let Some(waiter) = self.waiting.pop_due(now) {
            let Waiter { file, sender, bytes, earlier } = waiter;
            let resumed = claim::resume(self.disk(), &self.room, layout::DEFERRED, &file);
            if self.resume_failed.as_ref() == Some(&file) {
                self.resume_failed = None;
            }
            if let Err(BusError::Disk(_)) = &resumed {
                self.resume_failed = Some(file.clone());
                // It stays where it is.
                if let Some(name) = WaitingName::parse(&file) {
                    let again = Waiter { file, sender, bytes, earlier };
                    self.waiting.add(name.claim.ticket, super::waiting::Due::At(now.mono + AGAIN), again);
                }
                return Err(resumed.err().unwrap_or(BusError::RoomGone));
            }
            if let Some(sender) = &sender {
                self.senders.remove(sender, bytes);
            }
            if let Some(name) = resumed? {
                let waited_until = WaitingName::parse(&file).map(|name| name.due_ms);
                return Ok(Some(Ready { waited_until, earlier, ..Ready::new(name) }));
            }
        }
        Ok(None)
    }

    fn next_in_drop(&mut self) -> Option<(OsString, Place)> {
        let (lanes, installed) = (&self.lanes, &self.core.installed);
        if let Some((name, Parked { sender, bytes })) = self.drop.pop_parked(|ext| lanes.has_room(ext, installed)) {
            self.senders.remove(&sender, bytes);
            return Some((name, Place::Parked));
        }
        self.drop.pop().map(|name| (name, Place::Queue))
    }

    /// Reads a claim in the room. `None`: somebody still writes to it, or another one with its sender and id is in hand; it is looked
    /// at again with the next scan, and so it is after an error.
    pub(super) fn read_in_room(&mut self, ready: Ready) -> Result<Option<Candidate>, BusError> {
        let max = self.core.settings.bus.max_message_bytes;
        let read = match claim::read(self.disk(), &self.room, ready.name.clone(), max) {
            Ok(read) => read,
            Err(error) => {
                if matches!(&error, BusError::Disk(disk) if disk.is_not_found()) {
                    // Somebody took it out of the private room by hand; there is nothing left to decide.
                    return Ok(None);
                }
                self.busy.push(ready);
                return Err(error);
            }
        };
        let unfit = |state, refusal| {
            let dropped_as = format!("{}.json", ready.name.stem);
            let claim = Claim { name: ready.name.clone(), dropped_as, state };
            Some(Candidate::UnfitInRoom { claim, refusal: Box::new(refusal) })
        };
        Ok(match read {
            claim::Read::Message(claim, bytes) => match Message::parse(bytes, given(&claim.state)) {
                Ok(message) if ready.name.recipient.is_none() && !self.in_flight.insert(key_of(&message)) => {
                    // Another message with its sender and id is in hand: what that becomes decides about this one.
                    self.busy.push(ready);
                    None
                }
                Ok(message) => Some(Candidate::InRoom(Box::new(Claimed {
                    part: ready.name.recipient.as_deref().and_then(|name| AgentId::parse(name).ok()),
                    accepted_at: ready.name.ticket.accepted_ms(),
                    claim,
                    message,
                    suspect: ready.suspect,
                    known: true,
                    waited_until: ready.waited_until,
                    turn: ready.turn,
                    earlier: ready.earlier,
                }))),
                Err(refusal) => Some(Candidate::UnfitInRoom { claim, refusal: Box::new(refusal) }),
            },
            claim::Read::BeingWritten => {
                self.busy.push(ready);
                None
            }
            claim::Read::TooLarge(state) => unfit(state, too_large(state.bytes, max)),
            claim::Read::NotAFile(state) => unfit(state, refusal(Code::NotARegularFile, NOT_A_FILE)),
            claim::Read::Unreadable(state) => unfit(state, unreadable()),
            claim::Read::Linked(state) => unfit(state, refusal(Code::NotARegularFile, HARD_LINK)),
        })
    }

    /// Looks at a file in the drop: how many bytes were read, and a candidate, if it need not be left there.
    fn look_at(&mut self, name: OsString, from: Place, now: Now) -> Result<(u64, Option<Candidate>), BusError> {
        let settings = &self.core.settings.bus;
        let (max, grace) = (settings.max_message_bytes, Duration::from_millis(settings.grace_ms));
        if self.drop.is_unchanged(self.disk(), &name, grace, now) {
            return Ok((0, None));
        }
        let candidate = match claim::open(self.disk(), &name, max)? {
            Found::Gone | Found::Folder => {
                self.drop.settled(&name);
                None
            }
            Found::BeingWritten(state) => {
                self.drop.being_written(&name, state);
                None
            }
            Found::NotAFile(state) => Some(unfit(name, state, Code::NotARegularFile, NOT_A_FILE)),
            // Its writer may set the rights after the name.
            Found::Unreadable(state) => self.unfit_after_grace(name, state, unreadable, now),
            Found::TooLarge(state, _) => self.unfit_after_grace(name, state, || too_large(state.bytes, max), now),
            Found::File(opened) if claim::has_other_links(&opened.state) => {
                self.unfit_after_grace(name, opened.state, || refusal(Code::NotARegularFile, HARD_LINK), now)
            }
            Found::File(opened) => return Ok((opened.state.bytes, self.parse(opened, from, now)?)),
        };
        Ok((0, candidate))
    }

    fn parse(&mut self, mut opened: Opened, from: Place, now: Now) -> Result<Option<Candidate>, BusError> {
        let bytes = std::mem::take(&mut opened.bytes);
        let message = match Message::parse(bytes, given(&opened.state)) {
            Ok(message) => message,
            Err(refusal) => {
                let Opened { name, state, .. } = opened;
                return Ok(match refusal.code {
                    // It may only be half written yet.
                    Code::MalformedJson => self.unfit_after_grace(name, state, || refusal, now),
                    _ => Some(Candidate::Unfit { name, state, refusal: Box::new(refusal) }),
                });
            }
        };
        let key = key_of(&message);
        let seen = self.ids.seen(key.0.as_str(), key.1.as_str())?;
        self.drop.settled(&opened.name);
        if self.in_flight.contains(&key) {
            self.drop.block(key, opened.name);
            return Ok(None);
        }
        if let Some(seen) = seen.filter(|seen| seen.released && !self.pinned) {
            // Released perhaps by a service that ended before its checkpoint: then nobody else frees it.
            self.release(seen.ticket, &key.0, &key.1);
            self.drop.wait_for_checkpoint(opened.name);
            return Ok(None);
        }
        if self.is_to_be_parked(&message, from) {
            let Recipient::One(extension) = message.recipient() else { return Ok(None) };
            let order = (9 - message.priority().min(9), opened.state.changed_ns, opened.name);
            self.senders.add(message.sender(), opened.state.bytes);
            let parked = Parked { sender: message.sender().clone(), bytes: opened.state.bytes };
            self.drop.park(extension, order, parked);
            return Ok(None);
        }
        // A second file with the same sender and id in this very batch has to wait for the first one's end.
        self.in_flight.insert(key);
        Ok(Some(Candidate::Dropped { opened, message }))
    }

    /// Is it for an extension that is not yet taken up, whose lane is full, or which has others waiting in the drop before it? Over the limits it is
    /// claimed all the same, to be refused.
    fn is_to_be_parked(&mut self, message: &Message, from: Place) -> bool {
        let Recipient::One(extension) = message.recipient() else { return false };
        let is_first = from == Place::Parked || !self.drop.has_parked(extension);
        let goes_on = match self.lanes.host().package(extension.as_str()) {
            Some(_) => is_first && self.lanes.has_room(extension, &self.core.installed),
            None => !self.waits_in_drop(message, extension),
        };
        if goes_on {
            return false;
        }
        let limit = self.core.settings.limits.per_sender_messages;
        limit == 0 || self.senders.of(message.sender()).0 < limit
    }

    fn unfit_after_grace(
        &mut self,
        name: OsString,
        state: FileState,
        refusal: impl FnOnce() -> Refusal,
        now: Now,
    ) -> Option<Candidate> {
        let grace = Duration::from_millis(self.core.settings.bus.grace_ms);
        if !self.drop.not_ready(&name, state, grace, now) {
            return None;
        }
        Some(Candidate::Unfit { name, state, refusal: Box::new(refusal()) })
    }

    /// After an error: finds the claims in the own room that no list names.
    pub(super) fn list_own_room(&mut self) -> Result<(), BusError> {
        let mut found: Vec<ClaimName> = Vec::new();
        self.disk().for_each(&self.room.path, |name, _| found.extend(name.to_str().and_then(ClaimName::parse)))?;
        let mut known: HashSet<&ClaimName> = HashSet::new();
        known.extend(self.lanes.claims().map(|job| &job.claimed.claim.name));
        known.extend(self.ready.iter().chain(&self.busy).map(|ready| &ready.name));
        let decisions = || undone(&self.unfinished, &self.publisher, &self.unsettled);
        known.extend(decisions().map(|decision| &decision.record.claim));
        // Some of the deliveries of a split may be there already; all are ready when the split is finished.
        known.extend(decisions().flat_map(|decision| &decision.parts));
        known.extend(decisions().flat_map(|decision| &decision.sent).map(|sent| &sent.name));
        let mut lost: Vec<ClaimName> = found.iter().filter(|name| !known.contains(name)).cloned().collect();
        lost.sort_by_key(|name| name.ticket);
        // What was announced as in flight and is in no list was in the batch that failed.
        let in_hand: HashSet<Key> = self
            .lanes
            .claims()
            .map(|job| job.claimed.key())
            .chain(decisions().filter_map(|decision| decision.key.clone()))
            .collect();
        self.in_flight.retain(|key| in_hand.contains(key));
        self.alone = self.alone.take().filter(|name| known.contains(&name));
        self.ready.extend(lost.into_iter().map(Ready::undecided));
        self.relist = false;
        Ok(())
    }
}

const NOT_A_FILE: &str = "it is not a regular file (a link, FIFO, socket or device)";
const UNREADABLE: &str = "the service may not read the file";
const HARD_LINK: &str = "the file has another name elsewhere (a hard link), through which it could change";

fn unreadable() -> Refusal {
    let hint = "let the file's owner be the user who runs the service, or make it readable for that user";
    Refusal { hint: Some(hint.to_owned()), ..refusal(Code::NotARegularFile, UNREADABLE) }
}

fn too_large(bytes: u64, max: u64) -> Refusal {
    refusal(Code::TooLarge, &format!("the file has {bytes} bytes; bus.max_message_bytes allows {max}"))
}

fn refusal(code: Code, message: &str) -> Refusal {
    let hint = match code {
        Code::TooLarge => "put the data into a file of its own and send its path",
        _ => "write a new file and rename it into the folder",
    };
    Refusal {
        code,
        message: message.to_owned(),
        hint: Some(hint.to_owned()),
        incomplete: false,
        envelope: Box::default(),
    }
}

fn unfit(name: OsString, state: FileState, code: Code, message: &str) -> Candidate {
    Candidate::Unfit { name, state, refusal: Box::new(refusal(code, message)) }
}

fn key_of(message: &Message) -> Key {
    (message.sender().clone(), message.id().clone())
}

fn given(state: &FileState) -> Given {
    Given { file_identity: (state.inode, state.modified_ns), now_ms: Now::get().wall_ms }
}

impl From<&Refusal> for Refused {
    fn from(refusal: &Refusal) -> Refused {
        Refused { code: refusal.code, message: refusal.message.clone(), hint: refusal.hint.clone() }
    }
}
