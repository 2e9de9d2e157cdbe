//! Adds two numbers: action `math.add`, payload `{"a": 2, "b": 3}`, reply `5`.
//!
//! The starter for extensions in Rust: one function that takes a message and returns the payload of the reply or a failure, and one
//! that says what the extension is. Copy the folder, rename it, change the two.

use serde::Deserialize;
use serde_json::Number;

wit_bindgen::generate!({
    path: "../../wit",
    world: "described-extension",
});

use exports::postroom::extension::describe::{About, Guest as Describe};
use exports::postroom::extension::handler::{Delivery, Failure, Guest as Handler, Message};
use postroom::extension::types::Retry;

const ACTION: &str = "math.add";

struct Sum;

impl Handler for Sum {
    fn handle(message: Message, _delivery: Delivery) -> Result<String, Failure> {
        match message.action.as_str() {
            ACTION => add(&message.payload),
            other => {
                Err(refused("unknown-action", format!("`{other}` is not an action of ext-sum; it knows `{ACTION}`")))
            }
        }
    }
}

impl Describe for Sum {
    fn describe() -> About {
        About {
            version: env!("CARGO_PKG_VERSION").into(),
            description: "Adds the numbers `a` and `b` of the payload".into(),
            actions: vec![ACTION.into()],
            capabilities: vec!["math".into()],
        }
    }
}

#[derive(Deserialize)]
struct Terms {
    a: Number,
    b: Number,
}

/// Integers are added exactly. Where a term is not one, both are taken as floating point.
fn add(payload: &str) -> Result<String, Failure> {
    let Terms { a, b } = serde_json::from_str(payload).map_err(|_| {
        refused(
            "wrong-payload",
            "the payload must be an object with the numbers `a` and `b`, such as {\"a\":2,\"b\":3}",
        )
    })?;
    let sum = match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => a.checked_add(b).map(Number::from),
        _ => a.as_f64().zip(b.as_f64()).and_then(|(a, b)| Number::from_f64(a + b)),
    };
    match sum {
        Some(sum) => Ok(sum.to_string()),
        None => Err(refused("out-of-range", "the sum is too big for a number")),
    }
}

/// The same message would fail again, so there is no use in another attempt.
fn refused(code: &str, message: impl Into<String>) -> Failure {
    Failure { code: code.into(), message: message.into(), details: None, retry: Retry::Final }
}

export!(Sum);
