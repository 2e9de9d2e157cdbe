//! A call into another store: the callee has another WASI world than the caller.
//!
//! What goes wrong there does not poison the caller's store. So where the function's type has a place for it, the failure comes back as the
//! error that the caller can handle; else it ends the caller, like any trap of a callee.

use std::sync::{Arc, Weak};

use tokio::task::JoinHandle;
use wasmtime::component::Val;
use wasmtime::component::types::{ComponentFunc, Type};
use wasmtime::{AsContextMut, Error, Result};

use super::super::call::stopped;
use super::super::set::Unit;
use super::super::stores::Stores;
use super::super::tenant::Chain;
use super::call::{Values, here};
use crate::message::{Failure, Retry};

/// The caller waits for its end. Resources do not cross: such links were refused.
pub(super) async fn call(
    chain: &Arc<Chain>,
    others: &Weak<Stores>,
    provider: &Arc<Unit>,
    place: usize,
    function: usize,
    params: &[Val],
    results: &mut [Val],
) -> Result<()> {
    let Some(stores) = others.upgrade() else { return Err(wasmtime::format_err!("the attempt is over")) };
    let mut store = stores.take(place).unwrap_or_else(|| chain.set.sandbox.store(chain.clone(), place, others.clone()));
    let outcome = here(&mut store.as_context_mut(), provider, function, Values::Plain, params, results).await;
    let Err(error) = outcome else {
        stores.put_back(store);
        return Ok(());
    };
    drop(store);
    chain.blame(provider.index());
    match provider.callable(function).and_then(|callable| as_answer(&callable.ty, &error, chain)) {
        Some(answer) => {
            chain.forgive();
            results[0] = answer;
            Ok(())
        }
        None => Err(error),
    }
}

/// The same in a task of its own: the engine allows no call of another store where the caller of an `async` function goes on.
pub(super) async fn call_apart(
    chain: &Arc<Chain>,
    others: Weak<Stores>,
    provider: &Arc<Unit>,
    place: usize,
    function: usize,
    params: &[Val],
    results: &mut [Val],
) -> Result<()> {
    let (chain, provider, params) = (chain.clone(), provider.clone(), params.to_vec());
    let mut returned = results.to_vec();
    let mut task = EndsWithCaller(tokio::spawn(async move {
        call(&chain, &others, &provider, place, function, &params, &mut returned).await.map(|()| returned)
    }));
    let returned = (&mut task.0).await.map_err(|error| wasmtime::format_err!("the call was ended: {error}"))??;
    for (result, value) in results.iter_mut().zip(returned) {
        *result = value;
    }
    Ok(())
}

/// Whoever gives up the call ends the callee.
struct EndsWithCaller<T>(JoinHandle<T>);

impl<T> Drop for EndsWithCaller<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The failure as a value of the function's type, if that is a `result` with an error that can say it.
fn as_answer(ty: &ComponentFunc, error: &Error, chain: &Chain) -> Option<Val> {
    let Some(Type::Result(result)) = ty.results().next() else { return None };
    let failure = stopped(error, chain);
    let value = match result.err()? {
        Type::String => Val::String(failure.message),
        Type::Record(record) => {
            let names: Vec<&str> = record.fields().map(|field| field.name).collect();
            // `failure` of `wit/types.wit`.
            (names == ["code", "message", "details", "retry"]).then(|| as_record(failure))?
        }
        _ => return None,
    };
    Some(Val::Result(Err(Some(Box::new(value)))))
}

fn as_record(Failure { code, message, details, retry }: Failure) -> Val {
    let details = details.map(|details| Box::new(Val::String(details.as_str().to_owned())));
    let retry = match retry {
        Retry::Later => "later",
        Retry::Final => "final",
    };
    let fields = [
        ("code", Val::String(code.as_str().to_owned())),
        ("message", Val::String(message)),
        ("details", Val::Option(details)),
        ("retry", Val::Enum(retry.to_owned())),
    ];
    Val::Record(fields.map(|(name, value)| (name.to_owned(), value)).into())
}
