//! One service process: from standing by to being active, and the way out. One `Call` is one system call.
//!
//! `possible` says which calls a service may make next, `make` makes one. Calls whose effect nobody else can see, not
//! even a recovery after a kill, are joined with the next visible one, and say so. Messages are handled in `line.rs`, the
//! log is kept in `commit.rs`, old rooms are worked off in `recovery.rs`. Deliberately absent: time. A service that hangs is one that is not chosen for a while.

use super::memory::{Call, Mode, Service, Start, StopStep};
use super::rules::Rule;
use super::scenario::Scenario;
use super::state::{Place, Room, RoomId, State};
use super::{commit, line, recovery};

/// The room that this service's path means now; none: the path does not resolve.
pub fn own_room(scenario: &Scenario, state: &State, id: usize) -> Option<RoomId> {
    let service = &state.services[id];
    let made = service.room?;
    let place = state.disk.rooms[made as usize].place;
    if service.mode == Mode::Work && !scenario.rules.keep(Rule::PathFromRoot) {
        return (place != Place::Gone).then_some(made);
    }
    if !scenario.rules.keep(Rule::PathNamesUuid) {
        return state.disk.terms().find(|(term, _)| *term == service.term).map(|(_, room)| room);
    }
    (place == Place::Term(service.term)).then_some(made)
}

/// The process is gone, or says that its room is gone and starts over: both leave nothing but what is on the disk.
pub fn start_over(state: &mut State, id: usize) {
    state.services[id] = Service::default();
}

/// Syncs of folders change nothing that anybody sees before a power cut: searches without one leave these calls out.
pub fn names_can_be_lost(scenario: &Scenario) -> bool {
    scenario.budget.power_cuts > 0
}

/// A standby may take the next term: there is none, or the lock of the highest room is free.
pub fn may_start(scenario: &Scenario, state: &State) -> bool {
    let Some((_, highest)) = state.disk.highest() else {
        return true;
    };
    if scenario.rules.keep(Rule::HighestTermIsActive) {
        return state.lock_is_free(highest);
    }
    state.disk.terms().any(|(_, room)| state.lock_is_free(room))
}

pub fn possible(scenario: &Scenario, state: &State, id: usize) -> Vec<Call> {
    let may_fail = state.budget.failed_syncs > 0;
    match state.services[id].mode {
        Mode::Standby if may_start(scenario, state) => vec![Call::Look],
        Mode::Standby => vec![],
        Mode::TakeTerm => vec![Call::TakeTerm],
        Mode::SyncTerm => vec![Call::SyncTerm],
        Mode::LookAgain => vec![Call::LookAgain],
        Mode::TakeRooms => vec![Call::TakeRoom],
        Mode::ReadLogs => vec![Call::ReadLogs],
        Mode::SyncCopies if may_fail => vec![Call::SyncCopies, Call::SyncOfCopiesFails],
        Mode::SyncCopies => vec![Call::SyncCopies],
        Mode::ReplaceCopies => vec![Call::ReplaceCopies],
        Mode::UnlinkOldLogs | Mode::SyncUnlinks | Mode::ClearRooms | Mode::RemoveRoom => {
            recovery::possible(scenario, state, id)
        }
        Mode::Work => line::possible(scenario, state, id),
        Mode::ReplaceLog => vec![Call::ReplaceLog],
        Mode::SyncFolder => vec![Call::SyncFolder],
        Mode::UnlinkFailed => vec![commit::unlink_failed(state, id)],
        Mode::ReuseLog => vec![Call::ReuseLog],
        Mode::Stop(step) => vec![stop_call(scenario, step)],
    }
}

/// The log goes first: without the line beside it nobody could tell in which boot it was written.
fn stop_call(scenario: &Scenario, step: StopStep) -> Call {
    let log_first = scenario.rules.keep(Rule::LogRemovedBeforeLine);
    match step {
        StopStep::Sync => Call::Syncfs,
        StopStep::First if log_first => Call::RemoveLog,
        StopStep::First => Call::RemoveLine,
        StopStep::Second if log_first => Call::RemoveLine,
        StopStep::Second => Call::RemoveLog,
        StopStep::Leave => Call::LeaveRoom,
    }
}

/// A call whose path begins in the own room. Not found: the service says so, and starts over as a standby.
pub fn in_own_room(scenario: &Scenario, state: &mut State, id: usize, act: impl FnOnce(&mut State, RoomId)) {
    match own_room(scenario, state, id) {
        Some(own) => act(state, own),
        None => start_over(state, id),
    }
}

/// One system call.
pub fn make(sc: &Scenario, state: &mut State, id: usize, call: Call) {
    match call {
        Call::Look => look(state, id, Start::LockIsFree),
        Call::TakeTerm => take_term(sc, state, id),
        Call::SyncTerm => sync_names(state, id, Mode::LookAgain),
        Call::LookAgain => in_own_room(sc, state, id, |state, own| look_again(sc, state, id, own)),
        Call::TakeRoom => in_own_room(sc, state, id, |state, own| take_room(sc, state, id, own)),
        Call::FindRoomGone => start_over(state, id),
        Call::ReadLogs => in_own_room(sc, state, id, |state, own| recovery::read_logs(sc, state, id, own)),
        Call::SyncCopies => recovery::sync_copies(sc, state, id),
        Call::SyncOfCopiesFails => recovery::sync_of_copies_fails(state, id),
        Call::ReplaceCopies => in_own_room(sc, state, id, |state, own| recovery::replace_copies(sc, state, id, own)),
        Call::UnlinkOldLog(old) => {
            in_own_room(sc, state, id, |state, own| recovery::unlink_old_log(sc, state, id, own, old))
        }
        Call::SyncUnlinks => sync_names(state, id, Mode::ClearRooms),
        Call::UnlinkStaged(old, msg) => in_own_room(sc, state, id, |state, _| recovery::unlink_staged(state, old, msg)),
        Call::UnlinkAhead(old) => in_own_room(sc, state, id, |state, _| state.disk.rooms[old as usize].ahead = false),
        Call::MoveUndecidedIntoOwnRoom(msg) => {
            in_own_room(sc, state, id, |state, own| recovery::move_undecided(sc, state, id, own, msg))
        }
        Call::FindNothing(_) => in_own_room(sc, state, id, |state, _| state.services[id].mode = Mode::RemoveRoom),
        Call::RemoveRoom(old) => {
            in_own_room(sc, state, id, |state, own| recovery::remove_room(sc, state, id, own, old))
        }
        Call::Read(msg) => line::read(state, id, msg),
        Call::Claim(msg) => line::claim(sc, state, id, msg),
        Call::PutBack(msg) => line::put_back(sc, state, id, msg),
        Call::NoteStart(msg) => line::note_start(state, id, msg),
        Call::SeeDuplicate(msg) => line::see_duplicate(state, id, msg),
        Call::MakeAhead => in_own_room(sc, state, id, |state, own| line::make_ahead(state, id, own)),
        Call::Stage(msg) => line::stage(sc, state, id, msg),
        Call::Append => commit::append(sc, state, id),
        Call::Sync => commit::sync(sc, state, id),
        Call::SyncFails => commit::sync_fails(sc, state, id),
        Call::ReplaceLog => commit::replace_log(sc, state, id),
        Call::SyncFolder => commit::sync_folder(state, id),
        Call::UnlinkFailed(msg) => commit::unlink_one_failed(sc, state, id, msg),
        Call::Publish(msg) if state.services[id].mode == Mode::ClearRooms => {
            in_own_room(sc, state, id, |state, own| recovery::publish(sc, state, id, own, msg))
        }
        Call::Publish(msg) => line::publish(sc, state, id, msg),
        Call::Finish(msg) if state.services[id].mode == Mode::ClearRooms => {
            in_own_room(sc, state, id, |state, own| recovery::finish(sc, state, id, own, msg))
        }
        Call::Finish(msg) => line::finish(sc, state, id, msg),
        Call::NoteId(msg) => line::note_id(sc, state, id, msg),
        Call::Syncfs => commit::syncfs(sc, state, id),
        Call::SyncfsFails => commit::syncfs_fails(state),
        Call::ReuseLog => commit::reuse_log(state, id),
        Call::RemoveLog => in_own_room(sc, state, id, |state, own| remove_log(sc, state, id, own)),
        Call::RemoveLine => in_own_room(sc, state, id, |state, own| remove_line(sc, state, id, own)),
        Call::LeaveRoom => in_own_room(sc, state, id, |state, own| leave_room(state, id, own)),
    }
}

fn sync_names(state: &mut State, id: usize, next: Mode) {
    state.names_synced();
    state.services[id].mode = next;
}

/// `ls processing/`, and the room prepared for the term after the highest one seen. Preparing (log, lock, line, sync)
/// is joined with the look: nobody acts on a prepared room whose lock is held.
pub fn look(state: &mut State, id: usize, start: Start) {
    let term = state.disk.highest().map_or(1, |(highest, _)| highest + 1);
    let (room, log) = (state.fresh_room(), state.fresh_log());
    state.disk.rooms[room as usize] =
        Room { place: Place::Prepared, line: Some(state.era), log: Some(log), ..Room::default() };
    state.names_synced();
    state.services[id] =
        Service { mode: Mode::TakeTerm, room: Some(room), term, start, log: Some(log), ..Service::default() };
}

/// Rename without replacing `processing/.<uuid>` to `processing/<term>`.
fn take_term(scenario: &Scenario, state: &mut State, id: usize) {
    let (term, room) = (state.services[id].term, state.services[id].room.expect("prepared by look"));
    if state.disk.terms().any(|(taken, _)| taken == term) {
        // Somebody else won. Removing the prepared room is joined: only its maker or, after a kill, a winner sees it.
        state.disk.rooms[room as usize].place = Place::Gone;
        return start_over(state, id);
    }
    state.disk.rooms[room as usize].place = Place::Term(term);
    state.services[id].mode = match (names_can_be_lost(scenario), scenario.rules.keep(Rule::SyncTermBeforeClaim)) {
        (true, true) => Mode::SyncTerm,
        (true, false) | (false, _) => Mode::LookAgain,
    };
}

/// `ls processing/` again: a term above ours means that ours was free only because its room had been taken already.
fn look_again(scenario: &Scenario, state: &mut State, id: usize, own: RoomId) {
    let late = state.disk.highest().is_some_and(|(highest, _)| highest > state.services[id].term);
    if !late || !scenario.rules.keep(Rule::LookAgain) {
        state.services[id].mode = Mode::TakeRooms;
        return;
    }
    // The own, still empty term is taken away: back under the prepared name in one rename, then removed.
    state.disk.rooms[own as usize].place = if state.disk.is_empty(own) { Place::Gone } else { Place::Prepared };
    start_over(state, id);
}

/// The winner's first act, one room a call: list, and rename the next room into the own one. The list and the rename are
/// joined: if the room moved in between, the rename says so and the list is read again.
fn take_room(scenario: &Scenario, state: &mut State, id: usize, own: RoomId) {
    let own_term = state.services[id].term;
    // Without terms a held lock would say "alive", to everybody but the one whose lease ran out on it.
    let by_lease = state.services[id].start == Start::LeaseRanOut;
    let takes_held = scenario.rules.keep(Rule::HighestTermIsActive) || by_lease;
    // A term above ours is somebody who takes ours.
    let lower = state.disk.terms().filter(|(term, room)| *term < own_term && (takes_held || state.lock_is_free(*room)));
    let next = match scenario.rules.keep(Rule::HighestTermFirst) {
        true => lower.max(),
        false => lower.min(),
    };
    let prepared = || {
        let taken =
            |room: &usize| state.disk.rooms[*room].place == Place::Prepared && state.lock_is_free(*room as RoomId);
        let found = (0..state.disk.rooms.len()).find(taken).map(|room| room as RoomId);
        found.filter(|_| scenario.rules.keep(Rule::TakePreparedRooms))
    };
    match next.map(|(_, room)| room).or_else(prepared) {
        Some(room) => state.disk.rooms[room as usize].place = Place::Inside(own),
        None => {
            state.services[id].mode = Mode::ReadLogs;
            state.services[id].start = Start::default();
        }
    }
}

/// The end of a clean stop: log, line, then lock and room. (The checkpoint before it is `Call::Syncfs`.) Removing the file
/// made ahead, which no record names, is joined.
fn remove_log(scenario: &Scenario, state: &mut State, id: usize, own: RoomId) {
    state.disk.rooms[own as usize].ahead = false;
    state.disk.rooms[own as usize].log = None;
    state.services[id].mode = Mode::Stop(match scenario.rules.keep(Rule::LogRemovedBeforeLine) {
        true => StopStep::Second,
        false => StopStep::Leave,
    });
}

fn remove_line(scenario: &Scenario, state: &mut State, id: usize, own: RoomId) {
    state.disk.rooms[own as usize].line = None;
    state.services[id].mode = Mode::Stop(match scenario.rules.keep(Rule::LogRemovedBeforeLine) {
        true => StopStep::Leave,
        false => StopStep::Second,
    });
}

fn leave_room(state: &mut State, id: usize, own: RoomId) {
    if state.disk.is_empty(own) {
        state.disk.rooms[own as usize].place = Place::Gone;
    }
    start_over(state, id);
}
