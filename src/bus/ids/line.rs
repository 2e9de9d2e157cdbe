//! A line of a day's ids: words between tabs. Term, ticket, state, sender, id, digest, hops, recipients (commas), action.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io::Write;

use super::Ticket;
use super::{AnswerNote, IdNote, IdState};

/// What a line is about. An answer is a fact of its own, under the asked message's key and the responder.
pub enum Key<'a> {
    Message { sender: &'a str, id: &'a str },
    Answer { sender: &'a str, id: &'a str, responder: &'a str },
}

impl Key<'_> {
    pub fn hash(&self, salt: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        match self {
            Key::Message { sender, id } => (0, sender, id, "", salt).hash(&mut hasher),
            Key::Answer { sender, id, responder } => (1, sender, id, responder, salt).hash(&mut hasher),
        }
        hasher.finish()
    }
}

/// One line, taken apart.
pub struct Line<'a> {
    pub ticket: &'a str,
    pub state: &'a str,
    pub sender: &'a str,
    pub id: &'a str,
    pub digest: &'a str,
    pub hops: &'a str,
    pub recipients: &'a str,
    pub action: &'a str,
}

pub const USED: &str = "used";
pub const RELEASED: &str = "released";
pub const FREE: &str = "free";
const ANSWERED: &str = "answered";

impl<'a> Line<'a> {
    pub fn parse(line: &'a str) -> Option<Line<'a>> {
        let mut words = line.split('\t');
        words.next()?.parse::<u64>().ok()?;
        let mut word = || words.next();
        Some(Line {
            ticket: word()?,
            state: word()?,
            sender: word()?,
            id: word()?,
            digest: word()?,
            hops: word()?,
            recipients: word()?,
            action: word()?,
        })
    }

    pub fn key(&self) -> Key<'a> {
        if self.state == ANSWERED {
            Key::Answer { sender: self.sender, id: self.id, responder: self.recipients }
        } else {
            Key::Message { sender: self.sender, id: self.id }
        }
    }

    pub fn is_about(&self, key: &Key) -> bool {
        match (self.key(), key) {
            (Key::Message { sender, id }, Key::Message { sender: s, id: i }) => sender == *s && id == *i,
            (Key::Answer { sender, id, responder }, Key::Answer { sender: s, id: i, responder: r }) => {
                sender == *s && id == *i && responder == *r
            }
            (Key::Message { .. }, Key::Answer { .. }) | (Key::Answer { .. }, Key::Message { .. }) => false,
        }
    }
}

/// Appends what is remembered of a finished message.
pub fn write_note(to: &mut Vec<u8>, term: u64, ticket: Ticket, note: &IdNote) {
    let state = match note.state {
        IdState::Used => USED,
        IdState::Released => RELEASED,
    };
    let recipients = note.recipients.join(",");
    let IdNote { sender, id, digest, hops, action, .. } = note;
    let about = format_args!("{sender}\t{id}\t{digest}\t{hops}\t{recipients}\t{action}");
    write(to, format_args!("{term}\t{ticket}\t{state}\t{about}\n"));
}

/// Appends that a message was answered by one of its recipients.
pub fn write_answer(to: &mut Vec<u8>, term: u64, ticket: Ticket, note: &AnswerNote) {
    let AnswerNote { sender, id, responder } = note;
    write(to, format_args!("{term}\t{ticket}\t{ANSWERED}\t{sender}\t{id}\t\t0\t{responder}\t\n"));
}

/// Appends that an id is free for another message.
pub fn write_free(to: &mut Vec<u8>, term: u64, ticket: Ticket, sender: &str, id: &str) {
    write(to, format_args!("{term}\t{ticket}\t{FREE}\t{sender}\t{id}\t\t0\t\t\n"));
}

fn write(to: &mut Vec<u8>, line: std::fmt::Arguments<'_>) {
    to.write_fmt(line).expect("writing to memory does not fail");
}
