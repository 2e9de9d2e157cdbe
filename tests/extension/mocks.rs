//! Testing with mocks: extensions of a few lines of WebAssembly text in the place of real ones, alone or in a chain. Each test here is a
//! pattern to copy.

use postroom::extension::Configuration;
use postroom::message::{Code, Retry};

use super::guests::{bytes_of, refused};
use super::mock::{Function, Mock, binary, component, described, handler, library, misbehaving, replying};
use super::{Folder, call, end, handle, load_with, one_second, replied};

const ADD: Function = Function { name: "add", parameters: &["f64", "f64"], result: Some("f64") };

/// What `ext-add` imports, with this body of `add`.
fn in_the_place_of_ext_js(add: &str) -> Vec<u8> {
    component("", &[replying("null"), library("postroom-examples:ext-js/lib@1.0.0", &[(ADD, add)])])
}

/// The answer of the real `ext-add` to 2 and 3, with this body of the imported `add`.
async fn ext_add_with(add: &str) -> postroom::message::Handled {
    let folder = Folder::new();
    folder.put("ext-add.wasm", bytes_of("ext-add")).put("mock.wasm", in_the_place_of_ext_js(add));
    let (host, broken) = load_with(folder.0.path(), &Configuration::from(one_second())).await;
    assert_eq!(broken, []);
    handle(&host, "ext-add", call(r#"{"a":2,"b":3}"#)).await
}

#[tokio::test]
async fn a_mock_in_the_place_of_what_an_extension_imports() {
    assert_eq!(replied(ext_add_with("(f64.mul (local.get 0) (local.get 1))").await), "6");
    assert_eq!(replied(ext_add_with("(f64.const 0.25)").await), "0.25");
    assert_eq!(refused(ext_add_with("(f64.const nan)").await).0, "out-of-range");
}

#[tokio::test]
async fn a_mock_that_fails_in_the_place_of_what_an_extension_imports() {
    let (code, retry, text) = end(ext_add_with("unreachable").await);
    assert_eq!((code, retry), (Code::HandlerFailed, Retry::Later));
    assert!(text.contains("mock") && text.contains("stopped itself"), "{text}");
    assert_eq!(end(ext_add_with("(loop (br 0)) unreachable").await).0, Code::Timeout);
}

/// Three in a row, without any real one: `top` calls `middle`, which calls `bottom`.
#[tokio::test]
async fn a_chain_of_mocks() {
    const TWICE: Function = Function { name: "twice", parameters: &["u32"], result: Some("u32") };
    const NEXT: Function = Function { name: "next", parameters: &["u32"], result: Some("u32") };
    let bottom = library("chain:bottom/lib@1.0.0", &[(NEXT, "(i32.add (local.get 0) (i32.const 1))")]);
    let middle = library("chain:middle/lib@1.0.0", &[(TWICE, "(i32.mul (i32.const 2) (call $next (local.get 0)))")])
        .importing("chain:bottom/lib@1.0.0", &[NEXT]);
    let top =
        handler("(call $reply_number (call $twice (i32.const 20)))").importing("chain:middle/lib@1.0.0", &[TWICE]);
    let folder = Folder::new();
    folder
        .put("a-top.wasm", component("", &[top]))
        .put("middle.wasm", component("", &[replying("null"), middle]))
        .put("z-bottom.wasm", component("", &[replying("null"), bottom]));
    let (host, broken) = folder.load().await;
    assert_eq!(broken, []);
    assert_eq!(replied(handle(&host, "a-top", call("null")).await), "42");
}

/// Versions of one library: the caller gets the highest of its track, and says when all are too old.
#[tokio::test]
async fn versions() {
    const NUMBER: Function = Function { name: "number", parameters: &[], result: Some("u32") };
    let offering = |version: &str, number: &str| {
        component("", &[replying("null"), library(&format!("v:v/lib@{version}"), &[(NUMBER, number)])])
    };
    let asking = |version: &str| {
        let asks = handler("(call $reply_number (call $number))").importing(&format!("v:v/lib@{version}"), &[NUMBER]);
        component("", &[asks])
    };
    let folder = Folder::new();
    folder
        .put("old.wasm", offering("1.0.0", "(i32.const 100)"))
        .put("new.wasm", offering("1.0.1", "(i32.const 101)"))
        .put("other.wasm", offering("2.0.0", "(i32.const 200)"))
        .put("asks-1.wasm", asking("1.0.0"))
        .put("asks-2.wasm", asking("2.0.0"))
        .put("asks-later.wasm", asking("1.1.0"));
    let (host, broken) = folder.load().await;
    assert_eq!(broken.iter().map(|broken| broken.name.as_str()).collect::<Vec<_>>(), ["asks-later"]);
    assert!(broken[0].reason.contains("1.1.0") && broken[0].reason.contains("1.0.1"), "{}", broken[0].reason);
    assert_eq!(replied(handle(&host, "asks-1", call("null")).await), "101");
    assert_eq!(replied(handle(&host, "asks-2", call("null")).await), "200");
}

#[tokio::test]
async fn an_empty_component_and_one_of_many_interfaces() {
    const F: Function = Function { name: "f", parameters: &["bool", "s64"], result: None };
    let mut mocks: Vec<Mock> = (0..100).map(|n| library(&format!("many:many/lib-{n}@1.{n}.0"), &[(F, "")])).collect();
    mocks.extend([replying("1"), described("1", "a.b", "c")]);
    let folder = Folder::new();
    folder.put("empty.wasm", binary("(component)")).put("many.wasm", component("", &mocks));
    let (host, broken) = folder.load().await;
    let names: Vec<&str> = broken.iter().map(|broken| broken.name.as_str()).collect();
    assert_eq!(names, ["empty"], "{broken:?}");
    assert_eq!(replied(handle(&host, "many", call("null")).await), "1");
}

/// Each ends its own message, with a code and a reason; what stands beside it answers as before.
#[tokio::test]
async fn misbehaving_mocks() {
    for (mock, expected, reason) in [
        (misbehaving::trapping(), Code::HandlerFailed, "stopped itself"),
        (misbehaving::looping(), Code::Timeout, "no answer within 1000 ms"),
        (misbehaving::hoarding(), Code::ResourceLimit, "bytes of memory"),
        (misbehaving::diving(), Code::ResourceLimit, "call stack"),
        (misbehaving::babbling(), Code::HandlerFailed, "not strict JSON"),
        (misbehaving::exiting(), Code::HandlerFailed, "exit"),
    ] {
        let folder = Folder::new();
        folder.put("bad.wasm", component("", &[mock])).put("good.wasm", component("", &[replying("1")]));
        let (host, broken) = load_with(folder.0.path(), &Configuration::from(one_second())).await;
        assert_eq!(broken, []);
        let (code, _, text) = end(handle(&host, "bad", call("null")).await);
        assert_eq!(code, expected, "{text}");
        assert!(text.contains(reason), "{text}");
        assert_eq!(replied(handle(&host, "good", call("null")).await), "1");
    }
}

/// Each is set aside with its reason.
#[tokio::test]
async fn mocks_that_do_not_start() {
    for (mock, reason) in [
        (misbehaving::stillborn(), "stopped itself"),
        (misbehaving::refusing_to_start("no account is set"), "no account is set"),
    ] {
        let folder = Folder::new();
        folder.put("bad.wasm", component("", &[replying("1"), mock])).put("good.wasm", component("", &[replying("1")]));
        let (host, broken) = folder.load().await;
        assert_eq!(broken.len(), 1);
        assert_eq!(broken[0].name, "bad");
        assert!(broken[0].reason.contains(reason), "{}", broken[0].reason);
        assert_eq!(replied(handle(&host, "good", call("null")).await), "1");
    }
}
