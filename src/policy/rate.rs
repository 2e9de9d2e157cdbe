//! How fast a sender may send. What comes faster is not refused but waits for its turn; how much may wait is for [`super::limits`].

use std::collections::HashMap;

use crate::message::AgentId;

const SECOND_NS: u64 = 1_000_000_000;

/// With fewer senders than this nobody is forgotten.
const FEW: usize = 1_024;

/// The turns that senders have taken: for each the time from which on its next message would find nothing before it. This is the
/// generic cell rate algorithm (ITU-T I.371, annex A, "virtual scheduling"), but what comes too early keeps the turn it is given.
/// Times are nanoseconds of any clock that only goes forward.
#[derive(Debug, Default)]
pub struct Rates {
    free_at: HashMap<AgentId, u64>,
    /// With so many senders those who have been silent are forgotten.
    many: usize,
}

impl Rates {
    /// Gives a message of `sender` its turn: how long it has to wait for it, in nanoseconds. `per_second` messages may come at
    /// once, and so many each second from then on; 0 is no limit.
    pub fn take_turn(&mut self, sender: &AgentId, per_second: u64, now_ns: u64) -> u64 {
        if per_second == 0 {
            return 0;
        }
        if self.free_at.len() >= self.many.max(FEW) {
            self.free_at.retain(|_, free_at| *free_at > now_ns);
            // So that looking at all of them is rare, however many are left.
            self.many = 2 * self.free_at.len();
        }
        let interval = (SECOND_NS / per_second).max(1);
        let free_at = self.free_at.get(sender).copied().unwrap_or(0).max(now_ns);
        self.free_at.insert(sender.clone(), free_at.saturating_add(interval));
        (free_at - now_ns).saturating_sub(SECOND_NS - interval)
    }

    /// A message of `sender` has its turn at this time: it was given before there was this memory of it.
    pub fn has_turn(&mut self, sender: &AgentId, at_ns: u64) {
        let free_at = self.free_at.entry(sender.clone()).or_default();
        *free_at = (*free_at).max(at_ns.saturating_add(SECOND_NS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(name: &str) -> AgentId {
        AgentId::parse(name).expect("a name")
    }

    const MS: u64 = 1_000_000;

    #[test]
    fn so_many_pass_at_once_and_then_each_has_its_turn() {
        let mut rates = Rates::default();
        let waits: Vec<u64> = (0..7).map(|_| rates.take_turn(&agent("a"), 4, 5 * SECOND_NS) / MS).collect();
        assert_eq!(waits, [0, 0, 0, 0, 250, 500, 750]);
        assert_eq!(rates.take_turn(&agent("b"), 4, 5 * SECOND_NS), 0, "another sender has turns of its own");
        // A second later one more has its turn, and those that wait have theirs before it.
        assert_eq!(rates.take_turn(&agent("a"), 4, 6 * SECOND_NS) / MS, 0);
        assert_eq!(rates.take_turn(&agent("a"), 4, 6 * SECOND_NS) / MS, 250);
        // Who was silent for long may send as many at once as at first, and not more.
        let waits: Vec<u64> = (0..6).map(|_| rates.take_turn(&agent("a"), 4, 60 * SECOND_NS) / MS).collect();
        assert_eq!(waits, [0, 0, 0, 0, 250, 500]);
    }

    #[test]
    fn one_in_a_second_waits_a_second_and_nought_never() {
        let mut rates = Rates::default();
        assert_eq!([0, 1, 2].map(|n| rates.take_turn(&agent("a"), 1, 0).checked_div(SECOND_NS) == Some(n)), [true; 3]);
        assert_eq!([0; 9].map(|now| rates.take_turn(&agent("b"), 0, now)), [0; 9]);
    }

    #[test]
    fn turns_that_were_given_before_come_first() {
        let (mut rates, mut restarted) = (Rates::default(), Rates::default());
        let waits: Vec<u64> = (0..7).map(|_| rates.take_turn(&agent("a"), 4, 0)).collect();
        waits.iter().filter(|wait| **wait > 0).for_each(|wait| restarted.has_turn(&agent("a"), *wait));
        assert_eq!(restarted.take_turn(&agent("a"), 4, 0), rates.take_turn(&agent("a"), 4, 0));
    }

    #[test]
    fn of_many_senders_only_those_are_kept_who_have_taken_turns_ahead() {
        let mut rates = Rates::default();
        let ahead = (0..9).map(|_| rates.take_turn(&agent("busy"), 1, 0)).max();
        assert_eq!(ahead, Some(8 * SECOND_NS));
        // In the second for which a turn counts there are never more than a thousand of these.
        for number in 0..8_000 {
            rates.take_turn(&agent(&format!("once-{number}")), 1, number * MS);
        }
        assert!(rates.free_at.len() < 3 * FEW, "{}", rates.free_at.len());
        assert_eq!(rates.take_turn(&agent("busy"), 1, 8 * SECOND_NS), SECOND_NS);
    }
}
