//! Instances that handle more than one message, where the user has chosen so (`instance = "reused"`).
//!
//! Absent on purpose: how many messages run at a time. The service's lanes decide that, so there are never more instances than a lane is wide.
//!
//! Invariants: an instance is in use by one attempt only; it comes back only after a reply, at most so often as is set, and never after
//! [`Pool::forget`] was called since it was made.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use wasmtime::Store;

use super::stores::Stores;
use super::tenant::{CallFacts, Chain, Phase, Tenant};

/// The instances of one extension that are at rest.
#[derive(Default)]
pub(super) struct Pool(Mutex<Resting>);

#[derive(Default)]
struct Resting {
    used: Vec<Used>,
    generation: u64,
}

/// A store with an instance, and how often it has been used.
pub(super) struct Used {
    pub(super) store: Store<Tenant>,
    uses: u32,
    generation: u64,
}

impl Used {
    /// One that does not come back.
    pub(super) fn never(store: Store<Tenant>) -> Used {
        Used { store, uses: 0, generation: 0 }
    }

    /// Lets go of the attempt that is over.
    fn rest(&mut self) {
        let tenant = self.store.data_mut();
        let (set, limits) = (tenant.chain.set.clone(), tenant.chain.limits.clone());
        let nothing = CallFacts::none(Instant::now());
        tenant.take_over(Arc::new(Chain::new(set, Phase::Describe, nothing, None, limits)), Weak::new());
    }
}

impl Pool {
    /// An instance that is at rest, given over to this attempt.
    pub(super) fn take(&self, chain: &Arc<Chain>, others: Weak<Stores>) -> Option<Used> {
        let mut used = self.lock().used.pop()?;
        used.store.data_mut().take_over(chain.clone(), others);
        Some(used)
    }

    /// A new instance that may come back.
    pub(super) fn first_use(&self, store: Store<Tenant>) -> Used {
        Used { store, uses: 0, generation: self.lock().generation }
    }

    /// After a reply.
    pub(super) fn put_back(&self, mut used: Used, most_uses: u32) {
        used.uses += 1;
        used.rest();
        let mut resting = self.lock();
        if used.uses < most_uses && used.generation == resting.generation {
            resting.used.push(used);
        }
    }

    /// Drops what is at rest, and what is in use as soon as it is done.
    pub(super) fn forget(&self) {
        let mut resting = self.lock();
        resting.generation += 1;
        resting.used.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Resting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
