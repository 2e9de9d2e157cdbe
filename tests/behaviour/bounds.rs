//! Section 4: time, hops and how much may wait.

use std::time::{SystemTime, UNIX_EPOCH};

use insta::assert_snapshot;
use serde_json::json;

use crate::session::{Session, echo, message, message_with, string};

fn in_ms(ms: i64) -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64 + ms
}

#[test]
fn one_whose_time_has_passed_is_not_handled() {
    let bus = Session::new();
    bus.know(&["bob"]);
    bus.drop("1.json", message_with(r#""expiresAt":1763683200000"#, "m-1", "alice", "bob", "note", "1"));
    bus.drop("2.json", message_with(r#""expiresAt":4102444800000"#, "m-2", "alice", "bob", "note", "1")).once();
    assert_eq!(bus.dead(), [("expired".into(), "1.json".into())]);
    assert_eq!(bus.json("inbox/alice/m-1.reply.json")["error"]["code"], "expired");
    assert_eq!(bus.ls("inbox/bob"), ["m-2.json"]);
}

#[test]
fn one_that_is_not_to_be_handled_before_its_time_waits_for_it() {
    let bus = Session::new();
    bus.know(&["bob"]);
    let service = bus.serve();
    let due = in_ms(200);
    bus.drop("1.json", message_with(&format!(r#""notBefore":{due}"#), "m-1", "alice", "bob", "note", "1"));
    bus.until("delivered", |bus| bus.exists("inbox/bob/m-1.json"));
    assert!(in_ms(0) >= due);
    service.stop();
    assert_eq!(bus.steps(&["accepted", "deferred", "delivered"]).last().unwrap(), "m-1 delivered");
    assert_eq!(bus.json("inbox/bob/m-1.json")["delivery"]["attempt"], 1);
    assert_snapshot!(bus.tree(), @"
    archive/DAY/HH/T1~m-1.json
    inbox/bob/
    inbox/bob/m-1.json
    ");
}

#[test]
fn one_that_expires_while_it_waits_is_not_handled() {
    let bus = Session::new();
    bus.know(&["bob"]);
    let service = bus.serve();
    let (due, end) = (in_ms(150), in_ms(100));
    let more = format!(r#""notBefore":{due},"expiresAt":{end}"#);
    bus.drop("1.json", message_with(&more, "m-1", "alice", "bob", "note", "1"));
    bus.until("its end", |bus| bus.whys().len() == 1);
    service.stop();
    assert_eq!(bus.dead(), [("expired".into(), "1.json".into())]);
}

#[test]
fn two_who_answer_each_others_answers_are_stopped() {
    let bus = Session::new();
    bus.know(&["alice", "bob"]).drop("0.json", message("m-0", "alice", "bob", "chat", "0")).once();
    for n in 1..=18 {
        let (from, to) = if n % 2 == 0 { ("alice", "bob") } else { ("bob", "alice") };
        let more = format!(r#""inReplyTo":"m-{}""#, n - 1);
        bus.drop(&format!("{n}.json"), message_with(&more, &format!("m-{n}"), from, to, "chat", "1")).once();
        if bus.dead().is_empty() {
            assert_eq!(bus.json(format!("inbox/{to}/m-{}.reply.json", n - 1))["delivery"]["hops"], n);
        }
    }
    // m-17 would be the seventeenth hop; m-18 answers a message that was never delivered, so it stands at the beginning.
    assert_eq!(bus.dead(), [("loop".into(), "17.json".into())]);
    assert!(!bus.exists("inbox/bob/m-17.reply.json"), "a reply gets no error reply");
}

#[test]
fn an_answer_to_a_list_of_one_is_an_answer_to_one() {
    let bus = Session::new();
    bus.know(&["alice", "bob", "eve"]).drop("0.json", message("m-0", "alice", "bob", "chat", "0")).once();
    let answer = |id: &str, from: &str| {
        json!({"id": id, "sender": from, "recipient": ["alice"], "action": "chat", "inReplyTo": "m-0", "payload": 1})
            .to_string()
    };
    bus.drop("1.json", answer("b-1", "bob")).drop("2.json", answer("e-1", "eve")).once();
    assert_eq!(bus.ls("inbox/alice"), ["m-0.reply.json"]);
    assert_eq!(bus.json("inbox/alice/m-0.reply.json")["delivery"]["hops"], 1);
    assert_eq!(bus.dead(), [("not-permitted".into(), "2.json".into())]);
}

#[test]
fn answers_to_several_are_stopped_too() {
    let bus = Session::new();
    bus.know(&["alice"]).drop("0.json", message("m-0", "alice", "alice", "chat", "0")).once();
    for n in 1..=17 {
        let text = json!({
            "id": format!("m-{n}"), "sender": "alice", "recipient": ["alice", "postroom"], "action": "mcp.core.ping",
            "inReplyTo": format!("m-{}", n - 1),
        });
        bus.drop(&format!("{n}.json"), text.to_string()).once();
    }
    assert_eq!(bus.dead(), [("loop".into(), "17.json".into())]);
}

/// Each answers the one before him by writing to the one after him: the message that is answered came from neither end.
#[test]
fn a_ring_of_three_is_stopped() {
    let bus = Session::new();
    let ring = ["alice", "bob", "carol"];
    bus.know(&ring).drop("0.json", message("m-0", "alice", "bob", "chat", "0")).once();
    for n in 1..=17 {
        let (from, to) = (ring[n % 3], ring[(n + 1) % 3]);
        let more = format!(r#""inReplyTo":"m-{}""#, n - 1);
        bus.drop(&format!("{n}.json"), message_with(&more, &format!("m-{n}"), from, to, "chat", "1")).once();
        if bus.dead().is_empty() {
            assert_eq!(bus.json(format!("inbox/{to}/m-{n}.json"))["delivery"]["hops"], n);
        }
    }
    assert_eq!(bus.dead(), [("loop".into(), "17.json".into())]);
}

#[test]
fn those_who_answer_by_writing_to_everybody_are_stopped() {
    let bus = Session::new();
    for agent in ["alice", "bob"] {
        let text = r#"{"name":"it","version":"1","capabilities":[]}"#;
        bus.drop(&format!("{agent}.json"), message(agent, agent, "postroom", "mcp.core.register", text));
    }
    bus.drop("x0.json", message("m-0", "alice", "*", "chat", "0")).once();
    for n in 1..=17 {
        let (from, to) = if n % 2 == 0 { ("alice", "bob") } else { ("bob", "alice") };
        let more = format!(r#""inReplyTo":"m-{}""#, n - 1);
        bus.drop(&format!("x{n}.json"), message_with(&more, &format!("m-{n}"), from, "*", "chat", "1")).once();
        if bus.dead().is_empty() {
            assert_eq!(bus.json(format!("inbox/{to}/m-{n}.json"))["delivery"]["hops"], n);
        }
    }
    assert_eq!(bus.dead(), [("loop".into(), "x17.json".into())]);
}

/// Programs that count their messages use the same ids: only what went to the one who answers can be what is answered.
#[test]
fn anothers_message_with_the_same_id_is_not_the_one_that_is_answered() {
    let bus = Session::new();
    bus.know(&["alice", "bob", "carol", "dave"]).drop("0.json", message("0", "dave", "alice", "chat", "0")).once();
    // Between alice and dave ids 1 to 10 are ever deeper in a chain.
    for n in 1..=10 {
        let (from, to) = if n % 2 == 0 { ("dave", "alice") } else { ("alice", "dave") };
        let more = format!(r#""inReplyTo":"{}""#, n - 1);
        bus.drop(&format!("{n}.json"), message_with(&more, &n.to_string(), from, to, "chat", "1")).once();
    }
    assert_eq!(bus.json("inbox/alice/9.reply.json")["delivery"]["hops"], 10);
    bus.drop("c.json", message("10", "carol", "bob", "chat", "0")).once();
    bus.drop("b.json", message_with(r#""inReplyTo":"10""#, "b", "bob", "dave", "other", "0")).once();
    assert_eq!(bus.json("inbox/dave/b.json")["delivery"]["hops"], 1, "one more than carol's, not than dave's");
}

#[test]
fn one_who_answers_the_answers_of_the_service_is_stopped() {
    let bus = Session::new();
    bus.drop("0.json", echo("m-0", "alice", "0")).once();
    let mut last = 0;
    while bus.dead().is_empty() {
        assert!(last < 20, "no end");
        let reply = bus.json(format!("inbox/alice/m-{last}.reply.json"));
        last += 1;
        let more = format!(r#""inReplyTo":"{}""#, string(&reply, "id"));
        let id = format!("m-{last}");
        bus.drop("next.json", message_with(&more, &id, "alice", "postroom", "mcp.core.echo", "1")).once();
    }
    assert_eq!(string(&bus.why(), "code"), "loop");
    // Each round trip is two hops: m-8 has 16, m-9 would have 18.
    assert_eq!(last, 9);
}

fn codes(bus: &Session) -> Vec<String> {
    bus.dead().into_iter().map(|(code, _)| code).collect()
}

#[test]
fn a_sender_may_have_so_many_messages_waiting() {
    let bus = Session::with("[limits]\nper_sender_messages = 2");
    bus.know(&["bob"]);
    let later = |id: &str, sender: &str| message_with(r#""notBefore":4102444800000"#, id, sender, "bob", "note", "1");
    bus.write_in_order((1..=4).map(|n| (format!("{n}.json"), later(&format!("m-{n}"), "alice"))));
    bus.drop("5.json", later("m-5", "carol")).drop("6.json", message("m-6", "alice", "bob", "note", "1")).once();
    // Also the last is one too many: whoever has that many waiting is not to add to it.
    assert_eq!(codes(&bus), ["rate-limited"; 3]);
    assert_eq!(bus.ls("deferred").len(), 3);
    let reply = bus.json("inbox/alice/m-3.reply.json");
    assert_eq!(reply["error"]["code"], "rate-limited");
    assert!(string(&bus.whys()[0], "hint").contains("limits.per_sender_messages"));
}

#[test]
fn a_sender_may_have_so_many_bytes_waiting() {
    let bus = Session::with("[limits]\nper_sender_bytes = 1000");
    let later = |id: &str, length: usize| {
        let payload = format!("\"{}\"", "x".repeat(length));
        message_with(r#""notBefore":4102444800000"#, id, "alice", "bob", "note", &payload)
    };
    bus.know(&["bob"]).write_in_order([("1.json", later("m-1", 500)), ("2.json", later("m-2", 500))]).once();
    assert_eq!((codes(&bus), bus.ls("deferred").len()), (vec!["rate-limited".to_owned()], 1));
}

#[test]
fn what_waits_counts_also_for_a_service_that_starts_later() {
    let bus = Session::with("[limits]\nper_sender_messages = 2");
    bus.know(&["bob"]);
    for n in 1..=3 {
        let id = format!("m-{n}");
        bus.drop("next.json", message_with(r#""notBefore":4102444800000"#, &id, "alice", "bob", "note", "1")).once();
    }
    assert_eq!((codes(&bus), bus.ls("deferred").len()), (vec!["rate-limited".to_owned()], 2));
}

#[test]
fn an_inbox_may_have_so_many_messages() {
    let bus = Session::with("[limits]\nper_inbox_messages = 2");
    bus.know(&["bob"]);
    bus.write_in_order((1..=3).map(|n| (format!("{n}.json"), message(&format!("m-{n}"), "alice", "bob", "note", "1"))));
    bus.once();
    assert_eq!((bus.dead(), bus.ls("inbox/bob").len()), (vec![("rate-limited".into(), "3.json".into())], 2));
    // The id of the refused one is free, and so is the place once one is deleted.
    bus.remove("inbox/bob/m-1.json").drop("4.json", message("m-3", "alice", "bob", "note", "1")).once();
    assert_eq!(bus.ls("inbox/bob"), ["m-2.json", "m-3.json"]);
}

#[test]
fn the_bus_may_have_so_many_messages_waiting() {
    let bus = Session::with("[limits]\nbus_messages = 2");
    bus.know(&["bob"]);
    for (n, sender) in ["alice", "carol", "dora"].into_iter().enumerate() {
        let text = message_with(r#""notBefore":4102444800000"#, "m-1", sender, "bob", "note", "1");
        bus.drop(&format!("{n}.json"), text).once();
    }
    assert_eq!((codes(&bus), bus.ls("deferred").len()), (vec!["rate-limited".to_owned()], 2));
}

#[test]
fn what_lies_in_inboxes_counts_for_the_bus_within_a_batch_and_for_the_next_service() {
    let bus = Session::with("[limits]\nbus_messages = 5");
    bus.know(&["bob", "carol"]);
    bus.write_in_order((1..=7).map(|n| (format!("{n}.json"), message(&format!("m-{n}"), "alice", "bob", "note", "1"))));
    bus.once();
    assert_eq!((codes(&bus), bus.ls("inbox/bob").len()), (vec!["rate-limited".to_owned(); 2], 5));
    bus.drop("8.json", message("m-8", "alice", "carol", "note", "1")).once();
    assert_eq!((codes(&bus).len(), bus.ls("inbox/carol").len()), (3, 0));
}

#[test]
fn there_may_be_so_many_agents() {
    let bus = Session::with("[limits]\nagents = 2");
    bus.write_in_order((1..=3).map(|n| (format!("{n}.json"), echo("m-1", &format!("agent-{n}"), "1")))).once();
    assert_eq!(bus.dead(), [("rate-limited".into(), "3.json".into())]);
    // Nor does it get an inbox by being told so.
    assert_snapshot!(bus.tree(), @"
    archive/DAY/HH/T1~m-1.json
    archive/DAY/HH/T2~m-1.json
    dead-letter/T3~3.json
    dead-letter/T3~3.why.json
    inbox/agent-1/
    inbox/agent-1/m-1.reply.json
    inbox/agent-2/
    inbox/agent-2/m-1.reply.json
    ");
    let register =
        message("m-2", "agent-1", "postroom", "mcp.core.register", r#"{"name":"A","version":"1","capabilities":[]}"#);
    bus.drop("4.json", register).once();
    assert!(bus.exists("agents/agent-1.json"));
}

#[test]
fn what_comes_faster_than_its_sender_may_send_waits_for_its_turn() {
    let bus = Session::with("[limits]\nper_sender_per_second = 2");
    bus.know(&["bob"]);
    let text = |n: u32| message(&format!("m-{n}"), "alice", "bob", "note", "1");
    bus.write_in_order((1..=4).map(|n| (format!("{n}.json"), text(n))));
    bus.drop("5.json", message("c-1", "carol", "bob", "note", "1"));
    let service = bus.serve();
    bus.until("all messages", |bus| bus.ls("inbox/bob").len() == 5);
    service.stop();
    let steps: Vec<String> =
        bus.steps(&["deferred", "delivered"]).into_iter().filter(|step| step.starts_with("m-")).collect();
    let [first, second, third, fourth] = [1, 2, 3, 4].map(|n| format!("m-{n} delivered"));
    let waited = ["m-3 deferred".to_owned(), "m-4 deferred".to_owned()];
    assert_eq!(steps, [[first, second], waited, [third, fourth]].concat());
    let deferred: Vec<_> = bus.journal().into_iter().filter(|line| line["step"] == "deferred").collect();
    assert_eq!(string(&deferred[0], "message"), "its sender's rate");
}

#[test]
fn the_next_turn_is_that_of_the_highest_priority() {
    let bus = Session::with("[limits]\nper_sender_per_second = 1");
    bus.know(&["bob"]);
    // The last of these has its turn in a minute.
    bus.write_in_order(
        (1..=60).map(|n| (format!("{n}.json"), message(&format!("m-{n}"), "alice", "bob", "note", "1"))),
    );
    let service = bus.serve();
    bus.until("the others wait", |bus| bus.ls("deferred").len() + bus.ls("inbox/bob").len() == 60);
    bus.drop("61.json", message_with(r#""priority":9"#, "urgent", "alice", "bob", "note", "1"));
    bus.until("the urgent one", |bus| bus.exists("inbox/bob/urgent.json"));
    service.stop();
    assert_eq!(bus.steps(&["deferred"]).last().map(String::as_str), Some("urgent deferred"));
    assert!(!bus.exists("inbox/bob/m-60.json"));
}

/// A service was killed when it had claimed them: it had asked nobody's rate for them yet.
#[test]
fn what_was_claimed_by_a_service_that_died_takes_its_turn_then() {
    let bus = Session::with("[limits]\nper_sender_per_second = 2");
    let room = format!("processing/1/{}", uuid::Uuid::now_v7());
    std::fs::create_dir_all(bus.path(&room)).expect("made");
    std::fs::write(bus.path(&room).join("lock"), "").expect("made");
    for n in 1..=5 {
        let claim = format!("{room}/1.{}~{n}.json", uuid::Uuid::now_v7());
        bus.write(claim, message(&format!("m-{n}"), "alice", "bob", "note", "1"));
    }
    bus.know(&["bob"]).once();
    assert_eq!(bus.steps(&["deferred"]), ["m-3 deferred", "m-4 deferred", "m-5 deferred"]);
    assert_eq!(bus.ls("inbox/bob"), ["m-1.json", "m-2.json"]);
}

#[test]
fn what_is_not_handled_takes_nobodys_turn() {
    let bus = Session::with("[limits]\nper_sender_per_second = 1\nper_sender_messages = 2");
    bus.know(&["bob"]).drop("1.json", message("m-1", "alice", "bob", "note", "1")).once();
    // A duplicate, unknown recipients, and what is over a limit.
    bus.drop("2.json", message("m-1", "alice", "bob", "note", "1"));
    bus.write_in_order(
        (3..9).map(|n| (format!("{n}.json"), message(&format!("m-{n}"), "alice", "nobody", "note", "1"))),
    );
    bus.write_in_order((10..19).map(|n| (format!("{n}.json"), message(&format!("m-{n}"), "dora", "bob", "note", "1"))));
    let service = bus.serve();
    bus.until("three of dora's", |bus| bus.ls("inbox/bob").len() == 4);
    // She has had her turns, and those that were refused have left none behind.
    bus.drop("20.json", message("m-20", "alice", "bob", "note", "1"));
    bus.until("the last one", |bus| bus.exists("inbox/bob/m-20.json"));
    service.stop();
    let codes = codes(&bus);
    assert_eq!(codes.iter().filter(|code| *code == "unknown-recipient").count(), 6);
    assert_eq!(codes.iter().filter(|code| *code == "rate-limited").count(), 6);
    assert_eq!(bus.steps(&["deferred"]), ["m-11 deferred", "m-12 deferred"]);
}

#[test]
fn what_waited_for_its_date_takes_its_turn_then() {
    let bus = Session::with("[limits]\nper_sender_per_second = 2");
    let more = format!(r#""notBefore":{}"#, in_ms(300));
    bus.know(&["bob"]);
    let text = |n: u32| message_with(&more, &format!("m-{n}"), "alice", "bob", "note", "1");
    bus.write_in_order((1..=4).map(|n| (format!("{n}.json"), text(n))));
    bus.once();
    let service = bus.serve();
    bus.until("all messages", |bus| bus.ls("inbox/bob").len() == 4);
    service.stop();
    let deferred: Vec<_> = bus.journal().into_iter().filter(|line| line["step"] == "deferred").collect();
    let why: Vec<String> = deferred.iter().map(|line| string(line, "message")).collect();
    assert_eq!(why[..4], ["notBefore"; 4]);
    assert_eq!(why[4..], ["its sender's rate"; 2]);
    // Whoever asks is told of both waits.
    let told: serde_json::Value = serde_json::from_slice(&bus.run(&["trace", "m-3", "--json"]).stdout).expect("JSON");
    let steps = told["messages"][0]["steps"].as_array().expect("a list");
    assert_eq!(steps.iter().filter(|step| step["step"] == "deferred").count(), 2, "{told}");
}

#[test]
fn what_can_only_expire_is_refused_at_once() {
    let bus = Session::new();
    let more = r#""notBefore":4102444800000,"expiresAt":4102444800000"#;
    bus.know(&["bob"]).drop("1.json", message_with(more, "m-1", "alice", "bob", "note", "1")).once();
    assert_eq!(bus.dead(), [("expired".into(), "1.json".into())]);
}

#[test]
fn nought_is_no_limit() {
    let none = "per_sender_messages = 0\nper_sender_bytes = 0\nper_inbox_messages = 0\nbus_messages = 0\nagents = 0";
    let bus = Session::with(&format!("[limits]\n{none}"));
    bus.know(&["bob"])
        .drop("1.json", message("m-1", "alice", "bob", "note", "1"))
        .drop("2.json", echo("m-2", "alice", "1"));
    bus.once();
    assert_eq!((bus.dead(), bus.json("inbox/alice/m-2.reply.json")["payload"].clone()), (vec![], json!(1)));
}
