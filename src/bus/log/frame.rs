//! One frame of a log: a line `postroom <number> <length> <crc32>`, so many bytes, a newline.

use std::io::{self, Read};

/// A frame's head has this many bytes: `postroom `, number (20 digits), length (10), checksum (8 hex), newline.
const HEAD: usize = 9 + 20 + 1 + 10 + 1 + 8 + 1;

/// Appends a frame whose content `body` writes.
pub fn append(number: u64, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let head = out.len();
    out.resize(head + HEAD, b' ');
    body(out);
    let (len, sum) = {
        let body = &out[head + HEAD..];
        (body.len(), checksum(number, body))
    };
    let place = &mut out[head..head + HEAD];
    place[..8].copy_from_slice(b"postroom");
    digits(&mut place[9..29], number, 10);
    digits(&mut place[30..40], len as u64, 10);
    digits(&mut place[41..49], sum.into(), 16);
    place[HEAD - 1] = b'\n';
    out.push(b'\n');
}

/// Fills `place` with a number, zeros before it. (`write!` with widths takes 2,500 instructions for a head, twice for every message.)
fn digits(place: &mut [u8], mut number: u64, base: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number % base) as usize];
        number /= base;
    }
    debug_assert_eq!(number, 0, "it has more digits than there is room for");
}

/// CRC-32 (IEEE) over number and body, so that a frame moved to another place does not pass.
fn checksum(number: u64, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(body);
    hasher.finalize()
}

/// Reads frames one after the other, each into the same memory: a log may be longer than what a service may keep.
pub struct Frames<R> {
    from: R,
    /// Bytes of the file behind what was read.
    left: u64,
    expected: Option<u64>,
    body: Vec<u8>,
}

impl<R: Read> Frames<R> {
    /// `len`: how many bytes there are to read.
    pub fn new(from: R, len: u64) -> Frames<R> {
        Frames { from, left: len, expected: None, body: Vec::new() }
    }

    /// The content of the next frame. `None`: the first one that is not whole, or not the next number, ends the log.
    pub fn next(&mut self) -> io::Result<Option<&[u8]>> {
        let mut head = [0; HEAD];
        if !self.fill(&mut head)? {
            return Ok(None);
        }
        let Some((number, len, sum)) = understand(&head) else { return Ok(None) };
        if self.expected.is_some_and(|expected| expected != number) || len >= self.left {
            return Ok(None);
        }
        let mut body = std::mem::take(&mut self.body);
        body.resize(len as usize + 1, 0);
        let is_there = self.fill(&mut body);
        self.body = body;
        if !is_there? || self.body.pop() != Some(b'\n') || checksum(number, &self.body) != sum {
            return Ok(None);
        }
        self.expected = Some(number + 1);
        Ok(Some(&self.body))
    }

    /// `false`: the file ends before.
    fn fill(&mut self, place: &mut [u8]) -> io::Result<bool> {
        match self.from.read_exact(place) {
            Ok(()) => {
                self.left = self.left.saturating_sub(place.len() as u64);
                Ok(true)
            }
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(e) => Err(e),
        }
    }
}

/// Number, length of the content, checksum.
fn understand(head: &[u8; HEAD]) -> Option<(u64, u64, u32)> {
    let head = std::str::from_utf8(head).ok()?.strip_suffix('\n')?;
    let mut parts = head.strip_prefix("postroom ")?.split(' ');
    let (number, len) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some((number, len, u32::from_str_radix(parts.next()?, 16).ok()?))
}
