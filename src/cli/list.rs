//! `postroom list`: the messages in each state. Only as many are read as are shown.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::ValueEnum;
use postroom::bus::view::{Heading, Item, State, View};
use serde::Serialize;

use super::print::{BAD, BOLD, DIM, Format, WARN, styled};
use super::table::{Cell, cell, number, table_without};
use super::{Exit, Failure, Global, dead_letter, lease, print, text, units};

/// List the messages in one state, or in all but the archive
///
/// Oldest first; the archive newest first.
#[derive(Debug, clap::Args)]
pub struct List {
    /// Which state [default: all but archive]
    #[arg(value_enum)]
    state: Option<StateName>,
    /// How many of each state to show; 0 shows all
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum StateName {
    Drop,
    Processing,
    Deferred,
    Held,
    Inbox,
    DeadLetter,
    Archive,
}

impl From<StateName> for State {
    fn from(name: StateName) -> State {
        match name {
            StateName::Drop => State::Drop,
            StateName::Processing => State::Processing,
            StateName::Deferred => State::Deferred,
            StateName::Held => State::Held,
            StateName::Inbox => State::Inbox,
            StateName::DeadLetter => State::DeadLetter,
            StateName::Archive => State::Archive,
        }
    }
}

#[derive(Debug, Serialize)]
struct Report {
    states: Vec<Listing>,
}

/// What is in one state.
#[derive(Debug, Serialize)]
struct Listing {
    state: &'static str,
    /// How many there are; `messages` may have fewer.
    total: usize,
    messages: Vec<Row>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    path: PathBuf,
    bytes: u64,
    /// Since the file came to where it is.
    age_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_reply_to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// Why it is a dead letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// Under which name it was dropped, where it has no id.
    #[serde(skip)]
    dropped_as: Option<String>,
    /// The token of the consumer that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<String>,
    /// In the drop: it is not JSON, or not yet, and is left alone for the grace time.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unfinished: bool,
}

impl List {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let view = global.workspace()?.view()?;
        let now_ms = units::now_ms();
        let states: Vec<State> = match self.state {
            Some(name) => vec![name.into()],
            None => State::ALL.into_iter().filter(|state| *state != State::Archive).collect(),
        };
        let limit = if self.limit == 0 { usize::MAX } else { self.limit };
        let listings: Result<Vec<Listing>, Failure> =
            states.into_iter().map(|state| listing(&view, state, limit, now_ms)).collect();
        let report = Report { states: listings? };
        match global.format() {
            Format::Json => print::json(&report)?,
            Format::Text => print::text(&shown(&report, now_ms))?,
        }
        Ok(Exit::Ok)
    }
}

/// What the order goes by.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// When it came, where names say nothing about that.
    Change(u64, PathBuf),
    /// By name: tickets and due times are in time's order.
    Name(PathBuf),
    Newest(Reverse<PathBuf>),
}

fn key(view: &View, item: &Item) -> Result<Option<Key>, Failure> {
    Ok(match item.state {
        State::Drop | State::Inbox => {
            view.size_and_change(&item.path)?.map(|(_, changed)| Key::Change(changed, item.path.clone()))
        }
        State::Processing | State::Deferred | State::Held | State::DeadLetter => Some(Key::Name(item.path.clone())),
        State::Archive => Some(Key::Newest(Reverse(item.path.clone()))),
    })
}

/// The first `limit` messages of a state. No more than that are kept while the folders are read.
fn listing(view: &View, state: State, limit: usize, now_ms: u64) -> Result<Listing, Failure> {
    let (mut total, mut first, mut failed) = (0, BTreeMap::new(), None);
    view.each(state, &mut |item| match key(view, &item) {
        Ok(Some(key)) => {
            total += 1;
            first.insert(key, item);
            if first.len() > limit {
                first.pop_last();
            }
        }
        Ok(None) => {}
        Err(failure) => failed = Some(failure),
    })?;
    if let Some(failure) = failed {
        return Err(failure);
    }
    let mut messages = Vec::with_capacity(first.len());
    for item in first.into_values() {
        messages.extend(row(view, item, now_ms)?);
    }
    Ok(Listing { state: state.as_str(), total, messages })
}

/// `None`: it has gone on since.
fn row(view: &View, item: Item, now_ms: u64) -> Result<Option<Row>, Failure> {
    let Some((bytes, changed)) = view.size_and_change(&item.path)? else { return Ok(None) };
    let Some(heading) = view.heading(&item.path)? else { return Ok(None) };
    let Heading { id, sender, recipient, action, in_reply_to, error, unfinished } = heading;
    let (code, dropped_as) =
        if item.state == State::DeadLetter { dead_letter::reason(view, &item)? } else { (None, None) };
    let lease = item.lease.map(|uuid| lease::token(item.agent.as_deref().unwrap_or_default(), uuid));
    Ok(Some(Row {
        bytes,
        age_ms: now_ms.saturating_sub(changed),
        ticket: item.ticket.map(|ticket| ticket.to_string()),
        attempt: item.attempt,
        due_at: item.due_ms,
        agent: item.agent,
        path: item.path,
        id,
        sender,
        recipient,
        action,
        in_reply_to,
        error,
        code,
        dropped_as,
        lease,
        unfinished: unfinished && item.state == State::Drop,
    }))
}

/// What a narrow terminal does without, in this order.
const EXPENDABLE: [&str; 5] = ["file", "size", "from", "action", "to"];

fn shown(report: &Report, now_ms: u64) -> String {
    let mut out = String::new();
    for listing in report.states.iter().filter(|listing| listing.total > 0) {
        let hidden = listing.total - listing.messages.len().min(listing.total);
        let more = if hidden == 0 { String::new() } else { format!(", the first {} shown", listing.messages.len()) };
        let total = units::count(listing.total, "message", "messages");
        out.push_str(&format!("{} ({total}{more})\n", styled(BOLD, listing.state)));
        let rows: Vec<Vec<Cell>> = listing.messages.iter().map(|row| cells(row, now_ms)).collect();
        let headings = ["age", "size", "id", "from", "to", "action", "note", "file"];
        out.push_str(&table_without(&EXPENDABLE, &headings, &rows));
        out.push('\n');
    }
    if out.is_empty() {
        out.push_str("nothing is there\n");
    }
    out
}

fn cells(row: &Row, now_ms: u64) -> Vec<Cell> {
    let field = |text: &Option<String>| cell(text.as_deref().map_or_else(|| "?".into(), text::field));
    // The recipient of one delivery of several is the one whose it is.
    let to = row.agent.as_ref().or(row.recipient.as_ref()).cloned();
    vec![
        number(units::span(row.age_ms)),
        number(units::bytes(row.bytes)),
        cell(text::field(&name(row))).key(),
        field(&row.sender),
        field(&to),
        field(&row.action),
        note(row, now_ms).code(),
        cell(text::path(&row.path)).style(DIM),
    ]
}

/// What people know it by: its id; of what is no message the name that its writer gave the file.
fn name(row: &Row) -> String {
    let file = || row.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    row.id.clone().or_else(|| row.dropped_as.clone()).or_else(|| row.ticket.clone()).unwrap_or_else(file)
}

/// Why it is where it is, in a few words.
fn note(row: &Row, now_ms: u64) -> Cell {
    match (row.due_at, row.attempt, row.code.as_ref().or(row.error.as_ref())) {
        _ if row.unfinished => cell("not whole yet").style(WARN),
        _ if row.lease.is_some() => cell("leased").style(WARN),
        (Some(due), _, _) if due <= now_ms => cell("due").style(WARN),
        (Some(due), _, _) => cell(format!("in {}", units::span(due - now_ms))).style(WARN),
        (None, Some(attempt), _) if attempt > 1 => cell(format!("attempt {attempt}")).style(WARN),
        (None, _, Some(code)) => cell(text::field(code)).style(BAD),
        (None, _, None) => cell(""),
    }
}
