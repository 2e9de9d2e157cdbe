//! `wit/clock.wit`: time.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use wasmtime::component::LinkerInstance;

use crate::extension::tenant::Tenant;

/// Where the monotonic clock starts. The first reading makes it, so it is the same for every extension of this process.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

pub(super) fn add(interface: &mut LinkerInstance<'_, Tenant>) -> wasmtime::Result<()> {
    interface.func_wrap("now-ms", |store, (): ()| {
        store.data().chain.count_host_call()?;
        Ok((now_ms(),))
    })?;
    interface.func_wrap("monotonic-ns", |store, (): ()| {
        store.data().chain.count_host_call()?;
        Ok((u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX),))
    })?;
    // The guest's stack is put aside meanwhile, so the thread goes on with others. The deadline ends a sleep that is too long.
    interface.func_wrap_async("sleep-ms", |store, (ms,): (u32,)| {
        Box::new(async move {
            store.data().chain.count_host_call()?;
            tokio::time::sleep(Duration::from_millis(u64::from(ms))).await;
            Ok(())
        })
    })
}

/// Unix milliseconds.
pub(super) fn now_ms() -> i64 {
    let milliseconds = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => milliseconds(since),
        Err(before) => milliseconds(before.duration()).saturating_neg(),
    }
}
