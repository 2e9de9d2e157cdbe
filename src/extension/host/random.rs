//! `wit/random.wit`: randomness of the operating system.

use wasmtime::component::LinkerInstance;

use crate::extension::tenant::Tenant;

/// Bytes at a time; see `wit/random.wit`.
const MOST_BYTES: u32 = 65_536;

pub(super) fn add(interface: &mut LinkerInstance<'_, Tenant>) -> wasmtime::Result<()> {
    interface.func_wrap("bytes", |store, (count,): (u32,)| {
        store.data().chain.count_host_call()?;
        Ok((bytes(count)?,))
    })?;
    interface.func_wrap("number", |store, (): ()| {
        store.data().chain.count_host_call()?;
        Ok((getrandom::u64().map_err(no_randomness)?,))
    })
}

fn bytes(count: u32) -> wasmtime::Result<Vec<u8>> {
    let mut bytes = vec![0; count.min(MOST_BYTES) as usize];
    getrandom::fill(&mut bytes).map_err(no_randomness)?;
    Ok(bytes)
}

/// Nothing that only looks random may take its place, so the attempt ends.
fn no_randomness(error: getrandom::Error) -> wasmtime::Error {
    wasmtime::format_err!("the system gives no randomness: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_bytes_as_asked_for_up_to_a_limit_and_never_the_same() {
        assert_eq!(bytes(0).unwrap(), Vec::<u8>::new());
        assert_eq!(bytes(65_536).unwrap().len(), 65_536);
        assert_eq!(bytes(u32::MAX).unwrap().len(), 65_536);
        assert_ne!(bytes(32).unwrap(), bytes(32).unwrap());
    }
}
