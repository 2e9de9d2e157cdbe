//! What the host knows while guest code runs: the attempt, the store it runs in, and who imports.
//!
//! Absent on purpose: what each host interface does with it, and how stores are made.
//!
//! Invariant: whatever an attempt collects is in its one [`Chain`], however many stores take part, so dropping the chain forgets all of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use wasmtime::component::{Func, Instance};

use super::console::Console;
use super::effects::{Effects, LogLine};
use super::host::wasi::WasiPart;
use super::limits::{Limits, Memory, Meter};
use super::link::{Lent, LinkError};
use super::set::Set;
use super::stores::Stores;
use super::surroundings::Surroundings;
use super::trail::Trail;
use crate::policy::grants::{Grants, WasiGrants};
use crate::policy::settings::ConfigTable;

/// The data of one store.
pub(super) struct Tenant {
    pub(super) meter: Meter,
    pub(super) chain: Arc<Chain>,
    /// Which WASI world this store has.
    pub(super) group: usize,
    /// The extensions that are instantiated in this store, by their places in the set.
    pub(super) slots: Vec<Option<Slot>>,
    /// Resources of one extension that another one holds.
    pub(super) lent: Lent,
    /// Stores of the same attempt with other WASI worlds; owned by whoever runs the attempt.
    pub(super) others: Weak<Stores>,
    pub(super) wasi: WasiPart,
}

/// An instance, and those of its functions that were looked up.
pub(super) struct Slot {
    pub(super) instance: Instance,
    /// In the order of [`Unit::functions`](super::set::Unit::functions).
    pub(super) functions: Vec<Option<Func>>,
}

/// One attempt, shared by all of its stores.
pub(super) struct Chain {
    pub(super) set: Arc<Set>,
    attempt: Mutex<Collected>,
    /// None where no message is at hand: `bus` and `state` then answer `no-message`.
    pub(super) surroundings: Option<Arc<dyn Surroundings>>,
    pub(super) phase: Phase,
    pub(super) call: CallFacts,
    /// Those of the extension that the message is for.
    pub(super) limits: Limits,
    pub(super) memory: Arc<Memory>,
    pub(super) trail: Trail,
    host_calls: AtomicU64,
    /// The way to the extension in which the first error came up.
    blamed: Mutex<Option<Vec<usize>>>,
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
    pub(super) hops: u32,
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

impl Tenant {
    /// From now on the store runs for another attempt.
    pub(super) fn take_over(&mut self, chain: Arc<Chain>, others: Weak<Stores>) {
        self.meter.move_to(chain.memory.clone());
        self.chain = chain;
        self.others = others;
    }
}

impl Chain {
    pub(super) fn new(
        set: Arc<Set>,
        phase: Phase,
        call: CallFacts,
        surroundings: Option<Arc<dyn Surroundings>>,
        limits: Limits,
    ) -> Chain {
        Chain {
            set,
            attempt: Mutex::default(),
            surroundings,
            phase,
            call,
            memory: Arc::new(Memory::new(limits.memory_bytes)),
            limits,
            trail: Trail::default(),
            host_calls: AtomicU64::new(0),
            blamed: Mutex::default(),
        }
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
    pub(super) fn count_host_call(&self) -> Result<(), LinkError> {
        if self.host_calls.fetch_add(1, Ordering::Relaxed) >= self.limits.host_calls {
            return Err(LinkError::TooManyCalls { limit: self.limits.host_calls });
        }
        Ok(())
    }

    /// An error came up in this extension, which is at work. The first one to say so is the innermost.
    pub(super) fn blame(&self, extension: usize) {
        self.blamed().get_or_insert_with(|| self.trail.way_to(extension));
    }

    /// The way to the extension that is to blame, by names.
    pub(super) fn blamed_way(&self) -> Vec<String> {
        self.names(self.blamed().as_deref().unwrap_or_default())
    }

    /// The way to the call that is under way, by names. After an error that is one of an `async` function, which is not told of it.
    pub(super) fn last_way(&self) -> Vec<String> {
        self.names(&self.trail.last_way())
    }

    fn names(&self, way: &[usize]) -> Vec<String> {
        way.iter().map(|place| self.set.name(*place).to_owned()).collect()
    }

    /// A call that failed has become an answer, and its caller goes on.
    pub(super) fn forgive(&self) {
        *self.blamed() = None;
        self.memory.forgive();
    }

    fn blamed(&self) -> MutexGuard<'_, Option<Vec<usize>>> {
        self.blamed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CallFacts {
    /// No message is at hand.
    pub(super) fn none(deadline: Instant) -> CallFacts {
        CallFacts { hops: 0, accepted_at: 0, attempt: 0, deadline }
    }
}
