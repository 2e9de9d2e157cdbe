//! One call from one extension to another.
//!
//! Absent on purpose: what is done with an error. It ends whoever called, except where the callee runs in a store of its own (`abroad`).

use std::pin::Pin;
use std::sync::Arc;

use wasmtime::component::{Accessor, Func, Instance, Val};
use wasmtime::{AsContextMut, Result, StoreContextMut};

use super::super::package::Unusable;
use super::super::set::Unit;
use super::super::tenant::{Chain, Slot, Tenant};
use super::super::trail::Entered;
use super::abroad;
use super::error::LinkError;
use super::lent;

/// Everything that a proxy knows. None of it belongs to one store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) importer: usize,
    pub(super) provider: usize,
    /// Its place among the provider's [`Unit::functions`].
    pub(super) function: usize,
    pub(super) values: Values,
}

/// What crosses in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Values {
    /// Values that mean the same everywhere.
    Plain,
    /// Handles among them, which have to be exchanged.
    WithResources,
}

/// A call through a proxy. The importer waits for its end.
pub(super) async fn call(
    mut store: StoreContextMut<'_, Tenant>,
    target: Target,
    params: &[Val],
    results: &mut [Val],
) -> Result<()> {
    let chain = store.data().chain.clone();
    let _entered = enter(&chain, target.importer, target.provider)?;
    let provider = chain.set.unit(target.provider);
    let outcome = within(&mut store, provider, target.function, target.values, params, results).await;
    if outcome.is_err() {
        chain.blame(target.provider);
    }
    outcome
}

/// Notes the call on the trail, if it may begin.
pub(super) fn enter(chain: &Chain, caller: usize, callee: usize) -> Result<Entered<'_>, LinkError> {
    chain.count_host_call()?;
    chain.trail.enter(Some(caller), callee).map_err(|reason| LinkError::not_entered(&chain.set, reason))
}

/// The call itself, in this store or in another, as the provider's places say.
pub(super) async fn within(
    store: &mut StoreContextMut<'_, Tenant>,
    provider: &Arc<Unit>,
    function: usize,
    values: Values,
    params: &[Val],
    results: &mut [Val],
) -> Result<()> {
    let tenant = store.data();
    let place = provider.place_beside(tenant.group);
    if place == tenant.group {
        return here(store, provider, function, values, params, results).await;
    }
    let (chain, others) = (tenant.chain.clone(), tenant.others.clone());
    abroad::call(&chain, &others, provider, place, function, params, results).await
}

/// A call within one store.
pub(super) async fn here(
    store: &mut StoreContextMut<'_, Tenant>,
    provider: &Arc<Unit>,
    function: usize,
    values: Values,
    params: &[Val],
    results: &mut [Val],
) -> Result<()> {
    if store.data().instance(provider.index()).is_none() {
        instantiate(store, provider).await?;
    }
    let callee = look_up(store, provider, function)?;
    match values {
        Values::Plain => callee.call_async(&mut *store, params, results).await,
        Values::WithResources => {
            let (passed, for_call) = exchanged(store, callee, params)?;
            callee.call_async(&mut *store, &passed, results).await?;
            exchange_back(store, callee, for_call, results)
        }
    }
}

/// A call of an `async` function: the importer goes on meanwhile.
pub(super) async fn call_concurrently(
    accessor: &Accessor<Tenant>,
    target: Target,
    params: &[Val],
    results: &mut [Val],
) -> Result<()> {
    let (chain, others, group) = accessor.with(|mut access| {
        let store = access.as_context_mut();
        let tenant = store.data();
        (tenant.chain.clone(), tenant.others.clone(), tenant.group)
    });
    let _entered = enter(&chain, target.importer, target.provider)?;
    let provider = chain.set.unit(target.provider);
    let place = provider.place_beside(group);
    let outcome = match place == group {
        true => here_concurrently(accessor, provider, target, params, results).await,
        false => abroad::call_apart(&chain, others, provider, place, target.function, params, results).await,
    };
    if outcome.is_err() {
        chain.blame(target.provider);
    }
    outcome
}

async fn here_concurrently(
    accessor: &Accessor<Tenant>,
    provider: &Arc<Unit>,
    target: Target,
    params: &[Val],
    results: &mut [Val],
) -> Result<()> {
    let callee = accessor.with(|mut access| look_up(&mut access.as_context_mut(), provider, target.function))?;
    match target.values {
        Values::Plain => callee.call_concurrent(accessor, params, results).await,
        Values::WithResources => {
            let (passed, for_call) =
                accessor.with(|mut access| exchanged(&mut access.as_context_mut(), callee, params))?;
            callee.call_concurrent(accessor, &passed, results).await?;
            accessor.with(|mut access| exchange_back(&mut access.as_context_mut(), callee, for_call, results))
        }
    }
}

type Exchanged = (Vec<Val>, Vec<wasmtime::component::ResourceAny>);

fn exchanged(store: &mut StoreContextMut<'_, Tenant>, callee: Func, params: &[Val]) -> Result<Exchanged> {
    let ty = callee.ty(&mut *store);
    let mut for_call = Vec::new();
    let each = |(value, (_, ty)): (&Val, (&str, _))| lent::to_provider(store, value, &ty, &mut for_call);
    let passed = params.iter().zip(ty.params()).map(each).collect::<Result<_>>()?;
    Ok((passed, for_call))
}

fn exchange_back(
    store: &mut StoreContextMut<'_, Tenant>,
    callee: Func,
    for_call: Vec<wasmtime::component::ResourceAny>,
    results: &mut [Val],
) -> Result<()> {
    lent::forget(store, for_call)?;
    let ty = callee.ty(&mut *store);
    for (result, ty) in results.iter_mut().zip(ty.results()) {
        *result = lent::to_importer(store, result, &ty)?;
    }
    Ok(())
}

/// Makes the extension's instance in this store, if there is none yet.
pub(in crate::extension) fn instantiate<'a>(
    store: &'a mut StoreContextMut<'_, Tenant>,
    unit: &'a Arc<Unit>,
) -> Pin<Box<dyn Future<Output = Result<Instance>> + Send + 'a>> {
    Box::pin(async move {
        if let Some(instance) = store.data().instance(unit.index()) {
            return Ok(instance);
        }
        let set = store.data().chain.set.clone();
        let not_ready = |why: Unusable| LinkError::NotReady { extension: unit.name().to_owned(), reason: why.reason };
        let prepared = unit.prepared(&set.sandbox).await.map_err(not_ready)?;
        let group = store.data().group;
        for provider in prepared.together.iter().map(|place| set.unit(*place)) {
            if provider.place_beside(group) == group {
                instantiate(store, provider).await?;
            }
        }
        let instance = prepared.instances.instantiate_async(&mut *store).await?;
        let functions = vec![None; unit.functions.len()];
        store.data_mut().settle(unit.index(), Slot { instance, functions });
        Ok(instance)
    })
}

/// The function of an instance that is there.
fn look_up(store: &mut StoreContextMut<'_, Tenant>, unit: &Arc<Unit>, function: usize) -> Result<Func> {
    let not_there =
        || LinkError::NotReady { extension: unit.name().to_owned(), reason: "it is not instantiated".into() };
    let slot = store.data().slots.get(unit.index()).and_then(Option::as_ref).ok_or_else(not_there)?;
    let instance = slot.instance;
    if let Some(known) = slot.functions.get(function).copied().flatten() {
        return Ok(known);
    }
    let index = unit.callable(function).map(|callable| callable.index);
    let found = index.and_then(|index| instance.get_func(&mut *store, index)).ok_or_else(not_there)?;
    if let Some(slot) = store.data_mut().slots.get_mut(unit.index()).and_then(Option::as_mut) {
        slot.functions[function] = Some(found);
    }
    Ok(found)
}

impl Tenant {
    fn instance(&self, place: usize) -> Option<Instance> {
        self.slots.get(place).and_then(Option::as_ref).map(|slot| slot.instance)
    }

    fn settle(&mut self, place: usize, slot: Slot) {
        if self.slots.len() <= place {
            self.slots.resize_with(place + 1, || None);
        }
        self.slots[place] = Some(slot);
    }
}
