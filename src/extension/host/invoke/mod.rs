//! `wit/invoke.wit`: functions of other extensions by name, for callers that did not know them when they were built.
//!
//! | file | what it is |
//! | --- | --- |
//! | `path` | which exported function a text means |
//! | `role` | the roles under which functions are offered |
//!
//! Absent on purpose: the call itself (`link`), and JSON (`value`).
//!
//! Invariant: what extensions export for the service alone (their handlers and the like) cannot be called here.

mod path;
mod role;

use std::sync::Arc;

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, LinkerInstance, Lower};

use super::failure::{Answer, Refused};
use crate::extension::link::{CallError, call_function};
use crate::extension::set::{Offer, Set};
use crate::extension::tenant::{Chain, Importer, Phase, Tenant};
use crate::extension::value;
use crate::policy::nearest;

/// Functions that one extension may offer; see `wit/invoke.wit`.
const MOST_OFFERS: usize = 256;

/// `provider` of `wit/invoke.wit`.
#[derive(ComponentType, Lower)]
#[component(record)]
struct Provider {
    role: String,
    extension: String,
    function: String,
}

pub(super) fn add(interface: &mut LinkerInstance<'_, Tenant>, importer: &Arc<Importer>) -> wasmtime::Result<()> {
    let caller = importer.clone();
    interface.func_wrap_async("call", move |store, (extension, function, arguments): (String, String, String)| {
        let caller = caller.clone();
        Box::new(async move {
            store.data().chain.count_host_call()?;
            call(store, &caller, &extension, &function, &arguments).await
        })
    })?;
    let offering = importer.clone();
    interface.func_wrap("offer", move |store, (role, function): (String, String)| {
        let chain = &store.data().chain;
        chain.count_host_call()?;
        Ok((offer(chain, &offering, role, function),))
    })?;
    interface.func_wrap("find", |store, (role,): (String,)| {
        let chain = &store.data().chain;
        chain.count_host_call()?;
        Ok((find(&chain.set, &role),))
    })
}

/// # Errors
/// The function ended in a trap. It may have run in the caller's store, where nothing can go on after that, so the caller ends with it.
async fn call(
    store: StoreContextMut<'_, Tenant>,
    caller: &Importer,
    extension: &str,
    function: &str,
    arguments: &str,
) -> wasmtime::Result<Answer<String>> {
    let chain = store.data().chain.clone();
    let exported = match path::choose(&chain.set, extension, function) {
        Ok(exported) => exported,
        Err(reason) if chain.set.find(extension).is_some() => return Ok((Err(unknown_function(reason)),)),
        Err(_) => return Ok((Err(unknown_extension(&chain.set, extension)),)),
    };
    let mut inexpressible = None;
    let called = call_function(store, caller, extension, &exported, |ty| {
        inexpressible = value::is_expressible(ty).err();
        match &inexpressible {
            Some(reason) => Err(reason.clone()),
            None => value::arguments(ty, arguments),
        }
    })
    .await;
    let refused = match called {
        Ok((ty, results)) => return Ok((returned(&chain, value::result(&ty, &results)),)),
        Err(CallError::Failed(error)) => return Err(error),
        Err(CallError::UnknownExtension { extension }) => unknown_extension(&chain.set, &extension),
        Err(CallError::UnknownFunction { extension, function, nearest }) => unknown_function(format!(
            "`{extension}` exports no function `{function}`; the nearest are {}",
            nearest.join(", ")
        )),
        Err(CallError::CannotBePassed { function, ty }) => {
            Refused::new("not-expressible", format!("`{function}` has values that JSON does not have: {ty}"))
        }
        Err(CallError::WrongArguments(reason)) => match inexpressible {
            Some(reason) => {
                Refused::new("not-expressible", format!("`{exported}` cannot be called with JSON: {reason}"))
            }
            None => Refused::new("wrong-arguments", reason),
        },
        Err(CallError::Link(error)) => Refused::new(error.code().unwrap_or("unavailable"), error.to_string()),
    };
    Ok((Err(refused),))
}

/// What the function returned, if it is of a size that any answer may have.
fn returned(chain: &Chain, text: Result<String, String>) -> Result<String, Refused> {
    let most = chain.limits.output_bytes;
    match text {
        Ok(text) if text.len() <= most => Ok(text),
        Ok(_) => Err(Refused::new("resource-limit", format!("what it returned is longer than {most} bytes"))),
        Err(reason) => Err(Refused::new("not-expressible", format!("what it returned has no JSON: {reason}"))),
    }
}

fn unknown_extension(set: &Set, extension: &str) -> Refused {
    let hint = match nearest(extension, set.units().map(|unit| unit.name())).first() {
        Some(near) => format!("; did you mean `{near}`?"),
        None => String::new(),
    };
    let shown = crate::message::visible(extension, 128);
    Refused::new("unknown-extension", format!("there is no extension `{shown}` in this set{hint}"))
}

fn unknown_function(reason: String) -> Refused {
    Refused::new("unknown-function", reason)
}

fn offer(chain: &Chain, offering: &Importer, role: String, function: String) -> Result<(), Refused> {
    match chain.phase {
        Phase::Init => {}
        Phase::Describe | Phase::Handle | Phase::Command(_) => {
            return Err(Refused::new("not-in-init", "functions are offered in `init`, and nowhere else"));
        }
    }
    if !role::is_role(&role) {
        let shown = crate::message::visible(&role, 128);
        let rule = "a role is made of segments of a-z, 0-9 and `-` with `/` between them, as in `builder/rust`";
        return Err(Refused::new("invalid-role", format!("`{shown}` is no role: {rule}")));
    }
    path::choose(&chain.set, &offering.name, &function).map_err(unknown_function)?;
    let mut offers = chain.set.offers();
    let offer = Offer { role, extension: offering.name.clone(), function };
    if offers.iter().filter(|other| other.extension == offer.extension).count() >= MOST_OFFERS {
        return Err(Refused::new("resource-limit", format!("an extension offers at most {MOST_OFFERS} functions")));
    }
    if !offers.contains(&offer) {
        offers.push(offer);
    }
    Ok(())
}

fn find(set: &Set, asked: &str) -> Vec<Provider> {
    let offers = set.offers();
    let found = offers.iter().filter(|offer| role::is_within(&offer.role, asked));
    let provider = |Offer { role, extension, function }: &Offer| Provider {
        role: role.clone(),
        extension: extension.clone(),
        function: function.clone(),
    };
    found.map(provider).collect()
}
