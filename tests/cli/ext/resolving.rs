//! Every error of resolution, at install: who imports, what, and what comes nearest; and nothing is changed.

use crate::components::{both, needing, offering};
use crate::runner::Bus;

const SUM: &str = r#"(param "a" s32) (param "b" s32) (result s32)"#;

/// Installs offers, then something that needs `interface`.`function`; what is said.
#[track_caller]
fn refused(offers: &[(&str, &str, &str)], interface: &str, function: &str) -> String {
    let bus = Bus::new();
    for (number, (name, interface, function)) in (0..).zip(offers) {
        bus.add(name, &offering(number, interface, function, SUM)).ok();
    }
    let ran = bus.add("user", &needing(1, interface, function, SUM)).fails_with(5);
    assert_eq!(bus.listed().len(), offers.len());
    assert_eq!(bus.installed("user"), None);
    let reason = ran.err.split_once("user cannot be installed: ").unwrap_or_else(|| panic!("{ran:?}"));
    reason.1.lines().next().expect("a line").to_owned()
}

#[test]
fn nobody_offers_it() {
    let said = refused(&[("base", "calc:sum/lib@1.0.0", "sum")], "calc:summ/lib@1.0.0", "sum");
    assert_eq!(said, "user needs calc:summ/lib@1.0.0, which no extension offers; nearest: calc:sum/lib");
}

#[test]
fn it_is_too_old_or_incompatible() {
    let base = [("base", "calc:sum/lib@1.0.0", "sum")];
    let said = refused(&base, "calc:sum/lib@1.2.0", "sum");
    assert_eq!(said, "user needs calc:sum/lib@1.2.0 or newer, but what is offered is too old: base has 1.0.0");
    let said = refused(&base, "calc:sum/lib@2.0.0", "sum");
    assert_eq!(said, "user needs calc:sum/lib@2.0.0, but what is offered is not compatible: base has 1.0.0");
}

#[test]
fn a_function_is_missing_or_has_another_type() {
    let said = refused(&[("base", "calc:sum/lib@1.0.0", "sum")], "calc:sum/lib@1.0.0", "sums");
    assert_eq!(said, "user needs `sums` of calc:sum/lib, which base does not have; nearest: sum");
    let bus = Bus::new();
    bus.add("base", &offering(0, "calc:sum/lib@1.0.0", "sum", r#"(param "a" u32) (param "b" s32) (result s32)"#)).ok();
    let ran = bus.add("user", &needing(1, "calc:sum/lib@1.0.0", "sum", SUM)).fails_with(5);
    let said = "user needs `sum` of calc:sum/lib as func(a: s32, b: s32) -> s32, but base has it as func(a: u32, b: s32) -> s32";
    assert!(ran.err.contains(said), "{ran:?}");
}

#[test]
fn two_offer_the_same() {
    let offers = [("one", "calc:sum/lib@1.0.0", "sum"), ("two", "calc:sum/lib@1.0.0", "sum")];
    let said = refused(&offers, "calc:sum/lib@1.0.0", "sum");
    assert!(said.contains("one and two") && said.contains("providers"), "{said}");
    // A second one makes the choice of somebody who is there unclear, and is refused for that.
    let bus = Bus::new();
    bus.add("one", &offering(0, "calc:sum/lib@1.0.0", "sum", SUM)).ok();
    bus.add("user", &needing(1, "calc:sum/lib@1.0.0", "sum", SUM)).ok();
    let ran = bus.add("two", &offering(1, "calc:sum/lib@1.0.0", "sum", SUM)).fails_with(5);
    assert!(ran.err.contains("two cannot be installed, because others would not work any more: user"), "{ran:?}");
    // The setting that is named chooses.
    let settings = std::fs::read_to_string(bus.settings()).expect("settings");
    let choice = "\n[extension.user]\nproviders = { \"calc:sum/lib\" = \"one\" }\n";
    std::fs::write(bus.settings(), settings + choice).expect("written");
    bus.ext(&["add", "two.wasm"]).ok();
    assert_eq!(bus.ext(&["deps", "--json"]).ok().json()["links"][0]["provider"], "one");
}

/// Neither could be installed first, so a circle is closed by another version of one that others need.
#[test]
fn they_need_each_other() {
    let bus = Bus::new();
    let circle = "they need each other in a circle: a -> b -> a";
    let alone = offering(1, "calc:a/lib@1.0.0", "sum", SUM);
    let closing = both(3, "calc:a/lib@1.0.0", "calc:b/lib@1.0.0", SUM);
    bus.add("a", &alone).ok();
    bus.add("b", &both(2, "calc:b/lib@1.0.0", "calc:a/lib@1.0.0", SUM)).ok();
    let ran = bus.ext(&["upgrade", "a", &bus.built("closing", &closing)]).fails_with(5);
    assert!(ran.err.contains(&format!("a cannot be installed: {circle}")), "{ran:?}");
    assert_eq!(bus.installed("a"), Some(alone));
    bus.ext(&["check"]).ok();
    // Nobody asks somebody who puts it there.
    bus.put("a.wasm", closing);
    let ran = bus.ext(&["check"]);
    assert_eq!(ran.code, 7);
    assert!(ran.out.contains(circle), "{ran:?}");
    assert_eq!(bus.listed(), [("a".to_owned(), false), ("b".to_owned(), false)]);
}

#[test]
fn a_newer_patch_satisfies_an_older_one() {
    let bus = Bus::new();
    bus.add("base", &offering(0, "calc:sum/lib@1.0.1", "sum", SUM)).ok();
    bus.add("user", &needing(1, "calc:sum/lib@1.0.0", "sum", SUM)).ok();
    bus.ext(&["check"]).ok();
}
