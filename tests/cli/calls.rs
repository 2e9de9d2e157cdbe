//! `call` with an id that was used before: for another message, and for the same one.

use super::runner::{Bus, finish, lines, next_with};

const ECHO: [&str; 7] = ["call", "--to", "postroom", "--action", "mcp.core.echo", "--id", "same"];

/// Calls with so much time that only who waits in vain ends by it.
fn call(bus: &Bus, more: &[&str]) -> super::runner::Ran {
    bus.run(&[&ECHO[..], &["--timeout", "60s"], more].concat())
}

#[test]
fn an_id_of_another_message_is_refused_and_nothing_stays() {
    let bus = Bus::new();
    let service = bus.serve();
    assert_eq!(call(&bus, &["1"]).ok().line(), "1");
    for _ in 0..2 {
        let ran = call(&bus, &["2"]).fails_with(5);
        assert!(ran.err.contains("error: id-conflict:") && ran.out.is_empty(), "{ran:?}");
        assert!(bus.names("inbox/cli").is_empty());
    }
    let to_many = [&ECHO[..], &["--to", "nobody", "--timeout", "60s", "--json"]].concat();
    let conflict = bus.run(&to_many);
    assert_eq!((conflict.code, conflict.json()["error"]["code"].as_str()), (5, Some("id-conflict")), "{conflict:?}");
    service.stop();
}

/// What answers the first message is no answer to another one of the same id.
#[test]
fn an_answer_that_lay_there_before_does_not_answer_another_message() {
    let bus = Bus::new();
    let service = bus.serve();
    call(&bus, &["1", "--keep"]).ok();
    let ran = call(&bus, &["2"]).fails_with(5);
    assert!(ran.err.contains("id-conflict"), "{ran:?}");
    assert_eq!(bus.names("inbox/cli"), ["same.reply.json"], "the first one's answer stays");
    // And the other way round.
    call(&bus, &["2", "--keep"]).fails_with(5);
    assert_eq!(call(&bus, &["1"]).ok().line(), "1");
    assert_eq!(bus.names("inbox/cli"), ["same~postroom.reply.json"]);
    assert!(call(&bus, &["1"]).fails_with(5).err.contains("has been answered"));
    service.stop();
}

#[test]
fn the_same_message_again_is_not_waited_for() {
    let bus = Bus::new();
    let service = bus.serve();
    call(&bus, &["1", "--keep"]).ok();
    assert_eq!(call(&bus, &["1"]).ok().line(), "1", "its answer is still there");
    let ran = call(&bus, &["1"]).fails_with(5);
    assert!(ran.err.contains("same was sent before with the same content and has been answered"), "{ran:?}");
    assert!(ran.err.contains("postroom trace same"), "{ran:?}");
    service.stop();
}

#[test]
fn the_same_message_again_gets_the_answer_that_is_still_to_come() {
    let bus = Bus::new();
    let service = bus.serve();
    std::fs::create_dir(bus.path("inbox/helper")).expect("made");
    let ask = ["--to", "helper", "--action", "help", "--id", "q"];
    bus.run(&[&["send"][..], &ask].concat()).ok();
    let mut calling = bus.start(&[&["call"][..], &ask, &["--timeout", "60s"]].concat());
    let said = lines(calling.stderr.take().expect("a pipe"));
    next_with(&said, "this very message was sent before; waiting for the answer to the first");
    let answer = ["send", "--from", "helper", "--to", "cli", "--action", "help", "--reply-to", "q", "7"];
    bus.run(&answer).ok();
    assert_eq!(finish(calling).ok().line(), "7");
    // Somebody else may have taken the answer of an agent, too.
    let ran = bus.run(&[&["call"][..], &ask, &["--timeout", "60s"]].concat()).fails_with(5);
    assert!(ran.err.contains("has been answered"), "{ran:?}");
    service.stop();
}

/// What the reason beside the dead letter advises, the error reply does not say.
#[test]
fn a_refusal_comes_with_the_hint_of_its_reason() {
    let bus = Bus::new();
    std::fs::create_dir(bus.path("inbox/helper")).expect("made");
    let service = bus.serve();
    let ran = bus.run(&["call", "--to", "helpr", "--action", "a"]).fails_with(5);
    assert!(
        ran.err.contains("nobody is known as \"helpr\"") && ran.err.contains("hint: known and most like it: helper"),
        "{ran:?}"
    );
    // Of several deliveries each has its own.
    let several = ["call", "--to", "hlper", "--to", "xyzzy", "--to", "postroom", "--action", "mcp.core.ping"];
    let ran = bus.run(&several).fails_with(5);
    let after = |name: &str| {
        let place = ran.err.find(&format!("nobody is known as \"{name}\"")).unwrap_or_else(|| panic!("{ran:?}"));
        ran.err[place..].lines().nth(1).expect("a hint").to_owned()
    };
    assert!(after("hlper").contains("helper") && !after("xyzzy").contains("helper"), "{ran:?}");
    assert!(after("xyzzy").contains("hint:"), "{ran:?}");
    assert!(ran.err.contains("hlper: unknown-recipient: "), "the service speaks for it: {ran:?}");
    // Who was refused is not silent.
    let ran =
        bus.run(&["call", "--to", "hlper", "--to", "helper", "--action", "a", "--timeout", "100ms"]).fails_with(4);
    assert!(ran.err.contains("from helper within"), "{ran:?}");
    service.stop();
}

/// In the older envelope the payload says whether it was done.
#[test]
fn a_response_without_success_is_an_error() {
    let bus = Bus::new();
    let service = bus.serve();
    let execute = |command: &str| {
        let payload = format!(r#"{{"namespace":"mcp.core","command":"{command}"}}"#);
        bus.run(&["call", "--to", "postroom", "--action", "mcp.execute", &payload])
    };
    assert_eq!(execute("ping").ok().json()["success"], true);
    let ran = execute("dance");
    assert_eq!((ran.code, ran.json()["success"].as_bool(), ran.err.as_str()), (5, Some(false), ""), "{ran:?}");
    service.stop();
}

#[test]
fn a_call_to_everybody_says_how_many_there_are() {
    let bus = Bus::new();
    let service = bus.serve();
    let everybody = ["call", "--to", "*", "--action", "help", "--timeout"];
    std::fs::create_dir(bus.path("inbox/plain")).expect("made");
    // It does not wait for whom nobody can stand for any more.
    let ran = bus.run(&[&everybody[..], &["60s"]].concat());
    assert_eq!(ran.code, 6, "{ran:?}");
    assert!(ran.err.contains("'*' reaches nobody") && ran.err.contains("postroom agents"), "{ran:?}");
    let card = r#"{"name":"A","version":"1","capabilities":[]}"#;
    for name in ["one", "two"] {
        bus.run(&["call", "--from", name, "--to", "postroom", "--action", "mcp.core.register", card]).ok();
    }
    let mut calling = bus.start(&[&everybody[..], &["60s", "--id", "all"]].concat());
    next_with(&lines(calling.stderr.take().expect("a pipe")), "'*' reaches 2 recipients");
    bus.run(&["send", "--from", "one", "--to", "cli", "--action", "help", "--reply-to", "all", "7"]).ok();
    assert_eq!(finish(calling).ok().line(), "one: 7");
    // Nor for more answers than there are recipients.
    let mut calling = bus.start(&[&everybody[..], &["60s", "--id", "again", "--replies", "9"]].concat());
    next_with(&lines(calling.stderr.take().expect("a pipe")), "'*' reaches 2 recipients");
    for name in ["one", "two"] {
        bus.run(&["send", "--from", name, "--to", "cli", "--action", "help", "--reply-to", "again", "7"]).ok();
    }
    assert_eq!(finish(calling).ok().out.lines().collect::<Vec<_>>(), ["one: 7", "two: 7"]);
    service.stop();
}
