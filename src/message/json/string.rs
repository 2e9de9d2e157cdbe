//! The inside of strings: where one ends, whether it is well-formed, what it means.

use super::error::{ErrorKind, Missing};

/// Where a string ended, and whether it contains an escape.
pub(super) struct Scanned {
    /// Behind the closing quote.
    pub end: usize,
    pub spelling: Spelling,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    Plain,
    Escaped,
}

/// A failure and the byte it happened at.
pub(super) type Failed = (ErrorKind, usize);

const INCOMPLETE: ErrorKind = ErrorKind::Incomplete(Missing::Rest);

/// Scans the string whose body starts at `at` (behind the opening quote). `bytes` is valid UTF-8.
#[inline]
pub(super) fn scan_body(bytes: &[u8], mut at: usize) -> Result<Scanned, Failed> {
    let mut spelling = Spelling::Plain;
    loop {
        at = next_special(bytes, at);
        match bytes.get(at) {
            Some(b'"') => return Ok(Scanned { end: at + 1, spelling }),
            Some(b'\\') => {
                spelling = Spelling::Escaped;
                at = scan_escape(bytes, at)?;
            }
            Some(&control) => return Err((ErrorKind::ControlCharacter(control), at)),
            None => return Err((ErrorKind::Incomplete(Missing::StringEnd), at)),
        }
    }
}

/// The first quote, backslash or control character at or after `at`, or the end.
///
/// Short strings are found eight bytes at a time in a general register; a long one goes through a loop over 64 bytes that
/// compilers turn into vector instructions.
#[inline]
fn next_special(bytes: &[u8], mut at: usize) -> usize {
    let mut words_before_blocks = 4;
    while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let found = specials_in(u64::from_le_bytes(*word));
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
        words_before_blocks -= 1;
        if words_before_blocks == 0 {
            words_before_blocks = 8;
            at = skip_plain_blocks(bytes, at);
        }
    }
    while at < bytes.len() && !is_special(bytes[at]) {
        at += 1;
    }
    at
}

#[inline]
fn is_special(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < 0x20
}

/// Passes over blocks of 64 bytes without anything special in them.
fn skip_plain_blocks(bytes: &[u8], mut at: usize) -> usize {
    while let Some(block) = bytes.get(at..).and_then(|rest| rest.first_chunk::<64>()) {
        let mut any = 0u8;
        for &byte in block {
            any |= u8::from(is_special(byte));
        }
        if any != 0 {
            break;
        }
        at += 64;
    }
    at
}

/// Sets the top bit of each byte that is a quote, a backslash or below 0x20; bits above the lowest such byte may be wrong,
/// the lowest one never is. ("Bit Twiddling Hacks": determine if a word has a byte less than n, or equal to n.)
#[inline]
fn specials_in(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;
    let zero_byte = |v: u64| v.wrapping_sub(ONES) & !v;
    let quote = zero_byte(word ^ (ONES * b'"' as u64));
    let backslash = zero_byte(word ^ (ONES * b'\\' as u64));
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (quote | backslash | control) & TOPS
}

/// Scans the escape that starts with the backslash at `at`, a surrogate pair as one; says where it ends.
fn scan_escape(bytes: &[u8], at: usize) -> Result<usize, Failed> {
    match bytes.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => match scan_hex(bytes, at, Half::Any)? {
            0xD800..=0xDBFF => scan_low_half(bytes, at),
            _ => Ok(at + 6),
        },
        Some(_) => Err((bad_escape(), at)),
        None => Err((INCOMPLETE, at + 1)),
    }
}

/// The low half that must follow the high half at `high`.
fn scan_low_half(bytes: &[u8], high: usize) -> Result<usize, Failed> {
    let low = high + 6;
    for (offset, wanted) in [(0, b'\\'), (1, b'u')] {
        match bytes.get(low + offset) {
            None => return Err((INCOMPLETE, low + offset)),
            Some(&byte) if byte == wanted => {}
            Some(_) => return Err((ErrorKind::LoneSurrogate, high)),
        }
    }
    scan_hex(bytes, low, Half::Low)?;
    Ok(low + 6)
}

/// Which code units may stand here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    /// Anything but a low half.
    Any,
    /// Only a low half.
    Low,
}

/// The four digits of the `\u` escape whose backslash is at `at`. Says that a half is alone as soon as that is certain, so
/// that "incomplete" is said only where more digits would help.
fn scan_hex(bytes: &[u8], at: usize, allowed: Half) -> Result<u32, Failed> {
    let mut unit = 0;
    for digit in 0..4 {
        let position = at + 2 + digit;
        let Some(&byte) = bytes.get(position) else {
            return Err((INCOMPLETE, position));
        };
        let Some(value) = (byte as char).to_digit(16) else {
            return Err((bad_escape(), at));
        };
        unit = unit << 4 | value;
        let is_low = match digit {
            0 => unit == 0xD && allowed == Half::Low,
            1 => (0xDC..=0xDF).contains(&unit),
            _ => continue,
        };
        if is_low != (allowed == Half::Low) {
            return Err((ErrorKind::LoneSurrogate, at));
        }
    }
    Ok(unit)
}

fn bad_escape() -> ErrorKind {
    ErrorKind::Syntax {
        expected: "an escape that JSON knows",
        hint: Some(r#"the escapes are \" \\ \/ \b \f \n \r \t and \u with four hex digits; a backslash itself is \\"#),
    }
}

/// Appends the meaning of a scanned string body. What is not an escape after all is passed over.
pub(super) fn unescape_into(body: &str, out: &mut String) {
    let mut rest = body;
    while let Some(backslash) = rest.find('\\') {
        out.push_str(&rest[..backslash]);
        let escape = &rest[backslash..];
        let (meaning, len) = match escape.as_bytes().get(1) {
            Some(b'u') => unescape_unicode(escape),
            Some(b'b') => ('\u{8}', 2),
            Some(b'f') => ('\u{c}', 2),
            Some(b'n') => ('\n', 2),
            Some(b'r') => ('\r', 2),
            Some(b't') => ('\t', 2),
            Some(&same) if same.is_ascii() => (same as char, 2),
            Some(_) | None => (char::REPLACEMENT_CHARACTER, 1),
        };
        out.push(meaning);
        rest = &escape[len..];
    }
    out.push_str(rest);
}

/// The character of a `\u` escape or pair of them, and the length of its spelling.
fn unescape_unicode(escape: &str) -> (char, usize) {
    let unit = |at: usize| escape.get(at + 2..at + 6).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let Some(first) = unit(0) else {
        return (char::REPLACEMENT_CHARACTER, 2);
    };
    if let Some(plain) = char::from_u32(first) {
        return (plain, 6);
    }
    let pair = unit(6).map(|second| 0x10000 + ((first & 0x3FF) << 10) + (second & 0x3FF));
    match pair.and_then(char::from_u32) {
        Some(meaning) => (meaning, 12),
        None => (char::REPLACEMENT_CHARACTER, 6),
    }
}
