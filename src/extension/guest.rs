//! A component that is ready to run: compiled, linked, its entry points found.
//!
//! Absent on purpose: where it came from and what it is called.
//!
//! Invariant: a component becomes callable only when [`Guest::about`] has instantiated it under the limits and found the very types of
//! `wit/`; what can be wrong with a component for every message is found before the first one.

use std::sync::Arc;
use std::time::Instant;

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, ComponentType, InstancePre, Lift};

use super::call::{self, Answer, Call, Parameters};
use super::effects::{Attempted, Effects};
use super::engine::Sandbox;
use super::package::About;
use super::surroundings::Surroundings;
use super::tenant::{CallFacts, Chain, Phase, Tenant};
use crate::message::Handled;

/// The interfaces of `wit/`, without their version.
const HANDLER: &str = "postroom:extension/handler";
const DESCRIBE: &str = "postroom:extension/describe";
/// The version of `wit/` that this program was written for. Types do not change within a major version, so any 1.x can be called.
const MAJOR: &str = "1";

pub(super) struct Guest {
    sandbox: Arc<Sandbox>,
    instances: InstancePre<Tenant>,
    handle: ComponentExportIndex,
    describe: Option<ComponentExportIndex>,
}

/// `about` of `wit/describe.wit`.
#[derive(ComponentType, Lift)]
#[component(record)]
struct GuestAbout {
    version: String,
    description: String,
    actions: Vec<String>,
    capabilities: Vec<String>,
}

impl Guest {
    /// Compiles and links. Takes up to seconds of CPU: not for an async thread.
    pub(super) fn prepare(sandbox: &Arc<Sandbox>, binary: &[u8]) -> Result<Guest, String> {
        let component =
            sandbox.compile(binary).map_err(|error| format!("it does not compile: {}", error.root_cause()))?;
        refuse_imports(sandbox, &component)?;
        let instances = sandbox.link(&component).map_err(|error| format!("it cannot be linked: {error:#}"))?;
        let handle = function(sandbox, &component, HANDLER, "handle")?
            .ok_or_else(|| format!("it does not export `{HANDLER}@{MAJOR}.0.0`, which every extension does"))?;
        let describe = function(sandbox, &component, DESCRIBE, "describe")?;
        Ok(Guest { sandbox: sandbox.clone(), instances, handle, describe })
    }

    /// Instantiates once, compares the types of the entry points, and asks the guest what it is.
    pub(super) async fn about(&self) -> Result<About, String> {
        let limits = self.sandbox.limits();
        let facts = CallFacts::none(Instant::now() + limits.deadline);
        let chain = Arc::new(Chain::new(Phase::Describe, facts, None, limits.clone()));
        let mut store = self.sandbox.store(chain);
        let outcome = self
            .sandbox
            .within_deadline(async {
                let instance = self.instances.instantiate_async(&mut store).await?;
                if let Err(error) = instance.get_typed_func::<Parameters<'_>, Answer>(&mut store, &self.handle) {
                    return Ok(Err(other_types("handle", &error)));
                }
                let Some(describe) = &self.describe else {
                    return Ok(Ok(About::default()));
                };
                match instance.get_typed_func::<(), (GuestAbout,)>(&mut store, describe) {
                    Ok(describe) => describe.call_async(&mut store, ()).await.map(|(about,)| Ok(about.into())),
                    Err(error) => Ok(Err(other_types("describe", &error))),
                }
            })
            .await;
        let stopped = match outcome {
            Ok(Ok(about)) => return about?.checked().map_err(|bad| bad.to_string()),
            Ok(Err(error)) => call::stopped(&error, &store.data().meter, limits),
            Err(late) => call::late(late, limits),
        };
        Err(format!("it failed when it was loaded: {}", stopped.message))
    }

    /// Handles one message in a fresh instance.
    pub(super) async fn handle(&self, call: &Call<'_>, surroundings: Arc<dyn Surroundings>) -> Attempted {
        let limits = self.sandbox.limits();
        let facts = call.facts(Instant::now() + limits.deadline);
        let chain = Arc::new(Chain::new(Phase::Handle, facts, Some(surroundings), limits.clone()));
        let mut store = self.sandbox.store(chain.clone());
        let outcome = self
            .sandbox
            .within_deadline(async {
                let instance = self.instances.instantiate_async(&mut store).await?;
                let handle = instance.get_typed_func::<Parameters<'_>, Answer>(&mut store, &self.handle)?;
                handle.call_async(&mut store, call.parameters(limits)).await
            })
            .await;
        let handled = match outcome {
            Ok(Ok(answer)) => call::answered(answer, limits),
            Ok(Err(error)) => Handled::Failed(call::stopped(&error, &store.data().meter, limits)),
            Err(late) => Handled::Failed(call::late(late, limits)),
        };
        let collected = std::mem::take(&mut *chain.collected());
        let effects = match handled {
            Handled::Reply(_) => collected.effects,
            Handled::Failed(_) => Effects::default(),
        };
        Attempted { handled, effects, log: collected.log }
    }
}

fn other_types(function: &str, error: &wasmtime::Error) -> String {
    format!("its `{function}` does not have the types of this contract: {}", error.root_cause())
}

impl From<GuestAbout> for About {
    fn from(GuestAbout { version, description, actions, capabilities }: GuestAbout) -> About {
        About { version, description, actions, capabilities }
    }
}

/// Nothing is granted yet, so an import with a function or a resource in it cannot be had. Interfaces of types only need no provider.
fn refuse_imports(sandbox: &Sandbox, component: &Component) -> Result<(), String> {
    let engine = sandbox.engine();
    let ty = component.component_type();
    let missing: Vec<&str> =
        ty.imports(engine).filter(|(_, import)| needs_provider(sandbox, &import.ty)).map(|(name, _)| name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let hint = match missing.iter().any(|name| name.starts_with("wasi:")) {
        true => "; a guest that is built for wasm32-unknown-unknown imports nothing from WASI",
        false => "",
    };
    Err(format!("it imports {}, which nobody provides{hint}", missing.join(", ")))
}

fn needs_provider(sandbox: &Sandbox, import: &ComponentItem) -> bool {
    match import {
        ComponentItem::ComponentInstance(interface) => {
            interface.exports(sandbox.engine()).any(|(_, item)| needs_provider(sandbox, &item.ty))
        }
        ComponentItem::Type(_) => false,
        ComponentItem::ComponentFunc(_)
        | ComponentItem::CoreFunc(_)
        | ComponentItem::Module(_)
        | ComponentItem::Component(_)
        | ComponentItem::Resource(_) => true,
    }
}

/// The exported function of this interface, in whatever compatible version. None if the component does not export the interface.
fn function(
    sandbox: &Sandbox,
    component: &Component,
    interface: &str,
    function: &str,
) -> Result<Option<ComponentExportIndex>, String> {
    let ty = component.component_type();
    let of_interface = |name: &&str| name.split_once('@').map_or(*name, |(name, _)| name) == interface;
    let found: Vec<&str> = ty.exports(sandbox.engine()).map(|(name, _)| name).filter(of_interface).collect();
    let Some(first) = found.first() else { return Ok(None) };
    let Some(name) = found.iter().find(|name| is_compatible(name)) else {
        return Err(format!("it exports `{first}`; this program knows `{interface}` {MAJOR}.x only"));
    };
    component
        .get_export_index(None, name)
        .and_then(|index| component.get_export_index(Some(&index), function))
        .map(Some)
        .ok_or_else(|| format!("its `{name}` has no function `{function}`"))
}

/// Release versions of [`MAJOR`]; a pre-release promises nothing.
fn is_compatible(name: &str) -> bool {
    name.split_once('@')
        .and_then(|(_, version)| version.split_once('.'))
        .is_some_and(|(major, rest)| major == MAJOR && rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
}
