//! `ext-add` in Rust and `ext-js` in JavaScript: each answers with the library of the other.

use std::sync::Arc;

use postroom::extension::{Configuration, ExtensionHost, Lifetime, Terms};
use postroom::policy::grants::{Grant, Grants};

use super::guests::{answer, bytes_of, host_with, refused};
use super::{Folder, load_with, replied};

/// Both may call others by name.
fn trusting() -> Configuration {
    Configuration::with_terms(Terms { grants: Grants::of(&Grant::ALL), ..Terms::default() })
}

async fn pair() -> ExtensionHost {
    host_with(&["ext-add", "ext-js"], &trusting()).await
}

#[tokio::test]
async fn two_and_three_are_five_from_rust_through_javascript() {
    let host = pair().await;
    for (payload, sum) in [
        (r#"{"a":2,"b":3}"#, "5"),
        (r#"{"a":0.1,"b":0.2}"#, "0.30000000000000004"),
        (r#"{"a":9007199254740990,"b":1}"#, "9007199254740991"),
        (r#"{"a":-1e308,"b":0}"#, "-1e+308"),
    ] {
        assert_eq!(replied(answer(&host, "ext-add", "math.add", payload).await), sum, "{payload}");
    }
    assert_eq!(refused(answer(&host, "ext-add", "math.add", r#"{"a":1e308,"b":1e308}"#).await).0, "out-of-range");
    assert_eq!(refused(answer(&host, "ext-add", "math.add", r#"{"a":2}"#).await).0, "wrong-payload");
}

#[tokio::test]
async fn two_and_three_are_five_from_javascript_through_rust() {
    let host = pair().await;
    assert_eq!(replied(answer(&host, "ext-js", "math.add", r#"{"a":2,"b":3}"#).await), "5");
    assert_eq!(refused(answer(&host, "ext-js", "math.add", "null").await).0, "wrong-payload");
    assert_eq!(refused(answer(&host, "ext-js", "math.sub", "null").await).0, "unknown-action");
}

/// What is imported must be there; what is invoked may be missing until it is called.
#[tokio::test]
async fn one_without_the_other() {
    let folder = Folder::new();
    folder.put("ext-add.wasm", bytes_of("ext-add"));
    let (_, broken) = load_with(folder.0.path(), &trusting()).await;
    assert_eq!(broken.len(), 1);
    assert!(broken[0].reason.contains("postroom-examples:ext-js/lib"), "{}", broken[0].reason);

    let host = host_with(&["ext-js"], &trusting()).await;
    let (code, text) = refused(answer(&host, "ext-js", "math.add", r#"{"a":2,"b":3}"#).await);
    assert_eq!(code, "unknown-extension");
    assert!(text.contains("ext-add"), "{text}");
}

#[tokio::test]
async fn calling_by_name_must_be_granted() {
    let folder = Folder::new();
    folder.put("ext-js.wasm", bytes_of("ext-js"));
    let (_, broken) = load_with(folder.0.path(), &Configuration::default()).await;
    assert_eq!(broken.len(), 1);
    assert!(broken[0].reason.contains("grants = [\"invoke\"]"), "{}", broken[0].reason);
}

/// Nothing of one message is seen by the next, and nothing is used up.
#[tokio::test]
async fn instances_that_are_reused_answer_like_fresh_ones() {
    let terms = Terms { grants: Grants::of(&Grant::ALL), lifetime: Lifetime::Reused { uses: 7 }, ..Terms::default() };
    let host = Arc::new(host_with(&["ext-add", "ext-js", "ext-crc"], &Configuration::with_terms(terms)).await);
    for round in 0..30 {
        let payload = format!(r#"{{"a":{round},"b":1}}"#);
        assert_eq!(replied(answer(&host, "ext-add", "math.add", &payload).await), (round + 1).to_string());
        assert_eq!(replied(answer(&host, "ext-crc", "hash.crc32", "\"123456789\"").await), "\"cbf43926\"");
    }
}

/// Many messages at once, over several threads, in one chain of two languages.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once() {
    let host = Arc::new(pair().await);
    let calls = (0..64).map(|n| {
        let host = Arc::clone(&host);
        tokio::spawn(async move {
            let name = if n % 2 == 0 { "ext-add" } else { "ext-js" };
            let payload = format!(r#"{{"a":{n},"b":0.5}}"#);
            (n, replied(answer(&host, name, "math.add", &payload).await))
        })
    });
    for call in calls.collect::<Vec<_>>() {
        let (n, sum) = call.await.unwrap();
        assert_eq!(sum, format!("{n}.5"));
    }
}
