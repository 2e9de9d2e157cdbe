//! Calls between extensions: who is instantiated, whose limits count, and what becomes of the message when a callee fails.

use std::time::Duration;

use postroom::extension::{Configuration, Limits};
use postroom::message::{Code, Retry};

use super::linked::{Guest, attempt, echoing, guest, handled, host};
use super::{end, replied};

/// An interface with one function that takes a number and returns one.
const STEP: &str = r#"(export "step" (func (param "n" s32) (result s32)))"#;
const STEP_SIGNATURE: &str = r#"(param "n" s32) (result s32)"#;
const STEP_CORE: &str = "(param i32) (result i32)";

/// Offers `step` of this interface, with this body.
fn stepping(interface: &str, body: &str) -> Guest {
    let core = format!(r#"{} (func (export "step") (param i32) (result i32) {body})"#, super::linked::ECHO);
    guest(&core).exporting(interface, &[("step", STEP_SIGNATURE)])
}

/// A `run` that calls `step` with 1 and replies with the digit that it returns; a payload of one byte, and nothing is called.
const RUN: &str = r#"
    (func (export "run") (param i32 i32) (result i32)
        (if (i32.eq (local.get 1) (i32.const 1)) (then (return (call $pair (local.get 0) (local.get 1)))))
        (i32.store8 (i32.const 1060) (i32.add (i32.const 48) (call $step (i32.const 1))))
        (call $pair (i32.const 1060) (i32.const 1)))
"#;

/// Asks `step` of this interface.
fn asking(interface: &str) -> Guest {
    guest(RUN).importing(interface, STEP, &[("step", STEP_CORE)])
}

/// Asks `step` of one interface, and offers that of another, which adds one.
fn passing_on(from: &str, to: &str) -> Guest {
    let core = format!(
        r#"{RUN} (func (export "step") (param i32) (result i32) (i32.add (i32.const 1) (call $step (local.get 0))))"#
    );
    guest(&core).importing(from, STEP, &[("step", STEP_CORE)]).exporting(to, &[("step", STEP_SIGNATURE)])
}

fn limits(edit: impl FnOnce(&mut Limits)) -> Configuration {
    let mut limits = Limits::default();
    edit(&mut limits);
    Configuration::from(limits)
}

#[tokio::test]
async fn a_chain_of_three() {
    let guests = [
        ("a", &asking("m:b/lib@1.0.0")),
        ("b", &passing_on("m:c/lib@0.1.0", "m:b/lib@1.0.1")),
        ("c", &stepping("m:c/lib@0.1.5", "(i32.add (local.get 0) (i32.const 5))")),
    ];
    let host = host(&Configuration::default(), &guests).await;
    assert_eq!(replied(handled(&host, "a", "null").await), "7");
    assert_eq!(replied(handled(&host, "b", "null").await), "6");
    assert_eq!(replied(handled(&host, "c", "null").await), "null");
}

#[tokio::test]
async fn the_same_provider_is_one_instance_for_a_message_and_another_for_the_next() {
    let counting =
        "(i32.store (i32.const 2048) (i32.add (i32.load (i32.const 2048)) (i32.const 1))) (i32.load (i32.const 2048))";
    let twice =
        RUN.replace("(call $step (i32.const 1))", "(i32.add (call $step (i32.const 1)) (call $step (i32.const 1)))");
    let twice = guest(&twice).importing("m:b/lib@1.0.0", STEP, &[("step", STEP_CORE)]);
    let host = host(&Configuration::default(), &[("a", &twice), ("b", &stepping("m:b/lib@1.0.0", counting))]).await;
    for _ in 0..2 {
        assert_eq!(replied(handled(&host, "a", "null").await), "3");
    }
}

#[tokio::test]
async fn who_is_not_called_is_not_instantiated() {
    // The provider has more memory than the importer's messages may use, and is fine on its own.
    let big = stepping("m:b/lib@1.0.0", "(local.get 0)")
        .with("(core module $big (memory 100)) (core instance (instantiate $big))");
    let settings = "[extension.a]\nmemory_bytes = 2_000_000";
    let settings = postroom::policy::Settings::parse(settings).unwrap();
    let configuration = Configuration::from_settings(&settings, std::path::Path::new("."));
    let host = host(&configuration, &[("a", &asking("m:b/lib@1.0.0")), ("b", &big)]).await;
    assert_eq!(replied(handled(&host, "b", "null").await), "null");
    assert_eq!(replied(handled(&host, "a", "1").await), "1");
    let (code, retry, reason) = end(handled(&host, "a", "null").await);
    assert_eq!((code, retry), (Code::ResourceLimit, Retry::Final));
    assert_eq!(reason, "in `b` (a -> b): it asked for more than 2000000 bytes of memory");
}

#[tokio::test]
async fn a_trap_in_a_callee_ends_the_attempt_and_names_it() {
    let guests = [
        ("a", &asking("m:b/lib@1.0.0")),
        ("b", &passing_on("m:c/lib@1.0.0", "m:b/lib@1.0.0")),
        ("c", &stepping("m:c/lib@1.0.0", "unreachable")),
    ];
    let host = host(&Configuration::default(), &guests).await;
    let stopped = "it stopped itself (a panic or an abort: wasm `unreachable`)";
    assert_eq!(
        end(handled(&host, "a", "null").await),
        (Code::HandlerFailed, Retry::Later, format!("in `c` (a -> b -> c): {stopped}"))
    );
    // The next message gets new instances.
    assert_eq!(replied(handled(&host, "a", "1").await), "1");
}

#[tokio::test]
async fn the_memory_of_callees_counts_for_the_chain() {
    let bomb = stepping("m:b/lib@1.0.0", "(loop (drop (memory.grow (i32.const 1))) (br 0)) unreachable");
    let host =
        host(&limits(|limits| limits.memory_bytes = 1 << 20), &[("a", &asking("m:b/lib@1.0.0")), ("b", &bomb)]).await;
    assert_eq!(
        end(handled(&host, "a", "null").await),
        (Code::ResourceLimit, Retry::Final, "in `b` (a -> b): it asked for more than 1048576 bytes of memory".into())
    );
}

#[tokio::test]
async fn the_deadline_holds_in_a_callee() {
    let configuration = limits(|limits| limits.deadline = Duration::from_secs(1));
    let looping = stepping("m:b/lib@1.0.0", "(loop (br 0)) unreachable");
    let host = host(&configuration, &[("a", &asking("m:b/lib@1.0.0")), ("b", &looping)]).await;
    assert_eq!(
        end(handled(&host, "a", "null").await),
        (Code::Timeout, Retry::Later, "no answer within 1000 ms".into())
    );
    assert_eq!(replied(handled(&host, "a", "1").await), "1");
}

#[tokio::test]
async fn there_is_an_end_to_how_often_a_chain_calls() {
    let often = RUN.replace("(i32.store8", "(loop (drop (call $step (i32.const 1))) (br 0)) (i32.store8");
    let often = guest(&often).importing("m:b/lib@1.0.0", STEP, &[("step", STEP_CORE)]);
    let host = host(
        &limits(|limits| limits.host_calls = 100),
        &[("a", &often), ("b", &stepping("m:b/lib@1.0.0", "(local.get 0)"))],
    )
    .await;
    assert_eq!(
        end(handled(&host, "a", "null").await),
        (Code::ResourceLimit, Retry::Final, "it called functions of others more than 100 times".into())
    );
}

#[tokio::test]
async fn there_is_an_end_to_how_deep_calls_go() {
    let interface = |n: usize| format!("m:n{n}/lib@1.0.0");
    let mut guests: Vec<(String, Guest)> =
        (0..16).map(|n| (format!("n{n}"), passing_on(&interface(n + 1), &interface(n)))).collect();
    guests.push(("n16".into(), stepping(&interface(16), "(i32.const -10)")));
    let guests: Vec<(&str, &Guest)> = guests.iter().map(|(name, guest)| (name.as_str(), guest)).collect();
    let host = host(&Configuration::default(), &guests).await;
    // Sixteen within each other: -10, and one more in each of the 14 in between.
    assert_eq!(replied(handled(&host, "n1", "null").await), "4");
    let (code, retry, reason) = end(handled(&host, "n0", "null").await);
    assert_eq!((code, retry), (Code::ResourceLimit, Retry::Final));
    assert!(reason.contains("more than 16 calls within each other: n0 -> n1 -> "), "{reason}");
    assert!(reason.ends_with(" -> n15 -> n16"), "{reason}");
}

#[tokio::test]
async fn grants_are_those_of_who_imports_also_when_another_calls_it() {
    let log = r#"(type $level-0 (enum "debug" "info" "warn" "error")) (export $level "level" (type $level-0))
                 (export "write" (func (param "level" $level) (param "text" string)))"#;
    let writing = |guest: Guest| {
        guest.importing("postroom:extension/log@1.0.0", log, &[("write", "(param i32 i32 i32)")]).data(2048, b"here")
    };
    let core = format!(
        r#"{} (func (export "step") (param i32) (result i32)
            (call $write (i32.const 1) (i32.const 2048) (i32.const 4)) (local.get 0))"#,
        super::linked::ECHO
    );
    let b = writing(guest(&core)).exporting("m:b/lib@1.0.0", &[("step", STEP_SIGNATURE)]);
    let settings = |text: &str| {
        let settings = postroom::policy::Settings::parse(text).unwrap();
        Configuration::from_settings(&settings, std::path::Path::new("."))
    };
    let for_b = settings("[extensions]\ngrants = []\n[extension.b]\ngrants = [\"log\"]");
    let attempt = attempt(&host(&for_b, &[("a", &asking("m:b/lib@1.0.0")), ("b", &b)]).await, "a", "null").await;
    assert_eq!(replied(attempt.handled), "1");
    let lines: Vec<(&str, &str)> =
        attempt.log.iter().map(|line| (line.extension.as_str(), line.text.as_str())).collect();
    assert_eq!(lines, [("b", "here")]);

    let for_a = settings("[extensions]\ngrants = []\n[extension.a]\ngrants = [\"log\"]");
    let guests = [("a", &asking("m:b/lib@1.0.0")), ("b", &b), ("c", &echoing())];
    let (host, broken) = super::linked::host_and_broken(&for_a, &guests).await;
    assert_eq!(replied(handled(&host, "c", "null").await), "null");
    assert_eq!(broken.len(), 2);
    assert_eq!(broken[0].reason, "a needs b, which cannot be loaded itself");
    assert!(broken[1].reason.contains("`postroom:extension/log@1.0.0`, which is not granted to it"), "{broken:?}");
}
