//! Which exported function a text means, as `invoke.call` takes it: `namespace:package/interface@version#name`, the version perhaps left out,
//! or the bare name of a function that belongs to no interface.

use crate::extension::graph::{Suits, Version, suits};
use crate::extension::host::is_built_in;
use crate::extension::link::{FunctionPath, exported_functions};
use crate::extension::set::Set;
use crate::message::visible;
use crate::policy::nearest;

/// Functions that an error lists.
const LISTED: usize = 8;

/// Characters of a stranger's text that an error quotes.
const SHOWN: usize = 200;

/// The function of an extension that is meant.
///
/// # Errors
/// There is none. For a person, with the nearest names.
pub(super) fn choose(set: &Set, extension: &str, text: &str) -> Result<FunctionPath, String> {
    of_all(exported_functions(set, extension).map(|(path, _)| path), text)
        .map_err(|reason| format!("`{extension}` exports no function `{}`; {reason}", visible(text, SHOWN)))
}

fn parse(text: &str) -> FunctionPath {
    let Some((interface, name)) = text.split_once('#') else {
        return FunctionPath { interface: None, version: None, name: text.to_owned() };
    };
    let (interface, version) = match interface.rsplit_once('@').map(|(name, version)| (name, version.parse())) {
        Some((name, Ok(version))) => (name, Some(version)),
        Some((_, Err(_))) | None => (interface, None),
    };
    FunctionPath { interface: Some(interface.to_owned()), version, name: name.to_owned() }
}

/// Of several versions the highest that suits. What is exported for the service alone is not there.
fn of_all(exported: impl Iterator<Item = FunctionPath>, text: &str) -> Result<FunctionPath, String> {
    let is_open = |path: &FunctionPath| !path.interface.as_deref().is_some_and(is_built_in);
    let known: Vec<FunctionPath> = exported.filter(is_open).collect();
    let wanted = parse(text);
    let meant = known.iter().filter(|path| is_meant(&wanted, path)).max_by(|a, b| a.version.cmp(&b.version));
    meant.cloned().ok_or_else(|| {
        let names: Vec<String> = known.iter().map(FunctionPath::to_string).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let near = nearest(text, names.iter().copied());
        match (near.as_slice(), names.as_slice()) {
            ([], []) => "it exports none that can be called so".to_owned(),
            ([], names) => format!("it exports {}", listed(&names[..names.len().min(LISTED)])),
            (near, _) => format!("the nearest are {}", listed(near)),
        }
    })
}

fn is_meant(wanted: &FunctionPath, offered: &FunctionPath) -> bool {
    let required: Option<&Version> = wanted.version.as_ref();
    let version = required.is_none() || suits(required, offered.version.as_ref()) == Suits::Yes;
    wanted.name == offered.name && wanted.interface == offered.interface && version
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(text: &str, exported: &[&str]) -> Result<String, String> {
        of_all(exported.iter().map(|text| parse(text)), text).map(|path| path.to_string())
    }

    #[test]
    fn the_highest_version_that_suits_is_meant() {
        let exported = ["a:b/c@1.0.0#f", "a:b/c@1.2.0#f", "a:b/c@2.0.0#f", "a:b/c@1.9.0#g", "a:b/plain#f", "f"];
        let of = |text| chosen(text, &exported).unwrap();
        assert_eq!(of("a:b/c#f"), "a:b/c@2.0.0#f");
        assert_eq!(of("a:b/c@1.0.0#f"), "a:b/c@1.2.0#f");
        assert_eq!(of("a:b/c@1.1.0#f"), "a:b/c@1.2.0#f");
        assert_eq!(of("a:b/c#g"), "a:b/c@1.9.0#g");
        assert_eq!(of("a:b/plain#f"), "a:b/plain#f");
        assert_eq!(of("f"), "f");
        for missing in ["a:b/c@1.3.0#f", "a:b/c@3.0.0#f", "a:b/plain@1.0.0#f", "g", "", "#f", "a:b/c#", "a:b/c@1.0#f"] {
            assert!(chosen(missing, &exported).is_err(), "{missing}");
        }
    }

    #[test]
    fn an_unknown_function_names_the_nearest() {
        let exported = ["a:b/c@1.0.0#add", "postroom:extension/handler@1.0.0#handle"];
        assert_eq!(chosen("a:b/c@1.0.0#ad", &exported).unwrap_err(), "the nearest are `a:b/c@1.0.0#add`");
        assert_eq!(chosen("zzz", &exported).unwrap_err(), "it exports `a:b/c@1.0.0#add`");
        assert_eq!(chosen("f", &exported[1..]).unwrap_err(), "it exports none that can be called so");
    }

    #[test]
    fn what_the_service_calls_is_not_for_others() {
        assert!(chosen("postroom:extension/handler#handle", &["postroom:extension/handler@1.0.0#handle"]).is_err());
    }
}
