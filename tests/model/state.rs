//! The disk as the services see it, what survives of it when the power goes, and what the search remembers beside it.
//!
//! One file per message, one reply per answered message; a message's content is not modelled, a reply's is: it is the
//! number of the handler's run, so two runs never answer alike and "answered again, differently" is visible.
//! Deliberately absent: who may do what when (`service.rs`, `line.rs`, `recovery.rs`, `faults.rs`). Invariant: a state
//! holds nothing that no step can ever read again (`State::tidy`), so equal situations are equal states.

use super::memory::Service;
use std::hash::{Hash, Hasher};

/// At most this many messages, services, rooms and logs at a time. A search that needs more panics, it does not lie.
pub const MESSAGES: usize = 2;
pub const SERVICES: usize = 3;
pub const ROOMS: usize = 6;
pub const LOGS: usize = 8;
/// Names in the inbox: each wanted name is followed by its next numbers (`x.json`, `x~2.json`).
pub const NAMES: usize = 4;

pub type Msg = u8;
pub type RoomId = u8;
pub type LogId = u8;
/// The number of the handler's run on a message, from 1. Zero: no effect (a duplicate).
pub type Run = u8;
/// Boot and mount together: a number that only a power cut or a remount changes.
pub type Era = u8;
pub const ERA_UNKNOWN: Era = u8::MAX;

/// Where a room's folder is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Place {
    #[default]
    Gone,
    /// `processing/.<uuid>/<uuid>`
    Prepared,
    /// `processing/<term>/<uuid>`
    Term(u8),
    /// Taken by a winner: inside that room, together with everything inside this one.
    Inside(RoomId),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Room {
    pub place: Place,
    /// The boot that the line names; none once the line is removed.
    pub line: Option<Era>,
    pub log: Option<LogId>,
    /// The staged reply of each message, under its final name: publishing renames whatever is there.
    pub staged: [Run; MESSAGES],
    /// An empty file, made before there is anything to stage. Filled, it is the staged reply of its message.
    pub ahead: bool,
}

/// Where a message's file is. A rename moves one file, so there is exactly one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum At {
    /// Its writer has not dropped it yet.
    Writer,
    Drop(DropName),
    Claimed {
        room: RoomId,
        ticket: u8,
        attempt: u8,
    },
    Archived(EndState),
    /// Overwritten or deleted: a violation.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropName {
    Own,
    /// A fresh name, given by a put-back that found the own one taken.
    Fresh,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndState {
    Answered,
    Duplicate,
}

/// A reply file in the inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reply {
    pub msg: Msg,
    pub run: Run,
    pub data: FileData,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileData {
    Cached,
    Synced,
    /// Zero bytes after a power cut: does not parse, readers leave it alone.
    Torn,
}

/// One line of a commit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    /// The start of handling is noted, unsynced.
    Started {
        msg: Msg,
        ticket: u8,
        attempt: u8,
    },
    Record(Record),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    pub msg: Msg,
    pub ticket: u8,
    pub attempt: u8,
    pub run: Run,
    /// The final name of the effect.
    pub name: u8,
    /// The boot and mount in which it was first decided.
    pub era: Era,
    /// The term of the log it stands in.
    pub term: u8,
}

/// The content of a log file. It is reused by writing a new header in front; the old entries stay behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Log {
    pub entries: Vec<Entry>,
    /// Entries before this one belong to an earlier use.
    pub start: u8,
    /// What the disk knows: `start`, and how many entries an fdatasync has confirmed.
    pub durable_start: u8,
    pub durable_len: u8,
}

impl Log {
    pub fn current(&self) -> &[Entry] {
        &self.entries[self.start as usize..]
    }

    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.current().iter().filter_map(|entry| match entry {
            Entry::Record(record) => Some(record),
            Entry::Started { .. } => None,
        })
    }

    pub fn write(&mut self, entry: Entry) {
        if !self.current().contains(&entry) {
            self.entries.push(entry);
        }
    }

    /// fdatasync returned.
    pub fn synced(&mut self) {
        self.entries.drain(..self.start as usize);
        self.start = 0;
        self.durable_start = 0;
        self.durable_len = self.entries.len() as u8;
    }

    /// The power went: what was not confirmed is cut to the first `kept` entries.
    pub fn cut(&mut self, kept: usize) {
        let confirmed = self.durable_len as usize;
        if kept == 0 {
            self.start = self.durable_start;
        }
        self.entries.truncate(confirmed.saturating_add(kept).max(self.start as usize));
        self.synced();
    }
}

/// Everything that a power cut takes back to an earlier moment: names, and which file a name means.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Disk {
    pub rooms: [Room; ROOMS],
    pub messages: [At; MESSAGES],
    pub inbox: [Option<Reply>; NAMES],
    /// The ids noted in `.postroom/ids`, one bit each, and those that a syncfs has confirmed.
    pub ids: u8,
    pub ids_synced: u8,
}

impl Disk {
    /// The rooms with a term, as `ls processing/` shows them.
    pub fn terms(&self) -> impl Iterator<Item = (u8, RoomId)> {
        self.rooms.iter().enumerate().filter_map(|(id, room)| match room.place {
            Place::Term(term) => Some((term, id as RoomId)),
            Place::Gone | Place::Prepared | Place::Inside(_) => None,
        })
    }

    pub fn highest(&self) -> Option<(u8, RoomId)> {
        self.terms().max()
    }

    /// The rooms inside `outer`, at any depth, deepest first.
    pub fn nested(&self, outer: RoomId) -> Vec<RoomId> {
        let mut found = Vec::new();
        let mut look_in = vec![outer];
        while let Some(parent) = look_in.pop() {
            for (id, room) in self.rooms.iter().enumerate() {
                if room.place == Place::Inside(parent) {
                    found.push(id as RoomId);
                    look_in.push(id as RoomId);
                }
            }
        }
        found.reverse();
        found
    }

    /// The message files in a room: message, ticket, attempt; in the order of the messages.
    pub fn claimed_in(&self, wanted: RoomId) -> impl Iterator<Item = (Msg, u8, u8)> {
        self.messages.iter().enumerate().filter_map(move |(msg, at)| match *at {
            At::Claimed { room, ticket, attempt } if room == wanted => Some((msg as Msg, ticket, attempt)),
            At::Claimed { .. } | At::Writer | At::Drop(_) | At::Archived(_) | At::Lost => None,
        })
    }

    /// Nothing of value in the room: rmdir would succeed once line and lock are removed.
    pub fn is_empty(&self, id: RoomId) -> bool {
        !self.rooms[id as usize].ahead && self.is_empty_but_for_ahead(id)
    }

    pub fn is_empty_but_for_ahead(&self, id: RoomId) -> bool {
        let room = &self.rooms[id as usize];
        room.staged == [0; MESSAGES] && self.claimed_in(id).next().is_none() && self.nested(id).is_empty()
    }
}

/// What is left to go wrong, and how often the optional steps may still be taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    pub kills: u8,
    pub take_overs: u8,
    pub failed_syncs: u8,
    pub power_cuts: u8,
    pub checkpoints: u8,
    pub stops: u8,
    pub rewrites: u8,
}

/// What happened so far, for the properties; and the sources of fresh numbers. No service reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct History {
    pub tickets: [u8; MESSAGES],
    pub runs: [Run; MESSAGES],
    /// Which runs' replies were ever visible, and which runs a sync has decided; one bit per run.
    pub seen: [u8; MESSAGES],
    pub decided: [u8; MESSAGES],
    /// How often a reply became visible (2 stands for more), and whether its reader took one.
    pub published: [u8; MESSAGES],
    pub taken: [bool; MESSAGES],
    pub power_was_cut: bool,
    pub reply_overwritten: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub disk: Disk,
    /// The moment to which a power cut would take `disk` back: any moment since the last sync. Taken once per search
    /// path, by the environment; every later sync of names discards it, because that sync makes the moment impossible.
    pub photo: Option<Box<Disk>>,
    pub logs: [Log; LOGS],
    pub services: Vec<Service>,
    /// How often each message's writer has rewritten it in place.
    pub versions: [u8; MESSAGES],
    pub era: Era,
    pub budget: Budget,
    pub history: History,
}

/// The services are alike: states that differ only in which service is which get one hash, by which a search knows what
/// it has met, so that one of them is searched.
impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let State { disk, photo, logs, services, versions, era, budget, history } = self;
        let mut in_one_order: Vec<&Service> = services.iter().collect();
        in_one_order.sort_unstable();
        (disk, photo, logs, in_one_order, versions, era, budget, history).hash(hasher);
    }
}

impl State {
    /// A sync of a folder returned: with ordered metadata everything that was renamed before it is durable.
    pub fn names_synced(&mut self) {
        self.photo = None;
    }

    /// syncfs returned: also the data of every file.
    pub fn all_synced(&mut self) {
        self.names_synced();
        self.disk.ids_synced = self.disk.ids;
        for reply in self.disk.inbox.iter_mut().flatten() {
            if reply.data == FileData::Cached {
                reply.data = FileData::Synced;
            }
        }
    }

    pub fn lock_is_free(&self, room: RoomId) -> bool {
        self.services.iter().all(|service| service.room != Some(room))
    }

    /// A room that no living path can mean: a uuid is never used twice.
    pub fn fresh_room(&self) -> RoomId {
        let free = |id: &usize| self.disk.rooms[*id].place == Place::Gone && self.lock_is_free(*id as RoomId);
        (0..ROOMS).find(free).expect("the search needs more rooms than ROOMS") as RoomId
    }

    pub fn fresh_log(&self) -> LogId {
        let free = |id: &usize| !self.log_is_reachable(*id as LogId);
        (0..LOGS).find(free).expect("the search needs more logs than LOGS") as LogId
    }

    fn log_is_reachable(&self, log: LogId) -> bool {
        let on = |disk: &Disk| disk.rooms.iter().any(|room| room.log == Some(log));
        on(&self.disk)
            || self.photo.as_deref().is_some_and(on)
            || self.services.iter().any(|service| service.log == Some(log))
    }

    /// Forgets what nothing can reach any more.
    pub fn tidy(&mut self) {
        for room in &mut self.disk.rooms {
            if room.place == Place::Gone {
                *room = Room::default();
            }
        }
        for log in 0..LOGS {
            if !self.logs[log].entries.is_empty() && !self.log_is_reachable(log as LogId) {
                self.logs[log] = Log::default();
            }
        }
    }
}
