//! Answers the action `{{name}}.hello` with a greeting.

use serde_json::{Value, json};

wit_bindgen::generate!({ path: "wit", world: "mine:extension/mine@1.0.0", generate_all });

use exports::postroom::extension::describe::{About, Guest as Describe};
use exports::postroom::extension::handler::{Delivery, Failure, Guest as Handler, Message};
use postroom::extension::types::Retry;

struct Mine;

impl Handler for Mine {
    fn handle(message: Message, _delivery: Delivery) -> Result<String, Failure> {
        if message.action != "{{name}}.hello" {
            return Err(refused("unknown-action", format!("`{}` is not an action of {{name}}", message.action)));
        }
        let payload: Value = serde_json::from_str(&message.payload).unwrap_or_default();
        match payload["name"].as_str() {
            Some(name) => Ok(json!({ "greeting": format!("Hello, {name}!") }).to_string()),
            None => Err(refused("wrong-payload", "the payload must have a `name`".into())),
        }
    }
}

impl Describe for Mine {
    fn describe() -> About {
        About {
            version: env!("CARGO_PKG_VERSION").into(),
            description: "Greets whoever the payload names".into(),
            actions: vec!["{{name}}.hello".into()],
            capabilities: vec![],
        }
    }
}

/// The same message would fail again, so there is no use in another attempt.
fn refused(code: &str, message: String) -> Failure {
    Failure { code: code.into(), message, details: None, retry: Retry::Final }
}

export!(Mine);
