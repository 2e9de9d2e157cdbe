//! `notify`, which tells from a thread of its own.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{Config, RecommendedWatcher, RecursiveMode, Watcher};

use crate::bus::layout;
use crate::service::wake::{Wake, Waker};

pub type Error = notify::Error;

/// Whoever tells something also wakes: nothing to ring.
#[derive(Clone, Debug)]
pub struct Bell;

impl Bell {
    pub fn new() -> Bell {
        Bell
    }

    pub fn ring(&self) {}
}

pub struct Watch {
    watcher: RecommendedWatcher,
    bus: PathBuf,
    watching: bool,
}

impl Watch {
    pub fn begin(bus: &Path, waker: &Waker) -> Result<Watch, Error> {
        let requests = bus.join(layout::REQUESTS);
        let (of_requests, waker) = (requests.clone(), waker.clone());
        let handle = move |event: notify::Result<notify::Event>| {
            if let Some(wake) = meaning(event, &of_requests) {
                waker.wake(wake);
            }
        };
        let mut watcher = RecommendedWatcher::new(handle, Config::default())?;
        watcher.watch(bus, RecursiveMode::NonRecursive)?;
        watcher.watch(&requests, RecursiveMode::NonRecursive)?;
        Ok(Watch { watcher, bus: bus.to_owned(), watching: true })
    }

    pub fn pause(&mut self) {
        if self.watching {
            self.watching = self.watcher.unwatch(&self.bus).is_err();
        }
    }

    pub fn resume(&mut self) -> Result<(), Error> {
        if !self.watching {
            self.watcher.watch(&self.bus, RecursiveMode::NonRecursive)?;
            self.watching = true;
        }
        Ok(())
    }

    pub fn is_paused(&self) -> bool {
        !self.watching
    }
}

fn meaning(event: notify::Result<notify::Event>, requests: &Path) -> Option<Wake> {
    let event = match event {
        Ok(event) if !event.need_rescan() => event,
        Ok(_) | Err(_) => return Some(Wake::Rescan),
    };
    if !is_complete(&event.kind) {
        return None;
    }
    // A rename reported with both names has the new one last.
    let path = event.paths.last()?;
    if path.starts_with(requests) {
        return Some(Wake::Request);
    }
    path.file_name().filter(|name| layout::is_drop_name(name)).map(|name| Wake::Dropped(name.to_owned()))
}

/// Is the file complete with this event, as far as an event can tell?
fn is_complete(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        // Most systems do not report the closing: there a creation or any change is the hint.
        EventKind::Create(_) | EventKind::Modify(_) => true,
        EventKind::Any | EventKind::Access(_) | EventKind::Remove(_) | EventKind::Other => false,
    }
}

/// Waits until somebody tells something, or the time is over.
pub fn wait(told: &Receiver<Wake>, _: &Bell, _: Option<&mut Watch>, seen: &mut VecDeque<Wake>, at_most: Duration) {
    seen.extend(told.recv_timeout(at_most).ok());
}
