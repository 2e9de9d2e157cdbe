use proptest::prelude::*;

use super::json::MAX_DEPTH;
use super::*;

const GIVEN: Given = Given { file_identity: (42, 1_763_683_200_123_456_789), now_ms: 1 };

fn message(text: &str) -> Message {
    Message::parse(text, GIVEN).unwrap_or_else(|refusal| panic!("{text}: {refusal}"))
}

fn refusal(text: &str) -> Refusal {
    Message::parse(text, GIVEN).expect_err(text)
}

/// A message with `more` in it, such as `,"payload":1`.
fn with(more: &str) -> String {
    format!(r#"{{"id":"m-1","sender":"a","recipient":"b","action":"x.y"{more}}}"#)
}

fn delivery() -> Delivery {
    Delivery { accepted_at: 7, attempt: 1, trust: Trust::Unsigned, hops: 2, ticket: "t".to_owned(), traceparent: None }
}

fn string(rendered: &Rendered) -> String {
    let bytes = rendered.to_vec();
    assert_eq!(bytes.len(), rendered.len());
    assert_eq!(rendered.segments().concat(), bytes);
    String::from_utf8(bytes).unwrap()
}

#[test]
fn reads_every_field() {
    let text = r#"{ "id" : "m-1", "sender":"vscode.window-1","recipient":["b","c"],"action":"math.add","payload": {"a": 2.0} ,
        "timestamp":1763683200000,"signature":"hmac-sha256:k1:x","inReplyTo":"m-0","correlationId":"c-1","expiresAt":5,
        "notBefore":4,"priority":9,"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","x-more":[1 , 2]}"#;
    let message = message(text);
    assert_eq!(message.text().as_str(), text);
    assert_eq!(message.id().as_str(), "m-1");
    assert_eq!(message.sender().as_str(), "vscode.window-1");
    assert_eq!(message.recipient().to_string(), "b, c");
    assert_eq!((message.action().namespace(), message.action().command()), (Some("math"), "add"));
    assert_eq!(message.payload_text(), "{\"a\": 2.0}");
    assert_eq!(&text[message.payload_range().unwrap()], "{\"a\": 2.0}");
    assert_eq!(message.timestamp(), 1_763_683_200_000);
    assert_eq!(message.signature(), Some("hmac-sha256:k1:x"));
    assert_eq!(message.in_reply_to().unwrap().as_str(), "m-0");
    assert_eq!(message.correlation_id().unwrap().as_str(), "c-1");
    assert_eq!((message.expires_at(), message.not_before(), message.priority()), (Some(5), Some(4), 9));
    assert!(message.traceparent().is_some() && message.is_reply());
    assert_eq!(message.extras().collect::<Vec<_>>(), [("\"x-more\"", "[1 , 2]")]);
}

#[test]
fn gives_what_is_absent_the_same_way_each_time() {
    let text = r#"{"sender":"a","recipient":"*","action":"x"}"#;
    let first = message(text);
    assert_eq!(first, message(text));
    assert_eq!(first.timestamp(), 1_763_683_200_123);
    assert_eq!((first.recipient(), first.priority(), first.payload_text()), (&Recipient::All, 4, "null"));
    assert!(first.id().as_str().starts_with("g-") && first.id().as_str().len() == 34);
    for file_identity in [(43, GIVEN.file_identity.1), (42, GIVEN.file_identity.1 + 1)] {
        let other = Message::parse(text, Given { file_identity, now_ms: 1 }).unwrap();
        assert_ne!(other.id(), first.id());
    }
    assert_ne!(message(&text.replace("\"x\"", "\"y\"")).id(), first.id());
    let without_file = Message::parse(text, Given { file_identity: (0, 0), now_ms: 77 }).unwrap();
    assert_eq!(without_file.timestamp(), 77);
}

#[test]
fn an_error_reply_has_code_message_and_details() {
    let text = with(r#","inReplyTo":"q","error":{"code":"c\u0041","message":"m","details":{ "k":[1]},"more":1}"#);
    let message = message(&text);
    let error = message.error().unwrap();
    assert_eq!((&*error.code, &*error.message, message.error_details_text()), ("cA", "m", Some("{ \"k\":[1]}")));
    assert!(message.is_reply());
    assert!(!super::tests::message(&with(r#","inReplyTo":"q""#)).is_reply());
}

#[test]
fn a_refusal_names_the_field_what_it_has_and_what_it_may_have() {
    for (more, expected) in [
        (r#","priority":10"#, "the field \"priority\" must be a whole number from 0 to 9, but is a number (10)"),
        (
            r#","expiresAt":"soon""#,
            "the field \"expiresAt\" must be Unix milliseconds as a whole number, but is a string (\"soon\")",
        ),
        (r#","correlationId":null"#, "the field \"correlationId\" must be a string, but is null"),
        (
            r#","inReplyTo":"../x""#,
            "the field \"inReplyTo\" is \"../x\", which must start with a letter from A to Z, a to z, or a digit",
        ),
        (r#","payload":null,"error":{"code":"a","message":"b"}"#, "the message has both \"payload\" and \"error\""),
    ] {
        let refusal = refusal(&with(more));
        assert_eq!((refusal.code, &*refusal.message), (Code::InvalidMessage, expected));
        assert_eq!(refusal.envelope.sender.as_ref().unwrap().as_str(), "a");
    }
    let misspelt = refusal(r#"{"sender":"a","Recipent":"b","action":"x"}"#);
    assert_eq!(misspelt.message, "the field \"recipient\" is missing");
    assert_eq!(misspelt.hint.as_deref(), Some("\"Recipent\" looks like a misspelling of \"recipient\""));
    let signed = refusal(r#"{"sender":"a","recipient":"b","action":"x","signature":"s","id":"i"}"#);
    assert_eq!(signed.message, "the message is signed, but the field \"timestamp\" is missing");
}

#[test]
fn a_refusal_keeps_what_could_be_read() {
    let envelope = refusal(&with(r#","inReplyTo":"q","priority":-1"#)).envelope;
    assert_eq!(envelope.id.unwrap().as_str(), "m-1");
    assert_eq!((envelope.recipient.as_deref(), envelope.action.as_deref()), (Some("b"), Some("x.y")));
    assert_eq!((envelope.in_reply_to.unwrap().as_str(), envelope.is_answer), ("q", true));

    let malformed = refusal(&with(r#","payload":{"n":9007199254740993}"#));
    assert_eq!(malformed.code, Code::MalformedJson);
    assert_eq!(malformed.envelope.sender.unwrap().as_str(), "a");

    let ambiguous = refusal(r#"{"sender":"a","recipient":"b","action":"x","send\u0065r":"c"}"#);
    assert_eq!((ambiguous.code, ambiguous.envelope.sender), (Code::MalformedJson, None));
    let cut = refusal(r#"{"sender":"a","recipient":"b","sender":"c","action":[1"#);
    assert_eq!((cut.incomplete, cut.envelope.sender), (false, None));
    assert!(refusal(r#"{"sender":"a","rec"#).incomplete);
    assert!(refusal(&with(r#","inReplyTo":5"#)).envelope.is_answer);
}

#[test]
fn no_error_carries_an_escape_sequence() {
    for text in [
        with(",\"priority\":\"\\u001b[31m\\u202e\""),
        with(",\"inReplyTo\":\"\\u009b2J\""),
        with(",\"\\u001b]0;x\\u0007\":1,\"\\u001b]0;x\\u0007\":2"),
        with(",\"traceparent\":\"\\u0000\\r\\n\""),
        r#"{"sender":"a","acti\u001bn":1,"recipient":"\u001b[2J"}"#.into(),
        r#"{"sender":"a","action":"\u001b[2J","recipient":["\u001b"]}"#.into(),
    ] {
        let refusal = refusal(&text);
        let shown =
            format!("{refusal} {:?} {:?} {:?}", refusal.hint, refusal.envelope.action, refusal.envelope.recipient);
        assert!(!shown.chars().any(|c| c.is_control() || c == '\u{202e}'), "{shown:?}");
    }
    let long = refusal(&with(&format!(",\"priority\":\"{}\"", "x".repeat(100_000))));
    assert!(long.message.len() < 300, "{}", long.message.len());
}

#[test]
fn names_that_are_taken_and_names_that_are_not() {
    let long = "x".repeat(128);
    for good in
        ["a", "0", "A.b_c-d", "con1", "com", "com10", "xcon", "a.con", "reply", "a.replyx", "lpt", "COMx.1", &long]
    {
        assert_eq!(AgentId::parse(good).unwrap().as_str(), good);
    }
    let too_long = "x".repeat(129);
    for bad in [
        "",
        ".a",
        "-a",
        "_a",
        "a..b",
        "a.",
        "a.reply",
        "a/b",
        "a\\b",
        "ä",
        "a b",
        "a\0",
        "CON",
        "con.txt",
        "Nul",
        "aux.a.b",
        "PRN",
        "com0",
        "COM9.json",
        "lpt5",
        "a~b",
        "*",
        "a:b",
        &too_long,
    ] {
        assert!(MessageId::parse(bad).is_err(), "{bad:?}");
    }
    assert!(Action::parse(&"ä".repeat(256)).is_ok() && Action::parse(&"ä".repeat(257)).is_err());
    assert!(Action::parse("").is_err() && Action::parse("a\u{85}").is_err());
    assert_eq!(Action::parse("echo").unwrap().namespace(), None);
    assert_eq!(Action::parse("mcp.core.echo").unwrap().namespace(), Some("mcp.core"));
    let trace = |version: &str, trace: &str, parent: &str| {
        Traceparent::parse(&format!("{version}-{trace}-{parent}-00")).is_ok()
    };
    let (id, parent) = ("a".repeat(32), "b".repeat(16));
    assert!(trace("00", &id, &parent));
    assert!(!trace("ff", &id, &parent) && !trace("00", &"0".repeat(32), &parent) && !trace("00", &id, &"0".repeat(16)));
    assert!(!trace("00", &"A".repeat(32), &parent) && !trace("0", &id, &parent));
}

#[test]
fn the_delivered_text_is_the_senders_with_delivery_last() {
    let text = "{ \"s\\u0065nder\" : \"a\", \"delivery\":{\"trust\":\"signed\"}, \"x\" : [1 , 2],\n\"recipient\":\"b\",\"payload\": {\"n\" : 1.0e2} , \"action\":\"x\"}";
    let message = message(text);
    let id = message.id().as_str();
    assert_eq!(
        string(&message.render_delivered(&delivery())),
        format!(
            "{{\"id\":\"{id}\",\"s\\u0065nder\":\"a\",\"x\":[1 , 2],\"recipient\":\"b\",\"payload\":{{\"n\" : 1.0e2}},\"action\":\"x\",\
             \"timestamp\":1763683200123,\"delivery\":{{\"acceptedAt\":7,\"attempt\":1,\"trust\":\"unsigned\",\"hops\":2,\
             \"correlationId\":\"{id}\",\"ticket\":\"t\"}}}}\n"
        )
    );
}

#[test]
fn hops_and_ticket_can_be_read_from_a_delivered_text() {
    let delivered = message(&string(&message(&with("")).render_delivered(&delivery())));
    let stated = delivered.stated_delivery_text().unwrap();
    assert_eq!((Delivery::stated_hops(stated), Delivery::stated_ticket(stated).as_deref()), (Some(2), Some("t")));
    assert_eq!(Delivery::stated_ticket("{\"ticket\":7}"), None);
    for other in ["{}", "[1]", "{\"hops\":-1}", "{\"hops\":\"2\"}", "no json"] {
        assert_eq!(Delivery::stated_hops(other), None, "{other}");
    }
}

#[test]
fn a_large_value_is_shared_and_not_copied() {
    let payload = format!("[\"{}\"]", "x".repeat(1 << 20));
    let message = message(&with(&format!(",\"payload\": {payload} ,\"priority\":1")));
    let delivered = message.render_delivered(&delivery());
    assert_eq!(delivered.shared_range(), message.payload_range().unwrap());
    assert_eq!(delivered.segments()[1].as_ptr(), message.payload_text().as_ptr());
    assert!(delivered.segments()[0].len() < 300 && delivered.segments()[2].len() < 300);
    assert_eq!(super::tests::message(&string(&delivered)).payload_text(), payload);
    let reply = reply(&message, ReplyBody::OfMessage);
    assert_eq!(reply.segments()[1].as_ptr(), message.payload_text().as_ptr());
    assert_eq!(super::tests::message(&string(&reply)).payload_text(), payload);
}

fn reply(message: &Message, body: ReplyBody<'_>) -> Rendered {
    let (responder, delivery) = (AgentId::parse("b").unwrap(), delivery());
    let id = MessageId::parse("r-1").unwrap();
    Reply { id, responder: &responder, action: message.action(), now_ms: 9, body, delivery: &delivery }.to(message)
}

#[test]
fn a_reply_answers() {
    let asked = message(&with(r#","payload":{"a" : 1}"#));
    assert_eq!(
        string(&reply(&asked, ReplyBody::OfMessage)),
        "{\"id\":\"r-1\",\"sender\":\"b\",\"recipient\":\"a\",\"action\":\"x.y\",\"inReplyTo\":\"m-1\",\"correlationId\":\"m-1\",\
         \"timestamp\":9,\"payload\":{\"a\" : 1},\"delivery\":{\"acceptedAt\":7,\"attempt\":1,\"trust\":\"unsigned\",\"hops\":2,\
         \"correlationId\":\"m-1\",\"ticket\":\"t\"}}\n"
    );
    let details = JsonText::parse(" [1] ").unwrap();
    assert_eq!(details.as_str(), "[1]");
    let error = ReplyError { code: Code::Denied, message: "no \"way\"\n", details: Some(&details) };
    let failed = message(&string(&reply(&message(&with("")), ReplyBody::Error(error))));
    let body = failed.error().unwrap();
    assert_eq!((&*body.code, &*body.message, failed.error_details_text()), ("denied", "no \"way\"\n", Some("[1]")));
    assert!(failed.is_reply());
    assert_eq!(message(&string(&reply(&message(&with("")), ReplyBody::OfMessage))).payload_text(), "null");
}

#[test]
fn an_error_reply_to_a_refused_text() {
    let (responder, delivery, action) =
        (AgentId::parse("postroom").unwrap(), delivery(), Action::parse("x.y").unwrap());
    let error = ReplyError { code: Code::InvalidMessage, message: "m", details: None };
    let reply = Reply {
        id: MessageId::parse("r-1").unwrap(),
        responder: &responder,
        action: &action,
        now_ms: 9,
        body: ReplyBody::Error(error),
        delivery: &delivery,
    };
    let answer = message(&string(&reply.to_refused(&refusal(&with(",\"priority\":-1")).envelope, error).unwrap()));
    assert_eq!((answer.recipient().to_string(), answer.in_reply_to().unwrap().as_str()), ("a".into(), "m-1"));
    let nameless = refusal(r#"{"sender":"a","recipient":"b"}"#);
    assert_eq!(message(&string(&reply.to_refused(&nameless.envelope, error).unwrap())).in_reply_to(), None);
    assert_eq!(reply.to_refused(&Salvage::default(), error), None);
}

#[test]
fn the_content_is_recipient_action_payload_and_what_it_answers() {
    let digest = |text: &str| message(text).content_digest();
    let base = digest(&with(r#","payload":1"#));
    assert_eq!(base, digest(&with(r#","payload": 1 ,"timestamp":5,"priority":1,"x":2,"delivery":3"#)));
    assert_eq!(base, digest(&with(r#","payload":1"#).replace("m-1", "m-2")));
    assert_eq!(digest(&with("")), digest(&with(r#","payload":null"#)));
    // A list of one is a message to one.
    assert_eq!(base, digest(&with(r#","payload":1"#).replace("\"b\"", "[\"b\"]")));
    let others = [
        with(r#","payload":1.0"#),
        with(""),
        with(r#","payload":1,"inReplyTo":"q""#),
        with(r#","error":{"code":"a","message":"b"}"#),
        with(r#","payload":{"code":"a","message":"b"}"#),
        with(r#","payload":1"#).replace("x.y", "x.z"),
        with(r#","payload":1"#).replace("\"b\"", "\"c\""),
        with(r#","payload":1"#).replace("\"b\"", "[\"b\",\"c\"]"),
        with(r#","payload":1"#).replace("\"b\"", "\"*\""),
    ];
    let mut digests: Vec<_> = others.iter().map(|text| digest(text).to_string()).collect();
    digests.push(base.to_string());
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), others.len() + 1);
    // Digests are remembered across versions of the program, so this one must never change.
    assert_eq!(base.to_string(), "239eccf51b20f0aa6b6ecc9e093cf6630857269fced664a9e927ec3752376327");
}

#[test]
fn a_long_payload_is_told_from_every_other_and_by_its_earlier_digest_too() {
    let long = |length: usize, last: char| with(&format!(r#","payload":"{}{last}""#, "x".repeat(length - 3)));
    let digest = |text: &str| message(text).content_digest().to_string();
    // One byte less than is long, and as many as are: a payload has two quotes.
    for length in [(16 << 10) - 1, 16 << 10, 3 << 20] {
        let (one, other) = (long(length, 'a'), long(length, 'b'));
        assert_eq!(message(&one).payload_text().len(), length);
        assert_ne!(digest(&one), digest(&other), "{length}");
        assert!(message(&one).has_content(&digest(&one)) && !message(&one).has_content(&digest(&other)), "{length}");
    }
    // As the first version of the program had it for this very message, and has it now.
    let earlier = "b2e5654499ec9880e1c7dafdf4c7dd789155732caa0405cb9a4ea135af9e9f52";
    let now = "73a921cd8c748fbe0b43c92e12d2f2bb74b51d7ac1b582d118dc66350e768b13";
    assert_eq!(digest(&long(16 << 10, 'a')), now);
    assert!(message(&long(16 << 10, 'a')).has_content(earlier) && message(&long(16 << 10, 'a')).has_content(now));
    assert!(!message(&long(16 << 10, 'b')).has_content(earlier) && !message(&long(1 << 10, 'a')).has_content(earlier));
}

fn execute(payload: &str) -> Message {
    message(&with(&format!(",\"payload\":{payload}")).replace("x.y", Envelope::EXECUTE))
}

#[test]
fn the_older_envelope_is_read_and_answered() {
    assert_eq!(Envelope::parse(&message(&with(""))), Ok(None));
    let asked = execute(r#"{"namespace":"math","command":"add","parameters":{"a" : 1.0},"requestId":"r\u00e4"}"#);
    let envelope = Envelope::parse(&asked).unwrap().unwrap();
    assert_eq!((envelope.action.as_str(), envelope.parameters_text(&asked)), ("math.add", "{\"a\" : 1.0}"));
    let response = |body: ReplyBody<'_>| envelope.response(&asked, &body).as_str().to_owned();
    assert_eq!(response(ReplyBody::OfMessage), r#"{"requestId":"r\u00e4","success":true,"result":{"a" : 1.0}}"#);
    let error = ReplyError { code: Code::Denied, message: "m", details: None };
    assert_eq!(
        response(ReplyBody::Error(error)),
        r#"{"requestId":"r\u00e4","success":false,"error":{"code":"denied","message":"m"}}"#
    );
    let bare = execute(r#"{"namespace":"math","command":"add"}"#);
    let envelope = Envelope::parse(&bare).unwrap().unwrap();
    assert_eq!(
        envelope.response(&bare, &ReplyBody::OfMessage).as_str(),
        r#"{"requestId":"m-1","success":true,"result":null}"#
    );
    for bad in [
        "1",
        "{}",
        r#"{"namespace":"a"}"#,
        r#"{"namespace":1,"command":"b"}"#,
        r#"{"namespace":"","command":"b"}"#,
        r#"{"namespace":"a","command":"b\u0000"}"#,
        r#"{"namespace":"a","command":"b","requestId":{}}"#,
    ] {
        let refusal = Envelope::parse(&execute(bad)).expect_err(bad);
        assert_eq!((refusal.code, refusal.envelope.id.unwrap().as_str()), (Code::InvalidMessage, "m-1"), "{bad}");
    }
}

/// Whatever we wrap a value in, the file that comes out must be one that we take.
#[test]
fn the_deepest_value_fits_wherever_it_is_put() {
    let depth = JsonText::MAX_DEPTH;
    let deep = "[".repeat(depth) + &"]".repeat(depth);
    assert!(JsonText::parse(format!("[{deep}]")).is_err());
    let value = JsonText::parse(deep).unwrap();
    let asked = execute(r#"{"namespace":"math","command":"add"}"#);
    let envelope = Envelope::parse(&asked).unwrap().unwrap();
    let error = ReplyError { code: Code::Denied, message: "m", details: Some(&value) };
    for body in [ReplyBody::Payload(&value), ReplyBody::Error(error)] {
        message(&string(&reply(&asked, body.clone())));
        let response = envelope.response(&asked, &body);
        message(&string(&reply(&asked, ReplyBody::Payload(&response))));
    }
    let deepest = "[".repeat(MAX_DEPTH - 2) + &"]".repeat(MAX_DEPTH - 2);
    let asked = execute(&format!(r#"{{"namespace":"math","command":"add","parameters":{deepest}}}"#));
    let envelope = Envelope::parse(&asked).unwrap().unwrap();
    message(&string(&reply(&asked, ReplyBody::Payload(&envelope.response(&asked, &ReplyBody::OfMessage)))));
}

proptest! {
    #[test]
    fn a_payload_comes_back_byte_for_byte(payload in super::json::tests::any_json(), extra in super::json::tests::any_json()) {
        let payload = serde_json::to_string_pretty(&payload).unwrap();
        let message = message(&with(&format!(",\"extra\": {extra},\"payload\" : {payload} ")));
        prop_assert_eq!(message.payload_text(), &payload);
        let delivered = super::tests::message(&string(&message.render_delivered(&delivery())));
        prop_assert_eq!(delivered.payload_text(), &payload);
        let extras: Vec<_> = delivered.extras().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        prop_assert_eq!(extras, [("\"extra\"".to_owned(), extra.to_string())]);
        let answer = super::tests::message(&string(&reply(&message, ReplyBody::OfMessage)));
        prop_assert_eq!(answer.payload_text(), &payload);
    }

    #[test]
    fn render_then_parse_keeps_every_field(
        sender in "[A-Za-z0-9][A-Za-z0-9_-]{0,20}0", action in "\\PC{1,60}", id in prop::option::of("[a-z0-9][A-Z_-]{0,20}0"),
        recipients in prop::collection::btree_set("[a-z][a-z0-9_-]{0,9}0", 1..6), time in prop::option::of(0..=json::MAX_INTEGER),
        priority in prop::option::of(0..=9u8), answers in prop::option::of("[a-z]{4}"), expires in prop::option::of(0..1_000_000u64),
    ) {
        prop_assume!(AgentId::parse(&sender).is_ok() && recipients.iter().all(|agent| AgentId::parse(agent).is_ok()));
        let mut value = serde_json::json!({ "sender": sender, "recipient": recipients, "action": action, "payload": [] });
        let mut set = |key: &str, to: Option<serde_json::Value>| to.into_iter().for_each(|to| value[key] = to);
        set("id", id.map(Into::into));
        set("timestamp", time.map(Into::into));
        set("priority", priority.map(Into::into));
        set("inReplyTo", answers.map(Into::into));
        set("expiresAt", expires.map(Into::into));
        let first = message(&value.to_string());
        let second = Message::parse(
            string(&first.render_delivered(&delivery())), Given { file_identity: (0, 0), now_ms: 0 }
        ).unwrap();
        prop_assert_eq!((first.id(), first.timestamp()), (second.id(), second.timestamp()));
        prop_assert_eq!((first.sender(), first.recipient(), first.action()), (second.sender(), second.recipient(), second.action()));
        prop_assert_eq!(first.in_reply_to(), second.in_reply_to());
        prop_assert_eq!((first.priority(), first.expires_at()), (second.priority(), second.expires_at()));
        prop_assert_eq!(first.content_digest(), second.content_digest());
    }

    #[test]
    fn any_bytes_give_a_message_or_a_refusal(
        place in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 0..6), cut in 0..12usize
    ) {
        let mut text = with(r#","recipient2":["a","b"],"timestamp":12,"error":{"code":"a","message":"b"},"inReplyTo":"q""#).into_bytes();
        let at = place.index(text.len());
        text.splice(at..(at + cut).min(text.len()), bytes);
        match Message::parse(text.clone(), GIVEN) {
            Ok(message) => {
                let delivered = Message::parse(message.render_delivered(&delivery()).to_vec(), GIVEN);
                prop_assert_eq!(delivered.unwrap().content_digest(), message.content_digest());
            }
            Err(refusal) => prop_assert!(matches!(refusal.code, Code::MalformedJson | Code::InvalidMessage)),
        }
    }
}
