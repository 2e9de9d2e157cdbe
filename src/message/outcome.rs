//! What a handler (a control command or an extension) answers. A handler returns this and does nothing else: only the bus
//! publishes, so a failed attempt leaves nothing behind.

use super::{Code, json};

/// Text that is known to be one complete strict JSON value (see the bus format, section 3), spelled as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonText(Box<str>);

impl JsonText {
    /// Takes text that the caller has already checked, or that a serializer made.
    pub fn trusted(text: impl Into<Box<str>>) -> JsonText {
        JsonText(text.into())
    }

    /// Checks text of a stranger, for example what an extension answered. It may be [`JsonText::MAX_DEPTH`] deep, so that it
    /// fits wherever it is put: a payload, the details of an error, the result in an older envelope.
    ///
    /// # Errors
    /// Where and why it is not one strict JSON value.
    pub fn parse(text: impl Into<String>) -> Result<JsonText, json::Error> {
        let text = text.into();
        let span = json::scan(&text, JsonText::MAX_DEPTH)?.span;
        Ok(JsonText(if span.of(&text).len() == text.len() { text.into() } else { span.of(&text).into() }))
    }

    /// How many containers a value may have inside each other: three less than a message, which is the most that we put
    /// around one (message, payload of an older response, its error).
    pub const MAX_DEPTH: usize = json::MAX_DEPTH - 3;

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The payload of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// The very text of the message's own payload (an echo), without a copy of it.
    OfMessage,
    Text(JsonText),
}

/// What came of one attempt at handling a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handled {
    Reply(Payload),
    Failed(Failure),
}

/// Why an attempt failed, and whether another one may help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure; ends in `.why.json` and the error reply when the message is given up.
    pub code: Code,
    /// For a person: what went wrong, in one sentence. Untrusted when it comes from an extension.
    pub message: String,
    /// Whatever the handler adds; passed on in the error reply.
    pub details: Option<JsonText>,
    pub retry: Retry,
}

/// May the attempt be repeated?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// After a back-off, until the attempts are used up.
    Later,
    /// Never: it would fail again.
    Final,
}
