//! `bus.call`: somebody else handles a message now, within this attempt.

use std::sync::Arc;

use wasmtime::StoreContextMut;

use super::send::invalid;
use crate::extension::Surroundings;
use crate::extension::host::clock::now_ms;
use crate::extension::host::failure::Refused;
use crate::extension::link::{NestedMessage, handle_nested};
use crate::extension::tenant::{Importer, Tenant};
use crate::message::{Action, AgentId, Handled, JsonText, Payload};
use crate::policy::nearest;

/// The payload of the reply.
pub(super) async fn call(
    store: StoreContextMut<'_, Tenant>,
    caller: &Importer,
    recipient: &str,
    action: &str,
    payload: String,
) -> Result<String, Refused> {
    let chain = store.data().chain.clone();
    let Some(surroundings) = &chain.surroundings else { return Err(Refused::no_message()) };
    Action::parse(action).map_err(|error| invalid(format!("the action is {error}")))?;
    let payload =
        JsonText::parse(payload).map_err(|error| invalid(format!("the payload is not strict JSON: {error}")))?;
    if recipient == AgentId::POSTROOM {
        return control(surroundings, caller, action, &payload).await;
    }
    if chain.set.find(recipient).is_none() {
        return Err(nobody(recipient, chain.set.units().map(|unit| unit.name())));
    }
    let message = NestedMessage {
        id: uuid::Uuid::now_v7().to_string(),
        action: action.to_owned(),
        payload: payload.as_str().to_owned(),
        timestamp: now_ms(),
    };
    let reply = handle_nested(store, caller, recipient, message).await?;
    Ok(reply.as_str().to_owned())
}

/// The service answers. What a failed command would have changed is forgotten.
async fn control(
    surroundings: &Arc<dyn Surroundings>,
    caller: &Importer,
    action: &str,
    payload: &JsonText,
) -> Result<String, Refused> {
    let before = surroundings.mark();
    match surroundings.control(&caller.name, action, payload.as_str()).await {
        Handled::Reply(Payload::Text(reply)) => Ok(reply.as_str().to_owned()),
        Handled::Reply(Payload::OfMessage) => Ok(payload.as_str().to_owned()),
        Handled::Failed(failure) => {
            surroundings.forget_since(before);
            Err(failure.into())
        }
    }
}

/// No extension has this name.
fn nobody<'a>(recipient: &str, extensions: impl Iterator<Item = &'a str>) -> Refused {
    if let Err(error) = AgentId::parse(recipient) {
        return Refused::new("unknown-recipient", format!("the recipient is {error}"));
    }
    let hint = match nearest(recipient, extensions).first() {
        Some(near) => format!("did you mean `{near}`?"),
        None => "an agent is reached by `send`".to_owned(),
    };
    Refused::new("not-an-extension", format!("`{recipient}` is no installed extension; {hint}"))
}
