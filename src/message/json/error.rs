//! Why a text is not JSON as we take it: what, where, and what to do about it.

use std::fmt;

/// A refused text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub kind: ErrorKind,
    /// The byte at which it went wrong, from 0.
    pub offset: usize,
    /// The line of that byte, from 1.
    pub line: usize,
    /// The character in that line, from 1.
    pub column: usize,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The text ended too early: there are bytes that, appended, make it valid.
    Incomplete(Missing),
    /// It is not JSON here. The text says what was expected.
    Syntax {
        expected: &'static str,
        hint: Option<&'static str>,
    },
    /// The value is over and something follows.
    Trailing,
    ByteOrderMark,
    InvalidUtf8,
    /// A raw control character inside a string.
    ControlCharacter(u8),
    /// Half of a surrogate pair, as an escape.
    LoneSurrogate,
    /// The same key twice in one object. `key` is unescaped, cut and made visible.
    DuplicateKey {
        key: String,
        first_line: usize,
        first_column: usize,
    },
    TooDeep,
    /// An integer beyond [`super::MAX_INTEGER`] in either direction.
    BigInteger,
    /// `NaN` or `Infinity`.
    NotANumber,
    /// Longer than [`super::MAX_TEXT`].
    TooLong,
}

/// What a text that ended too early was in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Nothing but white space so far.
    Everything,
    /// Inside a string, and not inside an escape: any character may follow.
    StringEnd,
    /// Anything else.
    Rest,
}

impl Error {
    /// An error at `offset` of `text`. Bytes that are not UTF-8 count as one character each.
    pub(super) fn at(text: &[u8], offset: usize, kind: ErrorKind) -> Error {
        let (line, column) = line_and_column(text, offset);
        Error { kind, offset, line, column }
    }

    /// May more bytes at the end make the text valid?
    pub fn is_incomplete(&self) -> bool {
        matches!(self.kind, ErrorKind::Incomplete(_))
    }

    /// What the writer of the text can do.
    pub fn hint(&self) -> Option<&'static str> {
        match &self.kind {
            ErrorKind::Incomplete(_) => Some(
                "write the file under a name that starts with `.`, then rename it into place, so that nobody sees half of it",
            ),
            ErrorKind::Syntax { hint, .. } => *hint,
            ErrorKind::Trailing => Some("one file holds exactly one JSON object"),
            ErrorKind::ByteOrderMark => Some("save the file as UTF-8 without a byte order mark"),
            ErrorKind::InvalidUtf8 => Some("encode the file as UTF-8"),
            ErrorKind::ControlCharacter(_) => Some("inside a string write it as an escape, such as \\n or \\u001b"),
            ErrorKind::LoneSurrogate => {
                Some("a character beyond U+FFFF is written as two escapes, high half first, or as itself in UTF-8")
            }
            ErrorKind::DuplicateKey { .. } => Some("keep one of the two; readers do not agree on which one counts"),
            ErrorKind::TooDeep => Some("put the inner part into a string, or into a file that the message names"),
            ErrorKind::BigInteger => Some("send it as a string: most readers would silently change its last digits"),
            ErrorKind::NotANumber => Some("JSON has no such number; use null or a string"),
            ErrorKind::TooLong => Some("put the content into a file of its own and send its path"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ErrorKind::Incomplete(Missing::Everything) => f.write_str("the text is empty"),
            ErrorKind::Incomplete(Missing::StringEnd) => f.write_str("the text ends inside a string"),
            ErrorKind::Incomplete(Missing::Rest) => f.write_str("the text ends too early"),
            ErrorKind::Syntax { expected, .. } => write!(f, "expected {expected}"),
            ErrorKind::Trailing => f.write_str("something follows after the end of the JSON value"),
            ErrorKind::ByteOrderMark => f.write_str("the text starts with a byte order mark"),
            ErrorKind::InvalidUtf8 => f.write_str("the text is not valid UTF-8"),
            ErrorKind::ControlCharacter(byte) => write!(f, "a string contains the raw control character U+{byte:04X}"),
            ErrorKind::LoneSurrogate => f.write_str("a string contains half of a surrogate pair"),
            ErrorKind::DuplicateKey { key, first_line, first_column } => {
                write!(
                    f,
                    "the key \"{key}\" was already used in this object, at line {first_line}, column {first_column}"
                )
            }
            ErrorKind::TooDeep => write!(f, "more than {} objects and arrays are inside each other", super::MAX_DEPTH),
            ErrorKind::BigInteger => write!(f, "an integer is outside of ±{} (2^53 - 1)", super::MAX_INTEGER),
            ErrorKind::NotANumber => f.write_str("NaN and Infinity are not JSON"),
            ErrorKind::TooLong => write!(f, "the text is longer than {} bytes", super::MAX_TEXT),
        }?;
        write!(f, " (line {}, column {}, byte {})", self.line, self.column, self.offset)
    }
}

impl std::error::Error for Error {}

/// Line and column from 1. Continuation bytes of UTF-8 do not count as characters.
pub(super) fn line_and_column(text: &[u8], offset: usize) -> (usize, usize) {
    let before = &text[..offset.min(text.len())];
    let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
    let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
    let column = 1 + before[line_start..].iter().filter(|&&byte| byte & 0xC0 != 0x80).count();
    (line, column)
}
