//! Text of a stranger, made fit to be shown: no character of it can move a cursor, change a colour or hide another.

/// At most `limit` characters of `text`, with `…` where it was cut. Control characters, and those that change the direction
/// of writing or take no room (Unicode Technical Report 36, section 2.5), appear as `\u{1b}`.
pub fn visible(text: &str, limit: usize) -> String {
    let mut out = String::with_capacity(text.len().min(limit.saturating_add(4)));
    for (count, character) in text.chars().enumerate() {
        if count == limit {
            out.push('…');
            break;
        }
        if is_invisible(character) {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out
}

/// Is it a control character, or one that changes the direction of writing or takes no room?
pub fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_cuts() {
        assert_eq!(visible("plain ä 😀", 64), "plain ä 😀");
        assert_eq!(visible("\u{1b}[31mred\u{7f}\u{9b}2J", 64), "\\u{1b}[31mred\\u{7f}\\u{9b}2J");
        assert_eq!(visible("a\u{202e}b\u{200b}c", 64), "a\\u{202e}b\\u{200b}c");
        assert_eq!(visible("abcdef", 3), "abc…");
        assert_eq!(visible("abc", 3), "abc");
    }
}
