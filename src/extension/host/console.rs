//! `wit/console.wit`: the terminal of whoever runs a subcommand.
//!
//! Absent on purpose: making text fit for a terminal; see [`Console`](crate::extension::Console).

use std::sync::Arc;

use wasmtime::component::LinkerInstance;

use crate::extension::Console;
use crate::extension::tenant::{Phase, Tenant};

/// Bytes that are read at a time: what is asked for is the guest's, the buffer is ours.
const MOST_READ: u32 = 1 << 20;

pub(super) fn add(interface: &mut LinkerInstance<'_, Tenant>) -> wasmtime::Result<()> {
    interface.func_wrap("print", |store, (text,): (String,)| {
        at_hand(store.data()).map(|console| console.iter().for_each(|console| console.print(&text)))
    })?;
    interface.func_wrap("print-error", |store, (text,): (String,)| {
        at_hand(store.data()).map(|console| console.iter().for_each(|console| console.print_error(&text)))
    })?;
    interface.func_wrap_async("read", |store, (most,): (u32,)| {
        Box::new(async move {
            let Some(console) = at_hand(store.data())? else { return Ok((Vec::new(),)) };
            let read = tokio::task::spawn_blocking(move || console.read(most.min(MOST_READ) as usize));
            Ok((read.await?,))
        })
    })
}

/// The terminal, where a subcommand runs.
fn at_hand(tenant: &Tenant) -> wasmtime::Result<Option<Arc<dyn Console>>> {
    tenant.chain.count_host_call()?;
    match &tenant.chain.phase {
        Phase::Command(console) => Ok(Some(console.clone())),
        Phase::Describe | Phase::Init | Phase::Handle => Ok(None),
    }
}
