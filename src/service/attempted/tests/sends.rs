//! What extensions send, and what they are answered.

use super::*;

#[test]
fn what_a_handler_sends_is_delivered_from_it_one_hop_further() {
    let bus = Bus::new();
    let mut active = bus.serve();
    bus.drop("m-1", "one");
    active.work();
    assert_eq!(active.in_hand(), [("m-1".into(), "alice".into(), 0)]);
    active.end("m-1", sends([sent("one", "s-1", "\"alice\"", ""), sent("one", "s-2", r#"["alice","two"]"#, "")]));
    active.work();
    assert_eq!(bus.ls("inbox/alice"), ["m-1.reply.json", "s-1.json", "s-2.json"]);
    let delivered = bus.json("inbox/alice/s-1.json");
    assert_eq!((&delivered["sender"], &delivered["delivery"]["hops"]), (&"one".into(), &1.into()));
    assert_eq!(bus.json("inbox/alice/s-2.json")["delivery"]["hops"], 1);
    assert_eq!(active.in_hand(), [("s-2".into(), "one".into(), 1)]);
    let told = bus.journal("sent");
    let finished = bus.journal("finished");
    let from = &finished.iter().find(|line| line["id"] == "m-1").expect("a line")["ticket"];
    assert_eq!(
        told.iter().map(|line| (&line["id"], &line["from"])).collect::<Vec<_>>(),
        [(&Json::from("s-1"), from), (&Json::from("s-2"), from)]
    );
}

#[test]
fn a_dropped_file_cannot_come_from_an_extension() {
    let bus = Bus::new();
    let mut active = bus.serve();
    std::fs::write(bus.path.join("@1~x.json"), message("one", "f-1", "\"alice\"", "")).expect("dropped");
    active.work();
    assert_eq!(bus.dead(), [("not-permitted".to_owned(), "alice".to_owned())]);
}

#[test]
fn an_extension_that_asked_gets_the_answer_as_a_message_and_answers_it_no_more() {
    let bus = Bus::new();
    let mut active = bus.serve();
    bus.drop("m-1", "one");
    active.work();
    let asked = ["\"two\"", "\"postroom\"", "\"nobody\""].into_iter().zip(["s-1", "s-2", "s-3"]);
    active.end("m-1", sends(asked.map(|(to, id)| sent("one", id, to, ""))));
    active.work();
    active.end("s-1", replies());
    active.work();
    // The answer of `two`, the refusal of `postroom` (it has no such action), and that nobody is called `nobody`.
    let answers = active.in_hand();
    let from: Vec<(&str, u32)> = answers.iter().map(|(_, sender, hops)| (sender.as_str(), *hops)).collect();
    assert_eq!(from, [("postroom", 2), ("postroom", 2), ("two", 2)]);
    for (id, ..) in &answers {
        active.end(id, replies());
    }
    active.work();
    assert_eq!(active.in_hand(), []);
    assert_eq!(bus.ls("inbox"), ["alice"]);
    assert_eq!(bus.ls("inbox/alice"), ["m-1.reply.json"]);
    let handled = bus.journal("handled");
    assert_eq!(handled.len(), 3, "{handled:?}");
}

#[test]
fn an_agent_answers_an_extension_once() {
    let bus = Bus::new();
    let mut active = bus.serve();
    bus.drop("m-1", "one");
    active.work();
    active.end("m-1", sends([sent("one", "s-1", "\"alice\"", "")]));
    active.work();
    for id in ["a-1", "a-2"] {
        let answer = message("alice", id, "\"one\"", r#","inReplyTo":"s-1""#);
        std::fs::write(bus.path.join(format!("{id}.json")), answer).expect("dropped");
        active.work();
    }
    assert_eq!(active.in_hand(), [("a-1".into(), "alice".into(), 2)]);
    active.end("a-1", replies());
    active.work();
    std::fs::write(bus.path.join("a-3.json"), message("alice", "a-3", "\"one\"", r#","inReplyTo":"s-1""#))
        .expect("dropped");
    active.work();
    assert_eq!(active.in_hand(), []);
    assert_eq!(bus.ls("inbox/alice"), ["m-1.reply.json", "s-1.json"], "an answer gets none");
    assert_eq!(bus.journal("duplicate").len(), 2);
}

#[test]
fn two_extensions_that_send_to_each_other_end_as_a_loop() {
    let bus = Bus::new();
    let mut active = bus.serve();
    bus.drop("m-0", "one");
    active.work();
    let mut round = 0;
    while let Some((id, ..)) = active.in_hand().first().cloned() {
        round += 1;
        assert!(round < 100, "it does not end");
        let (from, to) = if round % 2 == 1 { ("one", "\"two\"") } else { ("two", "\"one\"") };
        // No answers in between: each of those would be a branch of its own.
        active.end(
            &id,
            Attempted {
                handled: replies().handled,
                ..sends([sent(from, &format!("m-{round}"), to, r#","inReplyTo":"x""#)])
            },
        );
        active.work();
    }
    assert_eq!(round, 17);
    assert_eq!(bus.dead(), [("loop".to_owned(), "two".to_owned())]);
}

#[test]
fn an_extension_that_answers_every_refusal_ends_as_a_loop() {
    let bus = Bus::new();
    let mut active = bus.serve();
    bus.drop("m-0", "one");
    active.work();
    let mut round = 0;
    while let Some((id, ..)) = active.in_hand().first().cloned() {
        round += 1;
        assert!(round < 100, "it does not end");
        active.end(&id, sends([sent("one", &format!("m-{round}"), "\"nobody\"", "")]));
        active.work();
    }
    // Each refusal is a hop, and so is each message that is sent because of it.
    assert_eq!(round, 9);
    assert_eq!(bus.dead().last().map(|(code, _)| code.as_str()), Some("loop"), "{:?}", bus.dead());
}

#[test]
fn what_waits_or_died_stays_the_extensions_own() {
    let bus = Bus::new();
    let mut active = bus.serve();
    bus.drop("m-1", "one");
    active.work();
    let later = Now::get().wall_ms + 3_600_000;
    let waits = sent("one", "s-1", "\"alice\"", &format!(r#","notBefore":{later}"#));
    active.end("m-1", sends([waits, sent("one", "s-2", "\"two\"", "")]));
    active.work();
    let waiting = bus.ls("deferred");
    assert!(waiting.len() == 1 && waiting[0].contains("@1~s-1.json"), "{waiting:?}");
    active.end("s-2", fails(Retry::Final));
    active.work();
    let (letter, ticket) = bus
        .ls("dead-letter")
        .iter()
        .filter_map(|name| layout::parse_dead(name))
        .map(|letter| (letter.dead().0, letter.ticket))
        .next()
        .expect("a dead letter");
    assert!(letter.contains("@1~s-2.json"), "{letter}");
    let request = format!(r#"{{"op":"retry","tickets":["{ticket}"]}}"#);
    std::fs::write(bus.path.join(".postroom/requests/r.json"), request).expect("asked");
    let refusals = active.in_hand();
    assert_eq!(refusals.len(), 1);
    active.end(&refusals[0].0, replies());
    active.work();
    assert_eq!(active.in_hand(), [("s-2".into(), "one".into(), 1)]);
    active.end("s-2", replies());
    active.work();
    assert_eq!(bus.dead(), []);
    assert_eq!(active.in_hand().len(), 1, "its answer");
}
