//! `ext new` and `ext test`: from nothing to an answered message.

use std::path::Path;

use crate::runner::{Bus, run_in};

#[test]
fn wat_needs_no_tool() {
    let bus = Bus::new();
    bus.ext(&["new", "hello", "--lang", "wat"]).ok();
    assert_eq!(bus.ext(&["test", "hello/hello.wat", "hello/cases"]).ok().out, "ok      echo\n1 case, 0 failed\n");
    bus.ext(&["add", "hello/hello.wat"]).ok();
    bus.ext(&["test", "hello", "hello/cases"]).ok();
    let service = bus.serve();
    let answer = bus.run(&["call", "--to", "hello", "--action", "hello.echo", "{\"a\":1.50}"]).ok();
    assert_eq!(answer.line(), "{\"a\":1.50}");
    service.stop();
}

#[test]
fn each_language_has_its_files() {
    let bus = Bus::new();
    for (language, own) in [
        ("rust", &["Cargo.toml", "src/lib.rs", "README.md"][..]),
        ("js", &["package.json", "my-own.js", "README.md"]),
        ("python", &["extension.py", "README.md"]),
    ] {
        let folder = tempfile::tempdir_in(bus.workspace()).expect("a folder");
        let made = run_in(folder.path(), &["ext", "new", "my-own", "--lang", language, "--json"]).ok().json();
        assert_eq!(made["folder"], "my-own");
        let contract = ["wit/world.wit", "wit/deps/postroom/handler.wit", "wit/deps/postroom/types.wit"];
        for file in own.iter().chain(&contract).chain(&["cases/hello.message.json", "cases/hello.reply.json"]) {
            let text = std::fs::read_to_string(folder.path().join("my-own").join(file));
            let text = text.unwrap_or_else(|error| panic!("{language} {file}: {error}"));
            assert!(!text.contains("{{"), "{language} {file}: {text}");
        }
    }
}

/// Whoever adds an interface to the contract adds it to the new extensions, too.
#[test]
fn the_whole_contract_is_in_the_folder() {
    let folder = tempfile::TempDir::new().expect("a folder");
    run_in(folder.path(), &["ext", "new", "mine", "--lang", "rust"]).ok();
    let names = |folder: &Path| {
        let mut names: Vec<_> =
            std::fs::read_dir(folder).expect("listed").map(|entry| entry.expect("an entry").file_name()).collect();
        names.sort();
        names
    };
    let contract = Path::new(env!("CARGO_MANIFEST_DIR")).join("wit");
    assert_eq!(names(&folder.path().join("mine/wit/deps/postroom")), names(&contract));
}

#[test]
fn a_name_that_cannot_be_one_and_a_folder_that_is_there() {
    let folder = tempfile::TempDir::new().expect("a folder");
    for name in ["../x", "A", "1a", "a--b", "a-", "", "status", "postroom", "con", "x_y"] {
        let ran = run_in(folder.path(), &["ext", "new", name, "--lang", "wat"]);
        assert_eq!(ran.code, 2, "{name}: {ran:?}");
    }
    assert_eq!(run_in(folder.path(), &["ext", "new", "a", "--lang", "cobol"]).code, 2);
    run_in(folder.path(), &["ext", "new", "a", "--lang", "wat"]).ok();
    std::fs::write(folder.path().join("a/a.wat"), "mine").expect("written");
    run_in(folder.path(), &["ext", "new", "a", "--lang", "wat"]).fails_with(1);
    assert_eq!(std::fs::read_to_string(folder.path().join("a/a.wat")).expect("read"), "mine");
}

#[test]
fn a_case_that_fails_shows_what_is_different() {
    let folder = tempfile::TempDir::new().expect("a folder");
    run_in(folder.path(), &["ext", "new", "it", "--lang", "wat"]).ok();
    let put =
        |file: &str, text: &str| std::fs::write(folder.path().join("it/cases").join(file), text).expect("written");
    put("a.message.json", r#"{"action": "x", "payload": {"same": 1, "text": "\u001b[2J"}}"#);
    put("a.reply.json", r#"{"payload": {"same": 1, "text": "plain"}}"#);
    put("b.message.json", r#"{"action": "x", "payload": 7}"#);
    put("b.reply.json", r#"{"error": {"code": "handler-failed"}}"#);
    let ran = run_in(folder.path(), &["ext", "test", "it/it.wat", "it/cases"]);
    assert_eq!(ran.code, 7);
    for line in [
        "failed  a",
        "              \"same\": 1,",
        "        -     \"text\": \"plain\"",
        "        +     \"text\": \"\\u001b[2J\"",
        "failed  b",
        "ok      echo",
        "3 cases, 2 failed",
    ] {
        assert!(ran.out.lines().any(|shown| shown.trim_end() == line), "{line:?} in {}", ran.out);
    }
    assert!(!ran.out.contains('\u{1b}'), "{ran:?}");
    let report = run_in(folder.path(), &["ext", "test", "it/it.wat", "it/cases", "--json"]).json();
    assert_eq!((&report["passed"], &report["failed"]), (&1.into(), &2.into()));
    assert_eq!(report["cases"][1]["came"]["payload"], 7);
}

#[test]
fn what_is_no_case_is_said() {
    let folder = tempfile::TempDir::new().expect("a folder");
    run_in(folder.path(), &["ext", "new", "it", "--lang", "wat"]).ok();
    let test = || run_in(folder.path(), &["ext", "test", "it/it.wat", "it/cases"]);
    std::fs::write(folder.path().join("it/cases/a.message.json"), "{\"action\": \"x\", \"action\": \"y\"")
        .expect("written");
    test().fails_with(1);
    std::fs::write(folder.path().join("it/cases/a.reply.json"), "{}").expect("written");
    let ran = test().fails_with(2);
    assert!(ran.err.contains("a.message.json is no case"), "{ran:?}");
    std::fs::write(folder.path().join("it/cases/a.message.json"), "{\"payload\": 1}").expect("written");
    assert!(test().fails_with(2).err.contains("action"));
    run_in(folder.path(), &["ext", "test", "it/it.wat", "it"]).fails_with(6);
    run_in(folder.path(), &["ext", "test", "it/missing.wat", "it/cases"]).fails_with(1);
}
