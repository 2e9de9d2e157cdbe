//! `cargo +nightly fuzz run parse_message fuzz/corpus/parse_message tests/corpus/good tests/corpus/bad/malformed-json
//! tests/corpus/bad/invalid-message`
//!
//! Not only "no panic": what is taken is JSON for others too, comes back byte for byte, and is a message again once delivered;
//! what is refused can be shown on a terminal.
#![no_main]

/// The room is pure, so it is compiled alone: minutes less than with the whole crate.
#[allow(dead_code, unused_imports)]
#[path = "../../src/message/mod.rs"]
mod message;

use libfuzzer_sys::fuzz_target;
use message::{Code, Delivery, Envelope, Given, Message, Refusal, Trust};

const GIVEN: Given = Given { file_identity: (1, 1_763_683_200_000_000_000), now_ms: 0 };

fuzz_target!(|bytes: &[u8]| {
    match Message::parse(bytes, GIVEN) {
        Ok(message) => taken(bytes, &message),
        Err(refusal) => refused(&refusal),
    }
});

fn taken(bytes: &[u8], message: &Message) {
    assert_eq!(message.text().as_bytes(), bytes);
    let text = std::str::from_utf8(bytes).expect("a message is UTF-8");
    serde_json::from_str::<serde::de::IgnoredAny>(text).expect("a message is JSON for serde_json too");
    if let Some(range) = message.payload_range() {
        assert_eq!(&text[range], message.payload_text());
    }
    let delivery = Delivery {
        accepted_at: 1,
        attempt: 1,
        trust: Trust::Unsigned,
        hops: 0,
        ticket: String::new(),
        traceparent: None,
    };
    let rendered = message.render_delivered(&delivery);
    assert_eq!(rendered.segments().concat(), rendered.to_vec());
    let delivered = Message::parse(rendered.to_vec(), GIVEN).expect("what is delivered is a message");
    assert_eq!(delivered.payload_text(), message.payload_text());
    assert_eq!(delivered.content_digest(), message.content_digest());
    assert_eq!((delivered.id(), delivered.timestamp()), (message.id(), message.timestamp()));
    assert!(delivered.extras().eq(message.extras()));
    assert!(!message.action().as_str().chars().any(char::is_control));
    assert!(!message.id().as_str().contains(['/', '\\', '\0']) && !message.id().as_str().contains(".."));
    if let Err(refusal) = Envelope::parse(message) {
        refused(&refusal);
    }
    let last_brace = bytes.trim_ascii_end().len() - 1;
    for cut in [last_brace, last_brace / 2] {
        let refusal = Message::parse(&bytes[..cut], GIVEN).expect_err("half a message is none");
        assert!(refusal.incomplete, "{refusal}");
    }
}

fn refused(refusal: &Refusal) {
    assert!(matches!(refusal.code, Code::MalformedJson | Code::InvalidMessage));
    assert!(refusal.incomplete <= (refusal.code == Code::MalformedJson));
    let envelope = &refusal.envelope;
    let shown = [Some(&refusal.message), refusal.hint.as_ref(), envelope.recipient.as_ref(), envelope.action.as_ref()];
    for text in shown.into_iter().flatten() {
        assert!(!text.chars().any(char::is_control), "{text:?}");
        assert!(text.len() < 8 * 1024, "{} bytes", text.len());
    }
}
