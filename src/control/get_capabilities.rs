//! `mcp.core.getCapabilities`: what one agent or extension can do.

use serde_json::json;

use super::parameters::Parameters;
use super::{Answer, COMMANDS, Call, refuse, reply};
use crate::message::{AgentId, Code, Failure};
use crate::policy::nearest;

pub(super) fn answer(call: &Call) -> Result<Answer, Failure> {
    let agent = Parameters::of(call)?.text("agent")?;
    if agent == AgentId::POSTROOM {
        let actions: Vec<&str> = COMMANDS.iter().map(|(action, _)| *action).collect();
        return Ok(reply(&json!({ "agent": agent, "capabilities": ["control"], "actions": actions })));
    }
    if let Some(extension) = call.bus.extensions.iter().find(|extension| extension.name == agent) {
        let (capabilities, actions) = (&extension.capabilities, &extension.actions);
        return Ok(reply(&json!({ "agent": agent, "capabilities": capabilities, "actions": actions })));
    }
    if let Some(found) = AgentId::parse(&agent).ok().and_then(|id| call.bus.registered.get(&id)) {
        let (capabilities, actions) = (&found.capabilities, &found.actions);
        return Ok(reply(&json!({ "agent": agent, "capabilities": capabilities, "actions": actions })));
    }
    let known = call.bus.registered.keys().map(AgentId::as_str);
    let known = known.chain(call.bus.extensions.iter().map(|extension| extension.name.as_str()));
    let message = match nearest(&agent, known).first() {
        Some(near) => format!("nobody is registered as {agent:?}; did you mean {near:?}?"),
        None => format!("nobody is registered as {agent:?}"),
    };
    Err(refuse(Code::UnknownRecipient, message))
}
