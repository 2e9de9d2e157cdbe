//! Whether the disk refuses, and when it is asked again: soon at first, never later than two seconds, so that the service is well
//! again long before five have passed.
//!
//! What concerns one message alone holds up nothing else. It lasts until everything was looked through once more without it.
//!
//! Invariant: each trouble is said once, and its end is said once.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);

const ASIDE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub struct Trouble {
    now: Option<Backoff>,
    /// Something cannot be published, though all else works.
    is_aside: bool,
    single: Single,
    /// When it was said last that something is wrong; `None` while all is well.
    said: Option<Instant>,
    /// Since when something is wrong.
    since: Option<Instant>,
}

/// Is there a message that cannot be worked on?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Single {
    #[default]
    None,
    Failed,
    /// Everything is being looked through again since.
    LookedAgain,
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
        self.now = Some(Backoff { wait, retry_at: now + wait });
        self.since.get_or_insert(now);
        self.said.replace(self.said.unwrap_or(now)).is_none()
    }

    /// One thing failed that holds up nothing else. `true` if it is to be said (once a minute).
    pub fn begin_aside(&mut self, now: Instant) -> bool {
        self.is_aside = true;
        self.since.get_or_insert(now);
        let due = self.said.is_none_or(|said| now.saturating_duration_since(said) >= ASIDE);
        if due {
            self.said = Some(now);
        }
        due
    }

    /// One message failed. `true` if it is to be said (once a minute).
    pub fn begin_single(&mut self, now: Instant) -> bool {
        self.single = Single::Failed;
        self.begin_aside(now)
    }

    /// Everything is looked through again.
    pub fn look_again(&mut self) {
        if self.single == Single::Failed {
            self.single = Single::LookedAgain;
        }
    }

    /// Everything that was found is done.
    pub fn all_looked_through(&mut self) {
        if self.single == Single::LookedAgain {
            self.single = Single::None;
        }
    }

    /// What failed beside everything else is done now.
    pub fn end_aside(&mut self) {
        self.is_aside = self.single != Single::None;
    }

    /// For how long something has been wrong.
    pub fn lasts(&self, now: Instant) -> Duration {
        self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// Every step worked. `true` if all is well now that was not before.
    pub fn over(&mut self) -> bool {
        self.now = self.now.filter(|backoff| Instant::now() < backoff.retry_at);
        if self.now.is_some() || self.is_aside {
            return false;
        }
        self.since = None;
        self.said.take().is_some()
    }

    /// Was it said that something is wrong, and not yet that it is well?
    pub fn is_said(&self) -> bool {
        self.said.is_some()
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
