//! Section 3: what a message may say, what is kept of it, and what is an answer.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::session::{Session, echo, message, message_with, string};

#[test]
fn id_and_timestamp_are_given_where_they_are_absent_and_stay_the_same() {
    let bus = Session::new();
    bus.know(&["bob"]).drop("a.json", r#"{"sender":"alice","recipient":"bob","action":"note","payload":1}"#).once();
    let [name] = <[String; 1]>::try_from(bus.ls("inbox/bob")).unwrap();
    let delivered = bus.json(format!("inbox/bob/{name}"));
    let id = string(&delivered, "id");
    assert_eq!(name, format!("{id}.json"));
    let accepted = delivered["delivery"]["acceptedAt"].as_u64().unwrap();
    assert!(delivered["timestamp"].as_u64().unwrap().abs_diff(accepted) < 600_000, "{delivered}");
    // What is archived is the file as it came.
    let archived = std::fs::read_to_string(&bus.archived()[0]).unwrap();
    assert_eq!(archived, r#"{"sender":"alice","recipient":"bob","action":"note","payload":1}"#);
    assert_snapshot!(bus.tree(), @"
    archive/DAY/HH/T1~GIVEN.json
    inbox/bob/
    inbox/bob/GIVEN.json
    ");
    // The same text in another file is another message.
    bus.drop("b.json", archived).once();
    assert_eq!(bus.ls("inbox/bob").len(), 2);
}

#[test]
fn the_same_file_gets_the_same_id_again() {
    // A crash between the claim and its decision shows as the file back in the drop: the same content, inode and mtime.
    let bus = Session::new();
    let text = r#"{"sender":"alice","recipient":"postroom","action":"mcp.core.echo"}"#;
    bus.drop("a.json", text).once();
    std::fs::rename(&bus.archived()[0], bus.path("again.json")).unwrap();
    bus.once();
    assert_eq!(bus.ls("inbox/alice").len(), 1, "{}", bus.tree());
    assert_eq!(bus.steps(&["duplicate"]).len(), 1);
}

#[test]
fn every_copy_of_a_split_message_has_the_given_id() {
    let bus = Session::new();
    let text = r#" {"sender":"alice","recipient":["bob","carol"],"action":"note"}"#;
    bus.know(&["bob", "carol"]).drop("a.json", text).once();
    assert_eq!(bus.ls("inbox/bob"), bus.ls("inbox/carol"));
    let of = |agent: &str| bus.json(format!("inbox/{agent}/{}", bus.ls("inbox/bob")[0]));
    assert_eq!((&of("bob")["id"], &of("bob")["timestamp"]), (&of("carol")["id"], &of("carol")["timestamp"]));
}

#[test]
fn what_is_delivered_is_what_was_sent_to_the_byte() {
    let bus = Session::new();
    let sent = r#"{ "unknown" : {"z":1e2,"a":[1.0, -0 ]} , "id":"a-1","sender":"alice","recipient":"bob","action":"no\u0074e","payload": {"n":1.50,"big":9007199254740991,"e":1E+02,"s":"\u0041\/"}, "timestamp":1763683200000,"correlationId":"c-7","priority":9,"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","2.0":2.0}"#;
    bus.know(&["bob"]).drop("a.json", sent).once();
    let text = bus.text("inbox/bob/a-1.json");
    for kept in [
        r#""unknown":{"z":1e2,"a":[1.0, -0 ]}"#,
        r#""payload":{"n":1.50,"big":9007199254740991,"e":1E+02,"s":"\u0041\/"}"#,
        r#""action":"no\u0074e""#,
        r#""2.0":2.0"#,
        r#""priority":9"#,
    ] {
        assert!(text.contains(kept), "{kept} is not in {text}");
    }
    let delivery = &bus.json("inbox/bob/a-1.json")["delivery"];
    assert_eq!(delivery["correlationId"], "c-7");
    assert_eq!(delivery["traceparent"], "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
}

#[test]
fn numbers_keep_their_spelling_through_the_service() {
    let bus = Session::new();
    let payload = r#"{"a":1.0,"b" : 1e-6,"c":-0.0,"d":0.1000,"e":9007199254740991,"f":1E400,"g":"\ud83d\ude00"}"#;
    bus.drop("a.json", echo("a-1", "alice", payload)).once();
    assert!(bus.text("inbox/alice/a-1.reply.json").contains(&format!("\"payload\":{payload},")));
}

#[test]
fn a_delivery_that_the_sender_wrote_is_dropped() {
    let bus = Session::new();
    let forged = r#""delivery":{"trust":"signed","keyId":"k1","hops":99,"attempt":7,"acceptedAt":1}"#;
    bus.know(&["bob"]).drop("a.json", message_with(forged, "a-1", "alice", "bob", "note", "1"));
    bus.drop("b.json", message_with(r#""del\u0069very":{"trust":"signed"}"#, "b-1", "alice", "bob", "note", "1"))
        .once();
    for id in ["a-1", "b-1"] {
        let text = bus.text(format!("inbox/bob/{id}.json"));
        assert!(
            text.matches("\"delivery\"").count() == 1 && !text.contains("keyId") && !text.contains("u0069"),
            "{text}"
        );
        let delivery = &bus.json(format!("inbox/bob/{id}.json"))["delivery"];
        assert_eq!(
            (&delivery["trust"], &delivery["hops"], &delivery["attempt"]),
            (&json!("unsigned"), &json!(0), &json!(1))
        );
        assert_eq!(delivery.get("keyId"), None);
        assert_eq!(delivery["correlationId"], id);
    }
}

#[test]
fn a_reply_goes_where_the_asker_looks_for_it() {
    let bus = Session::new();
    bus.know(&["bob"]).drop("1.json", message("q-1", "alice", "bob", "sum", "[1,2]")).once();
    let answer = message_with(r#""inReplyTo":"q-1""#, "r-1", "bob", "alice", "sum", "3");
    bus.drop("2.json", answer).once();
    assert_snapshot!(bus.tree(), @"
    archive/DAY/HH/T1~q-1.json
    archive/DAY/HH/T2~r-1.json
    inbox/alice/
    inbox/alice/q-1.reply.json
    inbox/bob/
    inbox/bob/q-1.json
    ");
    let reply = bus.json("inbox/alice/q-1.reply.json");
    assert_eq!((&reply["payload"], &reply["delivery"]["hops"]), (&json!(3), &json!(1)));
}

/// A bus on which alice has asked bob (`q-1`), and bob and carol (`q-2`).
fn asked() -> Session {
    let bus = Session::new();
    bus.know(&["bob", "carol"]).drop("1.json", message("q-1", "alice", "bob", "sum", "1"));
    bus.drop("2.json", message("q-2", "alice", r#"["bob","carol"]"#, "sum", "1")).once();
    bus
}

fn answer(to: &str, id: &str, sender: &str, payload: &str) -> String {
    message_with(&format!(r#""inReplyTo":"{to}""#), id, sender, "alice", "sum", payload)
}

#[test]
fn a_second_reply_is_a_duplicate() {
    let bus = asked();
    bus.drop("3.json", answer("q-1", "r-1", "bob", "3")).drop("4.json", answer("q-1", "r-2", "bob", "4")).once();
    bus.drop("5.json", answer("q-1", "r-3", "bob", "5")).once();
    assert_eq!(bus.ls("inbox/alice"), ["q-1.reply.json"]);
    assert_eq!(bus.json("inbox/alice/q-1.reply.json")["payload"], 3);
    assert_eq!(bus.steps(&["duplicate"]), ["r-2 duplicate", "r-3 duplicate"]);
    assert_eq!(bus.dead(), []);
    // Also when the asker has read and deleted the first.
    bus.remove("inbox/alice/q-1.reply.json").drop("6.json", answer("q-1", "r-4", "bob", "6")).once();
    assert_eq!(bus.ls("inbox/alice"), [""; 0]);
}

#[test]
fn a_reply_from_somebody_who_was_not_asked_is_not_permitted() {
    let bus = asked();
    bus.drop("3.json", answer("q-1", "r-1", "carol", "3")).drop("4.json", answer("q-2", "r-2", "dora", "4")).once();
    let codes: Vec<_> = bus.dead().into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, ["not-permitted", "not-permitted"]);
    // It was a reply, so nobody gets an error for it.
    assert_eq!((bus.ls("inbox/alice").len(), bus.ls("inbox/carol").len()), (0, 1));
}

#[test]
fn a_reply_to_a_message_that_nobody_remembers_is_an_ordinary_message() {
    let bus = asked();
    bus.know(&["alice"]).drop("3.json", answer("never-asked", "r-1", "bob", "3")).once();
    assert_eq!(bus.ls("inbox/alice"), ["r-1.json"]);
}

#[test]
fn an_answer_with_another_action_or_without_a_payload_is_an_ordinary_message() {
    let bus = asked();
    bus.know(&["alice"]);
    bus.drop("3.json", message_with(r#""inReplyTo":"q-1""#, "r-1", "bob", "alice", "other", "3"));
    bus.drop("4.json", r#"{"id":"r-2","sender":"bob","recipient":"alice","action":"sum","inReplyTo":"q-1"}"#).once();
    assert_eq!(bus.ls("inbox/alice"), ["r-1.json", "r-2.json"]);
    // The real one is still the first.
    bus.drop("5.json", answer("q-1", "r-3", "bob", "3")).once();
    assert_eq!(bus.ls("inbox/alice"), ["q-1.reply.json", "r-1.json", "r-2.json"]);
}

#[test]
fn each_of_several_recipients_replies_under_his_name() {
    let bus = asked();
    bus.drop("3.json", answer("q-2", "r-1", "bob", "3")).drop("4.json", answer("q-2", "r-1", "carol", "4"));
    bus.drop("5.json", answer("q-2", "r-2", "carol", "5")).once();
    assert_eq!(bus.ls("inbox/alice"), ["q-2~bob.reply.json", "q-2~carol.reply.json"]);
    assert_eq!(bus.json("inbox/alice/q-2~carol.reply.json")["payload"], 4);
}

#[test]
fn an_error_is_a_reply_too() {
    let bus = asked();
    let error = r#"{"id":"r-1","sender":"bob","recipient":"alice","action":"sum","inReplyTo":"q-1","error":{"code":"no-idea","message":"why me","details":[1.0]}}"#;
    bus.drop("3.json", error).once();
    let reply = bus.json("inbox/alice/q-1.reply.json");
    assert_eq!(reply["error"], json!({"code": "no-idea", "message": "why me", "details": [1.0]}));
    assert_eq!(reply.get("payload"), None);
}

#[test]
fn names_of_the_service_and_of_extensions_cannot_be_taken() {
    let bus = Session::new();
    bus.install("ext-sum", &[crate::mock::replying("3")]).know(&["postroom", "bob"]);
    bus.drop("1.json", message("a-1", "postroom", "bob", "note", "1"));
    bus.drop("2.json", message("a-2", "ext-sum", "bob", "note", "1"));
    // Names are compared exactly, so this is somebody else.
    bus.drop("3.json", message("a-3", "Postroom", "bob", "note", "1")).once();
    assert_eq!(bus.dead(), ["1", "2"].map(|n| ("not-permitted".into(), format!("{n}.json"))));
    assert_eq!(bus.ls("inbox/bob"), ["a-3.json"]);
    assert_eq!(bus.ls("inbox/postroom"), [""; 0]);
}

#[test]
fn payload_null_and_no_payload_are_answered_alike() {
    let bus = Session::new();
    bus.drop("1.json", r#"{"id":"a-1","sender":"alice","recipient":"postroom","action":"mcp.core.echo"}"#);
    bus.drop("2.json", echo("a-2", "alice", "null")).once();
    for id in ["a-1", "a-2"] {
        assert_eq!(bus.json(format!("inbox/alice/{id}.reply.json"))["payload"], Value::Null);
    }
}
