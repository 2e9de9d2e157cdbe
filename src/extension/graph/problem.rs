//! Why an extension cannot be linked, in words that name importer, interface and the nearest candidates.

use std::collections::BTreeSet;
use std::fmt;

use super::Version;

/// One reason for which an extension is set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Nobody offers an interface of this name.
    Missing { importer: String, interface: String, required: Option<Version>, nearest: Vec<String> },
    /// The provider that the user chose does not offer the interface at all, or is not installed.
    ChosenLacks { importer: String, interface: String, chosen: String },
    /// It is offered on the right track, but only older than required.
    TooOld { importer: String, interface: String, required: Option<Version>, found: Vec<(String, Option<Version>)> },
    /// It is offered, but only in versions that promise nothing for the required one.
    OtherVersion {
        importer: String,
        interface: String,
        required: Option<Version>,
        found: Vec<(String, Option<Version>)>,
    },
    /// Several extensions offer the same highest version.
    Ambiguous { importer: String, interface: String, version: Option<Version>, candidates: Vec<String> },
    /// The provider's interface has no function of this name.
    MissingFunction { importer: String, interface: String, function: String, provider: String, nearest: Vec<String> },
    /// The provider's function has another type.
    TypeMismatch {
        importer: String,
        interface: String,
        function: String,
        provider: String,
        wanted: String,
        offered: String,
    },
    /// Each of these needs the next one, and the last needs the first.
    Cycle { path: Vec<String> },
    /// The provider cannot be loaded itself.
    ProviderSetAside { importer: String, provider: String },
}

/// The setting in `postroom.toml` that chooses a provider.
fn setting(importer: &str, interface: &str) -> String {
    format!("extension.\"{importer}\".providers.\"{interface}\"")
}

fn versioned(interface: &str, version: &Option<Version>) -> String {
    match version {
        Some(version) => format!("{interface}@{version}"),
        None => interface.to_owned(),
    }
}

fn offers(found: &[(String, Option<Version>)]) -> String {
    let offer = |(by, version): &(String, Option<Version>)| match version {
        Some(version) => format!("{by} has {version}"),
        None => format!("{by} has one without version"),
    };
    found.iter().map(offer).collect::<Vec<_>>().join(", ")
}

struct Nearest<'a>(&'a [String]);

impl fmt::Display for Nearest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => Ok(()),
            names => write!(f, "; nearest: {}", names.join(", ")),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Missing { importer, interface, required, nearest } => {
                let wanted = versioned(interface, required);
                write!(f, "{importer} needs {wanted}, which no extension offers{}", Nearest(nearest))
            }
            Problem::ChosenLacks { importer, interface, chosen } => {
                let setting = setting(importer, interface);
                write!(f, "{importer} needs {interface}, and {setting} chooses {chosen}, which does not offer it")
            }
            Problem::TooOld { importer, interface, required, found } => {
                let wanted = versioned(interface, required);
                write!(f, "{importer} needs {wanted} or newer, but what is offered is too old: {}", offers(found))
            }
            Problem::OtherVersion { importer, interface, required, found } => {
                let wanted = versioned(interface, required);
                write!(f, "{importer} needs {wanted}, but what is offered is not compatible: {}", offers(found))
            }
            Problem::Ambiguous { importer, interface, version, candidates } => {
                let (offered, candidates) = (versioned(interface, version), candidates.join(" and "));
                let setting = setting(importer, interface);
                write!(f, "{importer} needs {interface}, and {candidates} all offer {offered}; choose with {setting}")
            }
            Problem::MissingFunction { importer, interface, function, provider, nearest } => {
                let nearest = Nearest(nearest);
                write!(f, "{importer} needs `{function}` of {interface}, which {provider} does not have{nearest}")
            }
            Problem::TypeMismatch { importer, interface, function, provider, wanted, offered } => {
                write!(
                    f,
                    "{importer} needs `{function}` of {interface} as {wanted}, but {provider} has it as {offered}"
                )
            }
            Problem::Cycle { path } => {
                let back_to = path.first().map_or("", String::as_str);
                write!(f, "they need each other in a circle: {} -> {back_to}", path.join(" -> "))
            }
            Problem::ProviderSetAside { importer, provider } => {
                write!(f, "{importer} needs {provider}, which cannot be loaded itself")
            }
        }
    }
}

/// How many candidates are worth naming.
const NAMED: usize = 3;
/// The share of the longer name that must be the same. One typing error in a name of three letters stays above it.
const ALIKE: f64 = 0.6;

/// The names that are most like this one, most alike first.
pub(super) fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let names: BTreeSet<&str> = names.collect();
    let mut alike: Vec<(f64, &str)> = names
        .into_iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(wanted, name), name))
        .filter(|(by, _)| *by >= ALIKE)
        .collect();
    alike.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    alike.into_iter().take(NAMED).map(|(_, name)| name.to_owned()).collect()
}
