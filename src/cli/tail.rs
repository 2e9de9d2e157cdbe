//! `postroom tail`: the journal as it grows, one line a step; at midnight (UTC) on to the next day's.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anstyle::Style;
use postroom::bus::view::{JournalLine, Tail as Growing, View};
use postroom::bus::{journal, layout, time};

use super::print::{BAD, DIM, Format, GOOD, NAME, WARN, styled};
use super::wait::Watch;
use super::{Exit, Failure, Global, text, units};

/// How much of the journal's end is read for the lines that are shown first.
const BACK: u64 = 1 << 20;

/// Show each step of each message as it happens
///
/// With --json, the lines of the journal as they are. It ends when the bus is moved or removed: exit code 3.
#[derive(Debug, clap::Args)]
pub struct Tail {
    /// How many earlier lines to show first
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
        let mut growing = view.tail(&day, BACK)?;
        let mut earlier = read(&view, &mut growing)?;
        if self.lines > earlier.len() {
            earlier = with_day_before(&view, &day, earlier)?;
        }
        print_lines(&earlier[earlier.len().saturating_sub(self.lines)..], format)?;
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
            print_lines(&read(&view, &mut growing)?, format)?;
            let today = time::day(units::now_ms());
            if today != day && view.exists(&journal::journal_path(&today))? {
                print_lines(&read(&view, &mut growing)?, format)?;
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

fn read(view: &View, growing: &mut Growing) -> Result<Vec<Vec<u8>>, Failure> {
    let mut lines = Vec::new();
    growing.read(view, &mut |line| lines.push(line.to_vec()))?;
    Ok(lines)
}

fn with_day_before(view: &View, day: &str, lines: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, Failure> {
    let days = view.days()?;
    let Some(before) = days.iter().rfind(|before| !before.is_packed && before.day.as_str() < day) else {
        return Ok(lines);
    };
    let mut all = read(view, &mut view.tail(&before.day, BACK)?)?;
    all.extend(lines);
    Ok(all)
}

fn print_lines(lines: &[Vec<u8>], format: Format) -> Result<(), Failure> {
    let mut out = String::new();
    for line in lines {
        match format {
            Format::Json if JournalLine::parse(line).is_some() => {
                out.push_str(&text::json(&String::from_utf8_lossy(line)));
                out.push('\n');
            }
            Format::Json => {}
            Format::Text => out.extend(JournalLine::parse(line).map(|line| shown(&line))),
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

fn shown(line: &JournalLine) -> String {
    let step = styled(style_of(&line.step), format!("{:<9}", text::field(&line.step)));
    let id = text::field(line.id.as_deref().unwrap_or(&line.ticket));
    let who = match (&line.sender, &line.recipient) {
        (Some(from), Some(to)) => format!("{} > {}", text::field(from), text::field(to)),
        (Some(one), None) | (None, Some(one)) => text::field(one),
        (None, None) => String::new(),
    };
    let action = line.action.as_deref().map(text::field).unwrap_or_default();
    let more = details(line);
    let clock = styled(DIM, units::clock(line.at));
    let out = format!("{clock}  {step}  {id:<36}  {who:<24}  {action:<20}  {more}");
    format!("{}\n", out.trim_end())
}

/// What a step says beyond who and what: which attempt, by whom, how long, why.
pub fn details(line: &JournalLine) -> String {
    let mut details = Vec::new();
    if line.attempt > 1 {
        details.push(format!("attempt {}", line.attempt));
    }
    details.extend(line.by.as_deref().map(|by| format!("by {}", text::field(by))));
    details.extend(line.took_us.map(|us| format!("in {}", units::span_us(us))));
    match (&line.code, &line.message) {
        (Some(code), Some(message)) => details.push(format!("{}: {}", text::field(code), text::field(message))),
        (Some(only), None) | (None, Some(only)) => details.push(text::field(only)),
        (None, None) => {}
    }
    details.join(", ")
}
