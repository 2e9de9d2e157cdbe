//! Who provides what to whom: from the interfaces that extensions offer and need to the order in which they are loaded.
//!
//! Pure: no files, no engine, no settings file. Facts in, decision out.
//!
//! Absent on purpose: running anything, and interfaces that the host provides, which the caller leaves out of [`Node::imports`] (a built-in
//! always wins, so nobody is asked for those).
//!
//! Invariants: each import of a loaded extension has exactly one provider, which offers every function of it with the same type; a provider
//! stands before its importers in the order; an extension that cannot be served, and everything that stands on it, is set aside with its
//! reasons and takes nobody else along. The result does not depend on the order of the input.

mod problem;
mod version;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub use problem::Problem;
use version::newer;
pub use version::{Suits, Version, suits};

/// An interface with all its functions, as one side sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Without version: `ns:pkg/lib`, or any other name that a component may use.
    pub name: String,
    /// None where the name carries none; such an interface fits only another without version.
    pub version: Option<Version>,
    /// Name to type, as text in which equal types are spelled equally.
    pub functions: BTreeMap<String, String>,
}

/// An extension that takes part.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its agent id.
    pub name: String,
    pub imports: Vec<Interface>,
    pub exports: Vec<Interface>,
}

/// The user's choices: for this importer and interface (without version), this provider and no other.
pub type Choices = BTreeMap<(String, String), String>;

/// One import, served.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    pub importer: String,
    /// The interface without version.
    pub interface: String,
    /// The version that the importer asks for: its linker wants the provider under exactly this name.
    pub required: Option<Version>,
    pub provider: String,
    /// The version that the provider offers.
    pub provided: Option<Version>,
}

/// What can be loaded, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolution {
    /// Every extension that can be loaded, each provider before its importers.
    pub order: Vec<String>,
    /// Every import of those, by importer and interface.
    pub links: Vec<Link>,
    /// The others, each with every reason that was found.
    pub set_aside: BTreeMap<String, Vec<Problem>>,
}

/// Finds a provider for every import and an order to load in. Names of nodes are expected to be unique; of two equal ones the first counts.
pub fn resolve(nodes: &[Node], choices: &Choices) -> Resolution {
    let nodes: BTreeMap<&str, &Node> = nodes.iter().rev().map(|node| (node.name.as_str(), node)).collect();
    let mut pending = BTreeMap::new();
    let mut resolution = Resolution::default();
    for (name, node) in &nodes {
        let mut links = Vec::new();
        let mut problems = Vec::new();
        for import in &node.imports {
            match provider(name, import, &nodes, choices) {
                Ok(link) => links.push(link),
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() {
            pending.insert(*name, links);
        } else {
            resolution.set_aside.insert((*name).to_owned(), problems);
        }
    }
    order(pending, &mut resolution);
    resolution.links.sort();
    resolution
}

/// An interface that somebody offers.
struct Offer<'a> {
    by: &'a str,
    interface: &'a Interface,
}

impl Offer<'_> {
    fn version(&self) -> Option<&Version> {
        self.interface.version.as_ref()
    }

    fn suits(&self, import: &Interface) -> Suits {
        suits(import.version.as_ref(), self.version())
    }
}

/// The one provider of this import.
fn provider(
    importer: &str,
    import: &Interface,
    nodes: &BTreeMap<&str, &Node>,
    choices: &Choices,
) -> Result<Link, Vec<Problem>> {
    let chosen = choices.get(&(importer.to_owned(), import.name.clone()));
    let offers: Vec<Offer<'_>> = nodes
        .iter()
        .filter(|(by, _)| **by != importer && chosen.is_none_or(|chosen| chosen == *by))
        .flat_map(|(by, node)| node.exports.iter().map(|interface| Offer { by, interface }))
        .collect();
    let same_name: Vec<&Offer<'_>> = offers.iter().filter(|offer| offer.interface.name == import.name).collect();
    let suiting: Vec<&&Offer<'_>> = same_name.iter().filter(|offer| offer.suits(import) == Suits::Yes).collect();
    let Some(highest) = suiting.iter().map(|offer| offer.version()).max_by(|a, b| newer(*a, *b)) else {
        return Err(vec![nobody(importer, import, chosen, &same_name, &offers)]);
    };
    let best: Vec<&&&Offer<'_>> = suiting.iter().filter(|offer| newer(offer.version(), highest).is_eq()).collect();
    match best.as_slice() {
        [only] => fits(importer, import, only),
        several => Err(vec![Problem::Ambiguous {
            importer: importer.to_owned(),
            interface: import.name.clone(),
            version: highest.cloned(),
            candidates: several.iter().map(|offer| offer.by.to_owned()).collect(),
        }]),
    }
}

/// Why no offer suits.
fn nobody(
    importer: &str,
    import: &Interface,
    chosen: Option<&String>,
    same_name: &[&Offer<'_>],
    offers: &[Offer<'_>],
) -> Problem {
    let (importer, interface, required) = (importer.to_owned(), import.name.clone(), import.version.clone());
    let found = |suits: Suits| {
        let of_kind = same_name.iter().filter(|offer| offer.suits(import) == suits);
        of_kind.map(|offer| (offer.by.to_owned(), offer.version().cloned())).collect::<Vec<_>>()
    };
    match (same_name, chosen) {
        ([], Some(chosen)) => Problem::ChosenLacks { importer, interface, chosen: chosen.clone() },
        ([], None) => {
            let nearest = problem::nearest(&interface, offers.iter().map(|offer| offer.interface.name.as_str()));
            Problem::Missing { importer, interface, required, nearest }
        }
        (_, _) => match found(Suits::TooOld) {
            too_old if too_old.is_empty() => {
                Problem::OtherVersion { importer, interface, required, found: found(Suits::OtherTrack) }
            }
            too_old => Problem::TooOld { importer, interface, required, found: too_old },
        },
    }
}

/// Does the provider offer every function that the importer uses, with the same type? Functions that nobody asked for do no harm.
fn fits(importer: &str, import: &Interface, offer: &Offer<'_>) -> Result<Link, Vec<Problem>> {
    let mut problems = Vec::new();
    for (function, wanted) in &import.functions {
        let (importer, interface, provider) = (importer.to_owned(), import.name.clone(), offer.by.to_owned());
        let function = function.clone();
        match offer.interface.functions.get(&function) {
            Some(offered) if offered == wanted => {}
            Some(offered) => problems.push(Problem::TypeMismatch {
                importer,
                interface,
                function,
                provider,
                wanted: wanted.clone(),
                offered: offered.clone(),
            }),
            None => {
                let nearest = problem::nearest(&function, offer.interface.functions.keys().map(String::as_str));
                problems.push(Problem::MissingFunction { importer, interface, function, provider, nearest });
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Link {
        importer: importer.to_owned(),
        interface: import.name.clone(),
        required: import.version.clone(),
        provider: offer.by.to_owned(),
        provided: offer.interface.version.clone(),
    })
}

/// Moves everything that is pending into the order, or aside. One pass settles whatever waits for nobody; when a pass settles nothing, what
/// is left waits for itself.
fn order(mut pending: BTreeMap<&str, Vec<Link>>, resolution: &mut Resolution) {
    while !pending.is_empty() {
        let mut settled = BTreeSet::new();
        for (name, links) in &pending {
            let lost: BTreeSet<&str> = links
                .iter()
                .map(|link| link.provider.as_str())
                .filter(|provider| resolution.set_aside.contains_key(*provider))
                .collect();
            if !lost.is_empty() {
                let lost = lost.into_iter().map(|provider| Problem::ProviderSetAside {
                    importer: (*name).to_owned(),
                    provider: provider.to_owned(),
                });
                resolution.set_aside.insert((*name).to_owned(), lost.collect());
                settled.insert(*name);
            } else if links.iter().all(|link| resolution.order.contains(&link.provider)) {
                resolution.order.push((*name).to_owned());
                resolution.links.extend(links.iter().cloned());
                settled.insert(*name);
            }
        }
        if settled.is_empty() {
            let path = cycle(&pending);
            for name in &path {
                resolution.set_aside.insert(name.clone(), vec![Problem::Cycle { path: path.clone() }]);
            }
            pending.retain(|name, _| !path.iter().any(|on_it| on_it == name));
        }
        pending.retain(|name, _| !settled.contains(name));
    }
}

/// A cycle among extensions of which each waits for another one of them: each name once, an importer before its provider, beginning with
/// the least name.
fn cycle(pending: &BTreeMap<&str, Vec<Link>>) -> Vec<String> {
    let waits_for = |name: &str| {
        let mut providers = pending.get(name).into_iter().flatten().map(|link| link.provider.as_str());
        providers.find(|provider| pending.contains_key(provider))
    };
    let mut walked: Vec<&str> = pending.keys().copied().take(1).collect();
    while let Some(next) = walked.last().and_then(|last| waits_for(last)) {
        if let Some(start) = walked.iter().position(|name| *name == next) {
            walked.drain(..start);
            break;
        }
        walked.push(next);
    }
    let least = walked.iter().enumerate().min_by_key(|(_, name)| **name).map_or(0, |(at, _)| at);
    walked.rotate_left(least);
    walked.into_iter().map(str::to_owned).collect()
}
