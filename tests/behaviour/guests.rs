//! Extensions for these tests, out of instructions (see `mock`).

use crate::mock::{Mock, at, handler};

/// Replies with the payload.
pub fn echoing() -> Mock {
    crate::mock::replying_with(at::PAYLOAD)
}

/// Traps in every attempt before this one, then replies with the payload.
pub fn failing_before(attempt: u32) -> Mock {
    handler(&format!(
        "(if (i32.lt_u (i32.load offset=136 (local.get 0)) (i32.const {attempt})) (then unreachable))
         (call $reply (i32.load offset=32 (local.get 0)) (i32.load offset=36 (local.get 0)))"
    ))
}

/// Runs for ever if the payload has more than two bytes; otherwise replies with it.
pub fn looping_on_long_payloads() -> Mock {
    handler(
        "(if (i32.gt_u (i32.load offset=36 (local.get 0)) (i32.const 2)) (then (loop (br 0))))
         (call $reply (i32.load offset=32 (local.get 0)) (i32.load offset=36 (local.get 0)))",
    )
}

/// Takes memory without end.
pub fn greedy() -> Mock {
    handler("(loop (drop (memory.grow (i32.const 16))) (br 0)) unreachable")
}

/// Says that it cannot be done, with details, and that trying again is of no use.
pub fn refusing(message: &str, details: &str) -> Mock {
    let pair = |place: u32, text: u32, length: usize| {
        let length_at = place + 4;
        format!(
            "(i32.store (i32.const {place}) (i32.const {text})) (i32.store (i32.const {length_at}) (i32.const {length}))"
        )
    };
    let body = [
        "(i32.store8 (i32.const 1024) (i32.const 1))".to_owned(),
        pair(1028, 2048, "no-account".len()),
        pair(1036, 2560, message.len()),
        "(i32.store8 (i32.const 1044) (i32.const 1))".to_owned(),
        pair(1048, 7168, details.len()),
        "(i32.store8 (i32.const 1056) (i32.const 1)) (i32.const 1024)".to_owned(),
    ];
    handler(&body.concat()).with_data(2048, "no-account").with_data(2560, message).with_data(7168, details)
}
