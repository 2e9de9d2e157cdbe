//! Roles under which functions are offered: `builder/rust`.

/// Bytes of a role.
const BYTES: usize = 128;

/// Is this a role: segments of `a-z`, `0-9` and `-`, with `/` between them?
pub(super) fn is_role(text: &str) -> bool {
    let is_segment = |segment: &str| {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !segment.is_empty() && segment.bytes().all(allowed)
    };
    text.len() <= BYTES && text.split('/').all(is_segment)
}

/// Is it this role, or one below it?
pub(super) fn is_within(role: &str, asked: &str) -> bool {
    role.strip_prefix(asked).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_segments() {
        for role in ["builder", "builder/rust", "a/b-2/3", &"x".repeat(128)] {
            assert!(is_role(role), "{role}");
        }
        for none in ["", "/", "builder/", "/builder", "a//b", "Builder", "a b", "ä", &"x".repeat(129)] {
            assert!(!is_role(none), "{none}");
        }
    }

    #[test]
    fn a_role_has_those_below_it() {
        assert!(is_within("builder", "builder") && is_within("builder/rust", "builder"));
        assert!(!is_within("builders", "builder") && !is_within("builder", "builder/rust") && !is_within("a", ""));
    }
}
