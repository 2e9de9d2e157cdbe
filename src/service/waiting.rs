//! What waits in `deferred/`, and how much waits of each sender.
//!
//! A retry is due by the monotonic clock from its deferral (a clock that is set back must not make it wait for hours); a
//! `notBefore` is a date and goes by the wall clock.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, Instant};

use super::clock::Now;
use crate::bus::layout::{self, Ticket, WaitingName};
use crate::bus::record::EarlierAttempt;
use crate::bus::room::Alive;
use crate::bus::{BusError, Disk, history};
use crate::message::{AgentId, Given, Message};
use crate::policy::Settings;
use crate::policy::rate::Rates;

/// How a waiting message becomes due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// At this date, Unix milliseconds.
    Date(u64),
    /// At this instant of the monotonic clock.
    At(Instant),
}

/// One message in `deferred/`.
#[derive(Clone, Debug)]
pub struct Waiter {
    pub file: String,
    pub sender: Option<AgentId>,
    pub bytes: u64,
    pub earlier: Vec<EarlierAttempt>,
}

#[derive(Debug, Default)]
pub struct Waiting {
    by_date: BTreeMap<(u64, Ticket), Waiter>,
    by_instant: BTreeMap<(Instant, Ticket), Waiter>,
    held: u64,
    /// Decided to be deferred, but not there yet.
    announced: u64,
}

impl Waiting {
    /// Lists `deferred/`. For a first attempt whose message says `notBefore`, the date counts. A retry is due after what is left of its
    /// wait, and never after more than the longest wait for one. What waits for its turn is due after what is left, and never after
    /// more than it was told to wait when it was accepted.
    pub fn load(
        disk: &Disk,
        alive: Alive<'_>,
        now: Now,
        settings: &Settings,
        senders: &mut Senders,
        rates: &mut Rates,
    ) -> Result<Waiting, BusError> {
        let longest = Duration::from_millis(settings.retry.max_ms);
        let mut waiting = Waiting::default();
        let mut retried = HashSet::new();
        let mut found = Vec::new();
        for entry in disk.list(Path::new(layout::DEFERRED))? {
            let Some(file) = entry.name.to_str() else { continue };
            let Some(name) = WaitingName::parse(file) else { continue };
            if name.claim.attempt > 1 {
                retried.insert(name.claim.ticket);
            }
            found.push((name, file.to_owned()));
        }
        let mut earlier = history::earlier_attempts(disk, alive, &retried)?;
        for (name, file) in found {
            alive()?;
            let InFile { sender, bytes, not_before } = InFile::read(disk, &file, settings.bus.max_message_bytes)?;
            if let Some(sender) = &sender {
                senders.add(sender, bytes);
            }
            let WaitingName { due_ms, claim } = name;
            let left = Duration::from_millis(due_ms.saturating_sub(now.wall_ms));
            let due = if claim.attempt > 1 {
                Due::At(now.mono + left.min(longest))
            } else if not_before == Some(due_ms) {
                Due::Date(due_ms)
            } else {
                let left = left.min(Duration::from_millis(due_ms.saturating_sub(claim.ticket.accepted_ms())));
                if let Some(sender) = sender.as_ref().filter(|_| !left.is_zero()) {
                    rates.has_turn(sender, left.as_nanos() as u64);
                }
                Due::At(now.mono + left)
            };
            let earlier = earlier.remove(&claim.ticket).unwrap_or_default();
            waiting.add(claim.ticket, due, Waiter { file, sender, bytes, earlier });
        }
        disk.for_each(Path::new(layout::HELD), |_, _| waiting.held += 1)?;
        Ok(waiting)
    }

    pub fn add(&mut self, ticket: Ticket, due: Due, waiter: Waiter) {
        match due {
            Due::Date(ms) => self.by_date.insert((ms, ticket), waiter),
            Due::At(instant) => self.by_instant.insert((instant, ticket), waiter),
        };
    }

    /// One more is going to wait.
    pub fn announce(&mut self) {
        self.announced += 1;
    }

    /// One that was announced is there.
    pub fn arrived(&mut self, ticket: Ticket, due: Due, waiter: Waiter) {
        self.announced = self.announced.saturating_sub(1);
        self.add(ticket, due, waiter);
    }

    /// Takes one message that is due now, the longest due first.
    pub fn pop_due(&mut self, now: Now) -> Option<Waiter> {
        if let Some(entry) = self.by_instant.first_entry()
            && entry.key().0 <= now.mono
        {
            return Some(entry.remove());
        }
        if let Some(entry) = self.by_date.first_entry()
            && entry.key().0 <= now.wall_ms
        {
            return Some(entry.remove());
        }
        None
    }

    /// How long until the next one is due. Dates are looked at again with every scan, as the clock may be set.
    pub fn next(&self, now: Now) -> Option<Duration> {
        let by_instant = self.by_instant.first_key_value().map(|((at, _), _)| at.saturating_duration_since(now.mono));
        let by_date =
            self.by_date.first_key_value().map(|((ms, _), _)| Duration::from_millis(ms.saturating_sub(now.wall_ms)));
        by_instant.into_iter().chain(by_date).min()
    }

    pub fn len(&self) -> u64 {
        (self.by_date.len() + self.by_instant.len()) as u64 + self.held + self.announced
    }
}

/// What a file in `deferred/` says. One that cannot be read now is looked at when it is due.
#[derive(Default)]
struct InFile {
    sender: Option<AgentId>,
    bytes: u64,
    not_before: Option<u64>,
}

impl InFile {
    fn read(disk: &Disk, file: &str, max_bytes: u64) -> Result<InFile, BusError> {
        let path = Path::new(layout::DEFERRED).join(file);
        let Ok(Some(text)) = disk.read(&path, max_bytes) else { return Ok(InFile::default()) };
        let bytes = text.len() as u64;
        let Ok(message) = Message::parse(text, Given { file_identity: (0, 0), now_ms: 0 }) else {
            return Ok(InFile { bytes, ..InFile::default() });
        };
        Ok(InFile { sender: Some(message.sender().clone()), bytes, not_before: message.not_before() })
    }
}

/// How much waits of each sender: deferred, and in the drop for a busy extension.
#[derive(Debug, Default)]
pub struct Senders {
    waiting: HashMap<AgentId, (u64, u64)>,
}

impl Senders {
    pub fn add(&mut self, sender: &AgentId, bytes: u64) {
        let load = self.waiting.entry(sender.clone()).or_default();
        load.0 += 1;
        load.1 += bytes;
    }

    pub fn remove(&mut self, sender: &AgentId, bytes: u64) {
        if let Some(load) = self.waiting.get_mut(sender) {
            load.0 = load.0.saturating_sub(1);
            load.1 = load.1.saturating_sub(bytes);
            if load.0 == 0 {
                self.waiting.remove(sender);
            }
        }
    }

    /// Messages and bytes of this sender.
    pub fn of(&self, sender: &AgentId) -> (u64, u64) {
        self.waiting.get(sender).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    /// An instant at which the wall clock says `wall_ms`, so many milliseconds after `start`.
    fn at(start: Instant, after_ms: u64, wall_ms: u64) -> Now {
        Now { wall_ms, mono: start + Duration::from_millis(after_ms) }
    }

    fn waiter(file: &str) -> Waiter {
        Waiter { file: file.to_owned(), sender: None, bytes: 0, earlier: Vec::new() }
    }

    fn popped(waiting: &mut Waiting, now: Now) -> Option<String> {
        waiting.pop_due(now).map(|waiter| waiter.file)
    }

    #[test]
    fn a_retry_waits_by_the_monotonic_clock_whatever_the_wall_clock_does() {
        let start = Instant::now();
        for jump in [10 * HOUR, 0] {
            let mut waiting = Waiting::default();
            waiting.add(Ticket::new(), Due::At(start + Duration::from_millis(200)), waiter("retry"));
            assert_eq!(popped(&mut waiting, at(start, 199, jump)), None);
            assert_eq!(waiting.next(at(start, 150, jump)), Some(Duration::from_millis(50)));
            assert_eq!(popped(&mut waiting, at(start, 200, jump)).as_deref(), Some("retry"));
        }
    }

    #[test]
    fn a_date_is_a_date_however_long_the_service_runs() {
        let start = Instant::now();
        let mut waiting = Waiting::default();
        waiting.add(Ticket::new(), Due::Date(10 * HOUR), waiter("date"));
        assert_eq!(popped(&mut waiting, at(start, 20 * HOUR, 10 * HOUR - 1)), None);
        // The clock is set forward, and it is due; set back, and it is not.
        assert_eq!(waiting.next(at(start, 0, 10 * HOUR)), Some(Duration::ZERO));
        assert_eq!(waiting.next(at(start, 0, 9 * HOUR)), Some(Duration::from_millis(HOUR)));
        assert_eq!(popped(&mut waiting, at(start, 0, 10 * HOUR)).as_deref(), Some("date"));
    }

    #[test]
    fn the_longest_due_comes_first_and_the_older_ticket_of_two() {
        let start = Instant::now();
        let (first, second) = (Ticket::new(), Ticket::new());
        let mut waiting = Waiting::default();
        waiting.add(second, Due::Date(HOUR), waiter("second"));
        waiting.add(first, Due::Date(HOUR), waiter("first"));
        waiting.add(Ticket::new(), Due::Date(HOUR - 1), waiter("earlier"));
        let now = at(start, 0, HOUR);
        let order: Vec<String> = std::iter::from_fn(|| popped(&mut waiting, now)).collect();
        assert_eq!(order, ["earlier", "first", "second"]);
    }

    #[test]
    fn what_lies_in_deferred_waits_for_what_is_left_and_never_longer_than_a_retry_may() {
        let bus = tempfile::tempdir().expect("a temporary folder");
        for folder in [layout::DEFERRED, layout::HELD, layout::ARCHIVE] {
            std::fs::create_dir(bus.path().join(folder)).expect("a folder of the bus");
        }
        let now = Now { wall_ms: 100 * HOUR, mono: Instant::now() };
        let at_date = now.wall_ms + HOUR;
        let message = format!(r#"{{"id":"a","sender":"alice","recipient":"bob","action":"x","notBefore":{at_date}}}"#);
        let waits = [(now.wall_ms + 50, 2), (now.wall_ms + 90 * HOUR, 2), (at_date, 1), (1, 3), (now.wall_ms + 700, 1)];
        // Accepted when the clock said so, 700 ms before its turn.
        let accepted = uuid::Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, now.wall_ms / 1000, 0));
        for (due, attempt) in waits {
            let name = format!(
                "{due}.{attempt}.{}~x.json",
                if attempt == 1 { Ticket { uuid: accepted, part: None } } else { Ticket::new() }
            );
            std::fs::write(bus.path().join(layout::DEFERRED).join(name), &message).expect("a message");
        }
        std::fs::write(bus.path().join(layout::DEFERRED).join("a stranger"), "").expect("a file");
        let disk = Disk::open(bus.path()).expect("the folder is there");
        let mut settings = Settings::default();
        settings.retry.max_ms = 1_000;
        let mut senders = Senders::default();
        let mut waiting = Waiting::load(&disk, &|| Ok(()), now, &settings, &mut senders, &mut Rates::default())
            .expect("the folder can be read");
        let alice = AgentId::parse("alice").expect("a name");
        assert_eq!((waiting.len(), senders.of(&alice)), (5, (5, 5 * message.len() as u64)));
        let due = |waiting: &mut Waiting, after_ms: u64| {
            let now = Now { wall_ms: now.wall_ms, mono: now.mono + Duration::from_millis(after_ms) };
            std::iter::from_fn(|| waiting.pop_due(now)).count()
        };
        // A wall clock that was set back made a retry, and one that waits for its turn, due far too late.
        assert_eq!([0, 49, 50, 999, 1_000].map(|after| due(&mut waiting, after)), [1, 0, 1, 1, 1]);
        assert_eq!(waiting.next(now), Some(Duration::from_millis(HOUR)));
    }

    #[test]
    fn what_is_announced_waits_already() {
        let mut waiting = Waiting::default();
        waiting.announce();
        assert_eq!(waiting.len(), 1);
        waiting.arrived(Ticket::new(), Due::Date(1), waiter("x"));
        assert_eq!(waiting.len(), 1);
    }
}
