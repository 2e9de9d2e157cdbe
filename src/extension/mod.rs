//! WebAssembly extensions: components in a folder that handle messages.
//!
//! They find each other by the interfaces that they import and export. Each message runs in fresh instances with a deadline and a memory
//! limit. What it answers, and every way in which it can misbehave, comes
//! back as a [`Handled`](crate::message::Handled); an extension can harm the attempt it is in, and nothing else.
//!
//! Absent on purpose: the bus (an extension publishes nothing), which messages go where, and how many run at a time.
//!
//! | file | what it is |
//! | --- | --- |
//! | `package` | an extension as a file: name, hash, what it says about itself |
//! | `load`, `set` | from a folder of files to extensions that work together |
//! | `link` | calls between extensions |
//! | `attempt`, `reuse` | what the service asks of an extension, and instances that are asked more than once |
//! | `call` | what goes into a call, what is made of its end |
//! | `effects` | what an attempt would change, collected for its commit |
//! | `surroundings`, `console` | what a running attempt may ask of whoever runs it |
//! | `configuration` | how each extension is run: what the settings say |
//! | `tenant`, `trail` | what the host knows while guest code runs; who is calling whom |
//! | `host` | the interfaces that an extension can import, each with its grant |
//! | `value` | values of component functions as JSON text |
//! | `engine`, `stores`, `limits` | the sandbox: stores, deadlines, memory |
//! | [`analysis`] | what a component offers and needs, from its bytes |
//! | [`graph`] | who provides which interface to whom. Pure |
//! | [`lock_file`], `hash` | what is installed, as it was found when it was installed |
//! | [`install`] | installing, replacing and removing, whole or not at all |
//! | [`cache`] | compiled code, kept for the next start |

pub mod analysis;
mod attempt;
pub mod cache;
mod call;
mod configuration;
mod console;
mod effects;
mod engine;
pub mod graph;
mod hash;
mod host;
pub mod install;
mod limits;
mod link;
mod load;
pub mod lock_file;
mod package;
mod reuse;
mod set;
mod stores;
mod surroundings;
mod tenant;
mod trail;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use call::{Call, ErrorReply, Message, Trust};
pub use configuration::{Configuration, Lifetime, Terms};
pub use console::Console;
pub use effects::{Attempted, Effects, Level, LogLine, Savepoint, Sent, StateKey};
pub use hash::{ComponentHash, NoHash};
pub use limits::Limits;
pub use load::Facts;
pub use package::{About, Broken, COMPONENT_BYTES, Command, Package};
pub use reuse::Reusable;
pub use surroundings::{Nowhere, Stored, Surroundings};

use crate::message::{Code, Failure, Retry};
use engine::Sandbox;
use reuse::Pool;
use set::{Set, Unit};

/// A set of extensions that are ready to handle messages. It never changes: another set of files makes another host, and what runs in
/// this one ends in this one.
pub struct ExtensionHost {
    /// None without any extension.
    set: Option<Arc<Set>>,
    extensions: BTreeMap<String, Extension>,
    may_come: BTreeSet<String>,
}

struct Extension {
    package: Package,
    unit: Arc<Unit>,
    pool: Arc<Pool>,
}

/// Why there is no set of extensions at all. A single bad file is a [`Broken`] instead.
#[derive(Debug)]
pub enum LoadError {
    /// The folder is there and cannot be listed.
    Folder { path: PathBuf, source: io::Error },
    /// This system cannot run WebAssembly.
    Engine(wasmtime::Error),
}

/// Is there any `*.wasm` in this folder? Without one nothing of WebAssembly needs to be started.
pub fn any_in(folder: &Path) -> bool {
    package::files(folder).map_or(true, |files| !files.is_empty())
}

impl ExtensionHost {
    /// A host without extensions. Costs nothing.
    pub fn empty() -> ExtensionHost {
        ExtensionHost { set: None, extensions: BTreeMap::new(), may_come: BTreeSet::new() }
    }

    /// Reads, checks, compiles and links every `*.wasm` of a folder, and calls the `init` of each. What cannot be used is named and set
    /// aside. With no such file, or no such folder, no engine is built.
    ///
    /// # Errors
    /// The folder cannot be listed, or this system cannot run WebAssembly.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its timer enabled.
    pub async fn load(folder: &Path, configuration: &Configuration) -> Result<(ExtensionHost, Vec<Broken>), LoadError> {
        ExtensionHost::load_known(folder, configuration, &|_| None).await
    }

    /// The same, where `known` may say what is known of a file as it is now: such a file is read, compared with its hash and compiled only
    /// when it is first used.
    ///
    /// # Errors
    /// Those of [`ExtensionHost::load`].
    ///
    /// # Panics
    /// Outside of a tokio runtime with its timer enabled.
    pub async fn load_known(
        folder: &Path,
        configuration: &Configuration,
        known: &(dyn Fn(&Path) -> Option<Facts> + Sync),
    ) -> Result<(ExtensionHost, Vec<Broken>), LoadError> {
        let files = package::files(folder).map_err(|source| LoadError::Folder { path: folder.to_owned(), source })?;
        ExtensionHost::load_files(files, configuration, known).await
    }

    /// The same for these files alone, in the order of their names.
    ///
    /// # Errors
    /// This system cannot run WebAssembly.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its timer enabled.
    pub async fn load_files(
        files: Vec<PathBuf>,
        configuration: &Configuration,
        known: &(dyn Fn(&Path) -> Option<Facts> + Sync),
    ) -> Result<(ExtensionHost, Vec<Broken>), LoadError> {
        if files.is_empty() {
            return Ok((ExtensionHost::empty(), Vec::new()));
        }
        let sandbox = Arc::new(Sandbox::new().map_err(LoadError::Engine)?);
        let loaded = load::load(sandbox, files, configuration, known).await;
        let extension = |(unit, about, command): (Arc<Unit>, About, Option<Command>)| {
            let name = unit.name().to_owned();
            let package = Package { name: name.clone(), path: unit.path.clone(), sha256: unit.sha256, about, command };
            (name, Extension { package, unit, pool: Arc::default() })
        };
        let extensions = loaded.said.into_iter().map(extension).collect();
        let host = ExtensionHost { set: Some(loaded.set), extensions, may_come: loaded.may_pass };
        Ok((host, loaded.broken))
    }

    /// Every extension, by name.
    pub fn packages(&self) -> impl Iterator<Item = &Package> {
        self.extensions.values().map(|extension| &extension.package)
    }

    /// The extension of this name.
    pub fn package(&self, name: &str) -> Option<&Package> {
        self.extensions.get(name).map(|extension| &extension.package)
    }

    /// Who was set aside for a reason that may go away by itself, such as too many open files or an `init` that asks for another try.
    pub fn may_come(&self) -> &BTreeSet<String> {
        &self.may_come
    }

    /// Compiles what nobody has compiled yet, so that no message has to wait for it: the cache was emptied, say, or postroom is another
    /// version. What does not compile is found out again, and told, when a message needs it.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn compile_missing(&self) {
        let Some(set) = &self.set else { return };
        for unit in set.units().filter(|unit| unit.is_uncompiled(&set.sandbox)) {
            set.sandbox.note_missing_code(unit.name());
            let _ = unit.prepared(&set.sandbox).await;
        }
    }

    /// What was to be said about compiled code so far: what was in the cache and could not be trusted, and what could not be kept.
    pub fn cache_notes(&self) -> Vec<String> {
        self.set.as_ref().map_or_else(Vec::new, |set| set.sandbox.cache_notes())
    }

    /// What is known of the extension of this name, for [`ExtensionHost::load_known`] another time.
    pub fn facts(&self, name: &str) -> Option<Facts> {
        let Extension { package, unit, .. } = self.extensions.get(name)?;
        Some(Facts {
            sha256: package.sha256,
            analysis: unit.analysis.clone(),
            about: package.about.clone(),
            command: package.command.clone(),
        })
    }

    /// One attempt of the named extension at a message. Dropping the future ends the attempt at once.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its timer enabled.
    pub async fn handle(&self, name: &str, call: Call<'_>, surroundings: Arc<dyn Surroundings>) -> Attempted {
        match (&self.set, self.extensions.get(name)) {
            (Some(set), Some(Extension { unit, pool, .. })) => {
                attempt::handle(set, unit, pool, &call, surroundings).await
            }
            (None, _) | (_, None) => Attempted::failed(unknown(name)),
        }
    }

    /// Runs the subcommand of the named extension, and returns its exit code.
    ///
    /// # Errors
    /// There is none, or it was ended.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its timer enabled.
    pub async fn command(&self, name: &str, arguments: Vec<String>, console: Arc<dyn Console>) -> Result<u8, Failure> {
        let (Some(set), Some(extension)) = (&self.set, self.extensions.get(name)) else { return Err(unknown(name)) };
        let none = || Failure {
            code: Code::UnknownRecipient,
            message: format!("`{name}` has no subcommand"),
            details: None,
            retry: Retry::Final,
        };
        attempt::command(set, &extension.unit, arguments, console).await.ok_or_else(none)?
    }
}

fn unknown(name: &str) -> Failure {
    Failure {
        code: Code::UnknownRecipient,
        message: format!("no extension `{name}` is installed"),
        details: None,
        retry: Retry::Final,
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Folder { path, source } => write!(f, "listing the extensions in {}: {source}", path.display()),
            LoadError::Engine(source) => write!(f, "starting the WebAssembly engine: {source:#}"),
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LoadError::Folder { source, .. } => Some(source),
            LoadError::Engine(source) => Some(source.as_ref()),
        }
    }
}
