//! Both clocks at one instant. Waiting goes by the monotonic one, dates by the other; a jump of the second moves no wait.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Unix milliseconds.
    pub wall_ms: u64,
    pub mono: Instant,
}

impl Now {
    pub fn get() -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Now { wall_ms: wall.as_millis() as u64, mono: Instant::now() }
    }
}
