//! Finding two equal keys in one object.
//!
//! The keys of all open objects lie in one stack; when an object closes, its own are compared and taken off. A few are
//! compared pairwise, many are sorted. No hash table, so that no choice of keys makes it slow: sorting n keys of together m
//! bytes costs at most O(m log n).

use super::string::{self, Spelling};

/// Up to this many keys, comparing each with each is faster than sorting.
const FEW: usize = 12;

/// One key of an open object.
#[derive(Clone, Copy)]
struct Key {
    /// Equal keys have equal fingerprints. Only ever a shortcut.
    fingerprint: u32,
    /// Where the meaning is: below `text.len()` in the text, from there on in `decoded`.
    start: u32,
    len: u32,
    /// The opening quote in the text.
    quote: u32,
}

/// The keys of the objects that are open.
pub(super) struct Keys<'t> {
    text: &'t str,
    open: Vec<Key>,
    /// Meanings of keys that were spelled with an escape, one after the other.
    decoded: String,
}

/// Two equal keys: where their opening quotes are.
pub(super) struct Twice {
    pub first: usize,
    pub second: usize,
}

impl<'t> Keys<'t> {
    pub(super) fn new(text: &'t str) -> Keys<'t> {
        Keys { text, open: Vec::new(), decoded: String::new() }
    }

    /// How many keys are open; a newly opened object remembers it and gives it back to [`Keys::close`].
    #[inline]
    pub(super) fn mark(&self) -> u32 {
        self.open.len() as u32
    }

    /// Adds the key whose spelling is `text[quote..end]`, quotes included.
    #[inline]
    pub(super) fn push(&mut self, quote: usize, end: usize, spelling: Spelling) {
        let body = &self.text[quote + 1..end - 1];
        let (start, len) = match spelling {
            Spelling::Plain => (quote + 1, body.len()),
            Spelling::Escaped => {
                let from = self.decoded.len();
                string::unescape_into(body, &mut self.decoded);
                (self.text.len() + from, self.decoded.len() - from)
            }
        };
        let mut key = Key { fingerprint: 0, start: start as u32, len: len as u32, quote: quote as u32 };
        key.fingerprint = fingerprint(self.meaning(key).as_bytes());
        self.open.push(key);
    }

    fn meaning(&self, key: Key) -> &str {
        let (start, len) = (key.start as usize, key.len as usize);
        match start.checked_sub(self.text.len()) {
            None => &self.text[start..start + len],
            Some(start) => &self.decoded[start..start + len],
        }
    }

    /// Takes off the keys of the object that was opened at `mark`, and says whether two of them are equal.
    #[inline]
    pub(super) fn close(&mut self, mark: u32) -> Option<Twice> {
        let mark = mark as usize;
        let found = match self.open.len() - mark {
            0 | 1 => None,
            2..=FEW => self.compare_pairwise(mark),
            _ => self.compare_sorted(mark),
        };
        self.open.truncate(mark);
        found
    }

    fn compare_pairwise(&self, mark: usize) -> Option<Twice> {
        let keys = &self.open[mark..];
        for (index, second) in keys.iter().enumerate() {
            for first in &keys[..index] {
                if first.fingerprint == second.fingerprint && self.meaning(*first) == self.meaning(*second) {
                    return Some(Twice { first: first.quote as usize, second: second.quote as usize });
                }
            }
        }
        None
    }

    /// The repetition that comes first in the text, as in the pairwise comparison.
    fn compare_sorted(&mut self, mark: usize) -> Option<Twice> {
        let mut keys = self.open.split_off(mark);
        keys.sort_unstable_by(|a, b| {
            (a.fingerprint.cmp(&b.fingerprint))
                .then_with(|| self.meaning(*a).cmp(self.meaning(*b)))
                .then(a.quote.cmp(&b.quote))
        });
        let equal = |pair: &&[Key]| {
            pair[0].fingerprint == pair[1].fingerprint && self.meaning(pair[0]) == self.meaning(pair[1])
        };
        let earliest = keys.windows(2).filter(equal).min_by_key(|pair| pair[1].quote)?;
        Some(Twice { first: earliest[0].quote as usize, second: earliest[1].quote as usize })
    }
}

/// Length, first eight and last eight bytes, mixed. Constant time; collisions only cost a comparison.
#[inline]
fn fingerprint(bytes: &[u8]) -> u32 {
    let word = |chunk: Option<&[u8; 8]>| chunk.map(|chunk| u64::from_le_bytes(*chunk));
    let mixed = match (word(bytes.first_chunk()), word(bytes.last_chunk())) {
        (Some(first), Some(last)) => first ^ last.rotate_left(23),
        (Some(_), None) | (None, Some(_)) | (None, None) => {
            bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte))
        }
    };
    // The multiplier is 2^64 divided by the golden ratio (Knuth, The Art of Computer Programming, volume 3, section 6.4).
    ((mixed ^ bytes.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
}
