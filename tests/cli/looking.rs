//! Looking at a bus: the shapes of `--json`, and what they say.

use serde_json::{Value, json};

use super::runner::{Bus, message, wait_for};

/// The keys of an object, sorted.
fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn status_counts_what_is_there() {
    let bus = Bus::new();
    bus.drop_text("a.json", &message("a", "postroom"));
    bus.deliver("you", "b.json", &message("b", "you"));
    let status = bus.run(&["status", "--json"]).ok().json();
    assert_eq!(
        keys(&status),
        [
            "at",
            "bus",
            "counts",
            "diskFreeBytes",
            "diskTotalBytes",
            "finishedIsComplete",
            "finishedLastMinute",
            "inboxes",
            "oldestDroppedMs",
            "service"
        ]
    );
    assert_eq!(
        status["counts"],
        json!({"drop":1,"processing":0,"deferred":0,"held":0,"inbox":1,"leased":0,"deadLetter":0,"archivedToday":0})
    );
    assert_eq!(status["inboxes"], json!([{"agent":"you","waiting":1}]));
    assert_eq!(status["service"], json!({"active":false}));
    let service = bus.serve();
    bus.run(&["call", "--to", "postroom", "--action", "mcp.core.ping"]).ok();
    let status = bus.run(&["status", "--json"]).ok().json();
    assert_eq!(status["service"]["active"], true);
    assert_eq!(keys(&status["service"]), ["active", "host", "pid", "startedAt", "term"]);
    assert_eq!(status["counts"]["drop"], 0);
    let text = bus.run(&["status"]).ok().out;
    assert!(text.contains("active (term 1, process ") && text.contains("you 1"), "{text}");
    let row = |name: &str| text.lines().find(|line| line.starts_with(name)).expect("the row").trim_end().to_owned();
    let (archived, finished) = (row("archived today  "), row("finished, last minute  "));
    assert!(archived.ends_with(|c: char| c.is_ascii_digit()) && finished.ends_with("  2"), "{text}");
    service.stop();
}

#[test]
fn what_a_consumer_has_taken_is_counted_and_listed_with_its_lease() {
    let bus = Bus::new();
    bus.deliver("you", "a.json", &message("a", "you"));
    bus.deliver("you", "b.json", &message("b", "you"));
    let taken = bus.run(&["recv", "you", "--lease", "--json"]).ok().json();
    let counts = bus.run(&["status", "--json"]).ok().json()["counts"].clone();
    assert_eq!((&counts["inbox"], &counts["leased"]), (&json!(1), &json!(1)));
    let agents = bus.run(&["agents", "--json"]).ok().json();
    assert_eq!((&agents["agents"][0]["waiting"], &agents["agents"][0]["leased"]), (&json!(1), &json!(1)));
    assert!(bus.run(&["agents"]).ok().out.contains("1 + 1 leased"));
    let listing = bus.run(&["list", "inbox", "--json"]).ok().json()["states"][0].clone();
    // The order is that of the last change, which may be one tick of the clock for both.
    let of = |id: &str| {
        let messages = listing["messages"].as_array().expect("a list");
        messages.iter().find(|message| message["id"] == id).expect("listed").clone()
    };
    let (a, b) = (of("a"), of("b"));
    assert_eq!((&listing["total"], &a["lease"], &a["path"]), (&json!(2), &taken["lease"], &taken["path"]));
    assert_eq!(b["lease"], Value::Null);
    let text = bus.run(&["list", "inbox"]).ok().out;
    assert_eq!(text.lines().filter(|line| line.contains("  leased  ")).count(), 1, "{text}");
}

#[test]
fn a_file_in_the_drop_that_is_not_whole_says_so() {
    let bus = Bus::new();
    let whole = message("whole", "postroom");
    bus.drop_text("1.json", &whole[..whole.len() / 2]);
    bus.drop_text("2.json", &whole);
    let listing = bus.run(&["list", "drop", "--json"]).ok().json()["states"][0].clone();
    let unfinished: Vec<&Value> = (0..2).map(|index| &listing["messages"][index]["unfinished"]).collect();
    assert_eq!(unfinished, [&json!(true), &Value::Null], "{listing}");
    let text = bus.run(&["list"]).ok().out;
    assert_eq!(text.lines().filter(|line| line.contains("not whole yet")).count(), 1, "{text}");
}

#[test]
fn list_shows_each_state_and_where_it_ends() {
    let bus = Bus::new();
    std::fs::create_dir(bus.path("inbox/you")).expect("made");
    bus.drop_text("1.json", &message("delivered", "you"));
    bus.drop_text("2.json", &message("refused", "nobody"));
    let later = r#"{"id":"later","sender":"me","recipient":"you","action":"a","notBefore":4102444800000}"#;
    bus.drop_text("3.json", later);
    bus.run(&["serve", "--once"]).ok();
    bus.drop_text("4.json", &message("waiting", "you"));
    let all = bus.run(&["list", "--json"]).ok().json();
    let state = |name: &str| {
        let states = all["states"].as_array().expect("a list");
        states.iter().find(|listing| listing["state"] == name).expect("the state").clone()
    };
    for (name, id) in [("drop", "waiting"), ("inbox", "delivered"), ("deferred", "later"), ("dead-letter", "refused")] {
        let listing = state(name);
        let messages = listing["messages"].as_array().expect("a list");
        assert_eq!(listing["total"], messages.len(), "{name}");
        let found = messages.iter().find(|message| message["id"] == id).unwrap_or_else(|| panic!("{id} in {listing}"));
        let path = found["path"].as_str().expect("a path");
        assert!(bus.path(path).exists(), "{path}");
    }
    assert_eq!(state("deferred")["messages"][0]["dueAt"], 4_102_444_800_000_u64);
    let archive = bus.run(&["list", "archive", "--json"]).ok().json();
    assert_eq!(archive["states"][0]["messages"][0]["id"], "delivered");
    let text = bus.run(&["list", "deferred"]).ok().out;
    assert!(text.contains("deferred (1 message)") && text.contains("later"), "{text}");
    assert_eq!(state("dead-letter")["messages"][0]["code"], "unknown-recipient");
    let text = bus.run(&["list", "dead-letter"]).ok().out;
    assert_eq!(text.lines().filter(|line| line.contains("  unknown-recipient  ")).count(), 1, "{text}");
    let story = bus.run(&["trace", "later", "--json"]).ok().json();
    assert_eq!(story["messages"][0]["now"][0]["dueAt"], 4_102_444_800_000_u64);
    let text = bus.run(&["trace", "later"]).ok().out;
    assert!(text.contains("(deferred until 2100-01-01T00:00:00.000Z)"), "{text}");
    let never = r#"{"id":"never","sender":"me","recipient":"you","action":"a","notBefore":9007199254740991}"#;
    bus.drop_text("5.json", never);
    bus.run(&["serve", "--once"]).ok();
    let text = bus.run(&["trace", "never"]).ok().out;
    assert!(text.contains("(deferred until Unix time 9007199254740991 ms)"), "{text}");
}

#[test]
fn a_list_is_as_long_as_it_may_be() {
    let bus = Bus::new();
    for n in 0..7 {
        bus.deliver("me", &format!("{n}.json"), &message(&format!("m{n}"), "me"));
    }
    let listing = &bus.run(&["list", "inbox", "--limit", "3", "--json"]).ok().json()["states"][0];
    assert_eq!((listing["total"].as_u64(), listing["messages"].as_array().map(Vec::len)), (Some(7), Some(3)));
    assert!(bus.run(&["list", "inbox", "--limit", "3"]).ok().out.contains("7 messages, the first 3 shown"));
    let whole = &bus.run(&["list", "inbox", "--limit", "0", "--json"]).ok().json()["states"][0];
    assert_eq!(whole["messages"].as_array().map(Vec::len), Some(7));
}

#[test]
fn trace_tells_each_step_and_where_everything_is() {
    let bus = Bus::new();
    let service = bus.serve();
    bus.run(&["call", "--to", "postroom", "--action", "mcp.core.echo", "--id", "told", "--keep", "1"]).ok();
    // The journal is written after the reply is out.
    let story = wait_for("the whole story", || {
        let ran = bus.run(&["trace", "told", "--json"]);
        (ran.code == 0)
            .then(|| ran.json()["messages"][0].clone())
            .filter(|story| story["steps"].as_array().expect("a list").iter().any(|step| step["step"] == "finished"))
    });
    let steps: Vec<&str> =
        story["steps"].as_array().expect("a list").iter().map(|step| step["step"].as_str().expect("text")).collect();
    assert_eq!(steps, ["accepted", "called", "replied", "finished"]);
    assert_eq!((story["sender"].as_str(), story["recipient"].as_str()), (Some("cli"), Some("postroom")));
    assert_eq!(story["effects"], json!([{"path": "inbox/cli/told.reply.json", "there": true}]));
    assert_eq!(story["now"][0]["state"], "archive");
    assert!(bus.path(story["now"][0]["path"].as_str().expect("a path")).exists());
    let ticket = story["ticket"].as_str().expect("a ticket");
    let by_ticket = bus.run(&["trace", ticket, "--json"]).ok().json();
    assert_eq!(by_ticket["messages"][0], story);
    let taken = bus.run(&["recv", "cli", "--lease", "--json"]).ok().json();
    let lease = taken["lease"].as_str().expect("a lease");
    let effects = bus.run(&["trace", "told", "--json"]).ok().json()["messages"][0]["effects"].clone();
    assert_eq!(effects, json!([{"path": "inbox/cli/told.reply.json", "there": false, "lease": lease}]));
    let text = bus.run(&["trace", "told"]).ok().out;
    assert!(text.contains(&format!("(leased: {lease})")), "{text}");
    bus.run(&["ack", lease]).ok();
    let text = bus.run(&["trace", "told"]).ok().out;
    assert!(text.contains("(taken)") && text.contains("by postroom"), "{text}");
    service.stop();
}

#[test]
fn trace_follows_every_delivery_of_a_split_message() {
    let bus = Bus::new();
    std::fs::create_dir(bus.path("inbox/you")).expect("made");
    let text = r#"{"id":"s","sender":"me","recipient":["you","nobody","postroom"],"action":"mcp.core.ping"}"#;
    bus.drop_text("s.json", text);
    bus.run(&["serve", "--once"]).ok();
    let story = bus.run(&["trace", "s", "--json"]).ok().json()["messages"][0].clone();
    let mut states: Vec<&str> =
        story["now"].as_array().expect("a list").iter().map(|place| place["state"].as_str().expect("text")).collect();
    states.sort_unstable();
    assert_eq!(states, ["archive", "archive", "archive", "dead-letter"]);
    let text = bus.run(&["trace", "s"]).ok().out;
    assert!(text.contains("2 to nobody") && text.contains("unknown-recipient"), "{text}");
}

#[test]
fn trace_finds_what_no_service_has_seen_yet() {
    let bus = Bus::new();
    bus.drop_text("x.json", &message("fresh", "you"));
    let story = bus.run(&["trace", "fresh", "--json"]).ok().json();
    assert_eq!(story["messages"][0]["now"], json!([{"ticket":"","state":"drop","path":"x.json"}]));
}

#[test]
fn trace_ignores_repeats_and_torn_lines_and_reads_packed_days() {
    let bus = Bus::new();
    let ticket = "0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11";
    let line = |step: &str, term: u32, by: &str| {
        format!(
            r#"{{"v":1,"step":"{step}","at":1730000000000,"ticket":"{ticket}","attempt":1,"term":{term},"instance":"i","n":{term},"id":"old","by":"{by}"}}"#
        )
    };
    let torn = &line("finished", 9, "torn")[..60];
    let journal =
        [&line("replied", 1, "first"), &line("replied", 2, "second"), &line("replied", 2, "again"), torn].join("\n");
    let packed = zstd::encode_all(journal.as_bytes(), 1).expect("packed");
    std::fs::write(bus.path("archive/2024-10-27.jsonl.zst"), packed).expect("written");
    let story = bus.run(&["trace", "old", "--json"]).ok().json();
    let steps = story["messages"][0]["steps"].as_array().expect("a list").clone();
    assert_eq!(steps.len(), 1, "{steps:?}");
    assert_eq!(steps[0]["by"], "second");
}

/// The service died between packing a day and removing its folder, so that the day was packed again.
#[test]
fn a_day_that_was_packed_again_is_one_day() {
    let bus = Bus::new();
    let line = |id: &str, ticket: u32, step: &str| {
        let ticket = format!("0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e{ticket:02}");
        let now_at = format!("archive/2024-10-27/08/{ticket}~{id}.json");
        format!(
            r#"{{"v":1,"step":"{step}","at":1730000000000,"ticket":"{ticket}","attempt":1,"term":1,"instance":"i","n":1,"id":"{id}","nowAt":"{now_at}"}}"#
        )
    };
    let pack = |name: &str, lines: &[String]| {
        let packed = zstd::encode_all(lines.join("\n").as_bytes(), 1).expect("packed");
        std::fs::write(bus.path("archive").join(name), packed).expect("written");
    };
    let (both, late) = (line("both", 11, "finished"), line("late", 12, "finished"));
    pack("2024-10-27.jsonl.zst", &[line("both", 11, "accepted"), both.clone()]);
    pack("2024-10-27~2.jsonl.zst", &[both, late]);
    pack("2024-10-27~10.jsonl.zst", &[line("later", 13, "finished")]);
    for (id, steps) in [("both", 2), ("late", 1), ("later", 1)] {
        let story = bus.run(&["trace", id, "--json"]).ok().json()["messages"][0].clone();
        assert_eq!(story["steps"].as_array().map(Vec::len), Some(steps), "{story}");
        assert_eq!(
            (&story["now"][0]["state"], &story["now"][0]["path"]),
            (&json!("packed"), &json!("archive/2024-10-27"))
        );
    }
}

/// A journal may be a stranger's too: a path in it leads nowhere outside of the bus.
#[test]
fn trace_does_not_look_outside_of_the_bus() {
    let bus = Bus::new();
    std::fs::create_dir_all(bus.path("archive/2024-10-27")).expect("made");
    let line = r#"{"v":1,"step":"finished","at":1,"ticket":"0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11","attempt":1,"term":1,"instance":"i","n":1,"id":"out","nowAt":"../../etc/passwd","effects":[{"to":"/etc/passwd"},{"to":"inbox/../../x"}]}"#;
    std::fs::write(bus.path("archive/2024-10-27/journal.jsonl"), format!("{line}\n")).expect("written");
    let story = bus.run(&["trace", "out", "--json"]).ok().json()["messages"][0].clone();
    assert_eq!((story["now"][0]["state"].as_str(), story["effects"].clone()), (Some("unknown"), json!([])));
}

#[test]
fn agents_are_registered_or_have_an_inbox() {
    let bus = Bus::new();
    let service = bus.serve();
    let registration = r#"{"name":"Helper","version":"2.0","capabilities":["help"],"ttlMs":1}"#;
    bus.run(&["call", "--from", "helper", "--to", "postroom", "--action", "mcp.core.register", registration]).ok();
    service.stop();
    std::fs::create_dir(bus.path("inbox/plain")).expect("made");
    let agents = bus.run(&["agents", "--json"]).ok().json()["agents"].as_array().expect("a list").clone();
    let named: Vec<(&str, &str)> = agents
        .iter()
        .map(|agent| (agent["agent"].as_str().expect("text"), agent["presence"].as_str().expect("text")))
        .collect();
    assert_eq!(named, [("helper", "away"), ("plain", "inbox-only")]);
    assert_eq!(agents[0]["registration"]["capabilities"], json!(["help"]));
}

#[test]
fn completions_name_the_commands() {
    let bus = Bus::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = bus.run(&["completions", shell]).ok().out;
        assert!(script.contains("dead-letter") && script.contains("postroom"), "{shell}");
    }
}

/// What extensions write stands below the attempt that wrote it, also of one that failed, and cannot act on a terminal.
#[test]
fn trace_shows_what_extensions_wrote_and_sent() {
    let bus = Bus::new();
    let ticket = "0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11";
    let sent = "0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e12";
    let line = |n: u64, step: &str, ticket: &str, attempt: u32, more: &Value| {
        let mut line = json!({
            "v": 1, "step": step, "at": 1_763_683_200_000_u64 + n, "ticket": ticket, "attempt": attempt, "term": 1,
            "instance": "i", "n": n, "id": "asked", "sender": "me", "recipient": "ext", "action": "do"
        });
        line.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        format!("{line}\n")
    };
    let said = |level: &str, text: &str| json!([{"by": "ext", "level": level, "text": text}]);
    let effects = json!([{"to": format!("1.{sent}@1~s-1.json"), "pieces": []}]);
    let text = [
        line(1, "accepted", ticket, 1, &json!({})),
        line(
            2,
            "deferred",
            ticket,
            1,
            &json!({"code": "handler-failed", "log": said("error", "\u{1b}[31mno\u{9b}2J")}),
        ),
        line(3, "finished", ticket, 2, &json!({"log": said("info", "second try"), "effects": effects})),
        line(4, "sent", sent, 1, &json!({"id": "s-1", "sender": "ext", "recipient": "you", "from": ticket})),
    ];
    std::fs::create_dir_all(bus.path("archive/2025-11-21")).expect("made");
    std::fs::write(bus.path("archive/2025-11-21/journal.jsonl"), text.concat()).expect("written");
    let shown = bus.run(&["trace", "asked"]).ok().out;
    assert!(!shown.contains(['\u{1b}', '\u{9b}']), "{shown:?}");
    let place = |what: &str| shown.find(what).unwrap_or_else(|| panic!("{what:?} is not in {shown}"));
    assert!(place("deferred") < place("ext: \\u{1b}[31mno\\u{9b}2J"), "{shown}");
    assert!(place("finished") < place("ext: second try"), "{shown}");
    assert!(place("sent  s-1") < place(&format!("ticket {sent}")), "{shown}");
    let shown = bus.run(&["trace", "s-1"]).ok().out;
    assert!(shown.contains(&format!("because of {ticket}")), "{shown}");
    let json = bus.run(&["trace", "asked", "--json"]).ok();
    assert!(!json.out.contains(['\u{1b}', '\u{9b}']), "{:?}", json.out);
    let json = json.json();
    assert_eq!(json["messages"][0]["steps"][2]["log"], said("info", "second try"));
    assert_eq!(json["messages"][0]["sent"], json!([{"ticket": sent, "id": "s-1"}]));
}
