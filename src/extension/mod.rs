//! WebAssembly extensions: components in a folder that handle messages.
//!
//! Each message runs in a fresh instance with a deadline and a memory limit. What it answers, and every way in which it can misbehave, comes
//! back as a [`Handled`]; an extension can harm the attempt it is in, and nothing else.
//!
//! Absent on purpose: the bus (an extension publishes nothing), which messages go where, and how many run at a time.
//!
//! | file | what it is |
//! | --- | --- |
//! | `package` | an extension as a file: name, hash, what it says about itself |
//! | `guest` | compiled, linked, ready to run |
//! | `call` | what goes into a call, what is made of its end |
//! | `effects` | what an attempt would change, collected for its commit |
//! | `surroundings`, `console` | what a running attempt may ask of whoever runs it |
//! | `configuration` | how each extension is run: what the settings say |
//! | `tenant` | what the host knows while guest code runs |
//! | `host` | the interfaces that an extension can import, each with its grant |
//! | `value` | values of component functions as JSON text |
//! | `engine`, `limits` | the sandbox: stores, deadlines, memory |
//! | [`analysis`] | what a component offers and needs, from its bytes |
//! | [`graph`] | who provides which interface to whom. Pure |
//! | [`lock_file`], `hash` | what is installed, as it was found when it was installed |
//! | [`install`] | installing, replacing and removing, whole or not at all |
//! | [`cache`] | compiled code, kept for the next start |

pub mod analysis;
pub mod cache;
mod call;
mod configuration;
mod console;
mod effects;
mod engine;
pub mod graph;
mod guest;
mod hash;
mod host;
pub mod install;
mod limits;
pub mod lock_file;
mod package;
mod surroundings;
mod tenant;
mod value;

use std::collections::BTreeMap;
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
pub use package::{About, Broken, COMPONENT_BYTES, Package};
pub use surroundings::{Nowhere, Stored, Surroundings};

use crate::message::{Code, Failure, Handled, Retry};
use engine::Sandbox;
use guest::Guest;

/// A set of extensions that are ready to handle messages. It never changes: another set of files makes another host, and what runs in
/// this one ends in this one.
pub struct ExtensionHost {
    extensions: BTreeMap<String, Extension>,
}

struct Extension {
    package: Package,
    guest: Guest,
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
        ExtensionHost { extensions: BTreeMap::new() }
    }

    /// Reads, compiles and checks every `*.wasm` of a folder. A file that cannot be used is named and set aside. With no such file, or no
    /// such folder, no engine is built.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its timer enabled.
    pub async fn load(folder: &Path, limits: &Limits) -> Result<(ExtensionHost, Vec<Broken>), LoadError> {
        let files = package::files(folder).map_err(|source| LoadError::Folder { path: folder.to_owned(), source })?;
        let (mut host, mut broken) = (ExtensionHost::empty(), Vec::new());
        if files.is_empty() {
            return Ok((host, broken));
        }
        let sandbox = Arc::new(Sandbox::new(limits.clone()).map_err(LoadError::Engine)?);
        for path in files {
            match Extension::load(&sandbox, &path).await {
                Ok(extension) => {
                    host.extensions.insert(extension.package.name.clone(), extension);
                }
                Err(reason) => broken.push(Broken { name: package::shown_name(&path), path, reason }),
            }
        }
        Ok((host, broken))
    }

    /// Every extension, by name.
    pub fn packages(&self) -> impl Iterator<Item = &Package> {
        self.extensions.values().map(|extension| &extension.package)
    }

    /// The extension of this name.
    pub fn package(&self, name: &str) -> Option<&Package> {
        self.extensions.get(name).map(|extension| &extension.package)
    }

    /// One attempt of the named extension at a message, in a fresh instance. Dropping the future ends the attempt at once.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its timer enabled.
    pub async fn handle(&self, name: &str, call: Call<'_>, surroundings: Arc<dyn Surroundings>) -> Attempted {
        let Some(extension) = self.extensions.get(name) else {
            let handled = Handled::Failed(Failure {
                code: Code::UnknownRecipient,
                message: format!("no extension `{name}` is installed"),
                details: None,
                retry: Retry::Final,
            });
            return Attempted { handled, effects: Effects::default(), log: Vec::new() };
        };
        extension.guest.handle(&call, surroundings).await
    }
}

impl Extension {
    async fn load(sandbox: &Arc<Sandbox>, path: &Path) -> Result<Extension, String> {
        let name = package::name(path)?;
        let (of_thread, file) = (sandbox.clone(), path.to_owned());
        let prepared = tokio::task::spawn_blocking(move || {
            let bytes = package::read(&file)?;
            Ok((package::sha256(&bytes), Guest::prepare(&of_thread, &bytes)?))
        });
        let (sha256, guest) = prepared.await.unwrap_or_else(|error| {
            Err(format!("it makes the compiler fail ({error}); this is a fault of postroom or wasmtime"))
        })?;
        let about = guest.about().await?;
        Ok(Extension { package: Package { name, path: path.to_owned(), sha256, about }, guest })
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
