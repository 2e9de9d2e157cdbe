//! Every exit code, reached for real. The codes are part of the interface.

use std::path::Path;

use tempfile::TempDir;

use super::runner::{Bus, message, program, run_in, wait_for};

#[test]
fn ok_is_0() {
    run_in(Path::new("/"), &["schema"]).ok();
    run_in(Path::new("/"), &["--version"]).ok();
    run_in(Path::new("/"), &["--help"]).ok();
}

#[test]
fn failure_is_1() {
    let bus = Bus::new();
    let ran = bus.run(&["send", "--to", "a", "--action", "b", "--payload-file", "missing.json"]).fails_with(1);
    assert!(ran.err.contains("cannot read the payload missing.json: No such file"), "{ran:?}");
}

#[test]
fn usage_is_2() {
    for wrong in [
        &["send"][..],
        &["frobnicate"],
        &["send", "--to", "a b", "--action", "x"],
        &["send", "--to", "a", "--action", "x", "--priority", "10"],
        &["send", "--to", "a", "--action", "x", "--delay", "soon"],
        &["ack", "no-token"],
        &["dead-letter", "purge"],
    ] {
        let ran = run_in(Path::new("/"), wrong);
        assert_eq!(ran.code, 2, "{wrong:?}: {ran:?}");
        assert!(ran.out.is_empty() && !ran.err.is_empty(), "{wrong:?}: {ran:?}");
    }
    let bus = Bus::new();
    bus.run(&["send", "--to", "*", "--to", "a", "--action", "x"]).fails_with(2);
    bus.run(&["send", "--to", "a", "--action", "x", "{}", "a=1"]).fails_with(2);
    let ran = bus.run(&["send", "--to", "a", "--action", "x", "a=1", "b=1", "a=2"]).fails_with(2);
    assert!(ran.err.contains("the key \"a\" is given twice; nothing was sent"), "{ran:?}");
    let deep = format!("a={}{}", "[".repeat(127), "]".repeat(127));
    let ran = bus.run(&["send", "--to", "a", "--action", "x", &deep]).fails_with(2);
    assert!(ran.err.contains("the value of \"a\" is nested too deeply"), "{ran:?}");
    assert_eq!(dropped(&bus), 0);
    let ran = bus.run(&["send", "--to", "a", "--action", "x", "--expires-in", "soon"]);
    assert!(ran.code == 2 && ran.err.contains("a bare number is seconds"), "{ran:?}");
}

#[test]
fn no_bus_is_3() {
    let nowhere = TempDir::new().expect("a folder");
    for command in [&["status"][..], &["send", "--to", "a", "--action", "b"], &["serve", "--once"], &["doctor"]] {
        let ran = run_in(nowhere.path(), command).fails_with(3);
        assert!(ran.err.contains("hint: make one with `postroom init`"), "{ran:?}");
    }
    let folder = nowhere.path().to_str().expect("UTF-8");
    run_in(nowhere.path(), &["--bus", folder, "status"]).fails_with(3);
    run_in(nowhere.path(), &["--bus", "missing", "serve", "--once"]).fails_with(3);
    run_in(nowhere.path(), &["--bus", "/etc/hostname", "status"]).fails_with(3);
    let bus = Bus::new();
    std::fs::write(bus.path(".postroom/format"), "postroom bus format 2\n").expect("written");
    let ran = bus.run(&["status"]).fails_with(3);
    assert!(ran.err.contains("hint: use a newer postroom"), "{ran:?}");
}

#[test]
fn timeout_is_4() {
    let bus = Bus::new();
    let ran = bus.run(&["call", "--to", "postroom", "--action", "mcp.core.ping", "--timeout", "1500ms"]).fails_with(4);
    assert!(ran.err.contains("no service is active on"), "{ran:?}");
    assert!(ran.err.contains("postroom trace") && ran.err.contains("postroom doctor"), "{ran:?}");
    assert_eq!(bus.run(&["status", "--json"]).json()["counts"]["drop"], 1, "it stays sent");
    let ran = bus.run(&["recv", "me", "--wait", "--timeout", "0s"]).fails_with(4);
    assert!(ran.err.contains("no message for me"), "{ran:?}");
}

/// How many messages the drop has.
fn dropped(bus: &Bus) -> usize {
    bus.names("").iter().filter(|name| name.ends_with(".json")).count()
}

#[test]
fn refused_is_5() {
    let bus = Bus::new();
    let send = |payload: &str| bus.run(&["send", "--to", "a", "--action", "b", payload]);
    let ran = send("{\"a\":1,\"a\":2}").fails_with(5);
    assert!(ran.err.contains("malformed-json"), "{ran:?}");
    send("{\"a\":NaN}").fails_with(5);
    assert!(
        bus.run(&["list", "drop", "--json"]).json()["states"][0]["messages"].as_array().expect("a list").is_empty()
    );

    // Names that no sender has: refused before anything is written.
    std::fs::create_dir(bus.workspace().join("extensions")).expect("made");
    std::fs::write(bus.workspace().join("extensions/ext-sum.wasm"), crate::components::version(1)).expect("written");
    for (command, name) in [("send", "postroom"), ("call", "postroom"), ("send", "ext-sum"), ("call", "ext-sum")] {
        let ran = bus.run(&[command, "--from", name, "--to", "postroom", "--action", "mcp.core.ping"]).fails_with(5);
        assert!(ran.err.contains("error: not-permitted:") && ran.err.contains(name), "{ran:?}");
        bus.run(&["recv", name, "--wait", "--timeout", "0s"]).fails_with(5);
        assert_eq!((bus.names("inbox").len(), dropped(&bus)), (0, 0), "nothing was written");
    }

    let service = bus.serve();
    let ran = bus.run(&["call", "--to", "nobody", "--action", "b"]).fails_with(5);
    assert!(ran.err.contains("unknown-recipient"), "{ran:?}");
    assert!(ran.out.is_empty(), "{ran:?}");
    let ran = bus.run(&["call", "--to", "postroom", "--to", "nobody", "--action", "mcp.core.echo", "7"]).fails_with(5);
    assert_eq!(ran.out, "postroom: 7\n");
    service.stop();
}

#[test]
fn not_found_is_6() {
    let bus = Bus::new();
    bus.run(&["recv", "me"]).fails_with(6);
    bus.run(&["trace", "nothing"]).fails_with(6);
    bus.run(&["dead-letter", "show", "nothing"]).fails_with(6);
    bus.run(&["dead-letter", "retry", "nothing"]).fails_with(6);
    bus.run(&["ack", "me/0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11"]).fails_with(6);
    bus.run(&["nack", "me/0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11"]).fails_with(6);
}

#[test]
fn problems_are_7() {
    let bus = Bus::new();
    let ran = bus.run(&["doctor"]);
    assert_eq!(ran.code, 7, "{ran:?}");
    assert!(ran.out.contains("no service is at work"), "{ran:?}");
    let service = bus.serve();
    wait_for("a clean bill", || (bus.run(&["doctor"]).code == 0).then_some(()));
    service.stop();
}

/// The line of a service on another machine, which grows as long as that lives.
#[test]
fn elsewhere_is_8() {
    let bus = Bus::new();
    let room = bus.path("processing/7/0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11");
    std::fs::create_dir_all(&room).expect("made");
    let beat = |beat: u64| {
        let line = format!(
            r#"{{"beat":"{beat:020}","started_at":1,"host":"other","host_name":"far-away","boot":"b","mount":"m","namespace":"","pid":1}}"#
        );
        std::fs::write(room.join("new-line"), line).expect("written");
        std::fs::rename(room.join("new-line"), room.join("line")).expect("renamed");
    };
    beat(0);
    let mut serving = bus.start(&["serve"]);
    let mut beats = 0;
    wait_for("the service to give up", || {
        beats += 1;
        beat(beats);
        serving.try_wait().expect("asked")
    });
    let ran = super::runner::finish(serving).fails_with(8);
    assert!(ran.err.contains("far-away"), "{ran:?}");
}

#[test]
fn settings_are_9() {
    let bus = Bus::new();
    std::fs::write(bus.settings(), "[bus]\ndurabilty = \"full\"\n").expect("written");
    for command in
        [&["serve", "--once"][..], &["call", "--to", "a", "--action", "b"], &["send", "--to", "a", "--action", "b"]]
    {
        let ran = bus.run(command).fails_with(9);
        assert!(ran.err.contains("postroom.toml: unknown key \"durabilty\" in [bus]"), "{ran:?}");
        assert!(ran.err.contains("hint: did you mean \"durability\"?"), "{ran:?}");
    }
    // Whoever looks what is the matter sees the bus, and what is wrong.
    let ran = bus.run(&["status"]).ok();
    assert!(ran.out.contains("none is active") && ran.err.contains("unknown key \"durabilty\" in [bus]"), "{ran:?}");
    for command in [&["list"][..], &["agents"], &["dead-letter", "list"], &["trace", "x"], &["recv", "cli"]] {
        let ran = bus.run(command);
        assert!(!ran.err.contains("durabilty"), "{ran:?}");
    }
}

#[test]
fn settings_are_refused_in_the_words_of_the_file() {
    let bus = Bus::new();
    for (text, says) in [
        (
            "[bus]\ngrace_ms = \"5s\"\n",
            "postroom.toml: bus.grace_ms must be a whole number of milliseconds, not \"5s\"",
        ),
        ("[retention]\nremove_days = 3\n", "retention.remove_days (3) must not be less than retention.pack_days (7)"),
    ] {
        std::fs::write(bus.settings(), text).expect("written");
        let ran = bus.run(&["serve", "--once"]).fails_with(9);
        assert!(ran.err.contains(says), "{ran:?}");
    }
}

#[test]
fn an_unsafe_file_system_is_10() {
    let top = TempDir::new().expect("a folder");
    let synced = top.path().join("Dropbox");
    std::fs::create_dir(&synced).expect("made");
    let insist = "start a service that insists: `postroom serve --force-file-system`";
    for _ in 0..2 {
        let ran = run_in(&synced, &["init", "--json"]).ok();
        assert!(ran.json()["bus"].is_string() && ran.err.contains("no service will start there"), "{ran:?}");
        assert!(ran.err.contains("Dropbox") && ran.err.contains(insist), "{ran:?}");
    }
    let ran = run_in(&synced, &["serve", "--once"]).fails_with(10);
    assert!(ran.err.contains("Dropbox") && ran.err.contains(insist), "{ran:?}");
    run_in(&synced, &["serve", "--once", "--force-file-system"]).ok();
    // Commands that do the service's work for a moment can be told the same; without it, the hint says what insists.
    run_in(&synced, &["send", "--to", "nobody", "--action", "a"]).ok();
    run_in(&synced, &["serve", "--once", "--force-file-system"]).ok();
    let ran = run_in(&synced, &["dead-letter", "retry", "--all"]).fails_with(10);
    assert!(ran.err.contains(insist), "{ran:?}");
    for command in ["retry", "purge"] {
        run_in(&synced, &["dead-letter", command, "--all", "--force-file-system"]).ok();
    }
    // Elsewhere nothing is said.
    assert_eq!(run_in(top.path(), &["init"]).ok().err, "");
}

/// Both signals reach the stopped program before any of its code runs again.
#[test]
fn a_second_signal_is_130() {
    let bus = Bus::new();
    let service = bus.serve();
    for signal in [libc::SIGSTOP, libc::SIGINT, libc::SIGTERM, libc::SIGCONT] {
        service.signal(signal);
    }
    assert_eq!(service.ended(), 130);
    // Nothing is lost by it.
    bus.drop_text("a.json", &message("a", "postroom"));
    bus.run(&["serve", "--once"]).ok();
    assert_eq!(bus.run(&["status", "--json"]).json()["counts"]["drop"], 0);
}

#[test]
fn the_first_signal_stops_cleanly() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let bus = Bus::new();
        let service = bus.serve();
        service.signal(signal);
        service.says("stopped");
        assert_eq!(service.ended(), 0);
        assert!(bus.names("processing").is_empty());
    }
}

#[test]
fn the_help_lists_the_codes() {
    let help = run_in(Path::new("/"), &["--help"]).ok().out;
    for code in ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "130"] {
        let listed = help.lines().any(|line| line.trim_start().starts_with(&format!("{code}  ")));
        assert!(listed, "{code} in {help}");
    }
}

#[test]
fn the_bus_comes_from_the_option_the_environment_or_a_folder_above() {
    let bus = Bus::new();
    let elsewhere = TempDir::new().expect("a folder");
    let path = bus.path("");
    let named = path.to_str().expect("UTF-8").trim_end_matches('/');
    let deep = bus.workspace().join("a/b/c");
    std::fs::create_dir_all(&deep).expect("made");
    for (folder, arguments) in [
        (elsewhere.path(), &["--bus", named, "status", "--json"][..]),
        (elsewhere.path(), &["status", "--json", "--bus", named]),
        (&deep, &["status", "--json"]),
        (&path, &["status", "--json"]),
    ] {
        let found = run_in(folder, arguments).ok().json();
        assert_eq!(found["bus"], named, "{arguments:?}");
    }
    let mut command = program(elsewhere.path());
    let ran = command.env("POSTROOM_BUS", named).args(["status", "--json"]).output().expect("ran");
    assert!(ran.status.success());
}
