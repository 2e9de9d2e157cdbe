//! Who, to whom, what: the fields of a message file that a list shows.

use std::path::Path;

use super::View;
use crate::bus::error::BusError;
use crate::message::{Code, Given, Message};

/// A file of this size or more is not read for a list.
const READ_MAX: u64 = 64 << 20;

/// What a message file says about itself, as far as it can be read. Strangers' text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heading {
    pub id: Option<String>,
    pub sender: Option<String>,
    pub recipient: Option<String>,
    pub action: Option<String>,
    pub in_reply_to: Option<String>,
    /// The code of its `error`, if it is an error reply.
    pub error: Option<String>,
    /// It is not JSON, or not yet: somebody may still be writing it.
    pub unfinished: bool,
}

impl Heading {
    /// Reads what can be read of a message's text.
    pub fn of(text: Vec<u8>) -> Heading {
        match Message::parse(text, Given { file_identity: (0, 0), now_ms: 0 }) {
            Ok(message) => Heading {
                id: Some(message.id().to_string()),
                sender: Some(message.sender().to_string()),
                recipient: Some(message.recipient().to_string()),
                action: Some(message.action().to_string()),
                in_reply_to: message.in_reply_to().map(ToString::to_string),
                error: message.error().map(|error| error.code.clone()),
                unfinished: false,
            },
            Err(refusal) => {
                let read = *refusal.envelope;
                Heading {
                    id: read.id.map(|id| id.to_string()),
                    sender: read.sender.map(|sender| sender.to_string()),
                    recipient: read.recipient,
                    action: read.action,
                    in_reply_to: read.in_reply_to.map(|id| id.to_string()),
                    error: None,
                    unfinished: refusal.code == Code::MalformedJson,
                }
            }
        }
    }
}

impl View {
    /// The heading of a message file; `None` if it is gone. What cannot be read (no file, too large) has an empty one.
    pub fn heading(&self, path: &Path) -> Result<Option<Heading>, BusError> {
        match self.disk.read(path, READ_MAX) {
            Ok(text) => Ok(text.map(Heading::of)),
            // There, but a link, a FIFO, too large, or not ours to read: it is listed all the same.
            Err(_) => Ok(self.disk.stat(path)?.map(|_| Heading::default())),
        }
    }
}
