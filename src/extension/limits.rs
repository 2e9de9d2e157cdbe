//! What one call of an extension may use.
//!
//! Absent on purpose: how many calls run at a time (the service's lanes decide that) and fuel: a deadline by the clock is what a user
//! can reason about.
//!
//! Invariant: the bytes of everything that a store holds (all memories and tables of all components in it) stay within one number, so a
//! chain of extensions costs no more than one.

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

/// Counts what a store holds against [`Limits::memory_bytes`].
///
/// Growth beyond the limit traps. The other choice, to let `memory.grow` return -1, is what the specification suggests, but then a
/// loop that asks again and again ends as a timeout after ten seconds, and most languages abort anyway.
pub(super) struct Meter {
    limit: usize,
    used: usize,
    /// What the growth that is under way would add; taken back when it fails.
    under_way: usize,
    refused: bool,
}

impl Meter {
    pub(super) fn new(limit: usize) -> Meter {
        Meter { limit, used: 0, under_way: 0, refused: false }
    }

    /// Has this store asked for more than it may have? Then whatever error ended the call, this is its cause.
    pub(super) fn refused(&self) -> bool {
        self.refused
    }

    fn grow(&mut self, bytes: usize) -> wasmtime::Result<bool> {
        match self.used.checked_add(bytes).filter(|total| *total <= self.limit) {
            Some(total) => {
                self.used = total;
                self.under_way = bytes;
                Ok(true)
            }
            None => {
                self.refused = true;
                Err(wasmtime::format_err!("memory limit of {} bytes reached", self.limit))
            }
        }
    }

    fn take_back(&mut self) {
        self.used -= std::mem::take(&mut self.under_way);
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

    #[test]
    fn memories_and_tables_are_counted_together() {
        let mut meter = Meter::new(1000);
        assert!(meter.memory_growing(0, 600, None).unwrap());
        assert!(meter.memory_growing(600, 700, None).unwrap());
        assert!(meter.table_growing(0, 300 / TABLE_ELEMENT_BYTES, None).unwrap());
        assert!(!meter.refused());
        assert!(meter.table_growing(0, 2, None).is_err());
        assert!(meter.refused());
    }

    #[test]
    fn growth_that_the_system_refused_does_not_count() {
        let mut meter = Meter::new(1000);
        meter.memory_growing(0, 900, None).unwrap();
        meter.memory_grow_failed(wasmtime::format_err!("no memory")).unwrap();
        assert!(meter.memory_growing(0, 1000, None).unwrap());
        meter.table_growing(0, 0, None).unwrap();
        meter.table_grow_failed(wasmtime::format_err!("no memory")).unwrap();
        assert!(meter.memory_growing(1000, 1001, None).is_err());
    }

    #[test]
    fn a_growth_that_overflows_is_refused() {
        let mut meter = Meter::new(usize::MAX);
        assert!(meter.memory_growing(0, usize::MAX, None).unwrap());
        assert!(meter.memory_growing(0, 1, None).is_err());
        assert!(Meter::new(1000).table_growing(0, usize::MAX, None).is_err());
    }
}
