//! `wit/state.wit`: keys and values of an extension that outlive a message.
//!
//! Absent on purpose: storing. What is written waits in the attempt's [`Effects`]; what is read is noted there with its version, so that the
//! commit can tell whether it still holds.
//!
//! Invariant: an extension reaches its own keys only; the name in a [`StateKey`] is always the importer's.

use std::collections::BTreeSet;
use std::sync::Arc;

use wasmtime::component::LinkerInstance;

use super::failure::{Answer, Refused};
use crate::extension::tenant::{Chain, Importer, Tenant};
use crate::extension::{Effects, StateKey, Surroundings};

/// Bytes of a key; see `wit/state.wit`.
const KEY_BYTES: usize = 200;
/// Bytes of a value; see `wit/state.wit`.
const VALUE_BYTES: usize = 1 << 20;
/// Keys that are listed; see `wit/state.wit`.
const LISTED: usize = 10_000;
/// Keys that one attempt may read, and as many that it may write; see `wit/state.wit`. What it holds meanwhile is memory of the service.
const KEYS: usize = 10_000;
/// Bytes that one attempt may write; see `wit/state.wit`.
const WRITTEN_BYTES: usize = 16 << 20;

pub(super) fn add(interface: &mut LinkerInstance<'_, Tenant>, importer: &Arc<Importer>) -> wasmtime::Result<()> {
    let importer = importer.clone();
    let of = move || importer.clone();
    let importer = of();
    interface.func_wrap("get", move |store, (key,): (String,)| answer(store.data(), |own| own.get(&importer, key)))?;
    let importer = of();
    interface.func_wrap("set", move |store, (key, value): (String, Vec<u8>)| {
        answer(store.data(), |own| own.write(&importer, key, Some(value)))
    })?;
    let importer = of();
    interface.func_wrap("delete", move |store, (key,): (String,)| {
        answer(store.data(), |own| own.write(&importer, key, None))
    })?;
    let importer = of();
    interface
        .func_wrap("keys", move |store, (prefix,): (String,)| answer(store.data(), |own| own.keys(&importer, &prefix)))
}

/// Asks the state that is behind the attempt, if there is any.
fn answer<T>(tenant: &Tenant, ask: impl FnOnce(&mut State<'_>) -> Result<T, Refused>) -> wasmtime::Result<Answer<T>> {
    let chain: &Chain = &tenant.chain;
    chain.count_host_call()?;
    let Some(surroundings) = &chain.surroundings else { return Ok((Err(Refused::no_message()),)) };
    let collected = &mut *chain.collected();
    let mut state = State { surroundings: &**surroundings, effects: &mut collected.effects };
    Ok((ask(&mut state),))
}

/// What is stored, and what this attempt would change of it.
struct State<'a> {
    surroundings: &'a dyn Surroundings,
    effects: &'a mut Effects,
}

impl State<'_> {
    fn get(&mut self, importer: &Importer, key: String) -> Result<Option<Vec<u8>>, Refused> {
        let key = state_key(importer, key)?;
        if let Some(written) = self.effects.written.get(&key) {
            return Ok(written.clone());
        }
        if self.effects.read.len() >= KEYS && !self.effects.read.contains_key(&key) {
            return Err(too_much(format!("an attempt reads at most {KEYS} keys")));
        }
        let stored = self.surroundings.stored(&importer.name, &key.key).map_err(unavailable)?;
        self.effects.read.entry(key).or_insert(stored.version);
        Ok(stored.value)
    }

    /// A value, or none to delete it.
    fn write(&mut self, importer: &Importer, key: String, value: Option<Vec<u8>>) -> Result<(), Refused> {
        let key = state_key(importer, key)?;
        let bytes = value.as_ref().map_or(0, Vec::len);
        if bytes > VALUE_BYTES {
            return Err(too_much(format!("a value has at most {VALUE_BYTES} bytes, this one has {bytes}")));
        }
        let written = &self.effects.written;
        let others = written.iter().filter(|(other, _)| **other != key);
        let (keys, waiting) =
            others.fold((0, 0), |(keys, bytes), (_, value)| (keys + 1, bytes + value.as_ref().map_or(0, Vec::len)));
        if keys >= KEYS {
            return Err(too_much(format!("an attempt writes at most {KEYS} keys")));
        }
        if waiting + bytes > WRITTEN_BYTES {
            return Err(too_much(format!("an attempt writes at most {WRITTEN_BYTES} bytes")));
        }
        self.effects.written.insert(key, value);
        Ok(())
    }

    fn keys(&mut self, importer: &Importer, prefix: &str) -> Result<Vec<String>, Refused> {
        if prefix.len() > KEY_BYTES {
            return Ok(Vec::new());
        }
        let own: Vec<(&StateKey, bool)> = self
            .effects
            .written
            .iter()
            .filter(|(key, _)| key.extension == importer.name && key.key.starts_with(prefix))
            .map(|(key, value)| (key, value.is_some()))
            .collect();
        // Each deletion takes away at most one of what is stored, so this many are enough to fill the list.
        let most = LISTED + own.len();
        let stored = self.surroundings.stored_keys(&importer.name, prefix, most).map_err(unavailable)?;
        let mut keys: BTreeSet<String> = stored.into_iter().collect();
        for (StateKey { key, .. }, is_there) in own {
            match is_there {
                true => keys.insert(key.clone()),
                false => keys.remove(key),
            };
        }
        Ok(keys.into_iter().take(LISTED).collect())
    }
}

fn state_key(importer: &Importer, key: String) -> Result<StateKey, Refused> {
    match key.len() {
        1..=KEY_BYTES => Ok(StateKey { extension: importer.name.clone(), key }),
        bytes => Err(Refused::new("invalid-key", format!("a key has 1 to {KEY_BYTES} bytes, this one has {bytes}"))),
    }
}

fn too_much(message: String) -> Refused {
    Refused::new("resource-limit", message)
}

fn unavailable(reason: String) -> Refused {
    Refused::for_now("unavailable", reason)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::future::Future;
    use std::pin::Pin;

    use super::*;
    use crate::extension::Stored;
    use crate::message::Handled;
    use crate::policy::Grants;

    /// Stored values of extension `it`, each in version 3.
    struct Map(BTreeMap<&'static str, &'static [u8]>);

    impl Surroundings for Map {
        fn control<'a>(
            &'a self,
            extension: &'a str,
            action: &'a str,
            parameters: &'a str,
        ) -> Pin<Box<dyn Future<Output = Handled> + Send + 'a>> {
            crate::extension::Nowhere.control(extension, action, parameters)
        }

        fn mark(&self) -> usize {
            0
        }

        fn forget_since(&self, _mark: usize) {}

        fn stored(&self, extension: &str, key: &str) -> Result<Stored, String> {
            assert_eq!(extension, "it");
            match (key, self.0.get(key)) {
                ("broken", _) => Err("the disk is broken".into()),
                (_, Some(value)) => Ok(Stored { value: Some(value.to_vec()), version: 3 }),
                (_, None) => Ok(Stored::default()),
            }
        }

        fn stored_keys(&self, _extension: &str, prefix: &str, most: usize) -> Result<Vec<String>, String> {
            let keys = self.0.keys().filter(|key| key.starts_with(prefix)).take(most);
            Ok(keys.map(|key| (*key).to_owned()).collect())
        }
    }

    fn it() -> Importer {
        Importer { name: "it".into(), index: 0, grants: Grants::ALONE, wasi: Arc::default(), config: Arc::default() }
    }

    fn with_state<T>(effects: &mut Effects, ask: impl FnOnce(&mut State<'_>) -> T) -> T {
        let stored = Map(BTreeMap::from([("a/1", &b"one"[..]), ("a/2", b"two"), ("b", b"three")]));
        ask(&mut State { surroundings: &stored, effects })
    }

    fn key(key: &str) -> StateKey {
        StateKey { extension: "it".into(), key: key.into() }
    }

    #[test]
    fn what_is_read_is_noted_with_its_version_and_what_is_written_is_seen() {
        let mut effects = Effects::default();
        with_state(&mut effects, |state| {
            assert_eq!(state.get(&it(), "a/1".into()), Ok(Some(b"one".to_vec())));
            assert_eq!(state.get(&it(), "none".into()), Ok(None));
            assert_eq!(state.write(&it(), "b".into(), Some(b"new".to_vec())), Ok(()));
            assert_eq!(state.get(&it(), "b".into()), Ok(Some(b"new".to_vec())));
            assert_eq!(state.write(&it(), "b".into(), None), Ok(()));
            assert_eq!(state.get(&it(), "b".into()), Ok(None));
        });
        assert_eq!(effects.read, BTreeMap::from([(key("a/1"), 3), (key("none"), 0)]));
        assert_eq!(effects.written, BTreeMap::from([(key("b"), None)]));
    }

    #[test]
    fn keys_are_listed_with_what_the_attempt_has_changed() {
        let mut effects = Effects::default();
        effects.written.insert(StateKey { extension: "other".into(), key: "a/0".into() }, Some(vec![]));
        with_state(&mut effects, |state| {
            state.write(&it(), "a/3".into(), Some(vec![])).unwrap();
            state.write(&it(), "a/1".into(), None).unwrap();
            assert_eq!(state.keys(&it(), "a/"), Ok(vec!["a/2".to_owned(), "a/3".to_owned()]));
            assert_eq!(state.keys(&it(), "").map(|keys| keys.len()), Ok(3));
            assert_eq!(state.keys(&it(), &"x".repeat(201)), Ok(vec![]));
        });
        assert_eq!(effects.read, BTreeMap::new());
    }

    #[test]
    fn keys_and_values_have_limits() {
        let code = |refused: Refused| refused.code().to_owned();
        with_state(&mut Effects::default(), |state| {
            for bad in [String::new(), "x".repeat(201)] {
                assert_eq!(state.get(&it(), bad.clone()).map_err(code), Err("invalid-key".into()));
                assert_eq!(state.write(&it(), bad, None).map_err(code), Err("invalid-key".into()));
            }
            assert_eq!(state.write(&it(), "x".repeat(200), Some(vec![0; 1 << 20])), Ok(()));
            let too_big = state.write(&it(), "k".into(), Some(vec![0; (1 << 20) + 1]));
            assert_eq!(too_big.map_err(code), Err("resource-limit".into()));
            for number in 1..16 {
                state.write(&it(), number.to_string(), Some(vec![0; 1 << 20])).unwrap();
            }
            assert_eq!(state.write(&it(), "k".into(), Some(vec![0])).map_err(code), Err("resource-limit".into()));
            // In the place of another value there is room.
            assert_eq!(state.write(&it(), "1".into(), Some(vec![0])), Ok(()));
            assert_eq!(state.get(&it(), "broken".into()).map_err(code), Err("unavailable".into()));
        });
    }

    #[test]
    fn the_keys_of_an_attempt_have_an_end() {
        let mut effects = Effects::default();
        let numbered = |number: usize| key(&format!("k{number}"));
        effects.read = (0..KEYS).map(|number| (numbered(number), 0)).collect();
        effects.written = (0..KEYS).map(|number| (numbered(number + KEYS), None)).collect();
        with_state(&mut effects, |state| {
            assert!(state.get(&it(), "one-more".into()).is_err());
            assert!(state.get(&it(), "k1".into()).is_ok());
            assert!(state.write(&it(), "one-more".into(), None).is_err());
            assert!(state.write(&it(), numbered(KEYS).key, Some(vec![1])).is_ok());
        });
    }
}
