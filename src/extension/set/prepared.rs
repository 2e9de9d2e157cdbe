//! An extension that is ready to run: machine code, linked, its functions found.
//!
//! Absent on purpose: instances.
//!
//! Invariant: whatever can be wrong with the imports and exports of a component for every message is found here.

use wasmtime::component::types::ComponentFunc;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker};

use super::super::engine::Sandbox;
use super::super::package::Unusable;
use super::super::tenant::Tenant;
use super::super::{host, link, package};
use super::Unit;
use super::entry::{self, Entries};

pub(in crate::extension) struct Prepared {
    pub(in crate::extension) instances: InstancePre<Tenant>,
    pub(in crate::extension) entries: Entries,
    /// In the order of [`Unit::functions`].
    pub(in crate::extension) functions: Vec<Callable>,
    /// The providers of its imported `async` functions. Such a function is called while its importer goes on, where nothing can be
    /// instantiated, so these are instantiated with it.
    pub(in crate::extension) together: Vec<usize>,
}

/// An exported function.
pub(in crate::extension) struct Callable {
    pub(in crate::extension) index: ComponentExportIndex,
    pub(in crate::extension) ty: ComponentFunc,
}

impl Prepared {
    /// Reads, compiles and links. Takes up to seconds of CPU: not for an async thread.
    pub(super) fn of(unit: &Unit, sandbox: &Sandbox) -> Result<Prepared, Unusable> {
        let bytes = package::read(&unit.path)?;
        if package::sha256(&bytes) != unit.sha256 {
            return Err("its file is another one than when it was loaded".to_owned().into());
        }
        let component = sandbox
            .compile(&unit.sha256, &bytes)
            .map_err(|error| format!("it does not compile: {}", error.root_cause()))?;
        let mut linker = Linker::new(sandbox.engine());
        let together = host::add_granted(&mut linker, &unit.importer)
            .and_then(|()| link::add_wires(&mut linker, unit, &component))
            .map_err(|error| format!("it cannot be linked: {error:#}"))?;
        let instances =
            linker.instantiate_pre(&component).map_err(|error| format!("it cannot be linked: {error:#}"))?;
        let entries = Entries::of(unit, &component, &instances)?;
        let functions = callable(unit, &component)?;
        Ok(Prepared { instances, entries, functions, together })
    }
}

fn callable(unit: &Unit, component: &Component) -> Result<Vec<Callable>, String> {
    let found = |exported| {
        entry::find_exported(component, exported)
            .map(|(index, ty)| Callable { index, ty })
            .ok_or_else(|| format!("the engine does not find its function `{}`", exported.name))
    };
    unit.functions.iter().map(found).collect()
}
