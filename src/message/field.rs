//! The fields of a message: the table of the bus format, section 3. The schema is tested against it.

/// A field that the bus format names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Field {
    Id,
    Sender,
    Recipient,
    Action,
    Payload,
    Timestamp,
    Signature,
    InReplyTo,
    CorrelationId,
    ExpiresAt,
    NotBefore,
    Priority,
    Traceparent,
    Error,
    Delivery,
}

impl Field {
    /// Every field, in the order of the bus format.
    pub const ALL: [Field; 15] = [
        Field::Id,
        Field::Sender,
        Field::Recipient,
        Field::Action,
        Field::Payload,
        Field::Timestamp,
        Field::Signature,
        Field::InReplyTo,
        Field::CorrelationId,
        Field::ExpiresAt,
        Field::NotBefore,
        Field::Priority,
        Field::Traceparent,
        Field::Error,
        Field::Delivery,
    ];

    /// Those without which there is no message.
    pub const REQUIRED: [Field; 3] = [Field::Sender, Field::Recipient, Field::Action];

    /// The key in the file.
    pub fn name(self) -> &'static str {
        match self {
            Field::Id => "id",
            Field::Sender => "sender",
            Field::Recipient => "recipient",
            Field::Action => "action",
            Field::Payload => "payload",
            Field::Timestamp => "timestamp",
            Field::Signature => "signature",
            Field::InReplyTo => "inReplyTo",
            Field::CorrelationId => "correlationId",
            Field::ExpiresAt => "expiresAt",
            Field::NotBefore => "notBefore",
            Field::Priority => "priority",
            Field::Traceparent => "traceparent",
            Field::Error => "error",
            Field::Delivery => "delivery",
        }
    }

    /// The field with this key.
    pub fn named(key: &str) -> Option<Field> {
        Field::ALL.into_iter().find(|field| field.name() == key)
    }
}
