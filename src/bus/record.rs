//! A decision, as it stands in the commit log: what becomes of one attempt at one message, completely. Whoever finds the
//! record can carry it out without asking anything else. `text` is how it stands there.

mod text;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::disk::DiskError;
use super::layout::{self, ClaimName};
use super::place::Place;

/// Bodies up to this many bytes are logged whole. In a longer one, what was taken from the message itself is logged as a
/// reference into the message's file, which is made durable first. (A 1 MiB echo would otherwise be written twice more.)
pub const INLINE_MAX: usize = 16 * 1024;

/// One piece of an effect's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Bytes(Vec<u8>),
    /// This range of the claimed message's file.
    OfMessage {
        start: usize,
        len: usize,
    },
}

/// Where an effect goes. Final names are chosen before the commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// `inbox/<agent>/<stem>.json`, or with `~<number>` where that is another's.
    Inbox { agent: String, stem: String, number: u32 },
    /// A message of its own in the room: one delivery of several, or what a handler sends.
    Room { name: String },
    /// The reason beside a dead letter.
    Why { name: String },
    /// The registration of an agent; replaces the one before.
    Agent { agent: String },
    /// The end of a registration. The staged file is empty; that it is used up says that it was done.
    AgentGone { agent: String },
    /// A value that an extension keeps; replaces one of a lower version. `name`: the file's.
    State { extension: String, name: String, version: u64 },
}

impl Target {
    /// The final path, relative to the bus.
    pub fn path(&self, room: &Path) -> PathBuf {
        match self {
            Target::Inbox { agent, .. } => layout::joined(&[layout::INBOX, agent], &self.file_name()),
            Target::Room { name } => room.join(name),
            Target::Why { name } => layout::joined(&[layout::DEAD_LETTER], name),
            Target::Agent { agent } | Target::AgentGone { agent } => layout::agent_file(agent),
            Target::State { extension, name, .. } => layout::state_folder(extension).join(name),
        }
    }

    /// Whose registration it changes.
    pub fn registration(&self) -> Option<&String> {
        match self {
            Target::Agent { agent } | Target::AgentGone { agent } => Some(agent),
            Target::Inbox { .. } | Target::Room { .. } | Target::Why { .. } | Target::State { .. } => None,
        }
    }

    /// The last part of the final path.
    pub fn file_name(&self) -> String {
        match self {
            Target::Inbox { stem, number, .. } => layout::delivery_name(stem, *number),
            Target::Room { name } | Target::Why { name } | Target::State { name, .. } => name.clone(),
            Target::Agent { agent } | Target::AgentGone { agent } => format!("{agent}.json"),
        }
    }

    /// The same with the number to try where this one's name is taken; `first` is the first that was tried. From one record everybody tries the
    /// same ones. `None`: no numbers are foreseen, or there are no more.
    pub fn next_number(&self, first: &Target) -> Option<Target> {
        let (Target::Inbox { agent, stem, number }, Target::Inbox { number: first, .. }) = (self, first) else {
            return None;
        };
        let number = layout::next_number(*first, *number)?;
        Some(Target::Inbox { agent: agent.clone(), stem: stem.clone(), number })
    }
}

/// One thing that becomes visible when the message is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    pub to: Target,
    pub body: Vec<Piece>,
}

impl Effect {
    pub fn whole(to: Target, bytes: Vec<u8>) -> Effect {
        Effect { to, body: vec![Piece::Bytes(bytes)] }
    }

    pub fn len(&self) -> usize {
        self.body
            .iter()
            .map(|piece| match piece {
                Piece::Bytes(bytes) => bytes.len(),
                Piece::OfMessage { len, .. } => *len,
            })
            .sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The content as slices, given the message's text.
    pub fn slices<'a>(&'a self, message: &'a [u8]) -> Vec<&'a [u8]> {
        self.body
            .iter()
            .map(|piece| match piece {
                Piece::Bytes(bytes) => bytes.as_slice(),
                Piece::OfMessage { start, len } => &message[*start..*start + *len],
            })
            .collect()
    }

    /// Does writing it down again need the message's file?
    pub fn refers_to_message(&self) -> bool {
        // The deliveries of a split are copies of the message: up to 10,000 of them.
        let is_copy = matches!(self.to, Target::Room { .. });
        (is_copy || self.len() > INLINE_MAX) && self.body.iter().any(|piece| matches!(piece, Piece::OfMessage { .. }))
    }
}

/// Where the message itself goes when all its effects are published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Finish {
    /// `archive/<day>/<hour>/<name>`.
    Archive {
        day: String,
        hour: String,
        name: String,
    },
    Deferred {
        name: String,
    },
    Held {
        name: String,
    },
    DeadLetter {
        name: String,
    },
}

impl Finish {
    /// The folder and the name it ends at, relative to the bus.
    pub fn place(&self) -> (PathBuf, &str) {
        match self {
            Finish::Archive { day, hour, name } => (layout::joined(&[layout::ARCHIVE, day], hour), name),
            Finish::Deferred { name } => (PathBuf::from(layout::DEFERRED), name),
            Finish::Held { name } => (PathBuf::from(layout::HELD), name),
            Finish::DeadLetter { name } => (PathBuf::from(layout::DEAD_LETTER), name),
        }
    }

    /// The path it ends at, relative to the bus.
    pub fn path(&self) -> PathBuf {
        let (folder, name) = self.place();
        folder.join(name)
    }

    /// What the journal calls it.
    pub fn step(&self) -> EndStep {
        match self {
            Finish::Archive { .. } | Finish::DeadLetter { .. } => EndStep::Finished,
            Finish::Deferred { .. } => EndStep::Deferred,
            Finish::Held { .. } => EndStep::Held,
        }
    }
}

/// The step of the journal's line that tells how an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndStep {
    Finished,
    Deferred,
    Held,
}

impl EndStep {
    pub fn name(self) -> &'static str {
        match self {
            EndStep::Finished => "finished",
            EndStep::Deferred => "deferred",
            EndStep::Held => "held",
        }
    }

    /// `None`: a line with this step tells something else.
    pub fn parse(name: &str) -> Option<EndStep> {
        [EndStep::Finished, EndStep::Deferred, EndStep::Held].into_iter().find(|step| step.name() == name)
    }
}

/// What happens to the message's id when the message is finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdNote {
    pub state: IdState,
    pub sender: String,
    pub id: String,
    /// Hex of the content digest.
    pub digest: String,
    /// Who may answer: the recipients, as one word each.
    pub recipients: Vec<String>,
    pub action: String,
    /// How many messages lie between this one and one that answers nothing.
    pub hops: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum IdState {
    /// Taken: the same id again is a duplicate or a conflict.
    Used,
    /// Free again after the next checkpoint: the message ended as a dead letter.
    Released,
}

/// That `responder` has answered the message `id` of `sender`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerNote {
    pub sender: String,
    pub id: String,
    pub responder: String,
}

/// What the journal's lines about this attempt say, beyond names and places.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Story {
    /// `replied`, `handled` (an answer, which gets none), `delivered`, `duplicate`, `split`, `deferred`, `held`, `dead`.
    pub outcome: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<String>,
    /// Unix milliseconds at which this attempt's claim was made, and at which it was decided.
    pub accepted_at: u64,
    #[serde(rename = "decidedAt")]
    pub at: u64,
    /// Who handled it: `postroom`, an agent, or `<extension>` with version and SHA-256.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What extensions wrote in this attempt about what they do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<LoggedLine>,
    /// The steps of earlier attempts, as they stood in the journal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<EarlierAttempt>,
}

/// A line that an extension wrote. Untrusted text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedLine {
    /// The extension.
    pub by: String,
    /// `debug`, `info`, `warn` or `error`.
    pub level: String,
    pub text: String,
}

/// One attempt before this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EarlierAttempt {
    pub attempt: u32,
    pub at: u64,
    pub code: String,
    pub message: String,
}

/// One decision. Two records for the same claim are the same attempt decided twice: the higher term, then the higher number
/// counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub term: u64,
    /// Boot and mount in which it was first decided; copies keep it.
    pub place: Arc<Place>,
    pub claim: ClaimName,
    pub finish: Finish,
    pub effects: Vec<Effect>,
    /// The first effect waits in a file that was made ahead (see [`super::ahead`]): its number.
    pub ahead: Option<Uuid>,
    pub id: Option<IdNote>,
    pub answers: Option<AnswerNote>,
    pub story: Story,
}

impl Record {
    /// The name under which the n-th effect waits in the room.
    pub fn staged_name(&self, effect: usize) -> String {
        match self.ahead {
            Some(id) if effect == 0 => layout::ahead(&id),
            _ => self.claim.staged(effect, &self.effects[effect].to.file_name()),
        }
    }

    /// All of an effect's bytes again, with `message` as the message's file. `None` if that is too short for a reference.
    pub fn effect_bytes(&self, effect: usize, message: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        for piece in &self.effects[effect].body {
            match piece {
                Piece::Bytes(piece) => bytes.extend_from_slice(piece),
                Piece::OfMessage { start, len } => {
                    bytes.extend_from_slice(message.get(*start..start.checked_add(*len)?)?)
                }
            }
        }
        Some(bytes)
    }

    /// Does carrying it out after a power cut need the message's own file?
    pub fn refers_to_message(&self) -> bool {
        self.effects.iter().any(Effect::refers_to_message)
    }
}

/// Two records are about the same attempt of the same message.
pub fn same_attempt(a: &ClaimName, b: &ClaimName) -> bool {
    a.ticket == b.ticket && a.attempt == b.attempt
}

/// A damaged record of our own is an error to be reported, never a reason to stop.
pub fn damaged(path: &Path) -> DiskError {
    DiskError::new("understand", path, std::io::Error::other("a record in it cannot be read"))
}
