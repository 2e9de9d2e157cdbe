//! Stopping: what has not started waits in `deferred/`, what runs may finish for a while, and the room is left empty.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::active::{Active, End, Ready};
use super::claimed::Claimed;
use super::clock::Now;
use super::gather::Candidate;
use super::notice::Notice;
use super::trouble::Trouble;
use super::waiting::{Due, GIVEN_BACK};
use crate::bus::{BusError, retention};

/// How long handlers may go on after stopping was asked for.
const HANDLERS: Duration = Duration::from_secs(6);
/// After this long the service ends whatever the disk says; what is left in the room the next one finds.
const IN_ALL: Duration = Duration::from_secs(9);

impl Active<'_> {
    /// Stopping was asked for: nothing more is claimed or started.
    pub(super) fn stop(&mut self) {
        if self.stop_at.is_some() {
            return;
        }
        self.stop_at = Some(Instant::now() + HANDLERS);
        self.core.say(&Notice::Stopping { running: self.lanes.running() });
        self.defer_unstarted(Now::get());
    }

    /// Everything claimed and not begun is due at once for whoever is active next, in its order.
    fn defer_unstarted(&mut self, now: Now) {
        for job in self.lanes.take_waiting() {
            let decision = self.wait(job.claimed, Due::Date(GIVEN_BACK), "the service is stopping", now);
            self.unsettled.push(decision);
        }
    }

    /// Leaves the room: commits, publishes, takes a checkpoint, and removes the room. After an error it can be called again. What cannot be finished in time stays in the room, where the next service finds it.
    pub(super) fn leave(&mut self) -> Result<(), BusError> {
        let now = Now::get();
        if self.left {
            return self.room.remove(&self.core.disk);
        }
        let packed = self.stop_packing()?;
        if packed {
            // Else the room would not be empty at the end.
            retention::end_all_begun(&self.core.disk, &self.room.path)?;
        }
        if self.relist {
            self.list_own_room()?;
        }
        let parked = self.park_ready(now);
        // What could not be read is in no list.
        self.relist |= parked.is_err();
        parked?;
        self.settle(now)?;
        self.checkpoint(now)?;
        let done = packed
            && self.unsettled.is_empty()
            && self.unfinished.is_empty()
            && self.ready.is_empty()
            && self.busy.is_empty();
        if done && !self.pinned {
            self.ahead.discard(&self.core.disk, &self.room)?;
            self.left = true;
            self.room.remove(&self.core.disk)?;
        }
        Ok(())
    }

    /// Leaves the room, again and again while the disk refuses, but not past the time in which a service ends.
    pub(super) fn leave_for_good(mut self) -> Result<End, BusError> {
        let core = self.core;
        let give_up = give_up_at(self.stop_at, Instant::now());
        let mut trouble = Trouble::default();
        loop {
            match self.leave() {
                Ok(()) => return Ok(End::Stopped),
                Err(BusError::RoomGone) => return Ok(End::Replaced),
                Err(error) if error.is_transient() => {
                    if trouble.begin(Instant::now()) {
                        core.say(&Notice::Trouble { what: error.to_string() });
                    }
                    // What could not be finished stays in the room, where the next service finds it.
                    if Instant::now() >= give_up {
                        return Ok(End::Stopped);
                    }
                    std::thread::sleep(trouble.left(Instant::now()));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Claims that lie ready in the room (adopted, or deliveries of a split) wait in `deferred/` too. Those that may have killed a service
    /// stay: their attempts count only while they are claims in a room.
    fn park_ready(&mut self, now: Now) -> Result<(), BusError> {
        self.ready.extend(self.busy.drain(..));
        let (mut suspects, mut parked) = (VecDeque::new(), Ok(()));
        while let Some(ready) = self.ready.pop_front() {
            if ready.suspect {
                suspects.push_back(ready);
                continue;
            }
            parked = self.park(ready, now);
            if parked.is_err() {
                break;
            }
        }
        suspects.extend(self.ready.drain(..));
        self.ready = suspects;
        parked
    }

    fn park(&mut self, ready: Ready, now: Now) -> Result<(), BusError> {
        match self.read_in_room(ready)? {
            // What waits has its id noted as its own, so it must not be somebody else's.
            Some(Candidate::InRoom(claimed)) => match self.seen_before(&claimed)? {
                Some(verdict) => self.decide_unhandled(*claimed, verdict, now)?,
                None => {
                    let decision = self.wait(*claimed, Due::Date(GIVEN_BACK), "the service is stopping", now);
                    self.unsettled.push(decision);
                }
            },
            Some(Candidate::UnfitInRoom { claim, refusal }) => {
                let decision = self.unfit(claim, &refusal, now)?;
                self.unsettled.push(decision);
            }
            Some(Candidate::Dropped { .. } | Candidate::Unfit { .. }) | None => {}
        }
        Ok(())
    }

    /// Called in every turn while stopping: cancels handlers whose time is up.
    pub(super) fn hurry(&mut self, now: Now) {
        let Some(handlers_end) = self.stop_at else { return };
        if now.mono < handlers_end || self.lanes.running() == 0 {
            return;
        }
        for job in self.lanes.cancel_running() {
            self.put_off_for_stop(job.claimed, now);
        }
    }

    /// It ran while the service was stopping: due at once, uncounted.
    pub(super) fn put_off_for_stop(&mut self, claimed: Claimed, now: Now) {
        let decision = self.wait(claimed, Due::Date(GIVEN_BACK), "the service was stopped while it ran", now);
        self.unsettled.push(decision);
    }

    /// Has stopping taken so long that the service ends as it is?
    pub(super) fn is_overdue(&self, now: Now) -> bool {
        self.stop_at.is_some() && now.mono >= give_up_at(self.stop_at, now.mono)
    }
}

/// When a service ends whatever the disk says. `handlers_end`: [`HANDLERS`] after stopping was asked for, if it was.
fn give_up_at(handlers_end: Option<Instant>, now: Instant) -> Instant {
    handlers_end.map_or(now + IN_ALL, |handlers_end| handlers_end + (IN_ALL - HANDLERS))
}

#[cfg(test)]
mod tests {
    use super::super::attempted::tests::Bus;
    use super::*;
    use crate::bus::layout::{ClaimName, Ticket};

    /// What waits has its id noted as its own; so it must be known before whether it is.
    #[test]
    fn a_duplicate_in_the_room_does_not_wait_for_the_next_service() {
        let bus = Bus::new();
        let mut active = bus.serve();
        let text = r#"{"id":"m-1","sender":"alice","recipient":"postroom","action":"mcp.core.echo"}"#;
        std::fs::write(bus.path.join("1.json"), text).expect("dropped");
        active.turn(Now::get()).expect("handled");
        assert!(bus.path.join("inbox/alice/m-1.reply.json").exists());
        let name = ClaimName::first(Ticket::new(), "2.json".as_ref());
        std::fs::write(bus.path.join(active.room.file(name.file_name())), text).expect("claimed");
        active.ready.push_back(Ready::new(name));
        active.stop();
        active.leave().expect("left");
        drop(active);
        assert_eq!(std::fs::read_dir(bus.path.join("deferred")).expect("listed").count(), 0);
        bus.serve().turn(Now::get()).expect("nothing to do");
        assert_eq!(std::fs::read_dir(bus.path.join("inbox/alice")).expect("listed").count(), 1);
    }

    #[test]
    fn a_stop_takes_nine_seconds_at_most_however_long_handlers_ran() {
        let asked = Instant::now();
        assert_eq!(give_up_at(Some(asked + HANDLERS), asked + Duration::from_secs(5)), asked + IN_ALL);
        assert_eq!(give_up_at(None, asked), asked + IN_ALL, "nobody asked: with `--once` the work is done");
    }
}
