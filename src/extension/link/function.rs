//! `invoke.call`: a function of another extension, by name.
//!
//! Absent on purpose: JSON. Whoever calls turns arguments into values of the function's types, and the results back.

use std::fmt;

use wasmtime::component::Val;
use wasmtime::component::types::ComponentFunc;
use wasmtime::{Error, StoreContextMut};

use super::super::graph::Version;
use super::super::package::Unusable;
use super::super::set::{Exported, Set, Unit};
use super::super::tenant::{Importer, Tenant};
use super::call::{Values, enter, within};
use super::error::LinkError;
use super::refusal::crosses_nowhere;
use crate::policy::nearest;

/// Which function is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::extension) struct FunctionPath {
    /// None for a function that belongs to no interface.
    pub(in crate::extension) interface: Option<String>,
    /// None for the highest.
    pub(in crate::extension) version: Option<Version>,
    pub(in crate::extension) name: String,
}

/// Why there are no results.
#[derive(Debug)]
pub(in crate::extension) enum CallError {
    UnknownExtension {
        extension: String,
    },
    UnknownFunction {
        extension: String,
        function: String,
        nearest: Vec<String>,
    },
    /// It has resources, streams or futures among its values.
    CannotBePassed {
        function: String,
        ty: String,
    },
    /// What whoever made the arguments says of them.
    WrongArguments(String),
    /// It could not be entered.
    Link(LinkError),
    /// It was called and has failed. If it shared the caller's store, the caller has to end with this error.
    Failed(Error),
}

/// Calls a function. `arguments` makes its arguments from its type.
pub(in crate::extension) async fn call_function(
    mut store: StoreContextMut<'_, Tenant>,
    caller: &Importer,
    extension: &str,
    function: &FunctionPath,
    arguments: impl FnOnce(&ComponentFunc) -> Result<Vec<Val>, String> + Send,
) -> Result<(ComponentFunc, Vec<Val>), CallError> {
    let chain = store.data().chain.clone();
    let set = chain.set.clone();
    let unit = set.find(extension).ok_or_else(|| CallError::UnknownExtension { extension: extension.to_owned() })?;
    let place = find(unit, function).ok_or_else(|| unknown(unit, function))?;
    let exported = &unit.functions[place];
    if crosses_nowhere(&exported.ty) {
        return Err(CallError::CannotBePassed { function: function.to_string(), ty: exported.ty.clone() });
    }
    let not_ready =
        |why: Unusable| CallError::Link(LinkError::NotReady { extension: extension.to_owned(), reason: why.reason });
    let prepared = unit.prepared(&set.sandbox).await.map_err(not_ready)?;
    let ty = prepared.functions[place].ty.clone();
    let params = arguments(&ty).map_err(CallError::WrongArguments)?;
    let _entered = enter(&chain, caller.index, unit.index()).map_err(CallError::Link)?;
    let mut results = vec![Val::Bool(false); ty.results().len()];
    let called = within(&mut store, unit, place, Values::Plain, &params, &mut results).await;
    if let Err(error) = called {
        chain.blame(unit.index());
        return Err(CallError::Failed(error));
    }
    Ok((ty, results))
}

/// Every function that an extension exports, with its type as the analysis spells it.
pub(in crate::extension) fn exported_functions<'a>(
    set: &'a Set,
    extension: &str,
) -> impl Iterator<Item = (FunctionPath, &'a str)> {
    let functions = set.find(extension).into_iter().flat_map(|unit| &unit.functions);
    functions.map(|function| (FunctionPath::of(function), function.ty.as_str()))
}

/// The function that is meant, of the highest version where none is named.
fn find(unit: &Unit, wanted: &FunctionPath) -> Option<usize> {
    let same = |(_, exported): &(usize, &Exported)| {
        let offered = FunctionPath::of(exported);
        let version = wanted.version.is_none() || wanted.version == offered.version;
        offered.name == wanted.name && offered.interface == wanted.interface && version
    };
    let version = |exported: &Exported| exported.interface.as_ref().and_then(|interface| interface.version.clone());
    let found = unit.functions.iter().enumerate().filter(same);
    found.max_by_key(|(_, exported)| version(exported)).map(|(place, _)| place)
}

fn unknown(unit: &Unit, wanted: &FunctionPath) -> CallError {
    let names: Vec<String> = unit.functions.iter().map(|function| FunctionPath::of(function).to_string()).collect();
    let function = wanted.to_string();
    let nearest = nearest(&function, names.iter().map(String::as_str)).into_iter().map(str::to_owned).collect();
    CallError::UnknownFunction { extension: unit.name().to_owned(), function, nearest }
}

impl FunctionPath {
    fn of(exported: &Exported) -> FunctionPath {
        FunctionPath {
            interface: exported.interface.as_ref().map(|interface| interface.name.clone()),
            version: exported.interface.as_ref().and_then(|interface| interface.version.clone()),
            name: exported.name.clone(),
        }
    }
}

impl fmt::Display for FunctionPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FunctionPath { interface, version, name } = self;
        match (interface, version) {
            (Some(interface), Some(version)) => write!(f, "{interface}@{version}#{name}"),
            (Some(interface), None) => write!(f, "{interface}#{name}"),
            (None, _) => f.write_str(name),
        }
    }
}
