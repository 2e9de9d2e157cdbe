//! SIGTERM and SIGINT: the first asks for a clean stop, the second ends the program at once.
//!
//! The second is judged in the signal handler itself, so that it works even if the program is stuck.

use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Exit;

/// Calls `stop` on a thread of its own at the first signal.
pub fn on_stop(stop: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let (mut reader, writer) = io::pipe()?;
    let writer = Arc::new(writer);
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let (asked, writer) = (Arc::clone(&asked), Arc::clone(&writer));
        // SAFETY: the handler only swaps an atomic and calls write and _exit, which are async-signal-safe (signal-safety(7)).
        unsafe { signal_hook_registry::register(signal, move || at_signal(&asked, &writer)) }?;
    }
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        let mut byte = [0];
        // The pipe cannot end before the program does: the handler owns its other end. An error here leaves the second
        // signal, which needs no thread.
        if reader.read_exact(&mut byte).is_ok() {
            stop();
        }
    })?;
    Ok(())
}

fn at_signal(asked: &AtomicBool, writer: &io::PipeWriter) {
    if asked.swap(true, Ordering::SeqCst) {
        // SAFETY: _exit is async-signal-safe.
        unsafe { libc::_exit(i32::from(Exit::Interrupted.number())) }
    }
    // SAFETY: writes one byte from the stack to a descriptor that the handler owns; async-signal-safe.
    let _ = unsafe { libc::write(writer.as_raw_fd(), [1u8].as_ptr().cast(), 1) };
}
