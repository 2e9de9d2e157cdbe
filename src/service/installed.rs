//! The extensions folder while the service runs: a complete `.wasm` that appears, changes or goes makes a new set of extensions, which is
//! loaded beside the line and then takes the place of the old one. So does another `postroom.toml`, of which only what concerns extensions
//! is read again: what is installed with its grants must not need a restart for those.
//!
//! A new file that is not whole yet holds up nobody; while one that is installed is being changed, the old set goes on. Hidden names are no
//! extensions. What could not be loaded for a reason that may go away is tried again, after longer and longer waits.
//!
//! Absent on purpose: what becomes of messages in hand. They run in the set that they began in, which lives as long as one of them does.

mod places;
mod whole;

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
use crate::extension::lock_file::LockFile;
use crate::extension::{Broken, Configuration, ExtensionHost, LoadError};
use crate::message::AgentId;
use places::{Files, State, state};
use whole::Unfinished;

pub use places::Places;

/// How long after a failure everything is loaded again; each time twice as long, up to a minute.
const TRY_AGAIN: Duration = Duration::from_secs(1);
const TRY_AGAIN_AT_MOST: Duration = Duration::from_secs(60);

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
    unfinished: Unfinished,
    /// When everything is loaded once more, and how long that was waited for.
    again: Option<(Instant, Duration)>,
    /// The files that are there could not be loaded at all.
    is_unloaded: bool,
    /// The folder could not be listed, which was said.
    is_unlisted: bool,
    /// What is set aside, each file with the state in which it was named.
    broken: Vec<(Broken, Option<State>)>,
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
            unfinished: Unfinished::default(),
            again: None,
            is_unloaded: false,
            is_unlisted: false,
            broken: Vec::new(),
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
        let Some(mut found) = inner.list(&self.places, say) else { return };
        // What somebody writes at this moment is taken up when it is whole. Where the system cannot tell, the start does not wait to see.
        found.extensions.retain(|name, _| claim::writers_of(&self.places.folder.join(name)) != Writers::Some);
        inner.taken = found;
        if inner.taken.extensions.is_empty() {
            return;
        }
        let Some(handle) = inner.handle(say) else { return inner.not_loaded() };
        let files = self.places.paths(&inner.taken);
        let loaded = handle.block_on(load(&self.places.folder, files, inner.configuration.clone()));
        inner.take(loaded, say);
        inner.compile_beside(&self.wake);
    }

    /// Looks at the folder. `true`: another set counts from now on (see [`Installed::current`]).
    pub fn look(&self, say: Say<'_>) -> bool {
        let mut inner = self.inner.borrow_mut();
        inner.watch(&self.places.folder, &self.wake);
        inner.tell_of_code(say);
        if let Some(loading) = inner.loading.take_if(|loading| loading.is_finished()) {
            return match loading.join() {
                Ok(loaded) => {
                    let (before, was_tried) = (inner.names(), inner.again.is_some());
                    let is_new = inner.take(loaded, say);
                    if is_new && !(was_tried && inner.names() == before) {
                        say(&Notice::Extensions { names: inner.names() });
                    }
                    inner.compile_beside(&self.wake);
                    // What has changed meanwhile is looked at next.
                    self.wake.wake(Wake::Extensions);
                    is_new
                }
                Err(_) => {
                    say(&Notice::Trouble { what: "loading the extensions failed".into() });
                    inner.not_loaded();
                    false
                }
            };
        }
        if inner.loading.is_some() {
            return false;
        }
        let Some(found) = inner.list(&self.places, say) else { return false };
        let Some(found) = inner.whole(&self.places, found, self.grace, say) else { return false };
        let is_due = inner.again.is_some_and(|(at, _)| Instant::now() >= at);
        if found == inner.taken && !is_due {
            return false;
        }
        let before = std::mem::replace(&mut inner.taken, found);
        if inner.taken.extensions.is_empty() {
            if before.extensions.is_empty() {
                return false;
            }
            inner.host = Arc::new(ExtensionHost::empty());
            inner.again = None;
            inner.is_unloaded = false;
            inner.broken.clear();
            say(&Notice::Extensions { names: Vec::new() });
            return true;
        }
        let files = self.places.paths(&inner.taken);
        if let Some(handle) = inner.handle(say) {
            inner.loading = self.load_beside(handle, files, inner.configuration.clone(), say);
        }
        if inner.loading.is_none() {
            inner.not_loaded();
        }
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
        let is_loaded = inner.host.package(extension.as_str()).is_some();
        let is_changed = inner.loading.is_some() || inner.taken.extensions.get(&name) != found.as_ref();
        let may_come = inner.is_unloaded || inner.host.may_come().contains(extension.as_str());
        found.is_some() && (is_changed || (may_come && !is_loaded))
    }

    /// Why the extension of this name cannot be used, if there is a file of it.
    pub fn set_aside(&self, extension: &AgentId) -> Option<String> {
        let inner = self.inner.borrow();
        let found = inner.broken.iter().find(|(broken, _)| broken.name == extension.as_str());
        found.map(|(broken, _)| broken.reason.clone())
    }

    fn load_beside(
        &self,
        handle: Handle,
        files: Vec<PathBuf>,
        configuration: Configuration,
        say: Say<'_>,
    ) -> Option<JoinHandle<Result<Loaded, LoadError>>> {
        let (places, wake) = (self.places.clone(), self.wake.clone());
        let run = move || {
            let (configuration, unread) = match places.read_settings() {
                Ok(read) => (read.unwrap_or(configuration), None),
                Err(why) => (configuration, Some(why)),
            };
            let loaded = handle.block_on(load(&places.folder, files, configuration));
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
                self.not_loaded();
                return false;
            }
        };
        self.is_unloaded = false;
        if host.may_come().is_empty() {
            self.again = None;
        } else {
            self.try_again();
        }
        if let Some(why) = unread {
            say(&Notice::OldSettings { why });
        }
        self.host = Arc::new(host);
        self.configuration = configuration;
        let state_of =
            |broken: &Broken| broken.path.file_name().and_then(|file| self.taken.extensions.get(file)).copied();
        let broken: Vec<(Broken, Option<State>)> =
            broken.into_iter().map(|broken| (broken.clone(), state_of(&broken))).collect();
        for (Broken { name, path, reason }, _) in broken.iter().filter(|broken| !self.broken.contains(broken)) {
            say(&Notice::BrokenExtension { name: name.clone(), path: path.clone(), reason: reason.clone() });
        }
        self.broken = broken;
        true
    }

    fn not_loaded(&mut self) {
        self.is_unloaded = true;
        self.try_again();
    }

    fn try_again(&mut self) {
        let wait = self.again.map_or(TRY_AGAIN, |(_, wait)| (wait * 2).min(TRY_AGAIN_AT_MOST));
        self.again = Some((Instant::now() + wait, wait));
    }

    /// What is in the folder. `None`: it cannot be listed now, and the set that counts stays.
    fn list(&mut self, places: &Places, say: Say<'_>) -> Option<Files> {
        match places.files() {
            Ok(found) => {
                self.is_unlisted = false;
                Some(found)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_unlisted, true) {
                    say(&Notice::Trouble { what: format!("cannot list {}: {error}", places.folder.display()) });
                }
                None
            }
        }
    }

    /// Has compiled what is missing in the cache, before a message needs it.
    fn compile_beside(&self, wake: &Waker) {
        let Some(runtime) = &self.runtime else { return };
        let (host, wake) = (self.host.clone(), wake.clone());
        runtime.spawn(async move {
            host.compile_missing().await;
            // There may be something to say of it.
            wake.wake(Wake::Extensions);
        });
    }

    fn tell_of_code(&mut self, say: Say<'_>) {
        for what in self.host.cache_notes() {
            if self.said_of_code.insert(what.clone()) {
                say(&Notice::CompiledCode { what });
            }
        }
    }

    /// The files that can be taken up now. `None`: one that is installed, or the settings, is just being changed.
    fn whole(&mut self, places: &Places, mut found: Files, grace: Duration, say: Say<'_>) -> Option<Files> {
        let taken = &self.taken.extensions;
        let changed = found.extensions.iter().filter(|(name, state)| taken.get(*name) != Some(state));
        let unfinished: Vec<OsString> = changed
            .filter(|(name, state)| !self.unfinished.is_whole(&places.folder.join(name), **state, grace))
            .map(|(name, _)| name.clone())
            .collect();
        let settings = found.settings.filter(|_| found.settings != self.taken.settings).zip(places.settings.as_deref());
        let is_set = settings.is_none_or(|(state, path)| self.unfinished.is_whole(path, state, grace));
        self.unfinished.retain(|path| {
            let is_unfinished = path.file_name().is_some_and(|name| unfinished.iter().any(|other| other == name));
            is_unfinished || (!is_set && places.settings.as_deref() == Some(path))
        });
        for path in self.unfinished.stuck(grace) {
            say(&Notice::UnfinishedExtension { path });
        }
        if !is_set || unfinished.iter().any(|name| taken.contains_key(name)) {
            return None;
        }
        found.extensions.retain(|name, _| !unfinished.contains(name));
        Some(found)
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

/// Loads these files, and believes what the lock file of their folder says of those that have not changed since.
async fn load(folder: &Path, files: Vec<PathBuf>, configuration: Configuration) -> Result<Loaded, LoadError> {
    let lock = LockFile::of_folder(folder);
    let (host, broken) = ExtensionHost::load_files(files, &configuration, &|path| lock.facts(path)).await?;
    Ok(Loaded { host, broken, configuration, unread: None })
}
