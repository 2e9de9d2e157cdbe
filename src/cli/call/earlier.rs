//! Was the message sent before? A duplicate publishes nothing, so only the journal tells. And how many recipients a message to everybody has.
//!
//! Nothing depends on the journal but how soon the caller hears of it: without one, the time runs out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use postroom::bus::time;
use postroom::bus::view::{JournalLine, Tail, View};
use postroom::message::{Message, Recipient};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::cli::{Failure, units};

/// How much is read that was written before the drop: the end of the last line, behind which the next one is whole.
const BACK: u64 = 1;

/// Follows the journal from the drop on, until it says what has become of the dropped file.
pub struct Follower<'a> {
    view: &'a View,
    asked: &'a Message,
    day: String,
    growing: Tail,
    ticket: Option<String>,
    /// Into how many deliveries it was split, until somebody asks.
    split: Option<usize>,
}

/// What the step that splits a message says.
#[derive(Deserialize)]
struct Split {
    to: Vec<IgnoredAny>,
}

/// What the step that claims a file says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Accepted {
    ticket: String,
    dropped_as: Option<PathBuf>,
}

impl<'a> Follower<'a> {
    /// From the end of the journal as it is before the drop.
    pub fn new(view: &'a View, asked: &'a Message) -> Result<Follower<'a>, Failure> {
        let day = time::day(units::now_ms());
        let growing = view.tail(&day, BACK)?;
        Ok(Follower { view, asked, day, growing, ticket: None, split: None })
    }

    /// Does the journal now say that what was dropped as `dropped` is a duplicate?
    pub fn sees_duplicate(&mut self, dropped: &Path) -> Result<bool, Failure> {
        let mut is_duplicate = self.read(dropped)?;
        let today = time::day(units::now_ms());
        if !is_duplicate && today != self.day {
            self.growing = self.view.tail(&today, u64::MAX)?;
            self.day = today;
            is_duplicate = self.read(dropped)?;
        }
        Ok(is_duplicate)
    }

    /// How many recipients a message to everybody has, once, as soon as the journal has said it.
    pub fn take_everybody(&mut self) -> Option<usize> {
        self.split.take().filter(|_| matches!(self.asked.recipient(), Recipient::All))
    }

    fn read(&mut self, dropped: &Path) -> Result<bool, Failure> {
        let (id, mut is_duplicate) = (self.asked.id().as_str(), false);
        let (ticket, split) = (&mut self.ticket, &mut self.split);
        self.growing.read(self.view, &mut |line| {
            if !mentions(line, id) {
                return;
            }
            let Some(step) = JournalLine::parse(line) else { return };
            if step.step == "accepted"
                && let Ok(accepted) = serde_json::from_slice::<Accepted>(line)
                && accepted.dropped_as.as_deref() == Some(dropped)
            {
                *ticket = Some(accepted.ticket);
            }
            if step.step == "split" && Some(&step.ticket) == ticket.as_ref() {
                *split = serde_json::from_slice::<Split>(line).ok().map(|split| split.to.len());
            }
            is_duplicate |= step.step == "duplicate" && Some(&step.ticket) == ticket.as_ref();
        })?;
        Ok(is_duplicate)
    }
}

/// How many answers the first message of this id was given, as far as the journals of the last `days` days tell.
pub fn answers_given(view: &View, asked: &Message, days: u32) -> Result<usize, Failure> {
    let (id, sender) = (asked.id().as_str(), asked.sender().as_str());
    let mut ends: BTreeMap<String, Vec<JournalLine>> = BTreeMap::new();
    let (mut accepted, mut from_agents) = (BTreeSet::new(), BTreeSet::new());
    let known = view.days()?;
    let recent = known.len().saturating_sub(days.saturating_add(1) as usize);
    for day in &known[recent..] {
        view.each_line(day, &mut |line| {
            let Some(line) = mentions(line, id).then(|| JournalLine::parse(line)).flatten() else { return };
            let is_of = |line: &JournalLine| {
                (line.id.as_deref(), line.sender.as_deref()) == (Some(id), Some(sender)) && line.from.is_none()
            };
            match line.step.as_str() {
                "accepted" if is_of(&line) => _ = accepted.insert(line.root().to_owned()),
                "finished" if is_of(&line) => ends.entry(line.root().to_owned()).or_default().push(line),
                "finished" if is_answer_to(&line, id, sender) => _ = from_agents.insert(line.ticket),
                _ => {}
            }
        });
    }
    // Of several messages with one id the last that was neither a duplicate nor a conflict has it.
    let is_other = |root: &String| ends.get(root).is_some_and(|lines| lines.iter().any(is_duplicate_or_conflict));
    let Some(first) = accepted.iter().rfind(|root| !is_other(root)) else { return Ok(from_agents.len()) };
    let answered: BTreeSet<&str> = ends
        .get(first)
        .into_iter()
        .flatten()
        .filter(|line| is_answered(line))
        .map(|line| line.ticket.as_str())
        .collect();
    Ok(answered.len() + from_agents.len())
}

fn is_answer_to(line: &JournalLine, id: &str, sender: &str) -> bool {
    line.outcome.as_deref() == Some("delivered")
        && (line.in_reply_to.as_deref(), line.recipient.as_deref()) == (Some(id), Some(sender))
}

/// The dead letter's sender gets an error reply.
fn is_answered(line: &JournalLine) -> bool {
    matches!(line.outcome.as_deref(), Some("replied" | "dead"))
}

fn is_duplicate_or_conflict(line: &JournalLine) -> bool {
    line.outcome.as_deref() == Some("duplicate") || line.code.as_deref() == Some("id-conflict")
}

/// An id has no character that JSON would spell otherwise, so it stands in its line as it is.
fn mentions(line: &[u8], id: &str) -> bool {
    std::str::from_utf8(line).is_ok_and(|line| line.contains(id))
}
