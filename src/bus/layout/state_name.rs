//! The file name of a value that an extension keeps, and the key back from it.

use sha2::Digest as _;

use super::cut;

/// A stored value's name is cut after so many bytes: with a digest behind it, and as a staged effect, it must fit into [`NAME_MAX`].
const STATE_NAME_MAX: usize = 140;

/// The file name of a stored value. Small letters, digits, `-` and `_` stand for themselves, every other byte is `%xx`, so no two
/// keys meet on a file system that ignores case. A key whose name would be too long is cut, and followed by `~` and a digest.
pub fn state_name(key: &str) -> String {
    let mut name = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
            _ => name.push_str(&format!("%{byte:02x}")),
        }
    }
    if name.len() <= STATE_NAME_MAX {
        return name;
    }
    let digest = sha2::Sha256::digest(key);
    let digest: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}~{digest}", cut(&name, STATE_NAME_MAX))
}

/// The key that [`state_name`] made a name of; `None` where it was cut, or for anything else.
pub fn state_key(name: &str) -> Option<String> {
    let mut key = Vec::with_capacity(name.len());
    let mut bytes = name.bytes();
    while let Some(byte) = bytes.next() {
        key.push(match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => byte,
            _ => return None,
        });
    }
    String::from_utf8(key).ok().filter(|key| state_name(key) == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_name_and_back() {
        for key in ["a", "../x", "A", "a.b/c", "ä %41", "\0", "..", "\u{1b}[2J"] {
            let name = state_name(key);
            assert!(name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'%')), "{name}");
            assert_eq!(state_key(&name).as_deref(), Some(key));
        }
        let long = |end: &str| state_name(&format!("{}{end}", "Ä".repeat(99)));
        assert_ne!(long("x"), long("y"));
        assert!(long("x").len() <= STATE_NAME_MAX + 33, "{}", long("x"));
        assert_eq!(state_key(&long("x")), None, "it was cut");
        for foreign in ["%4", "%zz", "%61", "A", ".x", "a~b"] {
            assert_eq!(state_key(foreign), None, "{foreign}");
        }
    }
}
