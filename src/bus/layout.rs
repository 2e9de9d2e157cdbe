//! Every name in a bus folder, spelled once.
//!
//! Names are the state: a file's folder and name say where its message stands, so each name can be made from its parts and
//! read back into them. Nothing here touches the disk.

mod claim_name;
mod delivery;
mod state_name;

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

pub use claim_name::{ClaimName, Ticket, WaitingName, parse_dead, parse_reason};
pub use delivery::{delivery_name, next_number, reply_name, reply_stem};
pub use state_name::{state_key, state_name};

/// The default name of a bus folder.
pub const BUS: &str = "ai-communication";
/// The settings, beside the bus.
pub const SETTINGS: &str = "postroom.toml";
pub const INBOX: &str = "inbox";
pub const DEFERRED: &str = "deferred";
pub const HELD: &str = "held";
pub const DEAD_LETTER: &str = "dead-letter";
pub const ARCHIVE: &str = "archive";
pub const AGENTS: &str = "agents";
pub const PROCESSING: &str = "processing";
pub const PRIVATE: &str = ".postroom";
/// Holds [`FORMAT_LINE`]; a program that knows only older formats must not touch the bus.
pub const FORMAT: &str = ".postroom/format";
pub const FORMAT_LINE: &str = "postroom bus format 1\n";
pub const IDS: &str = ".postroom/ids";
/// What the command line asks of the active service.
pub const REQUESTS: &str = ".postroom/requests";
/// Where each request is answered.
pub const ANSWERS: &str = ".postroom/answers";
/// The values that extensions keep: a folder for each extension, a file for each key.
pub const STATE: &str = ".postroom/state";
pub const JOURNAL: &str = "journal.jsonl";

/// Every folder that a bus has from the start, parents first.
pub const FOLDERS: [&str; 12] =
    [INBOX, DEFERRED, HELD, DEAD_LETTER, ARCHIVE, AGENTS, PROCESSING, PRIVATE, IDS, REQUESTS, ANSWERS, STATE];

/// Inside a room: the commit log, the lock, the owner's line, and a folder for each room taken over.
pub const ROOM_LOG: &str = "log";
pub const ROOM_NEW_LOG: &str = "log.new";
pub const ROOM_LOCK: &str = "lock";
pub const ROOM_LINE: &str = "line";
pub const ROOM_OLD: &str = "old.";
/// Before the name of a request whose answer is being written.
pub const ROOM_ANSWER: &str = "answer-";

/// The longest file name that the common file systems take, in bytes.
const NAME_MAX: usize = 255;

/// Is this the name of a message in the drop? (Not hidden, ends in `.json`.)
pub fn is_drop_name(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.ends_with(b".json") && !name.starts_with(b".")
}

/// A file name, in memory that is taken once.
fn written(write: impl FnOnce(&mut String) -> fmt::Result) -> String {
    let mut name = String::with_capacity(NAME_MAX);
    write(&mut name).expect("writing to memory does not fail");
    name
}

/// `folders` and a name, joined in memory that is taken once.
pub fn joined(folders: &[&str], name: &str) -> PathBuf {
    let mut path = String::with_capacity(folders.iter().map(|folder| folder.len() + 1).sum::<usize>() + name.len());
    for folder in folders {
        path.push_str(folder);
        path.push('/');
    }
    path.push_str(name);
    path.into()
}

/// A file made ahead, for the first effect of a record that is not written yet.
pub fn ahead(id: &uuid::Uuid) -> String {
    format!("+ahead.{id}")
}

/// A staged effect's name starts so; claims start with a digit.
pub fn is_staged(name: &str) -> bool {
    name.starts_with('+')
}

/// The room of one service in one term, relative to the bus.
pub fn room(term: u64, uuid: Uuid) -> PathBuf {
    Path::new(PROCESSING).join(term.to_string()).join(uuid.to_string())
}

/// The term whose folder has this name. The last number there is belongs to none: no term could follow.
pub fn parse_term(name: &str) -> Option<u64> {
    name.parse().ok().filter(|term: &u64| *term < u64::MAX && term.to_string() == name)
}

/// The folder of a term.
pub fn term_folder(term: u64) -> PathBuf {
    Path::new(PROCESSING).join(term.to_string())
}

/// The folder of a room that is still being prepared.
pub fn prepared_folder(uuid: Uuid) -> PathBuf {
    Path::new(PROCESSING).join(format!(".{uuid}"))
}

/// The inbox of an agent, relative to the bus.
pub fn inbox(agent: &str) -> PathBuf {
    joined(&[INBOX], agent)
}

pub fn agent_file(agent: &str) -> PathBuf {
    joined(&[AGENTS], &[agent, ".json"].concat())
}

/// The values of an extension, relative to the bus.
pub fn state_folder(extension: &str) -> PathBuf {
    Path::new(STATE).join(extension)
}

/// A number of digits alone: a sign would make a staged effect (`+1.`) look like a claim.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// The longest start of `text` that has at most `max` bytes.
fn cut(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
