//! Who works with whom: every reason for which an extension is set aside when a folder is loaded, and that the others work.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use postroom::extension::{Configuration, ExtensionHost, Facts};
use postroom::policy::Settings;

use super::linked::{ECHO, Guest, echoing, folder, guest, handled, host, host_and_broken};
use super::{end, replied};

const STEP: &str = r#"(export "step" (func (param "n" s32) (result s32)))"#;

fn configured(settings: &str) -> Configuration {
    Configuration::from_settings(&Settings::parse(settings).unwrap(), Path::new("."))
}

/// Offers `step`, which returns this.
fn offering(interface: &str, answer: i32) -> Guest {
    offering_as(
        interface,
        "step",
        r#"(param "n" s32) (result s32)"#,
        &format!("(param i32) (result i32) (i32.const {answer})"),
    )
}

fn offering_as(interface: &str, name: &str, ty: &str, core: &str) -> Guest {
    guest(&format!(r#"{ECHO} (func (export "{name}") {core})"#)).exporting(interface, &[(name, ty)])
}

/// Replies with the digit that `step` returns.
fn asking(interface: &str) -> Guest {
    guest(
        r#"(func (export "run") (param i32 i32) (result i32)
            (i32.store8 (i32.const 1060) (i32.add (i32.const 48) (call $step (i32.const 1))))
            (call $pair (i32.const 1060) (i32.const 1)))"#,
    )
    .importing(interface, STEP, &[("step", "(param i32) (result i32)")])
}

impl Guest {
    /// Offers a `step` of its own, which passes on what it gets.
    fn exporting_step(mut self, interface: &str) -> Guest {
        self.prepend(r#"(func (export "step") (param i32) (result i32) (call $step (local.get 0)))"#);
        self.exporting(interface, &[("step", r#"(param "n" s32) (result s32)"#)])
    }
}

/// Names and reasons of what is set aside. Beside it stands one that is good.
async fn set_aside(configuration: &Configuration, guests: &[(&str, &Guest)]) -> Vec<String> {
    let good = echoing();
    let guests: Vec<(&str, &Guest)> = guests.iter().copied().chain([("zz-good", &good)]).collect();
    let (host, broken) = host_and_broken(configuration, &guests).await;
    assert_eq!(replied(handled(&host, "zz-good", "null").await), "null");
    for broken in &broken {
        assert!(host.package(&broken.name).is_none());
    }
    broken.into_iter().map(|broken| broken.reason).collect()
}

#[tokio::test]
async fn a_later_patch_satisfies_an_earlier_requirement() {
    let guests = [
        ("a", &asking("m:b/lib@1.0.0")),
        ("newer", &offering("m:b/lib@1.0.1", 1)),
        ("newest", &offering("m:b/lib@1.2.0", 2)),
        ("next", &offering("m:b/lib@2.0.0", 3)),
    ];
    let host = host(&Configuration::default(), &guests).await;
    assert_eq!(replied(handled(&host, "a", "null").await), "2");
}

#[tokio::test]
async fn the_user_chooses_between_two() {
    let guests =
        [("a", &asking("m:b/lib@1.0.0")), ("b1", &offering("m:b/lib@1.0.0", 1)), ("b2", &offering("m:b/lib@1.0.0", 2))];
    let ambiguous = set_aside(&Configuration::default(), &guests).await;
    assert_eq!(ambiguous.len(), 1);
    assert!(
        ambiguous[0].starts_with("a needs m:b/lib, and b1 and b2 all offer m:b/lib@1.0.0; choose with "),
        "{ambiguous:?}"
    );
    let chosen = configured("[extension.a]\nproviders = { \"m:b/lib\" = \"b2\" }");
    assert_eq!(replied(handled(&host(&chosen, &guests).await, "a", "null").await), "2");
}

#[tokio::test]
async fn what_nobody_offers() {
    let of = async |guests: &[(&str, &Guest)]| set_aside(&Configuration::default(), guests).await;
    let a = asking("m:calc/lib@1.1.0");
    assert_eq!(of(&[("a", &a)]).await, ["a needs m:calc/lib@1.1.0, which no extension offers"]);
    assert_eq!(
        of(&[("a", &a), ("b", &offering("m:calk/lib@1.1.0", 1))]).await,
        ["a needs m:calc/lib@1.1.0, which no extension offers; nearest: m:calk/lib"]
    );
    assert_eq!(
        of(&[("a", &a), ("b", &offering("m:calc/lib@1.0.9", 1))]).await,
        ["a needs m:calc/lib@1.1.0 or newer, but what is offered is too old: b has 1.0.9"]
    );
    assert_eq!(
        of(&[("a", &a), ("b", &offering("m:calc/lib@2.0.0", 1))]).await,
        ["a needs m:calc/lib@1.1.0, but what is offered is not compatible: b has 2.0.0"]
    );
    let other = offering_as(
        "m:calc/lib@1.1.0",
        "stop",
        r#"(param "n" s32) (result s32)"#,
        "(param i32) (result i32) (i32.const 1)",
    );
    assert_eq!(
        of(&[("a", &a), ("b", &other)]).await,
        ["a needs `step` of m:calc/lib, which b does not have; nearest: stop"]
    );
    let other = offering_as(
        "m:calc/lib@1.1.0",
        "step",
        r#"(param "n" s64) (result s32)"#,
        "(param i64) (result i32) (i32.const 1)",
    );
    assert_eq!(
        of(&[("a", &a), ("b", &other)]).await,
        ["a needs `step` of m:calc/lib as func(n: s32) -> s32, but b has it as func(n: s64) -> s32"]
    );
}

#[tokio::test]
async fn a_circle() {
    let passing = |from: &str, to: &str| asking(from).exporting_step(to);
    let guests = [("a", &passing("m:b/lib@1.0.0", "m:a/lib@1.0.0")), ("b", &passing("m:a/lib@1.0.0", "m:b/lib@1.0.0"))];
    let circle = "they need each other in a circle: a -> b -> a";
    assert_eq!(set_aside(&Configuration::default(), &guests).await, [circle, circle]);
}

#[tokio::test]
async fn who_stands_on_a_broken_one() {
    let starting = |interface: &str| {
        offering(interface, 1)
            .with("(core module $bad (func $f unreachable) (start $f)) (core instance (instantiate $bad))")
    };
    let guests = [
        ("a", &asking("m:b/lib@1.0.0").exporting_step("m:a/lib@1.0.0")),
        ("b", &starting("m:b/lib@1.0.0")),
        ("c", &asking("m:a/lib@1.0.0")),
    ];
    assert_eq!(
        set_aside(&Configuration::default(), &guests).await,
        [
            "a needs b, which cannot be loaded itself",
            "it failed when it was loaded: it stopped itself (a panic or an abort: wasm `unreachable`)",
            "c needs a, which cannot be loaded itself",
        ]
    );
}

const INIT: &str = "postroom:extension/init@1.0.0";

/// Its `init` has this body; a failure begins at 2048.
fn with_init(guest: Guest, body: &str) -> Guest {
    let types = r#"
        (type $retry-0 (enum "later" "final")) (export $retry "retry" (type $retry-0))
        (type $failure-0 (record (field "code" string) (field "message" string) (field "details" (option string)) (field "retry" $retry)))
        (export $failure "failure" (type $failure-0))"#;
    let core = format!(
        r#"(func (export "init") (result i32) {body})
           (data (i32.const 2100) "no-key") (data (i32.const 2200) "there is no key in the configuration")"#
    );
    guest.with(&super::linked::library(INIT, types, &[("init", "(result (result (error $failure)))")], &core))
}

#[tokio::test]
async fn a_failing_init_sets_aside_the_extension_and_who_stands_on_it() {
    let fine = "(i32.const 2048)";
    let failing = "(i32.store8 (i32.const 2048) (i32.const 1))
        (i32.store (i32.const 2052) (i32.const 2100)) (i32.store (i32.const 2056) (i32.const 6))
        (i32.store (i32.const 2060) (i32.const 2200)) (i32.store (i32.const 2064) (i32.const 36))
        (i32.const 2048)";
    let a = asking("m:b/lib@1.0.0");
    let guests = |body: &str| [("a", asking("m:b/lib@1.0.0")), ("b", with_init(offering("m:b/lib@1.0.0", 4), body))];
    let [_, (_, good)] = guests(fine);
    let host = host(&Configuration::default(), &[("a", &a), ("b", &good)]).await;
    assert_eq!(replied(handled(&host, "a", "null").await), "4");

    let lost = "a needs b, which cannot be loaded itself";
    let [_, (_, bad)] = guests(failing);
    assert_eq!(
        set_aside(&Configuration::default(), &[("a", &a), ("b", &bad)]).await,
        [lost, "its `init` failed: there is no key in the configuration"]
    );
    let [_, (_, bad)] = guests("unreachable");
    assert_eq!(
        set_aside(&Configuration::default(), &[("a", &a), ("b", &bad)]).await,
        [lost, "its `init` failed: it stopped itself (a panic or an abort: wasm `unreachable`)"]
    );
}

#[tokio::test]
async fn functions_outside_of_interfaces_cannot_be_had() {
    let bare = echoing().with(r#"(import "print" (func))"#);
    assert_eq!(
        set_aside(&Configuration::default(), &[("bare", &bare)]).await,
        ["it imports the function `print` outside of any interface, which nobody can provide"]
    );
}

#[tokio::test]
async fn what_is_known_is_not_read_before_it_is_used() {
    let folder = folder(&[("a", &asking("m:b/lib@1.0.0")), ("b", &offering("m:b/lib@1.0.0", 6))]);
    let path = folder.0.path();
    let load = async |known: &(dyn Fn(&Path) -> Option<Facts> + Sync)| {
        let (host, broken) = ExtensionHost::load_known(path, &Configuration::default(), known).await.unwrap();
        assert_eq!(broken, []);
        host
    };
    let first = load(&|_| None).await;
    let asked = AtomicUsize::new(0);
    let facts = |path: &Path| {
        asked.fetch_add(1, Ordering::Relaxed);
        first.facts(path.file_stem()?.to_str()?)
    };
    let second = load(&facts).await;
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    assert_eq!(second.packages().collect::<Vec<_>>(), first.packages().collect::<Vec<_>>());
    // Its files can be anything until then.
    let (a, b) = (folder.path("a.wasm"), std::fs::read(folder.path("b.wasm")).unwrap());
    let whole = std::fs::read(&a).unwrap();
    let third = load(&facts).await;
    std::fs::write(&a, &b).unwrap();
    let (_, _, reason) = end(handled(&third, "a", "null").await);
    assert_eq!(reason, "`a` cannot run: its file is another one than when it was loaded");
    std::fs::write(&a, whole).unwrap();
    assert_eq!(replied(handled(&third, "a", "null").await), "6");
    assert_eq!(replied(handled(&second, "a", "null").await), "6");
}
