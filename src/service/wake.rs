//! What makes the service look: events of the file system, ends of handlings, stopping. Every event is a hint; the scans find
//! what events miss.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind, RenameMode};
use notify::{Config, RecommendedWatcher, RecursiveMode, Watcher};

use super::attempt::Ask;
use super::lanes::Ended;
use crate::bus::layout;

/// A reason to look.
#[derive(Debug)]
pub enum Wake {
    /// A file in the drop was closed after writing, or renamed to this name.
    Dropped(OsString),
    /// Events were lost, or a request came: list the folder.
    Rescan,
    /// The command line asks for something.
    Request,
    /// A handler ended.
    Ended(Box<Ended>),
    /// A running attempt calls a control command.
    Ask(Box<Ask>),
    /// The folder of the extensions may have changed, or a set of them is loaded.
    Extensions,
    /// The lock of the active service may be free.
    LockFree,
    Stop,
}

/// Watches the drop and the requests. Without it (no more watches to be had) the scans alone find everything, later.
pub struct Watch {
    watcher: Option<RecommendedWatcher>,
    bus: PathBuf,
    watching: bool,
}

impl Watch {
    /// Begins to watch. The error, if any, is for the user to know; the service goes on without.
    pub fn begin(bus: &Path, wake: Sender<Wake>) -> (Watch, notify::Result<()>) {
        let (watcher, result) = match watcher(bus, wake) {
            Ok(watcher) => (Some(watcher), Ok(())),
            Err(error) => (None, Err(error)),
        };
        let watching = watcher.is_some();
        (Watch { watcher, bus: bus.to_owned(), watching }, result)
    }

    /// Stops watching the drop: under load every message makes half a dozen events, which cost more than listing the folder
    /// when it has been worked off.
    pub fn pause(&mut self) {
        if let (Some(watcher), true) = (&mut self.watcher, self.watching) {
            self.watching = watcher.unwatch(&self.bus).is_err();
        }
    }

    /// Watches the drop again. What came before this call is for the next listing to find.
    pub fn resume(&mut self) {
        if let (Some(watcher), false) = (&mut self.watcher, self.watching) {
            self.watching = watcher.watch(&self.bus, RecursiveMode::NonRecursive).is_ok();
        }
    }

    pub fn is_paused(&self) -> bool {
        self.watcher.is_some() && !self.watching
    }
}

fn watcher(bus: &Path, wake: Sender<Wake>) -> notify::Result<RecommendedWatcher> {
    let requests = bus.join(layout::REQUESTS);
    let of_requests = requests.clone();
    let handle = move |event: notify::Result<notify::Event>| {
        let event = match event {
            Ok(event) if !event.need_rescan() => event,
            Ok(_) | Err(_) => {
                // The receiver is gone only when the service has ended.
                let _ = wake.send(Wake::Rescan);
                return;
            }
        };
        if !is_complete(&event.kind) {
            return;
        }
        // A rename reported with both names has the new one last.
        let Some(path) = event.paths.last() else { return };
        if path.starts_with(&of_requests) {
            let _ = wake.send(Wake::Request);
        } else if let Some(name) = path.file_name().filter(|name| layout::is_drop_name(name)) {
            let _ = wake.send(Wake::Dropped(name.to_owned()));
        }
    };
    let mut watcher = RecommendedWatcher::new(handle, Config::default())?;
    watcher.watch(bus, RecursiveMode::NonRecursive)?;
    watcher.watch(&requests, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

/// Is the file complete with this event, as far as an event can tell?
fn is_complete(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        // `Both` repeats a `To`.
        EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Any)) => true,
        // Systems other than Linux report neither: there a creation or any change is the hint.
        EventKind::Create(_) | EventKind::Modify(_) => !cfg!(target_os = "linux"),
        EventKind::Any | EventKind::Access(_) | EventKind::Remove(_) | EventKind::Other => false,
    }
}
