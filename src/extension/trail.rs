//! Who is calling whom within one attempt, as it is at this moment.
//!
//! Absent on purpose: the calls themselves. This room only says whether one more may begin, and what the way to it is called.
//!
//! Invariants: no extension is entered while it waits for its caller, so the calls under way never form a circle; and none is
//! [`MOST_CALLS`] calls away from the message.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many calls may be under way within each other, the one of the message itself included.
pub(super) const MOST_CALLS: usize = 16;

/// The calls under way, by the places of the extensions in their set.
#[derive(Debug, Default)]
pub(super) struct Trail(Mutex<Vec<Step>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    /// None for the message itself.
    caller: Option<usize>,
    callee: usize,
}

/// One call under way; over when it is dropped.
#[derive(Debug)]
pub(super) struct Entered<'a> {
    trail: &'a Trail,
    step: Step,
}

/// Why a call may not begin. The path leads from the extension that the message is for to the one that was to be entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotEntered {
    /// It is at work already, and waits for its caller.
    ReEntry { path: Vec<usize> },
    /// It would be beyond [`MOST_CALLS`].
    TooDeep { path: Vec<usize> },
}

impl Trail {
    /// Begins a call.
    pub(super) fn enter(&self, caller: Option<usize>, callee: usize) -> Result<Entered<'_>, NotEntered> {
        let mut steps = self.lock();
        let mut path = caller.map_or_else(Vec::new, |caller| way_to(&steps, caller));
        let at_work = path.contains(&callee);
        path.push(callee);
        if at_work {
            return Err(NotEntered::ReEntry { path });
        }
        if path.len() > MOST_CALLS {
            return Err(NotEntered::TooDeep { path });
        }
        let step = Step { caller, callee };
        steps.push(step);
        Ok(Entered { trail: self, step })
    }

    /// From the extension that the message is for to this one, which is at work.
    pub(super) fn way_to(&self, extension: usize) -> Vec<usize> {
        way_to(&self.lock(), extension)
    }

    /// The way to the last call that has begun and not ended; empty if there is none.
    pub(super) fn last_way(&self) -> Vec<usize> {
        let steps = self.lock();
        steps.last().map_or_else(Vec::new, |step| way_to(&steps, step.callee))
    }

    /// It is right after a panic, too: each change is one call.
    fn lock(&self) -> MutexGuard<'_, Vec<Step>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut steps = self.trail.lock();
        // Of two equal calls under way, which one is taken out does not matter.
        if let Some(at) = steps.iter().rposition(|step| *step == self.step) {
            steps.swap_remove(at);
        }
    }
}

/// Everybody who waits for this extension, in the order of the calls, and itself. Where it was called from several places at once, each
/// of those counts as waiting.
fn way_to(steps: &[Step], extension: usize) -> Vec<usize> {
    let mut way = vec![extension];
    let mut looked_at = 0;
    while let Some(callee) = way.get(looked_at).copied() {
        for caller in steps.iter().filter(|step| step.callee == callee).filter_map(|step| step.caller) {
            if !way.contains(&caller) {
                way.push(caller);
            }
        }
        looked_at += 1;
    }
    way.reverse();
    way
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_not_entered() {
        let trail = Trail::default();
        let _message = trail.enter(None, 0).unwrap();
        let first = trail.enter(Some(0), 1).unwrap();
        let second = trail.enter(Some(1), 2).unwrap();
        assert_eq!(trail.way_to(2), [0, 1, 2]);
        assert_eq!(trail.enter(Some(2), 0).unwrap_err(), NotEntered::ReEntry { path: vec![0, 1, 2, 0] });
        assert_eq!(trail.enter(Some(2), 2).unwrap_err(), NotEntered::ReEntry { path: vec![0, 1, 2, 2] });
        drop(second);
        drop(first);
        assert!(trail.enter(Some(0), 2).is_ok());
    }

    #[test]
    fn two_calls_at_once_do_not_wait_for_each_other() {
        let trail = Trail::default();
        let _message = trail.enter(None, 0).unwrap();
        let _one = trail.enter(Some(0), 1).unwrap();
        let _other = trail.enter(Some(0), 2).unwrap();
        let below = trail.enter(Some(2), 1).unwrap();
        // The first one is entered twice now; whoever waits for it in either place is not entered from it.
        assert!(matches!(trail.enter(Some(1), 2), Err(NotEntered::ReEntry { .. })));
        drop(below);
        assert!(trail.enter(Some(1), 2).is_ok());
    }

    #[test]
    fn the_depth_is_bounded() {
        let trail = Trail::default();
        let mut calls = vec![trail.enter(None, 0).unwrap()];
        for callee in 1..MOST_CALLS {
            calls.push(trail.enter(Some(callee - 1), callee).unwrap());
        }
        let beyond = trail.enter(Some(MOST_CALLS - 1), MOST_CALLS).unwrap_err();
        assert_eq!(beyond, NotEntered::TooDeep { path: (0..=MOST_CALLS).collect() });
    }
}
