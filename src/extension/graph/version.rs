//! When one version of an interface may stand in for another.
//!
//! The rule is that of semantic versions (semver.org) as cargo and the component model read it: within a compatibility track, which is the
//! first number that is not zero, whatever is newer has everything that is older. What the engine itself checks is weaker: its linker takes an
//! older provider as long as the functions are there.

use std::cmp::Ordering;

pub use semver::Version;

/// Does an offer suit a requirement?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suits {
    Yes,
    /// The right track, but older than what is required.
    TooOld,
    /// Another track: nothing is promised between the two.
    OtherTrack,
}

/// Does what is offered suit what is required? None is the version of an interface whose name carries none; it suits only its like.
pub fn suits(required: Option<&Version>, offered: Option<&Version>) -> Suits {
    match (required, offered) {
        (None, None) => Suits::Yes,
        (None, Some(_)) | (Some(_), None) => Suits::OtherTrack,
        (Some(required), Some(offered)) if track(required) != track(offered) => Suits::OtherTrack,
        (Some(required), Some(offered)) if required.cmp_precedence(offered).is_gt() => Suits::TooOld,
        (Some(_), Some(_)) => Suits::Yes,
    }
}

/// Which of two offers is the newer one? What stands behind a `+` does not count.
pub(super) fn newer(a: Option<&Version>, b: Option<&Version>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => a.cmp_precedence(b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

/// Versions of one track promise to be compatible.
#[derive(PartialEq, Eq)]
enum Track<'a> {
    /// `1.x.y`
    Major(u64),
    /// `0.2.x`
    Minor(u64),
    /// `0.0.3`
    Patch(u64),
    /// Pre-releases promise nothing, not even to each other.
    Exact(&'a Version),
}

fn track(version: &Version) -> Track<'_> {
    match version {
        Version { pre, .. } if !pre.is_empty() => Track::Exact(version),
        Version { major: 0, minor: 0, patch, .. } => Track::Patch(*patch),
        Version { major: 0, minor, .. } => Track::Minor(*minor),
        Version { major, .. } => Track::Major(*major),
    }
}
