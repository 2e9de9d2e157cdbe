//! Makes a log longer in a thread of its own, so that nobody waits for the tenths of a second that this takes.
//!
//! Zeros and not a mere reservation: in blocks that were never written each sync would have to note that they are now.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

/// The first step is short: somebody may be waiting for it.
const FIRST: u64 = 1 << 20;
const STEP: u64 = 4 << 20;

/// A thread that writes zeros behind what is in a file.
#[derive(Debug)]
pub struct Zeroing {
    /// How long the file is, after each step. The thread ends when nobody listens.
    reached: Option<Receiver<u64>>,
    thread: Option<JoinHandle<()>>,
}

impl Zeroing {
    /// `from`, `to`: bytes of the file. Nobody else may write at or behind `from`, but where the file is said to reach.
    pub fn begin(file: File, from: u64, to: u64) -> io::Result<Zeroing> {
        let (told, reached) = channel();
        let run = move || {
            // What stands in the way will be met, and told, by whoever makes the file longer then.
            let _ = zero(&file, from, to, &told);
        };
        let thread = thread::Builder::new().name("zeros".to_owned()).spawn(run)?;
        Ok(Zeroing { reached: Some(reached), thread: Some(thread) })
    }

    /// How far the file reaches: at least to `needed` bytes, unless the thread has ended before.
    pub fn wait_for(&self, needed: u64) -> u64 {
        let mut far = 0;
        for reached in self.reached.iter().flatten() {
            far = reached;
            if far >= needed {
                break;
            }
        }
        far
    }
}

fn zero(file: &File, from: u64, to: u64, told: &Sender<u64>) -> io::Result<()> {
    let zeros = vec![0; STEP as usize];
    let mut at = from;
    while at < to {
        let len = if at == from { FIRST } else { STEP }.min(to - at);
        file.write_all_at(&zeros[..len as usize], at)?;
        file.sync_data()?;
        at += len;
        if told.send(at).is_err() {
            break;
        }
    }
    Ok(())
}

impl Drop for Zeroing {
    /// Ends with the step that it is at.
    fn drop(&mut self) {
        self.reached = None;
        if let Some(thread) = self.thread.take() {
            // A panic there is of no account: nothing has been said of what was not done.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gets_longer_and_what_is_in_it_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        std::fs::write(&path, b"12345").expect("written");
        let file = File::options().write(true).open(&path).expect("opened");
        let (half, to) = (FIRST + STEP, FIRST + 2 * STEP);
        let zeroing = Zeroing::begin(file, 5, 5 + to).expect("a thread");
        assert_eq!(zeroing.wait_for(1), 5 + FIRST);
        assert_eq!(zeroing.wait_for(5 + half), 5 + half);
        assert_eq!(zeroing.wait_for(u64::MAX), 5 + to, "then it has ended");
        let text = std::fs::read(&path).expect("read");
        assert_eq!((&text[..5], text.len() as u64), (&b"12345"[..], 5 + to));
        assert!(text[5..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn what_cannot_be_zeroed_is_not_said_to_be() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let only_read = File::open(file.path()).expect("opened");
        let zeroing = Zeroing::begin(only_read, 0, FIRST).expect("a thread");
        assert_eq!(zeroing.wait_for(1), 0);
    }
}
