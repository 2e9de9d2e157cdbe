//! Values of each kind of type, through `invoke` to a function that returns what it gets.

use super::all_loaded;
use super::guest::Guest;
use super::invoke::{INVOKE_FOR_ALL, called, caller};
use crate::replied;

/// One core value, which comes back as it is.
const ONE_I32: &str = "(param i32) (result i32) (local.get 0)";
const ONE_I64: &str = "(param i64) (result i64) (local.get 0)";
const ONE_F32: &str = "(param f32) (result f32) (local.get 0)";
const ONE_F64: &str = "(param f64) (result f64) (local.get 0)";
/// A pointer and a length.
const A_LIST: &str = "(param i32 i32) (result i32)
    (i32.store (i32.const 600) (local.get 0)) (i32.store (i32.const 604) (local.get 1)) (i32.const 600)";
/// A byte, or a case, and what is aligned to four bytes after it.
const BYTE_AND_TWO: &str = "(param i32 i32 i32) (result i32)
    (i32.store8 (i32.const 600) (local.get 0)) (i32.store (i32.const 604) (local.get 1))
    (i32.store (i32.const 608) (local.get 2)) (i32.const 600)";
const BYTE_AND_ONE: &str = "(param i32 i32) (result i32)
    (i32.store8 (i32.const 600) (local.get 0)) (i32.store (i32.const 604) (local.get 1)) (i32.const 600)";
const THREE_BYTES: &str = "(param i32 i32 i32) (result i32)
    (i32.store8 (i32.const 600) (local.get 0)) (i32.store8 (i32.const 601) (local.get 1))
    (i32.store8 (i32.const 602) (local.get 2)) (i32.const 600)";

/// Declarations, the type, the core function that returns its parameter, and values.
type Case = (&'static str, &'static str, &'static str, &'static [&'static str]);

const CASES: [Case; 24] = [
    ("", "bool", ONE_I32, &["true", "false"]),
    ("", "u8", ONE_I32, &["0", "255"]),
    ("", "s8", ONE_I32, &["-128", "127"]),
    ("", "u16", ONE_I32, &["65535"]),
    ("", "s16", ONE_I32, &["-32768"]),
    ("", "u32", ONE_I32, &["4294967295"]),
    ("", "s32", ONE_I32, &["-2147483648"]),
    ("", "u64", ONE_I64, &["9007199254740991", "\"18446744073709551615\""]),
    ("", "s64", ONE_I64, &["-1", "\"-9223372036854775808\""]),
    ("", "float32", ONE_F32, &["0.1", "\"NaN\"", "\"Infinity\""]),
    ("", "float64", ONE_F64, &["0.1", "-0.0", "\"-Infinity\""]),
    ("", "char", ONE_I32, &["\"a\"", "\"\u{1f600}\""]),
    ("", "string", A_LIST, &["\"\"", "\"\u{e4}\\n\\u0000\""]),
    ("(type $t (list u8))", "$t", A_LIST, &["[]", "[1,2,3]"]),
    ("(type $t (list string))", "$t", A_LIST, &["[\"a\",\"\",\"bc\"]"]),
    (
        "(type $t0 (record (field \"a\" u8) (field \"b\" string))) (export $t \"t\" (type $t0))",
        "$t",
        BYTE_AND_TWO,
        &["{\"a\":1,\"b\":\"x\"}"],
    ),
    ("(type $t (tuple u8 string))", "$t", BYTE_AND_TWO, &["[1,\"x\"]"]),
    (
        "(type $t0 (variant (case \"none\") (case \"number\" u8) (case \"text\" string))) (export $t \"t\" (type $t0))",
        "$t",
        BYTE_AND_TWO,
        &["\"none\"", "{\"number\":7}", "{\"text\":\"x\"}"],
    ),
    ("(type $t0 (enum \"red\" \"blue\")) (export $t \"t\" (type $t0))", "$t", ONE_I32, &["\"red\"", "\"blue\""]),
    ("(type $t0 (flags \"r\" \"w\" \"x\")) (export $t \"t\" (type $t0))", "$t", ONE_I32, &["[]", "[\"r\",\"x\"]"]),
    ("(type $t (option u32))", "$t", BYTE_AND_ONE, &["null", "3"]),
    ("(type $t1 (option u8)) (type $t (option $t1))", "$t", THREE_BYTES, &["[]", "[null]", "[3]"]),
    ("(type $t (result u32 (error string)))", "$t", BYTE_AND_TWO, &["{\"ok\":3}", "{\"err\":\"no\"}"]),
    ("(type $t (result))", "$t", ONE_I32, &["{\"ok\":null}", "{\"err\":null}"]),
];

#[tokio::test]
async fn each_kind_of_value_goes_through_invoke_and_comes_back() {
    for (declarations, ty, core, values) in CASES {
        let signature = format!("(param \"value\" {ty}) (result {ty})");
        let mut guest = Guest::new().exporting("t:same/lib@1.0.0", declarations, &[("same", &signature, core)]);
        let null = guest.text("null");
        let library = guest.handling(&format!("(call $ok {null})")).component();
        let host = all_loaded(INVOKE_FOR_ALL, &[("it", caller("same")), ("same", library)]).await;
        for value in values {
            let reply = replied(called(&host, "t:same/lib#same", &format!("[{value}]")).await);
            assert_eq!(reply, *value, "{declarations} {ty}");
        }
    }
}
