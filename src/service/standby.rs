//! Standing by: looking at who is active, until nobody is.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::clock::Now;
use super::notice::Notice;
use super::trouble::Trouble;
use super::wake::{Wake, Wakes};
use super::{Core, Mode};
use crate::bus::claim;
use crate::bus::log::Log;
use crate::bus::place::Place;
use crate::bus::room::Room;
use crate::bus::term::{self, Holder, Lease, Look};
use crate::bus::{self, BusError, journal, time};

/// Waits for the bus. `None`: stopped, or (once) somebody else is active and has taken what is there.
pub fn wait(core: &Core, wakes: &mut Wakes, mode: Mode) -> Result<Option<(Room, Log)>, BusError> {
    let here = Arc::new(Place::here(&core.disk));
    let interval = Duration::from_millis(core.settings.bus.look_ms);
    let mut watch =
        Watch { lease: Lease::new(core.settings.bus.lease_looks), looked: None, said: None, waits_on: None };
    let (mut trouble, mut wrong) = (Trouble::default(), String::new());
    // Who hangs is taken over from before that.
    let mut others = Others::until(Instant::now() + interval * 2 * core.settings.bus.lease_looks.max(1));
    loop {
        if core.is_stopped() {
            return Ok(None);
        }
        match watch.look(core, &here, interval) {
            Ok(Some(entered)) => return Ok(Some(entered)),
            Ok(None) => {
                if trouble.over() {
                    core.say(&Notice::Well);
                }
            }
            Err(error) if error.is_transient() => {
                watch.lease.reset();
                wrong = error.to_string();
                if trouble.begin(Instant::now()) {
                    core.say(&Notice::Trouble { what: wrong.clone() });
                }
            }
            Err(error) => return Err(error),
        }
        if mode == Mode::Once {
            if watch.said.is_some() && others.have_taken_all(core) {
                return Ok(None);
            }
            if trouble.lasts(Instant::now()) >= super::PATIENCE {
                return Err(BusError::GaveUp { what: wrong });
            }
        }
        let wait = if trouble.retry_at().is_some() { trouble.left(Instant::now()) } else { interval };
        pause(wakes, wait);
    }
}

/// What is there to be taken by the active service.
struct Others {
    /// `None`: not looked yet.
    left: Option<Vec<OsString>>,
    /// What is not taken by then cannot be taken now: it is incomplete, say.
    until: Instant,
}

impl Others {
    fn until(until: Instant) -> Others {
        Others { left: None, until }
    }

    /// Has the active service taken what was in the drop at the first look? Looked at again if that cannot be said now.
    fn have_taken_all(&mut self, core: &Core) -> bool {
        if self.left.is_none() {
            let mut names = Vec::new();
            if claim::for_each_drop(&core.disk, |name| names.push(name.to_owned())).is_ok() {
                self.left = Some(names);
            }
        }
        let is_there = |name: &OsString| !matches!(core.disk.stat(Path::new(name)), Ok(None));
        if let Some(left) = &mut self.left {
            left.retain(is_there);
        }
        self.left.as_ref().is_some_and(Vec::is_empty) || Instant::now() >= self.until
    }
}

/// Waits for a reason to look again; events of the drop are none, somebody else sees to them.
pub fn pause(wakes: &mut Wakes, wait: Duration) {
    let until = Instant::now() + wait;
    wakes.pause();
    loop {
        match wakes.wait(until.saturating_duration_since(Instant::now())) {
            Some(Wake::LockFree | Wake::Stop) | None => return,
            Some(
                Wake::Dropped(_)
                | Wake::Rescan
                | Wake::Request
                | Wake::Ended(_)
                | Wake::Published
                | Wake::Synced
                | Wake::Packed
                | Wake::Ask(_)
                | Wake::Extensions,
            ) => {}
        }
    }
}

/// What was seen of the active service.
struct Watch {
    lease: Lease,
    /// When a look was counted last.
    looked: Option<Instant>,
    /// The term that was said to be active.
    said: Option<u64>,
    /// The term whose lock a thread waits on.
    waits_on: Option<u64>,
}

impl Watch {
    /// Looks once; enters the next term if it can be begun.
    fn look(&mut self, core: &Core, here: &Arc<Place>, interval: Duration) -> Result<Option<(Room, Log)>, BusError> {
        bus::check(&core.disk)?;
        let (look, line) = term::look(&core.disk, here)?;
        let holder = match look {
            Look::Free(after) => return begin(core, here, after),
            Look::Held(holder) => holder,
        };
        self.check_place(&holder, here)?;
        if self.said != Some(holder.term) {
            self.said = Some(holder.term);
            let name =
                holder.line.as_ref().map(|line| format!("process {} on {}", line.place.pid, line.place.host_name));
            core.say(&Notice::Standby { holder: name, term: holder.term });
        }
        if self.waits_on != Some(holder.term) {
            self.waits_on = Some(holder.term);
            wait_for_lock(core, holder.clone());
        }
        let counts = self.looked.is_none_or(|looked| looked.elapsed() >= interval);
        if !counts {
            return Ok(None);
        }
        self.looked = Some(Instant::now());
        if !self.lease.look(&core.disk, holder.term, &line)? {
            return Ok(None);
        }
        core.say(&Notice::LeaseEnded { term: holder.term });
        self.lease.reset();
        begin(core, here, holder.term)
    }

    /// Another mount namespace is never taken over from, and another host only once its line stands still.
    fn check_place(&self, holder: &Holder, here: &Place) -> Result<(), BusError> {
        let Some(line) = &holder.line else { return Ok(()) };
        if here.other_namespace(&line.place) {
            return Err(BusError::OtherNamespace { pid: line.place.pid });
        }
        if !line.place.same_host(here) && self.lease.has_changed() {
            return Err(BusError::OtherHost { host: line.place.host_name.clone() });
        }
        Ok(())
    }
}

fn begin(core: &Core, here: &Arc<Place>, after: u64) -> Result<Option<(Room, Log)>, BusError> {
    let now = Now::get();
    let day = time::day(now.wall_ms);
    let journal = (day.clone(), journal::length(&core.disk, &day)?);
    term::begin(&core.disk, after, here.clone(), core.durability(), now.wall_ms, journal)
}

/// Waits in a thread of its own until the holder's process has ended: the kernel then frees its lock, and this is told at once.
/// For a holder that hangs the thread waits as long as that process lives; it holds nothing but a descriptor.
fn wait_for_lock(core: &Core, holder: Holder) {
    let (disk, wake) = (core.disk.clone(), core.wake.clone());
    let spawned = std::thread::Builder::new().name("postroom-lock".into()).spawn(move || {
        // Whatever it ends with, the next look says what is the case.
        let _ = term::wait_for_lock(&disk, &holder.lock);
        wake.wake(Wake::LockFree);
    });
    // Without a thread the looks alone find out, later.
    drop(spawned);
}
