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
    let library = format!(
        r#"(instance $handler))
          (core module $sum (func (export "f") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))
          (core instance $sum (instantiate $sum))
          (func $f {signature} (canon lift (core func $sum "f")))
          (instance $library (export "{function}" (func $f)))
          (export "{interface}" (instance $library)))"#
    );
    assert!(numbered(number).contains(LAST));
    binary(&numbered(number).replace(LAST, &library))
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
