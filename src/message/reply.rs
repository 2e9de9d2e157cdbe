//! The answer to a message, as a file.

use super::envelope::Envelope;
use super::json::MAX_INTEGER;
use super::rendered::ObjectWriter;
use super::{Action, AgentId, Code, Delivery, JsonText, Message, MessageId, Rendered, Salvage, Traceparent};

/// What the service decides about a reply; the rest comes from the message that it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// The reply's own id.
    pub id: MessageId,
    /// Who answers.
    pub responder: &'a AgentId,
    /// The action of the message, or `mcp.response` for the older envelope.
    pub action: &'a Action,
    /// Its timestamp, in Unix milliseconds.
    pub now_ms: u64,
    pub body: ReplyBody<'a>,
    pub delivery: &'a Delivery,
}

/// What a reply says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplyBody<'a> {
    /// The very payload of the message.
    OfMessage,
    /// A payload of its own.
    Payload(&'a JsonText),
    Error(ReplyError<'a>),
}

/// The `error` of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyError<'a> {
    pub code: Code,
    pub message: &'a str,
    pub details: Option<&'a JsonText>,
}

impl ReplyError<'_> {
    pub(super) fn to_json(self) -> String {
        let mut error = ObjectWriter::new(64 + self.message.len());
        error.string("\"code\"", self.code.as_str());
        error.string("\"message\"", self.message);
        if let Some(details) = self.details {
            error.raw("\"details\"", details.as_str());
        }
        error.finish_value()
    }
}

/// Whom a reply answers.
struct Asked<'m> {
    sender: &'m AgentId,
    id: Option<&'m MessageId>,
    conversation: Option<&'m MessageId>,
    traceparent: Option<&'m Traceparent>,
}

impl Reply<'_> {
    /// The reply to `message`. Its payload is not copied for [`ReplyBody::OfMessage`].
    pub fn to(&self, message: &Message) -> Rendered {
        let asked = Asked {
            sender: message.sender(),
            id: Some(message.id()),
            conversation: Some(message.conversation()),
            traceparent: message.traceparent(),
        };
        let mut out = self.start(&asked);
        match &self.body {
            ReplyBody::OfMessage => match message.payload_range() {
                Some(range) => out.share("\"payload\"", &message.text, range),
                None => out.raw("\"payload\"", "null"),
            },
            ReplyBody::Payload(payload) => out.raw("\"payload\"", payload.as_str()),
            ReplyBody::Error(error) => out.raw("\"error\"", &error.to_json()),
        }
        self.finish(out, &asked)
    }

    /// The reply to the call in an older envelope: [`ReplyBody`] becomes `{requestId, success, result | error}`.
    pub fn to_envelope(&self, message: &Message, envelope: &Envelope) -> Rendered {
        let response = envelope.response(message, &self.body);
        Reply { body: ReplyBody::Payload(&response), ..self.clone() }.to(message)
    }

    /// An error reply to a text that was refused. None when its sender cannot be read.
    pub fn to_refused(&self, envelope: &Salvage, error: ReplyError<'_>) -> Option<Rendered> {
        let asked = Asked {
            sender: envelope.sender.as_ref()?,
            id: envelope.id.as_ref(),
            conversation: envelope.id.as_ref(),
            traceparent: None,
        };
        let mut out = self.start(&asked);
        out.raw("\"error\"", &error.to_json());
        Some(self.finish(out, &asked))
    }

    fn start(&self, asked: &Asked<'_>) -> ObjectWriter {
        let body = match &self.body {
            ReplyBody::OfMessage => 0,
            ReplyBody::Payload(payload) => payload.as_str().len(),
            ReplyBody::Error(error) => error.message.len(),
        };
        let mut out = ObjectWriter::new(512 + body);
        out.string("\"id\"", self.id.as_str());
        out.string("\"sender\"", self.responder.as_str());
        out.string("\"recipient\"", asked.sender.as_str());
        out.string("\"action\"", self.action.as_str());
        if let Some(id) = asked.id {
            out.string("\"inReplyTo\"", id.as_str());
        }
        if let Some(conversation) = asked.conversation {
            out.string("\"correlationId\"", conversation.as_str());
        }
        out.number("\"timestamp\"", self.now_ms.min(MAX_INTEGER));
        out
    }

    fn finish(&self, mut out: ObjectWriter, asked: &Asked<'_>) -> Rendered {
        self.delivery.write(&mut out, asked.conversation.unwrap_or(&self.id), asked.traceparent);
        out.finish_file()
    }
}
