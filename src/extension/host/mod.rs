//! What an extension can import from the service: each interface of `wit/` in a file of its own, and WASI 0.2.
//!
//! | file | what it is |
//! | --- | --- |
//! | `bus`, `invoke` | reaching others: messages and calls; functions by name |
//! | `state`, `log`, `config`, `clock`, `random` | what reaches nobody else |
//! | `console` | the terminal of a subcommand |
//! | `wasi` | WASI 0.2 in a world of the user's making |
//! | `failure` | how a function of the host says no |
//!
//! Absent on purpose: deciding who is granted what (`policy::grants`), and functions of other extensions (`link`).
//!
//! Invariants: what is not granted is not linked, so no code of it can be reached; the functions of a linker belong to the one importer that
//! it was made for, whoever calls that importer; every function of `wit/` begins with [`Chain::count_host_call`].
//!
//! [`Chain::count_host_call`]: super::tenant::Chain::count_host_call

mod bus;
mod clock;
mod config;
mod console;
mod failure;
mod invoke;
mod log;
mod random;
mod state;
pub(super) mod wasi;

use std::sync::Arc;

use wasmtime::component::{Linker, LinkerInstance};

use super::graph::{Suits, Version, suits};
use super::tenant::{Importer, Tenant};
use crate::policy::grants::Grant;
use crate::policy::nearest;

/// The package of `wit/`.
const PACKAGE: &str = "postroom:extension";

/// The version of `wit/` that is implemented. The engine's linker serves every 1.x with it, as long as the functions that the guest uses are
/// there.
const VERSION: Version = Version::new(1, 0, 0);

/// What extensions export and the service calls. Nobody can import it.
const EXPORTED: [&str; 4] = ["handler", "describe", "init", "cli"];

/// Interfaces without functions: nobody needs to provide them.
const TYPES: &str = "types";

/// The terminal of a subcommand needs no grant: anywhere else it prints nothing.
const CONSOLE: &str = "console";

/// Provides everything that is granted to this importer, in its own linker.
pub(super) fn add_granted(linker: &mut Linker<Tenant>, importer: &Arc<Importer>) -> wasmtime::Result<()> {
    for grant in importer.grants.iter() {
        match grant {
            Grant::Bus => bus::add(&mut interface(linker, grant.as_str())?, importer)?,
            Grant::Invoke => invoke::add(&mut interface(linker, grant.as_str())?, importer)?,
            Grant::State => state::add(&mut interface(linker, grant.as_str())?, importer)?,
            Grant::Log => log::add(&mut interface(linker, grant.as_str())?, importer)?,
            Grant::Config => config::add(&mut interface(linker, grant.as_str())?, importer)?,
            Grant::Clock => clock::add(&mut interface(linker, grant.as_str())?)?,
            Grant::Random => random::add(&mut interface(linker, grant.as_str())?)?,
            Grant::Wasi => wasi::add(linker, importer)?,
        }
    }
    console::add(&mut interface(linker, CONSOLE)?)
}

fn interface<'a>(linker: &'a mut Linker<Tenant>, name: &str) -> wasmtime::Result<LinkerInstance<'a, Tenant>> {
    linker.instance(&format!("{PACKAGE}/{name}@{VERSION}"))
}

/// Is this interface, with or without version, the service's to provide? Extensions cannot offer it to each other.
pub(super) fn is_built_in(interface_name: &str) -> bool {
    matches!(package(interface_name), PACKAGE) || wasi::is_wasi(interface_name)
}

fn package(interface_name: &str) -> &str {
    interface_name.split_once('/').map_or(interface_name, |(package, _)| package)
}

/// Why a built-in interface cannot be had by this importer, for a person, with the setting that would grant it. None if it can.
pub(super) fn missing_grant(importer: &Importer, interface_name: &str) -> Option<String> {
    let (name, version) = split(interface_name);
    let grant = if wasi::is_wasi(name) {
        if let Some(reason) = wasi::not_offered(name, version.as_ref()) {
            return Some(format!("it imports `{interface_name}`; {reason}"));
        }
        Grant::Wasi
    } else {
        match offered(name, version.as_ref()) {
            Ok(Some(grant)) => grant,
            Ok(None) => return None,
            Err(reason) => return Some(format!("it imports `{interface_name}`; {reason}")),
        }
    };
    (!importer.grants.has(grant)).then(|| {
        format!(
            "it imports `{interface_name}`, which is not granted to it; `grants = [\"{grant}\"]` in \
             [extension.{}] of postroom.toml grants it",
            importer.name
        )
    })
}

/// The grant that an interface of this package needs, if it needs one.
fn offered(name: &str, version: Option<&Version>) -> Result<Option<Grant>, String> {
    if suits(version, Some(&VERSION)) == Suits::OtherTrack {
        return Err(format!("this program offers version {VERSION} of `{PACKAGE}`, which is another contract"));
    }
    let name = name.split_once('/').map_or("", |(_, name)| name);
    match (name, Grant::ALL.into_iter().find(|grant| *grant != Grant::Wasi && grant.as_str() == name)) {
        (_, Some(grant)) => Ok(Some(grant)),
        (TYPES | CONSOLE, None) => Ok(None),
        (name, None) if EXPORTED.contains(&name) => {
            Err("that is for the service to call: export it, or call others through `bus` or `invoke`".into())
        }
        (name, None) => {
            let known = Grant::ALL.into_iter().filter(|grant| *grant != Grant::Wasi).map(Grant::as_str);
            let known: Vec<&str> = known.chain([CONSOLE]).collect();
            Err(match nearest(name, known.iter().copied()).first() {
                Some(near) => format!("there is no such interface here; did you mean `{near}`?"),
                None => format!("there is no such interface here; there are {}", known.join(", ")),
            })
        }
    }
}

/// Name and version. What does not end in a version has none.
fn split(interface_name: &str) -> (&str, Option<Version>) {
    match interface_name.rsplit_once('@') {
        Some((name, version)) => match version.parse() {
            Ok(version) => (name, Some(version)),
            Err(_) => (interface_name, None),
        },
        None => (interface_name, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::grants::Grants;

    fn importer(grants: Grants) -> Importer {
        Importer { name: "it".into(), index: 0, grants, wasi: Arc::default(), config: Arc::default() }
    }

    #[test]
    fn the_service_provides_its_own_package_and_wasi() {
        for name in ["postroom:extension/bus", "postroom:extension/bus@9.0.0", "wasi:io/poll@0.2.3", "wasi:http/types"]
        {
            assert!(is_built_in(name), "{name}");
        }
        for name in
            ["postroom:extensions/bus", "postroom:other/bus@1.0.0", "wasix:io/poll", "bus", "calc:sum/lib@1.0.0"]
        {
            assert!(!is_built_in(name), "{name}");
        }
    }

    #[test]
    fn what_is_missing_is_said_with_the_setting_that_grants_it() {
        let alone = importer(Grants::ALONE);
        assert_eq!(
            missing_grant(&alone, "postroom:extension/bus@1.0.0").as_deref(),
            Some(
                "it imports `postroom:extension/bus@1.0.0`, which is not granted to it; `grants = [\"bus\"]` in \
                 [extension.it] of postroom.toml grants it"
            )
        );
        for had in ["log@1.0.0", "state@1.0.7", "clock@1.9.0", "types@1.0.0", "console@1.0.0"] {
            assert_eq!(missing_grant(&alone, &format!("postroom:extension/{had}")), None, "{had}");
        }
        let none = importer(Grants::NONE);
        for grant in Grant::ALL {
            let name = match grant {
                Grant::Wasi => "wasi:cli/environment@0.2.6".to_owned(),
                _ => format!("postroom:extension/{grant}@1.0.0"),
            };
            assert!(missing_grant(&none, &name).unwrap().contains(&format!("grants = [\"{grant}\"]")), "{name}");
            assert_eq!(missing_grant(&importer(Grants::of(&[grant])), &name), None, "{name}");
        }
    }

    #[test]
    fn other_versions_and_other_names_are_refused_with_the_reason() {
        let all = importer(Grants::of(&Grant::ALL));
        let reason = |name: &str| missing_grant(&all, name).unwrap_or_else(|| panic!("{name} is offered"));
        assert!(reason("postroom:extension/bus@2.0.0").contains("this program offers version 1.0.0"));
        assert!(reason("postroom:extension/bus@1.1.0-rc.1").contains("which is another contract"));
        assert!(reason("postroom:extension/bus").contains("which is another contract"));
        assert!(reason("postroom:extension/handler@1.0.0").contains("for the service to call"));
        assert!(reason("postroom:extension/clocks@1.0.0").contains("did you mean `clock`?"));
        assert!(reason("wasi:cli/environment@0.3.0").contains("0.2"));
        assert!(reason("wasi:http/outgoing-handler@0.2.0").contains("not offered"));
    }
}
