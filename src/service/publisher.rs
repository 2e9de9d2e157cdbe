//! Publishes and finishes what is decided, beside the line: while one batch becomes visible, the next one is claimed and
//! decided.
//!
//! One thread, so everything becomes visible in the order in which it was decided. It makes the renames out of the room and
//! nothing else; what follows from them is remembered by the service's own thread, which takes the results. The thread is
//! begun with the first batch that is worth it and ends with the active service that owns it.
//!
//! Absent on purpose: commits (only what the log holds comes here), and a second thread (the kernel makes renames across
//! folders one after the other).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

use super::decide::Decision;
use crate::bus::publish::{self, Folders};
use crate::bus::room::Room;
use crate::bus::{BusError, Disk};

/// Fewer decisions than this are carried out sooner by whoever has them than by a thread that has to be woken.
const WORTH_A_THREAD: usize = 4;

/// A decision that was carried out, or why not.
pub type Outcome = (Arc<Decision>, Result<(), BusError>);

/// Carries out decisions, in their order.
pub struct Publisher {
    disk: Arc<Disk>,
    room: Arc<Room>,
    thread: Option<Thread>,
    /// What the thread has, oldest first; it answers in this order.
    in_hand: VecDeque<Arc<Decision>>,
}

struct Thread {
    batches: Option<Sender<Vec<Arc<Decision>>>>,
    results: Receiver<Result<(), BusError>>,
    handle: Option<JoinHandle<()>>,
}

impl Publisher {
    pub fn new(disk: Arc<Disk>, room: Arc<Room>) -> Publisher {
        Publisher { disk, room, thread: None, in_hand: VecDeque::new() }
    }

    /// Carries out a batch, or hands it to the thread. What is done when this returns comes back at once.
    /// `folders`: those that were opened for this batch.
    pub fn publish(&mut self, batch: Vec<Arc<Decision>>, folders: &mut Folders) -> Vec<Outcome> {
        if self.in_hand.is_empty() && batch.len() < WORTH_A_THREAD {
            return self.publish_here(batch, folders);
        }
        if self.thread.is_none() {
            self.thread = Thread::begin(&self.disk, &self.room).ok();
        }
        // The system has no thread to give: then as if there were none to be had.
        let Some(batches) = self.thread.as_ref().and_then(|thread| thread.batches.as_ref()) else {
            return self.publish_here(batch, folders);
        };
        self.in_hand.extend(batch.iter().cloned());
        // The thread is gone only after a panic, which `take` meets.
        let _ = batches.send(batch);
        Vec::new()
    }

    fn publish_here(&self, batch: Vec<Arc<Decision>>, folders: &mut Folders) -> Vec<Outcome> {
        let carry_out = |decision: Arc<Decision>| {
            let done = carry_out(&self.disk, &self.room, folders, &decision);
            (decision, done)
        };
        batch.into_iter().map(carry_out).collect()
    }

    /// What the thread has, oldest first.
    pub fn in_hand(&self) -> impl Iterator<Item = &Arc<Decision>> {
        self.in_hand.iter()
    }

    pub fn len(&self) -> usize {
        self.in_hand.len()
    }

    pub fn is_idle(&self) -> bool {
        self.in_hand.is_empty()
    }

    /// The next outcome, if there is one now.
    pub fn try_take(&mut self) -> Option<Outcome> {
        let thread = self.thread.as_mut().filter(|_| !self.in_hand.is_empty())?;
        match thread.results.try_recv() {
            Ok(done) => self.in_hand.pop_front().map(|decision| (decision, done)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => thread.end(),
        }
    }

    /// The next outcome; waits for it. `None`: the thread has nothing in hand.
    pub fn take(&mut self) -> Option<Outcome> {
        let thread = self.thread.as_mut().filter(|_| !self.in_hand.is_empty())?;
        match thread.results.recv() {
            Ok(done) => self.in_hand.pop_front().map(|decision| (decision, done)),
            Err(_) => thread.end(),
        }
    }
}

impl Thread {
    fn begin(disk: &Arc<Disk>, room: &Arc<Room>) -> std::io::Result<Thread> {
        let (batches, work) = channel::<Vec<Arc<Decision>>>();
        let (done, results) = channel();
        let (disk, room) = (disk.clone(), room.clone());
        let run = move || {
            for batch in work {
                // Opened anew for each batch: whoever removed a folder meanwhile is noticed.
                let mut folders = Folders::default();
                for decision in batch {
                    let outcome = carry_out(&disk, &room, &mut folders, &decision);
                    drop(decision);
                    // The receiver is gone only when the service has ended; what is decided the next one carries out.
                    if done.send(outcome).is_err() {
                        return;
                    }
                }
            }
        };
        let handle = std::thread::Builder::new().name("publish".to_owned()).spawn(run)?;
        Ok(Thread { batches: Some(batches), results, handle: Some(handle) })
    }

    /// The thread has ended with something still in hand: a panic in it is one of the service.
    fn end<T>(&mut self) -> Option<T> {
        self.batches = None;
        if let Some(Err(panic)) = self.handle.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
        None
    }
}

impl Drop for Thread {
    /// The thread ends with its service: nothing is published after that.
    fn drop(&mut self) {
        self.batches = None;
        if let Some(handle) = self.handle.take() {
            // A panic there has been met by `take`, or this is the end of a panic here.
            let _ = handle.join();
        }
    }
}

fn carry_out(disk: &Disk, room: &Room, folders: &mut Folders, decision: &Decision) -> Result<(), BusError> {
    let record = &decision.record;
    room.beat_if_due(disk)?;
    publish::publish(disk, room, &|staged| room.file(staged), folders, record)?;
    let claimed = room.file(record.claim.file_name());
    publish::finish(disk, room, &claimed, folders, &record.finish)
}
