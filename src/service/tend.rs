//! What is done now and then: leases given back, old ids forgotten, old days packed and removed.

use super::active::Active;
use super::clock::Now;
use crate::bus::{BusError, retention};

impl Active<'_> {
    pub(super) fn tend(&mut self, now: Now) -> Result<(), BusError> {
        self.inboxes.return_leases(&self.core.disk, now)?;
        self.ids.forget_old(&self.core.disk, now.wall_ms)?;
        // One day at a time, so that packing never holds up the messages for long.
        let retention = &self.core.settings.retention;
        retention::pack_one(&self.core.disk, &self.room, retention.pack_days, now.wall_ms)?;
        retention::remove_old(&self.core.disk, retention.remove_days, now.wall_ms)?;
        Ok(())
    }
}
