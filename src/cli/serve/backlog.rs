//! How far `serve --once` has come, on a terminal: how many messages are still in the drop.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::ProgressBar;
use postroom::bus::view::{State, View};

use crate::cli::{Failure, print};

/// Fewer are handled before anybody wonders.
const MANY: u64 = 100;
const LOOK: Duration = Duration::from_millis(200);

/// A bar above which the service's notices are said.
pub struct Backlog {
    view: View,
    bar: ProgressBar,
}

/// The bar while it moves; it is gone with [`Moving::end`].
pub struct Moving {
    bar: ProgressBar,
    end: Sender<()>,
    looking: JoinHandle<()>,
}

impl Backlog {
    /// What is in the drop now. `None`: nobody watches, or it is not worth a bar.
    pub fn of(view: View) -> Result<Option<Backlog>, Failure> {
        if !print::shows_progress() {
            return Ok(None);
        }
        let count = view.count(State::Drop)? as u64;
        Ok((count >= MANY).then(|| Backlog { view, bar: print::progress(count, "messages") }))
    }

    pub fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }

    /// Looks on while the service works.
    pub fn follow(self) -> Moving {
        let Backlog { view, bar } = self;
        let (end, ended) = channel();
        bar.tick();
        let shown = bar.clone();
        Moving { bar, end, looking: std::thread::spawn(move || look(&view, &shown, &ended)) }
    }
}

impl Moving {
    pub fn end(self) {
        drop(self.end);
        // A look that failed has only shown less.
        let _ = self.looking.join();
        self.bar.finish_and_clear();
    }
}

fn look(view: &View, bar: &ProgressBar, ended: &Receiver<()>) {
    let all = bar.length().unwrap_or_default();
    while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        // What cannot be read now can be at the next look; more can have come meanwhile.
        if let Ok(left) = view.count(State::Drop) {
            bar.set_position(all.saturating_sub(left as u64));
        }
    }
}
