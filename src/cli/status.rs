//! `postroom status`: the bus at a glance. Everything is counted from the folders and the journal, so it cannot disagree with
//! `ls`.

use std::path::PathBuf;

use postroom::bus::time;
use postroom::bus::view::{JournalLine, State, View};
use serde::Serialize;

use super::print::{BAD, BOLD, DIM, Format, GOOD, WARN, styled};
use super::table::{Cell, cell, number, table};
use super::{Exit, Failure, Global, agents, print, text, units};

/// How much of the journal's end is read for the last minute's count.
const JOURNAL_BACK: u64 = 8 << 20;
const MINUTE_MS: u64 = 60_000;
/// What waits in the drop for longer, while nothing else ends either, stands still: the grace time has passed.
const STILL_MS: u64 = 10_000;
/// How many inboxes are shown to a person.
const SHOWN_AGENTS: usize = 12;

/// Show the bus at a glance: who is active, what waits, how much goes through
#[derive(Debug, clap::Args)]
pub struct Status {}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    bus: PathBuf,
    at: u64,
    service: Service,
    counts: Counts,
    /// Of what is in the drop: milliseconds since it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_dropped_ms: Option<u64>,
    inboxes: Vec<Inbox>,
    /// Messages that ended in the last minute, from the end of the journal.
    finished_last_minute: usize,
    /// Is that all of the minute? (The end of the journal that is read may be shorter.)
    finished_is_complete: bool,
    /// When the last one of them did.
    #[serde(skip)]
    last_finished_at: Option<u64>,
    disk_free_bytes: u64,
    disk_total_bytes: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Service {
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    term: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<u64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    drop: usize,
    processing: usize,
    deferred: usize,
    held: usize,
    /// Delivered, and not taken.
    inbox: usize,
    /// Taken from an inbox, and not acknowledged.
    leased: usize,
    dead_letter: usize,
    archived_today: usize,
}

#[derive(Debug, Serialize)]
struct Inbox {
    agent: String,
    waiting: usize,
}

impl Status {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let workspace = global.workspace()?;
        let view = workspace.view()?;
        let report = look(&view, units::now_ms())?;
        match global.format() {
            Format::Json => print::json(&report)?,
            Format::Text => print::text(&shown(&report))?,
        }
        if report.stands_still() {
            print::hint_line("messages wait, and nothing moves: see `postroom doctor`");
        }
        // No service starts with them, and one that runs goes on with those that it began with.
        if let Err(wrong) = workspace.settings() {
            wrong.report();
        }
        Ok(Exit::Ok)
    }
}

fn look(view: &View, at: u64) -> Result<Report, Failure> {
    let agents = agents::on(view, at)?;
    let (inbox, leased) = in_inboxes(view)?;
    let LastMinute { finished, is_complete, last_at } = last_minute(view, at)?;
    let space = |error| Failure::io("ask for the free space of", view.path(), &error);
    Ok(Report {
        bus: view.path().to_owned(),
        at,
        service: service(view)?,
        counts: Counts {
            drop: view.count(State::Drop)?,
            processing: view.count(State::Processing)?,
            deferred: view.count(State::Deferred)?,
            held: view.count(State::Held)?,
            inbox,
            leased,
            dead_letter: view.count(State::DeadLetter)?,
            archived_today: archived(view, &time::day(at))?,
        },
        oldest_dropped_ms: oldest_dropped(view, at)?,
        inboxes: agents.into_iter().map(|agent| Inbox { agent: agent.agent, waiting: agent.waiting }).collect(),
        finished_last_minute: finished,
        finished_is_complete: is_complete,
        last_finished_at: last_at,
        disk_free_bytes: fs2::available_space(view.path()).map_err(space)?,
        disk_total_bytes: fs2::total_space(view.path()).map_err(space)?,
    })
}

fn service(view: &View) -> Result<Service, Failure> {
    let Some(holder) = view.active()? else {
        return Ok(Service { active: false, term: None, pid: None, host: None, started_at: None });
    };
    let line = holder.line.as_ref();
    Ok(Service {
        active: true,
        term: Some(holder.term),
        pid: line.map(|line| line.place.pid),
        host: line.map(|line| line.place.host_name.clone()),
        started_at: line.map(|line| line.started_at),
    })
}

/// How many messages lie in inboxes and wait, and how many a consumer has.
fn in_inboxes(view: &View) -> Result<(usize, usize), Failure> {
    let (mut waiting, mut leased) = (0, 0);
    view.each(State::Inbox, &mut |item| match item.lease {
        None => waiting += 1,
        Some(_) => leased += 1,
    })?;
    Ok((waiting, leased))
}

fn archived(view: &View, day: &str) -> Result<usize, Failure> {
    let mut count = 0;
    let folder = std::path::Path::new(postroom::bus::layout::ARCHIVE).join(day);
    view.each_archived(&folder, &mut |_| count += 1)?;
    Ok(count)
}

fn oldest_dropped(view: &View, at: u64) -> Result<Option<u64>, Failure> {
    let mut paths = Vec::new();
    view.each(State::Drop, &mut |item| paths.push(item.path))?;
    let mut oldest = None;
    for path in paths {
        if let Some((_, changed)) = view.size_and_change(&path)? {
            oldest = Some(oldest.map_or(changed, |oldest: u64| oldest.min(changed)));
        }
    }
    Ok(oldest.map(|oldest| at.saturating_sub(oldest)))
}

impl Report {
    /// A service is at work, as it seems, and does nothing although it could. A stopped process holds its lock, too.
    fn stands_still(&self) -> bool {
        let is_old = self.oldest_dropped_ms.is_some_and(|age| age > STILL_MS);
        let moves = self.last_finished_at.is_some_and(|last| self.at.saturating_sub(last) <= STILL_MS);
        self.service.active && is_old && !moves
    }
}

/// What the end of the journal says of the last minute.
struct LastMinute {
    /// How many messages ended.
    finished: usize,
    /// Was the journal read back that far?
    is_complete: bool,
    /// When the last one ended.
    last_at: Option<u64>,
}

fn last_minute(view: &View, at: u64) -> Result<LastMinute, Failure> {
    let since = at.saturating_sub(MINUTE_MS);
    let (mut finished, mut first, mut last_at) = (0, None, None);
    for day in [time::day(since), time::day(at)].iter().collect::<std::collections::BTreeSet<_>>() {
        let mut tail = view.tail(day, JOURNAL_BACK)?;
        tail.read(view, &mut |line| {
            let Some(line) = JournalLine::parse(line) else { return };
            first.get_or_insert(line.at);
            if line.at >= since && line.step == "finished" {
                finished += 1;
                last_at = last_at.max(Some(line.at));
            }
        })?;
    }
    let today = view.size_and_change(&postroom::bus::journal::journal_path(&time::day(at)))?;
    let read_whole = today.is_none_or(|(size, _)| size <= JOURNAL_BACK);
    let is_complete = read_whole || first.is_some_and(|first| first <= since);
    Ok(LastMinute { finished, is_complete, last_at })
}

fn shown(report: &Report) -> String {
    let mut out = format!("{}  {}\n", styled(BOLD, "bus"), text::path(&report.bus));
    out.push_str(&format!("{}  {}\n\n", styled(BOLD, "service"), shown_service(report)));
    let counts = &report.counts;
    let oldest = report.oldest_dropped_ms.map(|ms| format!("oldest {}", units::span(ms))).unwrap_or_default();
    let waiting = |count: usize| if count == 0 { number(count).style(DIM) } else { number(count) };
    let bad = |count: usize| if count == 0 { number(count).style(DIM) } else { number(count).style(BAD) };
    let more = if report.finished_is_complete { "" } else { "or more" };
    let rows: Vec<Vec<Cell>> = vec![
        vec![cell("drop"), waiting(counts.drop), cell(oldest)],
        vec![cell("processing"), waiting(counts.processing), cell("")],
        vec![cell("deferred"), waiting(counts.deferred), cell("")],
        vec![cell("held"), waiting(counts.held), cell("")],
        vec![cell("inbox"), waiting(counts.inbox), cell(shown_inboxes(&report.inboxes))],
        vec![cell("leased"), waiting(counts.leased), cell("")],
        vec![cell("dead-letter"), bad(counts.dead_letter), cell(dead_letter_advice(counts.dead_letter))],
        vec![cell("archived today"), waiting(counts.archived_today), cell("")],
        vec![cell("finished, last minute"), waiting(report.finished_last_minute), cell(more)],
    ];
    out.push_str(&table(&["state", "messages", ""], &rows));
    let free = format!("{} of {} free", units::bytes(report.disk_free_bytes), units::bytes(report.disk_total_bytes));
    out.push_str(&format!("\n{}  {free}\n", styled(BOLD, "disk")));
    out
}

fn dead_letter_advice(count: usize) -> &'static str {
    if count == 0 { "" } else { "see `postroom dead-letter list`" }
}

fn shown_service(report: &Report) -> String {
    let service = &report.service;
    if !service.active {
        return format!("{} (start one: `postroom serve`)", styled(WARN, "none is active"));
    }
    let term = service.term.map(|term| format!("term {term}")).unwrap_or_default();
    let who = match (service.pid, &service.host) {
        (Some(pid), Some(host)) => format!(", process {pid} on {}", text::field(host)),
        (_, _) => String::new(),
    };
    let since = service.started_at.map(|at| format!(", for {}", units::span(report.at.saturating_sub(at))));
    format!("{} ({term}{who}{})", styled(GOOD, "active"), since.unwrap_or_default())
}

fn shown_inboxes(inboxes: &[Inbox]) -> String {
    let mut full: Vec<&Inbox> = inboxes.iter().filter(|inbox| inbox.waiting > 0).collect();
    full.sort_by_key(|inbox| std::cmp::Reverse(inbox.waiting));
    let shown = full.iter().take(SHOWN_AGENTS).map(|inbox| format!("{} {}", text::field(&inbox.agent), inbox.waiting));
    let mut shown: Vec<String> = shown.collect();
    if full.len() > SHOWN_AGENTS {
        shown.push(format!("and {} more", full.len() - SHOWN_AGENTS));
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_while_nothing_ends_stands_still() {
        let top = tempfile::TempDir::new().expect("a folder");
        let bus = top.path().join("bus");
        postroom::bus::create(&bus).expect("made");
        let at = units::now_ms();
        let mut report = look(&View::open(&bus).expect("a bus"), at).expect("looked");
        assert!(!report.stands_still());
        report.oldest_dropped_ms = Some(STILL_MS + 1);
        assert!(!report.stands_still(), "that none is active is said already");
        report.service.active = true;
        assert!(report.stands_still());
        report.last_finished_at = Some(at - 2 * STILL_MS);
        assert!(report.stands_still());
        report.last_finished_at = Some(at - 1);
        assert!(!report.stands_still(), "it has much to do");
        report = Report { last_finished_at: None, oldest_dropped_ms: Some(1), ..report };
        assert!(!report.stands_still(), "it may be written still");
    }
}
