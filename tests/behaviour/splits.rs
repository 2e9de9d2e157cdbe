//! Section 4: a list or `*`, and a fate for each recipient.

use insta::assert_snapshot;
use serde_json::json;

use crate::guests::failing_before;
use crate::mock::{described, replying};
use crate::session::{Session, message, string};

fn register(agent: &str, more: &str) -> String {
    let payload = format!(r#"{{"name":"{agent}","version":"1","capabilities":[]{more}}}"#);
    message(&format!("register-{agent}"), agent, "postroom", "mcp.core.register", &payload)
}

#[test]
fn each_recipient_of_a_list_has_a_fate_of_its_own() {
    let bus = Session::new();
    bus.know(&["bob"]).install("ext", &[replying("3")]);
    let to = r#"["bob","nobody","ext","postroom"]"#;
    bus.drop("1.json", message("m-1", "alice", to, "mcp.core.echo", "[1.0]")).once();
    assert_snapshot!(bus.tree(), @"
    archive/DAY/HH/T1.1~m-1.json
    archive/DAY/HH/T1.3~m-1.json
    archive/DAY/HH/T1.4~m-1.json
    archive/DAY/HH/T1~m-1.json
    dead-letter/T1.2~nobody~1.json
    dead-letter/T1.2~nobody~1.why.json
    inbox/alice/
    inbox/alice/m-1~ext.reply.json
    inbox/alice/m-1~nobody.reply.json
    inbox/alice/m-1~postroom.reply.json
    inbox/bob/
    inbox/bob/m-1.json
    ");
    let reply = |of: &str| bus.json(format!("inbox/alice/m-1~{of}.reply.json"));
    assert_eq!((&reply("ext")["payload"], &reply("ext")["sender"]), (&json!(3), &json!("ext")));
    assert_eq!(reply("postroom")["payload"], json!([1.0]));
    assert_eq!(reply("nobody")["error"]["code"], "unknown-recipient");
    assert_eq!(bus.json("inbox/bob/m-1.json")["recipient"], json!(["bob", "nobody", "ext", "postroom"]));
    assert_eq!((&bus.why()["recipient"], &bus.why()["droppedAs"]), (&json!("nobody"), &json!("1.json")));
    // Each has its own record, under the ticket of the whole.
    let journal = bus.journal();
    let finished = journal.iter().filter(|line| line["step"] == "finished");
    let mut told: Vec<_> = finished.map(|line| (string(line, "outcome"), string(line, "recipient"))).collect();
    told.sort();
    let expected = [
        ("dead", "nobody"),
        ("delivered", "bob"),
        ("replied", "ext"),
        ("replied", "postroom"),
        ("split", "[bob, nobody, ext, postroom]"),
    ];
    assert_eq!(
        told[..4],
        expected[..4].iter().map(|(a, b)| ((*a).into(), (*b).into())).collect::<Vec<(String, String)>>()
    );
    assert_eq!(told[4].0, "split");
}

#[test]
fn one_delivery_is_retried_without_the_others() {
    let bus = Session::new();
    bus.know(&["bob"]).install("flaky", &[failing_before(3)]);
    let service = bus.serve();
    bus.drop("1.json", message("m-1", "alice", r#"["flaky","bob"]"#, "do", "7"));
    bus.until("the answer", |bus| bus.exists("inbox/alice/m-1~flaky.reply.json"));
    service.stop();
    assert_snapshot!(bus.tree(), @"
    archive/DAY/HH/T1.1~m-1.json
    archive/DAY/HH/T1.2~m-1.json
    archive/DAY/HH/T1~m-1.json
    inbox/alice/
    inbox/alice/m-1~flaky.reply.json
    inbox/bob/
    inbox/bob/m-1.json
    ");
    assert_eq!(bus.steps(&["delivered", "replied", "split"]), ["m-1 split", "m-1 delivered", "m-1 replied"]);
}

#[test]
fn everybody_is_who_is_registered_and_present_and_every_extension_that_declares_the_action() {
    let bus = Session::new();
    bus.know(&["only-a-folder"]);
    bus.install("adds", &[replying("3"), described("1", "math.add", "math")]);
    bus.install("other", &[replying("4"), described("1", "math.mul", "math")]);
    bus.install("silent", &[replying("5")]);
    for agent in ["alice", "bob", "carol"] {
        bus.drop(&format!("{agent}.json"), register(agent, ""));
    }
    bus.drop("dora.json", register("dora", r#","ttlMs":1"#)).once();
    bus.drop("gone.json", message("u-1", "carol", "postroom", "mcp.core.unregister", "null")).once();
    for agent in ["alice", "bob", "carol", "dora"] {
        std::fs::remove_file(bus.path(format!("inbox/{agent}/register-{agent}.reply.json"))).unwrap();
    }
    bus.remove("inbox/carol/u-1.reply.json").drop("1.json", message("m-1", "alice", "*", "math.add", "1")).once();
    let inboxes =
        ["alice", "bob", "carol", "dora", "only-a-folder"].map(|agent| bus.ls(&format!("inbox/{agent}")).join(" "));
    assert_eq!(inboxes, ["m-1~adds.reply.json", "m-1.json", "", "", ""]);
}

#[test]
fn everybody_may_be_nobody() {
    let bus = Session::new();
    bus.drop("1.json", message("m-1", "alice", "*", "math.add", "1")).once();
    assert_snapshot!(bus.tree(), @"archive/DAY/HH/T1~m-1.json");
    assert_eq!(bus.steps(&["accepted", "split", "finished"]), ["m-1 accepted", "m-1 split", "m-1 finished"]);
}

#[test]
fn an_answer_to_everybody_carries_the_name_of_its_sender_even_if_only_one_was_there() {
    let bus = Session::new();
    bus.drop("r.json", register("bob", "")).once();
    bus.drop("1.json", message("m-1", "alice", "*", "math.add", "1")).once();
    let answer = r#"{"id":"a-1","sender":"bob","recipient":"alice","action":"math.add","inReplyTo":"m-1","payload":2}"#;
    bus.drop("2.json", answer).once();
    assert_eq!(bus.ls("inbox/alice"), ["m-1~bob.reply.json"]);
}

#[test]
fn a_list_of_one_is_a_message_to_one() {
    let bus = Session::new();
    bus.drop("1.json", message("m-1", "alice", r#"["postroom"]"#, "mcp.core.echo", "1")).once();
    assert_snapshot!(bus.tree(), @"
    archive/DAY/HH/T1~m-1.json
    inbox/alice/
    inbox/alice/m-1.reply.json
    ");
}

#[test]
fn sixty_four_recipients_get_it_and_the_whole_is_one_message() {
    let bus = Session::new();
    let agents: Vec<String> = (0..64).map(|n| format!("agent-{n:02}")).collect();
    bus.know(&agents.iter().map(String::as_str).collect::<Vec<_>>());
    let to = serde_json::to_string(&agents).unwrap();
    bus.drop("1.json", message("m-1", "alice", &to, "note", "1")).once();
    bus.drop("2.json", message("m-1", "alice", &to, "note", "1")).once();
    for agent in agents {
        assert_eq!(bus.ls(&format!("inbox/{agent}")), ["m-1.json"]);
    }
    assert_eq!(bus.steps(&["duplicate"]), ["m-1 duplicate"]);
    // The whole, its 64 deliveries, and the duplicate.
    assert_eq!(bus.archived().len(), 66);
}

#[test]
fn discover_to_everybody_goes_to_the_service_alone() {
    let bus = Session::new();
    bus.drop("r.json", register("bob", "")).once();
    bus.drop("1.json", message("m-1", "alice", "*", "mcp.core.discover", "{}")).once();
    assert_eq!(bus.ls("inbox/bob"), ["register-bob.reply.json"]);
    assert_eq!(bus.json("inbox/alice/m-1.reply.json")["payload"]["agents"][0]["agent"], "bob");
}

#[test]
fn the_reason_of_one_delivery_names_the_file_that_was_dropped() {
    let bus = Session::new();
    let names = [
        "0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11.json".to_owned(),
        "two words, and a longer one than most.json".to_owned(),
        format!("{}.json", "x".repeat(156)),
    ];
    for (name, id) in names.iter().zip(["a", "b", "c"]) {
        bus.drop(name, message(id, "alice", r#"["nobody-1","bob"]"#, "note", "1"));
    }
    bus.know(&["bob"]).once();
    let mut told: Vec<String> = bus.dead().into_iter().map(|(_, dropped_as)| dropped_as).collect();
    told.sort();
    assert_eq!(told, names);
}
