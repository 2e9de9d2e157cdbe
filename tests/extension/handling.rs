//! What a handler gets, and what its answer becomes.

use postroom::extension::{ErrorReply, Trust};
use postroom::message::{Code, Retry};

use super::mock::{at, handler, replying, replying_with};
use super::{call, end, failed, handle, host_of, replied};

#[tokio::test]
async fn the_payload_arrives_byte_for_byte_and_the_reply_goes_back_so() {
    let host = host_of(replying_with(at::PAYLOAD)).await;
    for payload in ["null", r#"{"b" : 1.00, "a":1e400,"\u0041":"ä"}"#, " [1]\n"] {
        // White space around the value is not part of it.
        assert_eq!(replied(handle(&host, "it", call(payload)).await), payload.trim());
    }
    let big = format!("\"{}\"", "x".repeat(5 << 20));
    assert_eq!(replied(handle(&host, "it", call(&big)).await), big);
}

#[tokio::test]
async fn every_text_of_a_message_arrives_in_its_place() {
    for place in [
        at::ID,
        at::SENDER,
        at::RECIPIENT,
        at::ACTION,
        at::ERROR_CODE,
        at::ERROR_MESSAGE,
        at::ERROR_DETAILS,
        at::IN_REPLY_TO,
        at::CORRELATION_ID,
        at::KEY_ID,
    ] {
        let host = host_of(replying_with(place)).await;
        let texts: Vec<String> = (0..200).map(|place| format!("\"{place}\"")).collect();
        let text = |place: u32| texts[place as usize].as_str();
        let mut call = call("null");
        call.message.id = text(at::ID);
        call.message.sender = text(at::SENDER);
        call.message.recipient = text(at::RECIPIENT);
        call.message.action = text(at::ACTION);
        call.message.error = Some(ErrorReply {
            code: text(at::ERROR_CODE),
            message: text(at::ERROR_MESSAGE),
            details: Some(text(at::ERROR_DETAILS)),
        });
        call.message.in_reply_to = Some(text(at::IN_REPLY_TO));
        call.message.correlation_id = Some(text(at::CORRELATION_ID));
        call.key_id = Some(text(at::KEY_ID));
        assert_eq!(replied(handle(&host, "it", call).await), text(place));
    }
}

#[tokio::test]
async fn every_number_arrives_in_its_place() {
    let expected = [
        ("(i64.load offset=72", "i64", "-17"),   // timestamp
        ("(i32.load8_u offset=104", "i32", "1"), // expires-at is set
        ("(i64.load offset=112", "i64", "9007199254740991"),
        ("(i32.load offset=124", "i32", "2"),             // two others
        ("(i64.load offset=128", "i64", "1763683200001"), // accepted-at
        ("(i32.load offset=136", "i32", "3"),             // attempt
        ("(i32.load offset=140", "i32", "16"),            // hops
        ("(i32.load8_u offset=144", "i32", "0"),          // signed
        ("(i32.load8_u offset=148", "i32", "0"),          // no key id
        ("(i32.load offset=160", "i32", "10000"),         // deadline-ms
    ];
    let checks: String = expected
        .iter()
        .map(|(load, ty, value)| {
            format!("(if ({ty}.ne {load} (local.get 0)) ({ty}.const {value})) (then unreachable))")
        })
        .collect();
    // The name of the second of the others.
    let second = "(call $reply (i32.load offset=16 (i32.load offset=120 (local.get 0)))
                               (i32.load offset=20 (i32.load offset=120 (local.get 0))))";
    let host = host_of(handler(&format!("{checks} {second}"))).await;
    let mut call = call("null");
    call.message.timestamp = -17;
    call.message.expires_at = Some((1 << 53) - 1);
    call.message.others = &[("x", "1"), ("\"second\"", "{}")];
    call.attempt = 3;
    call.hops = 16;
    call.trust = Trust::Signed;
    assert_eq!(replied(handle(&host, "it", call).await), "\"second\"");
    let mut unsigned = call;
    unsigned.trust = Trust::Unsigned;
    assert_eq!(failed(handle(&host, "it", unsigned).await).code, Code::HandlerFailed);
}

/// A failure with these places and lengths of code, message and details.
fn failing(code: &str, message: &str, details: Option<&str>, retry: u8) -> super::mock::Mock {
    let pair = |place: u32, text: u32, length: usize| {
        format!(
            "(i32.store (i32.const {place}) (i32.const {text})) (i32.store (i32.const {}) (i32.const {length}))",
            place + 4
        )
    };
    let body = [
        "(i32.store8 (i32.const 1024) (i32.const 1))".to_owned(),
        pair(1028, 2048, code.len()),
        pair(1036, 2560, message.len()),
        format!("(i32.store8 (i32.const 1044) (i32.const {}))", u8::from(details.is_some())),
        pair(1048, 7168, details.unwrap_or_default().len()),
        format!("(i32.store8 (i32.const 1056) (i32.const {retry}))"),
        "(i32.const 1024)".to_owned(),
    ];
    handler(&body.concat()).with_data(2048, code).with_data(2560, message).with_data(7168, details.unwrap_or_default())
}

#[tokio::test]
async fn a_failure_keeps_its_words_and_says_whether_to_try_again() {
    let host = host_of(failing("no-account", "there is no account 7", Some("{\"account\": 7}"), 1)).await;
    let failure = failed(handle(&host, "it", call("null")).await);
    assert_eq!(failure.code, Code::HandlerFailed);
    assert_eq!(failure.message, "there is no account 7");
    assert_eq!(failure.retry, Retry::Final);
    assert_eq!(failure.details.unwrap().as_str(), r#"{"code":"no-account","details":{"account": 7}}"#);

    let host = host_of(failing("busy", "later", None, 0)).await;
    let failure = failed(handle(&host, "it", call("null")).await);
    assert_eq!(failure.retry, Retry::Later);
    assert_eq!(failure.details.unwrap().as_str(), r#"{"code":"busy"}"#);
}

#[tokio::test]
async fn odd_failures_are_made_presentable() {
    let host = host_of(failing("", " ", None, 0)).await;
    let failure = failed(handle(&host, "it", call("null")).await);
    assert_eq!(failure.message, "it gave no reason");
    assert_eq!(failure.details, None);

    let host = host_of(failing("\"", "x", Some("not \"JSON\""), 0)).await;
    let failure = failed(handle(&host, "it", call("null")).await);
    assert_eq!(failure.details.unwrap().as_str(), r#"{"code":"\"","details":"not \"JSON\""}"#);

    let host = host_of(failing(&"c".repeat(100), &"ä".repeat(2100), None, 0)).await;
    let failure = failed(handle(&host, "it", call("null")).await);
    assert_eq!(failure.message, "ä".repeat(2048));
    assert_eq!(failure.details.unwrap().as_str(), format!("{{\"code\":\"{}\"}}", "c".repeat(64)));
}

#[tokio::test]
async fn each_message_gets_a_fresh_instance() {
    let count = "(i32.store8 (i32.const 2048) (i32.add (i32.load8_u (i32.const 2048)) (i32.const 1)))
                 (call $reply (i32.const 2048) (i32.const 1))";
    let host = host_of(handler(count).with_data(2048, "0")).await;
    for _ in 0..3 {
        assert_eq!(replied(handle(&host, "it", call("null")).await), "1");
    }
}

#[tokio::test]
async fn who_is_not_installed_is_said_so() {
    let host = host_of(replying("1")).await;
    assert_eq!(
        end(handle(&host, "other", call("null")).await),
        (Code::UnknownRecipient, Retry::Final, "no extension `other` is installed".into())
    );
}

#[test]
fn a_call_can_run_on_any_thread() {
    fn send<T: Send>(_: T) {}
    let host = postroom::extension::ExtensionHost::empty();
    send(handle(&host, "it", call("null")));
    fn shared<T: Send + Sync + 'static>() {}
    shared::<postroom::extension::ExtensionHost>();
}
