//! A message: its text, owned once, and where its fields lie in it.

use std::ops::Range;
use std::sync::Arc;

use super::json::{Member, Span};
use super::{Action, AgentId, Field, MessageId, Recipient, Traceparent};

/// The priority of a message that states none.
pub const DEFAULT_PRIORITY: u8 = 4;

/// The highest priority.
pub const MAX_PRIORITY: u8 = 9;

/// The text of one message file. Cloning shares it.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(Arc<String>);

impl Text {
    pub(super) fn new(text: String) -> Text {
        Text(Arc::new(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&**self.0, f)
    }
}

/// What the service knows of a dropped file besides its text. Gives a message its id and timestamp where it has none and
/// is not signed, so that the same file gets the same ones again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given {
    /// Inode, and time of the last change in nanoseconds since 1970. (0, 0) where there is no file.
    pub file_identity: (u64, i128),
    /// Unix milliseconds. Used only where the file's time is before 1970 or beyond any date.
    pub now_ms: u64,
}

/// A checked message.
///
/// Invariant: the text is strict JSON, its outermost value is an object, and every field that the bus format names is of its
/// type and within its limits. Cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub(super) text: Text,
    pub(super) fields: Arc<Fields>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fields {
    pub members: Vec<Member>,
    /// For each field its position in `members`.
    pub slots: [Option<u32>; Field::ALL.len()],
    pub id: MessageId,
    pub sender: AgentId,
    pub recipient: Recipient,
    pub action: Action,
    pub timestamp: u64,
    pub signature: Option<String>,
    pub in_reply_to: Option<MessageId>,
    pub correlation_id: Option<MessageId>,
    pub expires_at: Option<u64>,
    pub not_before: Option<u64>,
    pub priority: u8,
    pub traceparent: Option<Traceparent>,
    pub error: Option<ErrorBody>,
}

/// The `error` of an error reply. Words of a stranger: show them through [`super::visible`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorBody {
    /// Usually one of [`super::Code`], but agents may have their own.
    pub code: String,
    pub message: String,
    /// Where the details lie in the message's text.
    pub(super) details: Option<Range<usize>>,
}

impl Message {
    /// The whole text, as it came.
    pub fn text(&self) -> &Text {
        &self.text
    }

    /// The stated id, or the one that was given.
    pub fn id(&self) -> &MessageId {
        &self.fields.id
    }

    pub fn sender(&self) -> &AgentId {
        &self.fields.sender
    }

    pub fn recipient(&self) -> &Recipient {
        &self.fields.recipient
    }

    pub fn action(&self) -> &Action {
        &self.fields.action
    }

    /// The payload as it is spelled; `null` if there is none.
    pub fn payload_text(&self) -> &str {
        self.payload_range().map_or("null", |range| &self.text.as_str()[range])
    }

    /// Where the payload lies in the text, if there is one.
    pub fn payload_range(&self) -> Option<Range<usize>> {
        self.range_of(Field::Payload)
    }

    /// When it was sent, in Unix milliseconds: as stated, or as given.
    pub fn timestamp(&self) -> u64 {
        self.fields.timestamp
    }

    /// Not checked by this version; kept and passed on.
    pub fn signature(&self) -> Option<&str> {
        self.fields.signature.as_deref()
    }

    pub fn in_reply_to(&self) -> Option<&MessageId> {
        self.fields.in_reply_to.as_ref()
    }

    /// As stated. See [`Message::conversation`].
    pub fn correlation_id(&self) -> Option<&MessageId> {
        self.fields.correlation_id.as_ref()
    }

    /// The correlation id, or the message's own id, which starts a conversation.
    pub fn conversation(&self) -> &MessageId {
        self.correlation_id().unwrap_or(self.id())
    }

    /// Not handled after this time, in Unix milliseconds.
    pub fn expires_at(&self) -> Option<u64> {
        self.fields.expires_at
    }

    /// Not handled before this time, in Unix milliseconds.
    pub fn not_before(&self) -> Option<u64> {
        self.fields.not_before
    }

    /// 0 to [`MAX_PRIORITY`].
    pub fn priority(&self) -> u8 {
        self.fields.priority
    }

    pub fn traceparent(&self) -> Option<&Traceparent> {
        self.fields.traceparent.as_ref()
    }

    pub fn error(&self) -> Option<&ErrorBody> {
        self.fields.error.as_ref()
    }

    /// The `error` object as it is spelled.
    pub fn error_text(&self) -> Option<&str> {
        self.range_of(Field::Error).map(|range| &self.text.as_str()[range])
    }

    /// The error's details as they are spelled.
    pub fn error_details_text(&self) -> Option<&str> {
        let details = self.fields.error.as_ref()?.details.clone()?;
        Some(&self.text.as_str()[details])
    }

    /// Has it the form of a reply: `inReplyTo`, and `payload` or `error`? Whether it is one depends on what it answers
    /// (bus format, section 3).
    pub fn is_reply(&self) -> bool {
        let answers = self.slot(Field::Payload).is_some() || self.slot(Field::Error).is_some();
        self.in_reply_to().is_some() && answers
    }

    /// The `delivery` that the text states. In a file that the service wrote it is true; in a dropped one it is a claim, and
    /// nothing looks at it.
    pub fn stated_delivery_text(&self) -> Option<&str> {
        self.range_of(Field::Delivery).map(|range| &self.text.as_str()[range])
    }

    /// The fields that the bus format does not name: key and value as they are spelled, in the order of the text.
    pub fn extras(&self) -> impl Iterator<Item = (&str, &str)> {
        let is_named = |index: usize| self.fields.slots.contains(&Some(index as u32));
        let members = self.fields.members.iter().enumerate().filter(move |(index, _)| !is_named(*index));
        members.map(|(_, member)| (member.key.of(self.text.as_str()), member.value.of(self.text.as_str())))
    }

    /// Does the text itself have this field? (Id and timestamp may have been given from the file.)
    pub fn states(&self, field: Field) -> bool {
        self.slot(field).is_some()
    }

    pub(super) fn slot(&self, field: Field) -> Option<&Member> {
        self.fields.slots[field as usize].map(|index| &self.fields.members[index as usize])
    }

    fn range_of(&self, field: Field) -> Option<Range<usize>> {
        self.slot(field).map(|member| Span::range(member.value))
    }
}
