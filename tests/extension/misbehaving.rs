//! Guests that do what they should not. Each ends its own attempt with a code and a reason, and the host goes on.

use std::time::Instant;

use postroom::extension::Limits;
use postroom::message::{Code, Retry};

use super::mock::{Mock, at, handler, handler_in, replying, replying_with};
use super::{call, end, handle, host_of, host_within, one_second, replied};

async fn ending_of(mock: Mock) -> (Code, Retry, String) {
    end(handle(&host_of(mock).await, "it", call("null")).await)
}

fn crashed(reason: &str) -> (Code, Retry, String) {
    (Code::HandlerFailed, Retry::Later, reason.into())
}

fn over(reason: &str) -> (Code, Retry, String) {
    (Code::ResourceLimit, Retry::Final, reason.into())
}

#[tokio::test]
async fn traps() {
    let stopped = crashed("it stopped itself (a panic or an abort: wasm `unreachable`)");
    assert_eq!(ending_of(handler("unreachable")).await, stopped);
    assert_eq!(
        ending_of(handler("(i32.div_u (i32.const 1) (i32.const 0))")).await,
        crashed("it ended in a wasm trap: integer divide by zero")
    );
    assert_eq!(
        ending_of(handler("(i32.load (i32.const -4))")).await,
        crashed("it ended in a wasm trap: out of bounds memory access")
    );
}

#[tokio::test]
async fn endless_recursion() {
    let ending = ending_of(handler("(call $deeper (local.get 0))) (func $deeper (param i32) (result i32) (i32.add (i32.const 1) (call $deeper (local.get 0)))")).await;
    assert_eq!(ending, over("its call stack is exhausted"));
}

/// Loops for ever if the payload is longer than two bytes; otherwise replies with it.
fn looping_on_long_payloads() -> Mock {
    handler(
        "(if (i32.gt_u (i32.load offset=36 (local.get 0)) (i32.const 2)) (then (loop (br 0))))
         (call $reply (i32.load offset=32 (local.get 0)) (i32.load offset=36 (local.get 0)))",
    )
}

#[tokio::test]
async fn an_endless_loop_ends_at_the_deadline_and_others_go_on_meanwhile() {
    // The runtime of this test has one thread.
    let host = host_within(one_second(), looping_on_long_payloads()).await;
    let loops = async { (handle(&host, "it", call("\"loop\"")).await, Instant::now()) };
    let others = async {
        for _ in 0..10 {
            assert_eq!(replied(handle(&host, "it", call("1")).await), "1");
        }
        Instant::now()
    };
    let ((looped, ended), answered) = tokio::join!(loops, others);
    assert_eq!(end(looped), (Code::Timeout, Retry::Later, "no answer within 1000 ms".into()));
    assert!(answered < ended, "the others had to wait for the loop");
}

#[tokio::test]
async fn a_call_that_is_dropped_ends_where_it_is() {
    let host = host_of(looping_on_long_payloads()).await;
    // The first poll of the call returns when the guest has yielded; then the other branch is ready.
    tokio::select! {
        biased;
        _ = handle(&host, "it", call("\"loop\"")) => panic!("an endless loop has ended"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(replied(handle(&host, "it", call("1")).await), "1");
}

#[tokio::test]
async fn a_memory_bomb() {
    let ending = ending_of(handler("(loop (drop (memory.grow (i32.const 16))) (br 0)) unreachable")).await;
    assert_eq!(ending, over("it asked for more than 268435456 bytes of memory"));
}

#[tokio::test]
async fn a_table_bomb() {
    let ending = ending_of(handler(
        "(loop (drop (table.grow $t (ref.null func) (i32.const 100000))) (br 0)) unreachable) (table $t 1 funcref) (func",
    ))
    .await;
    assert_eq!(ending, over("it asked for more than 268435456 bytes of memory"));
}

#[tokio::test]
async fn memory_counts_up_to_the_last_byte_of_all_memories_together() {
    let limits = |pages: usize| Limits { memory_bytes: pages << 16, ..Limits::default() };
    // One page of its own, one more memory of two pages, and growth by one: four.
    let body = "(drop (memory.grow $other (i32.const 1))) (call $reply (i32.const 2048) (i32.const 1))) (memory $other 2) (func";
    let host = host_within(limits(4), handler(body).with_data(2048, "1")).await;
    assert_eq!(replied(handle(&host, "it", call("null")).await), "1");
    let host = host_within(limits(3), handler(body).with_data(2048, "1")).await;
    assert_eq!(end(handle(&host, "it", call("null")).await), over("it asked for more than 196608 bytes of memory"));
}

#[tokio::test]
async fn replies_that_are_not_json() {
    for (text, reason) in [
        ("", "the text is empty"),
        ("{", "ends too early"),
        ("1 2", "column 3"),
        ("NaN", "NaN"),
        (r#"{"a":1,"\u0061":2}"#, "already used"),
        ("18014398509481982", "2^53"),
    ] {
        let (code, retry, said) = ending_of(replying(text)).await;
        assert_eq!((code, retry), (Code::HandlerFailed, Retry::Final), "{text}");
        assert!(said.starts_with("the reply is not strict JSON: ") && said.contains(reason), "{text}: {said}");
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_not_taken_over() {
    let limits = Limits { output_bytes: 1000, ..Limits::default() };
    let host = host_within(limits, replying_with(at::PAYLOAD)).await;
    let payload = |length: usize| format!("\"{}\"", "x".repeat(length - 2));
    assert_eq!(replied(handle(&host, "it", call(&payload(1000))).await), payload(1000));
    assert_eq!(end(handle(&host, "it", call(&payload(1001))).await), over("the answer is longer than 1000 bytes"));
    // Found by the engine before it was copied.
    assert_eq!(
        end(handle(&host, "it", call(&payload(100_000))).await),
        over("its answer, or a value that it passed on, is too long for a limit of 1000 bytes")
    );
}

#[tokio::test]
async fn answers_that_are_not_what_the_types_say() {
    let ending = ending_of(handler("(call $reply (i32.const 65530) (i32.const 100))")).await;
    assert_eq!((ending.0, ending.1), (Code::HandlerFailed, Retry::Later));
    assert!(ending.2.contains("out of bounds"), "{}", ending.2);

    let ending = ending_of(handler("(call $reply (i32.const 2048) (i32.const 1))").with_data(2047, "ä")).await;
    assert!(ending.2.contains("utf-8"), "{}", ending.2);

    let ending = ending_of(handler("(i32.store8 (i32.const 1024) (i32.const 9)) (i32.const 1024)")).await;
    assert_eq!((ending.0, ending.1), (Code::HandlerFailed, Retry::Later));
    assert!(ending.2.contains("discriminant"), "{}", ending.2);

    let ending = ending_of(handler("(i32.const 3)")).await;
    assert!(ending.2.contains("aligned"), "{}", ending.2);
}

#[tokio::test]
async fn an_allocator_that_loops_traps_or_lies() {
    let with_realloc = |body: &str| {
        handler_in(&format!(
            "(memory (export \"memory\") 1)
             (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) {body})
             (func (export \"handle\") (param i32) (result i32) unreachable)"
        ))
    };
    let host = host_within(one_second(), with_realloc("(loop (br 0)) unreachable")).await;
    assert_eq!(end(handle(&host, "it", call("null")).await).0, Code::Timeout);
    let stopped = crashed("it stopped itself (a panic or an abort: wasm `unreachable`)");
    assert_eq!(ending_of(with_realloc("unreachable")).await, stopped);
    assert_eq!(ending_of(with_realloc("(i32.const 65528)")).await, crashed("realloc return: beyond end of memory"));
    assert_eq!(ending_of(with_realloc("(i32.const 3)")).await, crashed("realloc return: result not aligned"));
}
