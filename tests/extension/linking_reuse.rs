//! Instances that handle more than one message.

use std::path::Path;

use postroom::extension::{Configuration, ExtensionHost, Reusable};
use postroom::policy::Settings;

use super::linked::{Guest, attempt, guest, handled, host};
use super::{end, replied};

/// Replies with how many messages this instance has handled; a payload of one byte makes it trap.
fn counting() -> Guest {
    guest(
        r#"(func (export "run") (param i32 i32) (result i32)
            (if (i32.eq (local.get 1) (i32.const 1)) (then unreachable))
            (i32.store8 (i32.const 2048) (i32.add (i32.load8_u (i32.const 2048)) (i32.const 1)))
            (call $pair (i32.const 2048) (i32.const 1)))"#,
    )
    .data(2048, b"0")
}

/// Waits this long, and then replies with how many messages it has handled.
fn waiting(ms: u32) -> Guest {
    let core = format!(
        r#"(func (export "run") (param i32 i32) (result i32)
            (call $sleep-ms (i32.const {ms}))
            (i32.store8 (i32.const 2048) (i32.add (i32.load8_u (i32.const 2048)) (i32.const 1)))
            (call $pair (i32.const 2048) (i32.const 1)))"#
    );
    guest(&core).data(2048, b"0").importing(
        "postroom:extension/clock@1.0.0",
        r#"(export "sleep-ms" (func (param "ms" u32)))"#,
        &[("sleep-ms", "(param i32)")],
    )
}

fn configured(uses: u32) -> Configuration {
    let settings = format!("[extensions]\nuses = {uses}\n[extension.a]\ninstance = \"reused\"");
    Configuration::from_settings(&Settings::parse(&settings).unwrap(), Path::new("."))
}

async fn reusing(uses: u32) -> ExtensionHost {
    host(&configured(uses), &[("a", &counting()), ("b", &counting())]).await
}

async fn count(host: &ExtensionHost, name: &str) -> String {
    let attempted = attempt(host, name, "null").await;
    // It is committed.
    attempted.reusable.into_iter().for_each(Reusable::rest);
    replied(attempted.handled)
}

#[tokio::test]
async fn an_instance_is_used_again_up_to_its_number_of_uses() {
    let host = reusing(3).await;
    for expected in ["1", "2", "3", "1", "2"] {
        assert_eq!(count(&host, "a").await, expected);
    }
    // Fresh is the default.
    assert_eq!(count(&host, "b").await, "1");
    assert_eq!(count(&host, "b").await, "1");
}

#[tokio::test]
async fn after_a_failure_it_is_gone() {
    let host = reusing(100).await;
    assert_eq!(count(&host, "a").await, "1");
    assert_eq!(count(&host, "a").await, "2");
    end(handled(&host, "a", "1").await);
    assert_eq!(count(&host, "a").await, "1");
}

#[tokio::test]
async fn after_an_attempt_that_was_not_committed_it_is_gone() {
    let host = reusing(100).await;
    assert_eq!(count(&host, "a").await, "1");
    let undecided = attempt(&host, "a", "null").await;
    assert_eq!(replied(undecided.handled), "2");
    // Nobody meets what it remembers of a message that may yet come to nothing.
    assert_eq!(count(&host, "a").await, "1");
    drop(undecided.reusable);
    assert_eq!(count(&host, "a").await, "2");
}

#[tokio::test]
async fn messages_at_the_same_time_have_instances_of_their_own() {
    let host = host(&configured(100), &[("a", &waiting(20))]).await;
    // Each of the two has begun before one of them can end.
    assert_eq!(tokio::join!(count(&host, "a"), count(&host, "a")), ("1".into(), "1".into()));
    assert_eq!(tokio::join!(count(&host, "a"), count(&host, "a")), ("2".into(), "2".into()));
}
