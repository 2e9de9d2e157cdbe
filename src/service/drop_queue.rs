//! The names in the drop that are to be looked at, and those that have to wait there, each for its reason.
//!
//! Nothing here is state: all of it can be found again by listing the folder.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::time::{Duration, Instant};

use super::claimed::Key;
use super::clock::Now;
use crate::bus::claim::{self, FileState};
use crate::bus::{BusError, Disk};
use crate::message::{AgentId, DEFAULT_PRIORITY};

/// Up to this many names are taken at a time; as many are put in order when they are read, so a short list needs no sorting.
pub const BATCH: usize = 256;

/// In a queue longer than a batch, so many names are looked at further down in each pass.
const PEEK: usize = 4096;
/// But no more once so many bytes were read for it.
const PEEK_BYTES: usize = 16 << 20;

/// A file that cannot be taken yet.
#[derive(Clone, Copy, Debug)]
struct Pending {
    state: FileState,
    /// When it was first seen in this state; `None` while somebody writes to it.
    since: Option<Instant>,
    /// It stands in the queue.
    is_queued: bool,
}

impl Pending {
    /// What is left of the grace time.
    fn left(&self, grace: Duration, now: Now) -> Option<Duration> {
        self.since.map(|since| (since + grace).saturating_duration_since(now.mono))
    }

    fn is_in(&self, state: &FileState) -> bool {
        let of = |state: &FileState| (state.inode, state.bytes, state.modified_ns, state.links);
        of(&self.state) == of(state)
    }
}

/// The place of a message in the queue of its lane.
type Order = (u8, i128, OsString);

/// A message that stays in the drop because its extension's lane is full, or the extension not yet taken up.
#[derive(Clone, Debug)]
pub struct Parked {
    pub sender: AgentId,
    pub bytes: u64,
}

#[derive(Debug, Default)]
pub struct DropQueue {
    queue: VecDeque<OsString>,
    /// How many names at the front of the queue were looked at for their priority.
    peeked: usize,
    /// Names that were taken out of the queue because their messages are more urgent than most, or less; in order.
    urgent: BTreeMap<(u8, u64), OsString>,
    late: BTreeMap<(u8, u64), OsString>,
    ranked: u64,
    pending: HashMap<OsString, Pending>,
    parked: HashMap<AgentId, BTreeMap<Order, Parked>>,
    parked_names: HashSet<OsString>,
    /// Extensions whose files are there, but not yet taken up: what is parked for them stays so meanwhile.
    awaited: HashSet<AgentId>,
    /// The same sender and id are being worked on: these wait for the end of that.
    blocked: HashMap<Key, Vec<OsString>>,
    blocked_names: HashSet<OsString>,
    /// Their ids are free after the next checkpoint.
    for_checkpoint: Vec<OsString>,
}

impl DropQueue {
    /// Lists the drop. What waits for a reason keeps waiting.
    pub fn scan(&mut self, disk: &Disk) -> Result<(), BusError> {
        let names = self.list(disk)?;
        let later = if names.is_empty() { Vec::new() } else { self.list(disk)? };
        self.queue = in_order(disk, names, later)?.into();
        self.pending.values_mut().for_each(|pending| pending.is_queued = false);
        self.peeked = 0;
        self.urgent.clear();
        self.late.clear();
        self.for_checkpoint.clear();
        Ok(())
    }

    fn list(&self, disk: &Disk) -> Result<Vec<OsString>, BusError> {
        let mut names: Vec<OsString> = Vec::new();
        claim::for_each_drop(disk, |name| {
            if !self.pending.contains_key(name)
                && !self.parked_names.contains(name)
                && !self.blocked_names.contains(name)
            {
                names.push(name.to_owned());
            }
        })?;
        Ok(names)
    }

    /// After an error: whatever was remembered of the drop is found again by the next scan. Gives back what was parked.
    pub fn forget(&mut self) -> Vec<Parked> {
        let parked = std::mem::take(&mut self.parked);
        let mut pending = std::mem::take(&mut self.pending);
        pending.values_mut().for_each(|pending| pending.is_queued = false);
        let awaited = std::mem::take(&mut self.awaited);
        *self = DropQueue { pending, awaited, ..DropQueue::default() };
        parked.into_values().flat_map(BTreeMap::into_values).collect()
    }

    /// An event named this file.
    pub fn push(&mut self, name: OsString) {
        let is_queued = |pending: &mut Pending| std::mem::replace(&mut pending.is_queued, true);
        if !self.parked_names.contains(&name)
            && !self.blocked_names.contains(&name)
            && !self.pending.get_mut(&name).is_some_and(is_queued)
        {
            self.queue.push_back(name);
        }
    }

    pub fn pop(&mut self) -> Option<OsString> {
        let name = self.next()?;
        if let Some(pending) = self.pending.get_mut(&name) {
            pending.is_queued = false;
        }
        Some(name)
    }

    fn next(&mut self) -> Option<OsString> {
        if let Some((_, name)) = self.urgent.pop_first() {
            return Some(name);
        }
        if let Some(name) = self.queue.pop_front() {
            self.peeked = self.peeked.saturating_sub(1);
            return Some(name);
        }
        self.late.pop_first().map(|(_, name)| name)
    }

    /// Looks further down a long queue for messages of another priority than most have, and puts them where they belong. A bit
    /// at a time, so that a backlog of 100,000 is answered from the start and its urgent messages within a second. What cannot
    /// be read now keeps its place.
    pub fn peek(&mut self, disk: &Disk, max_message_bytes: u64) {
        if self.queue.len() <= BATCH {
            return;
        }
        let end = self.queue.len().min(self.peeked + PEEK);
        let looked: Vec<OsString> = self.queue.drain(self.peeked..end).collect();
        let rest = self.queue.split_off(self.peeked);
        let (mut buffer, mut read) = (Vec::new(), 0);
        let mut looked = looked.into_iter();
        for name in looked.by_ref() {
            buffer.clear();
            let priority = claim::glance_at_priority(disk, &name, max_message_bytes, &mut buffer);
            read += buffer.len();
            match priority {
                Some(priority) if priority != DEFAULT_PRIORITY => {
                    self.ranked += 1;
                    let lane = if priority > DEFAULT_PRIORITY { &mut self.urgent } else { &mut self.late };
                    lane.insert((9 - priority.min(9), self.ranked), name);
                }
                Some(_) | None => self.queue.push_back(name),
            }
            if read >= PEEK_BYTES {
                break;
            }
        }
        self.peeked = self.queue.len();
        self.queue.extend(looked);
        self.queue.extend(rest);
    }

    pub fn len(&self) -> usize {
        self.queue.len() + self.urgent.len() + self.late.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Notes that a file is not ready. `true`: it has now been as it is for the whole of `grace`.
    pub fn not_ready(&mut self, name: &OsStr, state: FileState, grace: Duration, now: Now) -> bool {
        let new = Pending { state, since: None, is_queued: false };
        let pending = self.pending.entry(name.to_owned()).or_insert(new);
        let since = pending.since.filter(|_| pending.is_in(&state)).unwrap_or(now.mono);
        (pending.state, pending.since) = (state, Some(since));
        now.mono.saturating_duration_since(since) >= grace
    }

    /// Somebody writes to it: the grace time begins when that ends.
    pub fn being_written(&mut self, name: &OsStr, state: FileState) {
        self.pending.insert(name.to_owned(), Pending { state, since: None, is_queued: false });
    }

    /// Is this file as it was when it was found not to be ready, and is there grace left? Then it need not be read again. One that somebody
    /// has opened and not changed yet is met at the end of the grace.
    pub fn is_unchanged(&self, disk: &Disk, name: &OsStr, grace: Duration, now: Now) -> bool {
        let Some(pending) = self.pending.get(name) else { return false };
        let has_grace = pending.left(grace, now).is_some_and(|left| !left.is_zero());
        // What cannot be looked at now is told of by the look that follows.
        has_grace && claim::state_of(disk, name).is_ok_and(|state| state == Some(pending.state))
    }

    /// The file was taken, or is gone.
    pub fn settled(&mut self, name: &OsStr) {
        self.pending.remove(name);
    }

    /// Has every pending file looked at again.
    pub fn look_again(&mut self) {
        self.look_again_at(|_| true);
    }

    /// Each stands in the queue once, however often it is asked for.
    fn look_again_at(&mut self, is_wanted: impl Fn(&Pending) -> bool) {
        for (name, pending) in self.pending.iter_mut().filter(|(_, pending)| !pending.is_queued) {
            if is_wanted(pending) {
                pending.is_queued = true;
                self.queue.push_back(name.clone());
            }
        }
    }

    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Has every pending file looked at again that has not been seen to change for the whole grace time.
    pub fn look_at_still(&mut self, grace: Duration, now: Now) {
        self.look_again_at(|pending| pending.left(grace, now).is_some_and(|left| left.is_zero()));
    }

    /// How long until a pending file has been still for the whole grace time. One that is being written needs no look: its
    /// closing is an event, and the scans look at it too.
    pub fn next_look(&self, grace: Duration, now: Now) -> Option<Duration> {
        self.pending.values().filter_map(|pending| pending.left(grace, now)).min()
    }

    /// Leaves a message in the drop until its extension is there and the lane has room.
    pub fn park(&mut self, extension: &AgentId, order: Order, parked: Parked) {
        self.parked_names.insert(order.2.clone());
        self.parked.entry(extension.clone()).or_default().insert(order, parked);
    }

    /// Are messages for this extension waiting in the drop already? Then a new one goes behind them.
    pub fn has_parked(&self, extension: &AgentId) -> bool {
        self.parked.get(extension).is_some_and(|lane| !lane.is_empty())
    }

    /// Takes the first parked message of a lane that has room.
    pub fn pop_parked(&mut self, mut has_room: impl FnMut(&AgentId) -> bool) -> Option<(OsString, Parked)> {
        let awaited = &self.awaited;
        let mut is_next = |extension: &AgentId| !awaited.contains(extension) && has_room(extension);
        let (_, lane) = self.parked.iter_mut().find(|(extension, lane)| !lane.is_empty() && is_next(extension))?;
        let ((_, _, name), parked) = lane.pop_first()?;
        self.parked_names.remove(&name);
        Some((name, parked))
    }

    /// Waits anything for room in one of these lanes, and not for an extension to be taken up?
    pub fn has_parked_for(&self, is_one: impl Fn(&AgentId) -> bool) -> bool {
        let mut parked = self.parked.iter().filter(|(_, lane)| !lane.is_empty()).map(|(extension, _)| extension);
        parked.any(|extension| !self.awaited.contains(extension) && is_one(extension))
    }

    /// Messages for this extension wait until it is taken up. `true` if it is the first one.
    pub fn begin_wait(&mut self, extension: &AgentId) -> bool {
        self.awaited.insert(extension.clone())
    }

    /// Which extensions need no longer be waited for?
    pub fn end_waits(&mut self, mut is_coming: impl FnMut(&AgentId) -> bool) -> Vec<AgentId> {
        self.awaited.extract_if(|extension| !is_coming(extension)).collect()
    }

    /// Has what is parked for an extension looked at anew, before all else.
    pub fn unpark(&mut self, extension: &AgentId) -> Vec<Parked> {
        let lane = self.parked.remove(extension).unwrap_or_default();
        let in_front = |((_, _, name), parked): (Order, Parked)| {
            self.parked_names.remove(&name);
            self.queue.push_front(name);
            self.peeked += 1;
            parked
        };
        lane.into_iter().rev().map(in_front).collect()
    }

    pub fn parked_len(&self) -> u64 {
        self.parked_names.len() as u64
    }

    /// Leaves a message in the drop while another with its sender and id is being worked on.
    pub fn block(&mut self, key: Key, name: OsString) {
        self.blocked_names.insert(name.clone());
        self.blocked.entry(key).or_default().push(name);
    }

    /// The message with this key is done: who waited for it can go on.
    pub fn unblock(&mut self, key: &Key) {
        for name in self.blocked.remove(key).unwrap_or_default() {
            self.blocked_names.remove(&name);
            self.queue.push_back(name);
        }
    }

    pub fn wait_for_checkpoint(&mut self, name: OsString) {
        self.for_checkpoint.push(name);
    }

    pub fn needs_checkpoint(&self) -> bool {
        !self.for_checkpoint.is_empty()
    }

    pub fn after_checkpoint(&mut self) {
        self.queue.extend(self.for_checkpoint.drain(..));
    }
}

/// The names of a listing in the order of their change times, if they are more than are put in order when they are read; with those that it
/// missed. `later`: the names of a listing that was begun when that one had ended.
///
/// A listing is no snapshot: it can miss a file that was dropped while it went on, and have one that was dropped after that. Whatever is older
/// than a file of the first listing was there before the second began, so that one has it. What is younger is left to the next.
fn in_order(disk: &Disk, mut names: Vec<OsString>, later: Vec<OsString>) -> Result<Vec<OsString>, BusError> {
    let known: HashSet<&OsString> = names.iter().collect();
    let missed: Vec<OsString> = later.iter().filter(|name| !known.contains(name)).cloned().collect();
    if missed.is_empty() && names.len() <= BATCH {
        names.sort_unstable();
        return Ok(names);
    }
    let mut dated = with_change_times(disk, names)?;
    let youngest = dated.iter().map(|(changed_ns, _)| *changed_ns).max();
    let missed = with_change_times(disk, missed)?.into_iter();
    dated.extend(missed.filter(|(changed_ns, _)| Some(*changed_ns) <= youngest));
    dated.sort_unstable();
    Ok(dated.into_iter().map(|(_, name)| name).collect())
}

fn with_change_times(disk: &Disk, names: Vec<OsString>) -> Result<Vec<(i128, OsString)>, BusError> {
    let mut dated = Vec::with_capacity(names.len());
    for name in names {
        // Gone meanwhile: not there to be ordered.
        let Some(state) = claim::state_of(disk, &name)? else { continue };
        dated.push((state.changed_ns, name));
    }
    Ok(dated)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(5);

    fn at(start: Now, seconds: u64) -> Now {
        Now { mono: start.mono + Duration::from_secs(seconds), ..start }
    }

    #[test]
    fn a_listing_that_missed_what_is_older_is_completed_and_what_is_younger_waits_for_the_next() {
        let bus = tempfile::tempdir().expect("a folder");
        let disk = Disk::open(bus.path()).expect("opened");
        let mut before = 0;
        for name in ["c", "b", "a"] {
            // Each in a later tick of the clock than the one before.
            let changed = || {
                std::fs::write(bus.path().join(name), "").expect("written");
                claim::state_of(&disk, OsStr::new(name)).expect("looked").expect("there").changed_ns
            };
            before = std::iter::repeat_with(changed).find(|changed| *changed > before).expect("without end");
        }
        let order = |names: &[&str], later: &[&str]| -> Vec<String> {
            let [names, later] = [names, later].map(|names| names.iter().map(OsString::from).collect());
            let order = in_order(&disk, names, later).expect("looked");
            order.into_iter().map(|name| name.into_string().expect("text")).collect()
        };
        assert_eq!(order(&["b"], &["a", "b", "c"]), ["c", "b"]);
        assert_eq!(order(&["b"], &["a", "gone"]), ["b"]);
        assert_eq!(order(&["b", "c"], &["c"]), ["b", "c"], "few are put in order when they are read");
    }

    #[test]
    fn what_is_not_ready_stands_in_the_queue_once_and_is_read_again_when_it_has_changed_or_its_grace_is_over() {
        let bus = tempfile::tempdir().expect("a folder");
        let (disk, name, start) = (Disk::open(bus.path()).expect("opened"), OsString::from("a.json"), Now::get());
        let write = |text: &str| {
            std::fs::write(bus.path().join(&name), text).expect("written");
            claim::state_of(&disk, &name).expect("looked").expect("there")
        };
        let mut queue = DropQueue::default();
        assert!(!queue.not_ready(&name, write("{"), GRACE, start));
        for _ in 0..3 {
            queue.look_again();
            queue.look_at_still(GRACE, at(start, 5));
            queue.push(name.clone());
        }
        assert_eq!((queue.pop(), queue.pop()), (Some(name.clone()), None));
        queue.look_again();
        assert_eq!(queue.len(), 1, "it was taken out, so it may be asked for");
        assert!(queue.is_unchanged(&disk, &name, GRACE, at(start, 4)));
        assert!(!queue.is_unchanged(&disk, &name, GRACE, at(start, 5)));
        assert!(queue.not_ready(&name, claim::state_of(&disk, &name).unwrap().unwrap(), GRACE, at(start, 5)));
        write("{}");
        assert!(!queue.is_unchanged(&disk, &name, GRACE, at(start, 4)));
        assert!(!queue.is_unchanged(&disk, OsStr::new("b.json"), GRACE, at(start, 4)), "nothing is known of it");
    }
}
