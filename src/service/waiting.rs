//! What waits in `deferred/`, and how much waits of each sender.
//!
//! A retry is due by the monotonic clock from its deferral (a clock that is set back must not make it wait for hours); a
//! `notBefore` is a date and goes by the wall clock. What waits for its sender's rate is due when one of its sender's turns comes that
//! no message of a higher priority takes.

mod turns;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, Instant};

use self::turns::Turns;
use super::clock::Now;
use crate::bus::layout::{self, Ticket, WaitingName};
use crate::bus::record::EarlierAttempt;
use crate::bus::room::Alive;
use crate::bus::{BusError, Disk, history};
use crate::message::{AgentId, Given, Message};
use crate::policy::Settings;
use crate::policy::rate::Rates;

/// The date in the name of a message that a service which was stopped gave back: it has had its turn.
pub const GIVEN_BACK: u64 = 0;

/// How a waiting message becomes due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// At this date, Unix milliseconds.
    Date(u64),
    /// At this instant of the monotonic clock.
    At(Instant),
    /// Then at the latest, or when its extension is taken up.
    Extension(Instant),
    /// Then its sender has a turn: what of the sender's waits with the highest priority takes it. This message has that priority.
    Turn(Instant, u8),
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
    /// Which of those wait for an extension.
    for_extensions: HashSet<(Instant, Ticket)>,
    turns: Turns,
    held: u64,
    /// Decided to be deferred, but not there yet.
    announced: u64,
}

impl Waiting {
    /// Lists `deferred/`. For a first attempt whose message says `notBefore`, the date counts. A retry is due after what is left of its
    /// wait, and never after more than the longest wait for one. The turn that a message was given comes after what is left, and never
    /// after more than it was told to wait when it was accepted.
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
        let mut turns = Vec::new();
        for (WaitingName { due_ms, claim }, file) in found {
            alive()?;
            let InFile { sender, bytes, not_before, priority } =
                InFile::read(disk, &file, settings.bus.max_message_bytes)?;
            if let Some(sender) = &sender {
                senders.add(sender, bytes);
            }
            let earlier = earlier.remove(&claim.ticket).unwrap_or_default();
            let waiter = Waiter { file, sender, bytes, earlier };
            let left = Duration::from_millis(due_ms.saturating_sub(now.wall_ms));
            if claim.attempt > 1 {
                waiting.add(claim.ticket, Due::At(now.mono + left.min(longest)), waiter);
            } else if not_before == Some(due_ms) {
                waiting.add(claim.ticket, Due::Date(due_ms), waiter);
            } else if due_ms == GIVEN_BACK {
                waiting.add(claim.ticket, Due::At(now.mono), waiter);
            } else {
                let told = Duration::from_millis(due_ms.saturating_sub(claim.ticket.accepted_ms()));
                turns.push((left.min(told), claim.ticket, priority, waiter));
            }
        }
        turns.sort_unstable_by_key(|(left, ticket, ..)| (*left, *ticket));
        for (left, ticket, priority, waiter) in turns {
            let turn = turn_again(&waiter, left, settings.limits.per_sender_per_second, rates);
            waiting.add(ticket, Due::Turn(now.mono + turn, priority), waiter);
        }
        disk.for_each(Path::new(layout::HELD), |_, _| waiting.held += 1)?;
        Ok(waiting)
    }

    pub fn add(&mut self, ticket: Ticket, due: Due, waiter: Waiter) {
        match due {
            Due::Date(ms) => self.by_date.insert((ms, ticket), waiter),
            Due::At(instant) => self.by_instant.insert((instant, ticket), waiter),
            Due::Extension(instant) => {
                self.for_extensions.insert((instant, ticket));
                self.by_instant.insert((instant, ticket), waiter)
            }
            Due::Turn(instant, priority) => match waiter.sender.clone() {
                Some(sender) => {
                    self.turns.add(instant, sender, priority, ticket, waiter);
                    None
                }
                None => self.by_instant.insert((instant, ticket), waiter),
            },
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

    /// Takes one message that is due now, the longest due first; dates, which another clock measures, come last.
    pub fn pop_due(&mut self, now: Now) -> Option<Waiter> {
        let turn = self.turns.next();
        if let Some(entry) = self.by_instant.first_entry()
            && entry.key().0 <= now.mono
            && turn.is_none_or(|turn| entry.key().0 <= turn)
        {
            self.for_extensions.remove(entry.key());
            return Some(entry.remove());
        }
        if let Some(waiter) = self.turns.pop(now.mono) {
            return Some(waiter);
        }
        self.by_date.first_entry().filter(|entry| entry.key().0 <= now.wall_ms).map(|entry| entry.remove())
    }

    /// Another set of extensions is there: what waits for one is due now.
    pub fn end_waits_for_extensions(&mut self, now: Instant) {
        for (at, ticket) in self.for_extensions.drain() {
            if let Some(waiter) = self.by_instant.remove(&(at, ticket)) {
                self.by_instant.insert((at.min(now), ticket), waiter);
            }
        }
    }

    /// How long until the next one is due. Dates are looked at again with every scan, as the clock may be set.
    pub fn next(&self, now: Now) -> Option<Duration> {
        let instants = self.by_instant.first_key_value().map(|((at, _), _)| *at).into_iter().chain(self.turns.next());
        let by_instant = instants.min().map(|at| at.saturating_duration_since(now.mono));
        let by_date =
            self.by_date.first_key_value().map(|((ms, _), _)| Duration::from_millis(ms.saturating_sub(now.wall_ms)));
        by_instant.into_iter().chain(by_date).min()
    }

    pub fn len(&self) -> u64 {
        (self.by_date.len() + self.by_instant.len() + self.turns.len()) as u64 + self.held + self.announced
    }
}

/// A turn that was given before the service began. Who took it may have been a message of a higher priority, so the turns that are named
/// may lie closer together than they may come, or in the past.
fn turn_again(waiter: &Waiter, left: Duration, per_second: u64, rates: &mut Rates) -> Duration {
    let Some(sender) = &waiter.sender else { return left };
    let turn = left.max(Duration::from_nanos(rates.take_turn(sender, per_second, 0)));
    if !turn.is_zero() {
        rates.has_turn(sender, turn.as_nanos() as u64);
    }
    turn
}

/// What a file in `deferred/` says. One that cannot be read now is looked at when it is due.
#[derive(Default)]
struct InFile {
    sender: Option<AgentId>,
    bytes: u64,
    not_before: Option<u64>,
    priority: u8,
}

impl InFile {
    fn read(disk: &Disk, file: &str, max_bytes: u64) -> Result<InFile, BusError> {
        let path = Path::new(layout::DEFERRED).join(file);
        let Ok(Some(text)) = disk.read(&path, max_bytes) else { return Ok(InFile::default()) };
        let bytes = text.len() as u64;
        let Ok(message) = Message::parse(text, Given { file_identity: (0, 0), now_ms: 0 }) else {
            return Ok(InFile { bytes, ..InFile::default() });
        };
        let (not_before, priority) = (message.not_before(), message.priority());
        Ok(InFile { sender: Some(message.sender().clone()), bytes, not_before, priority })
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
    fn what_waits_for_an_extension_is_due_when_there_is_another_set() {
        let start = Instant::now();
        let mut waiting = Waiting::default();
        let later = start + Duration::from_secs(5);
        waiting.add(Ticket::new(), Due::Extension(later), waiter("for an extension"));
        waiting.add(Ticket::new(), Due::At(later), waiter("retry"));
        assert_eq!(popped(&mut waiting, at(start, 1, 0)), None);
        waiting.end_waits_for_extensions(start);
        assert_eq!(popped(&mut waiting, at(start, 1, 0)).as_deref(), Some("for an extension"));
        assert_eq!(popped(&mut waiting, at(start, 1, 0)), None);
        // Or then all the same.
        waiting.add(Ticket::new(), Due::Extension(later), waiter("again"));
        assert_eq!(std::iter::from_fn(|| popped(&mut waiting, at(start, 5_000, 0))).count(), 2);
        assert!(waiting.for_extensions.is_empty());
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
    fn neither_retries_nor_turns_keep_the_others_waiting() {
        let start = Instant::now();
        let alice = AgentId::parse("alice").expect("a name");
        let mut waiting = Waiting::default();
        for ms in [1, 3] {
            let due = start + Duration::from_millis(ms);
            waiting.add(Ticket::new(), Due::At(due), waiter(&format!("retry {ms}")));
            let turn = Due::Turn(due + Duration::from_millis(1), 4);
            let waiter = Waiter { sender: Some(alice.clone()), ..waiter(&format!("turn {}", ms + 1)) };
            waiting.add(Ticket::new(), turn, waiter);
        }
        let order: Vec<String> = std::iter::from_fn(|| popped(&mut waiting, at(start, 9, 0))).collect();
        assert_eq!(order, ["retry 1", "turn 2", "retry 3", "turn 4"]);
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

    /// `b` has taken the first turn, and the one that came last was given to it; the others are where they were.
    #[test]
    fn a_turn_that_comes_after_a_restart_goes_to_the_highest_priority_and_no_faster_than_it_may() {
        let bus = tempfile::tempdir().expect("a temporary folder");
        for folder in [layout::DEFERRED, layout::HELD, layout::ARCHIVE] {
            std::fs::create_dir(bus.path().join(folder)).expect("a folder of the bus");
        }
        let now = Now { wall_ms: 100 * HOUR, mono: Instant::now() };
        let accepted = |index: u64| uuid::Timestamp::from_unix(uuid::NoContext, now.wall_ms / 1000 - 60 + index, 0);
        let waits = [("p", 4, -9_000), ("q", 4, -8_000), ("r", 9, -7_000), ("s", 4, 5_000), ("t", 5, 6_000)];
        for (index, (name, priority, due)) in (0..).zip(waits) {
            let ticket = Ticket { uuid: uuid::Uuid::new_v7(accepted(index)), part: None };
            let file = format!("{}.1.{ticket}~{name}.json", now.wall_ms.saturating_add_signed(due));
            let message =
                format!(r#"{{"id":"{name}","sender":"alice","recipient":"bob","action":"x","priority":{priority}}}"#);
            std::fs::write(bus.path().join(layout::DEFERRED).join(file), message).expect("a message");
        }
        let disk = Disk::open(bus.path()).expect("the folder is there");
        let mut settings = Settings::default();
        settings.limits.per_sender_per_second = 2;
        let mut rates = Rates::default();
        let mut waiting = Waiting::load(&disk, &|| Ok(()), now, &settings, &mut Senders::default(), &mut rates)
            .expect("the folder can be read");
        let mut due = |after_ms: u64| {
            let now = Now { mono: now.mono + Duration::from_millis(after_ms), ..now };
            let due = std::iter::from_fn(|| popped(&mut waiting, now));
            due.map(|file| file.trim_end_matches(".json")[file.len() - 6..].to_owned()).collect::<String>()
        };
        // Two at once, as after a silence, then one in half a second.
        assert_eq!([0, 499, 500, 4_999, 5_000, 6_000].map(&mut due), ["rt", "", "p", "", "q", "s"]);
        let alice = AgentId::parse("alice").expect("a name");
        assert_eq!(rates.take_turn(&alice, 2, 0), 6_500_000_000, "what is sent now comes after them");
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
