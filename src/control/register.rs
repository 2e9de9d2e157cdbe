//! `mcp.core.register`: the sender becomes known, with what it can do.

use super::parameters::Parameters;
use super::registration::{Registration, Request};
use super::{Answer, Call, Change, refuse, reply};
use crate::message::{Code, Failure, Handled, Payload};

/// How much an agent may say of itself: entries of a list, and characters of one text.
const MAX_ENTRIES: usize = 256;
const MAX_CHARS: usize = 1024;
/// And in all, in bytes, as it is stored: every service keeps all registrations in memory, and `discover` answers with them.
const MAX_STORED: usize = 64 << 10;

pub(super) fn answer(call: &Call) -> Result<Answer, Failure> {
    let request = Request::read(&Parameters::of(call)?)?;
    check_sizes(&request)?;
    let agent = call.message.sender();
    let limit = call.bus.agents_limit;
    let is_new = !call.bus.registered.contains_key(agent);
    if is_new && limit != 0 && call.bus.registered.len() as u64 >= limit {
        return Err(refuse(Code::RateLimited, format!("{limit} agents are registered already, which is the limit")));
    }
    let before = call.bus.registered.get(agent);
    let registration = Registration {
        agent: agent.to_string(),
        name: request.name,
        version: request.version,
        capabilities: request.capabilities,
        actions: request.actions,
        description: request.description,
        ttl_ms: request.ttl_ms,
        registered_at: before.map_or(call.bus.now_ms, |before| before.registered_at),
        last_seen: call.bus.now_ms,
    };
    let mut answer = reply(&registration);
    check_stored(&answer)?;
    answer.change = Some(Change::Register(agent.clone(), registration));
    Ok(answer)
}

/// The answer is the registration as it is stored.
fn check_stored(answer: &Answer) -> Result<(), Failure> {
    let Handled::Reply(Payload::Text(stored)) = &answer.handled else { return Ok(()) };
    match stored.as_str().len() {
        ..=MAX_STORED => Ok(()),
        bytes => {
            let message =
                format!("a registration has at most {MAX_STORED} bytes as it is stored; this one has {bytes}");
            Err(refuse(Code::InvalidMessage, message))
        }
    }
}

fn check_sizes(request: &Request) -> Result<(), Failure> {
    let texts = [Some(&request.name), Some(&request.version), request.description.as_ref()];
    let lists = [&request.capabilities, &request.actions];
    let too_many = lists.iter().any(|list| list.len() > MAX_ENTRIES);
    let mut all = texts.into_iter().flatten().chain(lists.into_iter().flatten());
    if too_many || all.any(|text| text.chars().count() > MAX_CHARS) {
        let message =
            format!("a registration has at most {MAX_ENTRIES} entries in a list and {MAX_CHARS} characters in a text");
        return Err(refuse(Code::InvalidMessage, message));
    }
    Ok(())
}
