//! Which files of the extensions folder are whole, and which may still be written.
//!
//! Whole is what the drop calls so: nobody has it open for writing; where the system cannot tell, it has not changed for the grace time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::places::State;
use crate::bus::claim::{self, Writers};

/// Files that may still be written.
#[derive(Debug, Default)]
pub(super) struct Unfinished(BTreeMap<PathBuf, Seen>);

#[derive(Debug)]
struct Seen {
    state: State,
    since: Instant,
    /// It was named to whoever runs the service.
    is_told: bool,
}

impl Unfinished {
    /// Is this file, which has changed, whole?
    pub(super) fn is_whole(&mut self, path: &Path, state: State, grace: Duration) -> bool {
        let writers = claim::writers_of(path);
        if writers == Writers::None {
            self.0.remove(path);
            return true;
        }
        let now = Instant::now();
        let seen = self.0.entry(path.to_owned()).or_insert(Seen { state, since: now, is_told: false });
        if seen.state != state {
            *seen = Seen { state, since: now, ..*seen };
        }
        writers == Writers::Unknown && seen.since.elapsed() >= grace
    }

    /// Those that somebody has had open for the whole grace time without writing to them: each once.
    pub(super) fn stuck(&mut self, grace: Duration) -> Vec<PathBuf> {
        let stuck = self.0.iter_mut().filter(|(_, seen)| !seen.is_told && seen.since.elapsed() >= grace);
        stuck
            .map(|(path, seen)| {
                seen.is_told = true;
                path.clone()
            })
            .collect()
    }

    /// Forgets what is gone.
    pub(super) fn retain(&mut self, is_there: impl Fn(&Path) -> bool) {
        self.0.retain(|path, _| is_there(path));
    }
}
