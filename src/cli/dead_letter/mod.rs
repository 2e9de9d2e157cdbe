//! `postroom dead-letter`: what was refused or given up, and what to do about it. Looking is done here; `retry` and `purge` are
//! requests to the service.

mod ask;
mod list;
mod show;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use postroom::bus::layout;
use postroom::bus::view::{Item, State, View};
use postroom::message::{ErrorBody, Message};
use serde::{Deserialize, Serialize};

use super::{Exit, Failure, Global, text};

/// How the name of a reason ends; before that it is the dead letter's.
const WHY_END: &str = ".why.json";
/// Larger reasons are not ours.
const WHY_MAX: u64 = 1 << 20;

/// Look at what was refused or given up, try it again, or remove it
#[derive(Debug, clap::Args)]
pub struct DeadLetter {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::List),
    Show(show::Show),
    Retry(ask::Retry),
    Purge(ask::Purge),
}

impl DeadLetter {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        match self.command {
            Command::List(command) => command.run(global),
            Command::Show(command) => command.run(global),
            Command::Retry(command) => command.run(global),
            Command::Purge(command) => command.run(global),
        }
    }
}

/// The reason beside a dead letter. Strangers' text.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Why {
    code: String,
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// Unix milliseconds.
    at: u64,
    #[serde(default)]
    attempts: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dropped_as: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sender: Option<String>,
    /// One name, a list, or `*`, as the message has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recipient: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    action: Option<String>,
}

/// One dead letter.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Letter {
    ticket: String,
    /// Relative to the bus.
    path: PathBuf,
    /// None: it is missing or cannot be read.
    why: Option<Why>,
}

impl Letter {
    fn of(view: &View, item: &Item) -> Result<Letter, Failure> {
        let name = item.path.file_name().unwrap_or_default().to_string_lossy();
        let why = format!("{}{WHY_END}", name.trim_end_matches(".json"));
        let read = view.read(&PathBuf::from(layout::DEAD_LETTER).join(why), WHY_MAX)?;
        Ok(Letter {
            ticket: item.ticket.map(|ticket| ticket.to_string()).unwrap_or_default(),
            path: item.path.clone(),
            why: read.and_then(|text| serde_json::from_slice(&text).ok()),
        })
    }

    fn is(&self, name: &str) -> bool {
        self.ticket == name || self.why.as_ref().is_some_and(|why| why.id.as_deref() == Some(name))
    }
}

/// What the reason of a dead letter advises. The letter is told by its id, by the name under which it was dropped and by what its error
/// reply says. It need not be there yet: its reason is, before the reply. `None` also where it cannot be read: nothing depends on a hint.
pub fn hint(view: &View, asked: &Message, dropped: &Path, error: &ErrorBody) -> Option<String> {
    let dropped = dropped.to_str()?;
    let is_of_it = |name: &str| {
        // The stem is cut in the name of one delivery of several.
        let stem = name.strip_suffix(WHY_END).and_then(|start| Some(start.rsplit_once('~')?.1));
        stem.is_some_and(|stem| !stem.is_empty() && dropped.starts_with(stem))
    };
    let names = view.names(Path::new(layout::DEAD_LETTER)).ok()?;
    let mut reasons = names.iter().filter(|name| name.to_str().is_some_and(is_of_it)).filter_map(|name| {
        let text = view.read(&Path::new(layout::DEAD_LETTER).join(name), WHY_MAX).ok().flatten()?;
        serde_json::from_slice::<Why>(&text).ok()
    });
    let id = Some(asked.id().as_str());
    reasons.find(|why| why.id.as_deref() == id && why.code == error.code && why.message == error.message)?.hint
}

/// Why this is a dead letter, in one word, and under which name it was dropped. `None`: its reason is missing or cannot be read.
pub fn reason(view: &View, item: &Item) -> Result<(Option<String>, Option<String>), Failure> {
    Ok(Letter::of(view, item)?.why.map(|why| (why.code, why.dropped_as)).unzip())
        .map(|(code, name)| (code, name.flatten()))
}

/// Every dead letter, oldest first.
fn all(view: &View) -> Result<Vec<Letter>, Failure> {
    let mut items = Vec::new();
    view.each(State::DeadLetter, &mut |item| items.push(item))?;
    items.sort_by(|a, b| a.path.cmp(&b.path));
    items.iter().map(|item| Letter::of(view, item)).collect()
}

/// The dead letters with this ticket or id; an error if there is none.
fn named(letters: Vec<Letter>, name: &str) -> Result<Vec<Letter>, Failure> {
    let found: Vec<Letter> = letters.into_iter().filter(|letter| letter.is(name)).collect();
    if found.is_empty() {
        return Err(not_found(name, ""));
    }
    Ok(found)
}

fn not_found(name: &str, consequence: &str) -> Failure {
    Failure::new(Exit::NotFound, format!("there is no dead letter {}{consequence}", text::field(name)))
        .with_hint("see `postroom dead-letter list`")
}

/// The recipient of a reason in one line.
fn recipient(why: &Why) -> String {
    match &why.recipient {
        None => "?".into(),
        Some(serde_json::Value::String(one)) => text::field(one),
        Some(other) => text::field(&other.to_string()),
    }
}
