//! What a message is. Pure: no files, no clock, no handlers.
//!
//! | file | what it is |
//! | --- | --- |
//! | [`json`] | strict JSON, checked in one pass without a tree |
//! | `names`, `recipient`, `field` | ids, actions, trace parents; who gets a message; the table of fields |
//! | `body`, `parse` | a message over its own text; how it comes out of bytes |
//! | `refusal` | why a text is no message, and what could be read of it all the same |
//! | `digest` | equal content |
//! | `delivery`, `reply`, `rendered` | what the service writes: the delivered message, the answer; in pieces, without copies |
//! | `envelope` | the older `mcp.execute` and `mcp.response` |
//! | `code`, `outcome` | why a message fails; what a handler answers |
//! | `visible` | a stranger's text, made fit to be shown |
//!
//! Invariant: whatever is a [`Message`] was checked completely, and its text is never rewritten.

mod body;
mod code;
mod delivery;
mod digest;
mod envelope;
mod field;
pub mod json;
mod names;
mod outcome;
mod parse;
mod recipient;
mod refusal;
mod rendered;
mod reply;
mod schema;
mod visible;

pub use body::{DEFAULT_PRIORITY, ErrorBody, Given, MAX_PRIORITY, Message, Text};
pub use code::Code;
pub use delivery::{Delivery, Trust};
pub use digest::ContentDigest;
pub use envelope::Envelope;
pub use field::Field;
pub use names::{Action, AgentId, MAX_ACTION_CHARS, MAX_ID_CHARS, MessageId, NameError, NameProblem, Traceparent};
pub use outcome::{Failure, Handled, JsonText, Payload, Retry};
pub use parse::{MAX_ERROR_CODE_CHARS, MAX_SIGNATURE_CHARS};
pub use recipient::{MAX_RECIPIENTS, Recipient};
pub use refusal::{Refusal, Salvage};
pub use rendered::Rendered;
pub use reply::{Reply, ReplyBody, ReplyError};
pub use schema::SCHEMA;
pub use visible::{is_invisible, visible};

#[cfg(test)]
mod tests;
