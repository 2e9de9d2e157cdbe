//! What recovery cannot carry out now: an inbox is no folder, or is closed to the service. One agent must not keep all others from being
//! served, so such records are set aside, and the service that recovers goes on with them as with those of its own that it cannot publish.
//!
//! Invariant: what a record that was set aside still needs (staged effects, and the message) lies in the own room under the names
//! that the record gives it, and the own log has the record. So whoever dies now leaves the next one the same as before.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::disk::{Disk, Moved};
use super::error::BusError;
use super::layout::Ticket;
use super::record::Record;
use super::recover;
use super::remains::Remains;
use super::room::Room;

/// A decided record that is still to be carried out.
#[derive(Debug)]
pub struct Unfinished {
    /// Without an id if another message has that by now.
    pub record: Record,
    /// Which of its effects are staged in the own room. The others are published.
    pub staged: Vec<usize>,
}

/// What became of one record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// The message is back where it was before it was claimed at all, though the record only put it off.
    Undone,
    /// Set aside, with these effects staged in the own room.
    SetAside(Vec<usize>),
}

/// May a record's effects be published?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Now,
    /// One that is set aside is to change the same registration first.
    Later,
}

/// What was set aside so far.
#[derive(Debug, Default)]
pub(super) struct SetAside {
    /// By the place in the list of records.
    records: Vec<(usize, Vec<usize>)>,
    agents: HashSet<String>,
    /// What lay in two rooms under one name.
    pub(super) doubles: Vec<PathBuf>,
}

impl SetAside {
    pub(super) fn turn_of(&self, record: &Record) -> Turn {
        let changed = record.effects.iter().filter_map(|effect| effect.to.registration());
        if changed.into_iter().any(|agent| self.agents.contains(agent)) { Turn::Later } else { Turn::Now }
    }

    pub(super) fn add(&mut self, index: usize, record: &Record, staged: Vec<usize>) {
        self.agents.extend(record.effects.iter().filter_map(|effect| effect.to.registration()).cloned());
        self.records.push((index, staged));
    }

    /// Takes what a record of this boot and mount still needs into the own room. Nothing is there: then it is done.
    pub(super) fn take_in(
        &mut self,
        disk: &Disk,
        room: &Room,
        remains: &Remains,
        record: &Record,
    ) -> Result<Outcome, BusError> {
        let mut staged = Vec::new();
        for effect in 0..record.effects.len() {
            let name = record.staged_name(effect);
            if self.bring_home(disk, room, &remains.path_of(room, &name), &name)? {
                staged.push(effect);
            }
        }
        let name = record.claim.file_name();
        let is_there = self.bring_home(disk, room, &remains.path_of(room, &name), &name)?;
        Ok(if is_there || !staged.is_empty() { Outcome::SetAside(staged) } else { Outcome::Done })
    }

    /// Is it there now?
    pub(super) fn bring_home(&mut self, disk: &Disk, room: &Room, from: &Path, name: &str) -> Result<bool, BusError> {
        let own = room.file(name);
        if from == own {
            return Ok(disk.stat(&own)?.is_some());
        }
        match disk.rename_new(from, &own)? {
            Moved::Done => Ok(true),
            // One ticket in two rooms cannot be; if it is, neither is lost.
            Moved::Taken => {
                self.doubles.push(recover::move_aside(disk, from)?);
                Ok(true)
            }
            Moved::Gone if room.exists(disk)? => Ok(false),
            Moved::Gone => Err(BusError::RoomGone),
        }
    }

    /// `records`: all that were recovered.
    pub(super) fn unfinished(self, records: &[Record]) -> impl Iterator<Item = Unfinished> {
        let mut holders: HashMap<(&str, &str), Ticket> = HashMap::new();
        if !self.records.is_empty() {
            let noted = records.iter().filter_map(|record| Some((record.id.as_ref()?, record.claim.ticket)));
            holders.extend(noted.map(|(note, ticket)| ((note.sender.as_str(), note.id.as_str()), ticket)));
        }
        self.records.into_iter().map(move |(index, staged)| {
            let mut record = records[index].clone();
            let ticket = record.claim.ticket;
            record.id = record.id.filter(|note| {
                let holder = holders.get(&(note.sender.as_str(), note.id.as_str()));
                holder.is_none_or(|holder| holder.uuid == ticket.uuid)
            });
            Unfinished { record, staged }
        })
    }
}
