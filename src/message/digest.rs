//! Is this the same message again? The digest over what makes two messages with one id "equal content" (bus format,
//! section 4, "Twice"): recipient, action, payload text, `inReplyTo`. Time, priority and other fields are not part of it.
//!
//! It is a SHA-256. A long part stands in it as its BLAKE3 hash (O'Connor, Aumasson, Neves, Wilcox-O'Hearn: "BLAKE3", 2020), which is
//! found in a quarter of the time: of what an echo of 1 MiB costs, hashing was a quarter.

use sha2::{Digest, Sha256};

use super::{Message, Recipient};

/// Over the content of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContentDigest(pub [u8; 32]);

impl std::fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = [0; 64];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        f.write_str(std::str::from_utf8(&hex).unwrap_or_default())
    }
}

/// Names the framing; a change of it needs a new name, because digests outlive a version of the program.
const FRAMING: &[u8] = b"postroom content 1\n";

/// Parts of this many bytes and more are long: from here on BLAKE3 works on sixteen pieces at a time.
const LONG: usize = 16 << 10;

/// How a long part stands in the digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Long {
    Hashed,
    /// As it is: so it was in the first version of the program, whose digests are remembered for days.
    Whole,
}

impl Message {
    /// Each part is preceded by a letter for its kind and its length, so that no two contents have one framing. A list of
    /// recipients counts in its order. A missing payload is the payload `null`.
    pub fn content_digest(&self) -> ContentDigest {
        self.digest(Long::Hashed)
    }

    /// Has it the content that `digest`, hex of the digest of a message, stands for?
    pub fn has_content(&self, digest: &str) -> bool {
        let is_it = |long| self.digest(long).to_string() == digest;
        is_it(Long::Hashed) || (self.text().as_str().len() >= LONG && is_it(Long::Whole))
    }

    fn digest(&self, long: Long) -> ContentDigest {
        let mut framed = Framed { hash: Sha256::new_with_prefix(FRAMING), long };
        match self.recipient() {
            Recipient::One(agent) => framed.part(b'r', agent.as_str()),
            Recipient::Many(agents) => {
                framed.count(b'l', agents.len());
                agents.iter().for_each(|agent| framed.part(b'r', agent.as_str()));
            }
            Recipient::All => framed.count(b'*', 0),
        }
        framed.part(b'a', self.action().as_str());
        match self.error_text() {
            Some(error) => framed.part(b'e', error),
            None => framed.part(b'p', self.payload_text()),
        }
        match self.in_reply_to() {
            Some(id) => framed.part(b'i', id.as_str()),
            None => framed.count(b'n', 0),
        }
        ContentDigest(framed.hash.finalize().into())
    }
}

struct Framed {
    hash: Sha256,
    long: Long,
}

impl Framed {
    fn count(&mut self, kind: u8, count: usize) {
        self.hash.update([kind]);
        self.hash.update((count as u64).to_le_bytes());
    }

    fn part(&mut self, kind: u8, text: &str) {
        if text.len() >= LONG && self.long == Long::Hashed {
            // A capital letter, so that no text is taken for another one's hash.
            self.count(kind.to_ascii_uppercase(), text.len());
            self.hash.update(blake3::hash(text.as_bytes()).as_bytes());
        } else {
            self.count(kind, text.len());
            self.hash.update(text);
        }
    }
}
