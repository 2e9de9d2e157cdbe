//! Everything that the old rooms hold, read before anything is done, and found by ticket from then on: a full log has 20,000 records, and
//! after a power cut each of them is looked for everywhere.
//!
//! It says what was there when recovery began. What recovery does with one message changes nothing for another, so that is enough.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::disk::{Disk, EntryKind};
use super::error::BusError;
use super::layout::{self, ClaimName, Ticket, WaitingName};
use super::log;
use super::record::{Finish, Record};
use super::room::Room;

#[derive(Debug, Default)]
pub(super) struct Remains {
    /// Deepest first.
    pub(super) rooms: Vec<PathBuf>,
    /// Claims and staged effects: name to path.
    pub(super) files: HashMap<String, PathBuf>,
    /// What is decided, in the order of decision.
    pub(super) records: Vec<Record>,
    pub(super) begun: HashMap<(Ticket, u32), ClaimName>,
    /// Where the journal stood when each log began.
    pub(super) begins: Vec<(String, u64)>,
    pub(super) damaged: Vec<PathBuf>,
    /// The last record of each message, by its place in `records`.
    latest: HashMap<Ticket, usize>,
    /// The last record that changes the registration of each agent.
    registered: HashMap<String, usize>,
    /// Where the files of each message are, each with its attempt: in a room, and waiting.
    claims: HashMap<Ticket, Vec<(u32, PathBuf)>>,
    waiting: HashMap<Ticket, Vec<(u32, PathBuf)>>,
}

impl Remains {
    /// Finds every room inside the own one, however deeply nested, and reads all logs.
    pub(super) fn read(disk: &Disk, room: &Room) -> Result<Remains, BusError> {
        let mut remains = Remains::default();
        collect_rooms(disk, &room.path, &mut remains.rooms)?;
        remains.rooms.reverse();
        remains.read_logs(disk, room)?;
        for path in &remains.rooms {
            for entry in disk.list(path)? {
                let Some(name) = entry.name.to_str() else { continue };
                if let Some(claim) = ClaimName::parse(name) {
                    remains.claims.entry(claim.ticket).or_default().push((claim.attempt, path.join(name)));
                } else if !is_staged_file(name, entry.kind) {
                    continue;
                }
                remains.files.insert(name.to_owned(), path.join(name));
            }
        }
        // Where renames have stayed, nothing is looked for.
        if remains.records.iter().any(|record| !record.place.same_mount(&room.place)) {
            remains.list_waiting(disk, room)?;
        }
        Ok(remains)
    }

    fn read_logs(&mut self, disk: &Disk, room: &Room) -> Result<(), BusError> {
        let mut decided: HashMap<(Ticket, u32), (u64, usize)> = HashMap::new();
        let (mut records, mut overtaken) = (Vec::new(), HashSet::new());
        for path in &self.rooms {
            let contents = log::read(disk, &|| room.beat_if_due(disk), path)?;
            if contents.damaged {
                self.damaged.push(path.clone());
            }
            self.begun.extend(contents.begun.into_iter().map(|claim| ((claim.ticket, claim.attempt), claim)));
            self.begins.extend(contents.begin);
            for (index, record) in (records.len()..).zip(&contents.records) {
                let key = (record.claim.ticket, record.claim.attempt);
                // Of two, the one of the higher term, then the one that was written later.
                match decided.get(&key) {
                    Some((term, _)) if *term > record.term => {
                        overtaken.insert(index);
                        continue;
                    }
                    Some((_, earlier)) => overtaken.insert(*earlier),
                    None => false,
                };
                decided.insert(key, (record.term, index));
            }
            // A full log has 20,000 of them, of 3 KB each: taken over, not copied.
            if records.is_empty() { records = contents.records } else { records.extend(contents.records) }
        }
        let mut indices = 0..;
        records.retain(|_| indices.next().is_some_and(|index| !overtaken.contains(&index)));
        records.sort_by_key(|record| record.term);
        self.records = records;
        self.note_last();
        Ok(())
    }

    fn note_last(&mut self) {
        for (index, record) in self.records.iter().enumerate() {
            self.latest.insert(record.claim.ticket, index);
            let changed = record.effects.iter().filter_map(|effect| effect.to.registration());
            self.registered.extend(changed.map(|agent| (agent.clone(), index)));
        }
    }

    fn list_waiting(&mut self, disk: &Disk, room: &Room) -> Result<(), BusError> {
        for folder in [layout::DEFERRED, layout::HELD] {
            room.beat_if_due(disk)?;
            disk.for_each(folder.as_ref(), |name, _| {
                let Some(WaitingName { claim, .. }) = name.to_str().and_then(WaitingName::parse) else { return };
                // What waits for no record is nobody's concern here.
                if self.latest.contains_key(&claim.ticket) {
                    let path = Path::new(folder).join(name);
                    self.waiting.entry(claim.ticket).or_default().push((claim.attempt, path));
                }
            })?;
        }
        Ok(())
    }

    /// This record put the message off, and its handling began again after that, as the same attempt: what the record says about
    /// the message is over.
    pub(super) fn is_resumed(&self, record: &Record) -> bool {
        matches!(record.finish, Finish::Deferred { .. } | Finish::Held { .. })
            && self.begun.contains_key(&(record.claim.ticket, record.claim.attempt))
    }

    pub(super) fn path_of(&self, room: &Room, name: &str) -> PathBuf {
        self.files.get(name).cloned().unwrap_or_else(|| room.file(name))
    }

    /// Is it the last record of its message?
    pub(super) fn is_last(&self, index: usize) -> bool {
        self.latest.get(&self.records[index].claim.ticket) == Some(&index)
    }

    pub(super) fn last_of(&self, ticket: Ticket) -> Option<&Record> {
        self.latest.get(&ticket).map(|index| &self.records[*index])
    }

    /// Does a later record change the registration of this agent?
    pub(super) fn registration_is_overtaken(&self, index: usize, agent: &str) -> bool {
        self.registered.get(agent).is_some_and(|last| *last > index)
    }

    /// A file of this message in a room.
    pub(super) fn claimed(&self, ticket: Ticket) -> Option<&Path> {
        self.claims.get(&ticket)?.first().map(|(_, path)| path.as_path())
    }

    /// Where the message's file is, if it is not where the record takes it: in a room, or waiting, under `last_attempt` or one
    /// before.
    pub(super) fn message_file(&self, record: &Record, last_attempt: u32) -> Option<&Path> {
        let (ticket, end) = (record.claim.ticket, record.finish.path());
        let claims = self.claims.get(&ticket).into_iter().flatten();
        let waiting = self.waiting.get(&ticket).into_iter().flatten().filter(|(_, path)| *path != end);
        let is_it = |(attempt, _): &&(u32, PathBuf)| *attempt <= last_attempt;
        claims.chain(waiting).find(is_it).map(|(_, path)| path.as_path())
    }
}

/// The rooms below `path`, outermost first, each before those nested in it.
fn collect_rooms(disk: &Disk, path: &Path, rooms: &mut Vec<PathBuf>) -> Result<(), BusError> {
    for entry in disk.list(path)? {
        let is_old = entry.name.to_str().is_some_and(|name| name.starts_with(layout::ROOM_OLD));
        if !is_old || !matches!(entry.kind, EntryKind::Folder | EntryKind::Unknown) {
            continue;
        }
        let outer = path.join(&entry.name);
        for inner in disk.list(&outer)? {
            let is_room = inner.name.to_str().is_some_and(|name| Uuid::parse_str(name).is_ok());
            if is_room && matches!(inner.kind, EntryKind::Folder | EntryKind::Unknown) {
                let found = outer.join(&inner.name);
                rooms.push(found.clone());
                collect_rooms(disk, &found, rooms)?;
            }
        }
        if !rooms.iter().any(|room| room.starts_with(&outer)) {
            // A term whose room is gone already: its folder is all that is left.
            disk.remove_folder(&outer)?;
        }
    }
    Ok(())
}

/// A folder under such a name was not made by a service.
pub(super) fn is_staged_file(name: &str, kind: EntryKind) -> bool {
    layout::is_staged(name) && kind != EntryKind::Folder
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::place::Place;
    use super::super::record::{Effect, Story, Target};
    use super::*;

    fn record(claim: &ClaimName, effects: Vec<Effect>) -> Record {
        let text = String::new;
        let (host, host_name, boot, mount, namespace) = (text(), text(), text(), text(), text());
        Record {
            term: 1,
            place: Arc::new(Place { host, host_name, boot, mount, namespace, pid: 1 }),
            claim: claim.clone(),
            finish: Finish::Deferred { name: claim.waiting(7) },
            effects,
            ahead: None,
            id: None,
            answers: None,
            story: Story::default(),
        }
    }

    #[test]
    fn a_message_is_found_in_a_room_first_then_where_it_waits_and_under_no_later_attempt() {
        let claim = ClaimName::first(Ticket::new(), "m.json".as_ref());
        let record = record(&claim, Vec::new());
        let end = record.finish.path();
        let (room, waits) = (Path::new("processing/1/r/m"), Path::new("deferred/m"));
        let found = |claims: &[(u32, &Path)], waiting: &[(u32, &Path)], last_attempt| {
            let owned = |files: &[(u32, &Path)]| files.iter().map(|(attempt, path)| (*attempt, path.into())).collect();
            let claims = HashMap::from([(claim.ticket, owned(claims))]);
            let waiting = HashMap::from([(claim.ticket, owned(waiting)), (Ticket::new(), vec![(1, "other".into())])]);
            let remains = Remains { claims, waiting, ..Remains::default() };
            remains.message_file(&record, last_attempt).map(Path::to_owned)
        };
        assert_eq!(found(&[(1, room)], &[(1, waits)], 1).as_deref(), Some(room));
        assert_eq!(found(&[(2, room)], &[(1, waits)], 1).as_deref(), Some(waits));
        assert_eq!(found(&[(2, room)], &[(1, &end)], 1), None, "that is where it is to be");
        assert_eq!(found(&[(2, room)], &[], u32::MAX).as_deref(), Some(room));
    }

    #[test]
    fn the_last_record_of_a_message_and_of_a_registration_is_known() {
        let (one, other) = (Ticket::new(), Ticket::new());
        let claim = |ticket| ClaimName::first(ticket, "m.json".as_ref());
        let registered = || Effect::whole(Target::Agent { agent: "a".into() }, Vec::new());
        let records = vec![
            record(&claim(one), vec![registered()]),
            record(&claim(other), vec![registered()]),
            record(&claim(one).next_attempt(), Vec::new()),
        ];
        let mut remains = Remains { records, ..Remains::default() };
        remains.note_last();
        assert_eq!([0, 1, 2].map(|index| remains.is_last(index)), [false, true, true]);
        assert_eq!(remains.last_of(one).map(|record| record.claim.attempt), Some(2));
        assert_eq!([0, 1].map(|index| remains.registration_is_overtaken(index, "a")), [true, false]);
    }
}
