//! `bus.call`: another extension handles a message within the attempt of its caller.
//!
//! It runs in fresh stores, so whatever becomes of it, the caller goes on. What it has sent and stored joins the caller's effects if it
//! replies, and is taken out again if it fails.

use wasmtime::StoreContextMut;

use super::super::attempt;
use super::super::call::{self, Call, Message, Trust};
use super::super::tenant::{Importer, Tenant};
use super::call::enter;
use crate::message::{Code, Failure, Handled, JsonText, Payload, Retry};

/// A message from one extension to another.
#[derive(Clone, Debug)]
pub(in crate::extension) struct NestedMessage {
    pub(in crate::extension) id: String,
    pub(in crate::extension) action: String,
    /// Strict JSON.
    pub(in crate::extension) payload: String,
    /// Unix milliseconds.
    pub(in crate::extension) timestamp: i64,
}

/// Has an extension handle a message. The deadline, the memory and every other limit are those of the attempt.
///
/// # Errors
/// What the other one has answered, or why it did not; where `wit/` has a code for that, it is `code` in the details.
pub(in crate::extension) async fn handle_nested(
    store: StoreContextMut<'_, Tenant>,
    caller: &Importer,
    extension: &str,
    message: NestedMessage,
) -> Result<JsonText, Failure> {
    let chain = store.data().chain.clone();
    let set = chain.set.clone();
    let Some(unit) = set.find(extension) else {
        let message = format!("no extension `{extension}` is installed");
        return Err(Failure { code: Code::UnknownRecipient, message, details: None, retry: Retry::Final });
    };
    let _entered = enter(&chain, caller.index, unit.index()).map_err(|error| call::link_failure(&error))?;
    let before = chain.collected().effects.savepoint();
    let mark = chain.surroundings.as_ref().map(|surroundings| surroundings.mark());
    let nested = Call {
        message: Message {
            id: &message.id,
            sender: &caller.name,
            recipient: extension,
            action: &message.action,
            payload: &message.payload,
            error: None,
            timestamp: message.timestamp,
            in_reply_to: None,
            correlation_id: None,
            expires_at: None,
            others: &[],
        },
        accepted_at: chain.call.accepted_at,
        attempt: chain.call.attempt,
        hops: chain.call.hops,
        // The service itself knows who calls.
        trust: Trust::Signed,
        key_id: None,
    };
    let handled = match Box::pin(attempt::handle_within(&chain, unit, &nested)).await {
        Handled::Reply(Payload::Text(reply)) => Ok(reply),
        Handled::Reply(Payload::OfMessage) => Ok(JsonText::trusted(message.payload.clone())),
        Handled::Failed(failure) => Err(failure),
    };
    if handled.is_err() {
        chain.forgive();
        chain.collected().effects.roll_back(before);
        if let (Some(surroundings), Some(mark)) = (&chain.surroundings, mark) {
            surroundings.forget_since(mark);
        }
    }
    handled
}
