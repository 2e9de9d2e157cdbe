//! Nothing that a message says reaches the terminal as it is: no control character but the newline, none that changes the
//! direction of writing or hides text; in every command that shows anything, also when colours are on.

use std::process::Stdio;

use super::runner::{Bus, Ran, finish, program};

/// An escape sequence, a C1 control, a bidirectional override, an invisible tag, a carriage return.
const EVIL: &str = "\u{1b}[2J\u{9b}31m\u{202e}\u{e0041}\r";

/// `EVIL` as JSON must spell it where raw control characters are forbidden, and raw where they are not.
const EVIL_JSON: &str = "\\u001b[2J\u{9b}31m\u{202e}\u{e0041}\\r";

fn is_harmless(text: &str) -> bool {
    text.chars().all(|c| {
        c == '\n'
            || !(c.is_control()
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}'))
    })
}

#[track_caller]
fn harmless(ran: &Ran) {
    assert!(is_harmless(&ran.out) && is_harmless(&ran.err), "{ran:?}");
}

/// The same command as on a terminal: with colours, and nothing else that acts on it. (clap strips every escape sequence on its way
/// into a pipe, a stranger's too, so only this shows what a terminal gets.)
#[track_caller]
fn harmless_in_colour(bus: &Bus, command: &[&str]) -> Ran {
    let ran = in_colour(bus, command);
    let style = regex_lite::Regex::new("\u{1b}\\[[0-9;]*m").expect("a pattern");
    for text in [&ran.out, &ran.err] {
        assert!(is_harmless(&style.replace_all(text, "")), "{command:?}: {ran:?}");
    }
    ran
}

fn in_colour(bus: &Bus, command: &[&str]) -> Ran {
    let mut command_line = program(bus.workspace());
    command_line.env("CLICOLOR_FORCE", "1").args(command).stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(command_line.spawn().expect("started"))
}

/// A bus on which every text that a stranger can choose is hostile.
fn evil_bus() -> Bus {
    let bus = Bus::new();
    let evil = EVIL_JSON;
    bus.drop_text(&format!("{EVIL}.json"), &format!(r#"{{"sender":"me","recipient":"x{evil}","action":"a{evil}"}}"#));
    bus.drop_text("not-json.json", &format!("{{{EVIL}"));
    bus.drop_text("good.json", &format!(r#"{{"id":"good","sender":"me","recipient":"you","action":"a{EVIL_C1}","x":"{evil}","payload":{{"p{evil}":"{evil}"}}}}"#));
    std::fs::create_dir(bus.path("inbox/you")).expect("made");
    bus.run(&["serve", "--once"]).ok();
    let service = bus.serve();
    bus.dead_letters(2);
    service.stop();
    bus
}

/// An action has no control characters, but it may have this.
const EVIL_C1: &str = "\u{202e}\u{e0041}";

#[test]
fn no_command_shows_it() {
    let bus = evil_bus();
    let evil_name = format!("x{EVIL}");
    for command in [
        &["list", "--limit", "0"][..],
        &["list", "archive"],
        &["list", "inbox"],
        &["status"],
        &["agents"],
        &["trace", "good"],
        &["tail", "--no-follow", "-n", "1000"],
        &["dead-letter", "list"],
        &["doctor"],
        &["recv", "you", "--lease"],
        &["trace", &evil_name],
        &["dead-letter", "show", &evil_name],
        &["--bus", &evil_name, "status"],
        &["send", "--to", &evil_name, "--action", "a"],
        &["send", "--to", "a", "--action", &evil_name],
        &["ack", &evil_name],
        &["list", &evil_name],
        &["list", "--limit", &evil_name],
        &[&evil_name],
        &["help", &evil_name],
        &[&format!("--{evil_name}")],
        &["status", &format!("--{evil_name}")],
        &["status", &evil_name],
    ] {
        for json in [&[][..], &["--json"]] {
            let command = [command, json].concat();
            harmless(&bus.run(&command));
            harmless_in_colour(&bus, &command);
        }
    }
    for letter in bus.dead_letters(2) {
        let ticket = letter["ticket"].as_str().expect("a ticket");
        for command in [&["dead-letter", "show", ticket][..], &["trace", ticket]] {
            let ran = bus.run(command).ok();
            harmless(&ran);
            harmless(&bus.run(&[command, &["--json"]].concat()));
        }
    }
}

#[test]
fn colours_are_the_only_escape_sequences() {
    let bus = evil_bus();
    for command in
        [&["list", "--limit", "0"][..], &["dead-letter", "list"], &["tail", "--no-follow"], &["trace", "good"]]
    {
        let out = harmless_in_colour(&bus, command).out;
        assert!(out.contains("\u{1b}["), "{command:?} has colours: {out:?}");
        let plain = program(bus.workspace()).args(command).output().expect("ran");
        assert!(is_harmless(&String::from_utf8(plain.stdout).expect("UTF-8")), "{command:?}");
    }
}

/// A colour is harmless only where it is ours.
#[test]
fn a_wrong_command_line_has_no_colours_of_its_own() {
    let bus = Bus::new();
    let red = "x\u{1b}[31mEVIL";
    let send = ["send", "--to", "a", "--action", red, "--priority"];
    for wrong in [&["list", red][..], &[red], &["status", &format!("--{red}")], &["list", "--limit", red], &send] {
        let ran = in_colour(&bus, wrong);
        assert_eq!(ran.code, 2, "{wrong:?}: {ran:?}");
        assert!(!ran.err.contains(red), "{wrong:?}: {ran:?}");
    }
    let ran = in_colour(&bus, &["list", red]);
    assert!(ran.err.contains("\\u{1b}[31mEVIL"), "it is shown, made visible: {ran:?}");
    let ran = in_colour(&bus, &["list", "nothing-evil"]);
    assert!(ran.err.contains("\u{1b}["), "our own colours stay: {ran:?}");
}

#[test]
fn replies_and_their_errors_are_shown_harmless_and_keep_their_value() {
    let bus = Bus::new();
    let service = bus.serve();
    let payload = format!("{{\"p\":\"{EVIL_JSON}\"}}");
    let ran = bus.run(&["call", "--to", "postroom", "--action", "mcp.core.echo", &payload]).ok();
    harmless(&ran);
    let (sent, got): (serde_json::Value, _) = (serde_json::from_str(&payload).expect("JSON"), ran.json());
    assert_eq!(sent, got);

    std::fs::create_dir(bus.path("inbox/agent")).expect("made");
    let calling = bus.start(&["call", "--to", "agent", "--action", "a", "--id", "q"]);
    bus.run(&["recv", "agent", "--wait", "--timeout", "60s"]).ok();
    let evil = EVIL_JSON;
    bus.drop_text(
        "answer.json",
        &format!(
            r#"{{"id":"r","sender":"agent","recipient":"cli","action":"a","inReplyTo":"q","error":{{"code":"c{evil}","message":"m{evil}","details":["{evil}"]}}}}"#
        ),
    );
    let ran = super::runner::finish(calling);
    assert_eq!(ran.code, 5, "{ran:?}");
    harmless(&ran);
    service.stop();
}

#[test]
fn a_service_and_a_registration_say_nothing_harmful() {
    let bus = Bus::new();
    let service = bus.serve();
    let evil = EVIL_JSON;
    let registration =
        format!(r#"{{"name":"n{evil}","version":"{evil}","capabilities":["c{evil}"],"description":"{evil}"}}"#);
    bus.run(&["call", "--from", "evil", "--to", "postroom", "--action", "mcp.core.register", &registration]).ok();
    for json in [&["agents"][..], &["agents", "--json"]] {
        let ran = bus.run(json).ok();
        harmless(&ran);
        assert!(ran.out.contains("evil"), "{ran:?}");
    }
    service.stop();
    std::fs::write(bus.path("agents/broken.json"), EVIL).expect("written");
    harmless(&bus.run(&["agents"]).ok());
}
