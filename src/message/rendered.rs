//! A message file that is about to be written, in three pieces, so that a large payload is never copied: the middle one is a
//! part of the text of the message that it came from.

use std::ops::Range;

use super::Text;

/// The bytes of one file: head, a part of a message's text (perhaps empty), tail. Ends with a newline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    head: Vec<u8>,
    shared: Option<(Text, Range<usize>)>,
    tail: Vec<u8>,
}

impl Rendered {
    /// The pieces in their order, for a gathering write.
    pub fn segments(&self) -> [&[u8]; 3] {
        let middle = self.shared.as_ref().map_or(&[][..], |(text, range)| &text.as_bytes()[range.clone()]);
        [&self.head, middle, &self.tail]
    }

    /// Which part of the message's text the middle piece is; an empty range if it is none. A log can name this range in place
    /// of the bytes.
    pub fn shared_range(&self) -> Range<usize> {
        self.shared.as_ref().map_or(0..0, |(_, range)| range.clone())
    }

    /// The length of the file in bytes.
    pub fn len(&self) -> usize {
        self.segments().iter().map(|segment| segment.len()).sum()
    }

    /// Never, as a rendered message has at least its braces.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of it in one piece, copied.
    pub fn to_vec(&self) -> Vec<u8> {
        self.segments().concat()
    }
}

/// Writes one JSON object, member by member.
pub(super) struct ObjectWriter {
    head: Vec<u8>,
    shared: Option<(Text, Range<usize>)>,
    tail: Vec<u8>,
    is_first: bool,
}

impl ObjectWriter {
    pub(super) fn new(capacity: usize) -> ObjectWriter {
        let mut head = Vec::with_capacity(capacity);
        head.push(b'{');
        ObjectWriter { head, shared: None, tail: Vec::new(), is_first: true }
    }

    /// A key as it is spelled in JSON, with its quotes; the value must follow.
    pub(super) fn key(&mut self, spelled: &str) -> &mut Vec<u8> {
        let separator = if self.is_first { "" } else { "," };
        self.is_first = false;
        let out = if self.shared.is_some() { &mut self.tail } else { &mut self.head };
        out.extend_from_slice(separator.as_bytes());
        out.extend_from_slice(spelled.as_bytes());
        out.push(b':');
        out
    }

    /// A member whose value is text that is already JSON.
    pub(super) fn raw(&mut self, key: &str, value: &str) {
        self.key(key).extend_from_slice(value.as_bytes());
    }

    pub(super) fn string(&mut self, key: &str, value: &str) {
        write_string(self.key(key), value);
    }

    pub(super) fn number(&mut self, key: &str, value: u64) {
        let out = self.key(key);
        out.extend_from_slice(value.to_string().as_bytes());
    }

    /// A member whose value is a part of a message's text, not copied. At most one per object.
    pub(super) fn share(&mut self, key: &str, text: &Text, range: Range<usize>) {
        debug_assert!(self.shared.is_none(), "a file has one shared piece");
        self.key(key);
        self.shared = Some((text.clone(), range));
    }

    pub(super) fn finish_file(mut self) -> Rendered {
        let out = if self.shared.is_some() { &mut self.tail } else { &mut self.head };
        out.extend_from_slice(b"}\n");
        Rendered { head: self.head, shared: self.shared, tail: self.tail }
    }

    /// As a value inside of something else; it has no shared piece.
    pub(super) fn finish_value(mut self) -> String {
        debug_assert!(self.shared.is_none(), "a value is one piece");
        self.head.push(b'}');
        String::from_utf8(self.head).expect("made of text alone")
    }
}

/// A JSON string.
pub(super) fn write_string(out: &mut Vec<u8>, value: &str) {
    serde_json::to_writer(out, value).expect("a vector takes every byte, and every str is a JSON string");
}
