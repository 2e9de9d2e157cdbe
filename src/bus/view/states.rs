//! The states that a message file can be in, as folders, and the files in each.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::View;
use crate::bus::disk::EntryKind;
use crate::bus::error::BusError;
use crate::bus::layout::{self, ClaimName, Ticket, WaitingName};
use crate::bus::lease;

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Not yet claimed.
    Drop,
    /// In the room of a service.
    Processing,
    /// Waiting for a retry, for its `notBefore`, for a rate limit.
    Deferred,
    /// Waiting for the user's permission.
    Held,
    /// Delivered, and not yet acknowledged by being deleted.
    Inbox,
    DeadLetter,
    Archive,
}

impl State {
    /// Every state, in the order of a message's life.
    pub const ALL: [State; 7] =
        [State::Drop, State::Processing, State::Deferred, State::Held, State::Inbox, State::DeadLetter, State::Archive];

    pub fn as_str(self) -> &'static str {
        match self {
            State::Drop => "drop",
            State::Processing => "processing",
            State::Deferred => "deferred",
            State::Held => "held",
            State::Inbox => "inbox",
            State::DeadLetter => "dead-letter",
            State::Archive => "archive",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One message file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub state: State,
    /// Relative to the bus.
    pub path: PathBuf,
    /// Unknown in the drop and in an inbox.
    pub ticket: Option<Ticket>,
    /// Which attempt is under way or next, where the name says.
    pub attempt: Option<u32>,
    /// Unix milliseconds; only while it waits.
    pub due_ms: Option<u64>,
    /// Whose inbox, or whose delivery of several, it is.
    pub agent: Option<String>,
    /// In an inbox: a consumer has it.
    pub lease: Option<Uuid>,
}

impl Item {
    fn new(state: State, path: PathBuf) -> Item {
        Item { state, path, ticket: None, attempt: None, due_ms: None, agent: None, lease: None }
    }

    fn of_claim(state: State, path: PathBuf, claim: ClaimName) -> Item {
        Item {
            ticket: Some(claim.ticket),
            attempt: Some(claim.attempt),
            agent: claim.recipient,
            ..Item::new(state, path)
        }
    }
}

impl View {
    /// Calls `each` for every message file in a state, in the order of the folder. Nothing is opened.
    pub fn each(&self, state: State, each: &mut dyn FnMut(Item)) -> Result<(), BusError> {
        match state {
            State::Drop => self.files(Path::new(""), &mut |name| {
                if layout::is_drop_name(name) {
                    each(Item::new(state, PathBuf::from(name)));
                }
            }),
            State::Processing => self.each_claim(Path::new(layout::PROCESSING), each),
            State::Deferred => self.each_waiting(state, Path::new(layout::DEFERRED), each),
            State::Held => self.each_waiting(state, Path::new(layout::HELD), each),
            State::Inbox => {
                for agent in self.inboxes()? {
                    self.each_in_inbox(&agent, each)?;
                }
                Ok(())
            }
            State::DeadLetter => self.each_dead(each),
            State::Archive => {
                for day in self.days()? {
                    if let Some(folder) = day.folder() {
                        self.each_archived(&folder, each)?;
                    }
                }
                Ok(())
            }
        }
    }

    /// How many message files are in a state.
    pub fn count(&self, state: State) -> Result<usize, BusError> {
        let mut count = 0;
        self.each(state, &mut |_| count += 1)?;
        Ok(count)
    }

    /// The agents that have an inbox, sorted.
    pub fn inboxes(&self) -> Result<Vec<String>, BusError> {
        let mut agents = Vec::new();
        self.disk.for_each(Path::new(layout::INBOX), |name, kind| {
            if matches!(kind, EntryKind::Folder | EntryKind::Unknown) {
                agents.extend(name.to_str().filter(|name| !name.starts_with('.')).map(str::to_owned));
            }
        })?;
        agents.sort_unstable();
        Ok(agents)
    }

    /// The messages in one inbox, those that a consumer has leased among them.
    pub fn each_in_inbox(&self, agent: &str, each: &mut dyn FnMut(Item)) -> Result<(), BusError> {
        let folder = layout::inbox(agent);
        self.files(&folder, &mut |name| {
            let lease = lease::parse(name).map(|(_, lease)| lease);
            if lease.is_some() || layout::is_drop_name(name) {
                let agent = Some(agent.to_owned());
                each(Item { agent, lease, ..Item::new(State::Inbox, folder.join(name)) });
            }
        })
    }

    /// By which lease a consumer has the message that was delivered as `path`, if one has it.
    pub fn lease_of(&self, path: &Path) -> Result<Option<Uuid>, BusError> {
        let (Some(folder), Some(plain)) = (path.parent(), path.file_name().and_then(OsStr::to_str)) else {
            return Ok(None);
        };
        let mut found = None;
        if folder.starts_with(layout::INBOX) {
            self.files(folder, &mut |name| {
                let lease = lease::parse(name).map(|(_, lease)| lease);
                found = found.or(lease.filter(|lease| name == lease::leased(plain, *lease).as_str()));
            })?;
        }
        Ok(found)
    }

    /// The archived messages of one day's folder.
    pub fn each_archived(&self, day: &Path, each: &mut dyn FnMut(Item)) -> Result<(), BusError> {
        for hour in self.folders(day)? {
            self.files(&hour, &mut |name| {
                let ticket = name.to_str().and_then(|name| Ticket::parse(name.split_once('~')?.0));
                if ticket.is_some() {
                    each(Item { ticket, ..Item::new(State::Archive, hour.join(name)) });
                }
            })?;
        }
        Ok(())
    }

    /// Size in bytes and time of the last change (of name or content) in Unix milliseconds. `None`: gone.
    pub fn size_and_change(&self, path: &Path) -> Result<Option<(u64, u64)>, BusError> {
        Ok(self.disk.stat(path)?.map(|stat| {
            let ms = i128::from(stat.st_ctime) * 1_000 + i128::from(stat.st_ctime_nsec) / 1_000_000;
            (stat.st_size as u64, u64::try_from(ms).unwrap_or(0))
        }))
    }

    /// When a file was written, nanoseconds of the Unix time; `None`: gone. The files of one batch are written within one tick of the
    /// kernel's clock (4 ms) and have one time.
    pub fn written_ns(&self, path: &Path) -> Result<Option<i128>, BusError> {
        let stat = self.disk.stat(path)?;
        Ok(stat.map(|stat| i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec)))
    }

    /// The claims in a folder and in every folder below it: rooms hold the rooms they have taken over.
    fn each_claim(&self, folder: &Path, each: &mut dyn FnMut(Item)) -> Result<(), BusError> {
        self.files(folder, &mut |name| {
            if let Some(claim) = name.to_str().and_then(ClaimName::parse) {
                each(Item::of_claim(State::Processing, folder.join(name), claim));
            }
        })?;
        for below in self.folders(folder)? {
            self.each_claim(&below, each)?;
        }
        Ok(())
    }

    fn each_waiting(&self, state: State, folder: &Path, each: &mut dyn FnMut(Item)) -> Result<(), BusError> {
        self.files(folder, &mut |name| {
            if let Some(waiting) = name.to_str().and_then(WaitingName::parse) {
                let due_ms = Some(waiting.due_ms);
                each(Item { due_ms, ..Item::of_claim(state, folder.join(name), waiting.claim) });
            }
        })
    }

    fn each_dead(&self, each: &mut dyn FnMut(Item)) -> Result<(), BusError> {
        let folder = Path::new(layout::DEAD_LETTER);
        self.disk.for_each(folder, |name, _| {
            if let Some(claim) = name.to_str().and_then(layout::parse_dead) {
                let attempt = None;
                each(Item { attempt, ..Item::of_claim(State::DeadLetter, folder.join(name), claim) });
            }
        })?;
        Ok(())
    }

    fn files(&self, folder: &Path, each: &mut dyn FnMut(&OsStr)) -> Result<(), BusError> {
        self.disk.for_each(folder, |name, kind| {
            if matches!(kind, EntryKind::File | EntryKind::Unknown) {
                each(name);
            }
        })?;
        Ok(())
    }

    /// The folders in a folder, as paths from the bus, sorted.
    fn folders(&self, folder: &Path) -> Result<Vec<PathBuf>, BusError> {
        let mut folders = Vec::new();
        self.disk.for_each(folder, |name, kind| {
            if kind == EntryKind::Folder {
                folders.push(folder.join(name));
            }
        })?;
        folders.sort_unstable();
        Ok(folders)
    }
}
