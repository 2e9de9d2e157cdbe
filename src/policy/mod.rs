//! Who may do what, and what comes next. Pure: facts in, decision out.
//!
//! | module | decides |
//! | --- | --- |
//! | [`grants`] | what an extension may import |
//! | [`settings`] | what `postroom.toml` says, and that it says nothing else |
//! | [`route`] | where a message goes |
//! | [`reply`] | whether it is an answer, and whether it may be given |
//! | [`retry`] | when a failed attempt is repeated |
//! | [`limits`] | how much may wait |
//! | [`rate`] | how fast a sender may send |

pub mod grants;
pub mod limits;
pub mod rate;
pub mod reply;
pub mod retry;
pub mod route;
pub mod settings;

pub use grants::{Grant, Grants, WasiGrants};
pub use settings::Settings;

use crate::message::Code;

/// Why a message is refused: what ends in its `.why.json` and in the error reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub code: Code,
    /// For a person: what is wrong, in one sentence.
    pub message: String,
    /// For a person: what to do about it.
    pub hint: Option<String>,
}

impl Refused {
    pub fn new(code: Code, message: impl Into<String>) -> Refused {
        Refused { code, message: message.into(), hint: None }
    }

    pub fn with_hint(mut self, hint: impl Into<String>) -> Refused {
        self.hint = Some(hint.into());
        self
    }
}

/// The names most like `name`, best first, at most three.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut scored: Vec<(f64, &str)> = known
        .into_iter()
        .map(|other| (strsim::jaro_winkler(name, other), other))
        .filter(|(score, _)| *score > 0.75)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.into_iter().take(3).map(|(_, other)| other).collect()
}
