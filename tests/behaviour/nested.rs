//! What an extension does on the bus while it handles a message, as it looks in the folder: calls to the service itself, and messages of
//! its own. What comes of them becomes true together with the answer, or not at all.

use std::fs;

use serde_json::{Value, json};

use crate::calling::guest::{BUS, CLOCK, Guest, STATE, UNLESS_REFUSED};
use crate::session::{Session, message};

/// Puts a component there that may use the bus.
fn with_extension(name: &str, guest: Guest) -> Session {
    let bus = Session::with(&format!("[extension.{name}]\ngrants = [\"bus\"]\n[retry]\nattempts = 1\n"));
    put(&bus, name, guest);
    bus
}

fn put(bus: &Session, name: &str, guest: Guest) {
    fs::create_dir_all(bus.beside("extensions")).unwrap();
    fs::write(bus.beside("extensions").join(format!("{name}.wasm")), guest.component()).unwrap();
}

/// Calls the service itself; what that says lies where the answer of a handler may lie.
fn calling(guest: &mut Guest, action: &str, payload: &str) -> String {
    let texts = ["postroom", action, payload].map(|text| guest.text(text));
    format!("(call $bus.call {} (i32.const 512))", texts.join(" "))
}

fn asked(bus: &Session, id: &str, extension: &str) -> Value {
    bus.drop(&format!("{id}.json"), message(id, "alice", extension, "any.thing", "1"));
    bus.once();
    bus.json(format!("inbox/alice/{id}.reply.json"))
}

const CARD: &str = r#"{"name":"One","version":"1","capabilities":["sums"]}"#;

#[test]
fn an_extension_asks_the_service_and_answers_with_what_it_says() {
    let mut guest = Guest::new().importing(&BUS);
    let call = calling(&mut guest, "mcp.core.echo", r#"{"number":1.50}"#);
    let bus = with_extension("one", guest.handling(&format!("{call} (i32.const 512)")));
    assert_eq!(asked(&bus, "m-1", "one")["payload"], json!({"number": 1.5}));
    assert!(bus.text("inbox/alice/m-1.reply.json").contains(r#"{"number":1.50}"#), "numbers keep their spelling");

    let mut guest = Guest::new().importing(&BUS);
    let call = calling(&mut guest, "mcp.core.nothing", "1");
    let bus = with_extension("one", guest.handling(&format!("{call} (i32.const 512)")));
    assert_eq!(asked(&bus, "m-1", "one")["error"]["details"]["code"], "invalid-message");
}

#[test]
fn what_it_changes_and_sends_is_there_with_its_answer() {
    let mut guest = Guest::new().importing(&BUS);
    let (call, ok) = (calling(&mut guest, "mcp.core.register", CARD), guest.text("true"));
    let send = guest.sending("bob", "sums.offered", "[1]");
    let bus = with_extension("one", guest.handling(&format!("{call} {UNLESS_REFUSED} {send} (call $ok {ok})")));
    bus.know(&["bob"]);
    assert_eq!(asked(&bus, "m-1", "one")["payload"], true);
    assert_eq!(bus.ls("agents"), ["one.json"]);
    let [sent] = bus.ls("inbox/bob").try_into().expect("one message");
    let sent = bus.json(format!("inbox/bob/{sent}"));
    assert_eq!(
        (&sent["sender"], &sent["action"], &sent["payload"]),
        (&json!("one"), &json!("sums.offered"), &json!([1]))
    );
    assert_eq!(sent["delivery"]["hops"], 1);
    let lines = bus.journal();
    let line = lines.iter().find(|line| line["step"] == "sent").expect("a line that says where it came from");
    let accepted = lines.iter().find(|line| line["id"] == "m-1").expect("a line of the message");
    assert_eq!(line["from"], accepted["ticket"]);
}

#[test]
fn nothing_is_there_after_an_attempt_that_failed() {
    let mut guest = Guest::new().importing(&BUS);
    let (call, failure) = (calling(&mut guest, "mcp.core.register", CARD), guest.text("changed-my-mind"));
    let send = guest.sending("bob", "sums.offered", "[1]");
    let bus = with_extension("one", guest.handling(&format!("{call} {UNLESS_REFUSED} {send} (call $err {failure})")));
    bus.know(&["bob"]);
    assert_eq!(asked(&bus, "m-1", "one")["error"]["details"]["code"], "changed-my-mind");
    assert_eq!((bus.ls("agents"), bus.ls("inbox/bob")), (vec![], vec![]));
}

/// Two messages at once read and change one value, so one of them has to run again: not in the instance that remembers its first run.
#[test]
fn a_reused_instance_remembers_only_what_was_committed() {
    let mut guest = Guest::new().importing(&STATE).importing(&CLOCK);
    let key = guest.text("key");
    // From 12000 the payloads that this instance has seen, of one byte each; before that how many.
    let body = format!(
        "(i32.store8 (i32.add (i32.const 12000) (i32.load8_u (i32.const 11999))) (i32.load8_u (i32.load offset=32 (local.get 0))))
         (i32.store8 (i32.const 11999) (i32.add (i32.load8_u (i32.const 11999)) (i32.const 1)))
         (call $state.get {key} (i32.const 512)) {UNLESS_REFUSED}
         (call $clock.sleep-ms (i32.const 200))
         (call $state.set {key} {key} (i32.const 512)) {UNLESS_REFUSED}
         (call $ok (i32.const 12000) (i32.load8_u (i32.const 11999)))"
    );
    let bus = Session::with("[extension.one]\ngrants = [\"state\"]\ninstance = \"reused\"\nconcurrency = 2\n");
    put(&bus, "one", guest.handling(&body));
    for n in ["1", "2"] {
        bus.drop(&format!("m-{n}.json"), message(&format!("m-{n}"), "alice", "one", "any.thing", n));
    }
    bus.once();
    let mut seen = ["1", "2"].map(|n| bus.json(format!("inbox/alice/m-{n}.reply.json"))["payload"].to_string());
    seen.sort();
    assert!(seen == ["1", "12"] || seen == ["2", "21"], "{seen:?}");
}
