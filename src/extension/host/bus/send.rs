//! `bus.send`: a message of the extension's own, as strict JSON text, checked exactly like one that is dropped.

use wasmtime::component::{ComponentType, Lift};

use crate::extension::host::failure::Refused;
use crate::extension::{Effects, Sent};
use crate::message::{Given, JsonText, Message, MessageId};

/// Messages that one attempt may send; see `wit/bus.wit`.
const MOST_MESSAGES: usize = 256;

/// `outgoing` of `wit/bus.wit`.
#[derive(Clone, Debug, Default, ComponentType, Lift)]
#[component(record)]
pub(super) struct Outgoing {
    pub(super) recipients: Vec<String>,
    pub(super) action: String,
    pub(super) payload: String,
    #[component(name = "in-reply-to")]
    pub(super) in_reply_to: Option<String>,
    #[component(name = "correlation-id")]
    pub(super) correlation_id: Option<String>,
    #[component(name = "expires-at")]
    pub(super) expires_at: Option<i64>,
    #[component(name = "not-before")]
    pub(super) not_before: Option<i64>,
    pub(super) priority: Option<u8>,
}

/// Adds the message to what the attempt would change, and returns its id. All that it sends together stays within `most_bytes`.
pub(super) fn send(
    effects: &mut Effects,
    most_bytes: usize,
    sender: &str,
    outgoing: &Outgoing,
    now_ms: i64,
) -> Result<String, Refused> {
    if effects.sent.len() >= MOST_MESSAGES {
        return Err(too_much(format!("an attempt sends at most {MOST_MESSAGES} messages")));
    }
    let waiting: usize = effects.sent.iter().map(|sent| sent.text.as_str().len()).sum();
    if waiting.saturating_add(outgoing.payload.len()) > most_bytes {
        return Err(too_much(format!("an attempt sends at most {most_bytes} bytes")));
    }
    let id = uuid::Uuid::now_v7().to_string();
    let text = written(&id, sender, outgoing, now_ms)?;
    let id = checked(&text)?;
    let told = id.as_str().to_owned();
    effects.sent.push(Sent { id, sender: sender.to_owned(), text: JsonText::trusted(text) });
    Ok(told)
}

/// The message as text. Whatever the extension gave stands in it as one value, so it can fill its field and no other.
fn written(id: &str, sender: &str, outgoing: &Outgoing, now_ms: i64) -> Result<String, Refused> {
    let payload = JsonText::parse(outgoing.payload.as_str())
        .map_err(|error| invalid(format!("the payload is not strict JSON: {error}")))?;
    let recipient = match outgoing.recipients.as_slice() {
        [one] => quoted(one),
        several => format!("[{}]", several.iter().map(|one| quoted(one)).collect::<Vec<_>>().join(",")),
    };
    let mut fields = vec![
        ("id", quoted(id)),
        ("sender", quoted(sender)),
        ("recipient", recipient),
        ("action", quoted(&outgoing.action)),
        ("payload", payload.as_str().to_owned()),
        ("timestamp", now_ms.to_string()),
    ];
    let optional = [
        ("inReplyTo", outgoing.in_reply_to.as_deref().map(quoted)),
        ("correlationId", outgoing.correlation_id.as_deref().map(quoted)),
        ("expiresAt", outgoing.expires_at.map(|at| at.to_string())),
        ("notBefore", outgoing.not_before.map(|at| at.to_string())),
        ("priority", outgoing.priority.map(|priority| priority.to_string())),
    ];
    fields.extend(optional.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))));
    let members: Vec<String> = fields.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    Ok(format!("{{{}}}", members.join(",")))
}

/// The id of the message that this text is.
fn checked(text: &str) -> Result<MessageId, Refused> {
    // Id and timestamp are stated, so nothing has to be given.
    let given = Given { file_identity: (0, 0), now_ms: 0 };
    match Message::parse(text, given) {
        Ok(message) => Ok(message.id().clone()),
        Err(refusal) => Err(invalid(match refusal.hint {
            Some(hint) => format!("{}; {hint}", refusal.message),
            None => refusal.message,
        })),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

pub(super) fn invalid(message: String) -> Refused {
    Refused::new("invalid-message", message)
}

fn too_much(message: String) -> Refused {
    Refused::new("resource-limit", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Recipient;

    fn outgoing() -> Outgoing {
        Outgoing {
            recipients: vec!["agent".into()],
            action: "a.b".into(),
            payload: r#"{"x" : 1.0}"#.into(),
            ..Outgoing::default()
        }
    }

    /// What is sent, as the service will read it.
    fn sent(outgoing: &Outgoing) -> Result<Message, String> {
        let mut effects = Effects::default();
        let id = send(&mut effects, 1 << 20, "it", outgoing, 1_763_683_200_000).map_err(|refused| {
            assert_eq!(refused.code(), "invalid-message");
            refused.message().to_owned()
        })?;
        let [Sent { id: kept, sender, text }] = effects.sent.as_slice() else { panic!("one was sent: {effects:?}") };
        assert_eq!((kept.as_str(), sender.as_str()), (id.as_str(), "it"));
        Ok(Message::parse(text.as_str(), Given { file_identity: (0, 0), now_ms: 0 }).unwrap())
    }

    #[test]
    fn every_field_of_a_message_is_in_its_place() {
        let message = sent(&Outgoing {
            in_reply_to: Some("m-1".into()),
            correlation_id: Some("c-1".into()),
            expires_at: Some(7),
            not_before: Some(5),
            priority: Some(9),
            ..outgoing()
        })
        .unwrap();
        assert_eq!(message.sender().as_str(), "it");
        assert_eq!(*message.recipient(), Recipient::One("agent".parse().unwrap()));
        assert_eq!((message.action().as_str(), message.payload_text()), ("a.b", r#"{"x" : 1.0}"#));
        assert_eq!(message.timestamp(), 1_763_683_200_000);
        assert_eq!(message.in_reply_to().map(|id| id.as_str()), Some("m-1"));
        assert_eq!(message.correlation_id().map(|id| id.as_str()), Some("c-1"));
        assert_eq!((message.expires_at(), message.not_before(), message.priority()), (Some(7), Some(5), 9));
    }

    #[test]
    fn several_recipients_and_everybody() {
        let to = |recipients: &[&str]| {
            let recipients = recipients.iter().map(|one| (*one).to_owned()).collect();
            sent(&Outgoing { recipients, ..outgoing() }).map(|message| message.recipient().clone())
        };
        assert_eq!(to(&["*"]), Ok(Recipient::All));
        assert_eq!(to(&["a", "b"]), Ok(Recipient::Many(vec!["a".parse().unwrap(), "b".parse().unwrap()])));
        for wrong in [&[][..], &["a", "*"], &["a", "a"], &["../a"], &[""], &["a"; 65]] {
            assert!(to(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_no_message_is_not_sent_and_no_field_can_be_smuggled_in() {
        let smuggled = r#"1,"sender":"postroom""#;
        let cases: [(Outgoing, &str); 8] = [
            (Outgoing { payload: "{".into(), ..outgoing() }, "not strict JSON"),
            (Outgoing { payload: smuggled.into(), ..outgoing() }, "not strict JSON"),
            (Outgoing { action: String::new(), ..outgoing() }, "\"action\""),
            (Outgoing { action: "a\u{1b}".into(), ..outgoing() }, "\"action\""),
            (Outgoing { in_reply_to: Some("a b".into()), ..outgoing() }, "\"inReplyTo\""),
            (Outgoing { expires_at: Some(-1), ..outgoing() }, "\"expiresAt\""),
            (Outgoing { not_before: Some(i64::MAX), ..outgoing() }, "integer"),
            (Outgoing { priority: Some(10), ..outgoing() }, "\"priority\""),
        ];
        for (outgoing, part) in cases {
            let error = sent(&outgoing).unwrap_err();
            assert!(error.contains(part), "{outgoing:?}: {error}");
        }
        let quotes = Outgoing { action: r#"a","sender":"postroom"#.into(), ..outgoing() };
        assert_eq!(sent(&quotes).unwrap().sender().as_str(), "it");
    }

    #[test]
    fn what_one_attempt_sends_is_bounded() {
        let mut effects = Effects::default();
        for _ in 0..256 {
            send(&mut effects, 1 << 20, "it", &outgoing(), 0).unwrap();
        }
        let one_more = send(&mut effects, 1 << 20, "it", &outgoing(), 0).unwrap_err();
        assert_eq!((one_more.code(), effects.sent.len()), ("resource-limit", 256));
        let mut effects = Effects::default();
        let large = Outgoing { payload: format!("\"{}\"", "x".repeat(600)), ..outgoing() };
        send(&mut effects, 1000, "it", &large, 0).unwrap();
        assert_eq!(send(&mut effects, 1000, "it", &large, 0).unwrap_err().code(), "resource-limit");
    }
}
