//! Text of strangers on its way to a terminal. Everything that a message, a file name or another program's file says passes
//! through here before it is printed; nothing else in `cli/` may print such text.

use std::path::Path;

use postroom::message::{json, visible};

/// How many characters of one field are shown.
pub const FIELD: usize = 200;
/// How many characters of a sentence are shown.
const SENTENCE: usize = 2_000;

/// A name, an id, an action: short, on one line.
pub fn field(text: &str) -> String {
    visible(text, FIELD)
}

/// A sentence, on one line.
pub fn sentence(text: &str) -> String {
    visible(text, SENTENCE)
}

/// All of a text, on one line.
pub fn all(text: &str) -> String {
    visible(text, usize::MAX)
}

/// A path, as far as it is text.
pub fn path(path: &Path) -> String {
    visible(&path.to_string_lossy(), SENTENCE)
}

/// A text of several lines, each made visible.
pub fn lines(text: &str) -> String {
    text.lines().map(sentence).collect::<Vec<_>>().join("\n")
}

/// JSON of the same value and spelling in which no character can act on a terminal. Such a character can only stand inside of a
/// string, where it becomes `\u....`; of white space between values only spaces and newlines stay.
///
/// What is no JSON is shown as [`lines`] shows it.
pub fn json(text: &str) -> String {
    let text = text.trim_end();
    if json::scan(text, json::MAX_DEPTH).is_err() {
        return lines(text);
    }
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            ' '..='~' | '\n' => out.push(character),
            '\t' | '\r' => out.push(' '),
            _ if acts(character) => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            _ => out.push(character),
        }
    }
    out
}

/// Would `visible` show another text for it?
fn acts(character: char) -> bool {
    let mut buffer = [0; 4];
    let text = character.encode_utf8(&mut buffer);
    visible(text, 1) != *text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_its_value_and_loses_its_tricks() {
        let hostile = "{\"a\":\r\"\u{9b}2J\u{202e}x\u{e0041}ä😀\u{7f}\",\t\"n\":1.0e400}";
        let shown = json(hostile);
        assert_eq!(shown, "{\"a\": \"\\u009b2J\\u202ex\\udb40\\udc41ä😀\\u007f\", \"n\":1.0e400}");
        let strings = |text: &str| {
            let value: serde_json::Value = serde_json::from_str(&text.replace("1.0e400", "1")).expect("JSON");
            value["a"].as_str().expect("a string").to_owned()
        };
        assert_eq!(strings(hostile), strings(&shown));
    }

    #[test]
    fn what_is_no_json_is_shown_as_text() {
        assert_eq!(json("{\"a\": \u{1b}[2J"), "{\"a\": \\u{1b}[2J");
        assert_eq!(json("one\ntwo\r"), "one\ntwo");
    }
}
