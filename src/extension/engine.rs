//! The sandbox that extensions run in: one engine, and a fresh store for each call.
//!
//! Absent on purpose: what an extension is and what it is asked. This room knows code, memory and time.
//!
//! Invariants: a store is used for one call and then dropped, whatever came of it (after a trap or a cancelled call every instance in it is
//! poisoned). Guest code gives the thread back at least every [`TICK`], so a deadline or a cancelled future takes effect within about that,
//! and other tasks of the same thread go on. While nothing runs, no thread wakes up.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Config, Engine, Store};

use super::host::wasi::WasiPart;
use super::limits::{Limits, Meter};
use super::tenant::{Chain, Tenant};

/// How often running guests are made to look up. A look is a yield to the executor, a few microseconds; at 200 a second that is nothing.
const TICK: Duration = Duration::from_millis(5);

/// On top of [`Limits::output_bytes`], for what surrounds the strings of an answer.
const OUTPUT_OVERHEAD: usize = 4096;

/// The call took longer than [`Limits::deadline`]. Its store is gone.
#[derive(Debug)]
pub(super) struct Late;

pub(super) struct Sandbox {
    engine: Engine,
    linker: Linker<Tenant>,
    ticker: Ticker,
    limits: Limits,
}

impl Sandbox {
    pub(super) fn new(limits: Limits) -> wasmtime::Result<Sandbox> {
        let mut config = Config::new();
        config.epoch_interruption(true);
        // Frames of a guest's functions are the guest's text and help nobody who reads a dead letter.
        config.wasm_backtrace_max_frames(None);
        let engine = Engine::new(&config)?;
        let linker = Linker::new(&engine);
        let ticker = Ticker::start(&engine)?;
        Ok(Sandbox { engine, linker, ticker, limits })
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Makes machine code of a component. Takes seconds of CPU for big guests: not for an async thread.
    pub(super) fn compile(&self, binary: &[u8]) -> wasmtime::Result<Component> {
        Component::from_binary(&self.engine, binary)
    }

    /// Resolves the imports of a component, once for all its calls.
    pub(super) fn link(&self, component: &Component) -> wasmtime::Result<InstancePre<Tenant>> {
        self.linker.instantiate_pre(component)
    }

    /// A store for one call, with its limits set.
    pub(super) fn store(&self, chain: Arc<Chain>) -> Store<Tenant> {
        let meter = Meter::new(self.limits.memory_bytes);
        let mut store = Store::new(&self.engine, Tenant { meter, chain, wasi: WasiPart::default() });
        store.limiter(|tenant| &mut tenant.meter);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        // Strings are refused by their length, before anything is copied out of the guest.
        store.set_hostcall_fuel(self.limits.output_bytes.saturating_add(OUTPUT_OVERHEAD));
        store
    }

    /// Runs guest code until it is done or the deadline has passed; then it is dropped where it stands.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its timer enabled.
    pub(super) async fn within_deadline<T>(&self, work: impl Future<Output = T>) -> Result<T, Late> {
        let _ticking = self.ticker.tick();
        tokio::time::timeout(self.limits.deadline, work).await.map_err(|_| Late)
    }
}

/// Moves the engine's epoch on while something runs. A guest checks it at each function and loop, and yields when it has moved.
struct Ticker(Arc<Pace>);

struct Pace {
    running: Mutex<Running>,
    changed: Condvar,
}

struct Running {
    calls: usize,
    /// The engine is gone: the thread ends.
    over: bool,
}

impl Pace {
    /// The numbers are right after a panic, too: each change is one assignment.
    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticker {
    fn start(engine: &Engine) -> wasmtime::Result<Ticker> {
        let pace = Arc::new(Pace { running: Mutex::new(Running { calls: 0, over: false }), changed: Condvar::new() });
        let thread = thread::Builder::new().name("postroom-epoch".into());
        let (engine, of_thread) = (engine.clone(), pace.clone());
        thread.spawn(move || {
            while wait_for_work(&of_thread) {
                thread::sleep(TICK);
                engine.increment_epoch();
            }
        })?;
        Ok(Ticker(pace))
    }

    /// Ticks until the guard is dropped.
    fn tick(&self) -> Ticking<'_> {
        let mut running = self.0.lock();
        running.calls += 1;
        if running.calls == 1 {
            self.0.changed.notify_one();
        }
        Ticking(&self.0)
    }
}

/// False when there will be none any more.
fn wait_for_work(pace: &Pace) -> bool {
    let mut running = pace.lock();
    while running.calls == 0 && !running.over {
        running = pace.changed.wait(running).unwrap_or_else(PoisonError::into_inner);
    }
    !running.over
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.0.lock().over = true;
        self.0.changed.notify_one();
    }
}

struct Ticking<'a>(&'a Pace);

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.lock().calls -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_ticker_rests_when_nothing_runs_and_ends_with_its_owner() {
        let ticker = Ticker::start(&Engine::default()).unwrap();
        let pace = Arc::downgrade(&ticker.0);
        let (first, second) = (ticker.tick(), ticker.tick());
        assert_eq!(ticker.0.lock().calls, 2);
        drop(first);
        drop(second);
        assert_eq!(ticker.0.lock().calls, 0);
        drop(ticker);
        let patience = Instant::now() + Duration::from_secs(30);
        while pace.upgrade().is_some() {
            assert!(Instant::now() < patience, "the thread of the ticker goes on without its owner");
            thread::yield_now();
        }
    }
}
