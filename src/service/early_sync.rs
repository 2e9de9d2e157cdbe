//! Has the file system written beside the line, so that little is left for the sync of a checkpoint, for which the line has to wait.
//!
//! While there is time, that is done for every few MiB of log, and the checkpoint is made at once: the log stays short, and with it
//! a recovery. While there is none, and in a flood there is none, it would only take the processors from the line, and is put off until
//! the log is nearly full.
//!
//! Absent on purpose: any promise. What an early sync has written, the checkpoint syncs again.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use super::wake::{Wake, Waker};
use crate::bus::Disk;
use crate::bus::disk::DiskError;
use crate::bus::log::CHECKPOINT_AT;

/// With time to spare, so many bytes of log are worth a sync.
const WORTH: u64 = 8 << 20;

/// With none to spare, it begins when the log has so many bytes.
const LATE: u64 = CHECKPOINT_AT / 8 * 7;

/// At most one early sync at a time.
#[derive(Debug, Default)]
pub struct EarlySync {
    running: Option<Receiver<Result<(), DiskError>>>,
    /// So many bytes of the log are about what the last one has written.
    covered: u64,
}

impl EarlySync {
    /// Should one begin, with so many bytes in the log?
    pub fn is_due(&self, log_bytes: u64, is_busy: bool) -> bool {
        let after = if is_busy { self.covered < LATE && log_bytes >= LATE } else { log_bytes >= self.covered + WORTH };
        self.running.is_none() && after
    }

    /// Begins one. Where the system has no handle or no thread to give, there is none.
    pub fn begin(&mut self, disk: &Arc<Disk>, log_bytes: u64, wake: &Waker) {
        self.covered = log_bytes;
        // A handle of its own: the checkpoint is to be told of what this one is told.
        let Ok(handle) = disk.handle() else { return };
        let (done, running) = channel();
        let (disk, wake) = (disk.clone(), wake.clone());
        let run = move || {
            // The receiver is gone where a checkpoint came first.
            if done.send(disk.sync_by(&handle)).is_ok() {
                wake.wake(Wake::Synced);
            }
        };
        self.running = std::thread::Builder::new().name("sync".to_owned()).spawn(run).ok().map(|_| running);
    }

    /// How the one that was begun has ended, once.
    pub fn take(&mut self) -> Option<Result<(), DiskError>> {
        match self.running.as_ref()?.try_recv() {
            Ok(done) => {
                self.running = None;
                Some(done)
            }
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                self.running = None;
                None
            }
        }
    }

    /// The log begins again.
    pub fn forget(&mut self) {
        *self = EarlySync::default();
    }
}

#[cfg(test)]
mod tests {
    use super::super::attempted::tests::Bus;
    use super::super::clock::Now;
    use super::*;

    #[test]
    fn it_waits_for_time_to_spare_until_the_log_is_nearly_full() {
        let mut early = EarlySync::default();
        assert!(!early.is_due(WORTH - 1, false) && early.is_due(WORTH, false));
        assert!(!early.is_due(LATE - 1, true) && early.is_due(LATE, true));
        early.covered = LATE;
        assert!(!early.is_due(LATE + 1, true), "once is enough");
        assert!(!early.is_due(LATE + 1, false) && early.is_due(LATE + WORTH, false));
        let (_done, running) = channel();
        early.running = Some(running);
        assert!(!early.is_due(CHECKPOINT_AT, false), "one at a time");
    }

    #[test]
    fn the_moment_between_two_listings_of_a_flooded_drop_is_no_time_to_spare() {
        let bus = Bus::new();
        let mut active = bus.serve();
        let payload = "x".repeat(14 * 1024);
        for number in 0..700 {
            let text = format!(
                r#"{{"id":"{number}","sender":"bob","recipient":"alice","action":"note","payload":"{payload}","timestamp":1763683200000}}"#
            );
            std::fs::write(bus.path.join(format!("{number}.json")), text).expect("dropped");
        }
        active.is_flooded = true;
        active.work();
        assert!(!active.has_work() && active.log.bytes() > WORTH, "{} bytes", active.log.bytes());
        assert!(active.early_sync.running.is_none());
        active.is_flooded = false;
        active.turn(Now::get()).expect("a turn");
        assert!(active.early_sync.running.is_some());
    }
}
