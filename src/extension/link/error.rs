//! Why a call between extensions could not be made. Such an error ends the guest that called, as a trap does, and keeps its kind on the way up.

use std::fmt;

use super::super::set::Set;
use super::super::trail::{MOST_CALLS, NotEntered};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::extension) enum LinkError {
    /// The callee is at work already. The path leads from the extension that the message is for to the callee.
    ReEntry { path: Vec<String> },
    /// More than [`MOST_CALLS`] calls within each other.
    TooDeep { path: Vec<String> },
    /// The attempt has used up its calls.
    TooManyCalls { limit: u64 },
    /// The callee cannot be made to run at all.
    NotReady { extension: String, reason: String },
    /// More resources of others are held than the host keeps.
    TooManyResources,
    /// A handle that is not, or no longer, one of another extension's resources.
    NoSuchResource,
}

impl LinkError {
    pub(in crate::extension) fn not_entered(set: &Set, reason: NotEntered) -> LinkError {
        let names = |path: Vec<usize>| path.into_iter().map(|place| set.name(place).to_owned()).collect();
        match reason {
            NotEntered::ReEntry { path } => LinkError::ReEntry { path: names(path) },
            NotEntered::TooDeep { path } => LinkError::TooDeep { path: names(path) },
        }
    }

    /// The code by which programs know it, where `wit/` has one.
    pub(in crate::extension) fn code(&self) -> Option<&'static str> {
        match self {
            LinkError::ReEntry { .. } => Some("re-entry"),
            LinkError::TooDeep { .. } => Some("too-deep"),
            LinkError::TooManyCalls { .. }
            | LinkError::NotReady { .. }
            | LinkError::TooManyResources
            | LinkError::NoSuchResource => None,
        }
    }
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkError::ReEntry { path } => {
                let callee = path.last().map_or("", String::as_str);
                write!(f, "`{callee}` was called while it is at work in the same attempt: {}", path.join(" -> "))
            }
            LinkError::TooDeep { path } => {
                write!(f, "more than {MOST_CALLS} calls within each other: {}", path.join(" -> "))
            }
            LinkError::TooManyCalls { limit } => write!(f, "it called functions of others more than {limit} times"),
            LinkError::NotReady { extension, reason } => write!(f, "`{extension}` cannot run: {reason}"),
            LinkError::TooManyResources => f.write_str("it holds too many resources of other extensions"),
            LinkError::NoSuchResource => f.write_str("it passed a resource that is not there any more"),
        }
    }
}

impl std::error::Error for LinkError {}
