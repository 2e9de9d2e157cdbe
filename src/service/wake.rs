//! What makes the service look: events of the file system, ends of handlings, stopping. Every event is a hint; the scans find
//! what events miss.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::attempt::Ask;
use super::lanes::Ended;
use super::watch::{self, Bell, Watch};

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
    /// A batch of decisions is carried out.
    Published,
    /// The file system has been synced beside the line.
    Synced,
    /// The packing of an old day has ended, well or not.
    Packed,
    /// A running attempt calls a control command.
    Ask(Box<Ask>),
    /// The folder of the extensions may have changed, or a set of them is loaded.
    Extensions,
    /// The lock of the active service may be free.
    LockFree,
    Stop,
}

/// Wakes a service, from any thread.
#[derive(Clone, Debug)]
pub struct Waker {
    told: Sender<Wake>,
    bell: Bell,
}

impl Waker {
    /// The receiver is gone only when the service has ended: then there is nobody to wake.
    pub fn wake(&self, wake: Wake) {
        if self.told.send(wake).is_ok() {
            self.bell.ring();
        }
    }
}

/// Everything that a service waits on.
pub struct Wakes {
    told: Receiver<Wake>,
    bell: Bell,
    /// `None`: nothing is watched (no more watches to be had), and the scans alone find everything, later.
    watch: Option<Watch>,
    /// It was said that nothing is watched.
    is_loss_said: bool,
    /// What the watch has seen and nobody has taken yet.
    seen: VecDeque<Wake>,
}

impl Wakes {
    pub fn new() -> (Waker, Wakes) {
        let (sender, told) = channel();
        let bell = Bell::new();
        let waker = Waker { told: sender, bell: bell.clone() };
        (waker, Wakes { told, bell, watch: None, is_loss_said: false, seen: VecDeque::new() })
    }

    /// Begins to watch the drop and the requests.
    ///
    /// # Errors
    /// For the user to know; the service goes on without.
    pub fn watch(&mut self, bus: &Path, waker: &Waker) -> Result<(), watch::Error> {
        // Another bus may have been watched before.
        self.watch = None;
        self.watch = Some(Watch::begin(bus, waker)?);
        Ok(())
    }

    /// Waits for at most this long. `None`: nothing came.
    pub fn wait(&mut self, at_most: Duration) -> Option<Wake> {
        self.take().or_else(|| {
            watch::wait(&self.told, &self.bell, self.watch.as_mut(), &mut self.seen, at_most);
            self.take()
        })
    }

    /// Takes in what has come, without waiting.
    pub fn look(&mut self) -> Option<Wake> {
        self.wait(Duration::ZERO)
    }

    /// What has been taken in already.
    pub fn take(&mut self) -> Option<Wake> {
        self.told.try_recv().ok().or_else(|| self.seen.pop_front())
    }

    /// Stops watching the drop: under load the events cost more than listing the folder when it has been worked off.
    pub fn pause(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.pause();
        }
    }

    /// Watches the drop again. What came before this call is for the next listing to find.
    ///
    /// # Errors
    /// The watch is not to be had again: nothing is watched from now on.
    pub fn resume(&mut self) -> Result<(), watch::Error> {
        let resumed = self.watch.as_mut().map_or(Ok(()), Watch::resume);
        if resumed.is_err() {
            // One that stays paused would have the drop listed without end.
            self.watch = None;
        }
        resumed
    }

    pub fn is_watching(&self) -> bool {
        self.watch.is_some()
    }

    /// Nothing is watched. `true` if that is to be said.
    pub fn begin_loss(&mut self) -> bool {
        !std::mem::replace(&mut self.is_loss_said, true)
    }

    /// The bus is watched. `true` if it was said that it is not.
    pub fn end_loss(&mut self) -> bool {
        std::mem::take(&mut self.is_loss_said)
    }

    pub fn is_paused(&self) -> bool {
        self.watch.as_ref().is_some_and(Watch::is_paused)
    }
}
