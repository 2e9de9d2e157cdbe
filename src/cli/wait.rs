//! Waiting until something appears in a folder: events wake, and a look every second finds what events missed.

use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

/// How long to wait for an event before looking all the same.
const LOOK: Duration = Duration::from_secs(1);
/// The same where the system gives no events.
const LOOK_WITHOUT_EVENTS: Duration = Duration::from_millis(100);

/// Something that changes when one of the watched folders does.
#[derive(Debug)]
pub struct Watch {
    changes: Receiver<()>,
    look: Duration,
    /// Watching ends with it.
    watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Watches folders that exist. Where that is not possible (a system's limit), waiting means looking more often.
    pub fn on(folders: &[&Path]) -> Watch {
        let (sender, changes) = mpsc::sync_channel(1);
        let watcher = notify::recommended_watcher(move |_event| {
            // A full channel already says that something changed.
            let _ = sender.try_send(());
        });
        let watched = watcher.and_then(|mut watcher| {
            folders.iter().try_for_each(|folder| watcher.watch(folder, RecursiveMode::NonRecursive)).map(|()| watcher)
        });
        match watched {
            Ok(watcher) => Watch { changes, look: LOOK, watcher: Some(watcher) },
            Err(_) => Watch { changes, look: LOOK_WITHOUT_EVENTS, watcher: None },
        }
    }

    /// Does the system tell of changes? Otherwise looking is all there is.
    pub fn has_events(&self) -> bool {
        self.watcher.is_some()
    }

    /// Returns when it is time to look again: after a change, after a second, or when `until` is reached.
    pub fn next(&self, until: Option<Instant>) {
        let wait = match until {
            Some(until) => self.look.min(until.saturating_duration_since(Instant::now())),
            None => self.look,
        };
        match self.changes.recv_timeout(wait) {
            Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            // No watcher: the wait is the whole of it.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(wait),
        }
    }
}

/// A deadline from now; never, without a limit.
pub fn deadline(limit: Option<Duration>) -> Option<Instant> {
    limit.and_then(|limit| Instant::now().checked_add(limit))
}

/// Is it over?
pub fn is_over(until: Option<Instant>) -> bool {
    until.is_some_and(|until| Instant::now() >= until)
}
