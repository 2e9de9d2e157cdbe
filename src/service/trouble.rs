//! Whether the disk refuses, and when it is asked again: soon at first, never later than two seconds, so that the service is well
//! again long before five have passed.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);

const ASIDE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub struct Trouble {
    now: Option<Backoff>,
    /// Something cannot be published, though all else works; when that was said.
    aside: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Backoff {
    wait: Duration,
    retry_at: Instant,
}

impl Trouble {
    /// A step failed. `true` if it is the first since all was well.
    pub fn begin(&mut self, now: Instant) -> bool {
        let wait = self.now.map_or(FIRST, |backoff| (backoff.wait * 2).min(LONGEST));
        self.now.replace(Backoff { wait, retry_at: now + wait }).is_none()
    }

    /// One thing failed that holds up nothing else. `true` if it is to be said (once a minute).
    pub fn begin_aside(&mut self, now: Instant) -> bool {
        let due = self.aside.is_none_or(|said| now.saturating_duration_since(said) >= ASIDE);
        if due {
            self.aside = Some(now);
        }
        due
    }

    /// Everything worked. `true` if it had not before.
    pub fn over(&mut self) -> bool {
        let waited = self.now.is_some_and(|backoff| backoff.retry_at <= Instant::now());
        waited && self.now.take().is_some()
    }

    /// Is it too early to try again?
    pub fn is_waiting(&self, now: Instant) -> bool {
        self.now.is_some_and(|backoff| now < backoff.retry_at)
    }

    /// How long until it is time to try again.
    pub fn left(&self, now: Instant) -> Duration {
        self.now.map_or(Duration::ZERO, |backoff| backoff.retry_at.saturating_duration_since(now))
    }

    pub fn retry_at(&self) -> Option<Instant> {
        self.now.map(|backoff| backoff.retry_at)
    }
}
