//! What the active service waits for: events of the drop, other threads, and times that come; and when it lists the drop instead of
//! being told of it.

use std::time::{Duration, Instant};

use super::Core;
use super::active::Active;
use super::clock::Now;
use super::drop_queue::BATCH;
use super::notice::Notice;
use super::wake::{Wake, Wakes};
use super::watch;

/// With fewer names than this in a listing, events are cheaper than listing again.
const FEW: usize = 32;

/// Watches the bus. That it cannot be watched is said once, and then that it can.
pub(super) fn watch(core: &Core, wakes: &mut Wakes) {
    match wakes.watch(core.disk.path(), &core.wake) {
        Ok(()) => {
            if wakes.end_loss() {
                core.say(&Notice::Well);
            }
        }
        Err(error) => say_unwatched(core, wakes, &error),
    }
}

fn say_unwatched(core: &Core, wakes: &mut Wakes, error: &watch::Error) {
    if wakes.begin_loss() {
        core.say(&Notice::Trouble { what: format!("cannot watch the bus, so it is only scanned: {error}") });
    }
}

impl Active<'_> {
    /// Waits for something to happen, and takes in all that has.
    pub(super) fn receive(&mut self, wakes: &mut Wakes) {
        debug_assert!(
            !wakes.is_paused() || !self.drop.is_empty() || self.stop_at.is_some(),
            "nobody would tell of what is dropped now"
        );
        let first = if self.has_work() { wakes.look() } else { wakes.wait(self.until_next(Now::get())) };
        // Bounded, so that a flood of events cannot keep the loop from its work.
        for wake in first.into_iter().chain(std::iter::from_fn(|| wakes.take()).take(4096)) {
            match wake {
                Wake::Dropped(name) => self.drop.push(name),
                Wake::Rescan => self.scan_at = Instant::now(),
                Wake::Request => self.requested = true,
                Wake::Ended(ended) => self.ended(*ended),
                Wake::Ask(ask) => self.answer_ask(*ask),
                Wake::Extensions => self.look_at_extensions = true,
                // What they are about is looked at in every turn.
                Wake::Published | Wake::Synced | Wake::Packed | Wake::LockFree => {}
                Wake::Stop => self.stop(),
            }
        }
    }

    /// Under load the drop is listed each time it has been worked off; else events tell.
    pub(super) fn choose_watch(&mut self, watch: &mut Wakes) {
        self.watch_again(watch);
        self.listen_or_list(watch);
        self.is_flooded = watch.is_paused();
    }

    /// What cannot be watched is tried again as often as the drop is listed meanwhile.
    fn watch_again(&mut self, wakes: &mut Wakes) {
        let now = Instant::now();
        if wakes.is_watching() || now < self.watch_at || self.stop_at.is_some() {
            return;
        }
        watch(self.core, wakes);
        self.watch_at = now + Duration::from_millis(self.core.settings.bus.rescan_ms);
        if wakes.is_watching() {
            self.scan_at = now;
        }
    }

    fn listen_or_list(&mut self, watch: &mut Wakes) {
        if !watch.is_paused() {
            if self.drop.len() >= BATCH {
                watch.pause();
            }
            return;
        }
        if !self.drop.is_empty() || self.stop_at.is_some() {
            return;
        }
        // An error of the listing is met again, and reported, by the scan that is due then.
        let listed = self.drop.scan(&self.core.disk);
        if listed.is_ok() && self.drop.len() >= FEW {
            return;
        }
        self.scan_at = Instant::now();
        if let Err(error) = watch.resume() {
            say_unwatched(self.core, watch, &error);
            self.watch_at = self.scan_at + Duration::from_millis(self.core.settings.bus.rescan_ms);
        }
    }

    /// Is there anything to do without waiting?
    pub(super) fn has_work(&self) -> bool {
        if self.trouble.is_waiting(Instant::now()) {
            return false;
        }
        let waits_alone = self.alone.is_some() || (self.ready.iter().any(|r| r.suspect) && !self.lanes.is_idle());
        let has_parked = || self.drop.has_parked_for(|extension| self.lanes.has_room(extension, &self.core.installed));
        let is_there = !self.drop.is_empty() || !self.ready.is_empty() || has_parked();
        let claims = is_there && !waits_alone && self.may_claim();
        !self.unsettled.is_empty() || (claims && self.stop_at.is_none())
    }

    fn until_next(&self, now: Now) -> Duration {
        let until = |instant: Instant| instant.saturating_duration_since(now.mono);
        let grace = Duration::from_millis(self.core.settings.bus.grace_ms);
        let mut wait = until(self.beat_at).min(until(self.tend.at()));
        if let Some(retry) = self.trouble.retry_at() {
            return wait.min(until(retry));
        }
        if self.stop_at.is_none() {
            wait = wait.min(until(self.scan_at));
            wait = self.waiting.next(now).into_iter().chain(self.drop.next_look(grace, now)).fold(wait, Duration::min);
        }
        if !self.unfinished.is_empty() || self.requested || self.look_at_extensions {
            wait = wait.min(Duration::from_millis(200));
        }
        match self.stop_at {
            // Past its time only what the disk refuses is left.
            Some(at) => wait.min(until(at).max(Duration::from_millis(20))),
            None => wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::attempted::tests::Bus;

    /// As when the user's programs have used up all watches that he may have.
    #[test]
    fn a_watch_that_is_not_to_be_had_again_is_given_up_until_it_is() {
        let bus = Bus::new();
        let mut active = bus.serve();
        let (_, mut wakes) = Wakes::new();
        watch(&bus.core, &mut wakes);
        let elsewhere = bus.path.with_file_name("elsewhere");
        for losses in 1..=2 {
            wakes.pause();
            std::fs::rename(&bus.path, &elsewhere).expect("moved away");
            for _ in 0..3 {
                active.choose_watch(&mut wakes);
                assert!(!wakes.is_paused() && !wakes.is_watching());
                active.watch_at = Instant::now();
            }
            assert_eq!(bus.times_said("cannot watch the bus, so it is only scanned"), losses, "once until it can");
            std::fs::rename(&elsewhere, &bus.path).expect("moved back");
            active.choose_watch(&mut wakes);
            assert!(wakes.is_watching() && active.scan_at <= Instant::now());
            assert_eq!(bus.times_said("working again"), losses);
        }
    }
}
