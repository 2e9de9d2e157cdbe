//! `postroom bench`: drives a real service through the folder and says how fast it is, next to a loop of the bare file-system
//! calls of the same job in the same run. Absolute times say more about the machine and its neighbours than about the program;
//! the ratio says more about the program.
//!
//! | file | what it is |
//! | --- | --- |
//! | `load` | the writer: drops messages as fast as it may |
//! | `replies` | the reader: notes when each reply appears |
//! | `run` | one mode on one fresh bus |
//! | `process` | the service as a child, and what the system says of it |
//! | `guests` | the extensions that are installed for a run |
//! | `floor` | the bare calls |
//! | `figures` | percentiles and the table |

#![allow(
    clippy::disallowed_methods,
    reason = "the bench's buses and messages are its own, and it writes as any other program does"
)]

mod figures;
mod floor;
mod guests;
mod load;
mod process;
mod replies;
mod run;

use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;
use tempfile::TempDir;

use super::print::Format;
use super::{Exit, Failure, Global, print, text};
use figures::{Floor, Run};
use guests::Guests;
use load::Content;

/// Measure a real service through the folder
///
/// Each mode gets a fresh bus in DIR. Measure on the file system that counts: a temporary folder may be in memory, and an ext4
/// without a journal slows down after many deletions.
#[derive(Debug, clap::Args)]
pub struct Bench {
    /// What to measure; may be repeated [default: blast, idle, rate]
    #[arg(long, value_enum)]
    mode: Vec<Mode>,
    /// Messages of each run [default: as the mode needs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    messages: Option<u32>,
    /// In `blast`, how many messages may be without a reply at a time
    #[arg(long, value_name = "K", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    outstanding: u32,
    /// In `rate`, messages per second
    #[arg(long, value_name = "R", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// Bytes of each payload; a message has about 120 more
    #[arg(long, value_name = "N", default_value_t = 280)]
    payload_bytes: usize,
    /// What each payload is made of
    #[arg(long, value_enum, default_value_t = Payload::Text)]
    payload: Payload,
    /// The payload of each message, in place of one that is made up
    #[arg(long, value_name = "JSON", conflicts_with_all = ["payload", "payload_bytes"])]
    payload_json: Option<String>,
    /// What each message asks for
    #[arg(long, value_name = "ACTION", default_value = "mcp.core.echo")]
    action: String,
    #[command(flatten)]
    guests: Guests,
    /// What the service promises for a message
    #[arg(long, value_enum, default_value_t = Durability::Full)]
    durability: Durability,
    /// Where to make the buses; they are removed afterwards [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// As many as it takes, with up to --outstanding under way
    Blast,
    /// One at a time: the next when the reply is there
    Idle,
    /// A fixed number per second
    Rate,
    /// All dropped before the service starts
    Backlog,
}

impl Mode {
    fn as_str(self) -> &'static str {
        match self {
            Mode::Blast => "blast",
            Mode::Idle => "idle",
            Mode::Rate => "rate",
            Mode::Backlog => "backlog",
        }
    }

    fn messages(self) -> u32 {
        match self {
            Mode::Blast => 20_000,
            Mode::Idle => 1_000,
            Mode::Rate => 2_500,
            Mode::Backlog => 100_000,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Survives power loss
    Full,
    /// Survives the end of any process
    Process,
}

impl Durability {
    fn as_str(self) -> &'static str {
        match self {
            Durability::Full => "full",
            Durability::Process => "process",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Payload {
    /// One long string, which a parser passes over
    Text,
    /// Objects, numbers and short strings
    Data,
}

/// What one run is to do.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    mode: Mode,
    messages: u32,
    outstanding: u32,
    rate: u32,
    content: &'a Content,
    guests: &'a Guests,
    durability: Durability,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    version: &'static str,
    durability: Durability,
    recipient: String,
    action: String,
    payload_bytes: usize,
    runs: Vec<Run>,
    floor: Floor,
}

impl Bench {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let parent = self.dir.clone().unwrap_or_else(std::env::temp_dir);
        let failed = |error| Failure::io("make a folder in", &parent, &error);
        let top = tempfile::Builder::new().prefix("postroom-bench-").tempdir_in(&parent).map_err(failed)?;
        let modes = if self.mode.is_empty() { vec![Mode::Blast, Mode::Idle, Mode::Rate] } else { self.mode.clone() };
        let content = self.content()?;
        let mut runs = Vec::with_capacity(modes.len());
        for mode in modes {
            runs.push(run::run(&self.plan(mode, &content), top.path())?);
        }
        let floor = floor::measure(top.path(), self.plan(Mode::Blast, &content).messages, &content)?;
        for run in &mut runs {
            run.compare(&floor);
        }
        let Content { recipient, action, payload } = content;
        let (version, payload_bytes) = (env!("CARGO_PKG_VERSION"), payload.len());
        let report = Report { version, durability: self.durability, recipient, action, payload_bytes, runs, floor };
        close(top)?;
        match global.format() {
            Format::Json => print::json(&report)?,
            Format::Text => print::text(&figures::shown(&report.runs, &report.floor, self.durability))?,
        }
        let whole = report.runs.iter().all(|run| run.is_whole());
        Ok(if whole { Exit::Ok } else { Exit::Problems })
    }

    fn content(&self) -> Result<Content, Failure> {
        let payload = match &self.payload_json {
            Some(json) => {
                serde_json::from_str::<&serde_json::value::RawValue>(json)
                    .map_err(|error| Failure::new(Exit::Usage, format!("--payload-json is no JSON: {error}")))?;
                json.clone()
            }
            None => load::payload(self.payload, self.payload_bytes),
        };
        Ok(Content { recipient: self.guests.recipient()?, action: self.action.clone(), payload })
    }

    fn plan<'a>(&'a self, mode: Mode, content: &'a Content) -> Plan<'a> {
        Plan {
            mode,
            messages: self.messages.unwrap_or(mode.messages()),
            outstanding: self.outstanding,
            rate: self.rate,
            content,
            guests: &self.guests,
            durability: self.durability,
        }
    }
}

fn close(top: TempDir) -> Result<(), Failure> {
    let path = top.path().to_owned();
    top.close().map_err(|error| Failure::io("remove", &path, &error).with_hint(text::path(&path)))
}
