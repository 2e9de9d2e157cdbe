//! The log of an active service: a batch is written and synced, a failed one undone, and the log used again.
//!
//! A batch is one write of one or two records, and one fdatasync. Deliberately absent: numbers and checksums of records; a
//! torn record is one that is not there. Invariant: a record is decided when the sync of its batch returned.

use super::line::item_in;
use super::memory::{Call, Item, Mode, Phase, StopStep};
use super::rules::Rule;
use super::scenario::Scenario;
use super::service::{names_can_be_lost, own_room, start_over};
use super::state::{Entry, Log, Msg, Record, State};

pub fn own_log(state: &mut State, id: usize) -> &mut Log {
    let log = state.services[id].log.expect("an active service holds its log");
    &mut state.logs[log as usize]
}

/// A `syncfs` that may be followed by the reuse of the log: everything in it is published, finished, and its id noted.
pub fn may_checkpoint(scenario: &Scenario, state: &State, id: usize) -> bool {
    let service = &state.services[id];
    let done = match (scenario.rules.keep(Rule::ReuseAfterFinish), scenario.rules.keep(Rule::ReuseAfterIds)) {
        (true, true) => None,
        (true, false) => Some(Phase::Finished),
        (false, _) => Some(Phase::Published),
    };
    let in_log = |item: &Item| item.phase >= Phase::Appended;
    let settled = |item: &Item| !in_log(item) || done.is_some_and(|phase| item.phase >= phase);
    let log = &state.logs[service.log.expect("an active service holds its log") as usize];
    state.budget.checkpoints > 0 && log.records().next().is_some() && service.items.iter().all(settled)
}

/// The batch: one write with the record of everything that is ready.
pub fn append(scenario: &Scenario, state: &mut State, id: usize) {
    let (era, term) = (state.era, state.services[id].term);
    let mut batch = Vec::new();
    for item in state.services[id].items.iter_mut().filter(|item| item.phase == Phase::Ready) {
        (item.phase, item.era) = (Phase::Appended, era);
        let Item { msg, ticket, attempt, run, name, .. } = *item;
        batch.push(Entry::Record(Record { msg, ticket, attempt, run, name, era, term }));
    }
    let log = own_log(state, id);
    batch.into_iter().for_each(|record| log.write(record));
    if !scenario.rules.keep(Rule::SyncBeforePublish) {
        // A written record is taken for a decided one.
        for item in state.services[id].items.iter_mut().filter(|item| item.phase == Phase::Appended) {
            item.phase = if item.run == 0 { Phase::Published } else { Phase::Decided };
        }
    }
}

/// The fdatasync failed: this log is never synced again.
pub fn sync_fails(scenario: &Scenario, state: &mut State, id: usize) {
    state.budget.failed_syncs -= 1;
    state.services[id].mode = match scenario.rules.keep(Rule::NewLogBeforeDeletingStaged) {
        true => Mode::ReplaceLog,
        false => Mode::UnlinkFailed,
    };
}

/// The batch's one fdatasync returned: its records are decided.
pub fn sync(scenario: &Scenario, state: &mut State, id: usize) {
    own_log(state, id).synced();
    decide_appended(scenario, state, id);
}

pub fn decide_appended(scenario: &Scenario, state: &mut State, id: usize) {
    let State { services, history, .. } = state;
    let service = &mut services[id];
    for item in service.items.iter_mut().filter(|item| item.phase == Phase::Appended) {
        item.phase = if item.run == 0 { Phase::Published } else { Phase::Decided };
        service.known |= scenario.id(item.msg);
        history.decided[item.msg as usize] |= 1 << item.run;
    }
}

/// After a failed sync: a new log with every decided record not yet checkpointed, written, synced, renamed over the old
/// one. Writing and syncing it is joined with the rename: a recovery ignores it before.
pub fn replace_log(scenario: &Scenario, state: &mut State, id: usize) {
    let Some(room) = own_room(scenario, state, id) else {
        return start_over(state, id);
    };
    let undecided = |record: &Record| {
        let same = |item: &&Item| (item.msg, item.ticket, item.attempt) == (record.msg, record.ticket, record.attempt);
        state.services[id].items.iter().find(same).is_some_and(|item| item.phase < Phase::Decided)
    };
    let keep = |entry: &&Entry| match entry {
        Entry::Started { .. } => true,
        Entry::Record(record) => scenario.rules.keep(Rule::NewLogKeepsDecided) && !undecided(record),
    };
    let held = state.services[id].log.expect("an active service holds its log");
    let kept = state.logs[held as usize].current().iter().filter(keep).copied().collect();
    let mut log = Log { entries: kept, ..Log::default() };
    log.synced();
    let new = state.fresh_log();
    state.logs[new as usize] = log;
    state.disk.rooms[room as usize].log = Some(new);
    state.services[id].log = Some(new);
    state.services[id].mode = match (names_can_be_lost(scenario), scenario.rules.keep(Rule::SyncAfterNewLog)) {
        (true, true) => Mode::SyncFolder,
        (true, false) | (false, _) => after_new_log(state, id),
    };
}

/// The folder of the new log is synced: the old one cannot come back.
pub fn sync_folder(state: &mut State, id: usize) {
    state.names_synced();
    state.services[id].mode = after_new_log(state, id);
}

fn after_new_log(state: &State, id: usize) -> Mode {
    match state.services[id].items.iter().any(|item| item.phase == Phase::Appended) {
        true => Mode::UnlinkFailed,
        false => Mode::Work,
    }
}

pub fn unlink_failed(state: &State, id: usize) -> Call {
    let failed = state.services[id].items.iter().find(|item| item.phase == Phase::Appended);
    Call::UnlinkFailed(failed.expect("this mode ends with the last failed item").msg)
}

/// A staged file of the failed batch is deleted; the message is handled again.
pub fn unlink_one_failed(scenario: &Scenario, state: &mut State, id: usize, msg: Msg) {
    let Some(room) = own_room(scenario, state, id) else {
        return start_over(state, id);
    };
    state.disk.rooms[room as usize].staged[msg as usize] = 0;
    let item = item_in(state, id, msg, Phase::Appended);
    (item.phase, item.run, item.name, item.era) = (Phase::Claimed, 0, 0, 0);
    if after_new_log(state, id) == Mode::Work {
        state.services[id].mode = match scenario.rules.keep(Rule::NewLogBeforeDeletingStaged) {
            true => Mode::Work,
            false => Mode::ReplaceLog,
        };
    }
}

/// A new header in front of the log, unsynced; the notes of what is being handled are carried over.
pub fn reuse_log(state: &mut State, id: usize) {
    let handled = |item: &&Item| matches!(item.phase, Phase::Started | Phase::Ready) && item.run != 0;
    let note = |item: &Item| Entry::Started { msg: item.msg, ticket: item.ticket, attempt: item.attempt };
    let notes: Vec<Entry> = state.services[id].items.iter().filter(handled).map(note).collect();
    let log = own_log(state, id);
    log.start = log.entries.len() as u8;
    log.entries.extend(notes);
    state.services[id].mode = Mode::Work;
}

/// The checkpoint; also the first act of a clean stop.
pub fn syncfs(scenario: &Scenario, state: &mut State, id: usize) {
    if state.services[id].mode == Mode::Stop(StopStep::Sync) {
        state.services[id].mode = Mode::Stop(StopStep::First);
        return state.all_synced();
    }
    state.budget.checkpoints -= 1;
    if scenario.rules.keep(Rule::SyncBeforeReuse) {
        state.all_synced();
    }
    state.services[id].mode = Mode::ReuseLog;
}

/// No checkpoint: the log is kept as it is.
pub fn syncfs_fails(state: &mut State) {
    state.budget.failed_syncs -= 1;
    state.budget.checkpoints -= 1;
}
