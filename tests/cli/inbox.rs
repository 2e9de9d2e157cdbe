//! Sending, calling, receiving, leases.

use super::runner::{Bus, message, wait_for};

#[test]
fn send_drops_what_was_asked_for() {
    let bus = Bus::new();
    let sent = bus
        .run(&[
            "send",
            "--json",
            "--to",
            "b",
            "--to",
            "c",
            "--from",
            "a",
            "--action",
            "do.it",
            "--id",
            "m1",
            "--priority",
            "7",
            "--expires-in",
            "1h",
            "--delay",
            "5m",
            "--reply-to",
            "m0",
            "--correlation",
            "k",
            "n=1.50",
            "text=two words",
        ])
        .ok()
        .json();
    assert_eq!((sent["id"].as_str(), sent["replyAt"].as_str()), (Some("m1"), None));
    let file = bus.path(sent["droppedAs"].as_str().expect("a path"));
    let text = std::fs::read_to_string(&file).expect("read");
    assert!(text.contains(r#""payload":{"n":1.50,"text":"two words"}"#), "{text}");
    let message: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(message["recipient"], serde_json::json!(["b", "c"]));
    assert_eq!((message["sender"].as_str(), message["priority"].as_u64()), (Some("a"), Some(7)));
    assert_eq!((message["inReplyTo"].as_str(), message["correlationId"].as_str()), (Some("m0"), Some("k")));
    let at =
        |field: &str| message[field].as_u64().expect("a number") - message["timestamp"].as_u64().expect("a number");
    assert_eq!((at("expiresAt"), at("notBefore")), (3_600_000, 300_000));
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(file.metadata().expect("there").permissions().mode() & 0o777, 0o600);
    assert_eq!(bus.names("").iter().filter(|name| name.ends_with(".tmp")).count(), 0);
}

#[test]
fn a_payload_comes_from_an_argument_a_file_or_the_standard_input() {
    let bus = Bus::new();
    let service = bus.serve();
    let echo = ["call", "--to", "postroom", "--action", "mcp.core.echo"];
    let call = |more: &[&str]| bus.run(&[&echo[..], more].concat()).ok().line();
    assert_eq!(call(&["{\"big\": 1e400, \"z\": [1.0, -0]}"]), "{\"big\": 1e400, \"z\": [1.0, -0]}");
    assert_eq!(call(&["true"]), "true");
    assert_eq!(call(&[]), "null");
    std::fs::write(bus.workspace().join("p.json"), "{\"from\":\n\"file\"}\n").expect("written");
    assert_eq!(call(&["--payload-file", "p.json"]), "{\"from\":\n\"file\"}");
    assert_eq!(bus.run_with_input(&[&echo[..], &["-"]].concat(), " [1,2] ").ok().line(), "[1,2]");
    assert!(bus.names("inbox/cli").is_empty(), "replies are acknowledged");
    let kept = bus.run(&[&echo[..], &["--keep", "--id", "kept", "--json", "5"]].concat()).ok().json();
    assert_eq!((kept["inReplyTo"].as_str(), kept["payload"].as_u64()), (Some("kept"), Some(5)));
    assert_eq!(bus.names("inbox/cli"), ["kept.reply.json"]);
    service.stop();
}

/// The position is one in what was typed, not in the message that would have been made of it.
#[test]
fn a_payload_that_is_no_json_is_refused_as_it_was_typed() {
    let bus = Bus::new();
    let place = |column: usize| format!("(line 1, column {column}, byte {})", column - 1);
    let deep = format!("{}{}", "[".repeat(64), "]".repeat(64));
    std::fs::write(bus.workspace().join("p.json"), "\u{feff}{}").expect("written");
    for command in ["send", "call"] {
        let run = |more: &[&str], input: &str| {
            let ran =
                bus.run_with_input(&[&[command, "--to", "a", "--action", "b"], more].concat(), input).fails_with(5);
            assert!(ran.err.starts_with("error: malformed-json: the payload "), "{ran:?}");
            ran.err
        };
        for (typed, column, hint) in [
            ("hello", 1, r#"text has to be quoted: '"hello"'"#),
            ("it's 5", 1, r#"text has to be quoted: '"it'\''s 5"'"#),
            ("5 apples", 3, r#"text has to be quoted: '"5 apples"'"#),
            ("", 1, r#"text has to be quoted: '""'"#),
            (&"x".repeat(80), 1, r#"text has to be quoted: '"TEXT"'"#),
            ("{'a':1}", 2, "JSON uses double quotes"),
            (r#"{"a":NaN}"#, 6, "JSON has no such number"),
            (&deep, 64, "put the inner part into a string"),
        ] {
            let said = run(&[typed], "");
            let argument = format!("argument {}", serde_json::Value::from(typed));
            assert!(said.contains(&argument) && said.contains(&place(column)), "{said}");
            assert!(said.contains(&format!("hint: {hint}")), "{said}");
        }
        let said = run(&["{\"a\":"], "");
        assert!(said.contains("the text ends too early") && !said.contains("hint:"), "{said}");
        let said = run(&["-"], "[1, x]");
        assert!(said.contains("on the standard input") && said.contains(&place(5)), "{said}");
        let said = run(&["--payload-file", "p.json"], "");
        assert!(said.contains("in the file p.json") && said.contains("without a byte order mark"), "{said}");
    }
    assert!(!bus.names("").iter().any(|name| name.ends_with(".json")), "nothing was dropped");
}

#[test]
fn an_agent_answers_a_call_through_the_shell() {
    let bus = Bus::new();
    let service = bus.serve();
    std::fs::create_dir(bus.path("inbox/helper")).expect("made");
    let calling = bus.start(&["call", "--to", "helper", "--action", "help.me", "--id", "q", "{\"n\":1}"]);
    let got = bus.run(&["recv", "helper", "--wait", "--timeout", "60s"]).ok().json();
    assert_eq!((got["id"].as_str(), got["sender"].as_str()), (Some("q"), Some("cli")));
    assert!(bus.names("inbox/helper").is_empty(), "received is acknowledged");
    bus.run(&["send", "--from", "helper", "--to", "cli", "--action", "help.me", "--reply-to", "q", "{\"n\":2}"]).ok();
    assert_eq!(super::runner::finish(calling).ok().line(), "{\"n\":2}");
    service.stop();
}

#[test]
fn the_oldest_comes_first_and_each_once() {
    let bus = Bus::new();
    for id in ["c", "a", "b"] {
        bus.deliver("me", &format!("{id}.json"), &message(id, "me"));
    }
    let times = [("c", 10), ("a", 30), ("b", 20)];
    for (id, seconds) in times {
        let file = std::fs::File::options().write(true).open(bus.path(&format!("inbox/me/{id}.json"))).expect("open");
        let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        file.set_modified(time).expect("set");
    }
    let order: Vec<_> = (0..3).map(|_| bus.run(&["recv", "me"]).ok().json()["id"].clone()).collect();
    assert_eq!(order, ["c", "b", "a"]);
    bus.run(&["recv", "me"]).fails_with(6);
    assert!(bus.names("inbox/me").is_empty());
}

/// The files of one batch may have one time: then they come in the order in which they were claimed, whatever their names.
#[test]
fn what_was_written_in_one_moment_comes_in_the_order_of_its_tickets() {
    let bus = Bus::new();
    let service = bus.serve();
    bus.deliver("me", "0.json", "no message");
    // The names of the drop say the order, and by the names in the inbox it would be another one.
    for (file, id) in [("1.json", "c"), ("2.json", "d"), ("3.json", "a"), ("4.json", "b")] {
        bus.drop_text(file, &message(id, "me"));
        wait_for("the message", || bus.path(&format!("inbox/me/{id}.json")).exists().then_some(()));
    }
    service.stop();
    let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(10);
    for name in bus.names("inbox/me") {
        let file = std::fs::File::options().write(true).open(bus.path("inbox/me").join(name)).expect("open");
        file.set_modified(time).expect("set");
    }
    // Given back, a message keeps its place.
    let taken = bus.run(&["recv", "me", "--lease", "--json"]).ok().json();
    bus.run(&["nack", taken["lease"].as_str().expect("a lease")]).ok();
    let order: Vec<_> = (0..4).map(|_| bus.run(&["recv", "me"]).ok().json()["id"].clone()).collect();
    assert_eq!(order, ["c", "d", "a", "b"]);
    assert_eq!(bus.names("inbox/me"), ["0.json"]);
}

#[test]
fn what_does_not_parse_is_left_alone() {
    let bus = Bus::new();
    bus.deliver("me", "0.json", "");
    bus.deliver("me", "1.json", "{\"id\":");
    bus.deliver("me", "2.json", &message("whole", "me"));
    // Larger than any message, without rights, and a link.
    let huge = std::fs::File::create(bus.path("inbox/me/huge.json")).expect("made");
    huge.set_len((1 << 30) + 1).expect("sparse");
    bus.deliver("me", "closed.json", "{}");
    let no_rights = std::os::unix::fs::PermissionsExt::from_mode(0o000);
    std::fs::set_permissions(bus.path("inbox/me/closed.json"), no_rights).expect("set");
    std::os::unix::fs::symlink("/etc/hostname", bus.path("inbox/me/link.json")).expect("linked");
    assert_eq!(bus.run(&["recv", "me"]).ok().json()["id"], "whole");
    bus.run(&["recv", "me"]).fails_with(6);
    assert_eq!(bus.names("inbox/me"), ["0.json", "1.json", "closed.json", "huge.json", "link.json"]);
}

#[test]
fn many_consumers_get_each_message_once() {
    let bus = Bus::new();
    let ids: Vec<String> = (0..24).map(|n| format!("m{n:02}")).collect();
    for id in &ids {
        bus.deliver("me", &format!("{id}.json"), &message(id, "me"));
    }
    let mut got: Vec<String> = std::thread::scope(|scope| {
        let consumers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut mine = Vec::new();
                    loop {
                        let ran = bus.run(&["recv", "me"]);
                        match ran.code {
                            0 => mine.push(ran.json()["id"].as_str().expect("an id").to_owned()),
                            _ => return mine,
                        }
                    }
                })
            })
            .collect();
        consumers.into_iter().flat_map(|consumer| consumer.join().expect("ended")).collect()
    });
    got.sort();
    assert_eq!(got, ids);
}

#[test]
fn a_lease_hides_gives_back_and_acknowledges() {
    let bus = Bus::new();
    bus.deliver("me", "a.json", &message("a", "me"));
    let leased = bus.run(&["recv", "me", "--lease", "--json"]).ok().json();
    assert_eq!(leased["message"]["id"], "a");
    let (lease, path) = (leased["lease"].as_str().expect("a lease"), leased["path"].as_str().expect("a path"));
    assert!(bus.path(path).exists());
    bus.run(&["recv", "me"]).fails_with(6);

    let back = bus.run(&["nack", lease, "--json"]).ok().json();
    assert_eq!(back["nowAt"], "inbox/me/a.json");
    bus.run(&["ack", lease]).fails_with(6);

    let ran = bus.run(&["recv", "me", "--lease"]).ok();
    assert_eq!(ran.json()["id"], "a");
    let lease = ran.err.rsplit(' ').next().expect("a word").trim().to_owned();
    bus.run(&["ack", &lease]).ok();
    assert!(bus.names("inbox/me").is_empty());
}

#[test]
fn a_lease_given_back_replaces_nothing() {
    let bus = Bus::new();
    bus.deliver("me", "a.json", &message("first", "me"));
    let leased = bus.run(&["recv", "me", "--lease", "--json"]).ok().json();
    bus.deliver("me", "a.json", &message("second", "me"));
    let back = bus.run(&["nack", leased["lease"].as_str().expect("a lease"), "--json"]).ok().json();
    assert_eq!(back["nowAt"], "inbox/me/a~2.json");
    assert_eq!(bus.names("inbox/me"), ["a.json", "a~2.json"]);
}

#[test]
fn the_longest_names_can_be_leased() {
    let bus = Bus::new();
    let name = format!("{}.reply.json", "x".repeat(244));
    bus.deliver("me", &name, &message("long", "me"));
    let leased = bus.run(&["recv", "me", "--lease", "--json"]).ok().json();
    bus.run(&["nack", leased["lease"].as_str().expect("a lease")]).ok();
    assert_eq!(bus.run(&["recv", "me"]).ok().json()["id"], "long");
}

/// The reader is gone before anything is printed.
#[test]
fn what_could_not_be_printed_is_given_back() {
    let bus = Bus::new();
    bus.deliver("me", "a.json", &message("a", "me"));
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = super::runner::program(bus.workspace());
    let status = command.args(["recv", "me"]).stdout(writer).stderr(std::process::Stdio::null()).status().expect("ran");
    assert_eq!(status.code(), Some(1));
    assert_eq!(bus.names("inbox/me"), ["a.json"]);
}

#[test]
fn waiting_sees_what_comes_later() {
    let bus = Bus::new();
    let waiting = bus.start(&["recv", "late", "--wait", "--timeout", "60s"]);
    wait_for("the inbox", || bus.path("inbox/late").is_dir().then_some(()));
    let hidden = bus.path("inbox/late/.x.tmp");
    std::fs::write(&hidden, message("later", "late")).expect("written");
    std::fs::rename(&hidden, bus.path("inbox/late/x.json")).expect("renamed");
    assert_eq!(super::runner::finish(waiting).ok().json()["id"], "later");
}

/// Whoever waits stays reachable.
#[test]
fn waiting_keeps_its_inbox() {
    let bus = Bus::new();
    let service = bus.serve();
    let waiting = bus.start(&["recv", "bob", "--wait", "--timeout", "60s"]);
    for _ in 0..2 {
        wait_for("the inbox", || bus.path("inbox/bob").is_dir().then_some(()));
        std::fs::remove_dir(bus.path("inbox/bob")).expect("removed");
    }
    wait_for("the inbox", || bus.path("inbox/bob").is_dir().then_some(()));
    bus.run(&["send", "--to", "bob", "--action", "a", "--id", "m"]).ok();
    assert_eq!(super::runner::finish(waiting).ok().json()["id"], "m");
    service.stop();
}
