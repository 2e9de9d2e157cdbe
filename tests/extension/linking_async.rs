//! Functions that are `async` in their type.

use postroom::extension::Configuration;

use super::linked::{ECHO, Guest, WITH_MEMORY, echoing, guest, handled, host};
use super::replied;

const DECLARED: &str = r#"(export "double" (func async (param "n" s32) (result s32)))"#;

/// A provider of `double`.
fn doubling() -> Guest {
    echoing().with(&super::linked::library(
        "m:slow/lib@1.0.0",
        "",
        &[("double", r#"async (param "n" s32) (result s32)"#)],
        r#"(func (export "double") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2)))"#,
    ))
}

#[tokio::test]
async fn an_async_function_is_called_and_waited_for() {
    let asking = guest(
        r#"(func (export "run") (param i32 i32) (result i32)
            (i32.store8 (i32.const 1060) (i32.add (i32.const 48) (call $double (i32.const 4))))
            (call $pair (i32.const 1060) (i32.const 1)))"#,
    )
    .importing("m:slow/lib@1.0.0", DECLARED, &[("double", "(param i32) (result i32)")]);
    let host = host(&Configuration::default(), &[("a", &asking), ("slow", &doubling())]).await;
    assert_eq!(replied(handled(&host, "a", "null").await), "8");
}
