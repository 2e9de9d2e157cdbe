//! `wit/config.wit`: what the user has set for the extension.

use std::sync::Arc;

use wasmtime::component::LinkerInstance;

use crate::extension::tenant::{Importer, Tenant};

pub(super) fn add(interface: &mut LinkerInstance<'_, Tenant>, importer: &Arc<Importer>) -> wasmtime::Result<()> {
    let config = importer.config.clone();
    interface.func_wrap("get", move |store, (key,): (String,)| {
        store.data().chain.count_host_call()?;
        Ok((config.get(&key).map(|value| value.as_str().to_owned()),))
    })?;
    let config = importer.config.clone();
    interface.func_wrap("all", move |store, (): ()| {
        store.data().chain.count_host_call()?;
        Ok((config.to_object(),))
    })
}
