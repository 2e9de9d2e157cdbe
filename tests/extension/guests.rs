//! The real guests at work. They are the committed ones, or those in the folder that `POSTROOM_GUESTS` names: so CI runs these tests
//! with guests that it has just built.

use std::path::PathBuf;

use postroom::extension::{Configuration, ExtensionHost};
use postroom::message::{Code, Failure, Handled, Retry};

use super::{Folder, call, failed, handle, load_with, replied};

/// Every guest that is committed.
pub const NAMES: [&str; 6] = ["ext-add", "ext-crc", "ext-js", "ext-notes", "ext-sum", "ext-text"];

pub fn bytes_of(name: &str) -> Vec<u8> {
    let folder = std::env::var_os("POSTROOM_GUESTS").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/extensions/prebuilt")));
    let path = folder.join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A host with these guests, all of them sound.
pub async fn host_with(names: &[&str], configuration: &Configuration) -> ExtensionHost {
    let folder = Folder::new();
    for name in names {
        folder.put(&format!("{name}.wasm"), bytes_of(name));
    }
    let (host, broken) = load_with(folder.0.path(), configuration).await;
    assert_eq!(broken, []);
    host
}

pub async fn answer(host: &ExtensionHost, name: &str, action: &str, payload: &str) -> Handled {
    let mut call = call(payload);
    call.message.action = action;
    call.message.recipient = name;
    handle(host, name, call).await
}

/// The extension's own code, and its text; it must have called the failure final.
pub fn refused(handled: Handled) -> (String, String) {
    let Failure { code, message, details, retry } = failed(handled);
    assert_eq!((code, retry), (Code::HandlerFailed, Retry::Final), "{message}");
    let details: serde_json::Value = serde_json::from_str(details.unwrap().as_str()).unwrap();
    (details["code"].as_str().unwrap().to_owned(), message)
}

#[tokio::test]
async fn ext_sum_adds() {
    let host = host_with(&["ext-sum"], &Configuration::default()).await;
    let about = &host.package("ext-sum").unwrap().about;
    assert_eq!((about.version.as_str(), about.actions.as_slice()), ("1.0.0", &["math.add".to_owned()][..]));
    assert_eq!(about.capabilities, ["math"]);
    for (payload, sum) in [
        (r#"{"a":2,"b":3}"#, "5"),
        (r#"{"a":-2,"b":2,"more":[]}"#, "0"),
        (r#"{"a":9007199254740990,"b":1}"#, "9007199254740991"),
        (r#"{"a":0.5,"b":1}"#, "1.5"),
    ] {
        assert_eq!(replied(answer(&host, "ext-sum", "math.add", payload).await), sum, "{payload}");
    }
    for payload in ["null", "{}", r#"{"a":"2","b":3}"#, r#"{"a":2}"#] {
        assert_eq!(refused(answer(&host, "ext-sum", "math.add", payload).await).0, "wrong-payload");
    }
    let (code, text) = refused(answer(&host, "ext-sum", "math.subtract", r#"{"a":2,"b":3}"#).await);
    assert_eq!(code, "unknown-action");
    assert_eq!(text, "`math.subtract` is not an action of ext-sum; it knows `math.add`");
}

#[tokio::test]
async fn ext_crc_sums_up_texts() {
    let host = host_with(&["ext-crc"], &Configuration::default()).await;
    for (payload, crc) in [
        ("\"123456789\"", "\"cbf43926\""),
        ("\"\"", "\"00000000\""),
        // The same text, escaped and not: what counts is the text.
        (r#""\u00e4\ud83d\ude00\n\"\/""#, "\"ccd1785f\""),
        ("\"ä😀\\u000a\\u0022/\"", "\"ccd1785f\""),
    ] {
        assert_eq!(replied(answer(&host, "ext-crc", "hash.crc32", payload).await), crc, "{payload}");
    }
    let long = format!("\"{}\"", "a".repeat(3 << 20));
    assert_eq!(replied(answer(&host, "ext-crc", "hash.crc32", &long).await), "\"996961ed\"");
    assert_eq!(refused(answer(&host, "ext-crc", "hash.crc32", "5").await).0, "wrong-payload");
    assert_eq!(refused(answer(&host, "ext-crc", "hash.md5", "\"\"").await).0, "unknown-action");
}
