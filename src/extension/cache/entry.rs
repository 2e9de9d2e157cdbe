//! One file of compiled code: what it belongs to, and how it proves that it is whole.
//!
//! | bytes | what |
//! | --- | --- |
//! | 16 | [`MAGIC`], with the version of this layout at its end |
//! | 32 | SHA-256 of the component |
//! | 32 | SHA-256 of what the engine says its code depends on: version, target, settings |
//! | 32 | SHA-256 of the code |
//! | 8 | length of the code, little-endian |
//! | rest | the code |

use std::fmt::Write as _;
use std::hash::{Hash as _, Hasher};

use sha2::{Digest as _, Sha256};
use wasmtime::Engine;

/// Another layout gets another last byte, and is compiled anew.
const MAGIC: &[u8; 16] = b"postroom code \0\x01";
pub(super) const HEADER_BYTES: usize = 16 + 32 + 32 + 32 + 8;

/// What compiled code belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    component: [u8; 32],
    engine: [u8; 32],
}

impl Key {
    pub(super) fn of(component: &[u8; 32], engine: &Engine) -> Key {
        let mut hasher = Sha256Hasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Key { component: *component, engine: hasher.0.finalize().into() }
    }

    /// Both hashes, the second cut: it only keeps engines apart, what is trusted stands inside.
    pub(super) fn file_name(&self) -> String {
        let mut name = String::with_capacity(88);
        for byte in &self.component {
            // Writing to a String cannot fail.
            let _ = write!(name, "{byte:02x}");
        }
        name.push('-');
        for byte in &self.engine[..8] {
            let _ = write!(name, "{byte:02x}");
        }
        name + ".code"
    }

    pub(super) fn header(&self, code: &[u8]) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        let hash: [u8; 32] = Sha256::digest(code).into();
        let length = (code.len() as u64).to_le_bytes();
        let parts: [&[u8]; 5] = [MAGIC, &self.component, &self.engine, &hash, &length];
        let mut at = 0;
        for part in parts {
            header[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        header
    }

    /// The code in a file of this key, or why it is none.
    pub(super) fn code_in<'a>(&self, file: &'a [u8]) -> Result<&'a [u8], String> {
        let Some((header, code)) = file.split_at_checked(HEADER_BYTES) else {
            return Err("it is cut off".into());
        };
        if !header.starts_with(MAGIC) {
            return Err("it is no compiled code of this postroom".into());
        }
        // The header of this very code under this key, hash included, has to be what stands there.
        if header == self.header(code) {
            return Ok(code);
        }
        Err("it is damaged, or belongs to another component or engine".into())
    }
}

/// Lets the engine, which hashes for hash maps, hash for us.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Not used: the whole digest is taken.
    fn finish(&self) -> u64 {
        let digest: [u8; 32] = self.0.clone().finalize().into();
        digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}
