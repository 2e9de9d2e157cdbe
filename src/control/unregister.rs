//! `mcp.core.unregister`: the sender's registration ends. Its inbox stays. Not being registered is no error.

use super::{Answer, Call, Change, reply};
use crate::message::Failure;

pub(super) fn answer(call: &Call) -> Result<Answer, Failure> {
    let mut answer = reply(&());
    let agent = call.message.sender();
    answer.change = call.bus.registered.contains_key(agent).then(|| Change::Unregister(agent.clone()));
    Ok(answer)
}
