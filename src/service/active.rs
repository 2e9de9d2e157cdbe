//! The active service: everything it knows while the room is its own, and the loop it lives in.
//!
//! All of it but the room, the log and what is in the folders can be lost at any moment: it is found again by listing.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::bus::ahead::Ahead;
use crate::bus::claim::Opened;
use crate::bus::ids::Ids;
use crate::bus::journal::Journal;
use crate::bus::layout::ClaimName;
use crate::bus::log::{Log, Note};
use crate::bus::record::EarlierAttempt;
use crate::bus::room::Room;
use crate::bus::{self, BusError, Disk, journal, recover, retention, term};
use crate::control;
use crate::message::AgentId;
use crate::policy::rate::Rates;

use super::attempted::vain::Vain;
use super::calendar::Calendar;
use super::check::InboxState;
use super::claimed::Key;
use super::clock::Now;
use super::dates::Dates;
use super::decide::Decision;
use super::drop_queue::{BATCH, DropQueue};
use super::early_sync::EarlySync;
use super::inbox_names::InboxNames;
use super::inboxes::Inboxes;
use super::lanes::Lanes;
use super::notice::Notice;
use super::publisher::Publisher;
use super::registry::Registry;
use super::stored::StateStore;
use super::tell::FirstStep;
use super::tend::Tend;
use super::trouble::Trouble;
use super::waiting::{Senders, Waiting};
use super::wake::Wakes;
use super::{Core, Mode};

/// A claim that lies in the room and is to be worked on next.
#[derive(Clone, Debug)]
pub struct Ready {
    pub name: ClaimName,
    pub suspect: bool,
    /// It was deferred until then, Unix milliseconds.
    pub waited_until: Option<u64>,
    pub earlier: Vec<EarlierAttempt>,
    /// Has its sender's rate been asked?
    pub turn: Turn,
}

/// Whether a message has had its turn by its sender's rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Or needs none.
    Had,
    /// It was claimed from the drop, and nothing more is known.
    Unknown,
}

impl Ready {
    pub fn new(name: ClaimName) -> Ready {
        Ready { name, suspect: false, waited_until: None, earlier: Vec::new(), turn: Turn::Had }
    }

    /// One that was claimed, but not decided by whoever claimed it.
    pub fn undecided(name: ClaimName) -> Ready {
        Ready { turn: Turn::Unknown, ..Ready::new(name) }
    }
}

/// Why the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Stopped,
    /// Another service has the bus now.
    Replaced,
}

pub struct Active<'a> {
    pub(super) core: &'a Core,
    pub(super) room: Arc<Room>,
    pub(super) log: Log,
    pub(super) journal: Journal,
    /// What the journal is still to be told.
    pub(super) first_steps: Vec<FirstStep>,
    pub(super) ids: Ids,
    pub(super) registry: Registry,
    pub(super) extensions: Vec<control::Extension>,
    pub(super) drop: DropQueue,
    pub(super) lanes: Lanes,
    /// What extensions keep.
    pub(super) state: Arc<StateStore>,
    /// Messages whose handlers the disk has made run in vain.
    pub(super) vain: Vain,
    pub(super) waiting: Waiting,
    pub(super) senders: Senders,
    pub(super) rates: Rates,
    /// Dead letters that are in the room again, or no more, by a request that is not answered yet.
    pub(super) carried_out: Vec<ClaimName>,
    pub(super) inboxes: Inboxes,
    /// Claims in the room that nobody works on yet.
    pub(super) ready: VecDeque<Ready>,
    /// Claims in the room that cannot be worked on now (see [`Active::read_in_room`]): ready again with the next scan.
    pub(super) busy: Vec<Ready>,
    /// The one message that runs alone, and until when nothing else is started.
    pub(super) alone: Option<ClaimName>,
    /// Sender and id of every message in hand.
    pub(super) in_flight: HashSet<Key>,
    /// Files of the drop that were read for this batch, while they are open.
    pub(super) read: Vec<Opened>,
    /// Decided in memory, not yet in the log.
    pub(super) unsettled: Vec<Decision>,
    /// How many decisions this service has made or taken over.
    pub(super) decided: u64,
    /// Decided in the log, not yet published and finished, and not with the publisher.
    pub(super) unfinished: Vec<Arc<Decision>>,
    /// How many of these recovery has left.
    pub(super) inherited: usize,
    pub(super) publisher: Publisher,
    pub(super) ahead: Ahead,
    pub(super) early_sync: EarlySync,
    /// More is dropped than events are needed for: the drop is listed each time it has been worked off.
    pub(super) is_flooded: bool,
    /// Ids that become free at the next checkpoint.
    pub(super) released: Vec<(crate::bus::layout::Ticket, Key)>,
    /// What is in the place of the inboxes that this batch has looked at.
    pub(super) inbox_states: RefCell<HashMap<AgentId, InboxState>>,
    pub(super) inbox_names: InboxNames,
    /// Inboxes that what is not yet published will make.
    pub(super) coming: HashSet<AgentId>,
    pub(super) calendar: Calendar,
    pub(super) trouble: Trouble,
    /// What failed last.
    pub(super) wrong: String,
    /// The message in `deferred/` that is due and could not be taken back.
    pub(super) resume_failed: Option<String>,
    pub(super) stop_at: Option<Instant>,
    /// The file system could not be synced: the log is never begun again in this term.
    pub(super) pinned: bool,
    /// Everything is settled and synced: only the empty room is still to be removed.
    pub(super) left: bool,
    /// An error may have left claims in the room that no list here names.
    pub(super) relist: bool,
    pub(super) began: Instant,
    pub(super) packing: Option<super::tend::Packing>,
    pub(super) requested: bool,
    pub(super) look_at_extensions: bool,
    /// Nothing is claimed before the set of extensions is loaded that was there when this service became active.
    pub(super) waits_for_extensions: bool,
    pub(super) scan_at: Instant,
    /// When it is tried again to watch a bus that is not watched.
    pub(super) watch_at: Instant,
    pub(super) beat_at: Instant,
    /// The housekeeping.
    pub(super) tend: Tend,
    pub(super) dates: Dates,
}

impl<'a> Active<'a> {
    /// Takes over what others left, and reads what is remembered. Nothing is claimed before this has succeeded.
    pub fn begin(core: &'a Core, room: Room, mut log: Log) -> Result<Active<'a>, BusError> {
        let (disk, settings) = (&core.disk, &core.settings);
        let now = Now::get();
        term::take_others(disk, &room)?;
        let instance = room.uuid.simple().to_string()[24..].to_owned();
        let mut journal = Journal::new(instance, room.term);
        let days = retention::newest_days(disk)?;
        let dates = Dates::begin(now, &days, settings.shortest_days());
        let mut calendar = Calendar::begin(days.into_iter().next());
        calendar.set(now.wall_ms, dates.belief());
        let mut ids = Ids::load(disk, &room, settings.bus.dedup_days, now.wall_ms)?;
        let recovered =
            recover::recover(disk, &room, &mut log, &mut journal, &mut ids, core.durability(), &calendar.day)?;
        if recovered.rooms > 0 {
            let (rooms, decided, undecided) = (recovered.rooms, recovered.records, recovered.adopted.len());
            core.say(&Notice::Recovered { rooms, decided, undecided });
        }
        for path in &recovered.moved_aside {
            core.say(&Notice::MovedAside { path: disk.path().join(path) });
        }
        let mut registry = Registry::default();
        registry.refresh(disk)?;
        let (mut senders, mut rates) = (Senders::default(), Rates::default());
        let waiting = Waiting::load(disk, &|| room.beat_if_due(disk), now, settings, &mut senders, &mut rates)?;
        let state = Arc::new(StateStore::new(disk.clone()));
        let (host, runtime) = core.installed.current();
        let extensions = host.packages().map(described).collect();
        let lanes = Lanes::new(host, runtime, state.clone(), core.wake.clone());
        let room = Arc::new(room);
        let publisher = Publisher::new(core.disk.clone(), room.clone(), core.wake.clone());
        let ready = recovered.adopted.into_iter();
        let ready = ready.map(|adopted| Ready { suspect: adopted.suspect, ..Ready::undecided(adopted.name) });
        let mut active = Active {
            core,
            room,
            log,
            journal,
            first_steps: Vec::new(),
            ids,
            registry,
            extensions,
            drop: DropQueue::default(),
            lanes,
            state,
            vain: Vain::default(),
            waiting,
            senders,
            rates,
            carried_out: Vec::new(),
            inboxes: Inboxes::default(),
            ready: ready.collect(),
            busy: Vec::new(),
            alone: None,
            pinned: false,
            left: false,
            in_flight: HashSet::new(),
            read: Vec::new(),
            unsettled: Vec::new(),
            decided: 0,
            unfinished: Vec::new(),
            inherited: 0,
            publisher,
            ahead: Ahead::default(),
            early_sync: EarlySync::default(),
            is_flooded: false,
            released: Vec::new(),
            inbox_states: RefCell::default(),
            inbox_names: InboxNames::default(),
            coming: HashSet::new(),
            calendar,
            trouble: Trouble::default(),
            wrong: String::new(),
            resume_failed: None,
            stop_at: None,
            // Recovery has published deliveries of a split into the room, too, and those no list names yet.
            relist: recovered.rooms > 0,
            began: now.mono,
            packing: None,
            requested: true,
            look_at_extensions: true,
            waits_for_extensions: false,
            scan_at: now.mono,
            watch_at: now.mono + Duration::from_millis(settings.bus.rescan_ms),
            beat_at: now.mono,
            tend: Tend::new(now.mono),
            dates,
        };
        active.inherit(recovered.unfinished, now);
        if recovered.rooms > 0
            && let Err(error) = active.checkpoint(now)
            && !active.pinned
        {
            return Err(error);
        }
        // While this service stood by, the folder may have changed: what is for a new extension is not to be refused.
        active.take_up_extensions();
        active.waits_for_extensions = core.installed.is_loading();
        Ok(active)
    }

    /// Works until it is stopped or replaced; in [`Mode::Once`] also until nothing is left to do.
    pub fn run(mut self, wakes: &mut Wakes, mode: Mode) -> Result<End, BusError> {
        if mode == Mode::UntilStopped {
            self.ahead = Ahead::wanted();
            self.log.preallocate(&self.core.disk, &self.room);
        }
        // How many decisions there were, and since when there are no more.
        let mut progress = (0, self.began);
        loop {
            let now = Now::get();
            match self.turn(now) {
                Ok(()) => {
                    let is_looked_through = self.drop.is_empty() && self.ready.is_empty() && self.vain.is_empty();
                    if is_looked_through && self.resume_failed.is_none() {
                        self.trouble.all_looked_through();
                    }
                    if self.unfinished.is_empty() && self.publisher.is_idle() {
                        self.trouble.end_aside();
                    }
                    if self.trouble.over() {
                        self.core.say(&Notice::Well);
                    }
                }
                Err(BusError::RoomGone) => return Ok(self.replaced()),
                Err(error) if error.is_transient() => {
                    self.start_over(now);
                    if self.trouble.begin(now.mono) {
                        self.core.say(&Notice::Trouble { what: error.to_string() });
                    }
                    self.wrong = error.to_string();
                }
                Err(error) => {
                    // What still runs could not be decided on this bus any more.
                    self.lanes.cancel_running();
                    return Err(error);
                }
            }
            if progress.0 != self.decided {
                progress = (self.decided, now.mono);
            }
            let stands_still = now.mono.saturating_duration_since(progress.1) >= super::PATIENCE;
            if mode == Mode::Once && stands_still && self.trouble.lasts(now.mono) >= super::PATIENCE {
                self.lanes.cancel_running();
                return Err(BusError::GaveUp { what: self.wrong });
            }
            self.hurry(now);
            if self.is_overdue(now) {
                self.lanes.cancel_running();
                return Ok(End::Stopped);
            }
            if self.is_stopped(now, mode) {
                return self.leave_for_good();
            }
            // First: whoever waits must be told of what is dropped.
            self.choose_watch(wakes);
            self.receive(wakes);
        }
    }

    /// A step failed: the folders say what there is to do. What is decided is kept and gone on with.
    fn start_over(&mut self, now: Now) {
        self.relist = true;
        for parked in self.drop.forget() {
            self.senders.remove(&parked.sender, parked.bytes);
        }
        self.scan_at = now.mono;
    }

    /// One round: sign of life, lists, then everything that is there to be done, one batch.
    pub(super) fn turn(&mut self, now: Now) -> Result<(), BusError> {
        let settings = &self.core.settings;
        if now.mono >= self.beat_at {
            self.room.beat(&self.core.disk)?;
            self.beat_at = now.mono + term::beat_interval(Duration::from_millis(settings.bus.look_ms));
        }
        if self.trouble.is_waiting(now.mono) {
            return Ok(());
        }
        let scan = now.mono >= self.scan_at && self.stop_at.is_none();
        if scan || self.requested || self.is_time_to_tend(now) {
            // What is looked at now is to be there as it was decided.
            self.wait_for_publisher(0, now)?;
        }
        if scan {
            bus::check(&self.core.disk)?;
            self.registry.refresh(&self.core.disk)?;
            self.drop.look_again();
            // A long queue is worked off first: a listing finds the same names again.
            if self.drop.len() < BATCH {
                self.drop.scan(&self.core.disk)?;
                self.drop.look_again();
                self.trouble.look_again();
            }
            self.ready.extend(self.busy.drain(..));
            self.inboxes.forget_folders();
            self.publisher.folders().forget_all();
            self.requested = true;
            self.look_at_extensions = true;
            self.scan_at = now.mono + Duration::from_millis(settings.bus.rescan_ms);
        }
        if std::mem::take(&mut self.look_at_extensions) && self.stop_at.is_none() {
            self.take_up_extensions();
        }
        if self.stop_at.is_none() {
            self.drop.look_at_still(Duration::from_millis(settings.bus.grace_ms), now);
        }
        if std::mem::take(&mut self.requested) && self.stop_at.is_none() {
            self.answer_requests(now)?;
        }
        if self.is_time_to_tend(now) {
            self.tend(now)?;
        }
        self.look_at_clock(now);
        self.calendar.choose_folder(&self.core.disk)?;
        self.pass(now)?;
        if !self.has_work() {
            // Where a handler may end meanwhile, the publisher tells when it is done.
            if self.lanes.running() == 0 {
                self.wait_for_publisher(0, now)?;
            }
            self.note(now)?;
            self.ahead.make(&self.core.disk, &self.room)?;
        }
        Ok(())
    }

    /// One message cannot be worked on: the others go on, and it is tried again. Where there are no others it is an error of the pass, too.
    pub(super) fn one_failed(&mut self, error: &BusError, now: Now) {
        self.wrong = error.to_string();
        if self.trouble.begin_single(now.mono) {
            self.core.say(&Notice::Trouble { what: self.wrong.clone() });
        }
    }

    /// Lists everything with the next turn.
    #[cfg(test)]
    pub(super) fn scan_now(&mut self) {
        self.scan_at = Instant::now();
    }

    fn replaced(&mut self) -> End {
        self.lanes.cancel_running();
        End::Replaced
    }

    fn is_stopped(&self, now: Now, mode: Mode) -> bool {
        let settled = self.unsettled.is_empty() && self.unfinished.is_empty() && self.publisher.is_idle();
        match (self.stop_at, mode) {
            (Some(_), _) => settled && self.lanes.is_idle(),
            (None, Mode::UntilStopped) => false,
            (None, Mode::Once) => {
                settled
                    && !self.trouble.is_said()
                    && self.lanes.is_idle()
                    && self.ready.is_empty()
                    && self.busy.is_empty()
                    && self.drop.is_empty()
                    && !self.drop.has_parked_for(|_| true)
                    && !self.drop.has_pending()
                    && !self.requested
                    && self.waiting.next(now).is_none_or(|wait| !wait.is_zero())
            }
        }
    }

    /// Looks whether another set of extensions is there. What runs goes on in the one that it began in.
    fn take_up_extensions(&mut self) {
        if self.core.installed.look(&|notice| self.core.say(notice)) {
            let (host, runtime) = self.core.installed.current();
            self.extensions = host.packages().map(described).collect();
            self.lanes.use_set(host, runtime);
        }
        self.waits_for_extensions &= self.core.installed.is_loading();
        self.end_waits_for_extensions();
    }

    /// What a checkpoint puts at the log's beginning.
    pub(super) fn beginning(&self) -> Result<Vec<Note>, BusError> {
        let day = self.calendar.day.clone();
        let place = self.room.place.clone();
        let mut notes = vec![Note::Begin { journal: journal::length(&self.core.disk, &day)?, day, place }];
        notes
            .extend(self.lanes.running_claims().map(|job| Note::Started { claim: job.claimed.claim.name.to_string() }));
        Ok(notes)
    }

    pub(super) fn disk(&self) -> &'a Disk {
        &self.core.disk
    }
}

fn described(package: &crate::extension::Package) -> control::Extension {
    control::Extension {
        name: package.name.clone(),
        version: package.about.version.clone(),
        description: package.about.description.clone(),
        capabilities: package.about.capabilities.clone(),
        actions: package.about.actions.clone(),
        sha256: package.sha256_hex(),
    }
}
