//! A case for an extension: a message, and the reply that is expected.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use postroom::extension::{Call, ErrorReply, ExtensionHost, Message as GuestMessage, Nowhere, Trust};
use postroom::message::{Failure as HandlerFailure, Given, Handled, Message, Payload};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::cli::{Exit, Failure, text, units};

const MESSAGE: &str = ".message.json";
const REPLY: &str = ".reply.json";

/// One pair of files.
pub struct Case {
    pub name: String,
    message: PathBuf,
    reply: PathBuf,
}

/// Every case of a folder, by name.
pub fn all(folder: &Path) -> Result<Vec<Case>, Failure> {
    let failed = |error| Failure::io("list the cases in", folder, &error);
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let message = entry.map_err(failed)?.path();
        let file = message.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(name) = file.strip_suffix(MESSAGE).filter(|name| !name.is_empty()) {
            let reply = folder.join(format!("{name}{REPLY}"));
            cases.push(Case { name: name.to_owned(), message, reply });
        }
    }
    if cases.is_empty() {
        let what = format!("there are no cases in {}", text::path(folder));
        let hint = "a case is a pair of files NAME.message.json and NAME.reply.json";
        return Err(Failure::new(Exit::NotFound, what).with_hint(hint));
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}

impl Case {
    /// What should come, and what came.
    pub async fn run(&self, host: &ExtensionHost, extension: &str) -> Result<(Value, Value), Failure> {
        let expected = read(&self.reply)?;
        let expected: Value = serde_json::from_str(&expected).map_err(|error| wrong(&self.reply, &error))?;
        let message = self.message(extension)?;
        let handled = handle(host, extension, &message).await;
        let came = answer(handled, &message);
        Ok((expected, came))
    }

    /// The message of the file, with what it may leave out.
    fn message(&self, extension: &str) -> Result<Message, Failure> {
        let text = read(&self.message)?;
        let fields: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(&text).map_err(|error| wrong(&self.message, &error))?;
        let quoted = |text: &str| RawValue::from_string(Value::from(text).to_string());
        let mut fields = fields;
        for (field, value) in [("id", "case"), ("sender", "tester"), ("recipient", extension)] {
            if !fields.contains_key(field) {
                fields.insert(field.into(), quoted(value).map_err(|error| wrong(&self.message, &error))?);
            }
        }
        let text = serde_json::to_string(&fields).map_err(|error| wrong(&self.message, &error))?;
        let given = Given { file_identity: (0, 0), now_ms: units::now_ms() };
        Message::parse(text, given).map_err(|refusal| wrong(&self.message, &refusal))
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::io("read the case", path, &error))
}

fn wrong(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Usage, text::sentence(&format!("{} is no case: {error}", path.display())))
}

async fn handle(host: &ExtensionHost, extension: &str, message: &Message) -> Handled {
    let others: Vec<(&str, &str)> = message.extras().collect();
    let signed_ms = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    let error = message.error().map(|error| ErrorReply {
        code: &error.code,
        message: &error.message,
        details: message.error_details_text(),
    });
    let call = Call {
        message: GuestMessage {
            id: message.id().as_str(),
            sender: message.sender().as_str(),
            recipient: extension,
            action: message.action().as_str(),
            payload: message.payload_text(),
            error,
            timestamp: signed_ms(message.timestamp()),
            in_reply_to: message.in_reply_to().map(|id| id.as_str()),
            correlation_id: message.correlation_id().map(|id| id.as_str()),
            expires_at: message.expires_at().map(signed_ms),
            others: &others,
        },
        accepted_at: signed_ms(message.timestamp()),
        attempt: 1,
        hops: 0,
        trust: Trust::Unsigned,
        key_id: None,
    };
    let attempted = host.handle(extension, call, Arc::new(Nowhere)).await;
    if let Some(reusable) = attempted.reusable {
        // As on a bus where nothing comes in between.
        reusable.rest();
    }
    attempted.handled
}

/// The fields of a reply that a case can speak of: `payload`, or `error`.
fn answer(handled: Handled, message: &Message) -> Value {
    let parsed = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
    match handled {
        Handled::Reply(Payload::Text(text)) => serde_json::json!({ "payload": parsed(text.as_str()) }),
        Handled::Reply(Payload::OfMessage) => serde_json::json!({ "payload": parsed(message.payload_text()) }),
        Handled::Failed(HandlerFailure { code, message, details, retry: _ }) => {
            let mut error = serde_json::json!({ "code": code.as_str(), "message": message });
            if let Some(details) = details {
                error["details"] = parsed(details.as_str());
            }
            serde_json::json!({ "error": error })
        }
    }
}

/// Does what came say everything that is expected? A payload must be the same; of an error, what is expected must be there.
pub fn matches(expected: &Value, came: &Value) -> bool {
    match (expected.get("error"), came.get("error")) {
        (Some(expected), Some(came)) => has(came, expected),
        (_, _) => expected == came,
    }
}

fn has(came: &Value, expected: &Value) -> bool {
    match (came, expected) {
        (Value::Object(came), Value::Object(expected)) => {
            expected.iter().all(|(key, value)| came.get(key).is_some_and(|came| has(came, value)))
        }
        (came, expected) => came == expected,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_payload_is_compared_whole_an_error_as_far_as_it_is_told() {
        assert!(matches(&json!({"payload": {"a": [1, 2]}}), &json!({"payload": {"a": [1, 2]}})));
        assert!(!matches(&json!({"payload": {"a": 1}}), &json!({"payload": {"a": 1, "b": 2}})));
        let error = json!({"error": {"code": "handler-failed", "message": "no", "details": {"code": "x", "n": 1}}});
        assert!(matches(&json!({"error": {}}), &error));
        assert!(matches(&json!({"error": {"details": {"code": "x"}}}), &error));
        assert!(!matches(&json!({"error": {"details": {"code": "y"}}}), &error));
        assert!(!matches(&json!({"error": {"hint": null}}), &error));
        assert!(!matches(&json!({"payload": null}), &error));
        assert!(!matches(&error, &json!({"payload": null})));
    }
}
