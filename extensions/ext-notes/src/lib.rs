//! Keeps notes, reminds of them later, and asks others about them: the example of what the service offers to an extension.
//!
//! | action | payload | reply | shows |
//! | --- | --- | --- | --- |
//! | `notes.add` | `{"text"}` | `{"number"}` | `state`, `log`, `config` (`limit`: how many notes there may be) |
//! | `notes.list` | | `[{"number", "text"}]` | `state.keys` |
//! | `notes.remove` | `{"number"}` | the note that is gone | `state.delete` |
//! | `notes.count` | | what `text.count` says of all notes | `bus.call`: another extension, nested, waited for |
//! | `notes.remind` | `{"text", "afterMs"}` | `{"id", "at"}` | `bus.send` with `not-before`, `clock` |
//! | `notes.ask` | `{"agent", "question"}` | `{"id"}` | `bus.send`, and its answer as a message of its own |
//! | `notes.wait` | `{"ms"}` | `{"waitedMs"}` | `clock.sleep-ms`: others go on meanwhile |
//! | `notes.token` | | `{"token"}` | `random` |
//!
//! Needs the grant `bus`, and `[extension.NAME.config]` may set `limit` and `counter` (the extension that counts; `ext-text`).

mod asking;
mod notes;
mod settings;
mod waiting;

use serde::de::DeserializeOwned;

wit_bindgen::generate!({
    path: ["../../wit", "wit"],
    world: "postroom-examples:ext-notes/ext-notes@1.0.0",
    generate_all,
});

use exports::postroom::extension::describe::{About, Guest as Describe};
use exports::postroom::extension::handler::{Delivery, Failure, Guest as Handler, Message};
use exports::postroom::extension::init::Guest as Init;
use postroom::extension::types::Retry;

const ADD: &str = "notes.add";
const LIST: &str = "notes.list";
const REMOVE: &str = "notes.remove";
const COUNT: &str = "notes.count";
const REMIND: &str = "notes.remind";
const ASK: &str = "notes.ask";
const WAIT: &str = "notes.wait";
const TOKEN: &str = "notes.token";
const ACTIONS: [&str; 8] = [ADD, LIST, REMOVE, COUNT, REMIND, ASK, WAIT, TOKEN];

struct Notes;

impl Handler for Notes {
    fn handle(message: Message, _delivery: Delivery) -> Result<String, Failure> {
        match message.action.as_str() {
            ADD => notes::add(&message.payload),
            LIST => notes::list(),
            REMOVE => notes::remove(&message.payload),
            COUNT => asking::count(),
            REMIND => waiting::remind(&message),
            ASK => asking::ask(&message),
            asking::QUESTION => asking::answered(&message),
            WAIT => waiting::wait(&message.payload),
            TOKEN => Ok(waiting::token()),
            other => Err(refused(
                "unknown-action",
                format!("`{other}` is not an action of ext-notes; it knows `{}`", ACTIONS.join("`, `")),
            )),
        }
    }
}

impl Init for Notes {
    /// Wrong settings are said when the extension is loaded, not with the first message.
    fn init() -> Result<(), Failure> {
        settings::limit()?;
        settings::counter()?;
        Ok(())
    }
}

impl Describe for Notes {
    fn describe() -> About {
        About {
            version: env!("CARGO_PKG_VERSION").into(),
            description: "Keeps notes, reminds of them later, asks others about them".into(),
            actions: ACTIONS.map(str::to_owned).into(),
            capabilities: vec!["notes".into(), "reminders".into()],
        }
    }
}

fn parsed<'a, T: serde::Deserialize<'a>>(payload: &'a str, expected: &str) -> Result<T, Failure> {
    serde_json::from_str(payload)
        .map_err(|error| refused("wrong-payload", format!("the payload must be {expected}; {error}")))
}

/// What this extension has stored itself: it can be read, unless somebody else has written it.
fn stored<T: DeserializeOwned>(key: &str, value: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(value)
        .map_err(|error| refused("damaged-state", format!("what is stored as `{key}`: {error}")))
}

/// The same message would fail again, so there is no use in another attempt.
fn refused(code: &str, message: impl Into<String>) -> Failure {
    Failure { code: code.into(), message: message.into(), details: None, retry: Retry::Final }
}

export!(Notes);
