//! What one call of an extension may use.
//!
//! Absent on purpose: how many calls run at a time (the service's lanes decide that) and fuel: a deadline by the clock is what a user
//! can reason about.
//!
//! Invariant: the bytes of everything that the stores of an attempt hold (all memories and tables of all components in them) stay within one
//! number, so a chain of extensions costs no more than one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use wasmtime::ResourceLimiter;

/// The limits of one call, in the units of `[extensions]` in `postroom.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the start of the call to its answer, by the monotonic clock.
    pub deadline: Duration,
    /// Bytes of memory and tables, summed over every component that takes part in the call.
    pub memory_bytes: usize,
    /// Bytes of the answer: the reply's payload, or a failure with everything in it.
    pub output_bytes: usize,
    /// How often the components of a call may call the host and each other.
    pub host_calls: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            deadline: Duration::from_secs(10),
            memory_bytes: 256 << 20,
            output_bytes: 16 << 20,
            // At a few microseconds each about what fits into the deadline; a loop that only asks ends with this reason.
            host_calls: 1_000_000,
        }
    }
}

/// Host memory that one table element takes: a pointer (see [`ResourceLimiter::table_growing`]).
const TABLE_ELEMENT_BYTES: usize = size_of::<usize>();

/// Core instances in one store. A component made by JavaScript or Python tools has 10 to 40.
const INSTANCES: usize = 2_000;

/// Each memory takes 4 GiB of address space, of which x86-64 has 128 TiB for all calls that run at once.
const MEMORIES: usize = 128;

/// What all stores of one attempt hold together, against [`Limits::memory_bytes`].
///
/// Growth beyond the limit traps. The other choice, to let `memory.grow` return -1, is what the specification suggests, but then a
/// loop that asks again and again ends as a timeout after ten seconds, and most languages abort anyway.
#[derive(Debug)]
pub(super) struct Memory {
    limit: usize,
    used: AtomicUsize,
    refused: AtomicBool,
}

/// The part of a [`Memory`] that one store holds; given back when the store is dropped.
pub(super) struct Meter {
    memory: Arc<Memory>,
    own: usize,
    /// What the growth that is under way would add; taken back when it fails.
    under_way: usize,
}

impl Memory {
    pub(super) fn new(limit: usize) -> Memory {
        Memory { limit, used: AtomicUsize::new(0), refused: AtomicBool::new(false) }
    }

    /// Has more been asked for than there may be? Then whatever error ended the call, this is its cause.
    pub(super) fn refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// The call that asked for too much has ended, and its caller goes on.
    pub(super) fn forgive(&self) {
        self.refused.store(false, Ordering::Relaxed);
    }
}

impl Meter {
    pub(super) fn new(memory: Arc<Memory>) -> Meter {
        Meter { memory, own: 0, under_way: 0 }
    }

    /// Counts what the store holds in another attempt from now on.
    pub(super) fn move_to(&mut self, memory: Arc<Memory>) {
        self.memory.used.fetch_sub(self.own, Ordering::Relaxed);
        memory.used.fetch_add(self.own, Ordering::Relaxed);
        self.memory = memory;
    }

    fn grow(&mut self, bytes: usize) -> wasmtime::Result<bool> {
        let within = |used: usize| used.checked_add(bytes).filter(|total| *total <= self.memory.limit);
        match self.memory.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within) {
            Ok(_) => {
                self.own += bytes;
                self.under_way = bytes;
                Ok(true)
            }
            Err(_) => {
                self.under_way = 0;
                self.memory.refused.store(true, Ordering::Relaxed);
                Err(wasmtime::format_err!("memory limit of {} bytes reached", self.memory.limit))
            }
        }
    }

    fn take_back(&mut self) {
        let bytes = std::mem::take(&mut self.under_way);
        self.own -= bytes;
        self.memory.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.memory.used.fetch_sub(self.own, Ordering::Relaxed);
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.grow(desired.saturating_sub(current))
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.take_back();
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.grow(desired.saturating_sub(current).saturating_mul(TABLE_ELEMENT_BYTES))
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.take_back();
        Ok(())
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        INSTANCES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(limit: usize) -> Meter {
        Meter::new(Arc::new(Memory::new(limit)))
    }

    #[test]
    fn memories_and_tables_are_counted_together() {
        let mut meter = meter(1000);
        assert!(meter.memory_growing(0, 600, None).unwrap());
        assert!(meter.memory_growing(600, 700, None).unwrap());
        assert!(meter.table_growing(0, 300 / TABLE_ELEMENT_BYTES, None).unwrap());
        assert!(!meter.memory.refused());
        assert!(meter.table_growing(0, 2, None).is_err());
        assert!(meter.memory.refused());
    }

    #[test]
    fn stores_of_one_attempt_are_counted_together_and_give_back_what_they_had() {
        let mut first = meter(1000);
        let mut second = Meter::new(first.memory.clone());
        first.memory_growing(0, 600, None).unwrap();
        second.memory_growing(0, 400, None).unwrap();
        assert!(first.memory_growing(600, 601, None).is_err());
        drop(second);
        assert!(first.memory_growing(600, 1000, None).unwrap());
        let next = Arc::new(Memory::new(1000));
        let before = first.memory.clone();
        first.move_to(next);
        assert_eq!(before.used.load(Ordering::Relaxed), 0);
        assert!(first.memory_growing(1000, 1001, None).is_err());
    }

    #[test]
    fn growth_that_the_system_refused_does_not_count() {
        let mut meter = meter(1000);
        meter.memory_growing(0, 900, None).unwrap();
        meter.memory_grow_failed(wasmtime::format_err!("no memory")).unwrap();
        assert!(meter.memory_growing(0, 1000, None).unwrap());
        meter.table_growing(0, 0, None).unwrap();
        meter.table_grow_failed(wasmtime::format_err!("no memory")).unwrap();
        assert!(meter.memory_growing(1000, 1001, None).is_err());
    }

    #[test]
    fn a_growth_that_overflows_is_refused() {
        let mut large = meter(usize::MAX);
        assert!(large.memory_growing(0, usize::MAX, None).unwrap());
        assert!(large.memory_growing(0, 1, None).is_err());
        assert!(meter(1000).table_growing(0, usize::MAX, None).is_err());
    }
}
