//! What the demo shows, one act a function. Each waits for what must happen and checks it.

use std::path::Path;

use postroom::bus::layout;
use serde_json::{Value, json};

use super::stage::Stage;
use crate::cli::Failure;

type Act = fn(&mut Stage) -> Result<(), Failure>;

pub const ACTS: [(&str, Act); 7] = [
    ("A bus is a folder", a_bus),
    ("A service watches it; extensions/ holds a WebAssembly component", a_service),
    ("A shell drops a message for the extension, and the reply is a file", an_extension),
    ("An agent registers, by a message like any other", an_agent),
    ("A message for the agent; the agent answers; both are shells", an_answer),
    ("A message that cannot be right ends with its reason", a_dead_letter),
    ("The whole story of the first message", a_story),
];

fn a_bus(stage: &mut Stage) -> Result<(), Failure> {
    let said = stage.postroom(&["init"])?;
    stage.show(&said)?;
    stage.check("the bus has its format file", stage.bus().join(layout::FORMAT).is_file())
}

fn a_service(stage: &mut Stage) -> Result<(), Failure> {
    stage.install_extension()?;
    stage.serve()?;
    stage.changes()
}

fn an_extension(stage: &mut Stage) -> Result<(), Failure> {
    stage.drop_by_shell(
        "sum-1",
        r#"{"id":"sum-1","sender":"demo","recipient":"ext-sum","action":"math.add","payload":{"a":2,"b":3}}"#,
    )?;
    let reply = stage.reply("sum-1")?;
    stage.archived("sum-1")?;
    stage.changes()?;
    stage.shell("cat ai-communication/inbox/demo/sum-1.reply.json")?;
    stage.check("2 + 3 is 5", reply["payload"] == json!(5))
}

fn an_agent(stage: &mut Stage) -> Result<(), Failure> {
    stage.drop_by_shell(
        "register-1",
        r#"{"id":"register-1","sender":"helper","recipient":"postroom","action":"mcp.core.register","payload":{"name":"Helper","version":"1.0","capabilities":["greet"]}}"#,
    )?;
    let registered = stage.json_at(&layout::agent_file("helper"))?;
    stage.archived("register-1")?;
    stage.changes()?;
    stage.check("the registration is stored", registered["capabilities"] == json!(["greet"]))
}

fn an_answer(stage: &mut Stage) -> Result<(), Failure> {
    stage.drop_by_shell(
        "ask-1",
        r#"{"id":"ask-1","sender":"demo","recipient":"helper","action":"greet","payload":{"name":"Ada"}}"#,
    )?;
    let asked = stage.json_at(&layout::inbox("helper").join("ask-1.json"))?;
    stage.archived("ask-1")?;
    stage.changes()?;
    stage.check("the message arrived with its payload", asked["payload"] == json!({ "name": "Ada" }))?;
    stage.drop_by_shell(
        "answer-1",
        r#"{"id":"answer-1","sender":"helper","recipient":"demo","action":"greet","inReplyTo":"ask-1","payload":"Hello, Ada"}"#,
    )?;
    stage.shell("rm ai-communication/inbox/helper/ask-1.json    # deleting is the acknowledgement")?;
    let reply = stage.reply("ask-1")?;
    stage.archived("answer-1")?;
    stage.changes()?;
    stage.check("the answer came back", reply["payload"] == json!("Hello, Ada"))
}

fn a_dead_letter(stage: &mut Stage) -> Result<(), Failure> {
    stage.drop_by_shell(
        "typo-1",
        r#"{"id":"typo-1","sender":"demo","recipient":"ext-sun","action":"math.add","payload":{"a":2,"b":3}}"#,
    )?;
    let reply = stage.reply("typo-1")?;
    stage.found_in(Path::new(layout::DEAD_LETTER), "~typo-1.json")?;
    let why = stage.found_in(Path::new(layout::DEAD_LETTER), "~typo-1.why.json")?;
    let why: Value = stage.json_at(&why)?;
    stage.changes()?;
    stage.show_json(&why)?;
    stage.check("the reason has its code", why["code"] == json!("unknown-recipient"))?;
    stage.check("the hint names the extension", why["hint"].to_string().contains("ext-sum"))?;
    stage.check("the sender was told", reply["error"]["code"] == json!("unknown-recipient"))
}

fn a_story(stage: &mut Stage) -> Result<(), Failure> {
    let told = stage.postroom(&["trace", "sum-1"])?;
    stage.show(&told)?;
    stage.check("the extension is named", told.contains("ext-sum"))?;
    stage.stop_service()
}
