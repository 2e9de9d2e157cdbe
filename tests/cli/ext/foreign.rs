//! Subcommands that extensions add.

use crate::components::{version, with_subcommand};
use crate::runner::{Bus, program, run_in};

#[test]
fn it_is_listed_runs_and_its_exit_code_is_passed_on() {
    let bus = Bus::new();
    bus.add("counter", &with_subcommand("count-up")).ok();
    for asked in [&["--help"][..], &["-h"], &["help"]] {
        let help = bus.run(asked).ok().out;
        assert!(help.contains("count-up") && help.contains("counts its arguments [extension counter]"), "{help}");
    }
    for count in [0, 1, 3, 7] {
        let arguments: Vec<&str> = std::iter::once("count-up").chain((0..count).map(|_| "--anything")).collect();
        assert_eq!(bus.run(&arguments).code, count);
    }
    assert_eq!(bus.run(&["--json", "count-up", "--json", "--bus", "x"]).code, 3, "what stands behind it is its own");
    let help = bus.run(&["count-up", "--help"]).ok().out;
    assert!(help.contains("usage: count-up ARGUMENT..."), "{help}");
    assert!(bus.run(&["help", "count-up"]).ok().out.contains("usage: count-up ARGUMENT..."));
    let wrong = bus.run(&["count-upp"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("count-up"), "{wrong:?}");
}

/// The one that comes with postroom: its input, both outputs and its exit codes.
#[test]
fn a_real_one_reads_and_prints() {
    let bus = Bus::new();
    bus.run(&["ext", "add", concat!(env!("CARGO_MANIFEST_DIR"), "/extensions/prebuilt/ext-text.wasm")]).ok();
    let run = |arguments: &[&str], input: &str| bus.run_with_input(&[&["text"], arguments].concat(), input);
    assert_eq!(run(&["count"], "two words\n").ok().out, "lines 1, words 2, characters 10, bytes 10\n");
    assert_eq!(run(&["pick", "/a/1"], r#"{"a": [1, 2.50]}"#).ok().out, "2.50\n");
    let long = format!("[\"{}\"]", "x".repeat(200_000));
    assert_eq!(run(&["pick", "/0"], &long).ok().out.len(), 200_003);
    assert_eq!(run(&["merge", r#"{"a":null,"c":3}"#], r#"{"a":1,"b":2}"#).ok().out, "{\"b\":2,\"c\":3}\n");
    let nothing = run(&["pick", "/b"], r#"{"a": 1}"#).fails_with(1);
    assert!(nothing.err.contains("`/b` leads nowhere") && nothing.out.is_empty(), "{nothing:?}");
    let wrong = run(&[], "");
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("postroom text pick POINTER"), "{wrong:?}");
}

#[test]
fn a_trap_ends_it_with_a_reason() {
    let bus = Bus::new();
    bus.add("counter", &with_subcommand("count-up")).ok();
    let many: Vec<&str> = std::iter::once("count-up").chain((0..201).map(|_| "x")).collect();
    let ran = bus.run(&many).fails_with(1);
    assert!(ran.err.contains("the subcommand of counter was ended"), "{ran:?}");
}

#[test]
fn a_built_in_name_wins_and_elsewhere_it_is_unknown() {
    let bus = Bus::new();
    bus.add("counter", &with_subcommand("status")).ok();
    assert!(bus.run(&["status", "--json"]).ok().json()["counts"].is_object());
    bus.add("other", &with_subcommand("count-up")).ok();
    let nowhere = tempfile::TempDir::new().expect("a folder");
    assert_eq!(run_in(nowhere.path(), &["count-up"]).code, 2);
    let folder = bus.path("");
    assert_eq!(run_in(nowhere.path(), &["--bus", folder.to_str().expect("UTF-8"), "count-up", "x"]).code, 1);
}

/// What changed behind the back of the lock file is looked at before it runs; what is broken does not run.
#[test]
fn a_file_that_changed_runs_as_what_it_is_now() {
    let bus = Bus::new();
    bus.add("counter", &with_subcommand("count-up")).ok();
    let lost = |what: &str| {
        let ran = bus.run(&["count-up"]).fails_with(1);
        let said = "count-up was a subcommand of counter, whose file has changed or is gone";
        assert!(ran.err.contains(said) && ran.err.contains("postroom ext check"), "{what}: {ran:?}");
        assert!(!bus.run(&["--help"]).ok().out.contains("count-up"), "{what}");
    };
    bus.put("counter.wasm", version(1));
    lost("another extension");
    bus.put("counter.wasm", "garbage");
    lost("no extension");
    bus.put("counter.wasm", with_subcommand("count-more"));
    lost("another subcommand");
    assert_eq!(bus.run(&["count-more", "x"]).code, 1);
    std::fs::remove_file(bus.extensions().join("counter.wasm")).expect("removed");
    lost("nothing");
    // The next change brings the lock file up to date; then nobody ever had it.
    bus.add("other", &version(2)).ok();
    assert_eq!(bus.run(&["count-up"]).code, 2);
}

/// A service takes up what anybody puts there; so does the command line.
#[test]
fn a_file_that_nobody_installed_has_its_subcommand() {
    let bus = Bus::new();
    std::fs::create_dir_all(bus.extensions()).expect("made");
    bus.put("counter.wasm", with_subcommand("count-up"));
    bus.put("bad.wasm", "garbage");
    assert!(bus.run(&["--help"]).ok().out.contains("count-up"));
    assert_eq!(bus.run(&["count-up", "a", "b", "c", "d"]).code, 4);
    assert!(bus.run(&["count-up", "--help"]).ok().out.contains("usage: count-up ARGUMENT..."));
}

/// Who exports no subcommand is not asked for one: what never was compiled has not run.
#[test]
fn a_wrong_word_runs_nothing_of_what_is_there() {
    let (bus, cache) = (Bus::new(), tempfile::TempDir::new().expect("a folder"));
    std::fs::create_dir_all(bus.extensions()).expect("made");
    bus.put("it.wasm", version(1));
    let mut wrong = program(bus.workspace());
    assert_eq!(wrong.env("POSTROOM_CACHE", cache.path()).arg("statsu").output().expect("ran").status.code(), Some(2));
    assert!(!cache.path().join("compiled").exists(), "something was compiled");
}
