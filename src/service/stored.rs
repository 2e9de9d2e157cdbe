//! What extensions keep, as running attempts see it and as commits change it.
//!
//! A value counts from the moment in which the message that wrote it is decided in memory: whoever reads it can only commit behind that
//! message, in the same log. So it is read from here until it is published, and from its file after that.
//!
//! Absent on purpose: the values of an attempt that is still running; the attempt keeps those itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::bus::layout;
use crate::bus::record::{Effect, Target};
use crate::bus::state::{self, Found, Value};
use crate::bus::{Disk, DiskError};
use crate::extension::{StateKey, Stored};

/// Shared by the service and by every attempt that runs.
#[derive(Debug)]
pub struct StateStore {
    disk: Arc<Disk>,
    /// Decided and not yet published.
    decided: Mutex<HashMap<StateKey, Stored>>,
}

/// Why a stored value cannot be had.
#[derive(Debug)]
pub enum Unreadable {
    Disk {
        key: StateKey,
        error: DiskError,
    },
    /// Its file was damaged, or written by a later program. Nothing is written over it.
    Damaged {
        file: std::path::PathBuf,
    },
}

impl StateStore {
    pub fn new(disk: Arc<Disk>) -> StateStore {
        StateStore { disk, decided: Mutex::default() }
    }

    fn decided(&self) -> MutexGuard<'_, HashMap<StateKey, Stored>> {
        // A panic while it was held cannot leave it half changed: each change is one call.
        self.decided.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value of a key and its version.
    pub fn get(&self, key: &StateKey) -> Result<Stored, Unreadable> {
        if let Some(stored) = self.decided().get(key) {
            return Ok(stored.clone());
        }
        let read = state::read(&self.disk, &key.extension, &key.key);
        match read.map_err(|error| Unreadable::Disk { key: key.clone(), error })? {
            Found::Nothing => Ok(Stored::default()),
            Found::Value(Value { value, version, .. }) => Ok(Stored { value, version }),
            Found::Damaged => {
                let file = layout::state_folder(&key.extension).join(layout::state_name(&key.key));
                Err(Unreadable::Damaged { file })
            }
        }
    }

    /// The keys of an extension that begin with `prefix` and have a value, in byte order, at most `most`.
    pub fn keys(&self, extension: &str, prefix: &str, most: usize) -> Result<Vec<String>, DiskError> {
        // First: what is published meanwhile is then seen twice, and not missed.
        let decided: Vec<(String, bool)> = {
            let decided = self.decided();
            let own = decided.iter().filter(|(key, _)| key.extension == extension && key.key.starts_with(prefix));
            own.map(|(key, stored)| (key.key.clone(), stored.value.is_some())).collect()
        };
        let mut keys = BTreeSet::new();
        state::each_key(&self.disk, extension, prefix, &mut |key| {
            keys.insert(key);
        })?;
        for (key, has_value) in decided {
            if has_value {
                keys.insert(key)
            } else {
                keys.remove(&key)
            };
        }
        Ok(keys.into_iter().take(most).collect())
    }

    /// The first of these keys that has been changed since it was read in this version.
    pub fn changed_since(&self, read: &BTreeMap<StateKey, u64>) -> Result<Option<StateKey>, Unreadable> {
        for (key, version) in read {
            if self.get(key)?.version != *version {
                return Ok(Some(key.clone()));
            }
        }
        Ok(None)
    }

    /// The same values as they stand in a record: each key with its next version.
    pub fn next(&self, written: &BTreeMap<StateKey, Option<Vec<u8>>>) -> Result<Vec<(StateKey, Stored)>, Unreadable> {
        let next = |(key, value): (&StateKey, &Option<Vec<u8>>)| {
            let version = self.get(key)?.version + 1;
            Ok((key.clone(), Stored { value: value.clone(), version }))
        };
        written.iter().map(next).collect()
    }

    /// These are decided: from now on they are what is stored.
    pub fn decide(&self, values: Vec<(StateKey, Stored)>) {
        self.decided().extend(values);
    }

    /// These effects are published: their values are in their files.
    pub fn published(&self, effects: &[Effect]) {
        if effects.iter().all(|effect| !matches!(effect.to, Target::State { .. })) {
            return;
        }
        let is_there = |key: &StateKey, stored: &Stored| {
            effects.iter().any(|effect| match &effect.to {
                Target::State { extension, name, version } => {
                    *version == stored.version && *extension == key.extension && *name == layout::state_name(&key.key)
                }
                Target::Inbox { .. }
                | Target::Room { .. }
                | Target::Why { .. }
                | Target::Agent { .. }
                | Target::AgentGone { .. } => false,
            })
        };
        self.decided().retain(|key, stored| !is_there(key, stored));
    }
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unreadable::Disk { error, .. } => error.fmt(f),
            Unreadable::Damaged { file } => {
                write!(
                    f,
                    "the stored value {} cannot be understood; move that file away to go on without it",
                    file.display()
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: &str) -> StateKey {
        StateKey { extension: "counter".into(), key: key.into() }
    }

    fn store() -> (tempfile::TempDir, StateStore) {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = Disk::open(folder.path()).expect("it is there");
        (folder, StateStore::new(Arc::new(disk)))
    }

    fn put(folder: &tempfile::TempDir, of: &StateKey, bytes: &[u8]) {
        let path = folder.path().join(layout::state_folder(&of.extension));
        std::fs::create_dir_all(&path).expect("a folder");
        std::fs::write(path.join(layout::state_name(&of.key)), bytes).expect("written");
    }

    fn value(of: &StateKey, version: u64, value: Option<&str>) -> Value {
        let value = value.map(|text| text.as_bytes().to_vec());
        Value { key: of.key.clone(), version, ticket: "t".into(), attempt: 1, at: 0, value }
    }

    fn effect(of: &StateKey, version: u64) -> Effect {
        let to = Target::State { extension: of.extension.clone(), name: layout::state_name(&of.key), version };
        Effect::whole(to, Vec::new())
    }

    #[test]
    fn what_is_decided_is_seen_before_it_is_published_and_conflicts_with_older_reads() {
        let (folder, store) = store();
        put(&folder, &key("a"), &value(&key("a"), 4, Some("old")).encode());
        let read = BTreeMap::from([(key("a"), 4), (key("b"), 0)]);
        assert_eq!(store.changed_since(&read).expect("readable"), None);
        let written = BTreeMap::from([(key("a"), None), (key("b"), Some(b"new".to_vec()))]);
        let next = store.next(&written).expect("readable");
        assert_eq!(next.iter().map(|(_, stored)| stored.version).collect::<Vec<_>>(), [5, 1]);
        store.decide(next);
        assert_eq!(store.get(&key("b")).expect("readable").value, Some(b"new".to_vec()));
        assert_eq!(store.changed_since(&read).expect("readable"), Some(key("a")));
        assert_eq!(store.keys("counter", "", 9).expect("readable"), ["b"]);
        // A later value of the same key stays when the earlier one is published.
        store.decide(store.next(&written).expect("readable"));
        store.published(&[effect(&key("a"), 5), effect(&key("b"), 2)]);
        assert_eq!(store.get(&key("a")).expect("readable").version, 6);
        assert_eq!(store.get(&key("b")).expect("readable"), Stored::default(), "its file is what counts now");
    }

    #[test]
    fn keys_are_those_with_a_value_and_the_prefix_in_order() {
        let (folder, store) = store();
        let long = format!("b{}", "Ä".repeat(99));
        for (name, text) in [("b/2", Some("x")), ("b/1", Some("")), ("a", Some("x")), ("b/3", None), (&long, Some("x"))]
        {
            put(&folder, &key(name), &value(&key(name), 1, text).encode());
        }
        assert_eq!(store.keys("counter", "b", 9).expect("readable"), ["b/1", "b/2", &*long]);
        assert_eq!(store.keys("counter", "b/", 1).expect("readable"), ["b/1"]);
        assert_eq!(store.keys("other", "", 9).expect("readable"), [""; 0]);
    }

    #[test]
    fn a_damaged_value_is_an_error_and_no_absent_one() {
        let (folder, store) = store();
        put(&folder, &key("a"), b"{\"v\":1");
        assert!(matches!(store.get(&key("a")), Err(Unreadable::Damaged { .. })));
    }
}
