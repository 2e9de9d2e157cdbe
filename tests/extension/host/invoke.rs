//! `invoke`, as a component sees it: functions by name, and who offers what under a role.

use std::sync::Arc;

use postroom::extension::ExtensionHost;
use postroom::message::{Code, Handled};

use super::guest::{BUS, Guest, INVOKE, UNLESS_REFUSED};
use super::{Around, all_loaded, loaded, own_code};
use crate::{call, failed, replied};

pub const INVOKE_FOR_ALL: &str = "extensions.grants = [\"invoke\"]";

/// Calls the function that the action names, of this extension, with the payload as arguments.
pub fn caller(extension: &str) -> Vec<u8> {
    let mut guest = Guest::new().importing(&INVOKE);
    let extension = guest.text(extension);
    let body = format!(
        "(call $invoke.call {extension}
            (i32.load offset=24 (local.get 0)) (i32.load offset=28 (local.get 0))
            (i32.load offset=32 (local.get 0)) (i32.load offset=36 (local.get 0)) (i32.const 512))
         (i32.const 512)"
    );
    guest.handling(&body).component()
}

/// What becomes of a call of this function through the extension `it`.
pub async fn called(host: &ExtensionHost, function: &str, arguments: &str) -> Handled {
    let mut call = call(arguments);
    call.message.action = function;
    host.handle("it", call, Arc::new(Around::default())).await.handled
}

/// A library, with a handler that says nothing.
fn library(functions: &[(&str, &str, &str)]) -> Vec<u8> {
    let mut guest = Guest::new().exporting("t:calc/lib@1.2.0", "", functions);
    let null = guest.text("null");
    guest.handling(&format!("(call $ok {null})")).component()
}

const ADD: (&str, &str, &str) = (
    "add",
    "(param \"a\" u32) (param \"b\" u32) (result u32)",
    "(param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))",
);

#[tokio::test]
async fn a_function_is_called_by_its_name() {
    let components = [("it", caller("calc")), ("calc", library(&[ADD, ("nothing", "", "")]))];
    let host = all_loaded(INVOKE_FOR_ALL, &components).await;
    for function in ["t:calc/lib@1.2.0#add", "t:calc/lib@1.0.0#add", "t:calc/lib#add"] {
        assert_eq!(replied(called(&host, function, "[2,3]").await), "5");
    }
    assert_eq!(replied(called(&host, "t:calc/lib#nothing", "[]").await), "null");
}

#[tokio::test]
async fn what_cannot_be_called_is_refused_with_a_code_and_a_reason() {
    let components = [("it", caller("calc")), ("calc", library(&[ADD])), ("lost", caller("calk"))];
    let host = all_loaded(INVOKE_FOR_ALL, &components).await;
    for (function, arguments, code, reason) in [
        ("t:calc/lib@1.2.0#ad", "[1,2]", "unknown-function", "the nearest are `t:calc/lib@1.2.0#add`"),
        ("t:calc/lib@1.3.0#add", "[1,2]", "unknown-function", "`t:calc/lib@1.2.0#add`"),
        ("t:calc/lib@2.0.0#add", "[1,2]", "unknown-function", "`t:calc/lib@1.2.0#add`"),
        ("postroom:extension/handler#handle", "[]", "unknown-function", "`t:calc/lib@1.2.0#add`"),
        ("t:calc/lib#add", "[1]", "wrong-arguments", "arguments: must have 2 elements, but has 1"),
        ("t:calc/lib#add", "[1,\"x\"]", "wrong-arguments", "arguments[1]: must be a whole number within u32"),
        ("t:calc/lib#add", "{\"a\":1,\"a\":2}", "wrong-arguments", "not strict JSON"),
    ] {
        let failure = failed(called(&host, function, arguments).await);
        assert!(failure.message.contains(reason), "{function}: {}", failure.message);
        assert_eq!(own_code(Handled::Failed(failure)), code, "{function}");
    }
    let mut call = call("[]");
    call.message.action = "t:calc/lib#add";
    let lost = host.handle("lost", call, Arc::new(Around::default())).await.handled;
    assert!(failed(lost.clone()).message.contains("did you mean `calc`?"));
    assert_eq!(own_code(lost), "unknown-extension");
}

#[tokio::test]
async fn a_resource_cannot_be_passed_as_json() {
    let mut guest = Guest::new();
    let null = guest.text("null");
    // Made by hand: an interface with a resource.
    let text = guest.handling(&format!("(call $ok {null})")).text_of_component();
    let with_resource = text.trim_end().strip_suffix(')').unwrap().to_owned()
        + r#"(component $made
                (type $r-0 (resource (rep i32)))
                (export $r "r" (type $r-0))
                (core func $new (canon resource.new $r-0))
                (core module $m (import "" "new" (func $new (param i32) (result i32)))
                    (func (export "f") (result i32) (call $new (i32.const 7))))
                (core instance $m (instantiate $m (with "" (instance (export "new" (func $new))))))
                (func $f (result (own $r)) (canon lift (core func $m "f")))
                (export "f" (func $f)))
            (instance $made (instantiate $made))
            (export "t:res/lib@1.0.0" (instance $made)))"#;
    let components = [("it", caller("res")), ("res", crate::mock::binary(&with_resource))];
    let host = all_loaded(INVOKE_FOR_ALL, &components).await;
    assert_eq!(own_code(called(&host, "t:res/lib#f", "[]").await), "not-expressible");
}

#[tokio::test]
async fn who_waits_for_its_answer_is_not_called_meanwhile() {
    // `it` calls a function of `other`, which calls one of `it` by name, and returns what came of it.
    let ask = "(param i32 i32) (result i32)
        (call $invoke.call (i32.const 2048) (i32.const 2) (i32.const 2050) (i32.const 14) (local.get 0) (local.get 1) (i32.const 512))
        (i32.store (i32.const 600) (i32.load (i32.const 516))) (i32.store (i32.const 604) (i32.load (i32.const 520)))
        (i32.const 600)";
    let mut other = Guest::new().importing(&INVOKE);
    assert_eq!(other.text("it"), "(i32.const 2048) (i32.const 2)");
    assert_eq!(other.text("t:calc/lib#add"), "(i32.const 2050) (i32.const 14)");
    let null = other.text("null");
    let other = other
        .exporting("t:ask/lib@1.0.0", "", &[("ask", "(param \"arguments\" string) (result string)", ask)])
        .handling(&format!("(call $ok {null})"))
        .component();
    let mut it = Guest::new().importing(&INVOKE).exporting("t:calc/lib@1.0.0", "", &[ADD]);
    let texts = ["other", "t:ask/lib#ask", "[\"[1,2]\"]"].map(|text| it.text(text));
    let it =
        it.handling(&format!("(call $invoke.call {} (i32.const 512)) (i32.const 512)", texts.join(" "))).component();
    let host = all_loaded(INVOKE_FOR_ALL, &[("it", it), ("other", other)]).await;
    assert_eq!(replied(called(&host, "a", "1").await), "\"re-entry\"");
}

#[tokio::test]
async fn a_function_that_traps_ends_the_attempt_and_nothing_else() {
    let components = [("it", caller("calc")), ("calc", library(&[("trap", "", "unreachable"), ADD]))];
    let host = all_loaded(INVOKE_FOR_ALL, &components).await;
    let failure = failed(called(&host, "t:calc/lib#trap", "[]").await);
    assert_eq!(failure.code, Code::HandlerFailed);
    assert_eq!(replied(called(&host, "t:calc/lib#add", "[1,1]").await), "2");
}

#[tokio::test]
async fn a_grant_stays_with_the_one_that_is_invoked() {
    let mut library = Guest::new().importing(&BUS);
    let send = library.sending("agent", "from.library", "1").replace(UNLESS_REFUSED, "");
    let null = library.text("null");
    let library = library
        .exporting("t:side/lib@1.0.0", "", &[("act", "", &send)])
        .handling(&format!("(call $ok {null})"))
        .component();
    let settings = "extension.it.grants = [\"invoke\"]\nextension.library.grants = [\"bus\"]";
    let host = all_loaded(settings, &[("it", caller("library")), ("library", library)]).await;
    let mut call = call("[]");
    call.message.action = "t:side/lib#act";
    let attempted = host.handle("it", call, Arc::new(Around::default())).await;
    assert_eq!(replied(attempted.handled), "null");
    let senders: Vec<&str> = attempted.effects.sent.iter().map(|sent| sent.sender.as_str()).collect();
    assert_eq!(senders, ["library"]);
}

/// Calls whoever offers something under `role` first, with the payload as arguments.
fn facade(role: &str) -> Vec<u8> {
    let mut guest = Guest::new().importing(&INVOKE);
    let (role, nobody) = (guest.text(role), guest.text("nobody"));
    let load = |offset: u32| format!("(i32.load offset={offset} (i32.load (i32.const 512)))");
    let body = format!(
        "(call $invoke.find {role} (i32.const 512))
         (if (i32.eqz (i32.load (i32.const 516))) (then (return (call $err {nobody}))))
         (call $invoke.call {} {} {} {} (i32.load offset=32 (local.get 0)) (i32.load offset=36 (local.get 0)) (i32.const 520))
         (i32.const 520)",
        load(8),
        load(12),
        load(16),
        load(20)
    );
    guest.handling(&body).component()
}

/// Offers its `add` under these roles when it is loaded.
fn offering(roles: &[&str], function: &str) -> Vec<u8> {
    let mut guest = Guest::new().importing(&INVOKE).exporting("t:calc/lib@1.2.0", "", &[ADD]);
    let (function, null) = (guest.text(function), guest.text("null"));
    let mut offers = String::new();
    for role in roles {
        let role = guest.text(role);
        offers += &format!("(call $invoke.offer {role} {function} (i32.const 512)) {UNLESS_REFUSED}");
    }
    guest.initialising(&format!("{offers} (i32.const 512)")).handling(&format!("(call $ok {null})")).component()
}

#[tokio::test]
async fn a_facade_finds_who_came_after_it() {
    // Without imports of each other they are loaded by name: the facade first.
    let components = [("it", facade("builder")), ("late", offering(&["builder/rust"], "t:calc/lib@1.0.0#add"))];
    let host = all_loaded(INVOKE_FOR_ALL, &components).await;
    assert_eq!(replied(called(&host, "build", "[20,22]").await), "42");
    let exact = all_loaded(INVOKE_FOR_ALL, &[("it", facade("builder/rust")), components[1].clone()]).await;
    assert_eq!(replied(called(&exact, "build", "[20,22]").await), "42");
    for other in ["builder/rus", "build", "builder/rust/x"] {
        let host = all_loaded(INVOKE_FOR_ALL, &[("it", facade(other)), components[1].clone()]).await;
        assert_eq!(own_code(called(&host, "build", "[20,22]").await), "nobody", "{other}");
    }
}

#[tokio::test]
async fn what_is_offered_must_be_there_under_a_role_that_is_one() {
    let many: Vec<String> = (0..257).map(|number| format!("role/{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (component, reason) in [
        (offering(&["Builder"], "t:calc/lib#add"), "`Builder` is no role"),
        (offering(&["builder"], "t:calc/lib#sub"), "exports no function `t:calc/lib#sub`"),
        (offering(&many, "t:calc/lib#add"), "at most 256"),
    ] {
        let (host, broken) = loaded(INVOKE_FOR_ALL, &[("late", component), ("it", facade("role"))]).await;
        let [late] = broken.as_slice() else { panic!("it is loaded") };
        assert!(late.reason.contains(reason), "{}", late.reason);
        // Whoever is set aside has offered nothing.
        assert_eq!(own_code(called(&host, "build", "[1,1]").await), "nobody");
    }
}

#[tokio::test]
async fn functions_are_offered_when_an_extension_is_loaded_and_then_no_more() {
    let mut guest = Guest::new().importing(&INVOKE).exporting("t:calc/lib@1.2.0", "", &[ADD]);
    let [role, function, null] = ["builder", "t:calc/lib#add", "null"].map(|text| guest.text(text));
    let body = format!("(call $invoke.offer {role} {function} (i32.const 512)) {UNLESS_REFUSED} (call $ok {null})");
    let host = all_loaded(INVOKE_FOR_ALL, &[("it", guest.handling(&body).component())]).await;
    assert_eq!(own_code(called(&host, "a", "1").await), "not-in-init");
}
