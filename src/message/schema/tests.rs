//! The schema says what the code does: the same fields, the same names, and the same verdict on the samples and the corpus.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::SCHEMA;
use crate::message::{Action, AgentId, Field, Given, Message, Traceparent};

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

/// Just enough of draft 2020-12 for our own schema; a keyword that it does not know is a failure, not a yes.
fn is_valid(root: &Value, schema: &Value, value: &Value) -> bool {
    let all = |list: &Value| list.as_array().unwrap().iter().all(|part| is_valid(root, part, value));
    let names = |list: &Value| list.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some());
    let length = |value: &Value| value.as_str().map(|text| text.chars().count() as u64);
    schema.as_object().unwrap().iter().all(|(keyword, argument)| match keyword.as_str() {
        "$schema" | "$id" | "$defs" | "title" | "description" | "default" => true,
        "$ref" => is_valid(root, root.pointer(argument.as_str().unwrap().strip_prefix('#').unwrap()).unwrap(), value),
        "type" => match argument.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
            other => panic!("type {other}"),
        },
        "const" => value == argument,
        "required" => !value.is_object() || names(argument),
        "dependentRequired" => {
            argument.as_object().unwrap().iter().all(|(key, list)| value.get(key).is_none() || names(list))
        }
        "properties" => argument
            .as_object()
            .unwrap()
            .iter()
            .all(|(key, part)| value.get(key).is_none_or(|inner| is_valid(root, part, inner))),
        "items" => value.as_array().is_none_or(|list| list.iter().all(|inner| is_valid(root, argument, inner))),
        "minItems" => value.as_array().is_none_or(|list| list.len() as u64 >= argument.as_u64().unwrap()),
        "maxItems" => value.as_array().is_none_or(|list| list.len() as u64 <= argument.as_u64().unwrap()),
        "uniqueItems" => {
            value.as_array().is_none_or(|list| (1..list.len()).all(|index| !list[..index].contains(&list[index])))
        }
        "minLength" => length(value).is_none_or(|length| length >= argument.as_u64().unwrap()),
        "maxLength" => length(value).is_none_or(|length| length <= argument.as_u64().unwrap()),
        "minimum" => value.as_f64().is_none_or(|number| number >= argument.as_f64().unwrap()),
        "maximum" => value.as_f64().is_none_or(|number| number <= argument.as_f64().unwrap()),
        "pattern" => {
            value.as_str().is_none_or(|text| regex_lite::Regex::new(argument.as_str().unwrap()).unwrap().is_match(text))
        }
        "not" => !is_valid(root, argument, value),
        "allOf" => all(argument),
        "anyOf" => argument.as_array().unwrap().iter().any(|part| is_valid(root, part, value)),
        other => panic!("keyword {other}"),
    })
}

fn property(name: &str, value: &str) -> bool {
    let schema = schema();
    is_valid(&schema, &schema["properties"][name], &Value::from(value))
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect();
    assert!(files.len() >= 8, "only {} files in {}", files.len(), folder.display());
    files
}

#[test]
fn names_the_fields_of_the_code() {
    let schema = schema();
    let mut listed: Vec<&str> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    let mut known: Vec<&str> = Field::ALL.map(Field::name).to_vec();
    listed.sort();
    known.sort();
    assert_eq!(listed, known);
    let required: Vec<&str> =
        schema["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(required, Field::REQUIRED.map(Field::name));
}

#[test]
fn has_the_patterns_of_the_code() {
    let (long, too_long) = ("x".repeat(128), "x".repeat(129));
    for name in [
        "a",
        "0",
        "A.b_c-d",
        "con1",
        "com",
        "com10",
        "a.con",
        "reply",
        "a.replyx",
        &long,
        "",
        ".a",
        "-a",
        "a..b",
        "a.",
        "a.reply",
        "a/b",
        "ä",
        "a b",
        "a\n",
        "CON",
        "con.txt",
        "Nul",
        "aux.a.b",
        "PRN",
        "com0",
        "COM9.json",
        "lpT5",
        "lpt5x",
        "a~b",
        "*",
        &too_long,
    ] {
        assert_eq!(property("id", name), AgentId::parse(name).is_ok(), "{name:?}");
    }
    let (long, too_long) = ("ä".repeat(256), "ä".repeat(257));
    for action in ["a", "math.add", " ", "", "a\n", "a\u{7f}", "\u{85}", "a\u{a0}", &long, &too_long] {
        assert_eq!(property("action", action), Action::parse(action).is_ok(), "{action:?}");
    }
    let (trace, zero) = ("0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", "0".repeat(32));
    for traceparent in [
        &format!("00-{trace}-01"),
        &format!("ff-{trace}-01"),
        &format!("00-{trace}-0"),
        &format!("00-{trace}-01-x"),
        &format!("00-{zero}-b7ad6b7169203331-01"),
        &format!("00-{}-0000000000000000-01", &trace[..32]),
        &format!("00-{}-01", trace.to_uppercase()),
        "",
    ] {
        assert_eq!(property("traceparent", traceparent), Traceparent::parse(traceparent).is_ok(), "{traceparent:?}");
    }
}

#[test]
fn takes_the_samples_and_the_good_corpus_as_the_code_does() {
    let schema = schema();
    for path in files("ai-communication/samples").into_iter().chain(files("tests/corpus/good")) {
        let bytes = std::fs::read(&path).unwrap();
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        assert!(is_valid(&schema, &schema, &value), "{}", path.display());
        let given = Given { file_identity: (1, 1_763_683_200_000_000_000), now_ms: 0 };
        Message::parse(bytes, given).unwrap_or_else(|refusal| panic!("{}: {refusal}", path.display()));
    }
}

#[test]
fn refuses_what_the_code_calls_invalid() {
    // The value is a whole number, only its spelling is not: a schema cannot see that.
    let only_the_code_sees = ["timestamp-with-fraction.json", "priority-with-exponent.json"];
    let schema = schema();
    for path in files("tests/corpus/bad/invalid-message") {
        let name = path.file_name().unwrap().to_str().unwrap();
        let value: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(is_valid(&schema, &schema, &value), only_the_code_sees.contains(&name), "{}", path.display());
    }
}
