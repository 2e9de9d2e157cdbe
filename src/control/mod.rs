//! The Message Control Protocol: what `postroom` itself answers. One file a command; each returns what it answers and what it
//! would change, and changes nothing. A new command is one file here and one line in [`COMMANDS`].

mod discover;
mod echo;
mod get_capabilities;
mod heartbeat;
mod parameters;
mod ping;
mod register;
mod registration;
mod unregister;

use std::collections::BTreeMap;

use serde::Serialize;

pub use registration::Registration;

use crate::message::{AgentId, Code, Failure, Handled, JsonText, Message, Payload, Retry};
use crate::policy::nearest;

/// A call to the service.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub message: &'a Message,
    /// The action; for the older envelope the one inside it.
    pub action: &'a str,
    /// The payload's text; for the older envelope that of its parameters.
    pub parameters: &'a str,
    pub bus: View<'a>,
}

/// What the commands may know of the bus.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Unix milliseconds.
    pub now_ms: u64,
    pub uptime_ms: u64,
    pub registered: &'a BTreeMap<AgentId, Registration>,
    pub extensions: &'a [Extension],
    /// How many agents may be registered; 0 is no limit.
    pub agents_limit: u64,
    /// How many bytes the payload of a reply may have.
    pub reply_bytes: usize,
}

/// An installed extension, as `discover` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Extension {
    pub name: String,
    pub version: String,
    pub description: String,
    pub capabilities: Vec<String>,
    pub actions: Vec<String>,
    /// SHA-256 of the component, in hex.
    pub sha256: String,
}

/// What a command answers, and what becomes of the registrations if the message commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub handled: Handled,
    pub change: Option<Change>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Register(AgentId, Registration),
    Unregister(AgentId),
}

type Command = fn(&Call) -> Result<Answer, Failure>;

/// Every command by its action.
pub const COMMANDS: [(&str, Command); 7] = [
    ("mcp.core.register", register::answer),
    ("mcp.core.heartbeat", heartbeat::answer),
    ("mcp.core.unregister", unregister::answer),
    ("mcp.core.discover", discover::answer),
    ("mcp.core.getCapabilities", get_capabilities::answer),
    ("mcp.core.echo", echo::answer),
    ("mcp.core.ping", ping::answer),
];

/// Answers one call.
pub fn answer(call: &Call) -> Answer {
    let found = COMMANDS.iter().find(|(action, _)| *action == call.action);
    let result = match found {
        Some((_, command)) => command(call),
        None => Err(unknown_action(call.action)),
    };
    result.unwrap_or_else(|failure| Answer { handled: Handled::Failed(failure), change: None })
}

fn unknown_action(action: &str) -> Failure {
    let actions = COMMANDS.iter().map(|(action, _)| *action);
    let message = match nearest(action, actions.clone()).first() {
        Some(near) => format!("postroom has no action {action:?}; did you mean {near:?}?"),
        None => format!("postroom has no action {action:?}; it has {}", actions.collect::<Vec<_>>().join(", ")),
    };
    refuse(Code::InvalidMessage, message)
}

/// A failure that another attempt cannot mend.
fn refuse(code: Code, message: impl Into<String>) -> Failure {
    Failure { code, message: message.into(), details: None, retry: Retry::Final }
}

fn reply(payload: &impl Serialize) -> Answer {
    let text = serde_json::to_string(payload).expect("our own types are always JSON");
    Answer { handled: Handled::Reply(Payload::Text(JsonText::trusted(text))), change: None }
}
