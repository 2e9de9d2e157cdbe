//! `mcp.core.discover`: every agent and extension that matches.

use std::io::{self, Write};

use serde::Serialize;

use super::parameters::Parameters;
use super::{Answer, Call, Extension, Registration, refuse};
use crate::message::{Code, Failure, Handled, JsonText, Payload};

struct Request {
    /// Only those with this capability.
    capability: Option<String>,
    /// Only who answers actions of this namespace (`namespace.command`).
    namespace: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Found<'a> {
    agents: Vec<Agent<'a>>,
    extensions: Vec<&'a Extension>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Agent<'a> {
    #[serde(flatten)]
    registration: &'a Registration,
    away: bool,
}

impl Request {
    fn matches(&self, capabilities: &[String], actions: &[String]) -> bool {
        let in_namespace =
            |action: &String, namespace: &str| action.strip_prefix(namespace).is_some_and(|rest| rest.starts_with('.'));
        self.capability.as_ref().is_none_or(|wanted| capabilities.contains(wanted))
            && self.namespace.as_ref().is_none_or(|wanted| actions.iter().any(|action| in_namespace(action, wanted)))
    }
}

pub(super) fn answer(call: &Call) -> Result<Answer, Failure> {
    let parameters = Parameters::of_optional(call)?;
    let request = Request {
        capability: parameters.optional_text("capability")?,
        namespace: parameters.optional_text("namespace")?,
    };
    let agents = call.bus.registered.values().filter(|agent| request.matches(&agent.capabilities, &agent.actions));
    let extensions = call.bus.extensions.iter().filter(|ext| request.matches(&ext.capabilities, &ext.actions));
    let now = call.bus.now_ms;
    let found = Found {
        agents: agents.map(|registration| Agent { registration, away: registration.is_away(now) }).collect(),
        extensions: extensions.collect(),
    };
    reply_within(call.bus.reply_bytes, &found)
}

/// The reply, if it has at most `max` bytes. No more than that is ever built.
fn reply_within(max: usize, found: &Found) -> Result<Answer, Failure> {
    let mut bounded = Bounded { bytes: Vec::new(), left: max };
    if serde_json::to_writer(&mut bounded, found).is_err() {
        let (agents, extensions) = (found.agents.len(), found.extensions.len());
        let message = format!(
            "{agents} agents and {extensions} extensions match, and what they say of themselves has more than {max} bytes; \
             ask with a \"capability\" or a \"namespace\" that fewer have"
        );
        return Err(refuse(Code::ResourceLimit, message));
    }
    let text = String::from_utf8(bounded.bytes).expect("JSON is UTF-8");
    Ok(Answer { handled: Handled::Reply(Payload::Text(JsonText::trusted(text))), change: None })
}

/// Takes so many bytes and no more.
struct Bounded {
    bytes: Vec<u8>,
    left: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self.left.checked_sub(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_that_would_be_too_large_is_none() {
        let extension = Extension {
            name: "ext".into(),
            version: "1".into(),
            description: String::new(),
            capabilities: Vec::new(),
            actions: vec!["a.b".into(); 100],
            sha256: String::new(),
        };
        let found = Found { agents: Vec::new(), extensions: vec![&extension; 3] };
        let length = serde_json::to_string(&found).expect("JSON").len();
        let whole = reply_within(length, &found).expect("it fits");
        let Handled::Reply(Payload::Text(text)) = whole.handled else { panic!("no text") };
        assert_eq!(text.as_str().len(), length);
        let failure = reply_within(length - 1, &found).expect_err("one byte too many");
        assert_eq!(failure.code, Code::ResourceLimit);
        assert!(failure.message.contains("\"capability\""), "{}", failure.message);
    }
}
