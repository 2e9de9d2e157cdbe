//! Two ways to ask. An extension is called and answers at once, within this attempt. An agent is sent a message, and its answer comes as
//! another message, into another instance: who asked is remembered in the state until then.

use serde::Deserialize;
use serde_json::json;

use crate::postroom::extension::bus::{self, Outgoing};
use crate::postroom::extension::state;
use crate::{Failure, Message, notes, parsed, refused, settings, stored};

/// The action of the question, and so that of its answer.
pub const QUESTION: &str = "notes.question";
/// The action of the message that passes the answer on.
const ANSWER: &str = "notes.answer";

pub fn count() -> Result<String, Failure> {
    let texts = json!(notes::texts()?).to_string();
    // A failure of the other one is the failure of this: code, text, and whether to try again.
    bus::call(&settings::counter()?, "text.count", &texts)
}

#[derive(Deserialize)]
struct Question {
    agent: String,
    question: String,
}

fn asked_under(id: &str) -> String {
    format!("asked/{id}")
}

pub fn ask(message: &Message) -> Result<String, Failure> {
    let Question { agent, question } = parsed(&message.payload, "{\"agent\": its id, \"question\": a string}")?;
    let question = Outgoing {
        correlation_id: message.correlation_id.clone(),
        ..to(&agent, QUESTION, json!({ "question": question }).to_string())
    };
    let id = bus::send(&question)?;
    // Sent and remembered together, when this message commits, or neither.
    state::set(&asked_under(&id), json!(message.sender).to_string().as_bytes())?;
    Ok(json!({ "id": id }).to_string())
}

pub fn answered(answer: &Message) -> Result<String, Failure> {
    let key = asked_under(answer.in_reply_to.as_deref().unwrap_or_default());
    let Some(asker) = state::get(&key)? else {
        return Err(refused("not-asked", format!("`{QUESTION}` is taken as the answer to a question only")));
    };
    let asker: String = stored(&key, &asker)?;
    let text = match &answer.error {
        None => answer.payload.clone(),
        Some(error) => json!({ "error": error.code, "message": error.message }).to_string(),
    };
    bus::send(&to(&asker, ANSWER, text))?;
    state::delete(&key)?;
    Ok("null".into())
}

/// A message with nothing but what it must have.
pub fn to(recipient: &str, action: &str, payload: String) -> Outgoing {
    Outgoing {
        recipients: vec![recipient.into()],
        action: action.into(),
        payload,
        in_reply_to: None,
        correlation_id: None,
        expires_at: None,
        not_before: None,
        priority: None,
    }
}
