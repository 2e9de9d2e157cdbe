//! What the service adds to a message when it hands it over: the `delivery` object, and the message with it.

use super::json::{self, MAX_INTEGER};
use super::rendered::ObjectWriter;
use super::{Field, Message, MessageId, Rendered, Traceparent};

/// Under this size a value is copied into the head; above it, three pieces are cheaper than one copy.
const COPIED: usize = 1024;

/// What the service knows about one delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// When the message was accepted, in Unix milliseconds.
    pub accepted_at: u64,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    pub trust: Trust,
    /// How many messages, each caused by the one before, led to this one.
    pub hops: u32,
    /// What the message is called on the bus from its claim on.
    pub ticket: String,
    /// The span in which it is handled; the message's own where this is None.
    pub traceparent: Option<Traceparent>,
}

/// Was the sender proven?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    Unsigned,
    Signed { key_id: String },
}

impl Message {
    /// The message as it lies in an inbox or reaches a handler: its fields in their order and spelling, without the `delivery`
    /// that the sender wrote, with id and timestamp where they were given, and with `delivery` at the end.
    pub fn render_delivered(&self, delivery: &Delivery) -> Rendered {
        let text = self.text.as_str();
        let shared = self.largest_member().filter(|index| self.fields.members[*index].value.range().len() > COPIED);
        let shared_len = shared.map_or(0, |index| self.fields.members[index].value.range().len());
        let mut out = ObjectWriter::new(text.len() - shared_len + 256);
        if self.slot(Field::Id).is_none() {
            out.string("\"id\"", self.id().as_str());
        }
        let dropped = self.fields.slots[Field::Delivery as usize].map(|index| index as usize);
        for (index, member) in self.fields.members.iter().enumerate() {
            if Some(index) == dropped {
                continue;
            }
            if Some(index) == shared {
                out.share(member.key.of(text), &self.text, member.value.range());
            } else {
                out.raw(member.key.of(text), member.value.of(text));
            }
        }
        if self.slot(Field::Timestamp).is_none() {
            out.number("\"timestamp\"", self.timestamp());
        }
        delivery.write(&mut out, self.conversation(), self.traceparent());
        out.finish_file()
    }

    /// Where the most bytes are that need not be copied.
    fn largest_member(&self) -> Option<usize> {
        let dropped = self.fields.slots[Field::Delivery as usize].map(|index| index as usize);
        let members = self.fields.members.iter().enumerate().filter(|(index, _)| Some(*index) != dropped);
        members.max_by_key(|(_, member)| member.value.range().len()).map(|(index, _)| index)
    }
}

impl Delivery {
    pub(super) fn write(&self, out: &mut ObjectWriter, conversation: &MessageId, own: Option<&Traceparent>) {
        let mut inner = ObjectWriter::new(256);
        inner.number("\"acceptedAt\"", self.accepted_at.min(MAX_INTEGER));
        inner.number("\"attempt\"", u64::from(self.attempt));
        match &self.trust {
            Trust::Unsigned => inner.raw("\"trust\"", "\"unsigned\""),
            Trust::Signed { key_id } => {
                inner.raw("\"trust\"", "\"signed\"");
                inner.string("\"keyId\"", key_id);
            }
        }
        inner.number("\"hops\"", u64::from(self.hops));
        inner.string("\"correlationId\"", conversation.as_str());
        inner.string("\"ticket\"", &self.ticket);
        if let Some(traceparent) = self.traceparent.as_ref().or(own) {
            inner.string("\"traceparent\"", traceparent.as_str());
        }
        out.raw("\"delivery\"", &inner.finish_value());
    }

    /// Reads `hops` of the `delivery` that a file of the service states. None where it states none.
    pub fn stated_hops(delivery_text: &str) -> Option<u32> {
        stated(delivery_text, "hops")?.parse().ok()
    }

    /// The same of `ticket`.
    pub fn stated_ticket(delivery_text: &str) -> Option<String> {
        let spelled = stated(delivery_text, "ticket")?;
        spelled.starts_with('"').then(|| json::unescape(spelled).into_owned())
    }
}

/// How the `delivery` of a file spells the value of a field.
fn stated<'a>(delivery_text: &'a str, field: &str) -> Option<&'a str> {
    let outline = json::scan(delivery_text, json::MAX_DEPTH).ok()?;
    let member = outline.members.iter().find(|member| json::unescape(member.key.of(delivery_text)) == field)?;
    Some(member.value.of(delivery_text))
}
