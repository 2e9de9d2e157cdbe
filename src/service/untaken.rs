//! Answers to the command line that nobody has taken: who asked has given up, or was killed. After a day they go.
//!
//! Their age is how long this service has seen them, by its monotonic clock: no file time is compared with a clock.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use super::clock::Now;
use crate::bus::room::Room;
use crate::bus::{BusError, Disk, layout, publish};

/// How long an answer is kept. Who asks waits seconds, or as long as he says.
const KEPT: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Default)]
pub struct Untaken {
    /// When each answer was first seen.
    since: HashMap<String, Instant>,
}

impl Untaken {
    /// Removes the answers that are too old. Hidden names and other endings are no answers.
    pub fn remove_old(&mut self, disk: &Disk, room: &Room, now: Now) -> Result<(), BusError> {
        let mut known = std::mem::take(&mut self.since);
        disk.for_each(Path::new(layout::ANSWERS), |name, _| {
            if let Some(name) = name.to_str().filter(|name| !name.starts_with('.') && name.ends_with(".json")) {
                self.since.insert(name.to_owned(), known.remove(name).unwrap_or(now.mono));
            }
        })?;
        let is_old = |since: &Instant| now.mono.saturating_duration_since(*since) >= KEPT;
        for name in self.since.iter().filter_map(|(name, since)| is_old(since).then_some(name)) {
            publish::remove(disk, room, &Path::new(layout::ANSWERS).join(name))?;
        }
        Ok(())
    }
}
