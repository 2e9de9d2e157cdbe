//! What the user may set in `[extension.NAME.config]`.

use crate::postroom::extension::config;
use crate::{Failure, refused};

/// How many notes there may be, where `limit` does not say.
const LIMIT: u64 = 1000;
/// Who counts words, where `counter` does not say.
const COUNTER: &str = "ext-text";

pub fn limit() -> Result<u64, Failure> {
    let Some(json) = config::get("limit") else { return Ok(LIMIT) };
    json.parse().map_err(|_| refused("wrong-config", format!("`limit` must be a whole number of notes; it is {json}")))
}

pub fn counter() -> Result<String, Failure> {
    let Some(json) = config::get("counter") else { return Ok(COUNTER.into()) };
    serde_json::from_str(&json)
        .map_err(|_| refused("wrong-config", format!("`counter` must be the name of an extension; it is {json}")))
}
