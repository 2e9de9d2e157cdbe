//! What the service asks of an extension: what it is, to make itself ready, to handle a message, to run its subcommand.
//!
//! Absent on purpose: which extension is asked, and what becomes of the answer.
//!
//! Invariants: each of these has a chain of its own, and every store of it is gone when it is over, but for one that may be reused; an attempt
//! that failed has no effects; every way in which guest code can end is turned into an answer for a person.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::Instance;
use wasmtime::{AsContextMut, Result, Store, StoreContextMut};

use super::call::{self, Answer, Call, Parameters};
use super::configuration::Lifetime;
use super::effects::{Attempted, Effects};
use super::link::{LinkError, instantiate};
use super::package::{About, Command, Unusable};
use super::reuse::{Pool, Reusable, Used};
use super::set::{Described, Entries, Initialised, Set, Specified, Unit};
use super::stores::Stores;
use super::surroundings::Surroundings;
use super::tenant::{CallFacts, Chain, Phase, Tenant};
use crate::message::{Failure, Handled, Retry};

/// A person at a terminal ends a subcommand when it takes too long; this is for one that nobody looks at.
const COMMAND_DEADLINE: Duration = Duration::from_secs(24 * 60 * 60);

/// Instantiates once, and asks the extension what it is.
pub(super) async fn describe(set: &Arc<Set>, unit: &Arc<Unit>) -> Result<(About, Option<Command>), String> {
    let asked = alone(set, unit, Phase::Describe, async |store, instance, entries| {
        let about = match &entries.describe {
            Some(index) => {
                let describe = instance.get_typed_func::<(), Described>(&mut *store, index)?;
                Some(describe.call_async(&mut *store, ()).await?.0)
            }
            None => None,
        };
        let spec = match &entries.cli {
            Some(cli) => {
                let spec = instance.get_typed_func::<(), Specified>(&mut *store, &cli.spec)?;
                Some(spec.call_async(&mut *store, ()).await?.0)
            }
            None => None,
        };
        Ok((about, spec))
    });
    let (about, spec) = asked.await.map_err(|failure| format!("it failed when it was loaded: {}", failure.message))?;
    let about = about.map_or_else(|| Ok(About::default()), |about| About::from(about).checked());
    let command = spec.map(|spec| Command::from(spec).checked()).transpose();
    Ok((about.map_err(|bad| bad.to_string())?, command.map_err(|bad| bad.to_string())?))
}

/// Lets it make itself ready. What it offers is then in the set.
pub(super) async fn init(set: &Arc<Set>, unit: &Arc<Unit>) -> Result<(), Unusable> {
    let asked = alone(set, unit, Phase::Init, async |store, instance, entries| {
        let Some(index) = &entries.init else { return Ok(Ok(())) };
        let init = instance.get_typed_func::<(), Initialised>(&mut *store, index)?;
        Ok(init.call_async(&mut *store, ()).await?.0)
    });
    // What it says itself of another try counts; a trap or a loop ends the same way again.
    let (ended, may_pass) = match asked.await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(failure)) => {
            let failure = failure.passed_on();
            let may_pass = failure.retry == Retry::Later;
            (failure, may_pass)
        }
        Err(failure) => (failure, false),
    };
    Err(Unusable { reason: format!("its `init` failed: {}", ended.message), may_pass })
}

/// Runs its subcommand; the answer is the exit code. None if it has none.
pub(super) async fn command(
    set: &Arc<Set>,
    unit: &Arc<Unit>,
    arguments: Vec<String>,
    console: Arc<dyn super::Console>,
) -> Option<Result<u8, Failure>> {
    let arguments = &arguments;
    let asked = alone(set, unit, Phase::Command(console), async |store, instance, entries| {
        let Some(cli) = &entries.cli else { return Ok(None) };
        let run = instance.get_typed_func::<(Vec<String>,), (u8,)>(&mut *store, &cli.run)?;
        Ok(Some(run.call_async(&mut *store, (arguments.clone(),)).await?.0))
    });
    asked.await.transpose()
}

/// Work in an instance of its own, with no message at hand.
async fn alone<T>(
    set: &Arc<Set>,
    unit: &Arc<Unit>,
    phase: Phase,
    work: impl AsyncFnOnce(&mut StoreContextMut<'_, Tenant>, Instance, &Entries) -> Result<T>,
) -> Result<T, Failure> {
    let prepared = unit.prepared(&set.sandbox).await.map_err(|why| call::not_ready(unit.name(), &why.reason))?;
    let mut limits = unit.terms.limits.clone();
    if matches!(phase, Phase::Command(_)) {
        limits.deadline = COMMAND_DEADLINE;
    }
    let deadline = Instant::now() + limits.deadline;
    let chain = Arc::new(Chain::new(set.clone(), phase, CallFacts::none(deadline), None, limits));
    let stores = Arc::new(Stores::default());
    let mut store = set.sandbox.store(chain.clone(), unit.place_beside(0), Arc::downgrade(&stores));
    let outcome = set.sandbox.until(deadline, async {
        let _entered = enter(&chain, unit)?;
        let mut store = store.as_context_mut();
        let instance = instantiate(&mut store, unit).await?;
        work(&mut store, instance, &prepared.entries).await
    });
    match outcome.await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(call::stopped(&error, &chain)),
        Err(late) => Err(call::late(late, &chain)),
    }
}

fn enter<'a>(chain: &'a Chain, unit: &Unit) -> Result<super::trail::Entered<'a>, LinkError> {
    chain.trail.enter(None, unit.index()).map_err(|reason| LinkError::not_entered(&chain.set, reason))
}

/// Handles one message.
pub(super) async fn handle(
    set: &Arc<Set>,
    unit: &Arc<Unit>,
    pool: &Arc<Pool>,
    call: &Call<'_>,
    surroundings: Arc<dyn Surroundings>,
) -> Attempted {
    // Whatever has to be compiled is compiled before the clock starts.
    if let Err(failure) = ready(set, unit).await {
        return Attempted::failed(failure);
    }
    let limits = unit.terms.limits.clone();
    let deadline = Instant::now() + limits.deadline;
    let chain = Chain::new(set.clone(), Phase::Handle, call.facts(deadline), Some(surroundings), limits);
    let chain = Arc::new(chain);
    let stores = Arc::new(Stores::default());
    let mut used = match unit.terms.lifetime {
        Lifetime::Fresh => None,
        Lifetime::Reused { .. } => pool.take(&chain, Arc::downgrade(&stores)),
    }
    .unwrap_or_else(|| Used::new(fresh(&chain, unit, &stores)));
    let outcome = set.sandbox.until(deadline, async {
        let _entered = enter(&chain, unit)?;
        ask(&mut used.store, unit, call, chain.limits.deadline).await
    });
    let handled = match outcome.await {
        Ok(Ok(answer)) => call::answered(answer, &chain.limits),
        Ok(Err(error)) => Handled::Failed(call::stopped(&error, &chain)),
        Err(late) => Handled::Failed(call::late(late, &chain)),
    };
    let collected = std::mem::take(&mut *chain.collected());
    let (effects, reusable) = match (&handled, unit.terms.lifetime) {
        (Handled::Reply(_), Lifetime::Reused { uses }) => {
            (collected.effects, Some(Reusable::new(used, pool.clone(), uses)))
        }
        (Handled::Reply(_), Lifetime::Fresh) => (collected.effects, None),
        (Handled::Failed(_), _) => (Effects::default(), None),
    };
    Attempted { handled, effects, log: collected.log, reusable }
}

/// Everybody who may be called through links, and the one itself.
async fn ready(set: &Arc<Set>, unit: &Arc<Unit>) -> Result<(), Failure> {
    let mut needed = vec![unit.index()];
    let mut looked_at = 0;
    while let Some(place) = needed.get(looked_at).copied() {
        let unit = set.unit(place);
        unit.prepared(&set.sandbox).await.map_err(|why| call::not_ready(unit.name(), &why.reason))?;
        for wire in unit.wires.iter().filter(|wire| !wire.functions.is_empty()) {
            if !needed.contains(&wire.provider) {
                needed.push(wire.provider);
            }
        }
        looked_at += 1;
    }
    Ok(())
}

fn fresh(chain: &Arc<Chain>, unit: &Arc<Unit>, stores: &Arc<Stores>) -> Store<Tenant> {
    chain.set.sandbox.store(chain.clone(), unit.place_beside(0), Arc::downgrade(stores))
}

/// Handles a message within an attempt: in fresh stores, with nothing of its own but those. The caller has entered it on the trail.
pub(super) async fn handle_within(chain: &Arc<Chain>, unit: &Arc<Unit>, call: &Call<'_>) -> Handled {
    let stores = Arc::new(Stores::default());
    let mut store = fresh(chain, unit, &stores);
    let left = chain.call.deadline.saturating_duration_since(Instant::now());
    match ask(&mut store, unit, call, left).await {
        Ok(answer) => call::answered(answer, &chain.limits),
        Err(error) => {
            chain.blame(unit.index());
            Handled::Failed(call::stopped(&error, chain))
        }
    }
}

async fn ask(store: &mut Store<Tenant>, unit: &Arc<Unit>, call: &Call<'_>, left: Duration) -> Result<Answer> {
    let mut store = store.as_context_mut();
    let chain = store.data().chain.clone();
    let instance = instantiate(&mut store, unit).await?;
    let not_ready = |why: Unusable| LinkError::NotReady { extension: unit.name().to_owned(), reason: why.reason };
    let prepared = unit.prepared(&chain.set.sandbox).await.map_err(not_ready)?;
    let handle = instance.get_typed_func::<Parameters<'_>, Answer>(&mut store, &prepared.entries.handle)?;
    handle.call_async(&mut store, call.parameters(left)).await
}
