//! A text that is not a message, with whatever could still be read of it.

use std::fmt;

use super::json::{self, Kind, Member};
use super::names::MAX_ACTION_CHARS;
use super::{Action, AgentId, Code, Field, MessageId, visible};

/// Why a text is refused. Every word of a stranger in it is cut and made visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// [`Code::MalformedJson`], [`Code::InvalidMessage`] or [`Code::TooLarge`]; of what was not read [`Code::NotARegularFile`].
    pub code: Code,
    /// For a person: what is wrong, in one sentence.
    pub message: String,
    /// For a person: what to do about it.
    pub hint: Option<String>,
    /// The text ended too early; it may become a message when more of it arrives.
    pub incomplete: bool,
    pub envelope: Box<Salvage>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Refusal {}

/// What a refused text says about itself, as far as it can be read without doubt. Nothing of it was checked beyond its form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvage {
    pub id: Option<MessageId>,
    pub sender: Option<AgentId>,
    /// For a person: cut and made visible.
    pub recipient: Option<String>,
    /// The action if it is a valid one, otherwise its text, cut and made visible.
    pub action: Option<String>,
    pub in_reply_to: Option<MessageId>,
    /// `inReplyTo` was there, readable or not: an error reply to this text could loop.
    pub is_answer: bool,
}

impl Salvage {
    /// Reads what can be read from the members of an outermost object. No key occurs twice in `members`.
    pub(super) fn read(text: &str, members: &[Member]) -> Salvage {
        let mut salvage = Salvage::default();
        for member in members {
            let Some(field) = Field::named(&json::unescape(member.key.of(text))) else {
                continue;
            };
            let spelled = member.value.of(text);
            let value = match member.kind {
                Kind::String => json::unescape(spelled),
                Kind::Object | Kind::Array | Kind::Number | Kind::Bool | Kind::Null => spelled.into(),
            };
            match field {
                Field::Id => salvage.id = MessageId::parse(&value).ok(),
                Field::Sender => salvage.sender = AgentId::parse(&value).ok(),
                Field::InReplyTo => {
                    salvage.in_reply_to = MessageId::parse(&value).ok();
                    salvage.is_answer = true;
                }
                Field::Recipient => salvage.recipient = Some(visible(&value, MAX_ACTION_CHARS)),
                Field::Action => {
                    let shown = |_| visible(&value, MAX_ACTION_CHARS);
                    salvage.action =
                        Some(Action::parse(&value).map_or_else(shown, |action| action.as_str().to_owned()));
                }
                Field::Payload
                | Field::Timestamp
                | Field::Signature
                | Field::CorrelationId
                | Field::ExpiresAt
                | Field::NotBefore
                | Field::Priority
                | Field::Traceparent
                | Field::Error
                | Field::Delivery => {}
            }
        }
        salvage
    }

    /// With the id that is known from elsewhere.
    pub(super) fn with_id(mut self, id: &MessageId) -> Salvage {
        self.id = Some(id.clone());
        self
    }
}

/// The refusal of a text that is not strict JSON.
pub(super) fn malformed(error: &json::Error, envelope: Salvage) -> Refusal {
    let code = match error.kind {
        json::ErrorKind::TooLong => Code::TooLarge,
        json::ErrorKind::Incomplete(_)
        | json::ErrorKind::Syntax { .. }
        | json::ErrorKind::Trailing
        | json::ErrorKind::ByteOrderMark
        | json::ErrorKind::InvalidUtf8
        | json::ErrorKind::ControlCharacter(_)
        | json::ErrorKind::LoneSurrogate
        | json::ErrorKind::DuplicateKey { .. }
        | json::ErrorKind::TooDeep
        | json::ErrorKind::BigInteger
        | json::ErrorKind::NotANumber => Code::MalformedJson,
    };
    Refusal {
        code,
        message: error.to_string(),
        hint: error.hint().map(str::to_owned),
        incomplete: error.is_incomplete(),
        envelope: Box::new(envelope),
    }
}
