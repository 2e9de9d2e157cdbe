//! `bus`, as a component sees it: messages that go out with the commit, and calls within the attempt.

use std::sync::Arc;

use postroom::extension::{Attempted, ExtensionHost};
use postroom::message::{Given, Message, Recipient};

use super::guest::{BUS, Guest, STATE, UNLESS_REFUSED};
use super::{Around, all_loaded, attempt, loaded, own_code};
use crate::mock::at;
use crate::{failed, replied};

const BUS_FOR_ALL: &str = "extensions.grants = [\"bus\", \"state\"]";

/// Sends a message, then answers by these instructions.
fn sender(recipient: &str, action: &str, payload: &str, answer: impl Fn(&mut Guest) -> String) -> Vec<u8> {
    let mut guest = Guest::new().importing(&BUS);
    let (send, answer) = (guest.sending(recipient, action, payload), answer(&mut guest));
    guest.handling(&format!("{send} {answer}")).component()
}

fn null(guest: &mut Guest) -> String {
    format!("(call $ok {})", guest.text("null"))
}

fn failing(guest: &mut Guest) -> String {
    format!("(call $err {})", guest.text("changed-my-mind"))
}

/// Has somebody else handle a message, and answers with whatever came of that.
fn caller(recipient: &str, action: &str, payload: &str) -> Vec<u8> {
    let mut guest = Guest::new().importing(&BUS);
    let texts = [recipient, action, payload].map(|text| guest.text(text));
    guest.handling(&format!("(call $bus.call {} (i32.const 512)) (i32.const 512)", texts.join(" "))).component()
}

/// Has somebody else handle a message, does not care how that ends, and sends one of its own.
fn careless_caller(recipient: &str) -> Vec<u8> {
    let mut guest = Guest::new().importing(&BUS);
    let texts = [recipient, "a.b", "1"].map(|text| guest.text(text));
    let (send, null) = (guest.sending("agent", "kept", "1"), null(&mut guest));
    guest.handling(&format!("(call $bus.call {} (i32.const 512)) {send} {null}", texts.join(" "))).component()
}

async fn tried(host: &ExtensionHost, name: &str) -> Attempted {
    attempt(host, name, "1", &Arc::default()).await
}

/// Sender and action of everything that was sent.
fn sent(attempted: &Attempted) -> Vec<(String, String)> {
    let parsed = attempted.effects.sent.iter().map(|sent| {
        let message = Message::parse(sent.text.as_str(), Given { file_identity: (0, 0), now_ms: 0 }).unwrap();
        assert_eq!((message.sender().as_str(), message.id()), (sent.sender.as_str(), &sent.id));
        (sent.sender.clone(), message.action().as_str().to_owned())
    });
    parsed.collect()
}

fn owned(sent: &[(&str, &str)]) -> Vec<(String, String)> {
    sent.iter().map(|(sender, action)| ((*sender).to_owned(), (*action).to_owned())).collect()
}

#[tokio::test]
async fn what_is_sent_is_in_the_effects_of_the_attempt() {
    let host = all_loaded(BUS_FOR_ALL, &[("it", sender("agent", "a.b", "{\"x\":1.0}", null))]).await;
    let attempted = tried(&host, "it").await;
    assert_eq!(replied(attempted.handled.clone()), "null");
    let [one] = attempted.effects.sent.as_slice() else { panic!("one is sent") };
    let message = Message::parse(one.text.as_str(), Given { file_identity: (0, 0), now_ms: 0 }).unwrap();
    assert_eq!(*message.recipient(), Recipient::One("agent".parse().unwrap()));
    assert_eq!((message.sender().as_str(), message.payload_text()), ("it", "{\"x\":1.0}"));
    // Each message has an id of its own.
    assert_ne!(tried(&host, "it").await.effects.sent[0].id, one.id);
}

#[tokio::test]
async fn an_attempt_that_fails_has_sent_nothing() {
    let host = all_loaded(BUS_FOR_ALL, &[("it", sender("agent", "a.b", "1", failing))]).await;
    let attempted = tried(&host, "it").await;
    assert_eq!(own_code(attempted.handled), "changed-my-mind");
    assert_eq!(attempted.effects, Default::default());
}

#[tokio::test]
async fn what_is_no_message_is_refused_before_it_is_sent() {
    for (recipient, action, payload) in [("../x", "a", "1"), ("agent", "", "1"), ("agent", "a", "1,\"sender\":\"x\"")] {
        let host = all_loaded(BUS_FOR_ALL, &[("it", sender(recipient, action, payload, null))]).await;
        assert_eq!(own_code(tried(&host, "it").await.handled), "invalid-message", "{recipient} {action} {payload}");
    }
}

#[tokio::test]
async fn a_loop_that_sends_comes_to_an_end() {
    let mut guest = Guest::new().importing(&BUS);
    let send = guest.sending("agent", "a.b", "1");
    let host = all_loaded(
        BUS_FOR_ALL,
        &[("it", guest.handling(&format!("(loop $again {send} (br $again)) (unreachable)")).component())],
    )
    .await;
    let attempted = tried(&host, "it").await;
    assert_eq!(own_code(attempted.handled), "resource-limit");
}

#[tokio::test]
async fn a_call_within_the_attempt_brings_the_reply_and_its_effects() {
    let components = [("it", caller("other", "a.b", "1")), ("other", sender("agent", "from.other", "1", null))];
    let host = all_loaded(BUS_FOR_ALL, &components).await;
    let attempted = tried(&host, "it").await;
    assert_eq!(replied(attempted.handled.clone()), "null");
    assert_eq!(sent(&attempted), owned(&[("other", "from.other")]));
}

#[tokio::test]
async fn the_other_one_sees_who_calls_and_with_what() {
    let echo = |place: u32| {
        let body =
            format!("(call $ok (i32.load offset={place} (local.get 0)) (i32.load offset={} (local.get 0)))", place + 4);
        Guest::new().handling(&body).component()
    };
    // Names and actions that are JSON can be replied as they are.
    for (place, expected) in [(at::SENDER, "1"), (at::RECIPIENT, "2"), (at::ACTION, "7"), (at::PAYLOAD, "[8]")] {
        let host =
            all_loaded("extension.1.grants = [\"bus\"]", &[("1", caller("2", "7", "[8]")), ("2", echo(place))]).await;
        assert_eq!(replied(tried(&host, "1").await.handled), expected);
    }
}

#[tokio::test]
async fn of_a_nested_call_that_fails_nothing_stays_but_its_caller_goes_on() {
    let mut guest = Guest::new().importing(&BUS).importing(&STATE);
    let (send, key, fail) = (guest.sending("agent", "lost", "1"), guest.text("k"), failing(&mut guest));
    let set = format!("(call $state.set {key} {key} (i32.const 512)) {UNLESS_REFUSED}");
    let failing = guest.handling(&format!("{send} {set} {fail}")).component();
    let trapping = sender("agent", "lost", "1", |_| "(unreachable)".into());
    for other in [failing, trapping] {
        let host = all_loaded(BUS_FOR_ALL, &[("it", careless_caller("other")), ("other", other)]).await;
        let attempted = tried(&host, "it").await;
        assert_eq!(replied(attempted.handled.clone()), "null");
        assert_eq!(sent(&attempted), owned(&[("it", "kept")]));
        assert!(attempted.effects.written.is_empty());
    }
}

#[tokio::test]
async fn the_failure_of_the_other_one_comes_with_its_code() {
    let mut guest = Guest::new();
    let fail = failing(&mut guest);
    let host =
        all_loaded(BUS_FOR_ALL, &[("it", caller("other", "a.b", "1")), ("other", guest.handling(&fail).component())])
            .await;
    assert_eq!(own_code(tried(&host, "it").await.handled), "changed-my-mind");
}

#[tokio::test]
async fn who_calls_nobody_that_could_answer_is_told_so() {
    for (recipient, action, payload, code) in [
        ("agent", "a.b", "1", "not-an-extension"),
        ("othe", "a.b", "1", "not-an-extension"),
        ("../x", "a.b", "1", "unknown-recipient"),
        ("*", "a.b", "1", "unknown-recipient"),
        ("other", "", "1", "invalid-message"),
        ("other", "a.b", "{\"a\":1,\"a\":2}", "invalid-message"),
    ] {
        let host =
            all_loaded(BUS_FOR_ALL, &[("it", caller(recipient, action, payload)), ("other", super::quiet())]).await;
        assert_eq!(own_code(tried(&host, "it").await.handled), code, "{recipient} {action} {payload}");
    }
}

#[tokio::test]
async fn an_extension_that_is_at_work_is_not_entered_again() {
    let host = all_loaded(BUS_FOR_ALL, &[("it", caller("it", "a.b", "1"))]).await;
    assert_eq!(own_code(tried(&host, "it").await.handled), "re-entry");
    let host =
        all_loaded(BUS_FOR_ALL, &[("it", caller("other", "a.b", "1")), ("other", caller("it", "a.b", "1"))]).await;
    let failure = failed(tried(&host, "it").await.handled);
    assert!(failure.message.contains("it -> other -> it"), "{}", failure.message);
}

#[tokio::test]
async fn calls_within_each_other_have_a_depth() {
    let name = |number: usize| format!("e{number}");
    let components: Vec<(String, Vec<u8>)> = (0..17)
        .map(|number| match number {
            16 => (name(16), super::quiet()),
            _ => (name(number), caller(&name(number + 1), "a.b", "1")),
        })
        .collect();
    let components: Vec<(&str, Vec<u8>)> =
        components.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    let host = all_loaded(BUS_FOR_ALL, &components).await;
    assert_eq!(own_code(tried(&host, "e0").await.handled), "too-deep");
    assert_eq!(replied(tried(&host, "e1").await.handled), "null");
}

#[tokio::test]
async fn the_service_itself_can_be_called() {
    let around = Arc::new(Around::default());
    let ask = |action: &'static str, payload: &'static str| {
        let around = around.clone();
        async move {
            let host = all_loaded(BUS_FOR_ALL, &[("it", caller("postroom", action, payload))]).await;
            attempt(&host, "it", "1", &around).await.handled
        }
    };
    assert_eq!(replied(ask("mcp.core.echo", " [1.0] ").await), "[1.0]");
    assert_eq!(replied(ask("mcp.core.ping", "null").await), "{\"now\":1}");
    assert_eq!(around.asked(), ["it mcp.core.echo [1.0]", "it mcp.core.ping null"]);
    // What a refused command would have changed is forgotten.
    assert_eq!(own_code(ask("mcp.core.register", "{}").await), "not-permitted");
    assert_eq!(around.asked().len(), 2);
}

#[tokio::test]
async fn a_grant_stays_with_the_one_that_has_it() {
    let mut library = Guest::new().importing(&BUS);
    let (send, answer) = (library.sending("agent", "from.library", "1"), null(&mut library));
    // The function that it exports returns nothing, so also not a refusal.
    let send_only = send.replace(UNLESS_REFUSED, "");
    let library = library.exporting("t:side/lib@1.0.0", "", &[("act", "", &send_only)]).handling(&answer).component();
    let mut user =
        Guest::new().importing_functions("t:side/lib@1.0.0", "side", "(export \"act\" (func))", &[("act", "")]);
    let answer = null(&mut user);
    let user = user.handling(&format!("(call $side.act) {answer}")).component();
    let settings = "extension.library.grants = [\"bus\"]";
    let host = all_loaded(settings, &[("library", library), ("user", user)]).await;
    let attempted = tried(&host, "user").await;
    assert_eq!(replied(attempted.handled.clone()), "null");
    assert_eq!(sent(&attempted), owned(&[("library", "from.library")]));
}

#[tokio::test]
async fn without_a_message_nothing_is_sent_or_called() {
    for call in [true, false] {
        let mut guest = Guest::new().importing(&BUS);
        let texts = ["postroom", "mcp.core.ping", "1"].map(|text| guest.text(text));
        let init = match call {
            true => format!("(call $bus.call {} (i32.const 512)) (i32.const 512)", texts.join(" ")),
            false => format!("{} (i32.const 512)", guest.sending("agent", "a.b", "1")),
        };
        let answer = null(&mut guest);
        let component = guest.initialising(&init).handling(&answer).component();
        let (_, broken) = loaded(BUS_FOR_ALL, &[("it", component)]).await;
        let [it] = broken.as_slice() else { panic!("it is loaded") };
        assert!(it.reason.contains("no message is being handled"), "{}", it.reason);
    }
}
