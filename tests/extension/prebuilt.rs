//! The extensions that come with postroom, as they are committed: are they what was built from these sources, of these types?

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use postroom::extension::analysis::analyse;
use postroom::extension::graph::Interface;
use sha2::{Digest, Sha256};

use super::guests::{NAMES, bytes_of};
use super::mock::{component, described, replying};

const EXTENSIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/extensions");

#[test]
fn the_components_are_those_that_were_built_from_these_sources() {
    let folder = Path::new(EXTENSIONS);
    let with_ending = |ending: &str| -> BTreeSet<String> {
        let names = std::fs::read_dir(folder.join("prebuilt")).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter_map(|name| Some(name.to_str()?.strip_suffix(ending)?.to_owned())).collect()
    };
    let names: BTreeSet<String> = NAMES.iter().map(ToString::to_string).collect();
    assert_eq!((with_ending(".wasm"), with_ending(".sha256")), (names.clone(), names.clone()));
    for name in names {
        let sums = std::fs::read_to_string(folder.join(format!("prebuilt/{name}.sha256"))).unwrap();
        assert!(
            sums.contains(&format!("  prebuilt/{name}.wasm\n")) && sums.contains(&format!("  {name}/src/")),
            "{sums}"
        );
        for line in sums.lines() {
            let (sum, file) = line.split_once("  ").unwrap();
            let bytes = std::fs::read(folder.join(file)).unwrap();
            let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, sum, "{file} has changed: run scripts/build-guests");
        }
    }
}

fn functions_of(interfaces: Vec<Interface>) -> BTreeMap<String, impl PartialEq + std::fmt::Debug> {
    interfaces.into_iter().map(|interface| (interface.name, interface.functions)).collect()
}

/// The guests were built from `wit/` by tools for three languages, the mocks were written by hand.
#[test]
fn guests_and_mocks_have_the_types_of_one_contract() {
    let of_contract = |mut interfaces: Vec<Interface>| {
        interfaces.retain(|interface| {
            ["postroom:extension/handler", "postroom:extension/describe"].contains(&interface.name.as_str())
        });
        functions_of(interfaces)
    };
    let mock = of_contract(analyse(&component("", &[replying("1"), described("1", "a.b", "c")])).unwrap().exports);
    assert_eq!(mock.len(), 2);
    for name in NAMES {
        assert_eq!(of_contract(analyse(&bytes_of(name)).unwrap().exports), mock, "{name}");
    }
}

/// What a guest does not use is not among its imports, so it needs no grant for it. And nothing comes from WASI.
#[test]
fn guests_import_what_they_use() {
    for name in NAMES {
        let imports = analyse(&bytes_of(name)).unwrap().imports;
        let with_functions: BTreeSet<String> = imports
            .iter()
            .filter(|interface| !interface.functions.is_empty())
            .map(|interface| interface.name.clone())
            .collect();
        let expected: &[&str] = match name {
            "ext-add" => &["postroom-examples:ext-js/lib"],
            "ext-js" => &["postroom:extension/invoke"],
            "ext-notes" => &[
                "postroom:extension/bus",
                "postroom:extension/clock",
                "postroom:extension/config",
                "postroom:extension/log",
                "postroom:extension/random",
                "postroom:extension/state",
            ],
            "ext-text" => &["postroom:extension/console"],
            _ => &[],
        };
        assert_eq!(with_functions, expected.iter().map(ToString::to_string).collect(), "{name}");
    }
}
