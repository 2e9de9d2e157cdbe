//! Two ways to wait. `sleep-ms` keeps this attempt alive, so it is for moments, and ends with the deadline. `not-before` lets the message
//! end and another one begin later, also when the service was restarted in between, so it is for hours.

use serde::Deserialize;
use serde_json::json;

use crate::asking::to;
use crate::postroom::extension::bus::{self, Outgoing};
use crate::postroom::extension::{clock, random};
use crate::{Failure, Message, parsed};

/// The action of the message that reminds.
const REMINDER: &str = "notes.reminder";
/// 128 bits cannot be guessed.
const TOKEN_BYTES: u32 = 16;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reminder {
    text: String,
    after_ms: u32,
}

pub fn remind(message: &Message) -> Result<String, Failure> {
    let Reminder { text, after_ms } =
        parsed(&message.payload, "{\"text\": a string, \"afterMs\": a number of milliseconds}")?;
    let at = clock::now_ms() + i64::from(after_ms);
    let reminder = Outgoing {
        not_before: Some(at),
        correlation_id: message.correlation_id.clone(),
        ..to(&message.sender, REMINDER, json!({ "text": text }).to_string())
    };
    let id = bus::send(&reminder)?;
    Ok(json!({ "id": id, "at": at }).to_string())
}

#[derive(Deserialize)]
struct Moment {
    ms: u32,
}

pub fn wait(payload: &str) -> Result<String, Failure> {
    let Moment { ms } = parsed(payload, "{\"ms\": a number of milliseconds}")?;
    let start = clock::monotonic_ns();
    clock::sleep_ms(ms);
    let waited = clock::monotonic_ns().saturating_sub(start) / 1_000_000;
    Ok(json!({ "waitedMs": waited }).to_string())
}

pub fn token() -> String {
    let digits: String = random::bytes(TOKEN_BYTES).iter().map(|byte| format!("{byte:02x}")).collect();
    json!({ "token": digits }).to_string()
}
