//! What a message is called from its claim on: its ticket, and its names in the room, in `deferred/`, `held/`, `dead-letter/` and the archive.

use std::ffi::OsStr;
use std::fmt::{self, Write as _};
use std::os::unix::ffi::OsStrExt;

use uuid::Uuid;

use super::{NAME_MAX, cut, number, written};
use crate::message::is_invisible;

/// What is kept of a dropped file's name; the rest of [`NAME_MAX`] is for due time, attempt, ticket, hops and ending.
const STEM_MAX: usize = 176;
/// The same for one delivery of several, together with the recipient, whom its name carries too. Beside the longest recipient name (128
/// bytes) it still leaves room for a UUID.
const PART_STEM_MAX: usize = 165;

/// What a message is called from its claim to its end: a UUIDv7 (RFC 9562), and for one delivery of several its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket {
    pub uuid: Uuid,
    /// 1 and up for one delivery of a message with several recipients.
    pub part: Option<u32>,
}

impl Ticket {
    pub fn new() -> Ticket {
        Ticket { uuid: Uuid::now_v7(), part: None }
    }

    /// When it was given, Unix milliseconds.
    pub fn accepted_ms(self) -> u64 {
        self.uuid.get_timestamp().map_or(0, |stamp| {
            let (seconds, nanos) = stamp.to_unix();
            seconds * 1000 + u64::from(nanos / 1_000_000)
        })
    }

    /// Reads `<uuid>` or `<uuid>.<k>`.
    pub fn parse(text: &str) -> Option<Ticket> {
        let (uuid, part) = match text.split_once('.') {
            Some((uuid, part)) => (uuid, Some(number(part)?)),
            None => (text, None),
        };
        if uuid.len() != 36 {
            return None;
        }
        Some(Ticket { uuid: Uuid::parse_str(uuid).ok()?, part })
    }
}

impl Default for Ticket {
    fn default() -> Self {
        Ticket::new()
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.uuid.hyphenated().encode_lower(&mut [0; 36]))?;
        match self.part {
            Some(part) => write!(f, ".{part}"),
            None => Ok(()),
        }
    }
}

/// A claimed message in a room: `<attempt>.<ticket>~<stem>.json`; for one delivery of several
/// `<attempt>.<ticket>.<k>~<recipient>~<stem>.json`. What came from an extension, and not from the drop, has `@<hops>` behind the
/// ticket: a dropped file's name comes behind the first `~`, so no dropped file can look like it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClaimName {
    pub attempt: u32,
    pub ticket: Ticket,
    /// Only in what an extension sent, and in answers to that: how many messages, each caused by the one before, led to this one.
    pub sent: Option<u8>,
    /// Whose delivery this is, when the ticket has a part.
    pub recipient: Option<String>,
    /// The dropped file's name without `.json`, cut and with control characters replaced.
    pub stem: String,
}

impl ClaimName {
    /// The first claim of a dropped file.
    pub fn first(ticket: Ticket, dropped: &OsStr) -> ClaimName {
        ClaimName { attempt: 1, ticket, sent: None, recipient: None, stem: stem_of(dropped, STEM_MAX) }
    }

    /// A message that did not come by the drop: an extension sent it, or it answers what one sent. `id`: its id.
    pub fn sent(hops: u32, id: &str) -> ClaimName {
        let hops = u8::try_from(hops).unwrap_or(u8::MAX);
        let stem = stem_of(OsStr::new(id), STEM_MAX);
        ClaimName { attempt: 1, ticket: Ticket::new(), sent: Some(hops), recipient: None, stem }
    }

    /// The k-th delivery of this message, to `recipient`.
    pub fn part(&self, part: u32, recipient: &str) -> ClaimName {
        ClaimName {
            attempt: 1,
            ticket: Ticket { uuid: self.ticket.uuid, part: Some(part) },
            sent: self.sent,
            recipient: Some(recipient.to_owned()),
            stem: no_reason(cut(&self.stem, PART_STEM_MAX.saturating_sub(recipient.len()))),
        }
    }

    /// The same message, one attempt later.
    pub fn next_attempt(&self) -> ClaimName {
        ClaimName { attempt: self.attempt.saturating_add(1), ..self.clone() }
    }

    /// Reads a name in a room; `None` for anything else there.
    pub fn parse(name: &str) -> Option<ClaimName> {
        let (attempt, rest) = name.split_once('.')?;
        ClaimName::parse_tail(number(attempt)?, rest)
    }

    fn parse_tail(attempt: u32, rest: &str) -> Option<ClaimName> {
        let (ticket, tail) = rest.split_once('~')?;
        let (ticket, sent) = match ticket.split_once('@') {
            Some((ticket, hops)) => (ticket, Some(number(hops)?)),
            None => (ticket, None),
        };
        let ticket = Ticket::parse(ticket)?;
        let tail = tail.strip_suffix(".json")?;
        let (recipient, stem) = match ticket.part {
            Some(_) => tail.split_once('~').map(|(recipient, stem)| (Some(recipient.to_owned()), stem))?,
            None => (None, tail),
        };
        Some(ClaimName { attempt, ticket, sent, recipient, stem: stem.to_owned() })
    }

    /// Its name in the room.
    pub fn file_name(&self) -> String {
        written(|name| write!(name, "{self}"))
    }

    fn tail(&self) -> Tail<'_> {
        Tail(self)
    }

    /// Its name while it waits in `deferred/` or `held/` until `due_ms` (Unix milliseconds).
    pub fn waiting(&self, due_ms: u64) -> String {
        written(|name| write!(name, "{due_ms}.{}.{}.json", self.attempt, self.tail()))
    }

    /// Its name in `dead-letter/`, and that of the reason beside it.
    pub fn dead(&self) -> (String, String) {
        (format!("{}.json", self.tail()), format!("{}.why.json", self.tail()))
    }

    /// Its name in the archive: `<ticket>~<id>.json`, or with the stem where there is no id.
    pub fn archived(&self, id: Option<&str>) -> String {
        written(|name| write!(name, "{}~{}.json", self.ticket, id.unwrap_or(&self.stem)))
    }

    /// The k-th staged effect of this attempt; `tail` tells a reader of the folder what it will be called.
    pub fn staged(&self, effect: usize, tail: &str) -> String {
        let mut name = written(|name| write!(name, "+{}.{}.{effect}~", self.attempt, self.ticket));
        name.push_str(cut(tail, NAME_MAX - name.len()));
        name
    }
}

impl fmt::Display for ClaimName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.json", self.attempt, self.tail())
    }
}

/// `<ticket>~<stem>`, with the hops of what an extension sent, and with the recipient of one delivery of several.
struct Tail<'a>(&'a ClaimName);

impl fmt::Display for Tail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ClaimName { ticket, sent, recipient, stem, .. } = self.0;
        ticket.fmt(f)?;
        if let Some(hops) = sent {
            write!(f, "@{hops}")?;
        }
        f.write_str("~")?;
        if let Some(recipient) = recipient {
            f.write_str(recipient)?;
            f.write_str("~")?;
        }
        f.write_str(stem)
    }
}

/// A message that waits in `deferred/` or `held/`: when it is due (Unix milliseconds) and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingName {
    pub due_ms: u64,
    pub claim: ClaimName,
}

impl WaitingName {
    pub fn parse(name: &str) -> Option<WaitingName> {
        let (due, rest) = name.split_once('.')?;
        let (attempt, rest) = rest.split_once('.')?;
        Some(WaitingName { due_ms: number(due)?, claim: ClaimName::parse_tail(number(attempt)?, rest)? })
    }
}

/// A dead letter's name: `<ticket>~<stem>.json`. The attempt starts again when the user has it tried once more.
pub fn parse_dead(name: &str) -> Option<ClaimName> {
    if name.ends_with(".why.json") {
        return None;
    }
    ClaimName::parse_tail(1, name)
}

/// The dead letter whose reason has this name: `<ticket>~<stem>.why.json`.
pub fn parse_reason(name: &str) -> Option<ClaimName> {
    ClaimName::parse_tail(1, &format!("{}.json", name.strip_suffix(".why.json")?))
}

/// A dropped name without its ending, cut to `max` bytes; what a terminal or a path could trip over becomes `_`.
fn stem_of(name: &OsStr, max: usize) -> String {
    let name = name.as_bytes();
    let name = name.strip_suffix(b".json").unwrap_or(name);
    let clean: String = String::from_utf8_lossy(name)
        .chars()
        .map(|c| if c == char::REPLACEMENT_CHARACTER || is_invisible(c) { '_' } else { c })
        .collect();
    no_reason(cut(&clean, max))
}

/// The point of a final `.why`, with which a dead letter could be taken for a reason, becomes `_`.
fn no_reason(stem: &str) -> String {
    stem.strip_suffix(".why").map_or_else(|| stem.to_owned(), |start| format!("{start}_why"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::layout::{ahead, delivery_name, is_staged, parse_term, reply_stem};

    #[test]
    fn every_name_reads_back() {
        let claim = ClaimName::first(Ticket::new(), OsStr::new("a.b~c.json"));
        assert_eq!(claim.stem, "a.b~c");
        assert_eq!(ClaimName::parse(&claim.to_string()), Some(claim.clone()));
        let part = claim.part(3, "agent.x-1");
        assert_eq!(ClaimName::parse(&part.to_string()), Some(part.clone()));
        assert_eq!(ClaimName::parse(&part.staged(0, "x.json")), None, "a staged effect is no claim");
        let ahead = ahead(&uuid::Uuid::now_v7());
        assert_eq!((ClaimName::parse(&ahead), is_staged(&ahead)), (None, true));
        let waiting = part.next_attempt().waiting(1_763_683_200_000);
        assert_eq!(
            WaitingName::parse(&waiting),
            Some(WaitingName { due_ms: 1_763_683_200_000, claim: part.next_attempt() })
        );
        assert_eq!(parse_dead(&claim.dead().0), Some(claim.clone()));
        assert_eq!(parse_dead(&claim.dead().1), None);
        assert_eq!((parse_reason(&claim.dead().1), parse_reason(&claim.dead().0)), (Some(claim.clone()), None));
        let sent = ClaimName::sent(3, "m-1");
        assert_eq!(sent.to_string(), format!("1.{}@3~m-1.json", sent.ticket));
        for name in [sent.clone(), sent.part(2, "agent-b")] {
            assert_eq!(ClaimName::parse(&name.to_string()), Some(name.clone()));
            assert_eq!(WaitingName::parse(&name.waiting(7)).map(|waiting| waiting.claim), Some(name.clone()));
            assert_eq!(parse_dead(&name.dead().0), Some(name));
        }
    }

    #[test]
    fn no_name_has_a_character_that_would_not_be_shown() {
        let claim = ClaimName::first(Ticket::new(), OsStr::new("a\u{ad}\u{202e}\u{e0041}\u{7f}\u{fff9}b.json"));
        assert_eq!(claim.stem, "a_____b");
    }

    #[test]
    fn a_number_in_a_name_is_written_with_digits_alone() {
        let ticket = Ticket::new();
        let parsed = |start: &str| WaitingName::parse(&format!("{start}.{ticket}~x.json")).is_some();
        assert_eq!([parsed("5.1"), parsed("+5.1"), parsed("5.+1"), parsed(".1")], [true, false, false, false]);
        let terms = ["7", "+7", "07", "18446744073709551614", "18446744073709551615", ""].map(parse_term);
        assert_eq!(terms, [Some(7), None, None, Some(u64::MAX - 1), None, None]);
    }

    #[test]
    fn no_dropped_name_looks_like_one_that_an_extension_sent() {
        for dropped in ["@3~x.json", "0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11@3~x.json", "@3.json"] {
            let claim = ClaimName::first(Ticket::new(), OsStr::new(dropped));
            assert_eq!(ClaimName::parse(&claim.to_string()).and_then(|claim| claim.sent), None);
        }
    }

    #[test]
    fn no_name_is_too_long() {
        let long = format!("{}.json", "é".repeat(125));
        let id = "i".repeat(128);
        let claim = ClaimName::first(Ticket::new(), OsStr::new(&long));
        let part = ClaimName { attempt: u32::MAX, sent: Some(u8::MAX), ..claim.part(u32::MAX, &id) };
        let sent = ClaimName { attempt: u32::MAX, ..ClaimName::sent(u32::MAX, &id) };
        for name in [
            claim.to_string(),
            part.to_string(),
            part.waiting(u64::MAX),
            sent.waiting(u64::MAX),
            part.dead().1,
            part.archived(Some(&id)),
            part.staged(10_000, &delivery_name(&reply_stem(&id, Some(&id)), 1)),
            delivery_name(&reply_stem(&id, Some(&id)), 9999),
            delivery_name(&reply_stem(&id, None), 9999),
        ] {
            assert!(name.len() <= NAME_MAX, "{} bytes: {name}", name.len());
        }
        assert_ne!(reply_stem(&id, Some(&id)), reply_stem(&id, Some(&format!("{}x", &id[1..]))));
    }

    #[test]
    fn a_name_cannot_reach_a_terminal_or_another_folder() {
        let claim = ClaimName::first(Ticket::new(), OsStr::from_bytes(b"\x1b[2Jx\xff\r.json"));
        assert_eq!(claim.stem, "_[2Jx__");
    }

    #[test]
    fn no_dead_letter_has_the_name_of_a_reason() {
        for dropped in ["a.why.json", ".why.json", &format!("{}.why.more.json", "x".repeat(STEM_MAX - 4))] {
            let claim = ClaimName::first(Ticket::new(), OsStr::new(dropped));
            assert_eq!(parse_dead(&claim.dead().0), Some(claim));
        }
        let recipient = "i".repeat(PART_STEM_MAX - 8);
        let claim = ClaimName::first(Ticket::new(), OsStr::new("note.why.json.json")).part(1, &recipient);
        assert_eq!((claim.stem.as_str(), parse_dead(&claim.dead().0)), ("note_why", Some(claim.clone())));
    }

    #[test]
    fn one_delivery_of_several_keeps_the_dropped_name_where_there_is_room_for_it() {
        let uuid = "0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11";
        let first = |stem: &str| ClaimName::first(Ticket::new(), OsStr::new(&format!("{stem}.json")));
        assert_eq!(first(uuid).part(64, &"i".repeat(128)).stem, uuid);
        let long = "x".repeat(120);
        assert_eq!(first(&long).part(64, "agent.of-a-usual-length").stem, long);
        assert_eq!(first(&"x".repeat(250)).stem.len(), STEM_MAX);
    }
}
