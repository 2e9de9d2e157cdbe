//! Compiled code of components, kept for the next start. Compiling takes seconds for a big guest, loading what was compiled a few
//! milliseconds.
//!
//! It lies outside of every bus, in the cache folder of the user, because loading it runs it: who can write there can run code as this user.
//! It may be deleted at any time; what is missing is compiled again.
//!
//! Absent on purpose: being needed. Where the folder cannot be used, code is compiled in memory and everything works, slower.
//!
//! Invariant: no byte of a file reaches the engine before the folder and the file are known to be ours alone, and the file's own hash, the
//! component's hash and the engine's are the ones that belong together.

mod entry;
mod place;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};

use wasmtime::Engine;
use wasmtime::component::Component;

use entry::Key;
use place::Place;

/// Names a folder to use in place of the user's own; the code is in `compiled/` in it.
pub const FOLDER_VARIABLE: &str = "POSTROOM_CACHE";

/// All files together, in bytes. A Python guest has 35 MB of machine code, a JavaScript guest 5, a Rust guest 0.1.
const TOTAL_BYTES: u64 = 1 << 30;

/// Compiled code in a folder, or nowhere.
#[derive(Debug)]
pub struct Cache {
    place: Result<Place, CacheTrouble>,
    total_bytes: u64,
}

/// Why there is no folder for compiled code. Everything works without; each start compiles anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheTrouble {
    pub folder: PathBuf,
    /// What is wrong, for a person.
    pub reason: String,
    /// What can be done.
    pub hint: String,
}

/// Where the machine code of a component came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From the cache.
    Loaded,
    /// It was not there; now it is.
    Compiled,
    /// What was there could not be trusted, for this reason, and has been replaced.
    Rebuilt(String),
    /// Compiled, and not kept, for this reason.
    Unkept(String),
}

impl Cache {
    /// The cache of this user: in the folder that [`FOLDER_VARIABLE`] names, or where the system keeps caches (`~/.cache/postroom`).
    pub fn of_user() -> Cache {
        if let Some(named) = std::env::var_os(FOLDER_VARIABLE).filter(|named| !named.is_empty()) {
            return Cache::open(&PathBuf::from(named).join("compiled"));
        }
        use etcetera::BaseStrategy as _;
        match etcetera::choose_base_strategy() {
            Ok(places) => Cache::open(&places.cache_dir().join("postroom").join("compiled")),
            Err(_) => Cache::without(CacheTrouble {
                folder: PathBuf::from("~/.cache/postroom/compiled"),
                reason: "this user has no home folder".into(),
                hint: format!("set HOME, or name a folder with {FOLDER_VARIABLE}"),
            }),
        }
    }

    /// The cache in this folder, which is made if it is not there. Where it cannot be used, see [`Cache::trouble`].
    pub fn open(folder: &Path) -> Cache {
        Cache { place: Place::open(folder), total_bytes: TOTAL_BYTES }
    }

    fn without(trouble: CacheTrouble) -> Cache {
        Cache { place: Err(trouble), total_bytes: TOTAL_BYTES }
    }

    #[cfg(test)]
    fn bounded(mut self, total_bytes: u64) -> Cache {
        self.total_bytes = total_bytes;
        self
    }

    /// Why nothing is kept, if so.
    pub fn trouble(&self) -> Option<&CacheTrouble> {
        self.place.as_ref().err()
    }

    /// Is there a file for the machine code of this component? It may still turn out to be of no use.
    pub fn has(&self, engine: &Engine, sha256: &[u8; 32]) -> bool {
        self.place.as_ref().is_ok_and(|place| place.has(&Key::of(sha256, engine).file_name()))
    }

    /// The machine code of a component: from the cache, or compiled and kept there. `sha256` must be that of `bytes`. Takes seconds of CPU
    /// for big guests that are not in the cache: not for an async thread.
    pub fn component(&self, engine: &Engine, sha256: &[u8; 32], bytes: &[u8]) -> wasmtime::Result<Component> {
        self.obtain(engine, sha256, bytes).map(|(component, _)| component)
    }

    /// [`Cache::component`], and where it came from.
    pub fn obtain(&self, engine: &Engine, sha256: &[u8; 32], bytes: &[u8]) -> wasmtime::Result<(Component, Origin)> {
        let compile = || Component::from_binary(engine, bytes);
        let place = match &self.place {
            Ok(place) => place,
            Err(trouble) => return Ok((compile()?, Origin::Unkept(trouble.to_string()))),
        };
        let key = Key::of(sha256, engine);
        let distrusted = match place.read(&key.file_name()) {
            Ok(None) => None,
            Ok(Some(file)) => match load(engine, &key, &file) {
                Ok(component) => {
                    place.mark_used(&key.file_name());
                    return Ok((component, Origin::Loaded));
                }
                Err(reason) => Some(reason),
            },
            Err(reason) => Some(reason),
        };
        let component = compile()?;
        let kept = component
            .serialize()
            .map_err(|error| format!("the engine cannot write it: {error}"))
            .and_then(|code| place.write(&key.file_name(), &key.header(&code), &code))
            .and_then(|()| place.shrink(self.total_bytes));
        let origin = match (kept, distrusted) {
            (Err(reason), _) => Origin::Unkept(reason),
            (Ok(()), Some(reason)) => Origin::Rebuilt(reason),
            (Ok(()), None) => Origin::Compiled,
        };
        Ok((component, origin))
    }
}

/// Makes a component of a file that was found under this key, or says why not.
fn load(engine: &Engine, key: &Key, file: &[u8]) -> Result<Component, String> {
    let code = key.code_in(file)?;
    // SAFETY: what is deserialised must have been serialised by an engine like this one, unchanged. The folder and the file are this user's
    // alone (`Place`), and the header that stood before the code has been compared: our magic, the hash of this engine's settings and
    // version, the hash of the component, and the hash of the code itself.
    unsafe { Component::deserialize(engine, code) }.map_err(|error| format!("the engine refuses it: {error}"))
}

impl fmt::Display for CacheTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "compiled code is not kept in {}: {}", self.folder.display(), self.reason)
    }
}

impl std::error::Error for CacheTrouble {}
