//! What is shown of what is installed.

use serde_json::json;

use crate::components::{importer, offering, provider, version};
use crate::runner::Bus;

fn two() -> Bus {
    let bus = Bus::new();
    bus.add("base", &provider(1)).ok();
    bus.add("user", &importer(1)).ok();
    bus
}

#[test]
fn lists_in_text_and_json() {
    let bus = Bus::new();
    assert_eq!(bus.ext(&["ls"]).ok().out, "no extensions are installed\n");
    let bus = two();
    std::fs::write(bus.workspace().join("extensions/bad.wasm"), "garbage").expect("written");
    let listed = bus.ext(&["ls"]).ok().out;
    let lines: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0][0], "name");
    assert_eq!((lines[1][0], lines[1][2]), ("bad", "broken"), "{listed}");
    assert_eq!(lines[2].first(), Some(&"base"), "{listed}");
    assert!(listed.contains("it is not a WebAssembly component"), "{listed}");
    let rows = bus.ext(&["ls", "--json"]).ok().json();
    assert_eq!(rows["extensions"][1]["name"], "base");
    assert_eq!(rows["extensions"][1]["bytes"], provider(1).len());
    assert_eq!(rows["extensions"][0]["sha256"], json!(null));
}

#[test]
fn libraries_by_whom_and_for_whom() {
    let bus = two();
    let newer = offering(2, "calc:sum/lib@1.3.0", "sum", r#"(param "a" s32) (param "b" s32) (result s32)"#);
    bus.add("newer", &newer).ok();
    let libraries = bus.ext(&["libs", "--json"]).ok().json()["libraries"].clone();
    let told: Vec<_> = libraries
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| {
            format!("{} {} {} {}", it["interface"], it["version"], it["offeredBy"], it["usedBy"]).replace('"', "")
        })
        .collect();
    assert_eq!(told, ["calc:sum/lib 1.0.0 base []", "calc:sum/lib 1.3.0 newer [user]"]);
    assert_eq!(libraries[0]["functions"]["sum"], "func(a: s32, b: s32) -> s32");
    let shown = bus.ext(&["libs"]).ok().out;
    assert!(shown.lines().any(|line| line.split_whitespace().eq(["calc:sum/lib", "1.3.0", "newer", "user", "sum"])));
}

#[test]
fn who_needs_whom() {
    let bus = two();
    bus.add("alone", &version(1)).ok();
    let all = bus.ext(&["deps"]).ok().out;
    assert_eq!(all, "alone\nbase\nuser\n  needs calc:sum/lib@1.0.0  from base (1.0.0)\n");
    assert_eq!(bus.ext(&["deps", "alone"]).ok().out, "alone\n");
    assert!(bus.ext(&["deps", "base"]).ok().out.contains("user"));
    let dot = bus.ext(&["deps", "user", "--dot"]).ok().out;
    assert!(
        dot.starts_with("digraph") && dot.contains("\"user\" -> \"base\" [label=\"calc:sum/lib@1.0.0\"];"),
        "{dot}"
    );
    let data = bus.ext(&["deps", "--json"]).ok().json();
    assert_eq!(data["order"], json!(["alone", "base", "user"]));
    assert_eq!(data["links"][0]["provided"], "1.0.0");
    bus.ext(&["deps", "basis"]).fails_with(6);
}

#[test]
fn everything_about_one() {
    let bus = two();
    let user = bus.ext(&["inspect", "user", "--json"]).ok().json();
    assert_eq!(user["imports"][0]["provider"], "base");
    assert_eq!(user["imports"][0]["functions"]["sum"], "func(a: s32, b: s32) -> s32");
    let file = bus.ext(&["inspect", "./user.wasm", "--json"]).ok().json();
    assert_eq!(file["sha256"], user["sha256"]);
    assert!(file["installed"].is_null());
    let shown = bus.ext(&["inspect", "base"]).ok().out;
    assert!(shown.contains("calc:sum/lib@1.0.0\n    sum: func(a: s32, b: s32) -> s32\n"), "{shown}");
    let ran = bus.ext(&["inspect", "usr"]).fails_with(6);
    assert!(ran.err.contains("did you mean user?"), "{ran:?}");
    bus.built("bad", b"\0asm\x0d\0\x01\0garbage");
    bus.ext(&["inspect", "bad.wasm"]).fails_with(5);
}

#[test]
fn check_names_what_does_not_load() {
    let bus = two();
    let good = bus.ext(&["check"]).ok().out;
    assert!(good.contains("2 extensions, 0 broken, extensions.lock is current"), "{good}");
    std::fs::remove_file(bus.workspace().join("extensions/base.wasm")).expect("removed");
    let ran = bus.ext(&["check", "--json"]);
    assert_eq!(ran.code, 7);
    let report = ran.json();
    assert_eq!(report["lock"], "behind");
    assert_eq!(report["broken"][0]["name"], "user");
    assert!(report["broken"][0]["reason"].as_str().expect("a reason").contains("calc:sum/lib@1.0.0"));
    assert_eq!(bus.listed(), [("user".to_owned(), false)]);
}
