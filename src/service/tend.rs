//! What is done now and then: leases given back, answers removed that nobody takes, old ids forgotten, old days packed and removed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::active::Active;
use super::clock::Now;
use super::notice::Notice;
use crate::bus::{BusError, retention, term};

/// A day that is being packed, beside the line: compressing a million messages must not hold up the next one.
#[derive(Debug)]
pub struct Packing {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(), BusError>>,
}

impl Active<'_> {
    pub(super) fn tend(&mut self, now: Now) -> Result<(), BusError> {
        self.inboxes.return_leases(&self.core.disk, now)?;
        self.inboxes.answers.remove_old(&self.core.disk, &self.room, now)?;
        term::remove_probes(&self.core.disk)?;
        self.look_at_clock(now);
        if self.dates.count() {
            let remove_days = self.core.settings.retention.remove_days;
            self.ids.forget_old(&self.core.disk, now.wall_ms)?;
            retention::remove_old(&self.core.disk, &self.room.path, remove_days, now.wall_ms)?;
        }
        self.pack(now)
    }

    /// Which day it is, and whether that is to be believed.
    pub(super) fn look_at_clock(&mut self, now: Now) {
        if let Some(by_ms) = self.dates.look(now) {
            self.core.say(&Notice::ClockSet { by_ms });
        }
        self.calendar.set(now.wall_ms, self.dates.belief());
    }

    fn pack(&mut self, now: Now) -> Result<(), BusError> {
        let ended = self.packing.take_if(|packing| packing.thread.is_finished());
        let ended = ended.map_or(Ok(()), |packing| self.packed(packing));
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
        let stop = Arc::new(AtomicBool::new(false));
        let (disk, room, stopped) = (self.core.disk.clone(), self.room.clone(), stop.clone());
        let thread = std::thread::spawn(move || retention::pack(&disk, &room, &day, &stopped));
        self.packing = Some(Packing { stop, thread });
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
