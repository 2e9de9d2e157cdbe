//! Commit, publish, finish: what makes decisions true, in that order, and the checkpoint.

use std::sync::Arc;

use super::active::{Active, Ready};
use super::clock::Now;
use super::decide::Decision;
use super::publisher::{Outcome as Published, Publisher};
use super::waiting::Waiter;
use crate::bus::ahead::Ahead;
use crate::bus::disk::DiskError;
use crate::bus::log::Durability;
use crate::bus::publish;
use crate::bus::record::{Finish, IdState, Record};
use crate::bus::room::Room;
use crate::bus::{BusError, Disk};
use crate::message::{AgentId, Message, MessageId};

/// With this many decisions that cannot be published, nothing more is claimed. Those that recovery has left do not count: after a power
/// cut it can leave all of a log for one inbox.
const MAX_UNFINISHED: usize = 1024;

impl Active<'_> {
    /// No space, or too much that cannot be published: what is in hand comes first.
    pub(super) fn may_claim(&self) -> bool {
        let in_hand = self.unfinished.len() + self.publisher.len();
        self.unsettled.is_empty() && in_hand < MAX_UNFINISHED + self.inherited && !self.waits_for_extensions
    }

    /// Makes the decisions of this batch durable, then visible. On an error they are kept as they are, and the next call goes on.
    pub(super) fn settle(&mut self, now: Now) -> Result<(), BusError> {
        if !self.unsettled.is_empty() {
            self.commit(now)?;
        }
        self.take_published(now)?;
        if !self.unfinished.is_empty() {
            self.finish_decided(now)?;
        }
        self.note(now)
    }

    /// Writes down what is finished.
    pub(super) fn note(&mut self, now: Now) -> Result<(), BusError> {
        self.read.clear();
        self.tell_first_steps();
        self.journal.flush(&self.core.disk)?;
        self.ids.flush(&self.core.disk, &self.calendar.day)?;
        if self.log.is_full() || self.drop.needs_checkpoint() { self.checkpoint(now) } else { self.sync_early(now) }
    }

    /// Before the log is full, while there is time (see [`super::early_sync`]).
    fn sync_early(&mut self, now: Now) -> Result<(), BusError> {
        if self.pinned || self.core.durability() != Durability::Full {
            return Ok(());
        }
        // In a flood there is nothing to do for a moment each time the drop is worked off: it is listed then.
        let is_busy = self.is_flooded || self.has_work();
        match self.early_sync.take() {
            Some(Err(error)) => return self.unsynced(error),
            Some(Ok(())) if !is_busy => return self.checkpoint(now),
            Some(Ok(())) | None => {}
        }
        if self.early_sync.is_due(self.log.bytes(), is_busy) {
            self.early_sync.begin(&self.core.disk, self.log.bytes(), &self.core.wake);
        }
        Ok(())
    }

    /// What the kernel could not write it calls written from now on: a second success would prove nothing. The log is kept as
    /// it is for the rest of this term.
    fn unsynced(&mut self, error: DiskError) -> Result<(), BusError> {
        self.pinned = true;
        self.core.say(&super::Notice::Unsynced { what: error.to_string() });
        Err(error.into())
    }

    fn commit(&mut self, now: Now) -> Result<(), BusError> {
        if self.log.is_distrusted() {
            // Nothing becomes visible while one log takes the other's place: as the model of the protocol has it.
            self.wait_for_publisher(0, now)?;
        }
        let (disk, room) = (&self.core.disk, &self.room);
        let full = self.core.durability() == Durability::Full;
        // Files are made in the folder that the publisher takes them out of.
        let pause = self.publisher.pause();
        for decision in self.unsettled.iter_mut().filter(|decision| !decision.staged) {
            room.beat_if_due(disk)?;
            decision.stage(disk, room, &mut self.ahead)?;
            if full && decision.record.refers_to_message() {
                publish::sync_claim(disk, room, &decision.record.claim)?;
            }
            decision.staged = true;
        }
        drop(pause);
        // Asked of the whole batch: the last try may have staged everything and failed here.
        if full && self.unsettled.iter().any(|decision| decision.record.refers_to_message()) {
            disk.sync_folder(&room.path).map_err(|error| room.missing(disk, error))?;
        }
        let batch: Vec<(&Record, &[u8])> =
            self.unsettled.iter().map(|decision| (&decision.record, decision.text())).collect();
        self.log.commit(disk, room, &batch)?;
        for decision in &mut self.unsettled {
            self.decided += 1;
            decision.number = self.decided;
        }
        self.unfinished.extend(self.unsettled.drain(..).map(Arc::new));
        Ok(())
    }

    /// Has what is decided published and finished: here if it is little, else beside the line (see [`super::publisher`]).
    fn finish_decided(&mut self, now: Now) -> Result<(), BusError> {
        let mut batch = std::mem::take(&mut self.unfinished);
        // What failed before comes first again.
        batch.sort_by_key(|decision| decision.number);
        let done = self.publisher.publish(batch);
        self.take_in(done, now)
    }

    /// Takes in what the publisher has done so far, without waiting.
    fn take_published(&mut self, now: Now) -> Result<(), BusError> {
        let done: Vec<Published> = std::iter::from_fn(|| self.publisher.try_take()).collect();
        self.take_in(done, now)
    }

    /// Waits until at most `left` decisions are with the publisher.
    pub(super) fn wait_for_publisher(&mut self, left: usize, now: Now) -> Result<(), BusError> {
        let mut done = Vec::new();
        while self.publisher.len() > left {
            done.extend(self.publisher.take());
        }
        if done.is_empty() {
            return Ok(());
        }
        self.take_in(done, now)?;
        // It is in no list from now on: whoever asks for its id must find that noted.
        self.ids.flush(&self.core.disk, &self.calendar.day)
    }

    /// Takes in how decisions ended. One that failed does not hold up the others.
    fn take_in(&mut self, done: Vec<Published>, now: Now) -> Result<(), BusError> {
        if !done.is_empty() {
            self.tell_first_steps();
        }
        let (mut failed, mut gone) = (None, false);
        for (decision, outcome) in done {
            match outcome {
                Ok(()) => self.finished(&decision),
                Err(BusError::RoomGone) => gone = true,
                Err(error) => {
                    self.unfinished.push(decision);
                    failed.get_or_insert(error);
                }
            }
        }
        if gone {
            return Err(BusError::RoomGone);
        }
        if let Some(error) = failed {
            self.wrong = error.to_string();
            if self.trouble.begin_aside(now.mono) {
                self.core.say(&super::Notice::Trouble { what: self.wrong.clone() });
            }
        }
        Ok(())
    }

    /// Everything that is decided and not known to be finished.
    pub(super) fn undone(&self) -> impl Iterator<Item = &Decision> {
        undone(&self.unfinished, &self.publisher, &self.unsettled)
    }

    /// Everything about it is visible: what is remembered, and what may go on now.
    fn finished(&mut self, decision: &Decision) {
        let record = &decision.record;
        self.tell_outcome(decision);
        self.journal.finished(&self.core.disk, &self.calendar.day, record, decision.text());
        self.calendar.archived();
        let ticket = record.claim.ticket;
        if let Some(note) = &record.id {
            self.ids.note(ticket, note);
            if note.state == IdState::Released {
                self.released.extend(decision.key.clone().map(|key| (ticket, key)));
            }
        }
        if let Some(note) = &record.answers {
            self.ids.note_answer(ticket, note);
        }
        if self.alone.as_ref() == Some(&record.claim) {
            self.alone = None;
        }
        self.state.published(&record.effects);
        self.vain.finished(ticket, &record.finish);
        for sent in &decision.sent {
            self.tell_sent(decision, sent);
        }
        let made = decision.parts.iter().chain(decision.sent.iter().map(|sent| &sent.name));
        self.ready.extend(made.map(|name| Ready::new(name.clone())));
        self.wait_for_due(decision);
        if let Some(key) = &decision.key {
            self.in_flight.remove(key);
            self.drop.unblock(key);
        }
        self.forget_names(record);
    }

    /// Its names are there now for everybody to see.
    fn forget_names(&mut self, record: &Record) {
        for effect in &record.effects {
            self.inbox_names.published(&effect.to);
        }
        if self.publisher.is_idle() && self.unfinished.is_empty() && self.unsettled.is_empty() {
            self.coming.clear();
        }
    }

    fn wait_for_due(&mut self, decision: &Decision) {
        let (Some(due), Finish::Deferred { name }) = (decision.due, &decision.record.finish) else { return };
        let sender = decision.message.as_ref().map(|message| message.sender().clone());
        let earlier = decision.record.story.earlier.clone();
        let waiter = Waiter { file: name.clone(), sender, bytes: decision.bytes, earlier };
        self.waiting.arrived(decision.record.claim.ticket, due, waiter);
    }

    /// Lets the log begin again, once everything in it is done and on the disk. Not while something is in hand that is decided.
    pub(super) fn checkpoint(&mut self, now: Now) -> Result<(), BusError> {
        self.wait_for_publisher(0, now)?;
        self.tell_first_steps();
        self.journal.flush(&self.core.disk)?;
        self.ids.flush(&self.core.disk, &self.calendar.day)?;
        if self.pinned || !self.unsettled.is_empty() || !self.unfinished.is_empty() {
            return Ok(());
        }
        self.look_at_clock(now);
        if self.core.durability() == Durability::Full
            && let Err(error) = self.core.disk.sync_all()
        {
            return self.unsynced(error);
        }
        self.early_sync.forget();
        let beginning = self.beginning()?;
        self.log.checkpoint(&self.room, &beginning)?;
        for (ticket, (sender, id)) in std::mem::take(&mut self.released) {
            // Not if a retry of the dead letter has used it since. Where that cannot be read now, it stays taken until it is asked for.
            let seen = self.ids.seen(sender.as_str(), id.as_str()).ok().flatten();
            if seen.is_some_and(|seen| seen.released && seen.ticket == ticket) {
                self.ids.free(ticket, sender.as_str(), id.as_str());
            }
        }
        self.ids.flush(&self.core.disk, &self.calendar.day)?;
        self.drop.after_checkpoint();
        Ok(())
    }

    /// An id that a dead letter of an earlier service holds becomes free with the next checkpoint too.
    pub(super) fn release(&mut self, ticket: crate::bus::layout::Ticket, sender: &AgentId, id: &MessageId) {
        self.released.push((ticket, (sender.clone(), id.clone())));
    }
}

pub(super) fn undone<'a>(
    unfinished: &'a [Arc<Decision>],
    publisher: &'a Publisher,
    unsettled: &'a [Decision],
) -> impl Iterator<Item = &'a Decision> {
    unfinished.iter().chain(publisher.in_hand()).map(Arc::as_ref).chain(unsettled)
}

impl Decision {
    /// The text that effects refer to.
    pub(super) fn text(&self) -> &[u8] {
        text_of(self.message.as_ref())
    }

    fn stage(&mut self, disk: &Disk, room: &Room, ahead: &mut Ahead) -> Result<(), BusError> {
        publish::stage(disk, room, ahead, &mut self.record, text_of(self.message.as_ref()))
    }
}

fn text_of(message: Option<&Message>) -> &[u8] {
    message.map_or(&[], |message| message.text().as_bytes())
}
