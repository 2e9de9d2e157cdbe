//! Extensions with different WASI grants work together from stores of their own.

use std::path::Path;

use postroom::extension::Configuration;
use postroom::message::Code;
use postroom::policy::Settings;

use super::linked::{ECHO, Guest, attempt, guest, handled, host, host_and_broken};
use super::{end, replied};

const ENVIRONMENT: &str = "wasi:cli/environment@0.2.6";
const ENVIRONMENT_DECLARED: &str = r#"(export "get-environment" (func (result (list (tuple string string)))))"#;

const COUNT: &str = r#"(export "count" (func (param "n" s32) (result s32)))"#;
const COUNT_SIGNATURE: &str = r#"(param "n" s32) (result s32)"#;
const COUNT_CORE: &str = "(param i32) (result i32)";

/// How many variables there are in its own world.
const OWN: &str = r#"
    (func $own (result i32) (call $get-environment (i32.const 1040)) (i32.load (i32.const 1044)))
"#;

fn with_wasi(guest: Guest) -> Guest {
    guest.importing(ENVIRONMENT, ENVIRONMENT_DECLARED, &[("get-environment", "(param i32)")])
}

/// Offers `count`: how many variables it sees, and ten times what was passed.
fn counting(interface: &str) -> Guest {
    let core = format!(
        r#"{OWN} {ECHO} (func (export "count") (param i32) (result i32)
            (i32.add (call $own) (i32.mul (i32.const 10) (local.get 0))))"#
    );
    with_wasi(guest(&core)).exporting(interface, &[("count", COUNT_SIGNATURE)])
}

/// Replies with the number that this makes.
fn replying(number: &str) -> String {
    format!(
        r#"(func (export "run") (param i32 i32) (result i32) (local $n i32)
            (local.set $n {number})
            (i32.store8 (i32.const 1060) (i32.add (i32.const 48) (i32.div_u (local.get $n) (i32.const 10))))
            (i32.store8 (i32.const 1061) (i32.add (i32.const 48) (i32.rem_u (local.get $n) (i32.const 10))))
            (call $pair (i32.const 1060) (i32.const 2)))"#
    )
}

fn configured(settings: &str) -> Configuration {
    Configuration::from_settings(&Settings::parse(settings).unwrap(), Path::new("."))
}

/// `one` has one variable, `two` has two, the others have none.
fn worlds() -> Configuration {
    configured(
        "[extension.one.wasi]\nenvironment = { A = \"1\" }\n[extension.two.wasi]\nenvironment = { A = \"1\", B = \"2\" }",
    )
}

#[tokio::test]
async fn each_sees_its_own_world() {
    let ask = |interface: &str| {
        guest(&replying("(call $count (i32.const 1))")).importing(interface, COUNT, &[("count", COUNT_CORE)])
    };
    let guests = [
        ("asks-one", &ask("m:one/lib@1.0.0")),
        ("asks-two", &ask("m:two/lib@1.0.0")),
        ("asks-none", &ask("m:none/lib@1.0.0")),
        ("one", &counting("m:one/lib@1.0.0")),
        ("two", &counting("m:two/lib@1.0.0")),
        ("none", &counting("m:none/lib@1.0.0")),
    ];
    let host = host(&worlds(), &guests).await;
    for (asker, expected) in [("asks-one", "11"), ("asks-two", "12"), ("asks-none", "10")] {
        assert_eq!(replied(handled(&host, asker, "null").await), expected);
    }
}

#[tokio::test]
async fn there_and_back_through_a_library_that_needs_no_world() {
    // `two` asks `between`, which asks `one`, which asks `again`, which has the world of `two`.
    let passing = |own: &str, from: &str, to: Option<&str>| {
        let asked = "(call $count (i32.const 1))";
        let core = match to {
            Some(_) => format!(r#"{ECHO} (func (export "count") (param i32) (result i32) (i32.add {own} {asked}))"#),
            None => replying(&format!("(i32.add {own} {asked})")),
        };
        let guest = guest(&core).importing(from, COUNT, &[("count", COUNT_CORE)]);
        match to {
            Some(to) => guest.exporting(to, &[("count", COUNT_SIGNATURE)]),
            None => guest,
        }
    };
    let with_own = |mut guest: Guest| {
        guest.prepend(OWN);
        with_wasi(guest)
    };
    let guests = [
        ("two", &with_own(passing("(call $own)", "m:between/lib@1.0.0", None))),
        ("between", &passing("(i32.const 0)", "m:one/lib@1.0.0", Some("m:between/lib@1.0.0"))),
        ("one", &with_own(passing("(call $own)", "m:again/lib@1.0.0", Some("m:one/lib@1.0.0")))),
        ("again", &counting("m:again/lib@1.0.0")),
    ];
    let configuration = configured(
        "[extension.one.wasi]\nenvironment = { A = \"1\" }
         [extension.two.wasi]\nenvironment = { A = \"1\", B = \"2\" }
         [extension.again.wasi]\nenvironment = { A = \"1\", B = \"2\" }",
    );
    let host = host(&configuration, &guests).await;
    assert_eq!(replied(handled(&host, "two", "null").await), "15");
}

const TRY: &str = r#"(export "try" (func (result (result s32 (error string)))))"#;

/// Replies with the error that it gets from `try`, or with `"none"`.
fn trying() -> Guest {
    guest(
        r#"(func (export "run") (param i32 i32) (result i32) (local $length i32)
            (call $try (i32.const 1040))
            (if (i32.eqz (i32.load8_u (i32.const 1040))) (then (return (call $pair (i32.const 2048) (i32.const 6)))))
            (local.set $length (i32.load (i32.const 1048)))
            (i32.store8 (i32.const 3000) (i32.const 34))
            (memory.copy (i32.const 3001) (i32.load (i32.const 1044)) (local.get $length))
            (i32.store8 (i32.add (i32.const 3001) (local.get $length)) (i32.const 34))
            (call $pair (i32.const 3000) (i32.add (i32.const 2) (local.get $length))))"#,
    )
    .data(2048, b"\"none\"")
    .importing("m:one/lib@1.0.0", TRY, &[("try", "(param i32)")])
}

/// Its `try` has this body.
fn tried(body: &str) -> Guest {
    let core = format!(r#"{OWN} {ECHO} (func (export "try") (result i32) {body})"#);
    with_wasi(guest(&core)).exporting("m:one/lib@1.0.0", &[("try", "(result (result s32 (error string)))")])
}

#[tokio::test]
async fn a_trap_in_another_store_is_an_error_that_the_caller_can_handle() {
    let fine = "(i32.store (i32.const 1024) (i32.const 0)) (i32.const 1024)";
    let host_of = async |body: &str| host(&worlds(), &[("a", &trying()), ("one", &tried(body))]).await;
    assert_eq!(replied(handled(&host_of(fine).await, "a", "null").await), "\"none\"");
    assert_eq!(
        replied(handled(&host_of("unreachable").await, "a", "null").await),
        "\"in `one` (a -> one): it stopped itself (a panic or an abort: wasm `unreachable`)\""
    );
    let bomb = "(loop (drop (memory.grow (i32.const 16))) (br 0)) unreachable";
    let bombed = replied(handled(&host_of(bomb).await, "a", "null").await);
    assert_eq!(bombed, "\"in `one` (a -> one): it asked for more than 268435456 bytes of memory\"");
}

#[tokio::test]
async fn without_a_place_for_it_a_trap_in_another_store_ends_the_attempt() {
    let core = format!(r#"{OWN} {ECHO} (func (export "count") (param i32) (result i32) unreachable)"#);
    let one = with_wasi(guest(&core)).exporting("m:one/lib@1.0.0", &[("count", COUNT_SIGNATURE)]);
    let a =
        guest(&replying("(call $count (i32.const 1))")).importing("m:one/lib@1.0.0", COUNT, &[("count", COUNT_CORE)]);
    let host = host(&worlds(), &[("a", &a), ("one", &one)]).await;
    let (code, _, reason) = end(handled(&host, "a", "null").await);
    assert_eq!(code, Code::HandlerFailed);
    assert_eq!(reason, "in `one` (a -> one): it stopped itself (a panic or an abort: wasm `unreachable`)");
}

#[tokio::test]
async fn the_deadline_holds_in_another_store() {
    let settings = "[extensions]\ndeadline_ms = 500\n[extension.one.wasi]\nenvironment = { A = \"1\" }";
    let host = host(&configured(settings), &[("a", &trying()), ("one", &tried("(loop (br 0)) unreachable"))]).await;
    let (code, _, reason) = end(handled(&host, "a", "null").await);
    assert_eq!((code, reason.as_str()), (Code::Timeout, "no answer within 500 ms"));
}

#[tokio::test]
async fn the_memory_of_all_stores_is_counted_together() {
    // Each of the two takes ten pages and what it begins with; one of them fits, both do not.
    let grow = "(if (i32.eq (memory.grow (i32.const 10)) (i32.const -1)) (then unreachable))";
    let fine = "(i32.store (i32.const 1024) (i32.const 0)) (i32.const 1024)";
    let mut a = trying();
    a.prepend(&format!("(func $grow {grow}) (start $grow)"));
    let of_callee = format!("{grow} {fine}");
    let ended = async |bytes: usize, callee: &str| {
        let settings =
            format!("[extension.a]\nmemory_bytes = {bytes}\n[extension.one.wasi]\nenvironment = {{ A = \"1\" }}");
        let host = host(&configured(&settings), &[("a", &a), ("one", &tried(callee))]).await;
        replied(handled(&host, "a", "null").await)
    };
    assert_eq!(ended(20 << 16, fine).await, "\"none\"");
    assert_eq!(ended(40 << 16, &of_callee).await, "\"none\"");
    let over = format!("\"in `one` (a -> one): it asked for more than {} bytes of memory\"", 20 << 16);
    assert_eq!(ended(20 << 16, &of_callee).await, over);
}

#[tokio::test]
async fn an_async_function_in_another_store() {
    let core = format!(
        r#"{OWN} {ECHO} (func (export "count") (param i32) (result i32)
            (i32.add (call $own) (i32.mul (i32.const 10) (local.get 0))))"#
    );
    let one = with_wasi(guest(&core)).exporting("m:one/lib@1.0.0", &[("count", &format!("async {COUNT_SIGNATURE}"))]);
    let declared = COUNT.replace("(func ", "(func async ");
    let a = guest(&replying("(call $count (i32.const 1))"))
        .importing("m:one/lib@1.0.0", &declared, &[("count", COUNT_CORE)])
        .waiting();
    let host = host(&worlds(), &[("a", &a), ("one", &one)]).await;
    assert_eq!(replied(handled(&host, "a", "null").await), "11");
}

/// Two calls, each in a store of its own, that have both begun before one of them ends.
#[tokio::test]
async fn calls_of_async_functions_run_at_once() {
    let slow = |name: &str, function: &str, ms: u32| {
        let core = format!(
            r#"{OWN} {ECHO} (func (export "{function}") (param i32) (result i32)
                (call $write (i32.const 1) (i32.const 3000) (i32.const 6))
                (call $sleep-ms (i32.const {ms}))
                (call $write (i32.const 1) (i32.const 3010) (i32.const 5))
                (i32.add (call $own) (i32.mul (i32.const 10) (local.get 0))))"#
        );
        with_wasi(guest(&core).data(3000, b"begins").data(3010, b"ended"))
            .importing(
                "postroom:extension/clock@1.0.0",
                r#"(export "sleep-ms" (func (param "ms" u32)))"#,
                &[("sleep-ms", "(param i32)")],
            )
            .importing(
                "postroom:extension/log@1.0.0",
                r#"(type $level-0 (enum "debug" "info" "warn" "error")) (export "level" (type $level (eq $level-0)))
                   (export "write" (func (param "level" $level) (param "text" string)))"#,
                &[("write", "(param i32 i32 i32)")],
            )
            .exporting(&format!("m:{name}/lib@1.0.0"), &[(function, &format!("async {COUNT_SIGNATURE}"))])
    };
    let declared = |function: &str| format!(r#"(export "{function}" (func async {COUNT_SIGNATURE}))"#);
    let core = r#"
        (func $begin (param $set i32) (param $state i32) (result i32)
            (if (i32.eq (i32.and (local.get $state) (i32.const 15)) (i32.const 2)) (then (return (i32.const 0))))
            (call $join (i32.shr_u (local.get $state) (i32.const 4)) (local.get $set))
            (i32.const 1))
        (func $all (result i32) (local $set i32) (local $open i32)
            (local.set $set (call $set))
            (local.set $open (i32.add
                (call $begin (local.get $set) (call $first (i32.const 1) (i32.const 3100)))
                (call $begin (local.get $set) (call $second (i32.const 2) (i32.const 3104)))))
            (block $end (loop $more
                (br_if $end (i32.eqz (local.get $open)))
                (drop (call $wait (local.get $set) (i32.const 3108)))
                (if (i32.eq (i32.load (i32.const 3112)) (i32.const 2)) (then
                    (call $done (i32.load (i32.const 3108)))
                    (local.set $open (i32.sub (local.get $open) (i32.const 1)))))
                (br $more)))
            (i32.add (i32.load (i32.const 3100)) (i32.load (i32.const 3104))))"#;
    let a = guest(&format!("{core} {}", replying("(call $all)")))
        .importing_at_once("m:one/lib@1.0.0", &declared("first"), &[("first", "(param i32 i32) (result i32)")])
        .importing_at_once("m:two/lib@1.0.0", &declared("second"), &[("second", "(param i32 i32) (result i32)")])
        .waiting_for_subtasks()
        .waiting();
    let guests = [("a", &a), ("one", &slow("one", "first", 400)), ("two", &slow("two", "second", 20))];
    let attempted = attempt(&host(&worlds(), &guests).await, "a", "null").await;
    let told: Vec<String> = attempted.log.iter().map(|line| format!("{} {}", line.extension, line.text)).collect();
    // One variable in the one world, two in the other, and ten times what was passed.
    assert_eq!(replied(attempted.handled), "33");
    let place = |line: &str| told.iter().position(|other| other == line).unwrap_or_else(|| panic!("{line}: {told:?}"));
    assert!(place("two begins") < place("one ended") && place("one begins") < place("two ended"), "{told:?}");
}

#[tokio::test]
async fn resources_do_not_cross_worlds() {
    let declared = r#"(export "thing" (type $thing (sub resource)))
                      (export "make" (func (result (own $thing))))"#;
    let user = guest(ECHO).importing("m:things/lib@1.0.0", declared, &[("make", "(result i32)")]);
    let things = with_wasi(guest(&format!("{OWN} {ECHO}"))).with(
        r#"(component $things
            (type $thing-0 (resource (rep i32)))
            (export $thing "thing" (type $thing-0))
            (core func $new (canon resource.new $thing-0))
            (core module $m
                (import "things" "new" (func $new (param i32) (result i32)))
                (func (export "make") (result i32) (call $new (i32.const 1))))
            (core instance $i (instantiate $m (with "things" (instance (export "new" (func $new))))))
            (func $make (result (own $thing)) (canon lift (core func $i "make")))
            (export "make" (func $make)))
        (instance $made-things (instantiate $things))
        (export "m:things/lib@1.0.0" (instance $made-things))"#,
    );
    let (_, broken) = host_and_broken(&worlds(), &[("user", &user), ("one", &things)]).await;
    assert_eq!(broken.len(), 1);
    assert_eq!(
        broken[0].reason,
        "m:things/lib has resources, and one runs apart from user because its WASI grants are its own; \
         resources cannot be passed between the two"
    );
    // Where both have the same world, or nothing is granted to either, they can.
    assert_eq!(host_and_broken(&Configuration::default(), &[("user", &user), ("one", &things)]).await.1, []);
}
