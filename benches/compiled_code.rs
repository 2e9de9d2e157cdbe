//! How much faster than compiling it is to load the code of an extension from the cache, its hash included: for the JavaScript guest.
//!
//! `cargo bench --bench compiled_code`

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use postroom::extension::cache::{Cache, Origin};
use sha2::{Digest as _, Sha256};
use wasmtime::{Config, Engine};

const RUNS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("extensions/prebuilt/ext-js.wasm");
    // As the service has it: what interrupts a guest is compiled into its code.
    let mut config = Config::new();
    config.epoch_interruption(true);
    let engine = Engine::new(&config)?;
    let (mut compiling, mut loading) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let folder = tempfile::tempdir()?;
        let cache = Cache::open(&folder.path().join("compiled"));
        for (expected, times) in [(Origin::Compiled, &mut compiling), (Origin::Loaded, &mut loading)] {
            let began = (Instant::now(), cpu());
            let bytes = fs::read(&guest)?;
            let hash: [u8; 32] = Sha256::digest(&bytes).into();
            let (component, origin) = cache.obtain(&engine, &hash, &bytes)?;
            times.push((began.0.elapsed(), cpu() - began.1));
            drop(component);
            if origin != expected {
                return Err(format!("expected {expected:?}, got {origin:?}").into());
            }
        }
    }
    let (compile, load) = (median(compiling), median(loading));
    for (what, compile, load) in [("elapsed", compile.0, load.0), ("CPU", compile.1, load.1)] {
        let ratio = compile.as_secs_f64() / load.as_secs_f64();
        println!("{what}: compiling {compile:.1?}, loading {load:.1?}, {ratio:.0} times faster");
    }
    Ok(())
}

/// Of each of the two on its own.
fn median(times: Vec<(Duration, Duration)>) -> (Duration, Duration) {
    let (mut elapsed, mut cpu): (Vec<_>, Vec<_>) = times.into_iter().unzip();
    elapsed.sort_unstable();
    cpu.sort_unstable();
    (elapsed[RUNS / 2], cpu[RUNS / 2])
}

fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
