//! inotify, and an eventfd that other threads ring: both are waited on at once.

use std::collections::VecDeque;
use std::ffi::{CStr, OsStr};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

use crate::bus::layout;
use crate::service::wake::{Wake, Waker};

pub type Error = std::io::Error;

/// What tells that a file is complete, as far as an event can. Not `MOVED_FROM` and the like: the service's own claims would
/// wake it.
const COMPLETE: WatchFlags = WatchFlags::MOVED_TO.union(WatchFlags::CLOSE_WRITE).union(WatchFlags::ONLYDIR);

/// Room for some thousand events at a time.
const BUFFER: usize = 64 * 1024;

/// Rung by other threads; without a descriptor for it (none to be had) the waiting looks often instead.
#[derive(Clone, Debug)]
pub struct Bell(Option<Arc<OwnedFd>>);

/// How often a bell that cannot ring is looked at.
const LOOK: Duration = Duration::from_millis(20);

impl Bell {
    pub fn new() -> Bell {
        Bell(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).ok().map(Arc::new))
    }

    pub fn ring(&self) {
        if let Some(fd) = &self.0 {
            // It can only refuse when it has rung 2^64 times unheard.
            let _ = rustix::io::write(fd, &1_u64.to_ne_bytes());
        }
    }

    fn hear(&self) {
        if let Some(fd) = &self.0 {
            let _ = rustix::io::read(fd, &mut [0_u8; 8]);
        }
    }
}

pub struct Watch {
    inotify: OwnedFd,
    bus: PathBuf,
    /// The drop's watch, while it is not paused.
    drop: Option<i32>,
    requests: i32,
    buffer: Box<[MaybeUninit<u8>]>,
}

impl Watch {
    pub fn begin(bus: &Path, _: &Waker) -> Result<Watch, Error> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let drop = inotify::add_watch(&inotify, bus, COMPLETE)?;
        let requests = inotify::add_watch(&inotify, bus.join(layout::REQUESTS), COMPLETE)?;
        let buffer = vec![MaybeUninit::uninit(); BUFFER].into_boxed_slice();
        Ok(Watch { inotify, bus: bus.to_owned(), drop: Some(drop), requests, buffer })
    }

    pub fn pause(&mut self) {
        if let Some(watch) = self.drop
            && inotify::remove_watch(&self.inotify, watch).is_ok()
        {
            self.drop = None;
        }
    }

    pub fn resume(&mut self) -> Result<(), Error> {
        if self.drop.is_none() {
            self.drop = Some(inotify::add_watch(&self.inotify, &self.bus, COMPLETE)?);
        }
        Ok(())
    }

    pub fn is_paused(&self) -> bool {
        self.drop.is_none()
    }

    /// Takes in the events that are there.
    fn read(&mut self, seen: &mut VecDeque<Wake>) {
        let mut reader = inotify::Reader::new(&self.inotify, &mut self.buffer);
        loop {
            // No event, or one that cannot be read: the scans find what it would have told.
            let Ok(event) = reader.next() else { return };
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                seen.push_back(Wake::Rescan);
            } else if event.wd() == self.requests {
                seen.push_back(Wake::Request);
            } else if Some(event.wd()) == self.drop {
                seen.extend(event.file_name().and_then(dropped));
            }
            if reader.is_buffer_empty() {
                return;
            }
        }
    }
}

fn dropped(name: &CStr) -> Option<Wake> {
    let name = OsStr::from_bytes(name.to_bytes());
    layout::is_drop_name(name).then(|| Wake::Dropped(name.to_owned()))
}

/// Waits until the bell rings, the watch has seen something that matters, or the time is over.
pub fn wait(
    _: &Receiver<Wake>,
    bell: &Bell,
    mut watch: Option<&mut Watch>,
    seen: &mut VecDeque<Wake>,
    at_most: Duration,
) {
    let until = Instant::now() + if bell.0.is_some() { at_most } else { at_most.min(LOOK) };
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let (rung, moved) = ready(bell, watch.as_deref(), left);
        if rung {
            bell.hear();
        }
        if let (true, Some(watch)) = (moved, &mut watch) {
            watch.read(seen);
        }
        // Events of files that are no messages are not worth a look.
        if rung || !seen.is_empty() || !moved || left.is_zero() {
            return;
        }
    }
}

/// Waits: has the bell rung, are there events?
fn ready(bell: &Bell, watch: Option<&Watch>, at_most: Duration) -> (bool, bool) {
    let timeout = Timespec::try_from(at_most).ok();
    let is_readable = |fd: &PollFd<'_>| !fd.revents().is_empty();
    let bell = bell.0.as_ref().map(|bell| PollFd::new(bell, PollFlags::IN));
    let watch = watch.map(|watch| PollFd::new(&watch.inotify, PollFlags::IN));
    // A signal or anything else that ends the waiting early is as good as the end of the time.
    match (bell, watch) {
        (Some(bell), Some(watch)) => {
            let mut both = [bell, watch];
            let _ = poll(&mut both, timeout.as_ref());
            (is_readable(&both[0]), is_readable(&both[1]))
        }
        (Some(bell), None) => {
            let mut one = [bell];
            let _ = poll(&mut one, timeout.as_ref());
            (is_readable(&one[0]), false)
        }
        (None, Some(watch)) => {
            let mut one = [watch];
            let _ = poll(&mut one, timeout.as_ref());
            (false, is_readable(&one[0]))
        }
        (None, None) => {
            std::thread::sleep(at_most);
            (false, false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel keeps so many events that nobody reads; then it says that there were more.
    #[test]
    fn events_that_were_lost_ask_for_a_scan() {
        let folder = tempfile::tempdir().expect("a folder");
        let bus = folder.path().join("bus");
        crate::bus::create(&bus).expect("a bus");
        let (wake, _wakes) = super::super::super::wake::Wakes::new();
        let mut watch = Watch::begin(&bus, &wake).expect("watched");
        let most = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").expect("its number");
        let most: usize = most.trim().parse().expect("a number");
        let names = ["a.json", "b.json"].map(|name| bus.join(name));
        std::fs::write(&names[0], "").expect("written");
        for n in 0..=most {
            std::fs::rename(&names[n % 2], &names[(n + 1) % 2]).expect("renamed");
        }
        let mut seen = VecDeque::new();
        let mut asked = false;
        while !asked {
            watch.read(&mut seen);
            assert!(!seen.is_empty(), "no event says that some were lost");
            asked = seen.drain(..).any(|wake| matches!(wake, Wake::Rescan));
        }
    }
}
