//! Values of every kind cross a link: the importer sends a list of them, the provider returns it, and the importer compares.

use postroom::extension::Configuration;

use super::linked::{Guest, echoing, guest, handled, host, library};
use super::replied;

const INTERFACE: &str = "m:kinds/lib@1.0.0";

/// A provider whose `echo` returns the list that it gets, and an importer that sends `elements` and replies 1 where it gets the same back.
/// `types` declares the type `$t` of an element.
fn echo_of(types: &str, elements: &[u8], length: u32) -> (Guest, Guest) {
    let signature = "(param \"x\" (list $t)) (result (list $t))";
    let core = r#"(func (export "echo") (param i32 i32) (result i32)
        (i32.store (i32.const 1024) (local.get 0)) (i32.store (i32.const 1028) (local.get 1)) (i32.const 1024))"#;
    let provider = echoing().with(&library(INTERFACE, types, &[("echo", signature)], core));
    let compare = format!(
        r#"(func (export "run") (param i32 i32) (result i32) (local $at i32)
            (call $echo (i32.const 2048) (i32.const {length}) (i32.const 1040))
            (if (i32.ne (i32.load (i32.const 1044)) (i32.const {length})) (then unreachable))
            (loop $next
                (if (i32.ne
                    (i32.load8_u (i32.add (i32.const 2048) (local.get $at)))
                    (i32.load8_u (i32.add (i32.load (i32.const 1040)) (local.get $at))))
                    (then unreachable))
                (local.set $at (i32.add (local.get $at) (i32.const 1)))
                (br_if $next (i32.lt_u (local.get $at) (i32.const {bytes}))))
            (i32.store8 (i32.const 1060) (i32.const 49))
            (call $pair (i32.const 1060) (i32.const 1)))"#,
        bytes = elements.len()
    );
    let declarations = format!("{types} (export \"echo\" (func {signature}))");
    let importer =
        guest(&compare).data(2048, elements).importing(INTERFACE, &declarations, &[("echo", "(param i32 i32 i32)")]);
    (provider, importer)
}

async fn crosses(types: &str, elements: &[&[u8]]) {
    let (provider, importer) = echo_of(types, &elements.concat(), elements.len() as u32);
    let host = host(&Configuration::default(), &[("provider", &provider), ("importer", &importer)]).await;
    assert_eq!(replied(handled(&host, "importer", "null").await), "1", "{types}");
}

#[tokio::test]
async fn numbers() {
    crosses("(type $t u8)", &[&[0], &[1], &[255]]).await;
    crosses("(type $t s8)", &[&[0x80], &[0x7f]]).await;
    crosses("(type $t u16)", &[&[0xff, 0xff], &[1, 0]]).await;
    crosses("(type $t s16)", &[&[0, 0x80], &[0xff, 0x7f]]).await;
    crosses("(type $t u32)", &[&u32::MAX.to_le_bytes(), &[0; 4]]).await;
    crosses("(type $t s32)", &[&i32::MIN.to_le_bytes(), &i32::MAX.to_le_bytes()]).await;
    crosses("(type $t u64)", &[&u64::MAX.to_le_bytes(), &(1u64 << 53).to_le_bytes()]).await;
    crosses("(type $t s64)", &[&i64::MIN.to_le_bytes(), &i64::MAX.to_le_bytes()]).await;
    crosses("(type $t f32)", &[&f32::MIN_POSITIVE.to_le_bytes(), &(-0.0f32).to_le_bytes()]).await;
    crosses("(type $t f64)", &[&f64::INFINITY.to_le_bytes(), &5e-324f64.to_le_bytes()]).await;
}

#[tokio::test]
async fn truth_and_characters() {
    crosses("(type $t bool)", &[&[1], &[0]]).await;
    crosses("(type $t char)", &[&('a' as u32).to_le_bytes(), &('\u{10ffff}' as u32).to_le_bytes()]).await;
}

#[tokio::test]
async fn records_and_tuples() {
    let record = r#"(type $t' (record (field "a" u8) (field "b" u32) (field "c" s16))) (export $t "t" (type $t'))"#;
    let record = &record.replace("$t'", "$t-0");
    crosses(record, &[&[1, 0, 0, 0, 2, 3, 4, 5, 6, 7, 0, 0]]).await;
    crosses("(type $t (tuple u8 u16))", &[&[1, 0, 2, 3], &[4, 0, 5, 6]]).await;
}

#[tokio::test]
async fn variants_options_and_results() {
    let variant =
        r#"(type $t-0 (variant (case "none") (case "byte" u8) (case "word" u32))) (export $t "t" (type $t-0))"#;
    crosses(variant, &[&[0, 0, 0, 0, 0, 0, 0, 0], &[1, 0, 0, 0, 9, 0, 0, 0], &[2, 0, 0, 0, 9, 8, 7, 6]]).await;
    crosses("(type $t (option u16))", &[&[0, 0, 0, 0], &[1, 0, 2, 3]]).await;
    crosses("(type $t (option (option u8)))", &[&[0, 0, 0], &[1, 0, 0], &[1, 1, 5]]).await;
    crosses("(type $t (result u8 (error u16)))", &[&[0, 0, 7, 0], &[1, 0, 7, 8]]).await;
    crosses("(type $t (result))", &[&[0], &[1]]).await;
}

#[tokio::test]
async fn enums_and_flags() {
    let a_type = |text: &str| format!("(type $t-0 {text}) (export $t \"t\" (type $t-0))");
    crosses(&a_type(r#"(enum "a" "b" "c")"#), &[&[2], &[0], &[1]]).await;
    crosses(&a_type(r#"(flags "a" "b" "c")"#), &[&[0b101], &[0], &[0b111]]).await;
    let nine = r#"(flags "a" "b" "c" "d" "e" "f" "g" "h" "i")"#;
    crosses(&a_type(nine), &[&[0xff, 1], &[0, 1]]).await;
}

#[tokio::test]
async fn values_in_values() {
    let nested = r#"
        (type $colour-0 (enum "red" "green")) (export $colour "colour" (type $colour-0))
        (type $point-0 (record (field "x" s16) (field "colour" (option $colour)))) (export $point "point" (type $point-0))
        (type $t (tuple (result $point (error char)) (option (tuple u8 bool))))"#;
    let ok = [0, 0, 0, 0, 5, 0, 1, 1, 1, 9, 1, 0];
    let error = [1, 0, 0, 0, b'x', 0, 0, 0, 0, 0, 0, 0];
    crosses(nested, &[&ok, &error]).await;
}

#[tokio::test]
async fn strings_and_lists_of_lists() {
    let types = r#"(type $t-0 (record (field "name" string) (field "tags" (list string)) (field "raw" (list (list u8)))))
                   (export $t "t" (type $t-0))"#;
    let pair = |place: u32, length: u32| [place.to_le_bytes(), length.to_le_bytes()].concat();
    let element = [pair(3000, 8), pair(2200, 2), pair(2300, 2)].concat();
    // Where each text is found in what came back: through these loads from the first element.
    let name = "(i32.load (i32.const 1040))";
    let second_tag = "(i32.add (i32.load offset=8 (i32.load (i32.const 1040))) (i32.const 8))";
    let first_raw = "(i32.load offset=16 (i32.load (i32.const 1040)))";
    for (place, expected) in [(name, "\"the ä\""), (second_tag, "\"b\""), (first_raw, "[1]")] {
        let (provider, _) = echo_of(types, &[], 0);
        let core = format!(
            r#"(func (export "run") (param i32 i32) (result i32)
                (call $echo (i32.const 2048) (i32.const 1) (i32.const 1040))
                (call $pair (i32.load {place}) (i32.load offset=4 {place})))"#
        );
        let declarations = format!("{types} (export \"echo\" (func (param \"x\" (list $t)) (result (list $t))))");
        let importer = guest(&core)
            .data(2048, &element)
            .data(2200, &[pair(3100, 3), pair(3200, 3)].concat())
            .data(2300, &[pair(3300, 3), pair(3300, 0)].concat())
            .data(3000, "\"the ä\"".as_bytes())
            .data(3100, b"\"a\"")
            .data(3200, b"\"b\"")
            .data(3300, b"[1]")
            .importing(INTERFACE, &declarations, &[("echo", "(param i32 i32 i32)")]);
        let host = host(&Configuration::default(), &[("provider", &provider), ("importer", &importer)]).await;
        assert_eq!(replied(handled(&host, "importer", "null").await), expected);
    }
}
