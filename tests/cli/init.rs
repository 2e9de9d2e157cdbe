//! `init` makes what is missing and keeps what is there.

use std::os::unix::fs::PermissionsExt as _;

use super::components::version;
use super::runner::{Bus, program, run_in};
use tempfile::TempDir;

#[test]
fn a_fresh_bus_has_everything_and_is_private() {
    let top = TempDir::new().expect("a folder");
    let report = run_in(top.path(), &["init", "--json"]).ok().json();
    assert_eq!(report["made"].as_array().expect("a list").len(), 4);
    assert_eq!(report["kept"], serde_json::json!([]));
    let bus = top.path().join("ai-communication");
    let mode = |path: &std::path::Path| path.metadata().expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&bus), 0o700);
    assert_eq!(mode(&bus.join("README.md")), 0o600);
    assert!(std::fs::read_to_string(bus.join("README.md")).expect("read").starts_with("# The bus format"));
    let schema = std::fs::read_to_string(bus.join("schema/message.schema.json")).expect("read");
    assert_eq!(schema, run_in(top.path(), &["schema"]).ok().out);
    assert!(std::fs::read_to_string(top.path().join("postroom.toml")).expect("read").contains("durability = \"full\""));
    let mut names: Vec<_> =
        std::fs::read_dir(&bus).expect("read").map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    assert_eq!(
        names,
        [
            ".postroom",
            "README.md",
            "agents",
            "archive",
            "dead-letter",
            "deferred",
            "held",
            "inbox",
            "processing",
            "schema"
        ]
    );
}

#[test]
fn a_second_init_keeps_what_is_there() {
    let bus = Bus::new();
    std::fs::write(bus.settings(), "# mine\n").expect("written");
    std::fs::write(bus.path("README.md"), "mine too\n").expect("written");
    bus.drop_text("a.json", "{}");
    std::fs::remove_dir(bus.path("held")).expect("removed");
    std::fs::remove_file(bus.path("schema/message.schema.json")).expect("removed");
    let report = bus.run(&["init", "--json"]).ok().json();
    assert_eq!(report["made"].as_array().expect("a list").len(), 1, "{report}");
    assert_eq!(report["kept"].as_array().expect("a list").len(), 3, "{report}");
    assert_eq!(std::fs::read_to_string(bus.settings()).expect("read"), "# mine\n");
    assert_eq!(std::fs::read_to_string(bus.path("README.md")).expect("read"), "mine too\n");
    assert!(bus.path("a.json").exists() && bus.path("held").is_dir());
    let text = bus.run(&["init"]).ok().out;
    assert_eq!(text.lines().filter(|line| line.starts_with("kept")).count(), 4, "{text}");
}

/// A power cut, or an earlier postroom that was killed, left the file without its text.
#[test]
fn an_init_that_was_interrupted_is_done_again() {
    let bus = Bus::new();
    std::fs::write(bus.path(".postroom/format"), "").expect("written");
    for command in [&["serve", "--once"][..], &["status"]] {
        let ran = bus.run(command).fails_with(3);
        assert!(ran.err.contains("`postroom init` was interrupted"), "{ran:?}");
        assert!(ran.err.contains("hint: run `postroom init`"), "{ran:?}");
    }
    let report = bus.run(&["init", "--json"]).ok().json();
    assert_eq!(report["made"].as_array().expect("a list").len(), 1, "{report}");
    assert!(bus.names(".postroom").iter().all(|name| !name.starts_with('.')), "{:?}", bus.names(".postroom"));
    bus.run(&["serve", "--once"]).ok();
    // What says something else is somebody's.
    std::fs::write(bus.path(".postroom/format"), "postroom bus format 99\n").expect("written");
    bus.run(&["init"]).fails_with(3);
}

/// Whatever kills `init`, the format is there whole or not at all.
#[cfg(target_os = "linux")]
#[test]
fn the_format_gets_its_name_when_it_is_written() {
    use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
    let top = TempDir::new().expect("a folder");
    let private = top.path().join("ai-communication/.postroom");
    std::fs::create_dir_all(&private).expect("made");
    let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).expect("events");
    inotify::add_watch(&events, &private, WatchFlags::ALL_EVENTS).expect("watched");
    run_in(top.path(), &["init"]).ok();
    let (mut buffer, mut told) = ([std::mem::MaybeUninit::uninit(); 1 << 16], Vec::new());
    let mut reader = Reader::new(&events, &mut buffer);
    while let Ok(event) = reader.next() {
        if event.file_name().is_some_and(|name| name.to_bytes() == b"format") {
            told.push(event.events() & (ReadFlags::CREATE | ReadFlags::MOVED_TO | ReadFlags::MODIFY));
        }
    }
    told.retain(|event| !event.is_empty());
    assert_eq!(told, [ReadFlags::MOVED_TO]);
}

#[test]
fn no_bus_is_made_inside_of_another_unless_named() {
    let bus = Bus::new();
    for inside in ["", "inbox", "archive"] {
        let before = bus.names(inside);
        let ran = run_in(&bus.path(inside), &["init"]).fails_with(2);
        assert!(ran.err.contains("no bus is made inside of another") && ran.err.contains("--bus DIR"), "{ran:?}");
        assert_eq!(bus.names(inside), before);
    }
    run_in(&bus.path("inbox"), &["--bus", "named", "init"]).ok();
    assert!(bus.path("inbox/named/.postroom/format").exists());
    bus.run(&["init"]).ok();
}

#[test]
fn a_named_bus_has_its_settings_beside_it() {
    let top = TempDir::new().expect("a folder");
    for name in ["bus", "deep/er/bus", "./other"] {
        run_in(top.path(), &["--bus", name, "init"]).ok();
        let folder = top.path().join(name);
        assert!(folder.join(".postroom/format").exists(), "{name}");
        assert!(folder.parent().expect("a parent").join("postroom.toml").exists(), "{name}");
        run_in(top.path(), &["--bus", name, "serve", "--once"]).ok();
    }
}

/// The settings and the extensions are in the folder above, whoever asks from where.
#[test]
fn a_bus_that_is_spelled_without_a_name_has_them_beside_it_too() {
    for (from, spelled) in [("bus", "."), ("bus", "./"), ("bus/inbox", ".."), ("", "bus/held/..")] {
        let top = TempDir::new().expect("a folder");
        for folder in ["bus/inbox", "bus/held", "extensions"] {
            std::fs::create_dir_all(top.path().join(folder)).expect("made");
        }
        let here = top.path().join(from);
        let run = |arguments: &[&str]| run_in(&here, &[&["--bus", spelled], arguments].concat());
        run(&["init"]).ok();
        assert!(top.path().join("postroom.toml").is_file(), "{spelled}");
        assert!(!top.path().join("bus/postroom.toml").exists(), "{spelled}");
        let dead = || run(&["dead-letter", "list", "--json"]).ok().json()["deadLetters"].clone();
        run(&["send", "--to", "counter", "--action", "x"]).ok();
        run(&["serve", "--once"]).ok();
        assert_eq!(dead()[0]["why"]["code"], "unknown-recipient", "{spelled}");
        std::fs::write(top.path().join("extensions/counter.wasm"), version(1)).expect("written");
        assert_eq!(run(&["ext", "ls", "--json"]).ok().json()["extensions"][0]["name"], "counter", "{spelled}");
        // By a service that the command starts for this moment, and by one that is started by name.
        run(&["dead-letter", "retry", "--all"]).ok();
        run(&["send", "--to", "counter", "--action", "x"]).ok();
        run(&["serve", "--once"]).ok();
        assert_eq!(dead(), serde_json::json!([]), "{spelled}");
        std::fs::write(top.path().join("postroom.toml"), "[bus\n").expect("written");
        run(&["serve", "--once"]).fails_with(9);
        let named = program(&here).env("POSTROOM_BUS", spelled).args(["serve", "--once"]).output().expect("ran");
        assert_eq!(named.status.code(), Some(9), "{spelled}");
        let report = run(&["doctor", "--json"]).json();
        let findings = report["findings"].as_array().expect("a list");
        assert!(findings.iter().any(|finding| finding["check"] == "settings"), "{spelled}: {report}");
    }
}

/// The option stands before or behind the command, and means what it means to any other.
#[test]
fn the_bus_is_named_before_or_behind_the_command() {
    let top = TempDir::new().expect("a folder");
    run_in(top.path(), &["--bus", "before", "init"]).ok();
    run_in(top.path(), &["init", "--bus", "behind"]).ok();
    program(top.path()).env("POSTROOM_BUS", "variable").arg("init").output().expect("ran");
    program(top.path()).env("POSTROOM_BUS", "variable").args(["init", "--bus", "named"]).output().expect("ran");
    for name in ["before", "behind", "variable", "named"] {
        assert!(top.path().join(name).join(".postroom/format").exists(), "{name}");
    }
    let help = run_in(top.path(), &["init", "--help"]).ok().out;
    assert!(help.contains("[default: ai-communication/ in the current folder]"), "{help}");
}

#[test]
fn what_is_no_folder_is_refused() {
    let bus = Bus::new();
    std::fs::remove_dir(bus.path("held")).expect("removed");
    std::os::unix::fs::symlink("/tmp", bus.path("held")).expect("linked");
    let ran = bus.run(&["init"]).fails_with(1);
    assert!(ran.err.contains("held") && ran.err.contains("not a folder"), "{ran:?}");
}
