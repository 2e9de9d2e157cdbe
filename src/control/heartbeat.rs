//! `mcp.core.heartbeat`: the sender is still there.

use super::{Answer, Call, Change, refuse, reply};
use crate::message::{Code, Failure};

pub(super) fn answer(call: &Call) -> Result<Answer, Failure> {
    let agent = call.message.sender();
    let Some(registration) = call.bus.registered.get(agent) else {
        let message = format!("{:?} is not registered; send mcp.core.register first", agent.as_str());
        return Err(refuse(Code::HandlerFailed, message));
    };
    let mut registration = registration.clone();
    registration.last_seen = call.bus.now_ms;
    let mut answer = reply(&registration);
    answer.change = Some(Change::Register(agent.clone(), registration));
    Ok(answer)
}
