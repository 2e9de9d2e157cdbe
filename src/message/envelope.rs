//! The older envelope (bus format, section 6): action `mcp.execute` carries the real call in its payload, and `mcp.response`
//! carries what came of it.

use std::ops::Range;

use super::json::{self, Kind, Member};
use super::parse::{Invalid, rescan};
use super::rendered::ObjectWriter;
use super::{Action, Code, JsonText, Message, Refusal, ReplyBody, Salvage, visible};

/// Characters of a wrong value that an error quotes.
const QUOTED: usize = 48;

/// Bytes that the spelling of a `requestId` may have; it is given back as it came.
const MAX_REQUEST_ID: usize = 1024;

/// The call inside of an `mcp.execute` message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// `namespace.command`.
    pub action: Action,
    /// Where `parameters` lies in the message's text; None if there is none.
    pub parameters: Option<Range<usize>>,
    /// `requestId` as it is spelled: a string or a number. The message's id where there is none.
    request_id: String,
}

impl Envelope {
    /// The action of a call.
    pub const EXECUTE: &'static str = "mcp.execute";
    /// The action of its answer.
    pub const RESPONSE: &'static str = "mcp.response";

    /// The call in `message`; None if it is not of this kind.
    ///
    /// # Errors
    /// [`Code::InvalidMessage`] where the payload does not have the form of a call.
    pub fn parse(message: &Message) -> Result<Option<Envelope>, Refusal> {
        if message.action().as_str() != Envelope::EXECUTE {
            return Ok(None);
        }
        Envelope::read(message).map(Some).map_err(|invalid| Refusal {
            code: Code::InvalidMessage,
            message: invalid.message,
            hint: invalid.hint,
            incomplete: false,
            envelope: Box::new(Salvage::read(message.text.as_str(), &message.fields.members).with_id(message.id())),
        })
    }

    /// The call in a message that is refused, as far as it can be read: its answer is an `mcp.response` too. None if it is not of
    /// this kind.
    pub fn of_refused(message: &Message) -> Option<Envelope> {
        match Envelope::parse(message) {
            Ok(envelope) => envelope,
            Err(_) => {
                let payload = message.payload_text();
                let members = if payload.starts_with('{') { rescan(payload).unwrap_or_default() } else { Vec::new() };
                let member = members.iter().find(|member| json::unescape(member.key.of(payload)) == "requestId");
                let stated = member.and_then(|member| request_id(payload, member).ok());
                let request_id = stated.unwrap_or_else(|| format!("\"{}\"", message.id()));
                Some(Envelope { action: message.action().clone(), parameters: None, request_id })
            }
        }
    }

    fn read(message: &Message) -> Result<Envelope, Invalid> {
        let payload = message.payload_text();
        if !payload.starts_with('{') {
            return Err(Invalid::new(format!(
                "the payload of \"{}\" must be an object with \"namespace\" and \"command\"",
                Envelope::EXECUTE
            )));
        }
        let members = rescan(payload)?;
        let get = |key: &str| members.iter().find(|member| json::unescape(member.key.of(payload)) == key);
        let action =
            format!("{}.{}", word(payload, "namespace", get("namespace"))?, word(payload, "command", get("command"))?);
        let action = Action::parse(&action)
            .map_err(|error| Invalid::new(format!("\"namespace\" and \"command\" together: {error}")))?;
        let offset = message.payload_range().map_or(0, |range| range.start);
        let parameters = get("parameters").map(|member| member.value.range());
        let request_id = match get("requestId") {
            // The pattern of an id has nothing that JSON escapes.
            None => format!("\"{}\"", message.id()),
            Some(member) => request_id(payload, member)?,
        };
        let parameters = parameters.map(|range| offset + range.start..offset + range.end);
        Ok(Envelope { action, parameters, request_id })
    }

    /// The parameters as they are spelled; `null` if there are none. `message` is the one that was parsed.
    pub fn parameters_text<'m>(&self, message: &'m Message) -> &'m str {
        self.parameters.clone().map_or("null", |range| &message.text.as_str()[range])
    }

    /// `{requestId, success, result | error}`. The payload "of the message" is its parameters.
    pub fn response(&self, message: &Message, body: &ReplyBody<'_>) -> JsonText {
        let mut out = ObjectWriter::new(128);
        out.raw("\"requestId\"", &self.request_id);
        let succeeded = |out: &mut ObjectWriter, result: &str| {
            out.raw("\"success\"", "true");
            out.raw("\"result\"", result);
        };
        match body {
            ReplyBody::OfMessage => succeeded(&mut out, self.parameters_text(message)),
            ReplyBody::Payload(payload) => succeeded(&mut out, payload.as_str()),
            ReplyBody::Error(error) => {
                out.raw("\"success\"", "false");
                out.raw("\"error\"", &error.to_json());
            }
        }
        JsonText::trusted(out.finish_value())
    }
}

fn word<'p>(payload: &'p str, key: &str, member: Option<&Member>) -> Result<std::borrow::Cow<'p, str>, Invalid> {
    match member {
        Some(member) if member.kind == Kind::String => match json::unescape(member.value.of(payload)) {
            empty if empty.is_empty() => Err(Invalid::new(format!("\"{key}\" in the payload must not be empty"))),
            word => Ok(word),
        },
        Some(member) => {
            let kind = member.kind.described();
            Err(Invalid::new(format!("\"{key}\" in the payload must be a string, but is {kind}")))
        }
        None => Err(Invalid::new(format!("\"{key}\" is missing in the payload of \"{}\"", Envelope::EXECUTE))),
    }
}

fn request_id(payload: &str, member: &Member) -> Result<String, Invalid> {
    let spelled = member.value.of(payload);
    let is_right = matches!(member.kind, Kind::String | Kind::Number) && spelled.len() <= MAX_REQUEST_ID;
    if is_right {
        return Ok(spelled.to_owned());
    }
    Err(Invalid::new(format!(
        "\"requestId\" in the payload must be a string or a number of at most {MAX_REQUEST_ID} bytes, but is {}",
        visible(spelled, QUOTED)
    )))
}
