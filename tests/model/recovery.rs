//! What the winner does with the rooms it has taken, before it claims anything.
//!
//! All logs are read before any room is acted on; what is decided goes into the own log and is synced; the old logs are
//! deleted; what is decided is published and finished; what is undecided is **renamed into the own room** with its ticket
//! and attempt (one more if its handling had started) and handled from there, in the order of the messages.
//! Deliberately absent: the limit of attempts. Invariant: until the old logs are deleted nothing but the own log changes,
//! so a kill before that leaves everything to the next winner.

use super::commit::{decide_appended, own_log};
use super::line::{after_decision, end_state, free_name, item_in, show};
use super::memory::{Call, Item, Mode, Origin, Phase};
use super::rules::Rule;
use super::scenario::Scenario;
use super::service::{in_own_room, names_can_be_lost, own_room};
use super::state::{At, ERA_UNKNOWN, Entry, FileData, Log, MESSAGES, Msg, NAMES, Place, Record, Reply, RoomId, State};

/// The rooms that are recovered together: all of them, or, without that rule, one after the other from the inside.
fn scope(scenario: &Scenario, state: &State, own: RoomId) -> Vec<RoomId> {
    let mut rooms = state.disk.nested(own);
    if !scenario.rules.keep(Rule::AllLogsFirst) {
        rooms.truncate(1);
    }
    rooms
}

pub fn possible(scenario: &Scenario, state: &State, id: usize) -> Vec<Call> {
    let Some(own) = own_room(scenario, state, id) else {
        return vec![Call::FindRoomGone];
    };
    let rooms = scope(scenario, state, own);
    let mode = state.services[id].mode;
    if mode == Mode::SyncUnlinks {
        return vec![Call::SyncUnlinks];
    }
    if mode == Mode::UnlinkOldLogs {
        let with_log = rooms.iter().find(|room| state.disk.rooms[**room as usize].log.is_some());
        return vec![Call::UnlinkOldLog(*with_log.expect("this mode ends with the last old log"))];
    }
    if mode == Mode::RemoveRoom {
        return vec![Call::RemoveRoom(*rooms.first().expect("just listed"))];
    }
    vec![clear_rooms(state, id, &rooms)]
}

/// The next call on the old rooms: first what is decided, then what is not, then what is left over, then the rooms.
fn clear_rooms(state: &State, id: usize, rooms: &[RoomId]) -> Call {
    if let Some(call) = state.services[id].items.iter().find_map(after_decision) {
        return call;
    }
    let staged = |room: RoomId, msg: Msg| state.disk.rooms[room as usize].staged[msg as usize] != 0;
    for msg in 0..MESSAGES as Msg {
        if let At::Claimed { room, .. } = state.disk.messages[msg as usize]
            && rooms.contains(&room)
        {
            return match staged(room, msg) {
                true => Call::UnlinkStaged(room, msg),
                false => Call::MoveUndecidedIntoOwnRoom(msg),
            };
        }
    }
    for room in rooms {
        if let Some(msg) = (0..MESSAGES as Msg).find(|msg| staged(*room, *msg)) {
            return Call::UnlinkStaged(*room, msg);
        }
        if state.disk.rooms[*room as usize].ahead {
            return Call::UnlinkAhead(*room);
        }
    }
    Call::FindNothing(*rooms.first().expect("this mode ends with the last old room"))
}

/// The fdatasync of the copies returned; it goes through the descriptor, so it returns also in a room that was taken.
pub fn sync_copies(scenario: &Scenario, state: &mut State, id: usize) {
    own_log(state, id).synced();
    decide_appended(scenario, state, id);
    in_own_room(scenario, state, id, |state, own| {
        state.services[id].mode = after_copies(scenario, state, own);
    });
}

pub fn sync_of_copies_fails(state: &mut State, id: usize) {
    state.budget.failed_syncs -= 1;
    state.services[id].mode = Mode::ReplaceCopies;
}

/// One old log is deleted. After the last one the folders are synced: a deletion that a power cut undoes would bring back
/// what an old owner has appended since the log was read.
pub fn unlink_old_log(scenario: &Scenario, state: &mut State, id: usize, own: RoomId, room: RoomId) {
    let has_to_last = names_can_be_lost(scenario) && scenario.rules.keep(Rule::SyncAfterDeletingLogs);
    state.disk.rooms[room as usize].log = None;
    let next = after_copies(scenario, state, own);
    let was_last = next == Mode::ClearRooms;
    state.services[id].mode = if was_last && has_to_last { Mode::SyncUnlinks } else { next };
}

pub fn unlink_staged(state: &mut State, room: RoomId, msg: Msg) {
    state.disk.rooms[room as usize].staged[msg as usize] = 0;
}

/// Reads the logs of the rooms, and the noted ids, and writes what is decided into the own log (not yet synced). Reading
/// and writing are joined: what an old owner appends in between is the same as what it appends just afterwards.
pub fn read_logs(scenario: &Scenario, state: &mut State, id: usize, own: RoomId) {
    let rooms = scope(scenario, state, own);
    if scenario.rules.keep(Rule::IdsBeforeClaim) {
        state.services[id].known |= state.disk.ids;
    }
    if rooms.is_empty() {
        state.services[id].mode = Mode::Work;
        return;
    }
    let (records, notes) = found_in_logs(scenario, state, &rooms);
    let term = state.services[id].term;
    for record in &records {
        let Record { msg, ticket, attempt, run, name, .. } = *record;
        let era = match scenario.rules.keep(Rule::CopyKeepsBoot) {
            true => record.era,
            false => state.era,
        };
        own_log(state, id).write(Entry::Record(Record { era, term, ..*record }));
        let (phase, origin) = (Phase::Appended, Origin::OldRoom);
        state.services[id].items.push(Item { msg, ticket, attempt, phase, run, name, era, origin });
    }
    notes.into_iter().for_each(|note| own_log(state, id).write(note));
    state.services[id].mode = match records.is_empty() {
        true => after_copies(scenario, state, own),
        false => Mode::SyncCopies,
    };
}

/// The records that count, and the notes of started attempts.
fn found_in_logs(scenario: &Scenario, state: &State, rooms: &[RoomId]) -> (Vec<Record>, Vec<Entry>) {
    let (mut records, mut notes): (Vec<Record>, Vec<Entry>) = (Vec::new(), Vec::new());
    for room in rooms.iter().map(|room| state.disk.rooms[*room as usize]) {
        let Some(log) = room.log else { continue };
        for entry in state.logs[log as usize].current() {
            let Entry::Record(mut record) = *entry else {
                notes.push(*entry);
                continue;
            };
            if !scenario.rules.keep(Rule::BootInRecord) {
                record.era = room.line.unwrap_or(ERA_UNKNOWN);
            }
            let same = |r: &Record| (r.msg, r.ticket, r.attempt) == (record.msg, record.ticket, record.attempt);
            match records.iter_mut().find(|other| same(other)) {
                // Of two records for one attempt the one of the higher term counts, then the later one.
                Some(other) if record.term >= other.term => *other = record,
                Some(_) => {}
                None => records.push(record),
            }
        }
    }
    records.sort_by_key(|record| (record.msg, record.ticket, record.attempt));
    notes.sort_by_key(|note| match note {
        Entry::Started { msg, ticket, attempt } => (*msg, *ticket, *attempt),
        Entry::Record(record) => (record.msg, record.ticket, record.attempt),
    });
    notes.dedup();
    (records, notes)
}

fn after_copies(scenario: &Scenario, state: &State, own: RoomId) -> Mode {
    let has_log = |room: &RoomId| state.disk.rooms[*room as usize].log.is_some();
    match scope(scenario, state, own).iter().any(has_log) {
        true => Mode::UnlinkOldLogs,
        false => Mode::ClearRooms,
    }
}

/// The sync of the copies failed: a new log with the same content, synced, renamed over the old one, the folder synced.
/// Joined, because the old logs are still there and nobody acts before it is done.
pub fn replace_copies(scenario: &Scenario, state: &mut State, id: usize, own: RoomId) {
    let held = state.services[id].log.expect("an active service holds its log");
    let mut log = Log { entries: state.logs[held as usize].current().to_vec(), ..Log::default() };
    log.synced();
    let new = state.fresh_log();
    state.logs[new as usize] = log;
    state.disk.rooms[own as usize].log = Some(new);
    state.services[id].log = Some(new);
    state.names_synced();
    decide_appended(scenario, state, id);
    state.services[id].mode = after_copies(scenario, state, own);
}

/// Rename from the old room into the own one, with the same ticket; a started attempt counts.
pub fn move_undecided(scenario: &Scenario, state: &mut State, id: usize, own: RoomId, msg: Msg) {
    let At::Claimed { ticket, attempt, .. } = state.disk.messages[msg as usize] else {
        unreachable!("the call was made possible by a claimed file");
    };
    let started = own_log(state, id).current().contains(&Entry::Started { msg, ticket, attempt });
    let attempt = if started || !scenario.rules.keep(Rule::CountOnlyStarted) { attempt + 1 } else { attempt };
    state.disk.messages[msg as usize] = At::Claimed { room: own, ticket, attempt };
    let (phase, origin) = (Phase::Claimed, Origin::OldRoom);
    state.services[id].items.push(Item { msg, ticket, attempt, phase, run: 0, name: 0, era: 0, origin });
}

/// rmdir. Not empty, because something came in after the list: the list is read again.
pub fn remove_room(scenario: &Scenario, state: &mut State, id: usize, own: RoomId, room: RoomId) {
    state.services[id].mode = Mode::ClearRooms;
    if !state.disk.is_empty(room) && scenario.rules.keep(Rule::ListAgain) {
        return;
    }
    let came_in: Vec<Msg> = state.disk.claimed_in(room).map(|(msg, ..)| msg).collect();
    came_in.into_iter().for_each(|msg| state.disk.messages[msg as usize] = At::Lost);
    state.disk.rooms[room as usize].place = Place::Gone;
    if state.disk.nested(own).is_empty() {
        state.services[id].mode = Mode::Work;
    } else if !scenario.rules.keep(Rule::AllLogsFirst) {
        state.services[id].mode = Mode::ReadLogs;
    }
}

/// A record of an old room, by its state: decided in this boot and mount, staged or not; or in another one.
pub fn publish(scenario: &Scenario, state: &mut State, id: usize, own: RoomId, msg: Msg) {
    let decided = item_in(state, id, msg, Phase::Decided);
    decided.phase = Phase::Published;
    let item = *decided;
    if item.era != state.era {
        return compare(scenario, state, &item);
    }
    let rooms = scope(scenario, state, own);
    let staged = |room: &&RoomId| state.disk.rooms[**room as usize].staged[msg as usize] != 0;
    let Some(room) = rooms.iter().find(staged) else {
        return; // it was published, and perhaps taken
    };
    let run = std::mem::take(&mut state.disk.rooms[*room as usize].staged[msg as usize]);
    let name = free_name(state, item.name);
    show(state, name, Reply { msg, run, data: FileData::Cached });
}

/// Another boot or mount, or unknown: what is in the final file decides.
fn compare(scenario: &Scenario, state: &mut State, item: &Item) {
    for name in item.name..NAMES as u8 {
        match state.disk.inbox[name as usize] {
            Some(file) if file.data == FileData::Torn => {}
            Some(file) if (file.msg, file.run) == (item.msg, item.run) => return,
            // Another's: the next number. Without its final name in the record nobody can tell that it is another's.
            Some(_) if scenario.rules.keep(Rule::NameInRecord) => continue,
            Some(_) | None => {}
        }
        return show(state, name, Reply { msg: item.msg, run: item.run, data: FileData::Cached });
    }
    unreachable!("the search needs more names than NAMES");
}

/// Rename the message from the old room to where it goes; wherever else it is, its id keeps it from a second answer.
pub fn finish(scenario: &Scenario, state: &mut State, id: usize, own: RoomId, msg: Msg) {
    let item = *item_in(state, id, msg, Phase::Published);
    if let At::Claimed { room, ticket, attempt } = state.disk.messages[msg as usize]
        && scope(scenario, state, own).contains(&room)
        && (ticket, attempt) == (item.ticket, item.attempt)
    {
        state.disk.messages[msg as usize] = At::Archived(end_state(&item));
    }
    item_in(state, id, msg, Phase::Published).phase = Phase::Finished;
}
