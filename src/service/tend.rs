//! What is done now and then: leases given back, answers removed that nobody takes, old ids forgotten, old days packed and removed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::active::Active;
use super::clock::Now;
use super::notice::Notice;
use super::wake::{Wake, Waker};
use crate::bus::{BusError, retention, term};

/// How often inboxes are looked through for leases, and old days packed.
const EVERY: Duration = Duration::from_secs(10);
/// So much later it is tried again after a failure, then after twice as long each time: a disk that is full is not filled anew at every turn.
const AGAIN: Duration = Duration::from_secs(1);

/// When the housekeeping is due.
#[derive(Debug)]
pub struct Tend {
    at: Instant,
    again: Duration,
}

impl Tend {
    pub fn new(at: Instant) -> Tend {
        Tend { at, again: AGAIN }
    }

    pub fn at(&self) -> Instant {
        self.at
    }

    fn done(&mut self, done: &Result<(), BusError>, now: Instant) {
        let wait = if done.is_ok() { EVERY } else { self.again };
        self.again = if done.is_ok() { AGAIN } else { (self.again * 2).min(EVERY) };
        self.at = now + wait;
    }
}

/// A day that is being packed, beside the line: compressing a million messages must not hold up the next one.
#[derive(Debug)]
pub struct Packing {
    stop: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
    thread: JoinHandle<Result<(), BusError>>,
}

/// Tells of the end, also where that is a panic.
struct End {
    ended: Arc<AtomicBool>,
    wake: Waker,
}

impl Drop for End {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        self.wake.wake(Wake::Packed);
    }
}

impl Active<'_> {
    /// The end of a packing is looked at at once.
    pub(super) fn is_time_to_tend(&self, now: Now) -> bool {
        let has_packed = |packing: &Packing| packing.ended.load(Ordering::Acquire);
        now.mono >= self.tend.at || self.packing.as_ref().is_some_and(has_packed)
    }

    pub(super) fn tend(&mut self, now: Now) -> Result<(), BusError> {
        // Taken in any case: one that has ended must not make it time to tend for ever.
        let ended = self.packing.take_if(|packing| packing.ended.load(Ordering::Acquire));
        let ended = ended.map_or(Ok(()), |packing| self.packed(packing));
        let done = self.tend_all(ended, now);
        self.tend.done(&done, now.mono);
        done
    }

    /// `ended`: how the last packing has ended.
    fn tend_all(&mut self, ended: Result<(), BusError>, now: Now) -> Result<(), BusError> {
        self.inboxes.return_leases(&self.core.disk, now)?;
        self.inboxes.answers.remove_old(&self.core.disk, &self.room, now)?;
        term::remove_probes(&self.core.disk)?;
        self.look_at_clock(now);
        if self.dates.count() {
            let remove_days = self.core.settings.retention.remove_days;
            self.ids.forget_old(&self.core.disk, now.wall_ms)?;
            retention::remove_old(&self.core.disk, &self.room.path, remove_days, now.wall_ms)?;
        }
        self.pack(ended, now)
    }

    /// Which day it is, and whether that is to be believed.
    pub(super) fn look_at_clock(&mut self, now: Now) {
        if let Some(by_ms) = self.dates.look(now) {
            self.core.say(&Notice::ClockSet { by_ms });
        }
        self.calendar.set(now.wall_ms, self.dates.belief());
    }

    fn pack(&mut self, ended: Result<(), BusError>, now: Now) -> Result<(), BusError> {
        if self.packing.is_some() {
            return Ok(());
        }
        retention::end_all_begun(&self.core.disk, &self.room.path)?;
        ended?;
        if self.stop_at.is_some() || !self.dates.count() {
            return Ok(());
        }
        let pack_days = self.core.settings.retention.pack_days;
        let Some(day) = retention::day_to_pack(&self.core.disk, pack_days, now.wall_ms)? else { return Ok(()) };
        let (stop, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (disk, room, stopped) = (self.core.disk.clone(), self.room.clone(), stop.clone());
        let end = End { ended: ended.clone(), wake: self.core.wake.clone() };
        let thread = std::thread::spawn(move || {
            let _end = end;
            retention::pack(&disk, &room, &day, &stopped)
        });
        self.packing = Some(Packing { stop, ended, thread });
        Ok(())
    }

    /// Ends packing, if a day is being packed. `false`: it is in the middle of something long; what it has in the room the next
    /// service removes.
    pub(super) fn stop_packing(&mut self) -> Result<bool, BusError> {
        let Some(packing) = self.packing.take() else { return Ok(true) };
        packing.stop.store(true, Ordering::Relaxed);
        let give_up = Instant::now() + Duration::from_secs(1);
        while !packing.thread.is_finished() {
            if Instant::now() >= give_up {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.packed(packing).map(|()| true)
    }

    fn packed(&self, packing: Packing) -> Result<(), BusError> {
        match packing.thread.join() {
            Ok(result) => result,
            Err(_) => {
                self.core.say(&Notice::Trouble { what: "packing an old day of the archive failed".into() });
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::attempted::tests::Bus;
    use super::*;
    use crate::bus::time;

    const DAY_MS: u64 = 86_400_000;

    #[test]
    fn what_failed_is_tried_again_soon_and_less_and_less_often() {
        let start = Instant::now();
        let mut tend = Tend::new(start);
        let mut after = |done: Result<(), BusError>| {
            tend.done(&done, start);
            (tend.at() - start).as_secs()
        };
        let waits: Vec<u64> = (0..6).map(|_| after(Err(BusError::RoomGone))).collect();
        assert_eq!(waits, [1, 2, 4, 8, 10, 10]);
        assert_eq!([after(Ok(())), after(Err(BusError::RoomGone))], [10, 1]);
    }

    #[test]
    fn housekeeping_that_fails_after_a_packing_holds_up_the_line_only_now_and_then() {
        let bus = Bus::new();
        let mut active = bus.serve();
        active.work();
        let thread = std::thread::spawn(|| Ok(()));
        active.packing = Some(Packing { stop: Arc::default(), ended: Arc::new(true.into()), thread });
        let answers = bus.path.join(".postroom/answers");
        std::fs::remove_dir(&answers).expect("removed");
        std::fs::write(&answers, "no folder").expect("written");
        let now = Now::get();
        active.turn(now).expect_err("the answers cannot be listed");
        active.turn(now).expect("the line goes on meanwhile");
    }

    #[test]
    fn an_answer_that_nobody_takes_goes_after_a_day_by_the_monotonic_clock() {
        let bus = Bus::new();
        let answers = bus.path.join(".postroom/answers");
        let put = |name: &str| std::fs::write(answers.join(name), "{}").expect("written");
        let left = || bus.ls(".postroom/answers");
        let mut active = bus.serve();
        let now = Now::get();
        let mut tend = |hours: u64, wall_ms: u64| {
            let mono = now.mono + Duration::from_secs(hours * 3600);
            active.tend(Now { mono, wall_ms }).expect("tended");
        };
        put("first.json");
        tend(0, now.wall_ms);
        put("second.json");
        // What the wall clock says is nothing to it.
        tend(23, now.wall_ms + 90 * DAY_MS);
        assert_eq!(left(), ["first.json", "second.json"]);
        tend(24, now.wall_ms + DAY_MS);
        assert_eq!(left(), ["second.json"]);
        tend(47, now.wall_ms);
        assert!(left().is_empty());
    }

    #[test]
    fn a_clock_that_is_wrong_for_a_while_makes_nothing_old() {
        let bus = Bus::new();
        let now = Now::get();
        let (today, yesterday) = (time::day(now.wall_ms), time::day(now.wall_ms - DAY_MS));
        let kept = [
            format!(".postroom/ids/{today}"),
            format!("archive/{today}/journal.jsonl"),
            format!("archive/{yesterday}.jsonl.zst"),
        ];
        for path in kept.iter().map(|path| bus.path.join(path)) {
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, "").expect("written");
        }
        let all_are_there = || kept.iter().all(|path| bus.path.join(path).exists());
        let mut active = bus.serve();
        let at = |days: u64, seconds: u64| Now {
            wall_ms: now.wall_ms + days * DAY_MS + seconds * 1000,
            mono: now.mono + Duration::from_secs(seconds),
        };
        for then in [at(0, 0), at(100, 10), at(100, 20), at(0, 30)] {
            active.tend(then).expect("tended");
            assert!(active.packing.is_none() && all_are_there());
        }
        // A date that goes on counts after an hour.
        for seconds in (0..=3600).step_by(10) {
            active.tend(at(100, 40 + seconds)).expect("tended");
        }
        assert!(active.packing.is_some() && !all_are_there());
    }
}
