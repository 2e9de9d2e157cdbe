//! From bytes to a message, or to a refusal that says which field has what, and what it may have.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::body::{DEFAULT_PRIORITY, ErrorBody, Fields, MAX_PRIORITY};
use super::json::{self, Kind, MAX_DEPTH, MAX_INTEGER, Member};
use super::recipient::MAX_RECIPIENTS;
use super::refusal::malformed;
use super::{
    Action, AgentId, Code, Field, Given, Message, MessageId, NameError, Recipient, Refusal, Salvage, Text, Traceparent,
    visible,
};

/// Characters that a signature may have: room for every scheme that is in use, and for a key id.
pub const MAX_SIGNATURE_CHARS: usize = 512;

/// Characters that the code of an error may have.
pub const MAX_ERROR_CODE_CHARS: usize = 128;

/// Characters of a wrong value that an error quotes.
const QUOTED: usize = 48;

/// A problem with a field: what is wrong, and a hint.
pub(super) struct Invalid {
    pub message: String,
    pub hint: Option<String>,
}

impl Message {
    /// Reads one message file. The bytes are not copied.
    ///
    /// # Errors
    /// What is not strict JSON is [`Code::MalformedJson`]; what is JSON but no message is [`Code::InvalidMessage`].
    pub fn parse(bytes: impl Into<Vec<u8>>, given: Given) -> Result<Message, Refusal> {
        let (text, outline) = match json::scan_bytes(bytes.into(), MAX_DEPTH) {
            Ok(scanned) => scanned,
            Err((bytes, stopped)) => {
                // The members lie before the error, in a part of the text that is valid UTF-8.
                let text = String::from_utf8(bytes).unwrap_or_default();
                let members = if text.is_empty() { &[][..] } else { &stopped.members };
                // They are counted from behind a byte order mark.
                let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
                return Err(malformed(&stopped.error, Salvage::read(text, members)));
            }
        };
        match read_fields(&text, outline.kind, outline.members, given) {
            Ok(fields) => Ok(Message { text: Text::new(text), fields: Arc::new(fields) }),
            Err((invalid, members)) => Err(Refusal {
                code: Code::InvalidMessage,
                message: invalid.message,
                hint: invalid.hint,
                incomplete: false,
                envelope: Box::new(Salvage::read(&text, &members)),
            }),
        }
    }
}

fn read_fields(text: &str, kind: Kind, members: Vec<Member>, given: Given) -> Result<Fields, (Invalid, Vec<Member>)> {
    if kind != Kind::Object {
        let message = format!("a message is a JSON object, not {}", kind.described());
        return Err((Invalid { message, hint: None }, Vec::new()));
    }
    let mut slots = [None; Field::ALL.len()];
    for (index, member) in members.iter().enumerate() {
        if let Some(field) = Field::named(&json::unescape(member.key.of(text))) {
            slots[field as usize] = Some(index as u32);
        }
    }
    let reader = Reader { text, members: &members, slots };
    match reader.read(given) {
        Ok(mut fields) => {
            fields.members = members;
            Ok(fields)
        }
        Err(invalid) => Err((invalid, members)),
    }
}

/// The fields of one text while they are checked.
struct Reader<'t> {
    text: &'t str,
    members: &'t [Member],
    slots: [Option<u32>; Field::ALL.len()],
}

impl Reader<'_> {
    /// The checks in the order of the bus format's table; the first problem is reported.
    fn read(&self, given: Given) -> Result<Fields, Invalid> {
        for field in Field::REQUIRED {
            if self.get(field).is_none() {
                return Err(self.missing(field));
            }
        }
        let signature = self.signature()?;
        Ok(Fields {
            members: Vec::new(),
            slots: self.slots,
            id: self.id(given)?,
            sender: self.required(Field::Sender, AgentId::parse)?,
            recipient: self.recipient()?,
            action: self.required(Field::Action, Action::parse)?,
            timestamp: self.milliseconds(Field::Timestamp)?.unwrap_or_else(|| given.timestamp()),
            signature,
            in_reply_to: self.name(Field::InReplyTo, MessageId::parse)?,
            correlation_id: self.name(Field::CorrelationId, MessageId::parse)?,
            expires_at: self.milliseconds(Field::ExpiresAt)?,
            not_before: self.milliseconds(Field::NotBefore)?,
            priority: self.priority()?,
            traceparent: self.name(Field::Traceparent, Traceparent::parse)?,
            error: self.error()?,
        })
    }

    fn milliseconds(&self, field: Field) -> Result<Option<u64>, Invalid> {
        self.integer(field, MAX_INTEGER, "Unix milliseconds as a whole number")
    }

    fn priority(&self) -> Result<u8, Invalid> {
        let stated = self.integer(Field::Priority, u64::from(MAX_PRIORITY), "a whole number from 0 to 9")?;
        Ok(stated.map_or(DEFAULT_PRIORITY, |number| number as u8))
    }

    fn get(&self, field: Field) -> Option<&Member> {
        self.slots[field as usize].map(|index| &self.members[index as usize])
    }

    fn missing(&self, field: Field) -> Invalid {
        Invalid { message: format!("the field \"{}\" is missing", field.name()), hint: self.misspelled(field) }
    }

    /// A field with a similar name that the bus format does not know. Looks at a bounded number of short keys.
    fn misspelled(&self, field: Field) -> Option<String> {
        let keys = self.members.iter().take(64).map(|member| json::unescape(member.key.of(self.text)));
        let unknown = keys.filter(|key| key.len() <= 32 && Field::named(key).is_none());
        let plain = |key: &str| key.replace(['_', '-', ' '], "").to_lowercase();
        let with_distance = unknown.map(|key| (strsim::damerau_levenshtein(&plain(&key), field.name()), key));
        let (_, nearest) = with_distance.filter(|(distance, _)| *distance <= 2).min()?;
        Some(format!("\"{}\" looks like a misspelling of \"{}\"", visible(&nearest, QUOTED), field.name()))
    }

    /// A field whose value is a string.
    fn string(&self, field: Field) -> Result<Option<std::borrow::Cow<'_, str>>, Invalid> {
        match self.get(field) {
            None => Ok(None),
            Some(member) if member.kind == Kind::String => Ok(Some(json::unescape(member.value.of(self.text)))),
            Some(member) => Err(self.wrong_type(field, member, "a string")),
        }
    }

    fn name<T>(&self, field: Field, parse: fn(&str) -> Result<T, NameError>) -> Result<Option<T>, Invalid> {
        let Some(text) = self.string(field)? else {
            return Ok(None);
        };
        parse(&text)
            .map(Some)
            .map_err(|error| Invalid::new(format!("the field \"{}\" is {error}", field.name())).reworded())
    }

    fn required<T>(&self, field: Field, parse: fn(&str) -> Result<T, NameError>) -> Result<T, Invalid> {
        self.name(field, parse)?.ok_or_else(|| self.missing(field))
    }

    fn id(&self, given: Given) -> Result<MessageId, Invalid> {
        Ok(self.name(Field::Id, MessageId::parse)?.unwrap_or_else(|| given.id(self.text)))
    }

    /// A signature covers the id and the timestamp, so neither can be added to a signed message.
    fn signature(&self) -> Result<Option<String>, Invalid> {
        let Some(signature) = self.string(Field::Signature)? else {
            return Ok(None);
        };
        if signature.is_empty() || signature.chars().nth(MAX_SIGNATURE_CHARS).is_some() {
            return Err(Invalid::new(format!(
                "the field \"signature\" has {} characters; it may have 1 to {MAX_SIGNATURE_CHARS}",
                signature.chars().count()
            )));
        }
        for field in [Field::Id, Field::Timestamp] {
            if self.get(field).is_none() {
                return Err(Invalid {
                    message: format!("the message is signed, but the field \"{}\" is missing", field.name()),
                    hint: Some("state it before signing, or leave out \"signature\"".into()),
                });
            }
        }
        Ok(Some(signature.into_owned()))
    }

    /// A whole number from 0 to `max`, written with digits alone.
    fn integer(&self, field: Field, max: u64, wanted: &str) -> Result<Option<u64>, Invalid> {
        let Some(member) = self.get(field) else {
            return Ok(None);
        };
        if member.kind != Kind::Number {
            return Err(self.wrong_type(field, member, wanted));
        }
        match member.value.of(self.text).parse::<u64>() {
            Ok(number) if number <= max => Ok(Some(number)),
            spelled => {
                let mut invalid = self.wrong_type(field, member, wanted);
                invalid.hint = Some(match spelled {
                    Ok(_) => format!("the largest that it may be is {max}"),
                    Err(_) => "write it with digits alone: no fraction, no exponent, no minus sign".into(),
                });
                Err(invalid)
            }
        }
    }

    fn recipient(&self) -> Result<Recipient, Invalid> {
        let Some(member) = self.get(Field::Recipient) else {
            return Err(self.missing(Field::Recipient));
        };
        let spelled = member.value.of(self.text);
        match member.kind {
            Kind::String => match &*json::unescape(spelled) {
                "*" => Ok(Recipient::All),
                _ => self.required(Field::Recipient, AgentId::parse).map(Recipient::One),
            },
            Kind::Array => recipients(spelled).map(Recipient::of),
            Kind::Object | Kind::Number | Kind::Bool | Kind::Null => {
                Err(self.wrong_type(Field::Recipient, member, "an agent id, \"*\" or a list of agent ids"))
            }
        }
    }

    fn error(&self) -> Result<Option<ErrorBody>, Invalid> {
        let Some(member) = self.get(Field::Error) else {
            return Ok(None);
        };
        if self.get(Field::Payload).is_some() {
            return Err(Invalid {
                message: "the message has both \"payload\" and \"error\"".into(),
                hint: Some(
                    "an error reply has \"error\" in place of \"payload\"; put more into \"error\".\"details\"".into(),
                ),
            });
        }
        if member.kind != Kind::Object {
            return Err(self.wrong_type(Field::Error, member, "an object with \"code\" and \"message\""));
        }
        read_error(member.value.of(self.text), member.value.range().start).map(Some)
    }

    fn wrong_type(&self, field: Field, member: &Member, wanted: &str) -> Invalid {
        let (name, value) = (field.name(), quoted(member, self.text));
        let hint = (member.kind == Kind::Null).then(|| format!("leave \"{name}\" out instead of setting it to null"));
        Invalid { message: format!("the field \"{name}\" must be {wanted}, but is {value}"), hint }
    }
}

impl Invalid {
    pub(super) fn new(message: String) -> Invalid {
        Invalid { message, hint: None }
    }

    /// "is "x" must not" reads better with a comma and "which".
    fn reworded(mut self) -> Invalid {
        self.message = self.message.replacen("\" must ", "\", which must ", 1).replacen("\" may ", "\", which may ", 1);
        self
    }
}

/// A value for an error: its kind, and its text where that says more.
fn quoted(member: &Member, text: &str) -> String {
    match member.kind {
        Kind::Null => "null".into(),
        Kind::Object | Kind::Array => member.kind.described().into(),
        Kind::String | Kind::Number | Kind::Bool => {
            format!("{} ({})", member.kind.described(), visible(member.value.of(text), QUOTED))
        }
    }
}

/// The elements of a list of recipients. The text was scanned before, as a part of the message.
fn recipients(spelled: &str) -> Result<Vec<AgentId>, Invalid> {
    let elements = rescan(spelled)?;
    if elements.is_empty() || elements.len() > MAX_RECIPIENTS {
        return Err(Invalid::new(format!(
            "the field \"recipient\" lists {} agents; it may list 1 to {MAX_RECIPIENTS}",
            elements.len()
        )));
    }
    let mut agents = Vec::with_capacity(elements.len());
    for (index, element) in elements.iter().enumerate() {
        if element.kind != Kind::String {
            let value = quoted(element, spelled);
            return Err(Invalid::new(format!("element {index} of \"recipient\" must be an agent id, but is {value}")));
        }
        let agent = AgentId::parse(&json::unescape(element.value.of(spelled))).map_err(|error| {
            let hint = (error.name == "*").then(|| "\"*\" stands alone, not in a list".to_owned());
            Invalid { message: format!("element {index} of \"recipient\" is {error}"), hint }.reworded()
        })?;
        if agents.contains(&agent) {
            return Err(Invalid::new(format!("the field \"recipient\" lists \"{agent}\" twice")));
        }
        agents.push(agent);
    }
    Ok(agents)
}

/// The members of an error object that lies at `offset` of the message's text.
fn read_error(spelled: &str, offset: usize) -> Result<ErrorBody, Invalid> {
    let mut code = None;
    let mut message = None;
    let mut details = None;
    for member in rescan(spelled)? {
        let target = match &*json::unescape(member.key.of(spelled)) {
            "code" => &mut code,
            "message" => &mut message,
            "details" => {
                let range = member.value.range();
                details = Some(offset + range.start..offset + range.end);
                continue;
            }
            _ => continue,
        };
        if member.kind == Kind::String {
            *target = Some(json::unescape(member.value.of(spelled)).into_owned());
        }
    }
    match (code, message) {
        (Some(code), Some(message)) if !code.is_empty() && code.chars().nth(MAX_ERROR_CODE_CHARS).is_none() => {
            Ok(ErrorBody { code, message, details })
        }
        (Some(_), Some(_)) => {
            Err(Invalid::new(format!("\"code\" in \"error\" must have 1 to {MAX_ERROR_CODE_CHARS} characters")))
        }
        (None, _) => Err(Invalid::new("the object \"error\" must have a string \"code\"".into())),
        (Some(_), None) => Err(Invalid::new("the object \"error\" must have a string \"message\"".into())),
    }
}

/// What lies directly in a value that was already scanned as a part of the message.
pub(super) fn rescan(spelled: &str) -> Result<Vec<Member>, Invalid> {
    match json::scan(spelled, MAX_DEPTH) {
        Ok(outline) => Ok(outline.members),
        Err(error) => Err(Invalid::new(error.to_string())),
    }
}

impl Given {
    /// `g-` and half of a SHA-256 over the file's identity and text.
    fn id(self, text: &str) -> MessageId {
        let (inode, changed_ns) = self.file_identity;
        let mut hasher = Sha256::new();
        hasher.update(b"postroom given id 1\n");
        hasher.update(inode.to_le_bytes());
        hasher.update(changed_ns.to_le_bytes());
        hasher.update(text);
        let mut id = String::from("g-");
        for byte in &hasher.finalize()[..16] {
            id.push_str(&format!("{byte:02x}"));
        }
        MessageId::parse(&id).expect("g- and hex digits follow the pattern of an id")
    }

    fn timestamp(self) -> u64 {
        let changed_ms = self.file_identity.1.div_euclid(1_000_000);
        match u64::try_from(changed_ms) {
            Ok(changed_ms @ 1..=MAX_INTEGER) => changed_ms,
            Ok(_) | Err(_) => self.now_ms.min(MAX_INTEGER),
        }
    }
}
