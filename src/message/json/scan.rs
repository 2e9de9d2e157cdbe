//! The scanner: one loop over the values of the text, with the open containers on a small stack of its own.

use super::error::{Error, ErrorKind, Missing, line_and_column};
use super::keys::{Keys, Twice};
use super::string::{self, Failed};
use super::{Kind, MAX_DEPTH, MAX_TEXT, Member, Outline, Span, number, unescape};
use crate::message::visible;

/// Characters of a key that an error quotes.
const QUOTED_KEY: usize = 64;

/// A text that was refused, and what had been understood of its outermost object until then.
pub struct Stopped {
    pub error: Error,
    /// Complete members before the error, none of them twice.
    pub members: Vec<Member>,
}

/// Checks that `bytes` are one strict JSON value with at most `max_depth` (and at most [`MAX_DEPTH`]) containers inside each
/// other. The text comes back with its outline, without having been copied.
pub fn scan_bytes(bytes: Vec<u8>, max_depth: usize) -> Result<(String, Outline), (Vec<u8>, Stopped)> {
    if bytes.len() > MAX_TEXT {
        let stopped = stopped_at(&bytes[..0], 0, ErrorKind::TooLong);
        return Err((bytes, stopped));
    }
    if bytes.starts_with(BYTE_ORDER_MARK) {
        return Err(behind_byte_order_mark(bytes));
    }
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let stopped = stop_at_invalid_utf8(error.as_bytes(), error.utf8_error());
            return Err((error.into_bytes(), stopped));
        }
    };
    match run(&text, max_depth) {
        Ok(outline) => Ok((text, outline)),
        Err(stopped) => Err((text.into_bytes(), stopped)),
    }
}

/// A text that begins with this is refused (RFC 8259, section 8.1).
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// What follows the mark can be read all the same: its sender is to be told. The members are those of the text behind the mark.
fn behind_byte_order_mark(bytes: Vec<u8>) -> (Vec<u8>, Stopped) {
    let error = Error::at(&bytes, 0, ErrorKind::ByteOrderMark);
    let members = match std::str::from_utf8(&bytes[BYTE_ORDER_MARK.len()..]).map(|text| run(text, MAX_DEPTH)) {
        Ok(Ok(outline)) => outline.members,
        Ok(Err(stopped)) => stopped.members,
        Err(_) => Vec::new(),
    };
    (bytes, Stopped { error, members })
}

/// As [`scan_bytes`], for text that is known to be UTF-8.
pub fn scan(text: &str, max_depth: usize) -> Result<Outline, Error> {
    if text.len() > MAX_TEXT {
        return Err(Error::at(b"", 0, ErrorKind::TooLong));
    }
    if text.starts_with('\u{FEFF}') {
        return Err(Error::at(text.as_bytes(), 0, ErrorKind::ByteOrderMark));
    }
    run(text, max_depth).map_err(|stopped| stopped.error)
}

fn stopped_at(bytes: &[u8], offset: usize, kind: ErrorKind) -> Stopped {
    Stopped { error: Error::at(bytes, offset, kind), members: Vec::new() }
}

/// A character that is cut off at the very end is a text that ended too early, where a character may stand.
fn stop_at_invalid_utf8(bytes: &[u8], error: std::str::Utf8Error) -> Stopped {
    let valid = &bytes[..error.valid_up_to()];
    if error.error_len().is_none() {
        // `valid_up_to` promises this.
        let before = std::str::from_utf8(valid).unwrap_or_default();
        if let Err(stopped) = run(before, MAX_DEPTH)
            && stopped.error.kind == ErrorKind::Incomplete(Missing::StringEnd)
        {
            return stopped;
        }
    }
    stopped_at(bytes, valid.len(), ErrorKind::InvalidUtf8)
}

fn run(text: &str, max_depth: usize) -> Result<Outline, Stopped> {
    let mut scanner = Scanner::new(text, max_depth.min(MAX_DEPTH));
    match scanner.run() {
        Ok(kind) => {
            let span = Span::new(scanner.root_start, scanner.root_end);
            Ok(Outline { kind, span, members: scanner.members })
        }
        Err((kind, offset)) => Err(scanner.stop(kind, offset)),
    }
}

/// An open container.
#[derive(Clone, Copy)]
enum Open {
    /// With the number of keys that were open before it.
    Object(u32),
    Array,
}

/// What comes after a step.
enum Next {
    /// A value starts at `at`.
    Value,
    /// A value has just ended.
    Ended,
    /// The outermost value has ended.
    Done,
}

struct Scanner<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    max_depth: usize,
    depth: usize,
    open: [Open; MAX_DEPTH],
    keys: Keys<'t>,
    members: Vec<Member>,
    /// The member of the outermost container that is being read.
    current: Member,
    root_kind: Kind,
    root_start: usize,
    root_end: usize,
}

impl<'t> Scanner<'t> {
    fn new(text: &'t str, max_depth: usize) -> Scanner<'t> {
        let current = Member { key: Span::default(), value: Span::default(), kind: Kind::Null };
        Scanner {
            text,
            bytes: text.as_bytes(),
            at: 0,
            max_depth,
            depth: 0,
            open: [Open::Array; MAX_DEPTH],
            keys: Keys::new(text),
            members: Vec::new(),
            current,
            root_kind: Kind::Null,
            root_start: 0,
            root_end: 0,
        }
    }

    fn run(&mut self) -> Result<Kind, Failed> {
        if self.peek().is_none() {
            return Err((ErrorKind::Incomplete(Missing::Everything), self.at));
        }
        let mut next = Next::Value;
        loop {
            next = match next {
                Next::Value => self.value()?,
                Next::Ended => self.after_value()?,
                Next::Done => break,
            };
        }
        match self.peek() {
            None => Ok(self.root_kind),
            Some(_) => Err((ErrorKind::Trailing, self.at)),
        }
    }

    /// Passes over white space; the byte that follows it.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        while let Some(&byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    fn value(&mut self) -> Result<Next, Failed> {
        let Some(byte) = self.peek() else {
            return Err((ErrorKind::Incomplete(Missing::Rest), self.at));
        };
        let start = self.at;
        let kind = match byte {
            b'"' => Kind::String,
            b'{' => Kind::Object,
            b'[' => Kind::Array,
            b'-' | b'0'..=b'9' => Kind::Number,
            b't' | b'f' => Kind::Bool,
            b'n' => Kind::Null,
            other => return Err((no_value(&self.bytes[start..], other), start)),
        };
        self.note_start(kind);
        match kind {
            Kind::String => self.at = string::scan_body(self.bytes, start + 1)?.end,
            Kind::Number => self.at = number::scan(self.bytes, start).map_err(|failed| self.or_unfinished(failed))?,
            Kind::Bool if byte == b't' => self.word(b"true")?,
            Kind::Bool => self.word(b"false")?,
            Kind::Null => self.word(b"null")?,
            Kind::Object => return self.open_object(),
            Kind::Array => return self.open_array(),
        }
        Ok(self.note_end())
    }

    /// An integer that is too large, and that the end of the text cuts off inside a container, may still get a fraction.
    fn or_unfinished(&self, (kind, start): Failed) -> Failed {
        let is_cut_off = || self.bytes[start + 1..].iter().all(u8::is_ascii_digit);
        if kind == ErrorKind::BigInteger && self.depth > 0 && is_cut_off() {
            return (ErrorKind::Incomplete(Missing::Rest), self.bytes.len());
        }
        (kind, start)
    }

    /// What may follow a value inside a container.
    fn after_value(&mut self) -> Result<Next, Failed> {
        let Some(byte) = self.peek() else {
            return Err((ErrorKind::Incomplete(Missing::Rest), self.at));
        };
        match (self.open[self.depth - 1], byte) {
            (Open::Array, b',') => {
                self.at += 1;
                self.refuse_closing(b']')?;
                Ok(Next::Value)
            }
            (Open::Object(_), b',') => {
                self.at += 1;
                self.refuse_closing(b'}')?;
                self.key()
            }
            (Open::Array, b']') | (Open::Object(_), b'}') => self.close(),
            (Open::Array, _) => Err((syntax("a comma or ] after an element", Some(STRAY)), self.at)),
            (Open::Object(_), _) => Err((syntax("a comma or } after a member", Some(STRAY)), self.at)),
        }
    }

    fn refuse_closing(&mut self, closing: u8) -> Result<(), Failed> {
        match self.peek() {
            Some(byte) if byte == closing => Err((
                syntax("another one after the comma", Some("remove the comma before the closing bracket")),
                self.at,
            )),
            Some(_) | None => Ok(()),
        }
    }

    fn open_object(&mut self) -> Result<Next, Failed> {
        self.push(Open::Object(self.keys.mark()))?;
        match self.peek() {
            Some(b'}') => self.close(),
            Some(_) | None => self.key(),
        }
    }

    fn open_array(&mut self) -> Result<Next, Failed> {
        self.push(Open::Array)?;
        match self.peek() {
            Some(b']') => self.close(),
            Some(_) | None => Ok(Next::Value),
        }
    }

    fn push(&mut self, container: Open) -> Result<(), Failed> {
        if self.depth == self.max_depth {
            return Err((ErrorKind::TooDeep, self.at));
        }
        self.open[self.depth] = container;
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    fn close(&mut self) -> Result<Next, Failed> {
        self.depth -= 1;
        if let Open::Object(mark) = self.open[self.depth]
            && let Some(twice) = self.keys.close(mark)
        {
            return Err(self.duplicate(twice));
        }
        self.at += 1;
        Ok(self.note_end())
    }

    fn duplicate(&self, twice: Twice) -> Failed {
        let spelled = &self.text[twice.second..];
        let end = string::scan_body(spelled.as_bytes(), 1).map_or(spelled.len(), |scanned| scanned.end);
        let key = visible(&unescape(&spelled[..end]), QUOTED_KEY);
        let (first_line, first_column) = line_and_column(self.bytes, twice.first);
        (ErrorKind::DuplicateKey { key, first_line, first_column }, twice.second)
    }

    /// A key and its colon.
    fn key(&mut self) -> Result<Next, Failed> {
        let quote = match self.peek() {
            Some(b'"') => self.at,
            Some(b'\'') => return Err((syntax("a key", Some("JSON uses double quotes")), self.at)),
            Some(_) => return Err((syntax("a key", Some("keys are strings in double quotes")), self.at)),
            None => return Err((ErrorKind::Incomplete(Missing::Rest), self.at)),
        };
        let scanned = string::scan_body(self.bytes, quote + 1)?;
        self.at = scanned.end;
        self.keys.push(quote, scanned.end, scanned.spelling);
        if self.depth == 1 {
            self.current.key = Span::new(quote, scanned.end);
        }
        match self.peek() {
            Some(b':') => {
                self.at += 1;
                Ok(Next::Value)
            }
            Some(_) => Err((syntax("a colon after the key", None), self.at)),
            None => Err((ErrorKind::Incomplete(Missing::Rest), self.at)),
        }
    }

    fn word(&mut self, word: &'static [u8]) -> Result<(), Failed> {
        let rest = &self.bytes[self.at..];
        if rest.starts_with(word) {
            self.at += word.len();
            return Ok(());
        }
        if word.starts_with(rest) {
            return Err((ErrorKind::Incomplete(Missing::Rest), self.bytes.len()));
        }
        Err((syntax("true, false or null", None), self.at))
    }

    #[inline]
    fn note_start(&mut self, kind: Kind) {
        match self.depth {
            0 => (self.root_kind, self.root_start) = (kind, self.at),
            1 => (self.current.kind, self.current.value) = (kind, Span::new(self.at, self.at)),
            _ => {}
        }
    }

    #[inline]
    fn note_end(&mut self) -> Next {
        match self.depth {
            0 => {
                self.root_end = self.at;
                return Next::Done;
            }
            1 => {
                self.current.value = Span::new(self.current.value.range().start, self.at);
                self.members.push(self.current);
            }
            _ => {}
        }
        Next::Ended
    }

    /// Turns a failure into an error with its place. Two equal keys make a text invalid even where it ends too early.
    fn stop(&mut self, kind: ErrorKind, offset: usize) -> Stopped {
        let (mut kind, mut offset) = (kind, offset);
        let mut root_is_unique = !matches!(kind, ErrorKind::DuplicateKey { .. }) || self.depth > 0;
        for depth in (0..self.depth).rev() {
            if let Open::Object(mark) = self.open[depth]
                && let Some(twice) = self.keys.close(mark)
            {
                root_is_unique &= depth > 0;
                if matches!(kind, ErrorKind::Incomplete(_)) {
                    (kind, offset) = self.duplicate(twice);
                }
            }
        }
        let members = if root_is_unique { std::mem::take(&mut self.members) } else { Vec::new() };
        Stopped { error: Error::at(self.bytes, offset, kind), members }
    }
}

const STRAY: &str = "a quote inside a string is written \\\"; comments are not JSON";

fn syntax(expected: &'static str, hint: Option<&'static str>) -> ErrorKind {
    ErrorKind::Syntax { expected, hint }
}

/// No value starts with the byte `first`: says why, for the usual mistakes.
fn no_value(rest: &[u8], first: u8) -> ErrorKind {
    let hint = match first {
        b'N' if rest.starts_with(b"NaN") => return ErrorKind::NotANumber,
        b'I' if rest.starts_with(b"Infinity") => return ErrorKind::NotANumber,
        b'T' | b'F' | b'N' => Some("JSON spells them true, false and null"),
        b'u' => Some("JSON has no undefined; leave the member out or use null"),
        b'\'' => Some("JSON uses double quotes"),
        b'/' | b'#' => Some("comments are not JSON"),
        b'+' | b'.' => Some("numbers start with a digit or a minus sign"),
        b']' | b'}' => Some("a value is missing before the closing bracket"),
        b',' => Some("a value is missing before the comma"),
        _ => None,
    };
    syntax("a value", hint)
}
