//! `postroom tail`: the journal as it grows, one line a step; at midnight (UTC) on to the next day's.

mod columns;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anstyle::Style;
use postroom::bus::view::{Day, JournalLine, Tail as Growing, View};
use postroom::bus::{journal, layout, time};

use super::print::{BAD, DIM, Format, GOOD, NAME, WARN, styled};
use super::wait::Watch;
use super::{Exit, Failure, Global, print, text, units};
use columns::Columns;

/// How much of the journal's end is read at first for the lines that are shown first; if it has too few, four times as much, and so on.
const BACK: u64 = 1 << 18;

/// Show each step of each message as it happens
///
/// With --json, the lines of the journal as they are. It ends when the bus is moved or removed: exit code 3.
#[derive(Debug, clap::Args)]
pub struct Tail {
    /// How many earlier lines to show first, as far as the days are not packed
    #[arg(long, short = 'n', value_name = "N", default_value_t = 10)]
    lines: usize,
    /// Show what is there, then end
    #[arg(long)]
    no_follow: bool,
}

impl Tail {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let workspace = global.workspace()?;
        let (view, format) = (workspace.view()?, global.format());
        let opened = identity(&workspace.bus);
        let mut day = time::day(units::now_ms());
        let (earlier, mut growing) = earlier(&view, &day, self.lines)?;
        let mut columns = Columns::default();
        print_lines(&earlier[earlier.len().saturating_sub(self.lines)..], format, &mut columns)?;
        if self.no_follow {
            return Ok(Exit::Ok);
        }
        let mut watched = PathBuf::new();
        let mut watch = Watch::on(&[]);
        loop {
            let folder = folder_to_watch(&view, &day)?;
            if folder != watched {
                watch = Watch::on(&[&view.path().join(&folder)]);
                watched = folder;
            }
            print_lines(&read(&view, &mut growing)?, format, &mut columns)?;
            let today = time::day(units::now_ms());
            if today != day && view.exists(&journal::journal_path(&today))? {
                print_lines(&read(&view, &mut growing)?, format, &mut columns)?;
                growing = view.tail(&today, u64::MAX)?;
                day = today;
                continue;
            }
            // The journal that we hold may grow elsewhere, but this is no longer the bus that was asked for.
            if identity(&workspace.bus) != opened {
                return Err(gone(&workspace.bus));
            }
            watch.next(None);
        }
    }
}

/// Tells a folder from another one that took its path. `None`: there is none.
fn identity(bus: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    bus.metadata().ok().map(|meta| (meta.dev(), meta.ino()))
}

fn gone(bus: &Path) -> Failure {
    let says = format!("the bus {} was moved or removed", text::path(bus));
    Failure::new(Exit::NoBus, says).with_hint("follow it where it is now with --bus DIR")
}

/// Before the first message of a day its folder is not there.
fn folder_to_watch(view: &View, day: &str) -> Result<PathBuf, Failure> {
    let folder = Path::new(layout::ARCHIVE).join(day);
    Ok(if view.exists(&folder)? { folder } else { PathBuf::from(layout::ARCHIVE) })
}

/// The whole lines that came since the last call. What is torn or no line of a journal is none.
fn read(view: &View, growing: &mut Growing) -> Result<Vec<Vec<u8>>, Failure> {
    let mut lines = Vec::new();
    growing.read(view, &mut |line| {
        if JournalLine::parse(line).is_some() {
            lines.push(line.to_vec());
        }
    })?;
    Ok(lines)
}

/// The last lines up to now, at least so many if there are; and where the journal of today goes on.
fn earlier(view: &View, today: &str, wanted: usize) -> Result<(Vec<Vec<u8>>, Growing), Failure> {
    let (mut lines, growing) = end_of_day(view, today, wanted)?;
    let days = view.days()?;
    // Of a day that is being packed the folder is still there. Before one that is packed nothing is shown: there would be a gap.
    let folders: Vec<&str> = days.iter().filter(|day| !day.is_packed).map(|day| day.day.as_str()).collect();
    let is_whole = |day: &Day| !day.is_packed || folders.contains(&day.day.as_str());
    for day in days.iter().rev().filter(|day| day.day.as_str() < today) {
        if lines.len() >= wanted || !is_whole(day) {
            break;
        }
        if day.is_packed {
            continue;
        }
        let (mut before, _) = end_of_day(view, &day.day, wanted - lines.len())?;
        before.append(&mut lines);
        lines = before;
    }
    Ok((lines, growing))
}

/// The last lines of a day, at least so many if it has as many: only then may the day before come in front of them.
fn end_of_day(view: &View, day: &str, wanted: usize) -> Result<(Vec<Vec<u8>>, Growing), Failure> {
    let mut back = BACK;
    loop {
        let mut growing = view.tail(day, back)?;
        let lines = read(view, &mut growing)?;
        // It may have grown since, and is then read once more.
        let size = view.size_and_change(&journal::journal_path(day))?.map_or(0, |(size, _)| size);
        if lines.len() >= wanted || back >= size {
            return Ok((lines, growing));
        }
        back = back.saturating_mul(4);
    }
}

fn print_lines(lines: &[Vec<u8>], format: Format, columns: &mut Columns) -> Result<(), Failure> {
    let mut out = String::new();
    let width = print::width();
    for line in lines {
        match format {
            Format::Json => {
                out.push_str(&text::json(&String::from_utf8_lossy(line)));
                out.push('\n');
            }
            Format::Text => out.extend(JournalLine::parse(line).map(|line| match width {
                Some(width) => columns.fitted(&line, width),
                None => shown(&line),
            })),
        }
    }
    let mut stdout = anstream::stdout().lock();
    stdout.write_all(out.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| Failure::output(&error))
}

/// The colour of a step.
pub fn style_of(step: &str) -> Style {
    match step {
        "replied" | "handled" | "delivered" => GOOD,
        "deferred" | "held" | "duplicate" => WARN,
        "dead" => BAD,
        "accepted" | "sent" | "called" | "split" => NAME,
        _ => DIM,
    }
}

/// In a pipe: every field whole, under each other where they are no longer than most.
fn shown(line: &JournalLine) -> String {
    let step = styled(style_of(&line.step), format!("{:<9}", text::field(&line.step)));
    let (id, who, action) = (id(line), who(line), action(line));
    let by = line.by.as_deref().map(text::field);
    let more = details(line, by);
    let clock = styled(DIM, units::clock(line.at));
    let out = format!("{clock}  {step}  {id:<36}  {who:<24}  {action:<20}  {more}");
    format!("{}\n", out.trim_end())
}

fn id(line: &JournalLine) -> String {
    text::field(line.id.as_deref().unwrap_or(&line.ticket))
}

fn who(line: &JournalLine) -> String {
    match (&line.sender, &line.recipient) {
        (Some(from), Some(to)) => format!("{} > {}", text::field(from), text::field(to)),
        (Some(one), None) | (None, Some(one)) => text::field(one),
        (None, None) => String::new(),
    }
}

fn action(line: &JournalLine) -> String {
    line.action.as_deref().map(text::field).unwrap_or_default()
}

/// What a step says beyond who and what: which attempt, by whom, how long, why.
fn details(line: &JournalLine, by: Option<String>) -> String {
    let mut details = Vec::new();
    if line.attempt > 1 {
        details.push(format!("attempt {}", line.attempt));
    }
    details.extend(by.map(|by| format!("by {by}")));
    details.extend(line.took_us.map(|us| format!("in {}", units::span_us(us))));
    match (&line.code, &line.message) {
        (Some(code), Some(message)) => details.push(format!("{}: {}", text::field(code), text::field(message))),
        (Some(only), None) | (None, Some(only)) => details.push(text::field(only)),
        (None, None) => {}
    }
    details.join(", ")
}
