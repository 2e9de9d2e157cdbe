//! The extensions that work together: all of one folder, resolved, in the order in which they were loaded.
//!
//! Absent on purpose: files that are no extensions (`load` sets them aside before), and running anything.
//!
//! Invariants: a set does not change after it was loaded, another folder makes another set; whoever imports an extension stands behind it;
//! nothing of an extension that was set aside can be found here.

mod entry;
mod places;
mod prepared;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

pub(super) use entry::{Described, Entries, Initialised, Specified};
pub(super) use places::{Home, places};
pub(super) use prepared::{Callable, Prepared};

use super::analysis::Analysis;
use super::configuration::Terms;
use super::engine::Sandbox;
use super::graph::Version;
use super::package::Unusable;
use super::tenant::Importer;
use crate::policy::grants::WasiGrants;

pub(super) struct Set {
    pub(super) sandbox: Arc<Sandbox>,
    /// In loading order.
    units: Vec<Arc<Unit>>,
    /// The different WASI worlds, the empty one first.
    worlds: Vec<Arc<WasiGrants>>,
    offers: Mutex<Vec<Offer>>,
}

/// One extension of the set.
pub(super) struct Unit {
    pub(super) importer: Arc<Importer>,
    pub(super) path: PathBuf,
    pub(super) sha256: [u8; 32],
    pub(super) analysis: Analysis,
    pub(super) terms: Terms,
    /// Every function that it exports, in the order of its interfaces, bare ones last.
    pub(super) functions: Vec<Exported>,
    pub(super) wires: Vec<Wire>,
    /// The WASI worlds in whose stores it may be instantiated.
    pub(super) places: BTreeSet<usize>,
    ready: OnceLock<Prepared>,
    preparing: Mutex<()>,
    /// Why it is not there after all: found out while the set was loaded.
    set_aside: OnceLock<String>,
}

/// A function that an extension exports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exported {
    /// None for a function that belongs to no interface.
    pub(super) interface: Option<InterfaceName>,
    pub(super) name: String,
    /// As [`analysis`](super::analysis) spells it.
    pub(super) ty: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InterfaceName {
    pub(super) name: String,
    pub(super) version: Option<Version>,
}

/// An imported interface, and who provides it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wire {
    /// As the importer spells it.
    pub(super) import: InterfaceName,
    /// The place of the provider in the set.
    pub(super) provider: usize,
    /// Each imported function: its name, its place among the provider's [`Unit::functions`], its type.
    pub(super) functions: Vec<(String, usize, String)>,
}

/// A function that an extension has offered under a role, in `init`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) role: String,
    pub(super) extension: String,
    /// As `invoke.call` takes it.
    pub(super) function: String,
}

impl Set {
    pub(super) fn new(sandbox: Arc<Sandbox>, units: Vec<Unit>, worlds: Vec<Arc<WasiGrants>>) -> Set {
        Set { sandbox, units: units.into_iter().map(Arc::new).collect(), worlds, offers: Mutex::default() }
    }

    /// What is granted in this WASI world.
    pub(super) fn world(&self, group: usize) -> Arc<WasiGrants> {
        self.worlds.get(group).cloned().unwrap_or_default()
    }

    /// Everybody who is there, in loading order.
    pub(super) fn units(&self) -> impl DoubleEndedIterator<Item = &Arc<Unit>> {
        self.units.iter().filter(|unit| unit.set_aside.get().is_none())
    }

    pub(super) fn find(&self, name: &str) -> Option<&Arc<Unit>> {
        self.units().find(|unit| unit.importer.name == name)
    }

    /// The one at this place, which came out of this set.
    pub(super) fn unit(&self, place: usize) -> &Arc<Unit> {
        &self.units[place]
    }

    /// Its name; fit for text about places that came out of this set.
    pub(super) fn name(&self, place: usize) -> &str {
        self.units.get(place).map_or("?", |unit| &unit.importer.name)
    }

    /// What has been offered in `init`, in loading order.
    pub(super) fn offers(&self) -> MutexGuard<'_, Vec<Offer>> {
        self.offers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets aside who has failed while the set was loaded, with everything that it has offered.
    pub(super) fn set_aside(&self, place: usize, reason: String) {
        self.offers().retain(|offer| offer.extension != self.name(place));
        // Whoever was set aside before keeps its first reason.
        let _ = self.units[place].set_aside.set(reason);
    }

    /// The first of its providers that is not there.
    pub(super) fn lost_provider(&self, unit: &Unit) -> Option<&str> {
        let lost = |wire: &&Wire| self.units[wire.provider].set_aside.get().is_some();
        unit.wires.iter().find(lost).map(|wire| self.name(wire.provider))
    }
}

impl Unit {
    pub(super) fn new(
        importer: Importer,
        path: PathBuf,
        sha256: [u8; 32],
        analysis: Analysis,
        terms: Terms,
        wires: Vec<Wire>,
        places: BTreeSet<usize>,
    ) -> Unit {
        let functions = exported(&analysis);
        Unit {
            importer: Arc::new(importer),
            path,
            sha256,
            analysis,
            terms,
            functions,
            wires,
            places,
            ready: OnceLock::new(),
            preparing: Mutex::new(()),
            set_aside: OnceLock::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.importer.name
    }

    pub(super) fn index(&self) -> usize {
        self.importer.index
    }

    pub(super) fn has_init(&self) -> bool {
        self.analysis.exports.iter().any(|export| export.name == entry::INIT)
    }

    /// Its machine code, linked. Made at the first use, once, also where whoever asked for it has given up meanwhile.
    pub(super) async fn prepared(self: &Arc<Unit>, sandbox: &Arc<Sandbox>) -> Result<&Prepared, Unusable> {
        if let Some(ready) = self.ready.get() {
            return Ok(ready);
        }
        let (unit, sandbox) = (self.clone(), sandbox.clone());
        let done = tokio::task::spawn_blocking(move || unit.prepare(&sandbox)).await;
        done.unwrap_or_else(|error| {
            Err(format!("it makes the compiler fail ({error}); this is a fault of postroom or wasmtime").into())
        })?;
        self.ready.get().ok_or_else(|| "it could not be prepared".to_owned().into())
    }

    /// Is nothing of it compiled, neither here nor in the cache?
    pub(super) fn is_uncompiled(&self, sandbox: &Sandbox) -> bool {
        self.ready.get().is_none() && !sandbox.has_code(&self.sha256)
    }

    fn prepare(&self, sandbox: &Sandbox) -> Result<(), Unusable> {
        // What it guards is set in one step.
        let _one_at_a_time = self.preparing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.ready.get().is_none() {
            let prepared = Prepared::of(self, sandbox)?;
            // Nobody else sets it while the lock is held.
            let _ = self.ready.set(prepared);
        }
        Ok(())
    }

    /// A function by its place among [`Unit::functions`]; none before the extension was prepared.
    pub(super) fn callable(&self, function: usize) -> Option<&Callable> {
        self.ready.get().and_then(|ready| ready.functions.get(function))
    }

    /// Where it is instantiated when it is called from a store of this WASI world.
    pub(super) fn place_beside(&self, group: usize) -> usize {
        match self.places.contains(&group) {
            true => group,
            false => self.places.first().copied().unwrap_or(group),
        }
    }
}

impl InterfaceName {
    /// `ns:pkg/lib@1.2.3`, as components spell it.
    pub(super) fn full(&self) -> String {
        match &self.version {
            Some(version) => format!("{}@{version}", self.name),
            None => self.name.clone(),
        }
    }
}

/// Resources stand among the functions of an interface, as something that its provider must have; nobody calls them.
pub(super) const RESOURCE: &str = "resource";

pub(super) fn exported(analysis: &Analysis) -> Vec<Exported> {
    let of_interfaces = analysis.exports.iter().flat_map(|interface| {
        let full = InterfaceName { name: interface.name.clone(), version: interface.version.clone() };
        let functions = interface.functions.iter().filter(|(_, ty)| *ty != RESOURCE);
        functions.map(move |(name, ty)| (Some(full.clone()), name, ty))
    });
    let bare = analysis.bare_exports.iter().map(|(name, ty)| (None, name, ty));
    let exported = |(interface, name, ty): (Option<InterfaceName>, &String, &String)| Exported {
        interface,
        name: name.clone(),
        ty: ty.clone(),
    };
    of_interfaces.chain(bare).map(exported).collect()
}
