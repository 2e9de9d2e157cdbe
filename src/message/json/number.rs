//! Numbers: their grammar, and the one limit on them. Their value is nobody's business here.

use super::MAX_INTEGER;
use super::error::{ErrorKind, Missing};
use super::string::Failed;

/// Scans the number that starts at `at`, which is a digit or a minus sign; says where it ends.
#[inline]
pub(super) fn scan(bytes: &[u8], start: usize) -> Result<usize, Failed> {
    let first = if bytes[start] == b'-' { start + 1 } else { start };
    let mut at = match bytes.get(first) {
        Some(b'0') => match bytes.get(first + 1) {
            Some(b'0'..=b'9') => return Err((leading_zero(), start)),
            Some(_) | None => first + 1,
        },
        Some(b'1'..=b'9') => skip_digits(bytes, first + 1),
        Some(b'I') if first > start => return Err((ErrorKind::NotANumber, start)),
        Some(_) => return Err((expected_digit(), first)),
        None => return Err((ErrorKind::Incomplete(Missing::Rest), first)),
    };
    let digits = &bytes[first..at];
    let mut is_integer = true;
    if bytes.get(at) == Some(&b'.') {
        is_integer = false;
        at = some_digits(bytes, at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        is_integer = false;
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        at = some_digits(bytes, at + 1 + sign)?;
    }
    if is_integer && is_too_large(digits) {
        return Err((ErrorKind::BigInteger, start));
    }
    Ok(at)
}

/// 2^53 - 1 has 16 digits.
fn is_too_large(digits: &[u8]) -> bool {
    match digits.len() {
        0..=15 => false,
        16 => digits.iter().fold(0u64, |value, digit| value * 10 + u64::from(digit - b'0')) > MAX_INTEGER,
        _ => true,
    }
}

fn skip_digits(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}

/// At least one digit.
fn some_digits(bytes: &[u8], at: usize) -> Result<usize, Failed> {
    match bytes.get(at) {
        Some(b'0'..=b'9') => Ok(skip_digits(bytes, at + 1)),
        Some(_) => Err((expected_digit(), at)),
        None => Err((ErrorKind::Incomplete(Missing::Rest), at)),
    }
}

fn expected_digit() -> ErrorKind {
    ErrorKind::Syntax { expected: "a digit", hint: Some("numbers look like 0, -1.5 or 2e10") }
}

fn leading_zero() -> ErrorKind {
    ErrorKind::Syntax {
        expected: "no zero before the other digits",
        hint: Some("send it as a string to keep the zeros"),
    }
}
