//! What the host knows while guest code runs: the attempt, the store it runs in, and who imports.
//!
//! Absent on purpose: what each host interface does with it, and how stores are made.
//!
//! Invariant: whatever an attempt collects is in its one [`Chain`], however many stores take part, so dropping the chain forgets all of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::call::Trust;
use super::console::Console;
use super::effects::{Effects, LogLine};
use super::host::wasi::WasiPart;
use super::limits::{Limits, Meter};
use super::surroundings::Surroundings;
use crate::policy::grants::{Grants, WasiGrants};
use crate::policy::settings::ConfigTable;

/// The data of one store.
pub(super) struct Tenant {
    pub(super) meter: Meter,
    pub(super) chain: Arc<Chain>,
    pub(super) wasi: WasiPart,
}

/// One attempt, shared by all of its stores.
pub(super) struct Chain {
    attempt: Mutex<Collected>,
    /// None where no message is at hand: `bus` and `state` then answer `no-message`.
    pub(super) surroundings: Option<Arc<dyn Surroundings>>,
    pub(super) phase: Phase,
    pub(super) call: CallFacts,
    pub(super) limits: Limits,
    host_calls: AtomicU64,
}

/// What the attempt has collected so far.
#[derive(Debug, Default)]
pub(super) struct Collected {
    pub(super) effects: Effects,
    pub(super) log: Vec<LogLine>,
}

/// Why guest code runs.
#[derive(Clone)]
pub(super) enum Phase {
    /// It is asked what it is.
    Describe,
    Init,
    Handle,
    /// Its subcommand runs, at this terminal.
    Command(Arc<dyn Console>),
}

/// The message in hand. Without one, only the deadline says something.
#[derive(Clone, Debug)]
pub(super) struct CallFacts {
    /// Its id; empty without a message.
    pub(super) id: String,
    pub(super) hops: u32,
    pub(super) trust: Trust,
    /// Unix milliseconds.
    pub(super) accepted_at: i64,
    pub(super) attempt: u32,
    /// When the attempt will be ended.
    pub(super) deadline: Instant,
}

/// Who imports an interface. The functions of a linker capture the one that it was made for, so a grant is that of the importer, whoever
/// calls it.
#[derive(Clone, Debug)]
pub(super) struct Importer {
    pub(super) name: String,
    /// Its place in the set.
    pub(super) index: usize,
    pub(super) grants: Grants,
    pub(super) wasi: Arc<WasiGrants>,
    pub(super) config: Arc<ConfigTable>,
}

impl Chain {
    pub(super) fn new(
        phase: Phase,
        call: CallFacts,
        surroundings: Option<Arc<dyn Surroundings>>,
        limits: Limits,
    ) -> Chain {
        Chain { attempt: Mutex::default(), surroundings, phase, call, limits, host_calls: AtomicU64::new(0) }
    }

    /// What has been collected. Hold it no longer than a change takes: it must not be held over an `await`.
    pub(super) fn collected(&self) -> MutexGuard<'_, Collected> {
        // A panic while it was held is a fault of the host that ends this attempt, whose effects are then dropped.
        self.attempt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call of a host function. Every host function begins with this.
    ///
    /// # Errors
    /// The attempt has used up [`Limits::host_calls`]; the error ends it.
    pub(super) fn count_host_call(&self) -> wasmtime::Result<()> {
        if self.host_calls.fetch_add(1, Ordering::Relaxed) >= self.limits.host_calls {
            wasmtime::bail!("it called functions of others more than {} times", self.limits.host_calls);
        }
        Ok(())
    }
}

impl CallFacts {
    /// No message is at hand.
    pub(super) fn none(deadline: Instant) -> CallFacts {
        CallFacts { id: String::new(), hops: 0, trust: Trust::Unsigned, accepted_at: 0, attempt: 0, deadline }
    }
}
