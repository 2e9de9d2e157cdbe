//! The extensions folder while the service runs: a complete `.wasm` that appears, changes or goes makes a new set of extensions, which is
//! loaded beside the line and then takes the place of the old one. So does another `postroom.toml`, of which only what concerns extensions
//! is read again: what is installed with its grants must not need a restart for those.
//!
//! Complete is what the drop calls so: nobody has it open for writing; where the system cannot tell, it has not changed for the grace time.
//! Hidden names are no extensions.
//!
//! Absent on purpose: what becomes of messages in hand. They run in the set that they began in, which lives as long as one of them does.

mod places;

use std::cell::RefCell;
use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::runtime::{Builder, Handle, Runtime};

use super::notice::Notice;
use super::wake::{Wake, Waker};
use crate::bus::claim::{self, Writers};
use crate::extension::install::load_installed;
use crate::extension::{Broken, Configuration, ExtensionHost, LoadError};
use crate::message::AgentId;
use places::{Files, State, state};

pub use places::Places;

/// Says something to whoever runs the service.
type Say<'a> = &'a dyn Fn(&Notice);

/// The set of extensions that counts now, and the folder it comes from.
pub struct Installed {
    places: Places,
    grace: Duration,
    wake: Waker,
    inner: RefCell<Inner>,
}

struct Inner {
    host: Arc<ExtensionHost>,
    configuration: Configuration,
    /// Made when there is the first extension.
    runtime: Option<Runtime>,
    /// The folder as it was when the set that counts, or is being loaded, was read.
    taken: Files,
    loading: Option<JoinHandle<Result<Loaded, LoadError>>>,
    /// A state of the folder that may not be complete yet, and since when it has been so.
    incomplete: Option<(Files, Instant)>,
    /// Broken files that were named already.
    named: HashSet<(PathBuf, Option<State>)>,
    /// What was said already about compiled code. It is used and missed at any time, when an extension is needed first.
    said_of_code: HashSet<String>,
    watcher: Option<RecommendedWatcher>,
}

/// A set, the files that cannot be used, and what it was loaded with.
struct Loaded {
    host: ExtensionHost,
    broken: Vec<Broken>,
    configuration: Configuration,
    /// Why the settings could not be read again: those that counted before still do.
    unread: Option<String>,
}

impl Installed {
    pub fn new(places: Places, configuration: Configuration, grace: Duration, wake: Waker) -> Installed {
        let inner = Inner {
            host: Arc::new(ExtensionHost::empty()),
            configuration,
            runtime: None,
            taken: Files::default(),
            loading: None,
            incomplete: None,
            named: HashSet::new(),
            said_of_code: HashSet::new(),
            watcher: None,
        };
        Installed { places, grace, wake, inner: RefCell::new(inner) }
    }

    /// How many messages this extension handles at a time.
    pub fn concurrency(&self, extension: &str) -> usize {
        self.inner.borrow().configuration.terms(extension).concurrency
    }

    /// The set that counts, and what its handlers run on; there is nothing to run on before the first extension.
    pub fn current(&self) -> (Arc<ExtensionHost>, Option<Handle>) {
        let inner = self.inner.borrow();
        (inner.host.clone(), inner.runtime.as_ref().map(|runtime| runtime.handle().clone()))
    }

    /// Loads what is there when the service starts, and waits for it.
    pub fn load_now(&self, say: Say<'_>) {
        let mut inner = self.inner.borrow_mut();
        inner.taken = self.places.files();
        if inner.taken.extensions.is_empty() {
            return;
        }
        let Some(handle) = inner.handle(say) else { return };
        let loaded = handle.block_on(load(&self.places.folder, inner.configuration.clone()));
        inner.take(loaded, say);
    }

    /// Looks at the folder. `true`: another set counts from now on (see [`Installed::current`]).
    pub fn look(&self, say: Say<'_>) -> bool {
        let mut inner = self.inner.borrow_mut();
        inner.watch(&self.places.folder, &self.wake);
        inner.tell_of_code(say);
        if let Some(loading) = inner.loading.take_if(|loading| loading.is_finished()) {
            return match loading.join() {
                Ok(loaded) => {
                    let is_new = inner.take(loaded, say);
                    if is_new {
                        say(&Notice::Extensions { names: inner.names() });
                    }
                    // What has changed meanwhile is looked at next.
                    self.wake.wake(Wake::Extensions);
                    is_new
                }
                Err(_) => {
                    say(&Notice::Trouble { what: "loading the extensions failed".into() });
                    false
                }
            };
        }
        if inner.loading.is_some() {
            return false;
        }
        let found = self.places.files();
        if found == inner.taken {
            inner.incomplete = None;
            return false;
        }
        if !inner.is_complete(&self.places, &found, self.grace) {
            return false;
        }
        let before = std::mem::replace(&mut inner.taken, found);
        if inner.taken.extensions.is_empty() {
            if before.extensions.is_empty() {
                return false;
            }
            inner.host = Arc::new(ExtensionHost::empty());
            say(&Notice::Extensions { names: Vec::new() });
            return true;
        }
        let Some(handle) = inner.handle(say) else { return false };
        inner.loading = self.load_beside(handle, inner.configuration.clone(), say);
        false
    }

    /// Is another set being loaded?
    pub fn is_loading(&self) -> bool {
        self.inner.borrow().loading.is_some()
    }

    /// Is there a file of this extension that is not yet in the set that counts?
    pub fn is_coming(&self, extension: &AgentId) -> bool {
        let inner = self.inner.borrow();
        let name = OsString::from(format!("{extension}.wasm"));
        let found = state(&self.places.folder.join(&name));
        found.is_some() && (inner.loading.is_some() || inner.taken.extensions.get(&name) != found.as_ref())
    }

    fn load_beside(
        &self,
        handle: Handle,
        configuration: Configuration,
        say: Say<'_>,
    ) -> Option<JoinHandle<Result<Loaded, LoadError>>> {
        let (places, wake) = (self.places.clone(), self.wake.clone());
        let run = move || {
            let (configuration, unread) = match places.read_settings() {
                Ok(read) => (read.unwrap_or(configuration), None),
                Err(why) => (configuration, Some(why)),
            };
            let loaded = handle.block_on(load(&places.folder, configuration));
            // Only a hint; the next scan looks, too.
            wake.wake(Wake::Extensions);
            loaded.map(|loaded| Loaded { unread, ..loaded })
        };
        match std::thread::Builder::new().name("postroom-extensions".into()).spawn(run) {
            Ok(thread) => Some(thread),
            Err(error) => {
                say(&Notice::Trouble { what: format!("cannot load the extensions: {error}") });
                None
            }
        }
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        let inner = self.inner.get_mut();
        let Some(runtime) = inner.runtime.take() else { return };
        if inner.loading.as_ref().is_some_and(|loading| !loading.is_finished()) {
            // The thread that loads would find it closed in the middle of its work. It ends with the process.
            std::mem::forget(runtime);
        } else {
            // Handlers that were cancelled end on their own; nobody waits for what they would say.
            runtime.shutdown_background();
        }
    }
}

impl Inner {
    fn names(&self) -> Vec<String> {
        self.host.packages().map(|package| package.name.clone()).collect()
    }

    /// What handlers run on, made if need be.
    fn handle(&mut self, say: Say<'_>) -> Option<Handle> {
        if self.runtime.is_none() {
            match Builder::new_multi_thread().worker_threads(2).enable_all().build() {
                Ok(runtime) => self.runtime = Some(runtime),
                Err(error) => say(&Notice::Trouble { what: format!("cannot start the extensions: {error}") }),
            }
        }
        self.runtime.as_ref().map(|runtime| runtime.handle().clone())
    }

    /// Takes a set that was loaded, and names each broken file once.
    fn take(&mut self, loaded: Result<Loaded, LoadError>, say: Say<'_>) -> bool {
        let Loaded { host, broken, configuration, unread } = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                say(&Notice::Trouble { what: error.to_string() });
                return false;
            }
        };
        if let Some(why) = unread {
            say(&Notice::OldSettings { why });
        }
        self.host = Arc::new(host);
        self.configuration = configuration;
        for Broken { name, path, reason } in broken {
            let state = path.file_name().and_then(|file| self.taken.extensions.get(file)).copied();
            if self.named.insert((path.clone(), state)) {
                say(&Notice::BrokenExtension { name, path, reason });
            }
        }
        true
    }

    fn tell_of_code(&mut self, say: Say<'_>) {
        for what in self.host.cache_notes() {
            if self.said_of_code.insert(what.clone()) {
                say(&Notice::CompiledCode { what });
            }
        }
    }

    /// Is each file that is new or has changed complete?
    fn is_complete(&mut self, places: &Places, found: &Files, grace: Duration) -> bool {
        let taken = &self.taken.extensions;
        let changed = found.extensions.iter().filter(|(name, state)| taken.get(*name) != Some(state));
        let changed = changed.map(|(name, _)| places.folder.join(name));
        let is_set_anew = found.settings.is_some() && found.settings != self.taken.settings;
        let changed = changed.chain(places.settings.clone().filter(|_| is_set_anew));
        let writers: Vec<Writers> = changed.map(|path| claim::writers_of(&path)).collect();
        if writers.iter().all(|writers| *writers == Writers::None) {
            self.incomplete = None;
            return true;
        }
        let since = match &self.incomplete {
            Some((files, since)) if files == found => *since,
            Some(_) | None => self.incomplete.insert((found.clone(), Instant::now())).1,
        };
        let is_written = writers.contains(&Writers::Some);
        !is_written && since.elapsed() >= grace
    }

    /// Watches the folder, if it is there and not watched. Without a watch the scans alone find everything, later.
    fn watch(&mut self, folder: &Path, wake: &Waker) {
        if self.watcher.is_some() || !folder.is_dir() {
            return;
        }
        let wake = wake.clone();
        let tell = move |event: notify::Result<notify::Event>| {
            if event.map_or(true, |event| event.need_rescan() || is_change(&event.kind)) {
                wake.wake(Wake::Extensions);
            }
        };
        let Ok(mut watcher) = RecommendedWatcher::new(tell, notify::Config::default()) else { return };
        if watcher.watch(folder, RecursiveMode::NonRecursive).is_ok() {
            self.watcher = Some(watcher);
        }
    }
}

/// Can the set of complete files be another one after this?
fn is_change(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) | EventKind::Remove(_) => true,
        EventKind::Modify(ModifyKind::Name(_)) => true,
        EventKind::Create(_) | EventKind::Modify(_) => !cfg!(target_os = "linux"),
        EventKind::Any | EventKind::Access(_) | EventKind::Other => false,
    }
}

/// Reads the set that is there now.
async fn load(folder: &Path, configuration: Configuration) -> Result<Loaded, LoadError> {
    let (host, broken) = load_installed(folder, &configuration).await?;
    Ok(Loaded { host, broken, configuration, unread: None })
}
