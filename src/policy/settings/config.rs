//! `[extension.NAME.config]`: a table of the user's own, for the extension to read. Its values are turned into JSON text here, so that nobody
//! further down meets TOML.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::Value;

use crate::message::JsonText;

/// Keys, and values as JSON text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigTable(BTreeMap<String, JsonText>);

impl ConfigTable {
    pub fn get(&self, key: &str) -> Option<&JsonText> {
        self.0.get(key)
    }

    /// Everything, as one JSON object.
    pub fn to_object(&self) -> String {
        let members: Vec<String> =
            self.0.iter().map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), value.as_str())).collect();
        format!("{{{}}}", members.join(","))
    }
}

impl<'de> Deserialize<'de> for ConfigTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ConfigTable, D::Error> {
        let table = toml::Table::deserialize(deserializer)?;
        let entries = table.iter().map(|(key, value)| Ok((key.clone(), json_text(key, value)?)));
        entries.collect::<Result<_, String>>().map(ConfigTable).map_err(D::Error::custom)
    }
}

/// A value as strict JSON.
fn json_text(key: &str, value: &toml::Value) -> Result<JsonText, String> {
    let text = json(key, value)?.to_string();
    JsonText::parse(text).map_err(|error| format!("the value of {key:?} cannot be written as JSON: {error}"))
}

/// A date is text in JSON; a number that is none in JSON is refused.
fn json(place: &str, value: &toml::Value) -> Result<Value, String> {
    Ok(match value {
        toml::Value::String(text) => Value::from(text.as_str()),
        toml::Value::Integer(number) => Value::from(*number),
        toml::Value::Float(number) if number.is_finite() => Value::from(*number),
        toml::Value::Float(_) => return Err(format!("{place:?} is not a number that JSON has; write it as a string")),
        toml::Value::Boolean(flag) => Value::from(*flag),
        toml::Value::Datetime(moment) => Value::from(moment.to_string()),
        toml::Value::Array(elements) => {
            Value::Array(elements.iter().map(|element| json(place, element)).collect::<Result<_, _>>()?)
        }
        toml::Value::Table(table) => {
            let members = table.iter().map(|(key, value)| Ok((key.clone(), json(&format!("{place}.{key}"), value)?)));
            Value::Object(members.collect::<Result<_, String>>()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Result<ConfigTable, String> {
        toml::from_str(text).map_err(|error: toml::de::Error| error.message().to_owned())
    }

    #[test]
    fn every_kind_of_value_becomes_json() {
        let table = table(
            r#"
            text = "a\nb"
            whole = -3
            half = 0.5
            flag = true
            day = 2026-01-31
            list = [1, "x"]
            deep = { a = { b = [] } }
            "#,
        )
        .unwrap();
        let get = |key| table.get(key).map(|text| text.as_str());
        assert_eq!(get("text"), Some(r#""a\nb""#));
        assert_eq!(get("whole"), Some("-3"));
        assert_eq!(get("half"), Some("0.5"));
        assert_eq!(get("flag"), Some("true"));
        assert_eq!(get("day"), Some(r#""2026-01-31""#));
        assert_eq!(get("list"), Some(r#"[1,"x"]"#));
        assert_eq!(get("deep"), Some(r#"{"a":{"b":[]}}"#));
        assert_eq!(get("missing"), None);
        assert_eq!(
            table.to_object(),
            r#"{"day":"2026-01-31","deep":{"a":{"b":[]}},"flag":true,"half":0.5,"list":[1,"x"],"text":"a\nb","whole":-3}"#
        );
        assert_eq!(ConfigTable::default().to_object(), "{}");
    }

    #[test]
    fn what_json_cannot_say_exactly_is_refused() {
        assert!(table("x = nan").unwrap_err().contains("\"x\" is not a number that JSON has"));
        assert!(table("x = { y = [inf] }").unwrap_err().contains("\"x.y\""));
        assert!(table("x = 9007199254740993").unwrap_err().contains("an integer is outside"));
    }
}
