//! JSON Merge Patch (RFC 7396).

use serde_json::{Map, Value};

use crate::problem::Problem;

pub fn merged(target: &str, patch: &str) -> Result<String, Problem> {
    let mut value = serde_json::from_str(target).map_err(Problem::not_json)?;
    merge(&mut value, serde_json::from_str(patch).map_err(Problem::not_json)?);
    Ok(value.to_string())
}

fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(members) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            members.shift_remove(&name);
        } else {
            merge(members.entry(name).or_insert(Value::Null), value);
        }
    }
}
