//! A decision, as it stands in the commit log: what becomes of one attempt at one message, completely. Whoever finds the
//! record can carry it out without asking anything else.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

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

    /// The last part of the final path.
    pub fn file_name(&self) -> String {
        match self {
            Target::Inbox { stem, number, .. } => layout::delivery_name(stem, *number),
            Target::Room { name } | Target::Why { name } | Target::State { name, .. } => name.clone(),
            Target::Agent { agent } | Target::AgentGone { agent } => format!("{agent}.json"),
        }
    }

    /// The same with the next number, where numbers are foreseen.
    pub fn next_number(&self) -> Option<Target> {
        match self {
            Target::Inbox { agent, stem, number } => {
                Some(Target::Inbox { agent: agent.clone(), stem: stem.clone(), number: number.max(&1) + 1 })
            }
            Target::Room { .. }
            | Target::Why { .. }
            | Target::Agent { .. }
            | Target::AgentGone { .. }
            | Target::State { .. } => None,
        }
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
}

/// What happens to the message's id when the message is finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
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
    pub id: Option<IdNote>,
    pub answers: Option<AnswerNote>,
    pub story: Story,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    term: u64,
    /// Left out where it is the place of the log.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    place: Option<Arc<Place>>,
    claim: String,
    finish: std::borrow::Cow<'a, Finish>,
    effects: Vec<EffectMeta<'a>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    id: Option<std::borrow::Cow<'a, IdNote>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    answers: Option<std::borrow::Cow<'a, AnswerNote>>,
    story: std::borrow::Cow<'a, Story>,
}

#[derive(Serialize, Deserialize)]
struct EffectMeta<'a> {
    to: std::borrow::Cow<'a, Target>,
    /// Lengths of the pieces; `[start, len]` is a reference into the message.
    pieces: Vec<PieceMeta>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum PieceMeta {
    Inline(usize),
    OfMessage(usize, usize),
}

impl Record {
    /// Appends the record's text: a line of JSON, then the effects' bytes. `of_log`: the place that the log itself names.
    pub fn encode(&self, of_log: &Place, message: &[u8], out: &mut Vec<u8>) {
        use std::borrow::Cow::Borrowed;
        let effects = self.effects.iter().map(|effect| EffectMeta {
            to: Borrowed(&effect.to),
            pieces: pieces_of(effect).map(|(meta, _)| meta).collect(),
        });
        let meta = Meta {
            term: self.term,
            place: (*self.place != *of_log).then(|| self.place.clone()),
            claim: self.claim.file_name(),
            finish: Borrowed(&self.finish),
            effects: effects.collect(),
            id: self.id.as_ref().map(Borrowed),
            answers: self.answers.as_ref().map(Borrowed),
            story: Borrowed(&self.story),
        };
        serde_json::to_writer(&mut *out, &meta).expect("writing JSON to memory does not fail");
        out.push(b'\n');
        for effect in &self.effects {
            for (_, piece) in pieces_of(effect) {
                match piece {
                    Logged::Bytes(bytes) => out.extend_from_slice(bytes),
                    Logged::FromMessage { start, len } => out.extend_from_slice(&message[start..start + len]),
                    Logged::Reference => {}
                }
            }
        }
    }

    /// Reads what [`Record::encode`] wrote; `None` if it is not that.
    pub fn decode(of_log: Option<&Arc<Place>>, text: &[u8]) -> Option<Record> {
        let line_end = text.iter().position(|b| *b == b'\n')?;
        let meta: Meta = serde_json::from_slice(&text[..line_end]).ok()?;
        let mut rest = &text[line_end + 1..];
        let mut effects = Vec::with_capacity(meta.effects.len());
        for effect in meta.effects {
            let mut body = Vec::with_capacity(effect.pieces.len());
            for piece in effect.pieces {
                body.push(match piece {
                    PieceMeta::Inline(len) => {
                        let (bytes, after) = rest.split_at_checked(len)?;
                        rest = after;
                        Piece::Bytes(bytes.to_vec())
                    }
                    PieceMeta::OfMessage(start, len) => Piece::OfMessage { start, len },
                });
            }
            effects.push(Effect { to: effect.to.into_owned(), body });
        }
        Some(Record {
            term: meta.term,
            place: meta.place.or_else(|| of_log.cloned())?,
            claim: ClaimName::parse(&meta.claim)?,
            finish: meta.finish.into_owned(),
            effects,
            id: meta.id.map(|note| note.into_owned()),
            answers: meta.answers.map(|note| note.into_owned()),
            story: meta.story.into_owned(),
        })
    }

    /// The name under which the n-th effect waits in the room.
    pub fn staged_name(&self, effect: usize) -> String {
        self.claim.staged(effect, &self.effects[effect].to.file_name())
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

enum Logged<'a> {
    Bytes(&'a [u8]),
    FromMessage { start: usize, len: usize },
    Reference,
}

fn pieces_of(effect: &Effect) -> impl Iterator<Item = (PieceMeta, Logged<'_>)> {
    let refer = effect.refers_to_message();
    effect.body.iter().map(move |piece| match piece {
        Piece::Bytes(bytes) => (PieceMeta::Inline(bytes.len()), Logged::Bytes(bytes)),
        Piece::OfMessage { start, len } if refer => (PieceMeta::OfMessage(*start, *len), Logged::Reference),
        Piece::OfMessage { start, len } => (PieceMeta::Inline(*len), Logged::FromMessage { start: *start, len: *len }),
    })
}

/// Two records are about the same attempt of the same message.
pub fn same_attempt(a: &ClaimName, b: &ClaimName) -> bool {
    a.ticket == b.ticket && a.attempt == b.attempt
}

/// A damaged record of our own is an error to be reported, never a reason to stop.
pub fn damaged(path: &Path) -> DiskError {
    DiskError::new("understand", path, std::io::Error::other("a record in it cannot be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the first version wrote it: without log, without what extensions send and keep.
    const FIRST: &str = concat!(
        r#"{"term":1,"place":{"host":"h","host_name":"h","boot":"b","mount":"m","namespace":"n","pid":1},"#,
        r#""claim":"1.0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11~m.json","#,
        r#""finish":{"archive":{"day":"2025-11-21","hour":"07","name":"0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11~m-1.json"}},"#,
        r#""effects":[{"to":{"inbox":{"agent":"alice","stem":"m-1.reply","number":1}},"pieces":[3]}],"#,
        r#""story":{"outcome":"replied","id":"m-1","acceptedAt":1,"decidedAt":2}}"#,
        "\n{}\n"
    );

    fn first() -> Record {
        let place: serde_json::Value = serde_json::from_str(FIRST.split('\n').next().expect("a line")).expect("JSON");
        let place = serde_json::from_value(place["place"].clone());
        Record::decode(Some(&Arc::new(place.expect("a place"))), FIRST.as_bytes()).expect("a record")
    }

    #[test]
    fn the_first_records_are_read_for_ever() {
        let record = first();
        assert_eq!((record.effects[0].len(), record.story.at, record.story.log.len()), (3, 2, 0));
        assert_eq!(record.claim.sent, None);
    }

    #[test]
    fn what_an_extension_keeps_sends_and_says_reads_back() {
        let mut record = first();
        record.claim = ClaimName::sent(3, "m-1");
        let (extension, name) = ("counter".to_owned(), "count".to_owned());
        let bytes = b"{\"v\":1}\n\0\xff".to_vec();
        record.effects.push(Effect::whole(Target::State { extension, name, version: 7 }, bytes));
        let text = "\u{1b}[2J".to_owned();
        record.story.log.push(LoggedLine { by: "counter".into(), level: "warn".into(), text });
        let mut encoded = Vec::new();
        record.encode(&record.place, b"", &mut encoded);
        assert_eq!(Record::decode(Some(&record.place), &encoded), Some(record));
    }
}
