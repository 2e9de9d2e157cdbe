//! One message on its way through an active service: read, claim, handle, publish, finish (`commit.rs` has what lies between).
//!
//! Deliberately absent: what a handler does (each run answers differently),
//! retries, deferral, splits. Invariant: every change outside the room is one rename whose room side is the service's own
//! path, so each of these calls can find the room gone; but staging into a file made ahead, which goes through a descriptor.

use super::commit::{self, own_log};
use super::memory::{Call, Item, Origin, Phase};
use super::rules::Rule;
use super::scenario::{Arrival, Line, Scenario, Staging};
use super::service::{own_room, start_over};
use super::state::{At, DropName, EndState, Entry, FileData, Msg, NAMES, Reply, RoomId, State};

/// Records in one batch, at most.
const BATCH: usize = 2;

pub fn possible(scenario: &Scenario, state: &State, id: usize) -> Vec<Call> {
    let items = &state.services[id].items;
    let mut calls = Vec::new();
    calls.extend(items.iter().find_map(after_decision));
    if scenario.line == Line::Pipelined || calls.is_empty() {
        before_decision(scenario, state, id, &mut calls);
    }
    if scenario.staging == Staging::MadeAhead && !state.services[id].ahead {
        calls.push(Call::MakeAhead);
    }
    if commit::may_checkpoint(scenario, state, id) {
        calls.push(Call::Syncfs);
        if state.budget.failed_syncs > 0 {
            calls.push(Call::SyncfsFails);
        }
    }
    if calls.is_empty() && own_room(scenario, state, id).is_none() {
        calls.push(Call::FindRoomGone);
    }
    calls
}

/// The next call for a message whose record is decided.
pub fn after_decision(item: &Item) -> Option<Call> {
    match item.phase {
        Phase::Decided => Some(Call::Publish(item.msg)),
        Phase::Published => Some(Call::Finish(item.msg)),
        Phase::Finished => Some(Call::NoteId(item.msg)),
        Phase::Read { .. } | Phase::Misfit | Phase::Claimed | Phase::Started | Phase::Ready | Phase::Appended => None,
    }
}

/// The next calls on the way to a decision: messages are handled one after the other, in their order.
fn before_decision(scenario: &Scenario, state: &State, id: usize, calls: &mut Vec<Call>) {
    let items = &state.services[id].items;
    if items.iter().any(|item| item.phase == Phase::Appended) {
        calls.push(Call::Sync);
        if state.budget.failed_syncs > 0 {
            calls.push(Call::SyncFails);
        }
        return;
    }
    let ready = items.iter().filter(|item| item.phase == Phase::Ready).count();
    if ready > 0 {
        calls.push(Call::Append);
    }
    // What an old room left undecided goes one at a time, and before anything new is claimed.
    let recovered = |item: &&Item| item.origin == Origin::OldRoom && item.phase <= Phase::Ready;
    let alone = items.iter().find(recovered).is_some();
    if ready == BATCH || (alone && ready > 0) {
        return;
    }
    let in_hand = |item: &&Item| item.phase < Phase::Ready;
    let next = items.iter().find(in_hand).map(|item| next_of(scenario, state, id, item));
    if scenario.rules.keep(Rule::RecoveredBeforeNew) {
        calls.extend(next.or_else(|| claim_next(scenario, state)));
    } else {
        let new = items.iter().filter(in_hand).find(|item| item.origin == Origin::Drop);
        let new = new.map(|item| next_of(scenario, state, id, item));
        calls.extend(new.or_else(|| claim_next(scenario, state)).or(next));
    }
}

/// The oldest message of the drop.
fn claim_next(scenario: &Scenario, state: &State) -> Option<Call> {
    let waiting = state.disk.messages.iter().position(|at| matches!(at, At::Drop(_)))?;
    Some(match reading_matters(scenario) {
        true => Call::Read(waiting as Msg),
        false => Call::Claim(waiting as Msg),
    })
}

fn next_of(scenario: &Scenario, state: &State, id: usize, item: &Item) -> Call {
    let msg = item.msg;
    match item.phase {
        Phase::Read { .. } => Call::Claim(msg),
        Phase::Misfit => Call::PutBack(msg),
        Phase::Claimed if is_duplicate(scenario, state, id, item) => Call::SeeDuplicate(msg),
        Phase::Claimed => Call::NoteStart(msg),
        Phase::Started => Call::Stage(msg),
        Phase::Ready | Phase::Appended | Phase::Decided | Phase::Published | Phase::Finished => {
            unreachable!("asked only for messages before `Ready`")
        }
    }
}

/// Its id is used up, or another message on its way has the same one and comes first.
fn is_duplicate(scenario: &Scenario, state: &State, id: usize, item: &Item) -> bool {
    let service = &state.services[id];
    let same = |other: &Item| other.msg != item.msg && scenario.id(other.msg) == scenario.id(item.msg);
    let ahead = |other: &Item| same(other) && other.phase > Phase::Claimed;
    service.known & scenario.id(item.msg) != 0 || service.items.iter().any(ahead)
}

/// Reading before the claim is a step of its own only where a writer can change the file in between.
fn reading_matters(scenario: &Scenario) -> bool {
    scenario.budget.rewrites > 0 || scenario.arrival == Arrival::SecondUnderTheSameName
}

pub fn item_in(state: &mut State, id: usize, msg: Msg, phase: Phase) -> &mut Item {
    let wanted = |item: &&mut Item| item.msg == msg && item.phase == phase;
    state.services[id].items.iter_mut().find(wanted).expect("the call was made possible by this item")
}

fn forget(state: &mut State, id: usize, msg: Msg) {
    state.services[id].items.retain(|item| item.msg != msg || item.phase >= Phase::Appended);
}

/// Its size, inode and change time are remembered until it is claimed.
pub fn read(state: &mut State, id: usize, msg: Msg) {
    let At::Drop(name) = state.disk.messages[msg as usize] else {
        unreachable!("read only what is in the drop");
    };
    let phase = Phase::Read { version: state.versions[msg as usize] };
    let item = Item { msg, ticket: 0, attempt: 1, phase, run: 0, name: name as u8, era: 0, origin: Origin::Drop };
    state.services[id].items.push(item);
}

/// Rename without replacing from the drop into the room. The rename takes whichever file has the name by now.
pub fn claim(scenario: &Scenario, state: &mut State, id: usize, msg: Msg) {
    if !reading_matters(scenario) {
        read(state, id, msg);
    }
    let read = *state.services[id].items.last().expect("just read");
    let Some(room) = own_room(scenario, state, id) else {
        return start_over(state, id);
    };
    forget(state, id, msg);
    let Some(found) = named(scenario, state, msg, read.name) else {
        return; // lost the race
    };
    let fits = found == msg && read.phase == (Phase::Read { version: state.versions[msg as usize] });
    let tickets = &mut state.history.tickets[found as usize];
    *tickets += 1;
    let ticket = *tickets;
    state.disk.messages[found as usize] = At::Claimed { room, ticket, attempt: 1 };
    let phase = if fits { Phase::Claimed } else { Phase::Misfit };
    state.services[id].items.push(Item { msg: found, ticket, phase, name: 0, ..read });
}

/// The message whose file has, in the drop, the name that `msg` was read under.
fn named(scenario: &Scenario, state: &State, msg: Msg, name: u8) -> Option<Msg> {
    let is_there = |msg: Msg, name: DropName| state.disk.messages[msg as usize] == At::Drop(name);
    if name == DropName::Fresh as u8 {
        return is_there(msg, DropName::Fresh).then_some(msg);
    }
    match scenario.arrival {
        Arrival::AllThere | Arrival::SecondLater => is_there(msg, DropName::Own).then_some(msg),
        Arrival::SecondUnderTheSameName => (0..2).find(|other| is_there(*other, DropName::Own)),
    }
}

/// Rename without replacing from the room back to the drop; if the name is taken, under a fresh one.
pub fn put_back(scenario: &Scenario, state: &mut State, id: usize, msg: Msg) {
    if own_room(scenario, state, id).is_none() {
        return start_over(state, id);
    }
    let name = match named(scenario, state, msg, DropName::Own as u8) {
        Some(_) if scenario.rules.keep(Rule::PutBackWithoutReplacing) => DropName::Fresh,
        Some(other) => {
            state.disk.messages[other as usize] = At::Lost;
            DropName::Own
        }
        None => DropName::Own,
    };
    state.disk.messages[msg as usize] = At::Drop(name);
    forget(state, id, msg);
}

/// One line in the log, unsynced, through the held descriptor. The handler's run, which touches nothing, is joined.
pub fn note_start(state: &mut State, id: usize, msg: Msg) {
    state.history.runs[msg as usize] += 1;
    let run = state.history.runs[msg as usize];
    let item = item_in(state, id, msg, Phase::Claimed);
    (item.phase, item.run) = (Phase::Started, run);
    let started = Entry::Started { msg, ticket: item.ticket, attempt: item.attempt };
    own_log(state, id).write(started);
}

/// Not a system call: what a duplicate needs is its record, in its turn.
pub fn see_duplicate(state: &mut State, id: usize, msg: Msg) {
    let item = item_in(state, id, msg, Phase::Claimed);
    (item.phase, item.run) = (Phase::Ready, 0);
}

/// An empty file in the room, kept open.
pub fn make_ahead(state: &mut State, id: usize, own: RoomId) {
    state.disk.rooms[own as usize].ahead = true;
    state.services[id].ahead = true;
}

/// The effect, under its final name, which is chosen now, into the room: into the file made ahead, through its descriptor, or
/// into a file of its own.
pub fn stage(scenario: &Scenario, state: &mut State, id: usize, msg: Msg) {
    let room = match std::mem::take(&mut state.services[id].ahead) {
        true => {
            let made_in = state.services[id].room.expect("an active service has a room");
            // Its name may be gone: then nobody will ever read what is written.
            std::mem::take(&mut state.disk.rooms[made_in as usize].ahead).then_some(made_in)
        }
        false => match own_room(scenario, state, id) {
            Some(own) => Some(own),
            None => return start_over(state, id),
        },
    };
    let wanted = scenario.wanted_name(msg);
    let free = |name: &u8| state.disk.inbox[*name as usize].is_none();
    let name = match scenario.rules.keep(Rule::NameInRecord) {
        true => (wanted..NAMES as u8).find(free).unwrap_or(wanted),
        false => wanted,
    };
    let item = item_in(state, id, msg, Phase::Started);
    (item.phase, item.name) = (Phase::Ready, name);
    let run = item.run;
    if let (Some(room), true) = (room, scenario.rules.keep(Rule::StagedBeforeRecord)) {
        state.disk.rooms[room as usize].staged[msg as usize] = run;
    }
}

/// The reply `msg` by `run` becomes visible as `name`; what the name meant before is gone.
pub fn show(state: &mut State, name: u8, reply: Reply) {
    let (msg, before) = (reply.msg as usize, state.disk.inbox[name as usize]);
    state.history.reply_overwritten |= before.is_some_and(|old| old.data != FileData::Torn);
    state.disk.inbox[name as usize] = Some(reply);
    state.history.seen[msg] |= 1 << reply.run;
    state.history.published[msg] = (state.history.published[msg] + 1).min(2);
}

/// The name itself, or, where another's file has it, the next number.
pub fn free_name(state: &State, name: u8) -> u8 {
    let free = |name: &u8| state.disk.inbox[*name as usize].is_none();
    (name..NAMES as u8).find(free).expect("the search needs more names than NAMES")
}

/// Rename without replacing from the room into the inbox: uses up the staged file.
pub fn publish(scenario: &Scenario, state: &mut State, id: usize, msg: Msg) {
    let Some(room) = own_room(scenario, state, id) else {
        return start_over(state, id);
    };
    let mut staged = std::mem::take(&mut state.disk.rooms[room as usize].staged[msg as usize]);
    if !scenario.rules.keep(Rule::StagedBeforeRecord) {
        // Written only now that it is decided; joined with the rename.
        staged = item_in(state, id, msg, Phase::Decided).run;
    }
    if staged == 0 {
        return start_over(state, id); // somebody else is at work in this room
    }
    let item = item_in(state, id, msg, Phase::Decided);
    item.phase = Phase::Published;
    let name = free_name(state, state_name(scenario, state, id, msg));
    show(state, name, Reply { msg, run: staged, data: FileData::Cached });
}

fn state_name(scenario: &Scenario, state: &State, id: usize, msg: Msg) -> u8 {
    let published = state.services[id].items.iter().find(|item| item.msg == msg && item.phase == Phase::Published);
    published.map_or(scenario.wanted_name(msg), |item| item.name)
}

/// Rename the message to where it goes.
pub fn finish(scenario: &Scenario, state: &mut State, id: usize, msg: Msg) {
    let item = *item_in(state, id, msg, Phase::Published);
    let here = own_room(scenario, state, id);
    match state.disk.messages[msg as usize] {
        At::Claimed { room, ticket, .. } if Some(room) == here && ticket == item.ticket => {
            state.disk.messages[msg as usize] = At::Archived(end_state(&item));
            item_in(state, id, msg, Phase::Published).phase = Phase::Finished;
        }
        At::Claimed { .. } | At::Writer | At::Drop(_) | At::Archived(_) | At::Lost => start_over(state, id),
    }
}

pub fn end_state(item: &Item) -> EndState {
    if item.run == 0 { EndState::Duplicate } else { EndState::Answered }
}

/// The journal line and the id: appended, which no rename fences.
pub fn note_id(scenario: &Scenario, state: &mut State, id: usize, msg: Msg) {
    state.disk.ids |= scenario.id(msg);
    let done = state.services[id].items.iter().position(|item| item.msg == msg && item.phase == Phase::Finished);
    state.services[id].items.remove(done.expect("the call was made possible by this item"));
}
