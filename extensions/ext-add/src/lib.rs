//! Adds two numbers with the library of another extension: action `math.add`, payload `{"a": 2, "b": 3}`, reply `5`.
//!
//! The example of linking: it imports `postroom-examples:ext-js/lib`, which is written in JavaScript, and does not know that. Its own
//! `lib` does the same sum in Rust, and is what `ext-js` asks for at run time.

use serde::Deserialize;
use serde_json::Number;

wit_bindgen::generate!({
    path: ["../../wit", "../ext-js/wit", "wit"],
    world: "postroom-examples:ext-add/ext-add@1.0.0",
    generate_all,
});

use exports::postroom::extension::describe::{About, Guest as Describe};
use exports::postroom::extension::handler::{Delivery, Failure, Guest as Handler, Message};
use exports::postroom_examples::ext_add::lib::Guest as Lib;
use postroom::extension::types::Retry;
use postroom_examples::ext_js::lib as javascript;

const ACTION: &str = "math.add";

/// Beyond this, neighbouring floating-point numbers are further apart than 1.
const LAST_EXACT_INTEGER: f64 = 9_007_199_254_740_991.0;

struct Add;

impl Handler for Add {
    fn handle(message: Message, _delivery: Delivery) -> Result<String, Failure> {
        if message.action != ACTION {
            let text = format!("`{}` is not an action of ext-add; it knows `{ACTION}`", message.action);
            return Err(refused("unknown-action", text));
        }
        let Terms { a, b } = serde_json::from_str(&message.payload).map_err(|_| {
            refused(
                "wrong-payload",
                "the payload must be an object with the numbers `a` and `b`, such as {\"a\":2,\"b\":3}",
            )
        })?;
        number(javascript::add(a, b)).ok_or_else(|| refused("out-of-range", "the sum is too big for a number"))
    }
}

impl Lib for Add {
    fn add(a: f64, b: f64) -> f64 {
        a + b
    }
}

impl Describe for Add {
    fn describe() -> About {
        About {
            version: env!("CARGO_PKG_VERSION").into(),
            description: "Adds the numbers `a` and `b` of the payload with the library of ext-js".into(),
            actions: vec![ACTION.into()],
            capabilities: vec!["math".into()],
        }
    }
}

#[derive(Deserialize)]
struct Terms {
    a: f64,
    b: f64,
}

/// As JSON. A whole number is written as one: `5`, not `5.0`.
fn number(value: f64) -> Option<String> {
    if value % 1.0 == 0.0 && value.abs() <= LAST_EXACT_INTEGER {
        return Some(format!("{value:.0}"));
    }
    Number::from_f64(value).map(|number| number.to_string())
}

/// The same message would fail again, so there is no use in another attempt.
fn refused(code: &str, message: impl Into<String>) -> Failure {
    Failure { code: code.into(), message: message.into(), details: None, retry: Retry::Final }
}

export!(Add);
