//! `postroom trace`: the story of one message from the journal, and where its files are now.

mod gather;
mod show;

use std::path::PathBuf;

use postroom::bus::record::LoggedLine;
use serde::Serialize;

use super::print::Format;
use super::{Exit, Failure, Global, print, text};

/// Tell the story of one message: each step, who, how long, and where it is now
#[derive(Debug, clap::Args)]
pub struct Trace {
    /// The message's id, or its ticket
    id: String,
}

/// Everything that is known under one id or ticket.
#[derive(Debug, Serialize)]
struct Story {
    asked: String,
    messages: Vec<MessageStory>,
}

/// One message, with all its deliveries.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageStory {
    ticket: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<String>,
    /// The message that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_reply_to: Option<String>,
    steps: Vec<Step>,
    /// Where the message's own files are: one for each ticket.
    now: Vec<Whereabouts>,
    /// What it brought about.
    effects: Vec<Effect>,
    /// The tickets of the messages that its handler sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sent: Vec<SentOn>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Step {
    at: u64,
    /// Since the first step.
    after_ms: u64,
    ticket: String,
    attempt: u32,
    step: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    took_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// The ticket of the message whose handling sent this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// What extensions wrote in this attempt.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    log: Vec<LoggedLine>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Whereabouts {
    ticket: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<PathBuf>,
    /// Until when it is deferred, in Unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at: Option<u64>,
    /// The ticket that a dead letter got when it was tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retried_as: Option<String>,
}

#[derive(Debug, Serialize)]
struct SentOn {
    ticket: String,
    /// The beginning of its id, as far as its name in the room has it.
    id: String,
}

#[derive(Debug, Serialize)]
struct Effect {
    path: PathBuf,
    /// Not there: it was taken.
    there: bool,
    /// The token of the consumer that has taken it and not acknowledged it yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<String>,
}

impl Trace {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let view = global.workspace()?.view()?;
        let messages = gather::messages(&view, &self.id)?;
        if messages.is_empty() {
            let id = text::field(&self.id);
            return Err(Failure::new(Exit::NotFound, format!("nothing is known of {id}")).with_hint(
                "a message without an id in its file gets one: look for it with `postroom list` or `postroom tail`",
            ));
        }
        let story = Story { asked: self.id, messages };
        match global.format() {
            Format::Json => print::json(&story)?,
            Format::Text => print::text(&show::story(&story))?,
        }
        Ok(Exit::Ok)
    }
}
