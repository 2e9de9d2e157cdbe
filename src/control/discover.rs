//! `mcp.core.discover`: every agent and extension that matches.

use serde::Serialize;

use super::parameters::Parameters;
use super::{Answer, Call, Extension, Registration, reply};
use crate::message::Failure;

struct Request {
    /// Only those with this capability.
    capability: Option<String>,
    /// Only who answers actions of this namespace (`namespace.command`).
    namespace: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Found<'a> {
    agents: Vec<Agent<'a>>,
    extensions: Vec<&'a Extension>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Agent<'a> {
    #[serde(flatten)]
    registration: &'a Registration,
    away: bool,
}

impl Request {
    fn matches(&self, capabilities: &[String], actions: &[String]) -> bool {
        let in_namespace =
            |action: &String, namespace: &str| action.strip_prefix(namespace).is_some_and(|rest| rest.starts_with('.'));
        self.capability.as_ref().is_none_or(|wanted| capabilities.contains(wanted))
            && self.namespace.as_ref().is_none_or(|wanted| actions.iter().any(|action| in_namespace(action, wanted)))
    }
}

pub(super) fn answer(call: &Call) -> Result<Answer, Failure> {
    let parameters = Parameters::of_optional(call)?;
    let request = Request {
        capability: parameters.optional_text("capability")?,
        namespace: parameters.optional_text("namespace")?,
    };
    let agents = call.bus.registered.values().filter(|agent| request.matches(&agent.capabilities, &agent.actions));
    let extensions = call.bus.extensions.iter().filter(|ext| request.matches(&ext.capabilities, &ext.actions));
    let now = call.bus.now_ms;
    Ok(reply(&Found {
        agents: agents.map(|registration| Agent { registration, away: registration.is_away(now) }).collect(),
        extensions: extensions.collect(),
    }))
}
