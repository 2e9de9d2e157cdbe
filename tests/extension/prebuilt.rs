//! The extensions that come with postroom, as they are committed.

use std::collections::BTreeMap;
use std::path::Path;

use postroom::extension::Limits;
use postroom::extension::analysis::analyse;
use postroom::message::{Code, Retry};
use sha2::{Digest, Sha256};

use super::mock::{component, described, replying};
use super::{call, failed, handle, load, replied};

const EXTENSIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/extensions");

#[test]
fn the_components_are_those_that_were_built_from_these_sources() {
    let folder = Path::new(EXTENSIONS);
    let sums = std::fs::read_to_string(folder.join("prebuilt/SHA256SUMS")).unwrap();
    assert!(sums.contains(" prebuilt/ext-sum.wasm") && sums.contains(" ext-sum/src/lib.rs"));
    for line in sums.lines() {
        let (sum, file) = line.split_once("  ").unwrap();
        let bytes = std::fs::read(folder.join(file)).unwrap();
        let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, sum, "{file} has changed: run scripts/build-guests");
    }
}

#[tokio::test]
async fn ext_sum_adds() {
    let (host, broken) = load(&Path::new(EXTENSIONS).join("prebuilt"), &Limits::default()).await;
    assert_eq!(broken, []);
    let package = host.package("ext-sum").unwrap();
    assert_eq!(package.about.version, "1.0.0");
    assert_eq!(package.about.actions, ["math.add"]);
    assert_eq!(package.about.capabilities, ["math"]);

    for (payload, sum) in [
        (r#"{"a":2,"b":3}"#, "5"),
        (r#"{"a":-2,"b":2,"more":[]}"#, "0"),
        (r#"{"a":9007199254740990,"b":1}"#, "9007199254740991"),
        (r#"{"a":0.5,"b":1}"#, "1.5"),
    ] {
        assert_eq!(replied(handle(&host, "ext-sum", call(payload)).await), sum, "{payload}");
    }
    for payload in ["null", "{}", r#"{"a":"2","b":3}"#, r#"{"a":2}"#] {
        let failure = failed(handle(&host, "ext-sum", call(payload)).await);
        assert_eq!((failure.code, failure.retry), (Code::HandlerFailed, Retry::Final), "{payload}");
        assert_eq!(failure.details.unwrap().as_str(), r#"{"code":"wrong-payload"}"#);
    }
    let mut subtract = call(r#"{"a":2,"b":3}"#);
    subtract.message.action = "math.subtract";
    let failure = failed(handle(&host, "ext-sum", subtract).await);
    assert_eq!(failure.message, "`math.subtract` is not an action of ext-sum; it knows `math.add`");
}

/// The starter was built from `wit/`, the mocks were written by hand.
#[test]
fn the_mocks_of_these_tests_have_the_types_of_the_contract() {
    let types = |component: &[u8]| {
        let exports = analyse(component).unwrap().exports;
        exports.into_iter().map(|interface| (interface.name, interface.functions)).collect::<BTreeMap<_, _>>()
    };
    let starter = types(&std::fs::read(Path::new(EXTENSIONS).join("prebuilt/ext-sum.wasm")).unwrap());
    assert_eq!(starter.len(), 2);
    assert_eq!(types(&component("", &[replying("1"), described("1", "a.b", "c")])), starter);
}
