//! Publishes and finishes what is decided, beside the line: while one batch becomes visible, the next one is claimed and
//! decided.
//!
//! One thread, so everything becomes visible in the order in which it was decided. It makes the renames out of the room and
//! nothing else; what follows from them is remembered by the service's own thread, which takes the results. The thread is
//! begun with the first batch that is worth it and ends with the active service that owns it.
//!
//! A registration is the one thing that a later decision replaces: while one of its changes cannot be carried out, those after it wait.
//!
//! Absent on purpose: commits (only what the log holds comes here), and a second thread (the kernel makes renames across
//! folders one after the other).

use std::cell::{RefCell, RefMut};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::decide::Decision;
use super::wake::{Wake, Waker};
use crate::bus::folders::Folders;
use crate::bus::layout;
use crate::bus::publish;
use crate::bus::room::Room;
use crate::bus::{BusError, Disk};

/// Fewer decisions than this are carried out sooner by whoever has them than by a thread that has to be woken.
const WORTH_A_THREAD: usize = 4;

/// Outcomes are handed over in groups of this size: to hand one over costs as much as a rename.
const TOLD: usize = 32;

/// A decision that was carried out, or why not.
pub type Outcome = (Arc<Decision>, Result<(), BusError>);

/// Carries out decisions, in their order.
pub struct Publisher {
    disk: Arc<Disk>,
    room: Arc<Room>,
    thread: Option<Thread>,
    /// Open for what is carried out here.
    folders: RefCell<Folders>,
    /// What the thread has, oldest first; it answers in this order.
    in_hand: VecDeque<Arc<Decision>>,
    gate: Arc<Gate>,
    held_back: Arc<HeldBack>,
    /// Whom the thread tells that it is done with a batch.
    wake: Waker,
}

/// Of each agent whose registration could not be changed, the numbers of the decisions that are still to change it.
#[derive(Default)]
struct HeldBack {
    of: Mutex<HashMap<String, BTreeSet<u64>>>,
}

impl HeldBack {
    /// What it guards is changed in one step, so it is right after a panic, too.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, BTreeSet<u64>>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries out a decision, unless one before it is to change the same registration first.
    fn carry_out(&self, disk: &Disk, room: &Room, folders: &mut Folders, decision: &Decision) -> Result<(), BusError> {
        let effects = decision.record.effects.iter();
        let changed: Vec<&String> = effects.filter_map(|effect| effect.to.registration()).collect();
        if changed.is_empty() {
            return carry_out(disk, room, folders, decision);
        }
        let is_behind = |agent: &&&String| {
            self.lock().get(**agent).and_then(BTreeSet::first).is_some_and(|first| *first < decision.number)
        };
        let done = match changed.iter().find(is_behind) {
            Some(agent) => {
                let what = "is to be changed first by an earlier message".to_owned();
                Err(BusError::Damaged { path: layout::agent_file(agent), what })
            }
            None => carry_out(disk, room, folders, decision),
        };
        let mut of = self.lock();
        for agent in changed {
            let numbers = of.entry(agent.clone()).or_default();
            match &done {
                Ok(()) => _ = numbers.remove(&decision.number),
                Err(_) => _ = numbers.insert(decision.number),
            }
        }
        of.retain(|_, numbers| !numbers.is_empty());
        done
    }
}

/// Where the thread rests between two decisions while the line has asked for it.
#[derive(Default)]
struct Gate {
    state: Mutex<GateState>,
    opened: Condvar,
}

#[derive(Default)]
struct GateState {
    is_closed: bool,
    /// The thread stands before it. Waking nobody costs a system call, too.
    is_awaited: bool,
}

/// The thread begins nothing until this is dropped, or somebody waits for it. What it is at goes on.
pub struct Pause(Arc<Gate>);

struct Thread {
    batches: Option<Sender<Vec<Arc<Decision>>>>,
    results: Receiver<Vec<Outcome>>,
    /// What it has told of, and nobody has taken.
    told: VecDeque<Outcome>,
    handle: Option<JoinHandle<()>>,
}

impl Publisher {
    pub fn new(disk: Arc<Disk>, room: Arc<Room>, wake: Waker) -> Publisher {
        Publisher {
            disk,
            room,
            thread: None,
            folders: RefCell::default(),
            in_hand: VecDeque::new(),
            gate: Arc::default(),
            held_back: Arc::default(),
            wake,
        }
    }

    /// Carries out a batch, or hands it to the thread. What is done when this returns comes back at once.
    pub fn publish(&mut self, batch: Vec<Arc<Decision>>) -> Vec<Outcome> {
        if self.in_hand.is_empty() && batch.len() < WORTH_A_THREAD {
            return self.publish_here(batch);
        }
        if self.thread.is_none() {
            self.thread = Thread::begin(self).ok();
        }
        // The system has no thread to give: then as if there were none to be had.
        let Some(batches) = self.thread.as_ref().and_then(|thread| thread.batches.as_ref()) else {
            return self.publish_here(batch);
        };
        self.in_hand.extend(batch.iter().cloned());
        // The thread is gone only after a panic, which `take` meets.
        let _ = batches.send(batch);
        Vec::new()
    }

    fn publish_here(&self, batch: Vec<Arc<Decision>>) -> Vec<Outcome> {
        let mut folders = self.folders.borrow_mut();
        let carry_out = |decision: Arc<Decision>| {
            let done = self.held_back.carry_out(&self.disk, &self.room, &mut folders, &decision);
            (decision, done)
        };
        batch.into_iter().map(carry_out).collect()
    }

    /// The folders that are open for what is carried out here: whoever looks at one may know it.
    pub fn folders(&self) -> RefMut<'_, Folders> {
        self.folders.borrow_mut()
    }

    /// Holds up the thread. For speed alone: waiting for it ends the pause.
    pub fn pause(&self) -> Pause {
        self.gate.lock().is_closed = true;
        Pause(self.gate.clone())
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
        if thread.told.is_empty() {
            match thread.results.try_recv() {
                Ok(told) => thread.told = told.into(),
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Disconnected) => return thread.end(),
            }
        }
        // It answers in this order, so that is the same one.
        self.in_hand.pop_front();
        thread.told.pop_front()
    }

    /// The next outcome; waits for it. `None`: the thread has nothing in hand.
    pub fn take(&mut self) -> Option<Outcome> {
        let thread = self.thread.as_mut().filter(|_| !self.in_hand.is_empty())?;
        self.gate.open();
        if thread.told.is_empty() {
            match thread.results.recv() {
                Ok(told) => thread.told = told.into(),
                Err(_) => return thread.end(),
            }
        }
        // It answers in this order, so that is the same one.
        self.in_hand.pop_front();
        thread.told.pop_front()
    }
}

impl Thread {
    fn begin(of: &Publisher) -> std::io::Result<Thread> {
        let (batches, work) = channel::<Vec<Arc<Decision>>>();
        let (done, results) = channel();
        let (disk, room, wake) = (of.disk.clone(), of.room.clone(), of.wake.clone());
        let (gate, held_back) = (of.gate.clone(), of.held_back.clone());
        let run = move || {
            for batch in work {
                // Opened anew for each batch: whoever removed a folder meanwhile is noticed.
                let mut folders = Folders::default();
                let mut rest = batch.into_iter();
                while !rest.as_slice().is_empty() {
                    // With the decision, so that whoever made it gives back its memory, too.
                    let told = rest.by_ref().take(TOLD).map(|decision| {
                        gate.pass();
                        let done = held_back.carry_out(&disk, &room, &mut folders, &decision);
                        (decision, done)
                    });
                    let told: Vec<Outcome> = told.collect();
                    // The receiver is gone only when the service has ended; what is decided the next one carries out.
                    if done.send(told).is_err() {
                        return;
                    }
                }
                wake.wake(Wake::Published);
            }
        };
        let handle = std::thread::Builder::new().name("publish".to_owned()).spawn(run)?;
        Ok(Thread { batches: Some(batches), results, told: VecDeque::new(), handle: Some(handle) })
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

impl Gate {
    /// What it guards is set in one step, so it is right after a panic, too.
    fn lock(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) {
        let mut state = self.lock();
        state.is_closed = false;
        if state.is_awaited {
            self.opened.notify_one();
        }
    }

    fn pass(&self) {
        let mut state = self.lock();
        while state.is_closed {
            state.is_awaited = true;
            state = self.opened.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.is_awaited = false;
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        self.0.open();
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::super::attempted::tests::Bus;
    use super::*;
    use crate::bus::layout::{ClaimName, Ticket};
    use crate::bus::record::{Finish, Record, Story};

    /// The thread stands before a closed gate: the test ends the program if the wait for it does not end.
    #[test]
    fn whoever_waits_for_the_thread_ends_its_pause() {
        let bus = Bus::new();
        let mut active = bus.serve();
        let decision = |number| {
            let claim = ClaimName::first(Ticket::new(), "m.json".as_ref());
            let finish = Finish::Deferred { name: claim.waiting(1) };
            let (term, place) = (active.room.term, active.room.place.clone());
            let story = Story::default();
            let record =
                Record { term, place, claim, finish, effects: Vec::new(), ahead: None, id: None, answers: None, story };
            let (parts, sent) = (Vec::new(), Vec::new());
            Arc::new(Decision {
                record,
                message: None,
                key: None,
                parts,
                sent,
                due: None,
                bytes: 0,
                number,
                staged: true,
            })
        };
        let batch: Vec<Arc<Decision>> = (1..=8).map(decision).collect();
        let pause = active.publisher.pause();
        assert!(active.publisher.publish(batch).is_empty() && active.publisher.len() == 8, "the thread has them");
        let (done, waits) = channel::<()>();
        let watchdog = std::thread::spawn(move || {
            if waits.recv_timeout(Duration::from_secs(60)) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                eprintln!("waiting for the publisher did not end");
                std::process::abort();
            }
        });
        assert_eq!(std::iter::from_fn(|| active.publisher.take()).count(), 8);
        drop((done, pause));
        watchdog.join().expect("the watchdog");
    }
}
