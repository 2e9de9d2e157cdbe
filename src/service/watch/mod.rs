//! Watching the drop and the requests.
//!
//! On Linux inotify itself, read by the thread that works: `notify` asks for every kind of event, of which one drop and its
//! claim make eight, and hands them over from a thread of its own; two kinds and no other thread halve the time that an idle
//! service takes to answer. Elsewhere `notify`.

#[cfg(target_os = "linux")]
mod inotify;
#[cfg(target_os = "linux")]
pub use inotify::{Bell, Error, Watch, wait};

#[cfg(not(target_os = "linux"))]
mod portable;
#[cfg(not(target_os = "linux"))]
pub use portable::{Bell, Error, Watch, wait};
