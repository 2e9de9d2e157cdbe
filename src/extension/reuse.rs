//! Instances that handle more than one message, where the user has chosen so (`instance = "reused"`).
//!
//! Absent on purpose: how many messages run at a time (the service's lanes decide that, so there are never more instances than a lane is
//! wide), and which attempts are committed.
//!
//! Invariants: an instance is in use by one attempt only; it comes back only when whoever made the attempt says that it counts, and at most
//! so often as is set.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use wasmtime::Store;

use super::stores::Stores;
use super::tenant::{CallFacts, Chain, Phase, Tenant};

/// The instances of one extension that are at rest.
#[derive(Default)]
pub(super) struct Pool(Mutex<Vec<Used>>);

/// A store with an instance, and how often it has been used.
pub(super) struct Used {
    pub(super) store: Store<Tenant>,
    uses: u32,
}

/// The instance that an attempt was made in. What it remembers of the attempt must not be met by another message before the attempt is
/// committed; so it is dropped unless [`Reusable::rest`] is called then.
pub struct Reusable {
    used: Used,
    pool: Arc<Pool>,
    most_uses: u32,
}

impl Used {
    pub(super) fn new(store: Store<Tenant>) -> Used {
        Used { store, uses: 0 }
    }

    /// Lets go of the attempt that is over.
    fn rest(&mut self) {
        let tenant = self.store.data_mut();
        let (set, limits) = (tenant.chain.set.clone(), tenant.chain.limits.clone());
        let nothing = CallFacts::none(Instant::now());
        tenant.take_over(Arc::new(Chain::new(set, Phase::Describe, nothing, None, limits)), Weak::new());
    }
}

impl Reusable {
    pub(super) fn new(used: Used, pool: Arc<Pool>, most_uses: u32) -> Reusable {
        Reusable { used, pool, most_uses }
    }

    /// The attempt counts: the instance may handle another message, unless it has handled as many as it may.
    pub fn rest(self) {
        let Reusable { mut used, pool, most_uses } = self;
        used.uses += 1;
        if used.uses < most_uses {
            used.rest();
            pool.lock().push(used);
        }
    }
}

impl fmt::Debug for Reusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reusable").field("uses", &self.used.uses).finish_non_exhaustive()
    }
}

impl Pool {
    /// An instance that is at rest, given over to this attempt.
    pub(super) fn take(&self, chain: &Arc<Chain>, others: Weak<Stores>) -> Option<Used> {
        let mut used = self.lock().pop()?;
        used.store.data_mut().take_over(chain.clone(), others);
        Some(used)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Used>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
