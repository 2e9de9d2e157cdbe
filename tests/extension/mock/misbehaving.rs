//! Mocks that do what they should not, one for each misbehaviour. Whatever runs extensions must outlive every one of them.

use super::{Function, Mock, handler, replying, starting};

/// Stops itself, as a panic does.
pub fn trapping() -> Mock {
    handler("unreachable")
}

/// Never comes back.
pub fn looping() -> Mock {
    handler("(loop (br 0)) unreachable")
}

/// Takes memory for as long as there is some.
pub fn hoarding() -> Mock {
    handler("(loop (drop (memory.grow (i32.const 16))) (br 0)) unreachable")
}

/// Calls itself for ever.
pub fn diving() -> Mock {
    handler(
        "(call $deeper (local.get 0)))
         (func $deeper (param i32) (result i32) (i32.add (i32.const 1) (call $deeper (local.get 0)))",
    )
}

/// Answers with what is not JSON.
pub fn babbling() -> Mock {
    replying("{no JSON")
}

/// Ends its program, as `exit` does in every language: by WASI.
pub fn exiting() -> Mock {
    const EXIT: Function = Function { name: "exit", parameters: &["(result)"], result: None };
    handler("(call $exit (i32.const 1)) unreachable").importing("wasi:cli/exit@0.2.0", &[EXIT])
}

/// Cannot even be started.
pub fn stillborn() -> Mock {
    starting("unreachable")
}

/// Refuses to be started, with this reason.
pub fn refusing_to_start(reason: &str) -> Mock {
    let failure = [
        "(i32.store8 (i32.const 1024) (i32.const 1))".to_owned(),
        // Code and message are pairs of pointer and length; no details; final.
        format!(
            "(i32.store (i32.const 1028) (i32.const 2048)) (i32.store (i32.const 1032) (i32.const {}))",
            CODE.len()
        ),
        format!(
            "(i32.store (i32.const 1036) (i32.const 3072)) (i32.store (i32.const 1040) (i32.const {}))",
            reason.len()
        ),
        "(i32.store8 (i32.const 1044) (i32.const 0)) (i32.store8 (i32.const 1056) (i32.const 1)) (i32.const 1024)"
            .into(),
    ];
    starting(&failure.concat()).with_data(2048, CODE).with_data(3072, reason)
}

const CODE: &str = "refused";
