//! Names: of agents, of messages, of actions, and of a trace. Checked when they are made, so that below the border nobody has
//! to think about a path in an id, a device name of Windows or an escape sequence.

use std::fmt;
use std::sync::Arc;

use super::visible;

/// Characters that an agent id or a message id may have.
pub const MAX_ID_CHARS: usize = 128;

/// Characters that an action may have.
pub const MAX_ACTION_CHARS: usize = 256;

/// Characters of a refused name that its error quotes.
const QUOTED: usize = 64;

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameError {
    /// The text, cut and made visible.
    pub name: String,
    pub problem: NameProblem,
}

/// What a name must not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameProblem {
    Empty,
    TooLong { max: usize },
    FirstCharacter,
    Character,
    TwoDots,
    FinalDot,
    FinalReply,
    DeviceName,
    ControlCharacter,
    Traceparent,
}

impl fmt::Display for NameProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NameProblem::Empty => f.write_str("must not be empty"),
            NameProblem::TooLong { max } => write!(f, "must not have more than {max} characters"),
            NameProblem::FirstCharacter => f.write_str("must start with a letter from A to Z, a to z, or a digit"),
            NameProblem::Character => {
                f.write_str("may only have letters from A to Z and a to z, digits, dots, underscores and hyphens")
            }
            NameProblem::TwoDots => f.write_str("must not have two dots in a row"),
            NameProblem::FinalDot => f.write_str("must not end in a dot"),
            NameProblem::FinalReply => f.write_str("must not end in .reply, which marks the file of an answer"),
            NameProblem::DeviceName => f.write_str("must not be a device name of Windows such as CON or NUL"),
            NameProblem::ControlCharacter => f.write_str("must not have control characters"),
            NameProblem::Traceparent => f.write_str(
                "must look like 00-<32 hex digits>-<16 hex digits>-<2 hex digits>, in lower case and not all zero",
            ),
        }
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" {}", self.name, self.problem)
    }
}

impl std::error::Error for NameError {}

/// A checked name over shared text.
macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks a text.
            pub fn parse(text: &str) -> Result<$name, NameError> {
                match $check(text) {
                    None => Ok($name(Arc::from(text))),
                    Some(problem) => Err(NameError { name: visible(text, QUOTED), problem }),
                }
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<$name, NameError> {
                $name::parse(text)
            }
        }
    };
}

name_type!(
    /// Who sends or receives: `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`, without `..`, not ending in `.` or `.reply`, not a reserved
    /// device name (bus format, section 3). Safe as one component of a path on every file system that we know. Compared exactly.
    AgentId,
    id_problem
);

name_type!(
    /// The name of one message of one sender; the same pattern as [`AgentId`].
    MessageId,
    id_problem
);

name_type!(
    /// What to do: 1 to 256 characters without control characters; `namespace.command` by convention.
    Action,
    action_problem
);

name_type!(
    /// The place of a message in a distributed trace, as the W3C recommendation "Trace Context" (2021), section 3.2, spells it.
    Traceparent,
    traceparent_problem
);

impl AgentId {
    /// The service itself.
    pub const POSTROOM: &'static str = "postroom";

    /// Is this the service's own name?
    pub fn is_postroom(&self) -> bool {
        self.as_str() == AgentId::POSTROOM
    }
}

impl Action {
    /// What stands before the last dot: `mcp.core` of `mcp.core.echo`. None without a dot.
    pub fn namespace(&self) -> Option<&str> {
        self.as_str().rsplit_once('.').map(|(namespace, _)| namespace)
    }

    /// What stands behind the last dot: `echo` of `mcp.core.echo`. The whole without a dot.
    pub fn command(&self) -> &str {
        self.as_str().rsplit_once('.').map_or(self.as_str(), |(_, command)| command)
    }
}

fn id_problem(text: &str) -> Option<NameProblem> {
    let bytes = text.as_bytes();
    let &[first, ..] = bytes else {
        return Some(NameProblem::Empty);
    };
    if !first.is_ascii_alphanumeric() {
        return Some(NameProblem::FirstCharacter);
    }
    if !bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) {
        return Some(NameProblem::Character);
    }
    if bytes.len() > MAX_ID_CHARS {
        return Some(NameProblem::TooLong { max: MAX_ID_CHARS });
    }
    if text.contains("..") {
        return Some(NameProblem::TwoDots);
    }
    if text.ends_with('.') {
        return Some(NameProblem::FinalDot);
    }
    if text.ends_with(".reply") {
        return Some(NameProblem::FinalReply);
    }
    is_device_name(text).then_some(NameProblem::DeviceName)
}

/// The names that Windows keeps for devices, in any case, also with an extension ("Naming Files, Paths, and Namespaces").
fn is_device_name(text: &str) -> bool {
    let stem = text.split_once('.').map_or(text, |(stem, _)| stem);
    match stem.as_bytes() {
        [_, _, _] => ["con", "prn", "aux", "nul"].iter().any(|device| stem.eq_ignore_ascii_case(device)),
        [port @ .., b'0'..=b'9'] => port.eq_ignore_ascii_case(b"com") || port.eq_ignore_ascii_case(b"lpt"),
        [..] => false,
    }
}

fn action_problem(text: &str) -> Option<NameProblem> {
    if text.is_empty() {
        return Some(NameProblem::Empty);
    }
    if text.len() > MAX_ACTION_CHARS && text.chars().nth(MAX_ACTION_CHARS).is_some() {
        return Some(NameProblem::TooLong { max: MAX_ACTION_CHARS });
    }
    text.chars().any(char::is_control).then_some(NameProblem::ControlCharacter)
}

fn traceparent_problem(text: &str) -> Option<NameProblem> {
    let is_hex =
        |part: &str, len: usize| part.len() == len && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let is_zero = |part: &str| part.bytes().all(|b| b == b'0');
    let mut parts = text.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next(), parts.next(), parts.next());
    let valid = match (trace, parent, flags, parts.next()) {
        (Some(trace), Some(parent), Some(flags), None) => {
            is_hex(version, 2)
                && version != "ff"
                && is_hex(trace, 32)
                && !is_zero(trace)
                && is_hex(parent, 16)
                && !is_zero(parent)
                && is_hex(flags, 2)
        }
        (_, _, _, _) => false,
    };
    (!valid).then_some(NameProblem::Traceparent)
}
