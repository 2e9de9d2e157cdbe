//! `state`, as a component sees it.

use std::collections::BTreeMap;
use std::sync::Arc;

use postroom::extension::StateKey;

use super::guest::{Guest, STATE, UNLESS_REFUSED};
use super::{Around, all_loaded, attempt, loaded, own_code};
use crate::replied;

/// Replies with the stored value of `k`, and stores the payload there.
const SWAP: &str = r#"
    (call $state.get KEY (i32.const 512)) UNLESS_REFUSED
    (call $state.set KEY (i32.load offset=32 (local.get 0)) (i32.load offset=36 (local.get 0)) (i32.const 544))
    (if (i32.load8_u (i32.const 544)) (then (return (i32.const 544))))
    (if (result i32) (i32.load8_u (i32.const 516))
        (then (call $ok (i32.load (i32.const 520)) (i32.load (i32.const 524))))
        (else (call $ok NULL)))
"#;

fn swapping(key: &str) -> Vec<u8> {
    let mut guest = Guest::new().importing(&STATE);
    let (key, null) = (guest.text(key), guest.text("null"));
    let body = SWAP.replace("KEY", &key).replace("NULL", &null).replace("UNLESS_REFUSED", UNLESS_REFUSED);
    guest.handling(&body).component()
}

fn key_of(extension: &str) -> StateKey {
    StateKey { extension: extension.into(), key: "k".into() }
}

#[tokio::test]
async fn what_is_read_and_written_is_in_the_effects_under_the_name_of_the_extension() {
    let host = all_loaded("", &[("it", swapping("k")), ("other", swapping("k"))]).await;
    let around = Arc::new(Around { stored: BTreeMap::from([("k", ("[1]", 7))]), ..Around::default() });
    for name in ["it", "other"] {
        let attempted = attempt(&host, name, "[2]", &around).await;
        assert_eq!(replied(attempted.handled), "[1]");
        assert_eq!(attempted.effects.read, BTreeMap::from([(key_of(name), 7)]));
        assert_eq!(attempted.effects.written, BTreeMap::from([(key_of(name), Some(b"[2]".to_vec()))]));
    }
    let nothing_there = attempt(&host, "it", "3", &Arc::default()).await;
    assert_eq!(replied(nothing_there.handled), "null");
    assert_eq!(nothing_there.effects.read, BTreeMap::from([(key_of("it"), 0)]));
}

#[tokio::test]
async fn what_is_written_is_seen_and_listed_before_it_is_committed() {
    let mut guest = Guest::new().importing(&STATE);
    let texts = ["1", "2", "3", "\"v\""].map(|text| guest.text(text));
    let [one, two, three, value] = &texts;
    // Of the stored 1 and 2 the first is deleted, 3 is added; then 3 keys would be wrong, and 2 must come first.
    let body = format!(
        "(call $state.delete {one} (i32.const 512)) {UNLESS_REFUSED}
         (call $state.set {three} {value} (i32.const 512)) {UNLESS_REFUSED}
         (call $state.get {three} (i32.const 512)) {UNLESS_REFUSED}
         (if (i32.ne (i32.load (i32.const 524)) (i32.const 3)) (then (unreachable)))
         (call $state.get {one} (i32.const 512)) {UNLESS_REFUSED}
         (if (i32.load8_u (i32.const 516)) (then (unreachable)))
         (call $state.get {two} (i32.const 512)) {UNLESS_REFUSED}
         (if (i32.eqz (i32.load8_u (i32.const 516))) (then (unreachable)))
         (call $state.keys (i32.const 0) (i32.const 0) (i32.const 512)) {UNLESS_REFUSED}
         (if (i32.ne (i32.load (i32.const 520)) (i32.const 2)) (then (unreachable)))
         (call $ok (i32.load (i32.load (i32.const 516))) (i32.load offset=4 (i32.load (i32.const 516))))"
    );
    let host = all_loaded("", &[("it", guest.handling(&body).component())]).await;
    let around = Arc::new(Around { stored: BTreeMap::from([("1", ("a", 1)), ("2", ("b", 1))]), ..Around::default() });
    assert_eq!(replied(attempt(&host, "it", "1", &around).await.handled), "2");
}

#[tokio::test]
async fn an_attempt_that_fails_leaves_nothing() {
    let mut guest = Guest::new().importing(&STATE);
    let (key, code) = (guest.text("k"), guest.text("changed-my-mind"));
    let body = format!("(call $state.set {key} {key} (i32.const 512)) {UNLESS_REFUSED} (call $err {code})");
    let host = all_loaded("", &[("it", guest.handling(&body).component())]).await;
    let attempted = attempt(&host, "it", "1", &Arc::default()).await;
    assert_eq!(own_code(attempted.handled), "changed-my-mind");
    assert_eq!(attempted.effects, Default::default());
}

#[tokio::test]
async fn keys_have_a_form_and_without_a_message_there_is_no_state() {
    let host = all_loaded("", &[("it", swapping(""))]).await;
    assert_eq!(own_code(attempt(&host, "it", "1", &Arc::default()).await.handled), "invalid-key");

    let mut guest = Guest::new().importing(&STATE);
    let (key, null) = (guest.text("k"), guest.text("null"));
    let init = format!("(call $state.delete {key} (i32.const 512)) (i32.const 512)");
    let component = guest.initialising(&init).handling(&format!("(call $ok {null})")).component();
    let (_, broken) = loaded("", &[("it", component)]).await;
    let [it] = broken.as_slice() else { panic!("it is loaded") };
    assert!(it.reason.contains("no message is being handled"), "{}", it.reason);
}

#[tokio::test]
async fn a_library_has_keys_of_its_own_whoever_calls_it() {
    let mut library = Guest::new().importing(&STATE);
    let (key, null) = (library.text("k"), library.text("null"));
    let keep = format!("(call $state.set {key} {key} (i32.const 512))");
    let library = library
        .exporting("t:keep/lib@1.0.0", "", &[("keep", "", &keep)])
        .handling(&format!("(call $ok {null})"))
        .component();
    let mut it =
        Guest::new().importing_functions("t:keep/lib@1.0.0", "keep", "(export \"keep\" (func))", &[("keep", "")]);
    let null = it.text("null");
    let it = it.handling(&format!("(call $keep.keep) (call $ok {null})")).component();
    let host = all_loaded("", &[("it", it), ("library", library)]).await;
    let written = attempt(&host, "it", "1", &Arc::default()).await.effects.written;
    assert_eq!(written, BTreeMap::from([(key_of("library"), Some(b"k".to_vec()))]));
}
