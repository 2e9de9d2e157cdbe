//! `postroom agents`: who is on the bus, from the registrations and inboxes that lie there.

use std::collections::BTreeMap;
use std::path::Path;

use postroom::bus::layout;
use postroom::bus::view::View;
use postroom::control::Registration;
use postroom::message::AgentId;
use serde::Serialize;

use super::print::{BOLD, DIM, Format, GOOD, WARN};
use super::table::{cell, number, table};
use super::{Exit, Failure, Global, print, text, units};

/// A registration is not larger.
const REGISTRATION_MAX: u64 = 4 << 20;

/// Show who is on the bus: registered agents and inboxes
#[derive(Debug, clap::Args)]
pub struct Agents {}

/// One agent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    pub agent: String,
    pub presence: Presence,
    /// Messages in its inbox that nobody has taken.
    pub waiting: usize,
    /// Those that a consumer has.
    pub leased: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration: Option<Registration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    Present,
    /// No sign of life for longer than it said.
    Away,
    /// It has an inbox, but never registered.
    InboxOnly,
}

impl Presence {
    fn as_str(self) -> &'static str {
        match self {
            Presence::Present => "present",
            Presence::Away => "away",
            Presence::InboxOnly => "inbox only",
        }
    }
}

#[derive(Serialize)]
struct Report {
    agents: Vec<Agent>,
}

/// The agent of this name. None: a message cannot be addressed to an agent by it.
pub fn name(text: &str) -> Option<AgentId> {
    AgentId::parse(text).ok().filter(|name| !name.is_postroom())
}

/// What an agent has registered as. None: it has not, or what lies there under its name cannot be read or understood, of which
/// `doctor` tells.
pub fn registration(view: &View, agent: &AgentId) -> Result<Option<Registration>, Failure> {
    let read = view.read_ours(&layout::agent_file(agent.as_str()), REGISTRATION_MAX)?;
    Ok(read.and_then(|read| serde_json::from_slice(&read).ok()))
}

/// Everybody on the bus, by name. Folders and files of other names are nobody's.
pub fn on(view: &View, now_ms: u64) -> Result<Vec<Agent>, Failure> {
    let mut registered = BTreeMap::new();
    for file in view.names(Path::new(layout::AGENTS))? {
        let agent = file.to_str().and_then(|file| file.strip_suffix(".json")).and_then(name);
        let Some(agent) = agent else { continue };
        if let Some(registration) = registration(view, &agent)? {
            registered.insert(agent, Some(registration));
        }
    }
    for agent in view.inboxes()?.iter().filter_map(|folder| name(folder)) {
        registered.entry(agent).or_insert(None);
    }
    let mut agents = Vec::with_capacity(registered.len());
    for (agent, registration) in registered {
        let (mut waiting, mut leased) = (0, 0);
        view.each_in_inbox(agent.as_str(), &mut |item| match item.lease {
            None => waiting += 1,
            Some(_) => leased += 1,
        })?;
        let presence = match &registration {
            None => Presence::InboxOnly,
            Some(registration) if registration.is_away(now_ms) => Presence::Away,
            Some(_) => Presence::Present,
        };
        agents.push(Agent { agent: agent.to_string(), presence, waiting, leased, registration });
    }
    Ok(agents)
}

impl Agents {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let view = global.workspace()?.view()?;
        let now_ms = units::now_ms();
        let agents = on(&view, now_ms)?;
        match global.format() {
            Format::Json => print::json(&Report { agents })?,
            Format::Text if agents.is_empty() => print::line("nobody has registered, and nobody has an inbox")?,
            Format::Text => print::text(&shown(&agents, now_ms))?,
        }
        Ok(Exit::Ok)
    }
}

/// How many wait, and how many more are taken.
fn inbox(agent: &Agent) -> String {
    match agent.leased {
        0 => agent.waiting.to_string(),
        leased => format!("{} + {leased} leased", agent.waiting),
    }
}

fn shown(agents: &[Agent], now_ms: u64) -> String {
    let rows: Vec<_> = agents
        .iter()
        .map(|agent| {
            let style = match agent.presence {
                Presence::Present => GOOD,
                Presence::Away => WARN,
                Presence::InboxOnly => DIM,
            };
            let registration = agent.registration.as_ref();
            let seen = registration.map_or_else(String::new, |it| units::span(now_ms.saturating_sub(it.last_seen)));
            let version =
                registration.map_or_else(String::new, |it| text::field(&format!("{} {}", it.name, it.version)));
            let can = registration.map_or_else(String::new, |it| text::field(&it.capabilities.join(", ")));
            vec![
                cell(text::field(&agent.agent)).style(BOLD),
                cell(agent.presence.as_str()).style(style),
                number(seen),
                number(inbox(agent)),
                cell(version),
                cell(can),
            ]
        })
        .collect();
    table(&["agent", "is", "seen", "inbox", "what", "capabilities"], &rows)
}
