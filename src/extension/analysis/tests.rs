//! Components in text form, and what is read out of them.

use super::*;

fn analysed(text: &str) -> Analysis {
    analyse(&wat::parse_str(text).unwrap()).unwrap()
}

/// An interface as one line for each function.
fn lines(interfaces: &[Interface]) -> Vec<String> {
    let line = |interface: &Interface| {
        let version = interface.version.as_ref().map_or(String::new(), |version| format!("@{version}"));
        let functions: Vec<String> = interface.functions.iter().map(|(name, ty)| format!("{name}: {ty}")).collect();
        format!("{}{version} {}", interface.name, functions.join("; "))
    };
    interfaces.iter().map(line).collect()
}

/// The spelling of a value type, written in WebAssembly text.
fn spelled(ty: &str) -> String {
    let analysis = analysed(&format!(
        r#"(component (import "m:x/lib@1.0.0" (instance (type $t' {ty}) (export "t" (type $t (eq $t'))) (export "f" (func (param "p" $t))))))"#
    ));
    let function = analysis.imports[0].functions["f"].clone();
    function.strip_prefix("func(p: ").unwrap().strip_suffix(')').unwrap().to_owned()
}

#[test]
fn imports_and_exports_with_versions() {
    let analysis = analysed(
        r#"(component
            (import "m:js/lib@1.0.0" (instance $js (export "add" (func (param "a" s32) (param "b" s32) (result s32)))))
            (import "plain" (instance))
            (import "log" (func (param "text" string)))
            (component (import "plain" (instance $mine)) (export "m:add/lib@0.2.0-rc.1" (instance $mine)))
            (core module (import "core" "not-mine" (func)))
            (export "m:add/lib@0.2.0-rc.1" (instance $js))
        )"#,
    );
    assert_eq!(lines(&analysis.imports), ["m:js/lib@1.0.0 add: func(a: s32, b: s32) -> s32", "plain "]);
    assert_eq!(lines(&analysis.exports), ["m:add/lib@0.2.0-rc.1 add: func(a: s32, b: s32) -> s32"]);
    assert_eq!(analysis.bare_imports["log"], "func(text: string)");
    assert!(analysis.bare_exports.is_empty());
}

#[test]
fn every_kind_of_type_is_written_out() {
    for (text, expected) in [
        ("bool", "bool"),
        ("(record (field \"x\" u8) (field \"y\" f64))", "record { x: u8, y: f64 }"),
        ("(variant (case \"none\") (case \"some\" char))", "variant { none, some(char) }"),
        ("(list string)", "list<string>"),
        ("(tuple s8 u64)", "tuple<s8, u64>"),
        ("(flags \"r\" \"w\")", "flags { r, w }"),
        ("(enum \"a\" \"b\")", "enum { a, b }"),
        ("(option s16)", "option<s16>"),
        ("(result)", "result<_, _>"),
        ("(result u32 (error string))", "result<u32, string>"),
        ("(future u8)", "future<u8>"),
        ("(stream)", "stream<_>"),
    ] {
        assert_eq!(spelled(text), expected, "{text}");
    }
}

#[test]
fn the_names_of_types_do_not_matter_and_those_of_fields_do() {
    let with = |name: &str, field: &str| {
        analysed(&format!(
            r#"(component (import "m:x/lib" (instance (type $t' (record (field "{field}" u8)))
                (export "{name}" (type $t (eq $t'))) (export "f" (func (result (list $t)))))))"#
        ))
    };
    assert_eq!(with("point", "x").imports[0].functions["f"], "func() -> list<record { x: u8 }>");
    assert_eq!(with("point", "x"), with("place", "x"));
    assert_ne!(with("point", "x"), with("point", "y"));
}

#[test]
fn async_functions_are_others_than_plain_ones() {
    let analysis = analysed(r#"(component (import "m:x/lib" (instance (export "f" (func async (result u8))))))"#);
    assert_eq!(analysis.imports[0].functions["f"], "async func() -> u8");
}

#[test]
fn resources_are_named_as_their_interface_names_them() {
    let analysis = analysed(
        r#"(component (import "m:x/lib@1.0.0" (instance
            (export "thing" (type $thing (sub resource)))
            (export "[constructor]thing" (func (result (own $thing))))
            (export "[method]thing.get" (func (param "self" (borrow $thing)) (result u8))))))"#,
    );
    assert_eq!(
        lines(&analysis.imports),
        ["m:x/lib@1.0.0 [constructor]thing: func() -> own<thing>; \
          [method]thing.get: func(self: borrow<thing>) -> u8; thing: resource"]
    );
}

#[test]
fn types_alone_need_no_provider() {
    let analysis = analysed(
        r#"(component
            (import "m:x/types@1.0.0" (instance (type (record (field "x" u8))) (export "t" (type (eq 0)))))
            (import "postroom:extension/log@1.0.0" (instance (export "write" (func))))
            (import "m:y/lib@1.0.0" (instance (export "f" (func)))))"#,
    );
    let node = analysis.node("me", |interface| interface.name.starts_with("postroom:"));
    assert_eq!(node.name, "me");
    assert_eq!(lines(&node.imports), ["m:y/lib@1.0.0 f: func()"]);
}

#[test]
fn names_without_a_version_stay_whole() {
    assert_eq!(split("m:x/lib@1.2.3"), ("m:x/lib".into(), Some(Version::new(1, 2, 3))));
    assert_eq!(split("m:x/lib"), ("m:x/lib".into(), None));
    assert_eq!(split("odd@name"), ("odd@name".into(), None));
}

#[test]
fn what_is_no_component_is_said_so() {
    let error = |bytes: &[u8]| analyse(bytes).unwrap_err().to_string();
    assert_eq!(error(&wat::parse_str("(module)").unwrap()), "it is not a WebAssembly component");
    assert!(error(b"").starts_with("it is not a valid component: unexpected end"), "{}", error(b""));
    assert!(error(b"(component)").starts_with("it is not a valid component: "));
    let whole = wat::parse_str(r#"(component (import "m:x/lib@1.0.0" (instance (export "f" (func)))))"#).unwrap();
    for length in 8..whole.len() {
        // No prefix makes it panic. Some are components that lack the import.
        if let Ok(analysis) = analyse(&whole[..length]) {
            assert!(analysis.imports.is_empty());
        }
    }
}

#[test]
fn the_starter_offers_what_the_contract_says() {
    let bytes = include_bytes!("../../../extensions/prebuilt/ext-sum.wasm");
    let analysis = analyse(bytes).unwrap();
    let names: Vec<String> = analysis.exports.iter().map(|interface| interface.name.clone()).collect();
    assert_eq!(names, ["postroom:extension/describe", "postroom:extension/handler"]);
    assert_eq!(lines(&analysis.imports), ["postroom:extension/types@1.0.0 "]);
    assert_eq!(
        analysis.exports[0].functions["describe"],
        "func() -> record { version: string, description: string, actions: list<string>, capabilities: list<string> }"
    );
    assert!(analysis.node("ext-sum", |_| false).imports.is_empty());
}
