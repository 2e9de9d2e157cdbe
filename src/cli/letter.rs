//! The options that make a message, and the message's text made from them. Shared by `send` and `call`.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use postroom::message::{Action, AgentId, Code, MAX_RECIPIENTS, MessageId, Recipient, json};
use uuid::Uuid;

use super::{Exit, Failure, text, units};

/// A longer text is not repeated in a hint.
const EXAMPLE_MAX: usize = 60;

/// What a message says, and to whom.
#[derive(Debug, Args)]
pub struct Letter {
    /// Who gets it; repeat for several, or '*' for everybody whom it may concern
    #[arg(long, required = true, value_name = "NAME", value_parser = recipient)]
    to: Vec<String>,
    /// What to do, such as mcp.core.echo
    #[arg(long, value_name = "ACTION")]
    action: Action,
    /// Who sends; answers come to this inbox
    #[arg(long, value_name = "NAME", default_value = "cli")]
    from: AgentId,
    /// The payload: JSON, or KEY=VALUE pairs (a VALUE is JSON where it can be, text otherwise), or - for standard input
    #[arg(value_name = "PAYLOAD")]
    payload: Vec<String>,
    /// Read the payload from a file
    #[arg(long, value_name = "FILE", conflicts_with = "payload")]
    payload_file: Option<PathBuf>,
    /// The message's id [default: a new UUIDv7]
    #[arg(long, value_name = "ID")]
    id: Option<MessageId>,
    /// 0 to 9; higher goes first among what is waiting [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=9))]
    priority: Option<u8>,
    /// Not handled after this time from now, such as 30s, 5m, 2h; a bare number is seconds
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    expires_in: Option<Duration>,
    /// Not handled before this time from now
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    delay: Option<Duration>,
    /// Not handled before this moment, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "MOMENT", value_parser = units::moment, conflicts_with = "delay")]
    not_before: Option<u64>,
    /// The id of the message that this one answers
    #[arg(long, value_name = "ID")]
    reply_to: Option<MessageId>,
    /// The id of the conversation that it belongs to
    #[arg(long, value_name = "ID")]
    correlation: Option<MessageId>,
}

fn recipient(text: &str) -> Result<String, String> {
    if text == "*" {
        return Ok(text.to_owned());
    }
    AgentId::parse(text).map(|name| name.to_string()).map_err(|error| error.to_string())
}

impl Letter {
    /// The message's text. Our own fields are put around the payload as it is spelled.
    pub fn write(&self) -> Result<String, Failure> {
        if self.to.len() > MAX_RECIPIENTS || (self.to.len() > 1 && self.to.iter().any(|name| name == "*")) {
            let says = format!("--to takes '*' alone, or 1 to {MAX_RECIPIENTS} names");
            return Err(Failure::new(Exit::Usage, says));
        }
        let payload = self.payload()?;
        let now = units::now_ms();
        let after = |wait: Duration| now.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        let id = self.id.as_ref().map_or_else(|| Uuid::now_v7().to_string(), ToString::to_string);
        let mut out = format!("{{\"id\":{},\"sender\":{}", quoted(&id), quoted(self.from.as_str()));
        let mut field = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                out.push_str(&format!(",\"{name}\":{value}"));
            }
        };
        field("recipient", Some(self.recipients()));
        field("action", Some(quoted(self.action.as_str())));
        field("inReplyTo", self.reply_to.as_ref().map(|id| quoted(id.as_str())));
        field("correlationId", self.correlation.as_ref().map(|id| quoted(id.as_str())));
        field("priority", self.priority.map(|priority| priority.to_string()));
        field("expiresAt", self.expires_in.map(|wait| after(wait).to_string()));
        field("notBefore", self.not_before.or(self.delay.map(after)).map(|ms| ms.to_string()));
        field("timestamp", Some(now.to_string()));
        field("payload", payload);
        out.push('}');
        Ok(out)
    }

    fn recipients(&self) -> String {
        match self.to.as_slice() {
            [one] => quoted(one),
            many => format!("[{}]", many.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(",")),
        }
    }

    fn payload(&self) -> Result<Option<String>, Failure> {
        if let Some(path) = &self.payload_file {
            let read = read_file(path)?;
            let of_file = || format!("in the file {}", text::path(path));
            return checked(read, of_file, of_text).map(Some);
        }
        match self.payload.as_slice() {
            [] => Ok(None),
            [dash] if dash == "-" => {
                let read = read_standard_input()?;
                checked(read, || "on the standard input".into(), of_text).map(Some)
            }
            pairs if pairs.iter().all(|argument| pair(argument).is_some()) => object(pairs).map(Some),
            [typed] => {
                checked(typed.clone(), || format!("argument {}", text::field(&quoted(typed))), of_argument).map(Some)
            }
            _ => Err(Failure::new(Exit::Usage, "several payload arguments must all be KEY=VALUE")
                .with_hint("put JSON into one argument: '{\"a\":1}'")),
        }
    }
}

/// The payload, if it is JSON. Checked before the message is put together, so that a position is one in what was typed.
fn checked(
    payload: String,
    place: impl Fn() -> String,
    hint: impl Fn(&str, &json::Error) -> Option<String>,
) -> Result<String, Failure> {
    // The message is around it.
    match json::scan(&payload, json::MAX_DEPTH - 1) {
        Ok(_) => Ok(payload),
        // What is too long for a message is said of the message, with its limit.
        Err(error) if error.kind == json::ErrorKind::TooLong => Ok(payload),
        Err(error) => {
            let says = format!("{}: the payload {} is not strict JSON: {error}", Code::MalformedJson, place());
            let failure = Failure::new(Exit::Refused, says);
            Err(match hint(&payload, &error) {
                Some(hint) => failure.with_hint(hint),
                None => failure,
            })
        }
    }
}

/// What was typed without any sign of JSON was meant as a string.
fn of_argument(typed: &str, error: &json::Error) -> Option<String> {
    if typed.trim_start().starts_with(['{', '[', '"']) || error.kind == json::ErrorKind::NotANumber {
        return of_text(typed, error);
    }
    let example = if typed.chars().count() <= EXAMPLE_MAX { typed } else { "TEXT" };
    Some(format!("text has to be quoted: '{}'", quoted(example).replace('\'', r"'\''")))
}

/// The hints for a text that ends too early or goes on after its end are about files in the drop.
fn of_text(_: &str, error: &json::Error) -> Option<String> {
    let is_of_files = error.is_incomplete() || error.kind == json::ErrorKind::Trailing;
    error.hint().filter(|_| !is_of_files).map(str::to_owned)
}

/// Reads `KEY=VALUE`. No JSON text begins with a letter and has a `=` right after the word, so nothing is guessed.
fn pair(argument: &str) -> Option<(&str, &str)> {
    let (key, value) = argument.split_once('=')?;
    let starts_well = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let goes_on_well = key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    (starts_well && goes_on_well).then_some((key, value))
}

/// The object that the pairs mean. What is wrong with it is said of the arguments: nobody has seen the object.
fn object(pairs: &[String]) -> Result<String, Failure> {
    let wrong = |says: String| Failure::new(Exit::Usage, format!("{says}; nothing was sent"));
    let mut members: Vec<(&str, String)> = Vec::new();
    for (key, value) in pairs.iter().filter_map(|argument| pair(argument)) {
        if members.iter().any(|(other, _)| *other == key) {
            return Err(wrong(format!("the key {} is given twice", quoted(key))));
        }
        // The object and the message are around it.
        let value = match json::scan(value, json::MAX_DEPTH - 2) {
            Ok(_) => value.to_owned(),
            Err(error) if error.kind == json::ErrorKind::TooDeep => {
                return Err(wrong(format!("the value of {} is nested too deeply", quoted(key))));
            }
            Err(_) => quoted(value),
        };
        members.push((key, value));
    }
    let members: Vec<String> = members.iter().map(|(key, value)| format!("{}:{value}", quoted(key))).collect();
    Ok(format!("{{{}}}", members.join(",")))
}

fn read_file(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::io("read the payload", path, &error))
}

fn read_standard_input() -> Result<String, Failure> {
    let mut read = String::new();
    std::io::stdin().read_to_string(&mut read).map_err(|error| {
        Failure::new(Exit::Failure, format!("cannot read the payload from the standard input: {error}"))
    })?;
    Ok(read)
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The recipients of a message as words.
pub fn words(recipient: &Recipient) -> Vec<String> {
    match recipient {
        Recipient::One(one) => vec![one.to_string()],
        Recipient::Many(many) => many.iter().map(ToString::to_string).collect(),
        Recipient::All => vec!["*".to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_become_an_object_and_keep_spellings() {
        let pairs = ["a=1.0", "b=two words", "c=\"3\"", "d=[1,2]", "e=", "f=x=y"].map(str::to_owned);
        assert_eq!(
            object(&pairs).expect("an object"),
            r#"{"a":1.0,"b":"two words","c":"3","d":[1,2],"e":"","f":"x=y"}"#
        );
        for json in ["{\"a\":\"b=c\"}", "\"a=b\"", "[1]", "1=2", "true"] {
            assert_eq!(pair(json), None, "{json}");
        }
    }
}
