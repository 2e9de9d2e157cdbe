//! Whether a message is the answer to another, and whether its sender may give it (bus format, section 3, "A reply").

use super::Refused;
use crate::message::{AgentId, Code, Envelope, Message, Recipient};

/// What is remembered of the message that `inReplyTo` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub action: String,
    pub recipients: Vec<String>,
    /// This responder has answered it already.
    pub answered: bool,
    /// Was it sent to several?
    pub several: bool,
}

/// What a message is with respect to another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It answers nothing that is remembered: a message like any other.
    Ordinary,
    /// It is the answer of one of several, or of the one.
    Answer { several: bool },
    /// That recipient has answered already.
    Again,
}

/// The agent whose message this one may answer: a reply goes to one.
pub fn asker(message: &Message) -> Option<&AgentId> {
    match message.recipient() {
        Recipient::One(agent) if message.is_reply() => Some(agent),
        Recipient::One(_) | Recipient::Many(_) | Recipient::All => None,
    }
}

/// Has it the action that an answer to a message with `asked` has?
pub fn has_action_of(message: &Message, asked: &str) -> bool {
    let action = message.action().as_str();
    action == asked || (action == Envelope::RESPONSE && asked == Envelope::EXECUTE)
}

/// Decides what `message` is, given what is remembered of the message it names.
pub fn standing(message: &Message, asked: Option<&Asked>) -> Result<Standing, Refused> {
    let Some(asked) = asked else { return Ok(Standing::Ordinary) };
    if !has_action_of(message, &asked.action) {
        return Ok(Standing::Ordinary);
    }
    if !asked.recipients.iter().any(|recipient| recipient == message.sender().as_str()) {
        return Err(Refused::new(
            Code::NotPermitted,
            format!("{:?} was not asked, so it cannot answer", message.sender().as_str()),
        )
        .with_hint("only a recipient of a message can reply to it; leave out inReplyTo for a message of your own"));
    }
    Ok(if asked.answered { Standing::Again } else { Standing::Answer { several: asked.several } })
}
