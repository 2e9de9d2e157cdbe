//! Resources of one extension in the hands of another.

use postroom::extension::Configuration;
use postroom::message::Code;

use super::linked::{ECHO, Guest, MEMORY, WITH_MEMORY, echoing, guest, handled, host, host_and_broken};
use super::{end, replied};

/// An interface with a resource that holds a number, and a count of those that were destroyed.
const DECLARED: &str = r#"
    (export "cell" (type $cell (sub resource)))
    (export "[constructor]cell" (func (param "n" s32) (result (own $cell))))
    (export "[method]cell.get" (func (param "self" (borrow $cell)) (result s32)))
    (export "consume" (func (param "cell" (own $cell)) (result s32)))
    (export "consume-all" (func (param "cells" (list (own $cell))) (result s32)))
    (export "same" (func (param "cell" (own $cell)) (result (option (own $cell)))))
    (export "destroyed" (func (result s32)))
"#;

/// The same, with `async` functions where resources are given away.
fn declared_async() -> String {
    ["consume\"", "same\""].iter().fold(DECLARED.to_owned(), |text, name| {
        text.replace(&format!("\"{name} (func (param"), &format!("\"{name} (func async (param"))
    })
}

/// Its provider. What a cell holds is its representation.
fn cells() -> Guest {
    cells_of("")
}

/// `consume` and `same` are of this kind.
fn cells_of(kind: &str) -> Guest {
    echoing().with(&format!(
        r#"(component $cells
            (core module $memory-module {MEMORY})
            (core instance $memory (instantiate $memory-module))
            (core module $destructor
                (global $destroyed (export "destroyed") (mut i32) (i32.const 0))
                (func (export "drop") (param i32) (global.set $destroyed (i32.add (global.get $destroyed) (i32.const 1)))))
            (core instance $destructor (instantiate $destructor))
            (type $cell-0 (resource (rep i32) (dtor (core func $destructor "drop"))))
            (export $cell "cell" (type $cell-0))
            (core func $new (canon resource.new $cell-0))
            (core func $rep (canon resource.rep $cell-0))
            (core func $drop (canon resource.drop $cell-0))
            (core module $m
                (import "memory" "memory" (memory 1))
                (import "cells" "new" (func $new (param i32) (result i32)))
                (import "cells" "rep" (func $rep (param i32) (result i32)))
                (import "cells" "drop" (func $drop (param i32)))
                (import "cells" "destroyed" (global $destroyed (mut i32)))
                (func (export "make") (param i32) (result i32) (call $new (local.get 0)))
                (func (export "get") (param i32) (result i32) (local.get 0))
                (func (export "consume") (param i32) (result i32)
                    (local $n i32)
                    (local.set $n (call $rep (local.get 0)))
                    (call $drop (local.get 0))
                    (local.get $n))
                (func (export "consume-all") (param $at i32) (param $length i32) (result i32)
                    (local $sum i32)
                    (loop $next
                        (if (local.get $length) (then
                            (local.set $sum (i32.add (local.get $sum) (call $rep (i32.load (local.get $at)))))
                            (call $drop (i32.load (local.get $at)))
                            (local.set $at (i32.add (local.get $at) (i32.const 4)))
                            (local.set $length (i32.sub (local.get $length) (i32.const 1)))
                            (br $next))))
                    (local.get $sum))
                (func (export "same") (param i32) (result i32)
                    (i32.store (i32.const 1024) (i32.const 1)) (i32.store (i32.const 1028) (local.get 0)) (i32.const 1024))
                (func (export "destroyed") (result i32) (global.get $destroyed)))
            (core instance $i (instantiate $m
                (with "memory" (instance $memory))
                (with "cells" (instance
                    (export "new" (func $new)) (export "rep" (func $rep)) (export "drop" (func $drop))
                    (export "destroyed" (global $destructor "destroyed"))))))
            (func $make (param "n" s32) (result (own $cell)) (canon lift (core func $i "make")))
            (export "[constructor]cell" (func $make))
            (func $get (param "self" (borrow $cell)) (result s32) (canon lift (core func $i "get")))
            (export "[method]cell.get" (func $get))
            (func $consume {kind} (param "cell" (own $cell)) (result s32) (canon lift (core func $i "consume")))
            (export "consume" (func $consume))
            (func $consume-all (param "cells" (list (own $cell))) (result s32) (canon lift (core func $i "consume-all") {WITH_MEMORY}))
            (export "consume-all" (func $consume-all))
            (func $same {kind} (param "cell" (own $cell)) (result (option (own $cell))) (canon lift (core func $i "same") {WITH_MEMORY}))
            (export "same" (func $same))
            (func $destroyed (result s32) (canon lift (core func $i "destroyed")))
            (export "destroyed" (func $destroyed)))
        (instance $made-cells (instantiate $cells))
        (export "m:cells/lib@1.0.0" (instance $made-cells))"#
    ))
}

/// Replies with the digit that this body makes; `$drop` destroys a cell.
fn using_cells(body: &str) -> Guest {
    using(&run(body))
}

fn run(body: &str) -> String {
    format!(
        r#"(func (export "run") (param i32 i32) (result i32) (local $cell i32) (local $n i32)
            {body}
            (i32.store8 (i32.const 1060) (i32.add (i32.const 48) (local.get $n)))
            (call $pair (i32.const 1060) (i32.const 1)))"#
    )
}

fn using(core: &str) -> Guest {
    using_declared(core, DECLARED)
}

fn using_declared(core: &str, declared: &str) -> Guest {
    guest(core)
        .importing(
            "m:cells/lib@1.0.0",
            declared,
            &[
                ("[constructor]cell", "(param i32) (result i32)"),
                ("[method]cell.get", "(param i32) (result i32)"),
                ("consume", "(param i32) (result i32)"),
                ("consume-all", "(param i32 i32) (result i32)"),
                ("same", "(param i32 i32)"),
                ("destroyed", "(result i32)"),
            ],
        )
        .dropping("m:cells/lib@1.0.0", "cell")
}

async fn digit(body: &str) -> String {
    let host = host(&Configuration::default(), &[("user", &using_cells(body)), ("cells", &cells())]).await;
    replied(handled(&host, "user", "null").await)
}

const MAKE: &str = "(local.set $cell (call $constructor-cell (i32.const 7)))";

#[tokio::test]
async fn a_resource_is_made_and_asked() {
    let asked_twice =
        "(drop (call $method-cell-get (local.get $cell))) (local.set $n (call $method-cell-get (local.get $cell)))";
    assert_eq!(digit(&format!("{MAKE} {asked_twice}")).await, "7");
}

#[tokio::test]
async fn dropping_it_runs_the_destructor_of_its_own_extension_once() {
    assert_eq!(digit(&format!("{MAKE} (local.set $n (call $destroyed))")).await, "0");
    assert_eq!(digit(&format!("{MAKE} (call $drop (local.get $cell)) (local.set $n (call $destroyed))")).await, "1");
    let several = format!("{MAKE} (call $drop (local.get $cell))").repeat(3);
    assert_eq!(digit(&format!("{several} (local.set $n (call $destroyed))")).await, "3");
}

#[tokio::test]
async fn giving_it_away_gives_it_back_to_its_own_extension() {
    assert_eq!(digit(&format!("{MAKE} (local.set $n (call $consume (local.get $cell)))")).await, "7");
    let consumed = "(drop (call $consume (local.get $cell))) (local.set $n (call $destroyed))";
    assert_eq!(digit(&format!("{MAKE} {consumed}")).await, "1");
}

#[tokio::test]
async fn resources_in_lists_and_options() {
    let two = "(i32.store (i32.const 2048) (call $constructor-cell (i32.const 2)))
               (i32.store (i32.const 2052) (call $constructor-cell (i32.const 3)))
               (local.set $n (call $consume-all (i32.const 2048) (i32.const 2)))";
    assert_eq!(digit(two).await, "5");
    assert_eq!(digit(&format!("{MAKE} {BACK}")).await, "8");
}

/// Gives it away and gets it back in an option, asks it, destroys it, and adds how many were destroyed.
const BACK: &str = "(call $same (local.get $cell) (i32.const 2048))
    (if (i32.ne (i32.load8_u (i32.const 2048)) (i32.const 1)) (then unreachable))
    (local.set $n (call $method-cell-get (i32.load (i32.const 2052))))
    (call $drop (i32.load (i32.const 2052)))
    (local.set $n (i32.add (local.get $n) (call $destroyed)))";

#[tokio::test]
async fn they_cross_in_calls_of_async_functions() {
    let consumed = "(local.set $n (i32.add (call $consume (local.get $cell)) (call $destroyed)))";
    for body in [consumed, BACK] {
        let user = using_declared(&run(&format!("{MAKE} {body}")), &declared_async()).waiting();
        let host = host(&Configuration::default(), &[("user", &user), ("cells", &cells_of("async"))]).await;
        assert_eq!(replied(handled(&host, "user", "null").await), "8");
    }
}

#[tokio::test]
async fn a_handle_that_was_given_away_is_not_there_any_more() {
    let again = "(drop (call $consume (local.get $cell))) (drop (call $method-cell-get (local.get $cell)))";
    let user = using_cells(&format!("{MAKE} {again}"));
    let host = host(&Configuration::default(), &[("user", &user), ("cells", &cells())]).await;
    let (code, _, reason) = end(handled(&host, "user", "null").await);
    assert_eq!(code, Code::HandlerFailed);
    assert!(reason.contains("handle"), "{reason}");
}

#[tokio::test]
async fn there_is_an_end_to_how_many_a_store_holds() {
    let user = using_cells(&format!("(loop {MAKE} (br 0))"));
    let host = host(&Configuration::default(), &[("user", &user), ("cells", &cells())]).await;
    let (code, _, reason) = end(handled(&host, "user", "null").await);
    assert_eq!(
        (code, reason.as_str()),
        (Code::ResourceLimit, "in `cells` (user -> cells): it holds too many resources of other extensions")
    );
}

#[tokio::test]
async fn a_third_extension_passes_them_on() {
    // `between` takes a cell of `cells` from its caller, and returns it after it has looked at it.
    let core = format!(
        r#"{ECHO} (func (export "look") (param i32) (result i32)
                      (call $method-cell-get (local.get 0)) (call $drop (local.get 0)))
                  (func (export "pass") (param i32) (result i32) (local.get 0))"#
    );
    let between = using(&core).exporting_with(
        "m:between/lib@1.0.0",
        "m:cells/lib@1.0.0",
        "cell",
        &[
            ("look", r#"(param "cell" (borrow $cell)) (result s32)"#),
            ("pass", r#"(param "cell" (own $cell)) (result (own $cell))"#),
        ],
    );
    let user = format!(
        r#"(func (export "run") (param i32 i32) (result i32) (local $cell i32) (local $n i32)
            {MAKE}
            (local.set $n (call $look (local.get $cell)))
            (local.set $cell (call $pass (local.get $cell)))
            (call $drop (local.get $cell))
            (i32.store8 (i32.const 1060) (i32.add (i32.const 48) (i32.add (local.get $n) (call $destroyed))))
            (call $pair (i32.const 1060) (i32.const 1)))"#
    );
    let user = using(&user).importing_with(
        "m:between/lib@1.0.0",
        "m:cells/lib@1.0.0",
        "cell",
        r#"(export "look" (func (param "cell" (borrow $cell)) (result s32)))
           (export "pass" (func (param "cell" (own $cell)) (result (own $cell))))"#,
        &[("look", "(param i32) (result i32)"), ("pass", "(param i32) (result i32)")],
    );
    let guests = [("user", &user), ("between", &between), ("cells", &cells())];
    let host = host(&Configuration::default(), &guests).await;
    assert_eq!(replied(handled(&host, "user", "null").await), "8");
}

#[tokio::test]
async fn streams_and_futures_are_refused() {
    let declared = r#"(export "read" (func (param "from" (stream u8))))"#;
    let reader = guest(ECHO).importing("m:pipes/lib@1.0.0", declared, &[]);
    let (_, broken) = host_and_broken(&Configuration::default(), &[("reader", &reader), ("good", &echoing())]).await;
    assert_eq!(broken.len(), 1);
    let expected = "`read` of m:pipes/lib is func(from: stream<u8>); \
                    streams, futures and error contexts cannot be passed between extensions";
    assert!(broken[0].reason.starts_with(expected), "{}", broken[0].reason);
}
