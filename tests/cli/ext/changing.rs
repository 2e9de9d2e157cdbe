//! Installing, replacing, going back, removing.

use postroom::extension::ComponentHash;

use crate::components::{importer, needing, offering, provider, version, with_subcommand};
use crate::runner::Bus;

#[test]
fn add_then_rm() {
    let bus = Bus::new();
    let added = bus.add("it", &version(1)).ok();
    assert!(added.out.starts_with("installed  it\nsha256     "), "{added:?}");
    assert_eq!(bus.installed("it"), Some(version(1)));
    let again = bus.ext(&["add", "it.wasm", "--json"]).ok().json();
    assert_eq!(again["change"], "none");
    assert_eq!(bus.ext(&["rm", "it", "--json"]).ok().json()["removed"], serde_json::json!(["it"]));
    assert_eq!(bus.installed("it"), None);
    let ran = bus.ext(&["rm", "it"]).fails_with(6);
    assert!(ran.err.contains("there is no extension it"), "{ran:?}");
}

#[test]
fn another_content_under_the_name_takes_force_or_upgrade() {
    let bus = Bus::new();
    bus.add("it", &version(1)).ok();
    let ran = bus.add("it", &version(2)).fails_with(5);
    assert!(ran.err.contains("it is installed already") && ran.err.contains("postroom ext upgrade it"), "{ran:?}");
    assert_eq!(bus.installed("it"), Some(version(1)));
    let forced = bus.ext(&["add", "it.wasm", "--force", "--json"]).ok().json();
    assert_eq!(forced["change"], "replaced");
    assert_eq!(forced["previous"], ComponentHash::of(&version(1)).to_string());
    let path = bus.built("other", &version(3));
    bus.ext(&["upgrade", "missing", &path]).fails_with(6);
    bus.ext(&["upgrade", "it", &path]).ok();
    assert_eq!(bus.installed("it"), Some(version(3)));
    bus.ext(&["upgrade", "it", "--back"]).ok();
    assert_eq!(bus.installed("it"), Some(version(2)));
    bus.ext(&["upgrade", "it", "--back"]).ok();
    assert_eq!(bus.installed("it"), Some(version(3)));
    assert_eq!(bus.ext(&["upgrade", "it"]).code, 2);
}

/// Each kind of bad one, with --force and by upgrade, alone and under what others need: the old one stays and works.
#[test]
fn force_never_loses_the_old_one_to_a_bad_one() {
    let bus = Bus::new();
    bus.add("base", &provider(1)).ok();
    bus.add("user", &importer(1)).ok();
    let cut = provider(2)[..300].to_vec();
    for (what, bytes) in [
        ("not a WebAssembly component", b"text".to_vec()),
        ("not a valid component", cut),
        ("others would not work any more: user", version(2)),
    ] {
        let path = bus.built("new", &bytes);
        for arguments in [&["add", &path, "--name", "base", "--force"][..], &["upgrade", "base", &path]] {
            let ran = bus.ext(arguments).fails_with(5);
            assert!(ran.err.contains(what), "{what}: {ran:?}");
            assert_eq!(bus.installed("base"), Some(provider(1)));
        }
    }
    bus.ext(&["check"]).ok();
    bus.ext(&["upgrade", "base", &bus.built("new", &provider(2))]).ok();
    bus.ext(&["check"]).ok();
}

#[test]
fn what_others_need_stays_unless_they_go_too() {
    let bus = Bus::new();
    bus.add("base", &provider(1)).ok();
    bus.add("user", &importer(1)).ok();
    let ran = bus.ext(&["rm", "base"]).fails_with(5);
    assert!(ran.err.contains("base stays: user needs it") && ran.err.contains("--cascade"), "{ran:?}");
    assert_eq!(bus.ext(&["rm", "base", "--cascade"]).ok().out, "removed  user\nremoved  base\n");
    assert!(bus.listed().is_empty());
}

/// Who finds another provider needs nothing of the one that goes.
#[test]
fn what_goes_on_working_stays() {
    let bus = Bus::new();
    let sum = r#"(param "a" s32) (param "b" s32) (result s32)"#;
    bus.add("p1", &offering(1, "calc:z/lib@1.0.0", "sum", sum)).ok();
    bus.add("p2", &offering(2, "calc:z/lib@1.1.0", "sum", sum)).ok();
    bus.add("user", &needing(3, "calc:z/lib@1.0.0", "sum", sum)).ok();
    let provider = || bus.ext(&["deps", "--json"]).ok().json()["links"][0]["provider"].clone();
    assert_eq!(provider(), "p2");
    assert_eq!(bus.ext(&["rm", "p2", "--cascade"]).ok().out, "removed  p2\n");
    assert_eq!(provider(), "p1");
    bus.ext(&["check"]).ok();
    bus.add("p2", &offering(2, "calc:z/lib@1.1.0", "sum", sum)).ok();
    bus.ext(&["rm", "p2"]).ok();
    let ran = bus.ext(&["rm", "p1"]).fails_with(5);
    assert!(ran.err.contains("p1 stays: user needs it"), "{ran:?}");
    // One that was set aside before is no reason to keep anything.
    bus.put("broken.wasm", needing(4, "calc:nobody/lib@1.0.0", "sum", sum));
    // Whoever was told to use the one that goes needs it.
    bus.add("p2", &offering(2, "calc:z/lib@1.1.0", "sum", sum)).ok();
    let settings = std::fs::read_to_string(bus.settings()).expect("settings");
    let choice = "\n[extension.user]\nproviders = { \"calc:z/lib\" = \"p2\" }\n";
    std::fs::write(bus.settings(), settings + choice).expect("written");
    let ran = bus.ext(&["rm", "p2"]).fails_with(5);
    assert!(ran.err.contains("p2 stays: user needs it"), "{ran:?}");
    let removed = bus.ext(&["rm", "p2", "--cascade", "--json"]).ok().json()["removed"].clone();
    assert_eq!(removed, serde_json::json!(["user", "p2"]));
    bus.ext(&["rm", "p1"]).ok();
}

#[test]
fn names_that_lead_elsewhere_or_are_ours_are_refused() {
    let bus = Bus::new();
    let path = bus.built("it", &version(1));
    for name in ["../../x", "a/b", "status", "ext", "help", "postroom", "CON", "nul.txt", "", ".x", "a b"] {
        let ran = bus.ext(&["add", &path, "--name", name]).fails_with(2);
        assert!(ran.err.contains("--name"), "{name}: {ran:?}");
    }
    assert!(bus.listed().is_empty());
    let bad = bus.built("serve", &version(1));
    bus.ext(&["add", &bad]).fails_with(2);
}

#[test]
fn the_sum_is_checked_before_anything_else() {
    let bus = Bus::new();
    let path = bus.built("it", &version(1));
    let hash = |number| ComponentHash::of(&version(number)).to_string();
    let ran = bus.ext(&["add", &path, "--sha256", &hash(2)]).fails_with(5);
    assert!(ran.err.contains(&hash(1)) && ran.err.contains(&hash(2)), "{ran:?}");
    assert_eq!(bus.ext(&["add", &path, "--sha256", "abc"]).code, 2);
    bus.ext(&["add", &path, "--sha256", &hash(1).to_uppercase()]).ok();
}

/// What was printed when it was installed is taken the next time, and so is what `sha256sum` says of the file.
#[test]
fn the_sum_of_text_is_that_of_the_text_or_of_the_binary() {
    let bus = Bus::new();
    bus.ext(&["new", "hello", "--lang", "wat"]).ok();
    let text = std::fs::read(bus.workspace().join("hello/hello.wat")).expect("made");
    let installed = bus.ext(&["add", "hello/hello.wat", "--json"]).ok().json()["sha256"].clone();
    for hash in [installed.as_str().expect("a hash"), &ComponentHash::of(&text).to_string()] {
        bus.ext(&["add", "hello/hello.wat", "--sha256", hash]).ok();
    }
    let wrong = ComponentHash::of(b"").to_string();
    let ran = bus.ext(&["add", "hello/hello.wat", "--sha256", &wrong]).fails_with(5);
    assert!(ran.err.contains(&ComponentHash::of(&text).to_string()) && ran.err.contains(&wrong), "{ran:?}");
    // What is neither is refused for its sum, not for what is wrong in it.
    std::fs::write(bus.workspace().join("bad.wat"), "(component (core modul))").expect("written");
    let ran = bus.ext(&["add", "bad.wat", "--sha256", &wrong]).fails_with(5);
    assert!(ran.err.contains("another SHA-256"), "{ran:?}");
}

#[test]
fn a_grant_is_written_and_comments_stay() {
    let bus = Bus::new();
    let needing = crate::components::needing(1, "postroom:extension/clock@1.0.0", "now-ms", "(result s64)");
    std::fs::write(bus.settings(), "# mine\n[extensions]\ngrants = []\n").expect("written");
    let path = bus.built("it", &needing);
    let ran = bus.ext(&["add", &path]).fails_with(5);
    assert!(ran.err.contains("postroom:extension/clock@1.0.0") && ran.err.contains("--grant"), "{ran:?}");
    assert_eq!(bus.ext(&["add", &path, "--grant", "clocks"]).code, 2);
    let added = bus.ext(&["add", &path, "--grant", "clock", "--json"]).ok().json();
    assert_eq!(added["granted"], serde_json::json!(["clock"]));
    let settings = std::fs::read_to_string(bus.settings()).expect("settings");
    assert_eq!(settings, "# mine\n[extensions]\ngrants = []\n\n[extension.it]\ngrants = [\"clock\"]\n");
}

/// Whoever takes a name gets what was granted to it and stored under it, and is told.
#[test]
fn what_stays_of_one_that_is_removed_is_said_then_and_to_the_next() {
    let bus = Bus::new();
    bus.built("it", &version(1));
    let first = bus.ext(&["add", "it.wasm", "--grant", "bus"]).ok();
    assert!(!first.out.contains("note"), "{first:?}");
    std::fs::create_dir_all(bus.path(".postroom/state/it")).expect("made");
    std::fs::write(bus.path(".postroom/state/it/key"), "value").expect("written");
    let removed = bus.ext(&["rm", "it"]).ok().out;
    let stays = "stays for the next extension of this name: [extension.it] in the settings (it grants bus), \
                 and what it has stored in ";
    assert!(removed.starts_with("removed  it\nnote     ") && removed.contains(stays), "{removed}");
    assert!(removed.contains("ai-communication/.postroom/state/it\n"), "{removed}");
    let settings = std::fs::read_to_string(bus.settings()).expect("settings");
    std::fs::write(bus.settings(), settings + "[extension.it.wasi]\nnetwork = [\"localhost:80\"]\n").expect("written");
    let next = bus.ext(&["add", "it.wasm", "--grant", "bus", "--grant", "log", "--json"]).ok().json();
    let warnings = next["warnings"].to_string();
    assert!(
        warnings.contains("[extension.it] was in postroom.toml already, and grants it bus, WASI network"),
        "{next}"
    );
    assert!(warnings.contains("has stored something, which is its now"), "{next}");
    assert_eq!(next["granted"], serde_json::json!(["log"]));
    // To the one that has the name it is no news, and of another it is not.
    assert!(!bus.ext(&["upgrade", "it", &bus.built("new", &version(2))]).ok().out.contains("note"));
    assert!(!bus.add("other", &version(3)).ok().out.contains("note"));
    assert_eq!(bus.ext(&["rm", "other"]).ok().out, "removed  other\n");
}

#[test]
fn text_is_taken_and_what_is_wrong_with_it_is_said() {
    let bus = Bus::new();
    let path = bus.workspace().join("bad.wat");
    std::fs::write(&path, "(component (core modul))").expect("written");
    let ran = bus.ext(&["add", "bad.wat"]).fails_with(5);
    assert!(ran.err.contains("bad.wat is no WebAssembly text"), "{ran:?}");
    bus.ext(&["add", "missing.wasm"]).fails_with(1);
    bus.ext(&["add", "."]).fails_with(5);
}

#[test]
fn a_subcommand_of_a_name_that_is_taken_is_a_warning() {
    let bus = Bus::new();
    let warned = |name: &str, subcommand: &str| {
        let path = bus.built(name, &with_subcommand(subcommand));
        bus.ext(&["add", &path, "--json"]).ok().json()["warnings"].to_string()
    };
    assert!(warned("a", "status").contains("status cannot be run"));
    assert_eq!(warned("b", "count-up"), "[]");
    assert!(warned("c", "count-up").contains("runs that of b"));
}

#[test]
fn without_a_bus_there_is_nowhere_to_install() {
    let nowhere = tempfile::TempDir::new().expect("a folder");
    let ran = crate::runner::run_in(nowhere.path(), &["ext", "ls"]).fails_with(3);
    assert!(ran.err.contains("postroom init"), "{ran:?}");
}
