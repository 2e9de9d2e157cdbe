//! What extensions keep, what their control commands change, and what a failed attempt leaves.

use std::collections::BTreeMap;

use super::*;

#[test]
fn a_failed_attempt_leaves_its_log_and_nothing_else() {
    let bus = Bus::new();
    let mut active = bus.serve();
    bus.drop("m-1", "one");
    active.work();
    let line = |text: &str| LogLine { extension: "one".into(), level: Level::Warn, text: text.into() };
    let mut failed = sends([sent("one", "s-1", "\"alice\"", "")]);
    failed.effects.written.insert(key("count"), Some(b"1".to_vec()));
    failed.handled = fails(Retry::Later).handled;
    failed.log = vec![line("first \u{1b}[31m")];
    active.end("m-1", failed);
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while active.in_hand().is_empty() {
        assert!(std::time::Instant::now() < deadline, "it is not tried again");
        active.work();
    }
    let log = (0..40).map(|n| line(&format!("line {n}"))).collect();
    active.end("m-1", Attempted { log, ..fails(Retry::Final) });
    active.work();
    assert_eq!(bus.ls("inbox/alice"), ["m-1.reply.json"]);
    assert_eq!(bus.value("count"), None);
    let deferred = &bus.journal("deferred")[0];
    assert_eq!(deferred["log"], serde_json::json!([{"by": "one", "level": "warn", "text": "first \u{1b}[31m"}]));
    assert_eq!(bus.journal("finished")[0]["log"].as_array().map(Vec::len), Some(40));
    let why = bus.ls("dead-letter").into_iter().find(|name| name.ends_with(".why.json")).expect("a reason");
    let why = bus.json(&format!("dead-letter/{why}"));
    let log = why["log"].as_array().expect("a log");
    assert_eq!((log.len(), &log[15]["text"]), (16, &"line 39".into()));
}

/// Counts one further than what it has read, as an extension that keeps a number would.
fn counts(active: &Active<'_>) -> Attempted {
    let stored = active.state.get(&key("count")).expect("readable");
    let number: u64 = stored.value.map_or(0, |text| String::from_utf8(text).expect("text").parse().expect("a number"));
    let mut attempted = replies();
    attempted.effects.read.insert(key("count"), stored.version);
    attempted.effects.written.insert(key("count"), Some((number + 1).to_string().into_bytes()));
    attempted
}

#[test]
fn of_two_messages_in_one_batch_the_second_runs_again_and_counts_on() {
    let bus = Bus::new();
    let mut active = bus.serve();
    bus.drop("m-1", "one");
    bus.drop("m-2", "one");
    active.work();
    let (first, second) = (counts(&active), counts(&active));
    active.end("m-1", first);
    active.end("m-2", second);
    assert_eq!(active.in_hand().len(), 1, "what it had read is not what is decided now");
    let again = counts(&active);
    active.end("m-2", again);
    assert_eq!(active.unsettled.len(), 2, "both are in one batch");
    active.work();
    let value = bus.value("count").expect("a value");
    assert_eq!((value.version, value.value), (2, Some(b"2".to_vec())));
    let attempts: Vec<Json> = bus.journal("finished").iter().map(|line| line["attempt"].clone()).collect();
    assert_eq!(attempts, [1, 1], "running again is not counted");
}

#[test]
fn who_is_in_conflict_without_end_fails_and_says_why() {
    let bus = Bus::new();
    let mut active = bus.serve();
    bus.drop("m-1", "one");
    active.work();
    let stale = || {
        let mut attempted = replies();
        attempted.effects.read = BTreeMap::from([(key("count"), 7)]);
        attempted
    };
    for _ in 0..CONFLICTS {
        active.end("m-1", stale());
        assert_eq!(active.in_hand().len(), 1);
    }
    active.end("m-1", stale());
    active.settle(Now::get()).expect("settled");
    let deferred = &bus.journal("deferred")[0];
    assert_eq!((&deferred["code"], &deferred["attempt"]), (&"handler-failed".into(), &1.into()));
    assert!(deferred["message"].as_str().expect("a reason").contains("100 times in a row"), "{deferred}");
}

#[test]
fn a_deleted_value_goes_on_counting_its_versions() {
    let bus = Bus::new();
    let mut active = bus.serve();
    for (id, value) in [("m-1", Some(b"x".to_vec())), ("m-2", None), ("m-3", Some(b"y".to_vec()))] {
        bus.drop(id, "one");
        active.work();
        let mut attempted = replies();
        attempted.effects.written.insert(key("Ä/../k"), value);
        active.end(id, attempted);
        active.work();
        assert_eq!(active.state.keys("one", "Ä", 9).expect("readable").len(), usize::from(id != "m-2"));
    }
    let value = bus.value("Ä/../k").expect("a value");
    assert_eq!((value.version, value.value, value.attempt), (3, Some(b"y".to_vec()), 1));
}

#[test]
fn whoever_takes_over_finds_each_value_and_each_message_once() {
    // Killed after the commit, and after each of the things that are made of it.
    for killed_after in 0..4 {
        let bus = Bus::new();
        let mut active = bus.serve();
        bus.drop("m-1", "one");
        active.work();
        let mut attempted = counts(&active);
        attempted.effects.sent = vec![sent("one", "s-1", "\"alice\"", ""), sent("one", "s-2", "\"two\"", "")];
        active.end("m-1", attempted);
        let staged = |active: &Active<'_>| active.unsettled[0].record.clone();
        let mut record = staged(&active);
        let (disk, room) = (active.core.disk.clone(), &active.room);
        let decided = &active.unsettled[0];
        bus::publish::stage(&disk, room, &mut bus::ahead::Ahead::default(), &mut record, decided.text())
            .expect("staged");
        active.log.commit(&disk, room, &[(&record, &[])]).expect("decided");
        for number in 0..killed_after {
            let from = room.file(record.staged_name(number));
            let to = record.effects[number].to.path(&room.path);
            let path = bus.path.join(&to);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::rename(bus.path.join(from), path).expect("published");
        }
        drop(active);
        let mut active = bus.serve();
        active.work();
        assert_eq!(active.in_hand(), [("s-2".into(), "one".into(), 1)], "killed after {killed_after}");
        active.end("s-2", replies());
        active.work();
        assert_eq!(bus.ls("inbox/alice"), ["m-1.reply.json", "s-1.json"], "killed after {killed_after}");
        assert_eq!(bus.value("count").map(|value| (value.version, value.value)), Some((1, Some(b"1".to_vec()))));
    }
}

#[test]
fn a_control_command_of_an_attempt_becomes_true_with_it() {
    let bus = Bus::new();
    let mut active = bus.serve();
    bus.drop("m-1", "one");
    active.work();
    let asks = Mutex::new(Vec::new());
    let ask = |active: &mut Active<'_>, action: &str, parameters: &str| {
        let (answer, mut answered) = tokio::sync::oneshot::channel();
        let changes = asks.lock().expect("not poisoned").clone();
        let text = |text: &str| text.to_owned();
        active.answer_ask(Ask {
            extension: text("one"),
            action: text(action),
            parameters: text(parameters),
            changes,
            answer,
        });
        let (handled, change) = answered.try_recv().expect("answered at once");
        asks.lock().expect("not poisoned").extend(change);
        handled
    };
    let card = r#"{"name":"One","version":"1","capabilities":["sums"]}"#;
    assert!(matches!(ask(&mut active, "mcp.core.heartbeat", "null"), Handled::Failed(_)), "not registered");
    assert!(matches!(ask(&mut active, "mcp.core.register", card), Handled::Reply(_)));
    assert!(matches!(ask(&mut active, "mcp.core.heartbeat", "null"), Handled::Reply(_)), "as if it had happened");
    assert!(matches!(ask(&mut active, "no.such", "{"), Handled::Failed(_)));
    assert_eq!(ask(&mut active, "mcp.core.echo", "[1.0]"), Handled::Reply(Payload::Text(JsonText::trusted("[1.0]"))));
    let changes = asks.into_inner().expect("not poisoned");
    assert_eq!(bus.ls("agents"), [""; 0]);
    active.end_with("m-1", replies(), changes);
    active.work();
    assert_eq!(bus.ls("agents"), ["one.json"]);
}
