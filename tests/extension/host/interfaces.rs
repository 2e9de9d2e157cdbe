//! The interfaces of `wit/` that can be imported, as instance types, with the core types of their functions.

/// An interface that can be imported.
pub struct Interface {
    pub name: &'static str,
    /// Its types and functions, as an instance type has them.
    pub declarations: &'static str,
    /// Its functions, and the core types that they have when they are lowered.
    pub functions: &'static [(&'static str, &'static str)],
}

/// `failure` of `wit/types.wit`, and what may take its place beside a value.
pub const FAILURE: &str = r#"
    (type $retry-0 (enum "later" "final")) (export "retry" (type $retry (eq $retry-0)))
    (type $failure-0 (record (field "code" string) (field "message" string) (field "details" (option string)) (field "retry" $retry)))
    (export "failure" (type $failure (eq $failure-0)))
    (type $text-or-failure (result string (error $failure)))
    (type $nothing-or-failure (result (error $failure)))
"#;

pub const BUS: Interface = Interface {
    name: "postroom:extension/bus@1.0.0",
    declarations: r#"
        (type $outgoing-0 (record
            (field "recipients" (list string)) (field "action" string) (field "payload" string)
            (field "in-reply-to" (option string)) (field "correlation-id" (option string))
            (field "expires-at" (option s64)) (field "not-before" (option s64)) (field "priority" (option u8))))
        (export "outgoing" (type $outgoing (eq $outgoing-0)))
        (export "send" (func (param "message" $outgoing) (result $text-or-failure)))
        (export "call" (func (param "recipient" string) (param "action" string) (param "payload" string) (result $text-or-failure)))
    "#,
    functions: &[("send", "(param i32 i32)"), ("call", "(param i32 i32 i32 i32 i32 i32 i32)")],
};

pub const STATE: Interface = Interface {
    name: "postroom:extension/state@1.0.0",
    declarations: r#"
        (type $bytes (list u8)) (type $maybe (option $bytes)) (type $maybe-or-failure (result $maybe (error $failure)))
        (type $names (list string)) (type $names-or-failure (result $names (error $failure)))
        (export "get" (func (param "key" string) (result $maybe-or-failure)))
        (export "set" (func (param "key" string) (param "value" $bytes) (result $nothing-or-failure)))
        (export "delete" (func (param "key" string) (result $nothing-or-failure)))
        (export "keys" (func (param "prefix" string) (result $names-or-failure)))
    "#,
    functions: &[
        ("get", "(param i32 i32 i32)"),
        ("set", "(param i32 i32 i32 i32 i32)"),
        ("delete", "(param i32 i32 i32)"),
        ("keys", "(param i32 i32 i32)"),
    ],
};

pub const INVOKE: Interface = Interface {
    name: "postroom:extension/invoke@1.0.0",
    declarations: r#"
        (type $provider-0 (record (field "role" string) (field "extension" string) (field "function" string)))
        (export "provider" (type $provider (eq $provider-0)))
        (type $providers (list $provider))
        (export "call" (func (param "extension" string) (param "function" string) (param "arguments" string) (result $text-or-failure)))
        (export "offer" (func (param "role" string) (param "function" string) (result $nothing-or-failure)))
        (export "find" (func (param "role" string) (result $providers)))
    "#,
    functions: &[
        ("call", "(param i32 i32 i32 i32 i32 i32 i32)"),
        ("offer", "(param i32 i32 i32 i32 i32)"),
        ("find", "(param i32 i32 i32)"),
    ],
};

pub const LOG: Interface = Interface {
    name: "postroom:extension/log@1.0.0",
    declarations: r#"
        (type $level-0 (enum "debug" "info" "warn" "error")) (export "level" (type $level (eq $level-0)))
        (export "write" (func (param "level" $level) (param "text" string)))
    "#,
    functions: &[("write", "(param i32 i32 i32)")],
};

pub const CONFIG: Interface = Interface {
    name: "postroom:extension/config@1.0.0",
    declarations: r#"
        (export "get" (func (param "key" string) (result (option string))))
        (export "all" (func (result string)))
    "#,
    functions: &[("get", "(param i32 i32 i32)"), ("all", "(param i32)")],
};

pub const CLOCK: Interface = Interface {
    name: "postroom:extension/clock@1.0.0",
    declarations: r#"
        (export "now-ms" (func (result s64)))
        (export "monotonic-ns" (func (result u64)))
        (export "sleep-ms" (func (param "ms" u32)))
    "#,
    functions: &[("now-ms", "(result i64)"), ("monotonic-ns", "(result i64)"), ("sleep-ms", "(param i32)")],
};

pub const RANDOM: Interface = Interface {
    name: "postroom:extension/random@1.0.0",
    declarations: r#"
        (type $bytes (list u8))
        (export "bytes" (func (param "count" u32) (result $bytes)))
        (export "number" (func (result u64)))
    "#,
    functions: &[("bytes", "(param i32 i32)"), ("number", "(result i64)")],
};

pub const CONSOLE: Interface = Interface {
    name: "postroom:extension/console@1.0.0",
    declarations: r#"
        (type $bytes (list u8))
        (export "print" (func (param "text" string)))
        (export "print-error" (func (param "text" string)))
        (export "read" (func (param "max-bytes" u32) (result $bytes)))
    "#,
    functions: &[("print", "(param i32 i32)"), ("print-error", "(param i32 i32)"), ("read", "(param i32 i32)")],
};
