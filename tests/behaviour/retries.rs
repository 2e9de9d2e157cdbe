//! Section 4: what fails is tried again, and given up in the end.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::guests::{echoing, failing_before, greedy, looping_on_long_payloads, refusing};
use crate::session::{Session, message, message_with, string};

#[test]
fn a_handler_that_fails_twice_is_asked_a_third_time() {
    let bus = Session::new();
    bus.install("flaky", &[failing_before(3)]);
    let service = bus.serve();
    bus.drop("1.json", message("m-1", "alice", "flaky", "do", "[1.0]"));
    bus.until("the answer", |bus| bus.exists("inbox/alice/m-1.reply.json"));
    service.stop();
    assert_snapshot!(bus.tree(), @"
    archive/DAY/HH/T1~m-1.json
    inbox/alice/
    inbox/alice/m-1.reply.json
    ");
    assert_eq!(
        bus.steps(&["accepted", "called", "deferred", "replied", "finished"]).join(", "),
        "m-1 accepted, m-1 called, m-1 deferred, m-1 called, m-1 deferred, m-1 called, m-1 replied, m-1 finished"
    );
    let reply = bus.json("inbox/alice/m-1.reply.json");
    assert_eq!(
        (&reply["delivery"]["attempt"], &reply["payload"], &reply["sender"]),
        (&json!(3), &json!([1.0]), &json!("flaky"))
    );
    // The last line alone tells of the earlier attempts.
    let finished = bus.journal().pop().unwrap();
    let earlier: Vec<_> =
        finished["earlier"].as_array().unwrap().iter().map(|one| (&one["attempt"], &one["code"])).collect();
    assert_eq!(earlier, [(&json!(1), &json!("handler-failed")), (&json!(2), &json!("handler-failed"))]);
}

#[test]
fn the_wait_doubles_and_keeps_half_of_itself_from_chance() {
    let bus = Session::with("[retry]\nfirst_ms = 8\nmax_ms = 20\nattempts = 5");
    bus.install("broken", &[failing_before(99)]);
    let service = bus.serve();
    bus.drop("1.json", message("m-1", "alice", "broken", "do", "1"));
    bus.until("given up", |bus| bus.whys().len() == 1);
    service.stop();
    let waits: Vec<u64> = bus.journal().iter().filter(|line| line["step"] == "deferred").map(wait_of).collect();
    assert_eq!(waits.len(), 4);
    for (wait, full) in waits.iter().zip([8, 16, 20, 20]) {
        assert!((full / 2..=full).contains(wait), "{waits:?}");
    }
}

/// How long after its line's time a deferred message is due, from its file's name.
fn wait_of(line: &Value) -> u64 {
    let name = string(line, "nowAt");
    let due: u64 = name.strip_prefix("deferred/").unwrap().split('.').next().unwrap().parse().unwrap();
    due - line["at"].as_u64().unwrap()
}

#[test]
fn after_the_last_attempt_it_is_a_dead_letter_and_its_sender_is_told() {
    let bus = Session::with("[retry]\nattempts = 2");
    bus.install("broken", &[failing_before(99)]);
    let service = bus.serve();
    bus.drop("1.json", message("m-1", "alice", "broken", "do", "1"));
    bus.until("given up", |bus| bus.exists("inbox/alice/m-1.reply.json"));
    service.stop();
    assert_snapshot!(bus.tree(), @"
    dead-letter/T1~1.json
    dead-letter/T1~1.why.json
    inbox/alice/
    inbox/alice/m-1.reply.json
    ");
    let why = bus.why();
    assert_eq!((&why["code"], &why["attempts"]), (&json!("handler-failed"), &json!(2)));
    let reply = bus.json("inbox/alice/m-1.reply.json");
    assert_eq!((&reply["error"]["code"], &reply["sender"]), (&json!("handler-failed"), &json!("broken")));
    assert_eq!(reply["error"]["message"], why["message"]);
}

#[test]
fn a_failure_that_its_handler_calls_final_is_not_repeated() {
    let bus = Session::new();
    bus.install("strict", &[refusing("there is no account 7", r#"{"account": 7}"#)]);
    bus.drop("1.json", message("m-1", "alice", "strict", "do", "1")).once();
    assert_eq!(bus.steps(&["called", "deferred", "dead"]), ["m-1 called", "m-1 dead"]);
    let error = &bus.json("inbox/alice/m-1.reply.json")["error"];
    assert_eq!(error["message"], "there is no account 7");
    assert_eq!(error["details"], json!({"code": "no-account", "details": {"account": 7}}));
    assert_eq!(bus.why()["attempts"], 1);
}

#[test]
fn one_that_takes_too_long_or_too_much_is_ended() {
    let bus = Session::with("[extensions]\ndeadline_ms = 50\nmemory_bytes = 16777216\n[retry]\nattempts = 2");
    bus.install("slow", &[looping_on_long_payloads()]).install("greedy", &[greedy()]);
    let service = bus.serve();
    bus.drop("1.json", message("m-1", "alice", "slow", "do", "\"for ever\""));
    bus.drop("2.json", message("m-2", "alice", "greedy", "do", "1"));
    bus.until("both given up", |bus| bus.ls("inbox/alice").len() == 2);
    service.stop();
    let code = |id: &str| string(&bus.json(format!("inbox/alice/{id}.reply.json"))["error"], "code");
    assert_eq!((code("m-1"), code("m-2")), ("timeout".into(), "resource-limit".into()));
}

#[test]
fn one_that_waits_for_a_retry_lets_later_ones_pass() {
    let bus = Session::with("[retry]\nfirst_ms = 600000\nmax_ms = 600000\n[extension.flaky]\nconcurrency = 1");
    bus.install(
        "flaky",
        &[crate::mock::handler(
            "(if (i32.gt_u (i32.load offset=36 (local.get 0)) (i32.const 2)) (then unreachable))
         (call $reply (i32.load offset=32 (local.get 0)) (i32.load offset=36 (local.get 0)))",
        )],
    );
    bus.drop("1.json", message("m-1", "alice", "flaky", "do", "\"too long\""));
    bus.drop("2.json", message("m-2", "alice", "flaky", "do", "2")).once();
    assert_snapshot!(bus.tree(), @"
    archive/DAY/HH/T2~m-2.json
    deferred/DUE.2.T1~1.json
    inbox/alice/
    inbox/alice/m-2.reply.json
    ");
}

#[test]
fn a_deferred_message_survives_the_service_with_its_attempts() {
    let bus = Session::with("[retry]\nfirst_ms = 600000\nmax_ms = 600000");
    bus.install("flaky", &[failing_before(3)]).drop("1.json", message("m-1", "alice", "flaky", "do", "1")).once();
    // Due at once, as far as the name says.
    let waiting = bus.ls("deferred").pop().unwrap();
    let due_now = waiting.split_once('.').map(|(_, rest)| format!("1763683200000.{rest}")).unwrap();
    std::fs::rename(bus.path("deferred").join(waiting), bus.path("deferred").join(due_now)).unwrap();
    bus.once();
    let [waiting] = <[String; 1]>::try_from(bus.ls("deferred")).unwrap();
    assert!(waiting.split('.').nth(1) == Some("3"), "{waiting}");
}

#[test]
fn a_reply_that_fails_gets_no_error_reply() {
    let bus = Session::new();
    bus.know(&["alice", "bob"]).drop("1.json", message("m-1", "alice", "bob", "do", "1")).once();
    let late = message_with(r#""inReplyTo":"m-1","expiresAt":1"#, "b-1", "bob", "alice", "do", "1");
    bus.drop("2.json", late).once();
    assert_eq!(bus.dead(), [("expired".into(), "2.json".into())]);
    assert_eq!(bus.ls("inbox/bob"), ["m-1.json"]);
    // Nor does one that answers what the service said: two programs that answer each refusal would never end.
    bus.drop("3.json", message("m-3", "alice", "nobody", "do", "1")).once();
    let refused = bus.json("inbox/alice/m-3.reply.json");
    let answer =
        message_with(&format!(r#""inReplyTo":"{}""#, string(&refused, "id")), "m-4", "alice", "nobody", "do", "1");
    // What cannot be read as a message may be an answer.
    let unfit = r#"{"id":"m-5","sender":"alice","recipient":"bob","inReplyTo":"x"}"#;
    bus.drop("4.json", answer).drop("5.json", unfit).once();
    assert_eq!((bus.dead().len(), bus.ls("inbox/alice").len()), (4, 1));
}

/// It names a message that nobody remembers, or has another action: then it is a message like any other.
#[test]
fn a_message_that_only_names_another_gets_an_error_reply() {
    let bus = Session::new();
    bus.know(&["alice", "bob"]).install("strict", &[refusing("no", "1")]);
    bus.drop("1.json", message("m-1", "bob", "alice", "do", "1")).once();
    bus.drop("2.json", message_with(r#""inReplyTo":"x""#, "m-2", "alice", "nobody", "do", "1"));
    bus.drop("3.json", message_with(r#""inReplyTo":"x""#, "m-3", "alice", "strict", "do", "1"));
    bus.drop("4.json", message_with(r#""inReplyTo":"m-1","expiresAt":1"#, "m-4", "alice", "bob", "other", "1")).once();
    let expected = ["m-1.json", "m-2.reply.json", "m-3.reply.json", "m-4.reply.json"];
    assert_eq!((bus.dead().len(), bus.ls("inbox/alice")), (3, expected.map(String::from).to_vec()));
}

#[test]
fn a_refused_message_without_an_id_gets_its_error_reply_too() {
    let bus = Session::new();
    bus.know(&["alice"]).drop("1.json", r#"{"sender":"alice","recipient":"bob"}"#).once();
    let names = bus.ls("inbox/alice");
    assert_eq!(names.len(), 1);
    let reply = bus.json(format!("inbox/alice/{}", names[0]));
    assert_eq!((reply["error"]["code"].as_str(), &reply["inReplyTo"]), (Some("invalid-message"), &Value::Null));
    assert_eq!(names[0], format!("{}.json", string(&reply, "id")));
}

/// Every reason says what to do about it.
#[test]
fn every_dead_letter_has_a_hint() {
    let bus = Session::new();
    bus.know(&["alice"]);
    let unfit = [
        r#"{"id":"m","sender":"alice","recipient":"bob"}"#,
        r#"{"id":"m","sender":"alice","recipient":[],"action":"do"}"#,
        r#"{"id":"m","sender":"alice","recipient":7,"action":"do"}"#,
        r#"{"id":"m","sender":"alice","recipient":"CON","action":"do"}"#,
        r#"{"id":"m","sender":"alice","recipient":"bob","action":"do","traceparent":"x"}"#,
        r#"{"id":"m","sender":"alice","recipient":"bob","action":"do","signature":""}"#,
        r#"{"id":"m","sender":"alice","recipient":"bob","action":"do","priority":10}"#,
        r#"{"id":"m","sender":"alice","recipient":"postroom","action":"mcp.core.nothing"}"#,
    ];
    for (n, text) in unfit.iter().enumerate() {
        bus.drop(&format!("{n}.json"), text);
    }
    bus.once();
    let whys = bus.whys();
    assert_eq!(whys.len(), unfit.len());
    for why in &whys {
        assert!(string(why, "hint").len() > 10, "{why}");
    }
    let priority = whys.iter().find(|why| string(why, "message").contains("priority")).expect("one is about it");
    assert_eq!(string(priority, "hint"), "the largest that it may be is 9");
}

#[test]
fn error_replies_are_bounded() {
    let bus = Session::new();
    bus.know(&["alice"]);
    for n in 0..999 {
        bus.write(format!("inbox/alice/{n:03}.json"), "{}");
    }
    for n in 1..=3 {
        bus.drop(&format!("{n}.json"), message(&format!("m-{n}"), "alice", "nobody", "do", "1"));
        bus.once();
    }
    assert_eq!(bus.dead().len(), 3);
    assert_eq!(bus.ls("inbox/alice").len(), 1000);
    // An answer is another matter: he asked for it.
    bus.drop("4.json", crate::session::echo("m-4", "alice", "1")).once();
    assert!(bus.exists("inbox/alice/m-4.reply.json"));
}

#[test]
fn up_to_its_concurrency_an_extension_handles_messages_at_the_same_time() {
    let bus = Session::with("[extensions]\ndeadline_ms = 600000\n[extension.slow]\nconcurrency = 2");
    bus.install("slow", &[looping_on_long_payloads()]).install("other", &[echoing()]);
    let service = bus.serve();
    bus.drop("1.json", message("m-1", "alice", "slow", "do", "\"for ever\""));
    bus.drop("2.json", message("m-2", "alice", "slow", "do", "2"));
    bus.until("an answer beside it", |bus| bus.exists("inbox/alice/m-2.reply.json"));
    // Both places taken: others are answered all the same, and what is too much for the lane waits in the drop.
    bus.drop("3.json", message("m-3", "alice", "slow", "do", "\"for ever too\""));
    bus.until("it runs", |bus| bus.steps(&["called"]).contains(&"m-3 called".to_owned()));
    for n in 0..40 {
        bus.drop(&format!("w-{n:02}.json"), message(&format!("w-{n:02}"), "alice", "slow", "do", "1"));
    }
    bus.drop("x.json", message("x-1", "alice", "other", "do", "1"));
    bus.until("the other's answer", |bus| bus.exists("inbox/alice/x-1.reply.json"));
    assert_eq!(bus.steps(&["called"]), ["m-1 called", "m-2 called", "m-3 called", "x-1 called"]);
    drop(service);
}

#[test]
fn with_a_concurrency_of_one_never_two_run_at_a_time() {
    let bus = Session::with("[retry]\nfirst_ms = 1\nmax_ms = 1\n[extension.flaky]\nconcurrency = 1");
    bus.install("flaky", &[failing_before(2)]);
    let service = bus.serve();
    for n in 0..50 {
        bus.drop(&format!("{n:02}.json"), message(&format!("m-{n:02}"), "alice", "flaky", "do", "1"));
    }
    bus.until("all answers", |bus| bus.ls("inbox/alice").len() == 50);
    service.stop();
    let steps = bus.steps(&["called", "deferred", "replied"]);
    assert_eq!(steps.len(), 200);
    for pair in steps.chunks(2) {
        let (begun, ended) = (pair[0].split_once(' ').unwrap(), pair[1].split_once(' ').unwrap());
        assert!(begun.1 == "called" && ended.1 != "called" && begun.0 == ended.0, "{pair:?}");
    }
}
