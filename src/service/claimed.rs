//! A claimed message as the service works with it.

use super::active::{Ready, Turn};
use crate::bus::claim::Claim;
use crate::bus::record::EarlierAttempt;
use crate::message::{AgentId, Message, MessageId, Recipient};

/// A message in the room that passed the parser and is not yet decided.
#[derive(Clone, Debug)]
pub struct Claimed {
    pub claim: Claim,
    pub message: Message,
    /// Unix milliseconds of this claim.
    pub accepted_at: u64,
    /// The one recipient, if this is one delivery of several.
    pub part: Option<AgentId>,
    /// Its handling had begun when a service died: it runs alone.
    pub suspect: bool,
    /// It comes from the room or from `deferred/`, not from the drop: its id is its own already.
    pub known: bool,
    /// It was deferred until then, Unix milliseconds.
    pub waited_until: Option<u64>,
    pub turn: Turn,
    pub earlier: Vec<EarlierAttempt>,
}

impl Claimed {
    /// What tells it from every other message.
    pub fn key(&self) -> Key {
        (self.message.sender().clone(), self.message.id().clone())
    }

    /// Whom it is for, if that is only one.
    pub fn one_recipient(&self) -> Option<&AgentId> {
        match (&self.part, self.message.recipient()) {
            (Some(part), _) => Some(part),
            (None, Recipient::One(one)) => Some(one),
            (None, Recipient::Many(_) | Recipient::All) => None,
        }
    }
}

/// What is kept of a message that cannot be worked on now.
#[derive(Debug)]
pub struct Aside {
    pub ready: Ready,
    /// One delivery of several has no id of its own.
    pub key: Option<Key>,
}

impl Aside {
    pub fn of(claimed: &Claimed) -> Aside {
        let name = claimed.claim.name.clone();
        Aside {
            key: name.ticket.part.is_none().then(|| claimed.key()),
            ready: Ready {
                name,
                suspect: claimed.suspect,
                waited_until: claimed.waited_until,
                turn: claimed.turn,
                earlier: claimed.earlier.clone(),
            },
        }
    }
}

/// Sender and id.
pub type Key = (AgentId, MessageId);
