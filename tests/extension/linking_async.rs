//! Functions that are `async` in their type.

use postroom::extension::Configuration;
use postroom::message::{Code, Retry};

use super::linked::{Guest, echoing, guest, handled, host};
use super::{end, replied};

const DECLARED: &str = r#"(export "double" (func async (param "n" s32) (result s32)))"#;

/// A provider of `double`.
fn doubling() -> Guest {
    doubling_with("(i32.mul (local.get 0) (i32.const 2))")
}

fn doubling_with(body: &str) -> Guest {
    echoing().with(&super::linked::library(
        "m:slow/lib@1.0.0",
        "",
        &[("double", r#"async (param "n" s32) (result s32)"#)],
        &format!(r#"(func (export "double") (param i32) (result i32) {body})"#),
    ))
}

/// Replies with the double of 4.
fn asking() -> Guest {
    guest(
        r#"(func (export "run") (param i32 i32) (result i32)
            (i32.store8 (i32.const 1060) (i32.add (i32.const 48) (call $double (i32.const 4))))
            (call $pair (i32.const 1060) (i32.const 1)))"#,
    )
    .importing("m:slow/lib@1.0.0", DECLARED, &[("double", "(param i32) (result i32)")])
}

#[tokio::test]
async fn an_async_function_is_called_and_waited_for() {
    let host = host(&Configuration::default(), &[("a", &asking().waiting()), ("slow", &doubling())]).await;
    assert_eq!(replied(handled(&host, "a", "null").await), "8");
}

#[tokio::test]
async fn who_is_not_async_cannot_wait() {
    let host = host(&Configuration::default(), &[("a", &asking()), ("slow", &doubling())]).await;
    let (code, retry, reason) = end(handled(&host, "a", "null").await);
    assert_eq!((code, retry), (Code::HandlerFailed, Retry::Final));
    assert_eq!(
        reason,
        "it waited for an `async` function of another extension, which only an extension can whose `handle` is an `async func`"
    );
}

#[tokio::test]
async fn a_trap_in_it_ends_the_attempt_and_names_it() {
    let host =
        host(&Configuration::default(), &[("a", &asking().waiting()), ("slow", &doubling_with("unreachable"))]).await;
    let (code, _, reason) = end(handled(&host, "a", "null").await);
    assert_eq!(code, Code::HandlerFailed);
    assert_eq!(
        reason,
        "while `slow` was called (a -> slow): it stopped itself (a panic or an abort: wasm `unreachable`)"
    );
}
