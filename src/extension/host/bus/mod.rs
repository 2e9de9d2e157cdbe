//! `wit/bus.wit`: messages of the extension's own.
//!
//! | file | what it is |
//! | --- | --- |
//! | `send` | a message that goes out with the commit |
//! | `call` | another extension, or the service, handles a message now |
//!
//! Invariant: the sender of whatever leaves here is the importer.

mod call;
mod send;

use std::sync::Arc;

use wasmtime::component::LinkerInstance;

use super::clock::now_ms;
use super::failure::Refused;
use crate::extension::tenant::{Importer, Tenant};
use send::Outgoing;

pub(super) fn add(interface: &mut LinkerInstance<'_, Tenant>, importer: &Arc<Importer>) -> wasmtime::Result<()> {
    let sender = importer.clone();
    interface.func_wrap("send", move |store, (outgoing,): (Outgoing,)| {
        let chain = &store.data().chain;
        chain.count_host_call()?;
        if chain.surroundings.is_none() {
            return Ok((Err(Refused::no_message()),));
        }
        let most_bytes = chain.limits.output_bytes;
        let effects = &mut chain.collected().effects;
        Ok((send::send(effects, most_bytes, &sender.name, &outgoing, now_ms()),))
    })?;
    let caller = importer.clone();
    interface.func_wrap_async("call", move |store, (recipient, action, payload): (String, String, String)| {
        let caller = caller.clone();
        Box::new(async move {
            store.data().chain.count_host_call()?;
            Ok((call::call(store, &caller, &recipient, &action, payload).await,))
        })
    })
}
