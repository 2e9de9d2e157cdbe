//! What is done now and then: leases given back, old ids forgotten, old days packed and removed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::active::Active;
use super::clock::Now;
use super::notice::Notice;
use crate::bus::{BusError, retention, term};

/// A day that is being packed, beside the line: compressing a million messages must not hold up the next one.
#[derive(Debug)]
pub struct Packing {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(), BusError>>,
}

impl Active<'_> {
    pub(super) fn tend(&mut self, now: Now) -> Result<(), BusError> {
        self.inboxes.return_leases(&self.core.disk, now)?;
        term::remove_probes(&self.core.disk)?;
        self.ids.forget_old(&self.core.disk, now.wall_ms)?;
        retention::remove_old(&self.core.disk, &self.room.path, self.core.settings.retention.remove_days, now.wall_ms)?;
        self.pack(now)
    }

    fn pack(&mut self, now: Now) -> Result<(), BusError> {
        if let Some(packing) = self.packing.take_if(|packing| packing.thread.is_finished()) {
            self.packed(packing)?;
        }
        if self.packing.is_some() || self.stop_at.is_some() {
            return Ok(());
        }
        let pack_days = self.core.settings.retention.pack_days;
        let Some(day) = retention::day_to_pack(&self.core.disk, pack_days, now.wall_ms)? else { return Ok(()) };
        let stop = Arc::new(AtomicBool::new(false));
        let (disk, room, stopped) = (self.core.disk.clone(), self.room.path.clone(), stop.clone());
        let thread = std::thread::spawn(move || retention::pack(&disk, &room, &day, &stopped));
        self.packing = Some(Packing { stop, thread });
        Ok(())
    }

    /// Ends packing, if a day is being packed, and waits for it.
    pub(super) fn stop_packing(&mut self) -> Result<(), BusError> {
        let Some(packing) = self.packing.take() else { return Ok(()) };
        packing.stop.store(true, Ordering::Relaxed);
        self.packed(packing)
    }

    fn packed(&self, packing: Packing) -> Result<(), BusError> {
        match packing.thread.join() {
            Ok(result) => result,
            Err(_) => {
                self.core.say(&Notice::Trouble { what: "packing an old day of the archive failed".into() });
                Ok(())
            }
        }
    }
}
