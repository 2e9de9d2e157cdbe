use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;

fn kind_of(bytes: &[u8]) -> Result<Outline, ErrorKind> {
    match scan_bytes(bytes.to_vec(), MAX_DEPTH) {
        Ok((text, outline)) => {
            assert_eq!(text.as_bytes(), bytes, "the text comes back as it was");
            Ok(outline)
        }
        Err((back, stopped)) => {
            assert_eq!(back, bytes, "the bytes come back as they were");
            assert!(stopped.error.offset <= bytes.len());
            Err(stopped.error.kind)
        }
    }
}

fn refused(text: &str) -> ErrorKind {
    kind_of(text.as_bytes()).expect_err(text)
}

fn is_incomplete(bytes: &[u8]) -> bool {
    matches!(kind_of(bytes), Err(ErrorKind::Incomplete(_)))
}

#[test]
fn takes_every_form_of_value() {
    for text in [
        "{}",
        "[]",
        " [ ] ",
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1.0",
        "1e400",
        "-1.5E+3",
        "\"\"",
        r#""\ud83d\ude00\/\u0000""#,
        "9007199254740991",
        "-9007199254740991",
        "9007199254740993.0",
        "123456789012345678901234567890e0",
        "{\"a\":[1,{\"b\":null}],\"b\":{\"a\":1}}",
        "\t\r\n{ \"a\" : 1 , \"b\" : [ 1 , 2 ] }\n",
        "\"\u{7f}\u{2028}ä😀\"",
    ] {
        kind_of(text.as_bytes()).expect(text);
    }
}

#[test]
fn outlines_the_outermost_container() {
    let text = r#" {"a": [1, {"x":"}"}] , "b\u0041":-1.50} "#;
    let outline = scan(text, MAX_DEPTH).unwrap();
    let parts = |text| outline.members.iter().map(move |m: &Member| (m.key.of(text), m.value.of(text), m.kind));
    assert_eq!(
        parts(text).collect::<Vec<_>>(),
        [("\"a\"", r#"[1, {"x":"}"}]"#, Kind::Array), (r#""b\u0041""#, "-1.50", Kind::Number)]
    );
    assert_eq!(outline.span.of(text), text.trim());
    let list = scan(r#"["a",[],null]"#, MAX_DEPTH).unwrap();
    assert_eq!(list.members.iter().map(|m| m.kind).collect::<Vec<_>>(), [Kind::String, Kind::Array, Kind::Null]);
}

#[test]
fn names_each_mistake() {
    let syntax = [
        "{,}",
        "[,]",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "['a']",
        "[1 2]",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "[01]",
        "[-]",
        "[1.]",
        "[.5]",
        "[+1]",
        "[1e]",
        "[1e+]",
        "[True]",
        "[nul]",
        "[truf]",
        "[undefined]",
        "[// x\n1]",
        "[\"\\x\"]",
        "[\"\\u12g4\"]",
        "]",
        "}",
        "[}",
        "{]",
        "{\"a\":]}",
        "{1:2}",
        "[0x10]",
    ];
    for text in syntax {
        assert!(matches!(refused(text), ErrorKind::Syntax { .. }), "{text}: {:?}", refused(text));
    }
    for text in ["[NaN]", "[Infinity]", "[-Infinity]"] {
        assert_eq!(refused(text), ErrorKind::NotANumber, "{text}");
    }
    for text in ["{} {}", "1 2", "nullx", "{}\0"] {
        assert_eq!(refused(text), ErrorKind::Trailing, "{text}");
    }
    for text in ["[9007199254740992]", "[-9007199254740992]", "[9007199254740993]", "[100000000000000000]"] {
        assert_eq!(refused(text), ErrorKind::BigInteger, "{text}");
    }
    for text in
        [r#""\ud800""#, r#""\udc00""#, r#""\ud800\n""#, r#""\ud800\ud800""#, r#""\ud800x""#, r#""\uDFFF\uD800""#]
    {
        assert_eq!(refused(text), ErrorKind::LoneSurrogate, "{text}");
    }
    assert_eq!(refused("\"a\nb\""), ErrorKind::ControlCharacter(b'\n'));
    assert_eq!(refused("\"0123456789abcdef\0\""), ErrorKind::ControlCharacter(0));
    assert_eq!(refused("\u{feff}{}"), ErrorKind::ByteOrderMark);
    assert_eq!(kind_of(b"\"\xff\"").unwrap_err(), ErrorKind::InvalidUtf8);
    assert_eq!(kind_of(b"\"\xed\xa0\x80\"").unwrap_err(), ErrorKind::InvalidUtf8);
}

#[test]
fn says_where() {
    let error = scan("{\n  \"ä\": 1,\n  \"ö\": x\n}", MAX_DEPTH).unwrap_err();
    assert_eq!((error.offset, error.line, error.column), (21, 3, 8));
    assert_eq!(error.to_string(), "expected a value (line 3, column 8, byte 21)");
}

#[test]
fn depth_is_limited_without_recursion() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    kind_of(nested(MAX_DEPTH).as_bytes()).unwrap();
    assert_eq!(refused(&nested(MAX_DEPTH + 1)), ErrorKind::TooDeep);
    assert_eq!(refused(&"[".repeat(5_000_000)), ErrorKind::TooDeep);
    assert_eq!(refused(&"{\"a\":".repeat(1_000_000)), ErrorKind::TooDeep);
    assert!(scan("[[[]]]", 2).is_err());
    assert!(scan("[[1]]", 2).is_ok());
}

fn duplicate(text: &str) -> (String, usize) {
    match scan(text, MAX_DEPTH) {
        Err(Error { kind: ErrorKind::DuplicateKey { key, .. }, offset, .. }) => (key, offset),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn finds_equal_keys_at_any_depth_and_in_any_spelling() {
    assert_eq!(duplicate(r#"{"a":1,"a":2}"#), ("a".into(), 7));
    assert_eq!(duplicate(r#"{"a":1,"\u0061":2}"#), ("a".into(), 7));
    assert_eq!(duplicate(r#"{"x":[{"y":{"\ud83d\ude00":1,"😀":2}}]}"#).0, "😀");
    assert_eq!(duplicate(r#"{"":1,"":2}"#).0, "");
    assert_eq!(duplicate(r#"{"\/":1,"/":2}"#).0, "/");
    assert_eq!(duplicate(r#"{"a\n":1,"b":{"a\n":1},"a\u000a":2}"#).0, "a\\u{a}");
    scan(r#"{"a":{"a":{"a":[{"a":1},{"a":1}]}},"A":1,"\\u0061":2}"#, MAX_DEPTH).unwrap();
    // The text ends too early, but nothing that follows can help.
    assert_eq!(duplicate(r#"{"a":1,"a":2"#).0, "a");
    assert_eq!(duplicate(r#"{"a":1,"b":[{"c":1,"a":1,"c":"#).0, "c");
}

#[test]
fn finds_equal_keys_among_very_many() {
    for count in [11usize, 12, 13, 14, 1000, 200_000] {
        let mut text: String = (0..count).map(|n| format!("\"a long common beginning {n:07} and end\":1,")).collect();
        text.insert(0, '{');
        let unique = format!("{text}\"z\":1}}");
        assert_eq!(scan(&unique, MAX_DEPTH).unwrap().members.len(), count + 1);
        let again = count / 2;
        let twice = format!(
            "{text}\"a long common beginning {again:07} and en\\u0064\":1,\"a long common beginning 0000000 and end\":1}}"
        );
        assert_eq!(duplicate(&twice), (format!("a long common beginning {again:07} and end"), text.len()));
    }
}

#[test]
fn incomplete_is_said_exactly_of_prefixes() {
    let text = "{\"a\\u00e4\\ud83d\\uDE00ä😀\":[true,false,null,-1.5e+10,0,{},[],\"\",{\"b\":12}], \"c\" : \"long enough for words 😀\"}";
    for end in 0..text.len() {
        assert!(is_incomplete(&text.as_bytes()[..end]), "{:?}", String::from_utf8_lossy(&text.as_bytes()[..end]));
    }
    kind_of(text.as_bytes()).unwrap();
    for (bytes, expected) in [
        (&b"[\"\xe2\x82"[..], true),
        (b"[\xe2\x82", false),
        (b"[\"\\\xe2\x82", false),
        (b"[\"\\ud8", true),
        (b"[\"\\udc", false),
        (b"[\"\\ud800\\u0", false),
        (b"[\"\\ud800\\ud", true),
        (b"[\"\\ud800\\ud8", false),
        (b"[9007199254740993", true),
        (b"[nulx", false),
        (b"[1,]", false),
        (b"", true),
        (b" \n", true),
        (b"\xef\xbb", false),
    ] {
        assert_eq!(is_incomplete(bytes), expected, "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn no_word_boundary_hides_a_special_byte() {
    for len in 0..200 {
        for at in 0..=len {
            let mut body = vec![b'~'; len];
            body.insert(at, b'\x1f');
            let text = [b"\"", &body[..], b"\""].concat();
            assert_eq!(kind_of(&text).unwrap_err(), ErrorKind::ControlCharacter(0x1f), "{len} {at}");
        }
    }
    for byte in 0x20..=0x7fu8 {
        if byte != b'"' && byte != b'\\' {
            let text = [b"\"", &[byte; 100][..], b"\""].concat();
            kind_of(&text).unwrap();
        }
    }
}

/// Does serde_json take it, and if we do not: for which of our own rules?
fn compare_with_serde_json(bytes: &[u8]) -> Result<(), TestCaseError> {
    let theirs = std::str::from_utf8(bytes).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
    match kind_of(bytes) {
        Ok(_) => prop_assert!(theirs, "only we take {:?}", String::from_utf8_lossy(bytes)),
        Err(kind) if theirs => {
            let is_own_rule = matches!(
                kind,
                ErrorKind::DuplicateKey { .. } | ErrorKind::TooDeep | ErrorKind::BigInteger | ErrorKind::LoneSurrogate
            );
            prop_assert!(is_own_rule, "only serde_json takes {:?}: {kind:?}", String::from_utf8_lossy(bytes));
        }
        Err(_) => {}
    }
    Ok(())
}

pub(crate) fn any_json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-(MAX_INTEGER as i64)..=MAX_INTEGER as i64).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[ -~]{0,80}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 16, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..16).prop_map(Value::from),
            prop::collection::hash_map("[a-c\"\\\\\\n]{0,3}|\\PC{0,20}", inner, 0..16)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn takes_whatever_serde_json_writes(value in any_json()) {
        use serde_json::Value;
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        prop_assert_eq!(scan(&pretty, MAX_DEPTH).unwrap().span.of(&pretty), &pretty);

        let text = serde_json::to_string(&value).unwrap();
        let outline = scan(&text, MAX_DEPTH).unwrap();
        prop_assert_eq!(outline.span.of(&text), &text);
        let found = outline.members.iter().map(|member| (unescape(member.key.of(&text)), member.value.of(&text).to_owned()));
        let expected: Vec<(String, String)> = match &value {
            Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value.to_string())).collect(),
            Value::Array(list) => list.iter().map(|value| (String::new(), value.to_string())).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
        };
        prop_assert_eq!(found.map(|(key, value)| (key.into_owned(), value)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn agrees_with_serde_json_after_damage(
        value in any_json(), place in any::<prop::sample::Index>(), byte in any::<u8>(), what in 0..3u8
    ) {
        let mut bytes = serde_json::to_vec(&value).unwrap();
        let at = place.index(bytes.len());
        match what {
            0 => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            _ => { bytes.remove(at); }
        }
        compare_with_serde_json(&bytes)?;
    }

    #[test]
    fn agrees_with_serde_json_on_soup(text in "[\\[\\]{}\",:0-9eE.+\\-truefalsn\\\\u \\n\"]{0,40}") {
        compare_with_serde_json(text.as_bytes())?;
    }

    #[test]
    fn any_bytes_give_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        compare_with_serde_json(&bytes)?;
    }

    #[test]
    fn every_cut_of_an_object_is_incomplete(value in any_json(), place in any::<prop::sample::Index>()) {
        let bytes = serde_json::to_vec(&vec![value]).unwrap();
        prop_assert!(is_incomplete(&bytes[..place.index(bytes.len())]));
    }

    #[test]
    fn unescape_is_what_serde_json_reads(text in any::<String>(), escape_all in any::<bool>()) {
        let spelled = match escape_all {
            true => format!("\"{}\"", text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect::<String>()),
            false => serde_json::to_string(&text).unwrap(),
        };
        scan(&spelled, MAX_DEPTH).unwrap();
        prop_assert_eq!(unescape(&spelled), text);
    }
}
