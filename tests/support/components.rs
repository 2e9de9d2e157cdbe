//! Components for tests of the real program: handlers made of the template of `postroom ext new --lang wat`.

const TEMPLATE: &str = include_str!("../../extensions/templates/wat/extension.wat");
const FREE: &str = "(i32.const 2048)";
const LAST: &str = "(instance $handler)))";

/// A handler that replies with its payload. Each number makes other bytes.
pub fn version(number: u32) -> Vec<u8> {
    binary(&numbered(number))
}

/// The same, with a library `sum` that others can import.
pub fn provider(number: u32) -> Vec<u8> {
    offering(number, "calc:sum/lib@1.0.0", "sum", r#"(param "a" s32) (param "b" s32) (result s32)"#)
}

/// The same, with this interface and this function. Its core takes two integers and returns one.
pub fn offering(number: u32, interface: &str, function: &str, signature: &str) -> Vec<u8> {
    binary(&offering_text(number, interface, function, signature))
}

fn offering_text(number: u32, interface: &str, function: &str, signature: &str) -> String {
    let library = format!(
        r#"(instance $handler))
          (core module $sum (func (export "f") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))
          (core instance $sum (instantiate $sum))
          (func $f {signature} (canon lift (core func $sum "f")))
          (instance $library (export "{function}" (func $f)))
          (export "{interface}" (instance $library)))"#
    );
    assert!(numbered(number).contains(LAST));
    numbered(number).replace(LAST, &library)
}

/// A handler that imports the library of [`provider`].
pub fn importer(number: u32) -> Vec<u8> {
    needing(number, "calc:sum/lib@1.0.0", "sum", r#"(param "a" s32) (param "b" s32) (result s32)"#)
}

/// A handler that imports this function of this interface.
pub fn needing(number: u32, interface: &str, function: &str, signature: &str) -> Vec<u8> {
    let import = format!("(component\n (import \"{interface}\" (instance (export \"{function}\" (func {signature}))))");
    binary(&numbered(number).replacen("(component\n", &import, 1))
}

fn numbered(number: u32) -> String {
    assert!(TEMPLATE.contains(FREE));
    TEMPLATE.replace(FREE, &format!("(i32.const {})", 2048 + 8 * number))
}

pub fn binary(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A handler with the subcommand `count-up`, whose exit code is the number of its arguments.
pub fn with_subcommand(name: &str) -> Vec<u8> {
    let length = name.len();
    let cli = format!(
        r#"(instance $handler))
          (component $cli
            (core module $code
              (memory (export "memory") 1)
              (global $free (mut i32) (i32.const 2048))
              (data (i32.const 16) "{name}") (data (i32.const 64) "counts its arguments") (data (i32.const 128) "usage: count-up ARGUMENT...")
              (func (export "realloc") (param i32 i32 i32 i32) (result i32)
                (local $place i32)
                (local.set $place (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
                (global.set $free (i32.add (local.get $place) (local.get 3)))
                (local.get $place))
              (func (export "spec") (result i32)
                (i32.store (i32.const 1024) (i32.const 16)) (i32.store (i32.const 1028) (i32.const {length}))
                (i32.store (i32.const 1032) (i32.const 64)) (i32.store (i32.const 1036) (i32.const 20))
                (i32.store (i32.const 1040) (i32.const 128)) (i32.store (i32.const 1044) (i32.const 27))
                (i32.const 1024))
              (func (export "run") (param i32 i32) (result i32)
                (if (i32.gt_u (local.get 1) (i32.const 200)) (then unreachable))
                (local.get 1)))
            (core instance $code (instantiate $code))
            (type $subcommand' (record (field "name" string) (field "about" string) (field "usage" string)))
            (export $subcommand "subcommand" (type $subcommand'))
            (func $spec (result $subcommand) (canon lift (core func $code "spec") (memory (core memory $code "memory"))))
            (func $run (param "arguments" (list string)) (result u8)
              (canon lift (core func $code "run") (memory (core memory $code "memory")) (realloc (core func $code "realloc"))))
            (export "spec" (func $spec))
            (export "run" (func $run)))
          (instance $cli (instantiate $cli))
          (export "postroom:extension/cli@1.0.0" (instance $cli)))"#
    );
    binary(&numbered(0).replace(LAST, &cli))
}

/// A handler whose `init` traps.
pub fn failing_at_init() -> Vec<u8> {
    let init = r#"(instance $handler))
          (component $init
            (core module $code (memory (export "memory") 1) (func (export "init") (result i32) unreachable)
              (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable))
            (core instance $code (instantiate $code))
            (type $retry' (enum "later" "final"))
            (export $retry "retry" (type $retry'))
            (type $failure'
              (record (field "code" string) (field "message" string) (field "details" (option string)) (field "retry" $retry)))
            (export $failure "failure" (type $failure'))
            (func $f (result (result (error $failure)))
              (canon lift (core func $code "init") (memory (core memory $code "memory")) (realloc (core func $code "realloc"))))
            (export "init" (func $f)))
          (instance $init (instantiate $init))
          (export "postroom:extension/init@1.0.0" (instance $init)))"#;
    binary(&numbered(0).replace(LAST, init))
}

/// A handler that offers one interface and needs another, both with a function `sum` of this type.
pub fn both(number: u32, offered: &str, needed: &str, signature: &str) -> Vec<u8> {
    let import = format!("(component\n (import \"{needed}\" (instance (export \"sum\" (func {signature}))))");
    let text = offering_text(number, offered, "sum", signature).replacen("(component\n", &import, 1);
    binary(&text)
}
