//! The stores of one attempt beside its first: one for each WASI world that takes part.
//!
//! A store has one WASI world, so extensions with different ones cannot share it. A store is taken out of its place while something runs in
//! it, and put back only after an answer; one in which something failed is never seen again.
//!
//! Absent on purpose: which extension belongs where (the set knows) and calls.

use std::sync::{Mutex, PoisonError};

use wasmtime::Store;

use super::tenant::Tenant;

/// The stores at rest.
#[derive(Default)]
pub(super) struct Stores(Mutex<Vec<Store<Tenant>>>);

impl Stores {
    /// A store of this WASI world that is at rest, if there is one. All of them can be in use: then the caller makes another.
    pub(super) fn take(&self, group: usize) -> Option<Store<Tenant>> {
        let mut resting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = resting.iter().position(|store| store.data().group == group)?;
        Some(resting.swap_remove(at))
    }

    /// Back to rest, after an answer.
    pub(super) fn put_back(&self, store: Store<Tenant>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(store);
    }
}
