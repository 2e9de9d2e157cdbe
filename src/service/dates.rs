//! May something be forgotten, packed or removed because its date is old? A clock that was set wrong would make everything old at once.
//!
//! The date counts if the bus was in use shortly before it and for more than one day, or once wall clock and monotonic clock have gone
//! side by side for an hour. (With one day alone: a service that is started again while the clock is wrong finds the day that the one
//! before it has made.) Days that are yet to come were made by a clock that was ahead; with two days before them they count for nothing. A
//! sleep of the machine looks like a jump, and costs no more than that hour.
//!
//! Absent on purpose: what a message itself says of time (`expiresAt`, `notBefore`); dates are dates.

use std::time::{Duration, Instant};

use super::calendar::Belief;
use super::clock::Now;
use crate::bus::time;

/// The clocks may differ by so much between two looks; corrections of a clock that is right are smaller.
const TOLERATED: Duration = Duration::from_secs(60);
/// For so long they must have agreed after a jump.
const AGREED: Duration = Duration::from_secs(3600);
/// A date more than so many days after the last day that the bus was in use is believed only after that.
const UNUSED_DAYS: i64 = 7;

#[derive(Debug)]
pub struct Dates {
    last: Now,
    /// Since when the clocks have agreed. `None`: since before this service, as far as the bus tells.
    agreed_since: Option<Instant>,
}

impl Dates {
    /// `newest`: the last days of which there is something in the archive, the last first. `shortest_days`: what is settable of all that goes
    /// by dates; so much later something that is of yesterday would be old.
    pub fn begin(now: Now, newest: &[String], shortest_days: u32) -> Dates {
        let unused_days = (i64::from(shortest_days) - 1).clamp(1, UNUSED_DAYS);
        let today = time::day(now.wall_ms);
        let follows = |later: &str, earlier: &str| {
            time::days_between(earlier, later).is_none_or(|days| (0..=unused_days).contains(&days))
        };
        let to_come = newest.iter().take_while(|day| **day > today).count();
        let past = if newest.len() >= to_come + 2 { &newest[to_come..] } else { newest };
        let is_plausible = past.first().is_none_or(|last| follows(&today, last))
            && past.windows(2).take(1).all(|pair| follows(&pair[0], &pair[1]));
        Dates { last: now, agreed_since: (!is_plausible).then_some(now.mono) }
    }

    /// Looks at both clocks. By how much the wall clock was set, in ms, if it was.
    pub fn look(&mut self, now: Now) -> Option<i64> {
        let by_mono = now.mono.saturating_duration_since(self.last.mono).as_millis() as i64;
        let by_wall = now.wall_ms as i64 - self.last.wall_ms as i64;
        self.last = now;
        let jump = by_wall - by_mono;
        if jump.unsigned_abs() <= TOLERATED.as_millis() as u64 {
            return None;
        }
        self.agreed_since = Some(now.mono);
        Some(jump)
    }

    pub fn belief(&self) -> Belief {
        if self.count() { Belief::Sure } else { Belief::Doubtful }
    }

    /// May something be done for good because of the date?
    pub fn count(&self) -> bool {
        self.agreed_since.is_none_or(|since| self.last.mono.saturating_duration_since(since) >= AGREED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;
    /// 2026-01-01.
    const START_MS: i64 = 1_767_225_600_000;

    /// So long after the start, by each clock.
    fn at(start: Instant, wall_ms: i64, mono: Duration) -> Now {
        Now { wall_ms: (START_MS + wall_ms) as u64, mono: start + mono }
    }

    #[test]
    fn a_clock_that_jumps_must_go_right_for_an_hour() {
        let start = Instant::now();
        let seconds = Duration::from_secs;
        let mut dates = Dates::begin(at(start, 0, seconds(0)), &["2025-12-31".to_owned()], 90);
        assert!(dates.count());
        assert_eq!(dates.look(at(start, 10_000, seconds(10))), None);
        assert!(dates.count());
        assert_eq!(dates.look(at(start, 100 * DAY_MS + 20_000, seconds(20))), Some(100 * DAY_MS));
        assert!(!dates.count());
        assert_eq!(dates.look(at(start, 30_000, seconds(30))), Some(-100 * DAY_MS));
        for second in (40..=3620).step_by(10) {
            assert_eq!(dates.look(at(start, second * 1000, seconds(second as u64))), None);
            assert!(!dates.count(), "after {second} s");
        }
        assert_eq!(dates.look(at(start, 3_630_000, seconds(3630))), None);
        assert!(dates.count());
    }

    #[test]
    fn a_date_long_after_everything_on_the_bus_must_be_confirmed() {
        let now = at(Instant::now(), 0, Duration::ZERO);
        for (newest, counts) in [
            (&[][..], true),
            (&["2026-01-01"], true),
            (&["2025-12-25"], true),
            (&["2025-12-24"], false),
            (&["1970-01-01"], false),
            // A clock that is behind: then the day is not believed either.
            (&["2027-01-01"], false),
            // The newest day was made by the same wrong clock.
            (&["2026-01-01", "2025-12-31", "2024-01-01"], true),
            (&["2026-01-01", "2025-06-15"], false),
            (&["2026-01-01", "2025-12-25"], true),
            // A clock that was ahead has left a day; the others bear today's out, if they are more than one.
            (&["2027-01-01", "2026-01-01", "2025-12-31"], true),
            (&["2027-01-01", "2026-06-01", "2025-12-31", "2025-12-30"], true),
            (&["2027-01-01", "2026-01-01"], false),
            (&["2027-01-01", "2025-06-15", "2025-06-14"], false),
        ] {
            let newest: Vec<String> = newest.iter().map(|day| (*day).to_owned()).collect();
            assert_eq!(Dates::begin(now, &newest, 90).count(), counts, "{newest:?}");
        }
        // Where days are kept for a shorter time, less is believed.
        for (last, shortest_days, counts) in
            [("2025-12-26", 7, true), ("2025-12-25", 7, false), ("2025-12-31", 1, true), ("2025-12-30", 2, false)]
        {
            let dates = Dates::begin(now, &[last.to_owned()], shortest_days);
            assert_eq!(dates.count(), counts, "{last}, {shortest_days}");
        }
    }
}
