//! What an attempt would change, collected while it runs.
//!
//! Absent on purpose: making any of it true. The service does that in the message's commit, all of it or nothing.
//!
//! Invariant: what a nested call that failed has collected is taken out again ([`Effects::roll_back`]), so its caller can go on.

use std::collections::BTreeMap;

use super::reuse::Reusable;
use crate::message::{Failure, Handled, JsonText, MessageId};

/// How an attempt ended, and what it would change. A failed one changes nothing: its effects are empty.
#[derive(Debug)]
pub struct Attempted {
    pub handled: Handled,
    pub effects: Effects,
    /// Also of a failed attempt.
    pub log: Vec<LogLine>,
    /// What may handle another message once this attempt is committed.
    pub reusable: Option<Reusable>,
}

impl Attempted {
    /// One in which nothing was done.
    pub(super) fn failed(failure: Failure) -> Attempted {
        Attempted { handled: Handled::Failed(failure), effects: Effects::default(), log: Vec::new(), reusable: None }
    }
}

/// Messages and values, in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    pub sent: Vec<Sent>,
    /// The version of each stored value that was read, from the first time. A commit is made only if all are still the same.
    pub read: BTreeMap<StateKey, u64>,
    /// The last value written for each key; None deletes.
    pub written: BTreeMap<StateKey, Option<Vec<u8>>>,
}

/// A message that an extension sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub id: MessageId,
    /// The extension that sends it.
    pub sender: String,
    /// The whole message as strict JSON text, checked like a dropped one, without `delivery`.
    pub text: JsonText,
}

/// A stored value of an extension.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateKey {
    pub extension: String,
    pub key: String,
}

/// A line that an extension wrote about what it does. Untrusted text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    pub extension: String,
    pub level: Level,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// Where a nested call began.
#[derive(Debug)]
pub struct Savepoint {
    sent: usize,
    written: BTreeMap<StateKey, Option<Vec<u8>>>,
}

impl Effects {
    pub fn savepoint(&self) -> Savepoint {
        Savepoint { sent: self.sent.len(), written: self.written.clone() }
    }

    /// Takes out what was sent and written since. What was read stays: the outcome may still rest on it.
    pub fn roll_back(&mut self, to: Savepoint) {
        self.sent.truncate(to.sent);
        self.written = to.written;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_call_that_failed_leaves_only_what_it_read() {
        let key = |key: &str| StateKey { extension: "a".into(), key: key.into() };
        let mut effects = Effects::default();
        effects.written.insert(key("kept"), Some(vec![1]));
        let before = effects.savepoint();
        effects.written.insert(key("kept"), None);
        effects.written.insert(key("new"), Some(vec![2]));
        effects.read.insert(key("looked-at"), 3);
        effects.roll_back(before);
        assert_eq!(effects.written, BTreeMap::from([(key("kept"), Some(vec![1]))]));
        assert_eq!(effects.read, BTreeMap::from([(key("looked-at"), 3)]));
    }
}
