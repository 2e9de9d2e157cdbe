//! Whose turn it is among what waits because its sender sends faster than it may.
//!
//! A turn belongs to the sender and not to a message: when it comes, the message with the highest priority takes it, of several the one
//! that was accepted first.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use super::Waiter;
use crate::bus::layout::Ticket;
use crate::message::AgentId;

/// Each sender has as many turns as it has messages here.
#[derive(Debug, Default)]
pub struct Turns {
    /// When they come, each under the ticket of the message that was given it.
    at: BTreeMap<(Instant, Ticket), AgentId>,
    /// What waits, the highest priority first.
    of: HashMap<AgentId, BTreeMap<(u8, Ticket), Waiter>>,
    len: usize,
}

impl Turns {
    /// One more message of `sender`, and one more turn.
    pub fn add(&mut self, at: Instant, sender: AgentId, priority: u8, ticket: Ticket, waiter: Waiter) {
        self.of.entry(sender.clone()).or_default().insert((u8::MAX - priority, ticket), waiter);
        self.at.insert((at, ticket), sender);
        self.len += 1;
    }

    /// Takes the message whose turn it is.
    pub fn pop(&mut self, now: Instant) -> Option<Waiter> {
        let turn = self.at.first_entry().filter(|turn| turn.key().0 <= now)?;
        let sender = turn.remove();
        let waiting = self.of.get_mut(&sender)?;
        let (_, waiter) = waiting.pop_first()?;
        if waiting.is_empty() {
            self.of.remove(&sender);
        }
        self.len -= 1;
        Some(waiter)
    }

    /// When the next turn comes.
    pub fn next(&self) -> Option<Instant> {
        self.at.first_key_value().map(|((at, _), _)| *at)
    }

    pub fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_turn_goes_to_the_highest_priority_and_then_to_the_first() {
        let (start, [a, b]) = (Instant::now(), ["a", "b"].map(|name| AgentId::parse(name).expect("a name")));
        let mut turns = Turns::default();
        for (ms, sender, priority, file) in
            [(1, &a, 4, "a4"), (2, &a, 0, "a0"), (3, &b, 4, "b4"), (4, &a, 4, "a4 later"), (5, &a, 9, "a9")]
        {
            let waiter = Waiter { file: file.to_owned(), sender: None, bytes: 0, earlier: Vec::new() };
            turns.add(start + Duration::from_millis(ms), sender.clone(), priority, Ticket::new(), waiter);
        }
        assert_eq!((turns.len(), turns.next()), (5, Some(start + Duration::from_millis(1))));
        let mut popped = |ms| turns.pop(start + Duration::from_millis(ms)).map(|waiter| waiter.file);
        assert_eq!(popped(0), None);
        let order = [1, 1, 2, 3, 4, 5, 5].map(|ms| popped(ms).unwrap_or_default());
        assert_eq!(order, ["a9", "", "a4", "b4", "a4 later", "a0", ""]);
        assert_eq!((turns.len(), turns.next(), turns.of.len()), (0, None, 0));
    }
}
