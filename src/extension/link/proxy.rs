//! The host functions that stand in an importer's linker for the functions of its providers.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, LinkerInstance};
use wasmtime::{Result, format_err};

use super::super::analysis;
use super::super::set::{Unit, Wire};
use super::super::tenant::Tenant;
use super::call::{self, Target, Values};
use super::lent::proxy_type;
use super::refusal::names_resources;

/// Provides every interface that comes from another extension, under the importer's own name for it. Returns the providers of `async`
/// functions.
pub(in crate::extension) fn add_wires(
    linker: &mut Linker<Tenant>,
    unit: &Unit,
    component: &Component,
) -> Result<Vec<usize>> {
    let engine = component.engine().clone();
    let mut together = Vec::new();
    for (name, import) in component.component_type().imports(&engine) {
        let ComponentItem::ComponentInstance(interface) = import.ty else { continue };
        let (interface_name, version) = analysis::split(name);
        let wire = unit.wires.iter().find(|wire| wire.import.name == interface_name && wire.import.version == version);
        let Some(wire) = wire else { continue };
        let mut instance = linker.instance(name)?;
        for (function, item) in interface.exports(&engine) {
            match item.ty {
                ComponentItem::ComponentFunc(ty) => {
                    let target = target(unit, wire, function)?;
                    if ty.async_() {
                        add_concurrent(&mut instance, function, target)?;
                        together.push(wire.provider);
                    } else {
                        add_waiting(&mut instance, function, target)?;
                    }
                }
                ComponentItem::Resource(_) => add_resource(&mut instance, function)?,
                // Types need nobody; a module or a component would be missed by the engine, which names it.
                ComponentItem::Type(_)
                | ComponentItem::CoreFunc(_)
                | ComponentItem::Module(_)
                | ComponentItem::Component(_)
                | ComponentItem::ComponentInstance(_) => {}
            }
        }
    }
    together.sort_unstable();
    together.dedup();
    Ok(together)
}

fn target(unit: &Unit, wire: &Wire, function: &str) -> Result<Target> {
    let found = wire.functions.iter().find(|(name, _, _)| name == function);
    let (_, place, ty) = found.ok_or_else(|| format_err!("its provider has no `{function}`"))?;
    let values = if names_resources(ty) { Values::WithResources } else { Values::Plain };
    Ok(Target { importer: unit.index(), provider: wire.provider, function: *place, values })
}

fn add_waiting(instance: &mut LinkerInstance<'_, Tenant>, function: &str, target: Target) -> Result<()> {
    instance
        .func_new_async(function, move |store, _, params, results| Box::new(call::call(store, target, params, results)))
}

fn add_concurrent(instance: &mut LinkerInstance<'_, Tenant>, function: &str, target: Target) -> Result<()> {
    instance.func_new_concurrent(function, move |accessor, _, params, results| {
        Box::pin(call::call_concurrently(accessor, target, params, results))
    })
}

/// A resource of the provider, as one of the host's. When the importer drops it, the provider's own destructor runs.
fn add_resource(instance: &mut LinkerInstance<'_, Tenant>, name: &str) -> Result<()> {
    instance.resource_async(name, proxy_type(), |mut store, stands_for| {
        Box::new(async move {
            let real = store.data_mut().lent.take(stands_for)?;
            real.resource_drop_async(store).await
        })
    })
}
