//! Section 6: what `postroom` itself answers, and the older envelope.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::guests::{echoing, refusing};
use crate::mock::{described, replying};
use crate::session::{Session, echo, message, message_with, string};

/// Sends one message to `postroom` and gives its reply's payload, or its error.
fn ask(bus: &Session, sender: &str, action: &str, payload: &str) -> Value {
    let id = format!("{action}-{}", bus.archived().len() + bus.dead().len());
    bus.drop("ask.json", message(&id, sender, "postroom", action, payload)).once();
    let reply = bus.json(format!("inbox/{sender}/{id}.reply.json"));
    bus.remove(&format!("inbox/{sender}/{id}.reply.json"));
    match reply.get("error") {
        Some(error) => json!({"error": error}),
        None => reply["payload"].clone(),
    }
}

fn code(reply: &Value) -> String {
    string(&reply["error"], "code")
}

#[test]
fn register_answers_with_the_registration_as_stored() {
    let bus = Session::new();
    let card = r#"{"name":"Window 1","version":"1.0","capabilities":["editor"],"actions":["editor.open"],"description":"an editor","ttlMs":60000,"unknown":1}"#;
    let mut reply = ask(&bus, "vscode.window-1", "mcp.core.register", card);
    assert_eq!(reply, bus.json("agents/vscode.window-1.json"));
    assert!(reply["registeredAt"].take().is_u64() && reply["lastSeen"].take().is_u64());
    assert_eq!(
        reply,
        json!({
            "agent": "vscode.window-1", "name": "Window 1", "version": "1.0", "capabilities": ["editor"],
            "actions": ["editor.open"], "description": "an editor", "ttlMs": 60000, "registeredAt": null, "lastSeen": null
        })
    );
    // Again: replaced, but for the moment of the first.
    let first = bus.json("agents/vscode.window-1.json")["registeredAt"].clone();
    let reply = ask(&bus, "vscode.window-1", "mcp.core.register", r#"{"name":"W","version":"2","capabilities":[]}"#);
    assert_eq!((&reply["name"], &reply["registeredAt"], &reply["ttlMs"]), (&json!("W"), &first, &json!(300_000)));
    assert_eq!(bus.ls("agents"), ["vscode.window-1.json"]);
}

#[test]
fn heartbeat_and_unregister() {
    let bus = Session::new();
    assert_eq!(code(&ask(&bus, "alice", "mcp.core.heartbeat", "null")), "handler-failed");
    let registered = ask(&bus, "alice", "mcp.core.register", r#"{"name":"A","version":"1","capabilities":[]}"#);
    let beaten = ask(&bus, "alice", "mcp.core.heartbeat", "null");
    assert!(beaten["lastSeen"].as_u64() >= registered["lastSeen"].as_u64());
    assert_eq!(beaten, bus.json("agents/alice.json"));
    assert_eq!(ask(&bus, "alice", "mcp.core.unregister", "null"), Value::Null);
    assert_eq!(bus.ls("agents"), [""; 0]);
    assert!(bus.exists("inbox/alice"), "it keeps its inbox");
    assert_eq!(ask(&bus, "alice", "mcp.core.unregister", "null"), Value::Null);
}

#[test]
fn who_is_away_says_so_keeps_his_inbox_and_any_message_brings_him_back() {
    let bus = Session::new();
    ask(&bus, "bob", "mcp.core.register", r#"{"name":"B","version":"1","capabilities":[],"ttlMs":1}"#);
    let found = |bus: &Session| ask(bus, "alice", "mcp.core.discover", "{}")["agents"][0].clone();
    bus.until("away", |bus| found(bus)["away"] == true);
    bus.drop("1.json", message("m-1", "alice", "bob", "note", "1")).once();
    assert_eq!(bus.ls("inbox/bob"), ["m-1.json"]);
    let before = found(&bus)["lastSeen"].as_u64();
    bus.drop("2.json", message("m-2", "bob", "alice", "note", "1")).once();
    assert!(found(&bus)["lastSeen"].as_u64() > before);
}

/// Alice, who edits; bob, who adds; two extensions.
fn crowd() -> Session {
    let bus = Session::new();
    bus.install("adds", &[replying("3"), described("1.4.0", "math.add", "math")]).install("silent", &[replying("4")]);
    let editor = r#"{"name":"A","version":"1","capabilities":["editor"],"actions":["editor.open","math.add"]}"#;
    ask(&bus, "alice", "mcp.core.register", editor);
    ask(
        &bus,
        "bob",
        "mcp.core.register",
        r#"{"name":"B","version":"1","capabilities":["math"],"actions":["mathematics.add"]}"#,
    );
    bus
}

#[test]
fn discover_finds_who_matches() {
    let bus = crowd();
    let found = |payload: &str| {
        let reply = ask(&bus, "carol", "mcp.core.discover", payload);
        let names = |list: &str, name: &str| {
            let all = reply[list].as_array().unwrap().iter().map(|one| string(one, name));
            all.collect::<Vec<_>>().join(" ")
        };
        format!("{} | {}", names("agents", "agent"), names("extensions", "name"))
    };
    assert_eq!(found("{}"), "alice bob | adds silent");
    assert_eq!(found("null"), "alice bob | adds silent");
    assert_eq!(found(r#"{"capability":"math"}"#), "bob | adds");
    assert_eq!(found(r#"{"namespace":"math"}"#), "alice | adds");
    assert_eq!(found(r#"{"namespace":"math","capability":"editor"}"#), "alice | ");
    assert_eq!(found(r#"{"capability":"mat"}"#), " | ");
    let all = ask(&bus, "carol", "mcp.core.discover", "{}");
    assert!(all["agents"][0]["lastSeen"].is_u64() && all["agents"][0]["away"] == false);
    let adds = &all["extensions"][0];
    assert_eq!(
        (&adds["version"], &adds["actions"], adds["sha256"].as_str().unwrap().len()),
        (&json!("1.4.0"), &json!(["math.add"]), 64)
    );
}

#[test]
fn capabilities_of_one() {
    let bus = crowd();
    let of = |agent: &str| ask(&bus, "carol", "mcp.core.getCapabilities", &format!(r#"{{"agent":"{agent}"}}"#));
    assert_eq!(
        of("alice"),
        json!({"agent": "alice", "capabilities": ["editor"], "actions": ["editor.open", "math.add"]})
    );
    assert_eq!(of("adds"), json!({"agent": "adds", "capabilities": ["math"], "actions": ["math.add"]}));
    assert_eq!(of("postroom")["actions"].as_array().unwrap().len(), 7);
    let unknown = of("alic");
    assert_eq!(code(&unknown), "unknown-recipient");
    assert!(string(&unknown["error"], "message").contains("did you mean \"alice\"?"));
}

#[test]
fn echo_and_ping() {
    let bus = Session::new();
    assert_eq!(ask(&bus, "alice", "mcp.core.echo", r#"{"a":[1]}"#), json!({"a": [1]}));
    let ping = ask(&bus, "alice", "mcp.core.ping", "null");
    assert!(ping["now"].is_u64() && ping["uptimeMs"].is_u64());
    assert_eq!(ping["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn wrong_payloads_are_refused_at_once_and_change_nothing() {
    let bus = Session::new();
    let long = format!(r#"{{"name":"{}","version":"1","capabilities":[]}}"#, "x".repeat(1025));
    let a_list_in_place = r#"["a","1",[],[],null,1]"#;
    for (action, payload, says) in [
        ("mcp.core.register", "null", "must be an object, but is null"),
        ("mcp.core.register", "[]", "must be an object, but is an array"),
        ("mcp.core.register", a_list_in_place, "must be an object, but is an array"),
        ("mcp.core.register", r#"{"version":"1","capabilities":[]}"#, "has no \"name\", which must be a string"),
        (
            "mcp.core.register",
            r#"{"name":1,"version":"1","capabilities":[]}"#,
            "\"name\" that must be a string, but is a number",
        ),
        (
            "mcp.core.register",
            r#"{"name":"a","version":"1"}"#,
            "has no \"capabilities\", which must be a list of strings (it may be empty)",
        ),
        (
            "mcp.core.register",
            r#"{"name":"a","version":"1","capabilities":{}}"#,
            "\"capabilities\" that must be a list of strings, but is an object",
        ),
        (
            "mcp.core.register",
            r#"{"name":"a","version":"1","capabilities":[1]}"#,
            "\"capabilities\" that must be a list of strings, but has a number in it",
        ),
        (
            "mcp.core.register",
            r#"{"name":"a","version":"1","capabilities":[],"actions":"x"}"#,
            "\"actions\" that must be a list of strings, but is a string",
        ),
        (
            "mcp.core.register",
            r#"{"name":"a","version":"1","capabilities":[],"ttlMs":-1}"#,
            "\"ttlMs\" that must be a whole number of milliseconds",
        ),
        (
            "mcp.core.register",
            r#"{"name":"a","version":"1","capabilities":[],"ttlMs":"1"}"#,
            "\"ttlMs\" that must be a whole number of milliseconds",
        ),
        ("mcp.core.register", &long, "at most 256 entries"),
        ("mcp.core.getCapabilities", "null", "must be an object, but is null"),
        ("mcp.core.getCapabilities", r#"["alice"]"#, "must be an object, but is an array"),
        ("mcp.core.getCapabilities", r#"{"agent":7}"#, "\"agent\" that must be a string, but is a number"),
        ("mcp.core.discover", "7", "must be an object, but is a number"),
        ("mcp.core.discover", r#"["editor",null]"#, "must be an object, but is an array"),
        ("mcp.core.discover", r#"{"capability":7}"#, "\"capability\" that must be a string, but is a number"),
        ("mcp.core.pong", "null", "has no action"),
        ("anything", "null", "has no action"),
    ] {
        let refused = ask(&bus, "alice", action, payload);
        assert_eq!(code(&refused), "invalid-message", "{action} {payload}");
        let message = string(&refused["error"], "message");
        assert!(message.contains(says), "{action} {payload}: {message}");
        assert!(!["struct", "Request", "elements", "line 1"].iter().any(|word| message.contains(word)), "{message}");
    }
    let unknown = ask(&bus, "alice", "mcp.core.pin", "null");
    assert!(string(&unknown["error"], "message").contains("did you mean \"mcp.core.ping\"?"));
    assert_eq!((bus.dead().len(), bus.ls("agents").len()), (21, 0));
}

#[test]
fn a_registration_may_have_so_many_bytes() {
    let bus = Session::new();
    let card = |entries: usize| {
        json!({"name": "A", "version": "1", "capabilities": vec!["c".repeat(1000); entries]}).to_string()
    };
    assert_eq!(ask(&bus, "alice", "mcp.core.register", &card(65))["agent"], "alice");
    let before = bus.text("agents/alice.json");
    let refused = ask(&bus, "alice", "mcp.core.register", &card(66));
    assert_eq!(code(&refused), "invalid-message");
    let message = string(&refused["error"], "message");
    assert!(message.contains("at most 65536 bytes as it is stored; this one has 66"), "{message}");
    assert_eq!(bus.text("agents/alice.json"), before);
}

/// Each discovery would be as large as all that agents have said of themselves.
#[test]
fn a_discovery_may_find_so_many_bytes() {
    let bus = Session::new();
    let text = "c".repeat(1000);
    for number in 0..270 {
        let agent = format!("agent-{number}");
        let namespace = if number == 7 { "few.x" } else { "many.x" };
        let card = json!({
            "agent": agent, "name": "A", "version": "1", "capabilities": vec![&text; 64], "actions": [namespace],
            "registeredAt": 1, "lastSeen": 1,
        });
        bus.write(format!("agents/{agent}.json"), card.to_string());
    }
    let refused = ask(&bus, "alice", "mcp.core.discover", "{}");
    assert_eq!(code(&refused), "resource-limit");
    let message = string(&refused["error"], "message");
    assert!(message.contains("270 agents") && message.contains("\"namespace\""), "{message}");
    let found = ask(&bus, "alice", "mcp.core.discover", r#"{"namespace":"few"}"#);
    assert_eq!(found["agents"].as_array().unwrap().len(), 1);
}

#[test]
fn so_many_agents_may_register() {
    let bus = Session::with("[limits]\nagents = 1");
    let card = r#"{"name":"A","version":"1","capabilities":[]}"#;
    bus.know(&["bob"]);
    std::fs::remove_dir(bus.path("inbox/bob")).unwrap();
    assert_eq!(ask(&bus, "alice", "mcp.core.register", card)["agent"], "alice");
    assert_eq!(ask(&bus, "alice", "mcp.core.register", card)["agent"], "alice");
    bus.know(&["bob"]);
    assert_eq!(code(&ask(&bus, "bob", "mcp.core.register", card)), "rate-limited");
    assert_eq!(bus.ls("agents"), ["alice.json"]);
}

fn execute(namespace: &str, command: &str, parameters: &str) -> String {
    format!(r#"{{"namespace":"{namespace}","command":"{command}","parameters":{parameters},"requestId":"req-1"}}"#)
}

#[test]
fn the_older_envelope_is_read_by_the_service_and_by_extensions() {
    let bus = Session::new();
    bus.install("ext", &[echoing()]).install("strict", &[refusing("no", "[1.0]")]);
    bus.drop("1.json", message("m-1", "alice", "postroom", "mcp.execute", &execute("mcp.core", "echo", "[1.0]")));
    bus.drop("2.json", message("m-2", "alice", "ext", "mcp.execute", &execute("any", "thing", r#"{"a" :2}"#)));
    bus.drop("3.json", message("m-3", "alice", "strict", "mcp.execute", &execute("any", "thing", "1")));
    bus.drop("4.json", message("m-4", "alice", "postroom", "mcp.execute", &execute("no", "such", "1")));
    bus.drop("5.json", message("m-5", "alice", "ext", "mcp.execute", r#"{"namespace":"x"}"#));
    let wrong = r#"{"namespace":"x","requestId":7}"#;
    bus.drop("6.json", message("m-6", "alice", "postroom", "mcp.execute", wrong));
    let late = message_with(r#""expiresAt":1"#, "m-7", "alice", "ext", "mcp.execute", &execute("any", "thing", "1"));
    bus.drop("7.json", late).once();
    let reply = |id: &str| bus.json(format!("inbox/alice/{id}.reply.json"));
    for id in ["m-1", "m-2", "m-3", "m-4", "m-5", "m-6", "m-7"] {
        assert_eq!(reply(id)["action"], "mcp.response", "{id}");
    }
    assert_eq!(reply("m-1")["payload"], json!({"requestId": "req-1", "success": true, "result": [1.0]}));
    assert!(bus.text("inbox/alice/m-2.reply.json").contains(r#""result":{"a" :2}"#));
    let failed = &reply("m-3")["payload"];
    assert_eq!(
        (&failed["success"], &failed["error"]["code"], &failed["error"]["message"]),
        (&json!(false), &json!("handler-failed"), &json!("no"))
    );
    assert_eq!(reply("m-4")["payload"]["error"]["code"], "invalid-message");
    // Refused before anybody has read the call: what can be read of it is given back.
    for (id, request, code) in [
        ("m-5", json!("m-5"), "invalid-message"),
        ("m-6", json!(7), "invalid-message"),
        ("m-7", json!("req-1"), "expired"),
    ] {
        let payload = &reply(id)["payload"];
        let told = (&payload["requestId"], &payload["success"], &payload["error"]["code"]);
        assert_eq!(told, (&request, &json!(false), &json!(code)), "{id}");
    }
}

#[test]
fn a_retry_takes_the_answer_of_the_older_envelope_back_too() {
    let bus = Session::new();
    bus.install("ext", &[refusing("no", "[1.0]")]);
    bus.drop("1.json", message("m-1", "alice", "ext", "mcp.execute", &execute("any", "thing", "1"))).once();
    assert_eq!(bus.json("inbox/alice/m-1.reply.json")["payload"]["success"], false);
    bus.install("ext", &[echoing()]);
    assert!(bus.run(&["dead-letter", "retry", "m-1"]).status.success());
    bus.once();
    assert_eq!(bus.ls("inbox/alice"), ["m-1.reply.json"]);
    assert_eq!(bus.json("inbox/alice/m-1.reply.json")["payload"]["success"], true);
}

#[test]
fn the_older_envelope_goes_to_an_agent_as_it_is_and_so_does_its_answer() {
    let bus = Session::new();
    bus.know(&["bob"]).drop("1.json", message("m-1", "alice", "bob", "mcp.execute", &execute("x", "y", "1.0"))).once();
    assert!(bus.text("inbox/bob/m-1.json").contains(&format!("\"payload\":{}", execute("x", "y", "1.0"))));
    let payload = r#"{"requestId":"req-1","success":true,"result":2}"#;
    let answer = format!(
        r#"{{"id":"a-1","sender":"bob","recipient":"alice","action":"mcp.response","inReplyTo":"m-1","payload":{payload}}}"#
    );
    bus.drop("2.json", answer).once();
    assert_snapshot!(bus.tree(), @"
    archive/DAY/HH/T1~m-1.json
    archive/DAY/HH/T2~a-1.json
    inbox/alice/
    inbox/alice/m-1.reply.json
    inbox/bob/
    inbox/bob/m-1.json
    ");
}

#[test]
fn a_copied_registration_is_nobodys() {
    let bus = Session::new();
    let card = r#"{"name":"A","version":"1","capabilities":[]}"#;
    bus.drop("1.json", message("m-1", "alice", "postroom", "mcp.core.register", card)).once();
    let copied = bus.text("agents/alice.json");
    bus.write("agents/carl.json", &copied);
    bus.drop("2.json", message("m-2", "alice", "postroom", "mcp.core.unregister", "null")).once();
    bus.drop("3.json", echo("c-1", "carl", "1")).once();
    assert!(bus.exists("inbox/carl/c-1.reply.json") && !bus.exists("agents/alice.json"));
    assert_eq!(bus.text("agents/carl.json"), copied, "it is left alone");
}

/// In the older envelope also what is refused of one of several is an mcp.response.
#[test]
fn a_refused_part_of_an_older_call_is_answered_as_one() {
    let bus = Session::new();
    let text = message("e-1", "alice", r#"["postroom","bob"]"#, "mcp.execute", r#"{"namespace":5,"requestId":"q"}"#);
    bus.know(&["bob"]).drop("1.json", text).once();
    let reply = bus.json("inbox/alice/e-1~postroom.reply.json");
    assert_eq!((string(&reply, "action"), &reply["payload"]["success"]), ("mcp.response".to_owned(), &json!(false)));
}
