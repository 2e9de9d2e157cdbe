//! `ext-text`: counting, picking by JSON Pointer, merging.

use postroom::extension::{Configuration, ExtensionHost};

use super::guests::{answer, host_with, refused};
use super::replied;

async fn host() -> ExtensionHost {
    host_with(&["ext-text"], &Configuration::default()).await
}

#[tokio::test]
async fn counts() {
    let host = host().await;
    for (payload, counts) in [
        (r#""two words""#, r#"{"characters":9,"words":2,"lines":1,"bytes":9}"#),
        (r#""""#, r#"{"characters":0,"words":0,"lines":0,"bytes":0}"#),
        (r#""\u00e4 \ud83d\ude00\r\n\n last""#, r#"{"characters":11,"words":3,"lines":3,"bytes":15}"#),
        (
            r#"{"a/b":["one",2,null,{"~":"two words"}],"none":{}}"#,
            concat!(
                r#"{"total":{"characters":12,"words":3,"lines":2,"bytes":12},"at":{"#,
                r#""/a~1b/0":{"characters":3,"words":1,"lines":1,"bytes":3},"#,
                r#""/a~1b/3/~0":{"characters":9,"words":2,"lines":1,"bytes":9}}}"#
            ),
        ),
        ("[]", r#"{"total":{"characters":0,"words":0,"lines":0,"bytes":0},"at":{}}"#),
    ] {
        assert_eq!(replied(answer(&host, "ext-text", "text.count", payload).await), counts, "{payload}");
    }
    for payload in ["null", "17", "true"] {
        assert_eq!(
            refused(answer(&host, "ext-text", "text.count", payload).await),
            ("wrong-payload".into(), "the payload must be a string, or an object or array with strings in it".into())
        );
    }
}

/// The examples of RFC 6901, section 5.
#[tokio::test]
async fn picks_as_the_rfc_says() {
    let host = host().await;
    let document = r#"{"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, "k\"l": 6, " ": 7, "m~n": 8}"#;
    for (pointer, value) in [
        ("", document),
        ("/foo", r#"["bar", "baz"]"#),
        ("/foo/0", r#""bar""#),
        ("/", "0"),
        ("/a~1b", "1"),
        ("/c%d", "2"),
        ("/e^f", "3"),
        ("/g|h", "4"),
        (r"/i\\j", "5"),
        (r#"/k\"l"#, "6"),
        ("/ ", "7"),
        ("/m~0n", "8"),
    ] {
        let payload = format!(r#"{{"from":{document},"at":"{pointer}"}}"#);
        assert_eq!(replied(answer(&host, "ext-text", "json.pick", &payload).await), value, "{pointer}");
    }
}

#[tokio::test]
async fn picks_byte_for_byte_and_under_names() {
    let host = host().await;
    let pick = async |payload: &str| replied(answer(&host, "ext-text", "json.pick", payload).await);
    assert_eq!(
        pick(r#"{"from":{"x":[1.00, {"a":1e400,"\u0041":"\/"}]},"at":"/x/1"}"#).await,
        r#"{"a":1e400,"\u0041":"\/"}"#
    );
    assert_eq!(
        pick(
            r#"{"from":{"user":{"name":"Ada"},"tags":["x","y"]},"at":{"who":"/user/name","second \"tag\"":"/tags/1"}}"#
        )
        .await,
        r#"{"who":"Ada","second \"tag\"":"y"}"#
    );
    assert_eq!(pick(r#"{"from":null,"at":{}}"#).await, "{}");
}

#[tokio::test]
async fn says_what_is_there_where_a_pointer_leads_nowhere() {
    let host = host().await;
    let refusal = async |payload: &str| refused(answer(&host, "ext-text", "json.pick", payload).await);
    for (payload, text) in [
        (
            r#"{"from":{"a":{"b":1,"c":2}},"at":"/a/d/e"}"#,
            "`/a/d/e` leads nowhere: at `/a` is an object with `b`, `c`, without `d`",
        ),
        (r#"{"from":[1,2],"at":"/2"}"#, "`/2` leads nowhere: at `` is an array of 2, without `2`"),
        (r#"{"from":[1,2],"at":"/01"}"#, "`/01` leads nowhere: at `` is an array of 2, without `01`"),
        (r#"{"from":[1,2],"at":"/-"}"#, "`/-` leads nowhere: at `` is an array of 2, without `-`"),
        (
            r#"{"from":{"a":"x"},"at":"/a/0"}"#,
            "`/a/0` leads nowhere: at `/a` is neither an object nor an array, without `0`",
        ),
    ] {
        assert_eq!(refusal(payload).await, ("nothing-there".into(), text.into()));
    }
    for pointer in ["a", "/~", "/~2"] {
        let payload = format!(r#"{{"from":{{}},"at":"{pointer}"}}"#);
        assert_eq!(refusal(&payload).await.0, "not-a-pointer", "{pointer}");
    }
    for payload in ["null", r#"{"from":1}"#, r#"{"from":1,"at":1}"#, r#"{"from":1,"at":{"x":1}}"#] {
        let (code, text) = refusal(payload).await;
        assert_eq!(code, "wrong-payload");
        assert!(text.starts_with("the payload must be {\"from\": any value, \"at\": "), "{text}");
    }
}

/// The examples of RFC 7396, appendix A.
#[tokio::test]
async fn merges_as_the_rfc_says() {
    let host = host().await;
    for (target, patch, merged) in [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, r#"{}"#),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
        (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
        (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
        (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
        (r#"{"a":"foo"}"#, "null", "null"),
        (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
        (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
        ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
        ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        // Numbers keep their digits.
        (r#"{"x":1.00,"y":1e+400}"#, r#"{"z":-0}"#, r#"{"x":1.00,"y":1e+400,"z":-0}"#),
    ] {
        let payload = format!(r#"{{"target":{target},"patch":{patch}}}"#);
        assert_eq!(replied(answer(&host, "ext-text", "json.merge", &payload).await), merged, "{payload}");
    }
    assert_eq!(refused(answer(&host, "ext-text", "json.merge", r#"{"target":1}"#).await).0, "wrong-payload");
}
