//! Strict JSON, checked once, without building a tree.
//!
//! One pass over the text, no recursion, no copy. It answers: is this one complete JSON value by RFC 8259 and by our stricter
//! rules, and where do the members of its outermost object (or the elements of its outermost array) lie. Whatever needs a
//! deeper look scans that value's text again.
//!
//! Stricter than RFC 8259, because two readers of one file must never see two messages: no byte order mark, no invalid
//! UTF-8, no two equal keys in one object at any depth (compared after unescaping), no lone surrogate, at most
//! [`MAX_DEPTH`] containers inside each other, no integer that an IEEE double cannot hold exactly ([`MAX_INTEGER`]).
//!
//! Deliberately absent: numbers as values (they keep their spelling), trees, repairs.
//!
//! Invariant: for a text of n bytes the time is O(n log n) and the memory O(n), whatever the text says.

mod error;
mod keys;
mod number;
mod scan;
mod string;

use std::borrow::Cow;
use std::ops::Range;

pub use error::{Error, ErrorKind, Missing};
pub use scan::{Stopped, scan, scan_bytes};

/// How many objects and arrays may be open at once. The outermost one counts.
pub const MAX_DEPTH: usize = 64;

/// The largest absolute value of a number that is written without fraction and exponent: 2^53 - 1 (RFC 7493, section 2.2).
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

/// The longest text that can be scanned, in bytes. Positions are kept as 32-bit numbers, with one bit to spare.
pub const MAX_TEXT: usize = (1 << 31) - 1;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

impl Kind {
    /// With its article, to be read in a sentence.
    pub fn described(self) -> &'static str {
        match self {
            Kind::Object => "an object",
            Kind::Array => "an array",
            Kind::String => "a string",
            Kind::Number => "a number",
            Kind::Bool => "a boolean",
            Kind::Null => "null",
        }
    }
}

/// A place in a scanned text, in bytes, with the end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// Both ends are at most [`MAX_TEXT`], so they fit.
    fn new(start: usize, end: usize) -> Span {
        Span { start: start as u32, end: end as u32 }
    }

    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The part of `text` at this place; `text` is the one that was scanned.
    pub fn of(self, text: &str) -> &str {
        &text[self.range()]
    }
}

/// A member of the outermost object, or an element of the outermost array (whose `key` is empty).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The key as it is spelled, with its quotes.
    pub key: Span,
    /// The value as it is spelled, without the white space around it.
    pub value: Span,
    pub kind: Kind,
}

/// What a scan found: the outermost value, and what lies directly in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    pub kind: Kind,
    pub span: Span,
    pub members: Vec<Member>,
}

/// The meaning of a string that has been scanned. `spelled` includes the quotes.
///
/// Text that was not scanned before gives an unspecified result, but no panic.
pub fn unescape(spelled: &str) -> Cow<'_, str> {
    let body = spelled.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(spelled);
    if !body.contains('\\') {
        return Cow::Borrowed(body);
    }
    let mut out = String::with_capacity(body.len());
    string::unescape_into(body, &mut out);
    Cow::Owned(out)
}

#[cfg(test)]
pub(super) mod tests;
