//! Who gets a message.

use std::fmt;

use super::AgentId;

/// How many agents one message may name.
pub const MAX_RECIPIENTS: usize = 64;

/// The `recipient` of a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Recipient {
    One(AgentId),
    /// 2 to [`MAX_RECIPIENTS`] different agents, in the order of the message. A list of one is a message to one.
    Many(Vec<AgentId>),
    /// `"*"`: everybody whom it may concern.
    All,
}

impl Recipient {
    /// What a list means.
    pub(super) fn of(mut agents: Vec<AgentId>) -> Recipient {
        match agents.len() {
            1 => Recipient::One(agents.remove(0)),
            _ => Recipient::Many(agents),
        }
    }

    /// The only one, if there is only one.
    pub fn one(&self) -> Option<&AgentId> {
        match self {
            Recipient::One(one) => Some(one),
            Recipient::Many(_) | Recipient::All => None,
        }
    }

    /// Is `agent` named? `All` names nobody.
    pub fn names(&self, agent: &AgentId) -> bool {
        match self {
            Recipient::One(one) => one == agent,
            Recipient::Many(many) => many.contains(agent),
            Recipient::All => false,
        }
    }
}

/// For a person; a list is separated by commas.
impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Recipient::One(one) => one.fmt(f),
            Recipient::Many(many) => {
                for (index, agent) in many.iter().enumerate() {
                    let separator = if index == 0 { "" } else { ", " };
                    write!(f, "{separator}{agent}")?;
                }
                Ok(())
            }
            Recipient::All => f.write_str("*"),
        }
    }
}
