//! Where a message goes.

use super::{Refused, nearest};
use crate::message::{Action, AgentId, Code, Message, Recipient};

/// One destination, or several of which each gets a delivery of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// The service itself answers.
    Control,
    /// A linked extension handles it.
    Extension(AgentId),
    /// It is put into this agent's inbox.
    Inbox(AgentId),
    /// One delivery for each.
    Split(Vec<AgentId>),
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Service,
    Extension,
    /// Registered, or has a folder in `inbox/`.
    Agent,
    Unknown,
}

/// Who is on the bus: the facts a route is decided from.
pub trait Who {
    /// The service's own name, or an extension's.
    fn is_reserved(&self, name: &AgentId) -> bool;
    fn standing(&self, name: &AgentId) -> Standing;
    /// Whom `*` means: every registered agent that is not away but `sender`, and every extension that declares `action`.
    fn everybody(&self, sender: &AgentId, action: &Action) -> Vec<AgentId>;
    /// Every known name, for hints.
    fn names(&self) -> Vec<String>;
}

/// The action that goes to the service alone, whoever else is addressed by `*`.
const DISCOVER: &str = "mcp.core.discover";

/// Decides where a message goes. `part`: the one recipient, if this is one delivery of several.
pub fn route(message: &Message, part: Option<&AgentId>, who: &impl Who) -> Result<Route, Refused> {
    if let Some(agent) = part {
        return to_one(agent, who);
    }
    match message.recipient() {
        Recipient::One(agent) => to_one(agent, who),
        Recipient::Many(agents) => Ok(Route::Split(agents.clone())),
        Recipient::All if message.action().as_str() == DISCOVER => Ok(Route::Control),
        Recipient::All => Ok(Route::Split(who.everybody(message.sender(), message.action()))),
    }
}

fn to_one(agent: &AgentId, who: &impl Who) -> Result<Route, Refused> {
    match who.standing(agent) {
        Standing::Service => Ok(Route::Control),
        Standing::Extension => Ok(Route::Extension(agent.clone())),
        Standing::Agent => Ok(Route::Inbox(agent.clone())),
        Standing::Unknown => {
            let refused = Refused::new(Code::UnknownRecipient, format!("nobody is known as {:?}", agent.as_str()));
            let names = who.names();
            let near = nearest(agent.as_str(), names.iter().map(String::as_str));
            Err(match near.as_slice() {
                [] => refused.with_hint(
                    "an agent becomes known by registering (mcp.core.register) or by a folder of its name in inbox/",
                ),
                near => refused.with_hint(format!("known and most like it: {}", near.join(", "))),
            })
        }
    }
}

/// The names that a dropped message cannot bear as its sender.
pub fn may_send(sender: &AgentId, who: &impl Who) -> Result<(), Refused> {
    if !who.is_reserved(sender) {
        return Ok(());
    }
    let message = format!(
        "the name {:?} belongs to the service or an extension; a dropped message cannot be from it",
        sender.as_str()
    );
    Err(Refused::new(Code::NotPermitted, message).with_hint("use a name of your own as sender"))
}
