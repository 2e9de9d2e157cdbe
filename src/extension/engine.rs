//! The sandbox that extensions run in: one engine, and the stores that it makes.
//!
//! Absent on purpose: what an extension is and what it is asked. This room knows code, memory and time.
//!
//! Invariants: every store has its limits from its first moment. Guest code gives the thread back at least every [`TICK`], so a deadline or a
//! cancelled future takes effect within about that, and other tasks of the same thread go on. While nothing runs, no thread wakes up.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use wasmtime::component::Component;
use wasmtime::{Config, Engine, Store};

use super::cache::{Cache, Origin};
use super::host::wasi::WasiPart;
use super::limits::Meter;
use super::link::Lent;
use super::stores::Stores;
use super::tenant::{Chain, Tenant};

/// How often running guests are made to look up. A look is a yield to the executor, a few microseconds; at 200 a second that is nothing.
const TICK: Duration = Duration::from_millis(5);

/// On top of `Limits::output_bytes`, for what surrounds the strings of an answer.
const OUTPUT_OVERHEAD: usize = 4096;

/// How much more the host may copy out of a guest at once than an answer may have. A value between extensions is held in the host's own
/// form, in which each byte of a `list<u8>` takes tens of bytes.
const COPIED: usize = 4;

/// The call took longer than the attempt may. Its stores are gone.
#[derive(Debug)]
pub(super) struct Late;

pub(super) struct Sandbox {
    engine: Engine,
    ticker: Ticker,
    cache: Cache,
    cache_notes: Mutex<Vec<String>>,
}

impl Sandbox {
    pub(super) fn new() -> wasmtime::Result<Sandbox> {
        let mut config = Config::new();
        config.epoch_interruption(true);
        // Frames of a guest's functions are the guest's text and help nobody who reads a dead letter.
        config.wasm_backtrace_max_frames(None);
        let engine = Engine::new(&config)?;
        let ticker = Ticker::start(&engine)?;
        Ok(Sandbox { engine, ticker, cache: Cache::of_user(), cache_notes: Mutex::default() })
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Machine code of a component, which is known by the hash of its bytes. Takes seconds of CPU for big guests: not for an async thread.
    /// What the cache has already is loaded in milliseconds.
    pub(super) fn compile(&self, sha256: &[u8; 32], binary: &[u8]) -> wasmtime::Result<Component> {
        let (component, origin) = self.cache.obtain(&self.engine, sha256, binary)?;
        let note = match origin {
            Origin::Loaded | Origin::Compiled => return Ok(component),
            Origin::Rebuilt(reason) => {
                format!("compiled code in the cache was not used and has been replaced: {reason}")
            }
            Origin::Unkept(reason) => reason,
        };
        self.note(note);
        Ok(component)
    }

    fn note(&self, note: String) {
        let mut notes = self.cache_notes.lock().unwrap_or_else(PoisonError::into_inner);
        if !notes.contains(&note) {
            notes.push(note);
        }
    }

    /// Somebody waits for a compiler now who should not have to. Where nothing can be kept at all, that is said instead.
    pub(super) fn note_missing_code(&self, extension: &str) {
        if self.cache.trouble().is_none() {
            self.note(format!("there was no compiled code of {extension}; it is compiled now"));
        }
    }

    /// Is there compiled code of this component in the cache? Whether it can be trusted, its use will tell.
    pub(super) fn has_code(&self, sha256: &[u8; 32]) -> bool {
        self.cache.has(&self.engine, sha256)
    }

    pub(super) fn cache_notes(&self) -> Vec<String> {
        self.cache_notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A store for this attempt, with its limits set.
    pub(super) fn store(&self, chain: Arc<Chain>, group: usize, others: Weak<Stores>) -> Store<Tenant> {
        let output_bytes = chain.limits.output_bytes;
        let meter = Meter::new(chain.memory.clone());
        let wasi = WasiPart::of(chain.set.world(group));
        let tenant = Tenant { meter, chain, group, slots: Vec::new(), lent: Lent::default(), others, wasi };
        let mut store = Store::new(&self.engine, tenant);
        store.limiter(|tenant| &mut tenant.meter);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        // What is too long is refused by its length, before anything is copied out of the guest.
        store.set_hostcall_fuel(output_bytes.saturating_mul(COPIED).saturating_add(OUTPUT_OVERHEAD));
        store
    }

    /// Runs guest code until it is done or the deadline has passed; then it is dropped where it stands.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its timer enabled.
    pub(super) async fn until<T>(&self, deadline: Instant, work: impl Future<Output = T>) -> Result<T, Late> {
        let _ticking = self.ticker.tick();
        tokio::time::timeout_at(deadline.into(), work).await.map_err(|_| Late)
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
