//! Counts words, picks values out of JSON, merges JSON. For messages, as a library for other extensions, and as a subcommand.
//!
//! | action | payload | reply |
//! | --- | --- | --- |
//! | `text.count` | a string | `{"characters", "words", "lines", "bytes"}` |
//! | | an object or an array | `{"total": {...}, "at": {POINTER: {...}}}`, with every string in it |
//! | `json.pick` | `{"from": anything, "at": POINTER}` | the value there, byte for byte |
//! | | `{"from": anything, "at": {NAME: POINTER}}` | an object of the values under these names |
//! | `json.merge` | `{"target": anything, "patch": anything}` | the target, changed as RFC 7396 says |
//!
//! Absent on purpose: keys of objects are not counted; they are names, not texts.

mod command;
mod count;
mod merge;
mod pointer;
mod problem;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use problem::Problem;

wit_bindgen::generate!({
    path: ["../../wit", "wit"],
    world: "postroom-examples:ext-text/ext-text@1.0.0",
    generate_all,
});

use exports::postroom::extension::cli::{Guest as Cli, Subcommand};
use exports::postroom::extension::describe::{About, Guest as Describe};
use exports::postroom::extension::handler::{Delivery, Failure, Guest as Handler, Message};
use exports::postroom_examples::ext_text::lib;
use postroom::extension::types::Retry;

const COUNT: &str = "text.count";
const PICK: &str = "json.pick";
const MERGE: &str = "json.merge";

struct Text;

impl Handler for Text {
    fn handle(message: Message, _delivery: Delivery) -> Result<String, Failure> {
        match message.action.as_str() {
            COUNT => count(&message.payload),
            PICK => pick(&message.payload),
            MERGE => merge(&message.payload),
            other => Err(refused(
                "unknown-action",
                format!("`{other}` is not an action of ext-text; it knows `{COUNT}`, `{PICK}` and `{MERGE}`"),
            )),
        }
    }
}

fn count(payload: &str) -> Result<String, Failure> {
    let expected = "a string, or an object or array with strings in it";
    let counted = match parsed(payload, expected)? {
        Value::String(text) => serde_json::to_string(&count::of(&text)),
        value @ (Value::Array(_) | Value::Object(_)) => serde_json::to_string(&count::Counted::of(&value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => return Err(wrong_payload(expected, None)),
    };
    counted.map_err(|error| refused("internal", error.to_string()))
}

#[derive(Deserialize)]
struct Pick {
    from: Box<RawValue>,
    at: Value,
}

fn pick(payload: &str) -> Result<String, Failure> {
    let expected = "{\"from\": any value, \"at\": a JSON Pointer, or an object of names and JSON Pointers}";
    let Pick { from, at } = parsed(payload, expected)?;
    let picked = |pointer: &str| pointer::pick(from.get(), pointer).map_err(failed);
    match at {
        Value::String(pointer) => picked(&pointer).map(str::to_owned),
        Value::Object(names) => {
            let mut members = Vec::new();
            for (name, pointer) in &names {
                let pointer = pointer.as_str().ok_or_else(|| wrong_payload(expected, None))?;
                members.push(format!("{}:{}", Value::from(name.as_str()), picked(pointer)?));
            }
            Ok(format!("{{{}}}", members.join(",")))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => Err(wrong_payload(expected, None)),
    }
}

#[derive(Deserialize)]
struct Merge {
    target: Box<RawValue>,
    patch: Box<RawValue>,
}

fn merge(payload: &str) -> Result<String, Failure> {
    let Merge { target, patch } = parsed(payload, "{\"target\": any value, \"patch\": any value}")?;
    merge::merged(target.get(), patch.get()).map_err(failed)
}

impl lib::Guest for Text {
    fn count(text: String) -> lib::Counts {
        let count::Counts { characters, words, lines, bytes } = count::of(&text);
        lib::Counts { characters, words, lines, bytes }
    }

    fn pick(json: String, pointer: String) -> Result<String, lib::Problem> {
        pointer::pick(&json, &pointer).map(str::to_owned).map_err(lib::Problem::from)
    }

    fn merge(target: String, patch: String) -> Result<String, lib::Problem> {
        merge::merged(&target, &patch).map_err(lib::Problem::from)
    }
}

impl From<Problem> for lib::Problem {
    fn from(problem: Problem) -> lib::Problem {
        match problem {
            Problem::NotJson(text) => lib::Problem::NotJson(text),
            Problem::NotAPointer(text) => lib::Problem::NotAPointer(text),
            Problem::NothingThere(text) => lib::Problem::NothingThere(text),
        }
    }
}

impl Describe for Text {
    fn describe() -> About {
        About {
            version: env!("CARGO_PKG_VERSION").into(),
            description: "Counts words, picks values out of JSON, merges JSON".into(),
            actions: vec![COUNT.into(), PICK.into(), MERGE.into()],
            capabilities: vec!["text".into(), "json".into()],
        }
    }
}

impl Cli for Text {
    fn spec() -> Subcommand {
        command::spec()
    }

    fn run(arguments: Vec<String>) -> u8 {
        command::run(&arguments)
    }
}

fn parsed<T: DeserializeOwned>(payload: &str, expected: &str) -> Result<T, Failure> {
    serde_json::from_str(payload).map_err(|error| wrong_payload(expected, Some(error)))
}

/// Says what was expected, and what the parser missed.
fn wrong_payload(expected: &str, error: Option<serde_json::Error>) -> Failure {
    let mut message = format!("the payload must be {expected}");
    let mut details = Map::new();
    details.insert("expected".into(), expected.into());
    if let Some(error) = error {
        message = format!("{message}; {error}");
    }
    Failure { details: Some(Value::Object(details).to_string()), ..refused("wrong-payload", message) }
}

fn failed(problem: Problem) -> Failure {
    match problem {
        Problem::NotJson(text) => refused("not-json", text),
        Problem::NotAPointer(text) => refused("not-a-pointer", text),
        Problem::NothingThere(text) => refused("nothing-there", text),
    }
}

/// The same message would fail again, so there is no use in another attempt.
fn refused(code: &str, message: impl Into<String>) -> Failure {
    Failure { code: code.into(), message: message.into(), details: None, retry: Retry::Final }
}

export!(Text);
