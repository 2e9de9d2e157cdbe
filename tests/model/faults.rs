//! What the surroundings do to the services: kill, lease run-out, power cut, SIGTERM; and what writers and readers do.
//!
//! A failed sync is the other outcome of a service's own call and is found there. Deliberately absent: a kernel that
//! reorders names (metadata is ordered: after a cut some moment since the last sync holds), and a disk that lies.

use super::memory::{Mode, Start, StopStep};
use super::rules::Rule;
use super::scenario::{Arrival, PowerCut, Reader, Scenario};
use super::service::{look, may_start, start_over};
use super::state::{At, DropName, FileData, Msg, NAMES, State};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Kill(usize),
    /// The active service hangs long enough for this standby, which takes the next term although the lock is held.
    LeaseRunsOut(usize),
    Sigterm(usize),
    /// Not an event: chooses the moment to which the coming power cut goes back.
    LaterCutComesBackToHere,
    PowerCut(Unsynced),
    Rewrite(Msg),
    Drop(Msg),
    /// The reader deletes what it has read under this name.
    Take(u8),
}

/// What a power cut leaves of data that no sync has confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsynced {
    Lost,
    FirstLogEntryKept,
    Kept,
}

pub fn possible(scenario: &Scenario, state: &State) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (id, service) in state.services.iter().enumerate() {
        if service.mode != Mode::Standby && state.budget.kills > 0 {
            faults.push(Fault::Kill(id));
        }
        if service.mode == Mode::Standby && state.budget.take_overs > 0 && !may_start(scenario, state) {
            faults.push(Fault::LeaseRunsOut(id));
        }
        if service.mode == Mode::Work && service.items.is_empty() && state.budget.stops > 0 {
            faults.push(Fault::Sigterm(id));
        }
    }
    match (state.budget.power_cuts > 0, &state.photo) {
        (true, Some(_)) => {
            let outcomes = [Unsynced::Lost, Unsynced::FirstLogEntryKept, Unsynced::Kept];
            faults.extend(outcomes.map(Fault::PowerCut));
        }
        (true, None) => faults.push(Fault::LaterCutComesBackToHere),
        (false, _) => {}
    }
    writers_and_readers(scenario, state, &mut faults);
    faults
}

fn writers_and_readers(scenario: &Scenario, state: &State, faults: &mut Vec<Fault>) {
    for (msg, at) in state.disk.messages.iter().enumerate() {
        let name_taken = scenario.arrival == Arrival::SecondUnderTheSameName
            && state.disk.messages.contains(&At::Drop(DropName::Own));
        match at {
            At::Writer if !name_taken => faults.push(Fault::Drop(msg as Msg)),
            At::Drop(_) if state.budget.rewrites > 0 => faults.push(Fault::Rewrite(msg as Msg)),
            At::Writer | At::Drop(_) | At::Claimed { .. } | At::Archived(_) | At::Lost => {}
        }
    }
    if scenario.reader == Reader::Takes {
        let readable = |name: &usize| state.disk.inbox[*name].is_some_and(|reply| reply.data != FileData::Torn);
        faults.extend((0..NAMES).filter(readable).map(|name| Fault::Take(name as u8)));
    }
}

pub fn happen(scenario: &Scenario, state: &mut State, fault: Fault) {
    match fault {
        Fault::Kill(id) => {
            state.budget.kills -= 1;
            start_over(state, id);
        }
        Fault::LeaseRunsOut(id) => {
            state.budget.take_overs -= 1;
            look(state, id, Start::LeaseRanOut);
        }
        Fault::Sigterm(id) => {
            state.budget.stops -= 1;
            state.services[id].mode = Mode::Stop(StopStep::Sync);
        }
        Fault::LaterCutComesBackToHere => state.photo = Some(Box::new(state.disk.clone())),
        Fault::PowerCut(unsynced) => power_cut(scenario, state, unsynced),
        Fault::Rewrite(msg) => {
            state.budget.rewrites -= 1;
            state.versions[msg as usize] += 1;
        }
        Fault::Drop(msg) => {
            // Its writer makes it durable, and with it every name before it.
            state.disk.messages[msg as usize] = At::Drop(DropName::Own);
            state.names_synced();
        }
        Fault::Take(name) => {
            let reply = state.disk.inbox[name as usize].take().expect("the fault was made possible by this reply");
            state.history.taken[reply.msg as usize] = true;
        }
    }
}

/// Names go back to the chosen moment; what was not synced is lost, or not; every process is gone.
fn power_cut(scenario: &Scenario, state: &mut State, unsynced: Unsynced) {
    let photo = state.photo.take().expect("the fault was made possible by the photo");
    let noted = state.disk.ids;
    state.disk = *photo;
    state.budget.power_cuts -= 1;
    state.history.power_was_cut = true;
    let kept_entries = match unsynced {
        Unsynced::Lost => 0,
        Unsynced::FirstLogEntryKept => 1,
        Unsynced::Kept => usize::MAX,
    };
    state.logs.iter_mut().for_each(|log| log.cut(kept_entries));
    state.disk.ids = match unsynced {
        Unsynced::Lost | Unsynced::FirstLogEntryKept => state.disk.ids_synced,
        Unsynced::Kept => noted,
    };
    for reply in state.disk.inbox.iter_mut().flatten() {
        reply.data = match (reply.data, unsynced) {
            (FileData::Cached, Unsynced::Lost | Unsynced::FirstLogEntryKept) => FileData::Torn,
            (FileData::Cached, Unsynced::Kept) => FileData::Synced,
            (kept @ (FileData::Synced | FileData::Torn), _) => kept,
        };
    }
    let told_apart = match scenario.power_cut {
        PowerCut::Reboot => true,
        PowerCut::Remount => scenario.rules.keep(Rule::UniqueMountId),
    };
    state.era += u8::from(told_apart);
    (0..state.services.len()).for_each(|id| start_over(state, id));
}
