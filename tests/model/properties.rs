//! What has to hold in every state, and in every state in which nothing more happens by itself.
//!
//! "Eventually" is said as "always, when at rest": every search path ends at rest, because faults are counted and a
//! service without work makes no calls. The last ones are the other way round: states that a search has to meet, so that
//! a model which does nothing fails.

use super::memory::Mode;
use super::scenario::{Arrival, Scenario};
use super::service;
use super::state::{At, EndState, FileData, Msg, Place, ROOMS, Reply, RoomId, State};
use stateright::Property;

pub fn all() -> Vec<Property<Scenario>> {
    vec![
        Property::always("one content per id was ever visible", one_content),
        Property::always("no reply is published twice without a power cut", published_once),
        Property::always("only decided records are published", decided_before_published),
        Property::always("no message and no reply is overwritten", nothing_overwritten),
        Property::always("only started attempts are counted", only_started_attempts_count),
        Property::always("handlers start in the order of the drop", in_order),
        Property::always("at rest every message is archived and its id answered", answered_at_rest),
        Property::always("at rest one service is active and no old room holds anything", one_active_at_rest),
        Property::sometimes("everything comes to rest", at_rest),
        Property::sometimes("a service finds that its room was taken", finds_room_taken),
    ]
}

/// Names of the properties that a service alone, without anybody who takes its room, cannot show.
pub const NEEDS_A_SECOND: &str = "a service finds that its room was taken";

/// The messages with the same id as `msg`, itself included.
fn same_id<'a>(scenario: &'a Scenario, msg: usize) -> impl Iterator<Item = usize> + 'a {
    (0..scenario.messages).filter(move |other| scenario.id(*other as Msg) == scenario.id(msg as Msg))
}

fn one_content(scenario: &Scenario, state: &State) -> bool {
    let contents = |msg| same_id(scenario, msg).map(|msg| state.history.seen[msg].count_ones()).sum::<u32>();
    (0..scenario.messages).all(|msg| contents(msg) <= 1)
}

fn published_once(_: &Scenario, state: &State) -> bool {
    state.history.power_was_cut || state.history.published.iter().all(|times| *times <= 1)
}

fn decided_before_published(_: &Scenario, state: &State) -> bool {
    let mut both = state.history.seen.iter().zip(state.history.decided);
    both.all(|(seen, decided)| seen & !decided == 0)
}

fn nothing_overwritten(_: &Scenario, state: &State) -> bool {
    !state.history.reply_overwritten && !state.disk.messages.contains(&At::Lost)
}

fn only_started_attempts_count(_: &Scenario, state: &State) -> bool {
    state.disk.messages.iter().enumerate().all(|(msg, at)| match at {
        At::Claimed { attempt, .. } => *attempt <= 1 + state.history.runs[msg],
        At::Writer | At::Drop(_) | At::Archived(_) | At::Lost => true,
    })
}

fn in_order(scenario: &Scenario, state: &State) -> bool {
    let [first, second] = state.history.runs;
    scenario.arrival != Arrival::AllThere || scenario.messages < 2 || second == 0 || first > 0
}

fn at_rest(scenario: &Scenario, state: &State) -> bool {
    !state.disk.messages.contains(&At::Writer)
        && (0..scenario.services).all(|id| service::possible(scenario, state, id).is_empty())
}

fn answered_at_rest(scenario: &Scenario, state: &State) -> bool {
    if !at_rest(scenario, state) {
        return true;
    }
    let readable = |msg: usize| {
        let of = |reply: &&Reply| reply.msg as usize == msg && reply.data != FileData::Torn;
        state.disk.inbox.iter().flatten().filter(of).count()
    };
    (0..scenario.messages).all(|msg| {
        let visible: usize = same_id(scenario, msg).map(readable).sum();
        let taken = same_id(scenario, msg).any(|msg| state.history.taken[msg]);
        let answered = |msg: &usize| state.disk.messages[*msg] == At::Archived(EndState::Answered);
        let first_ones = same_id(scenario, msg).filter(answered).count();
        matches!(state.disk.messages[msg], At::Archived(_))
            && (visible >= 1 || taken)
            // After a power cut a reply may be there again, and the message that it answers may come as its own duplicate.
            && (state.history.power_was_cut || (visible <= 1 && first_ones == 1))
    })
}

fn one_active_at_rest(scenario: &Scenario, state: &State) -> bool {
    let active =
        |id: &usize| state.services[*id].mode == Mode::Work && service::own_room(scenario, state, *id).is_some();
    // A starter that was killed leaves a room with nothing in it, which the next winner takes away.
    let made_ahead = |room: RoomId| state.services.iter().any(|service| service.ahead && service.room == Some(room));
    let is_empty = |room: RoomId| {
        state.disk.rooms[room as usize].place == Place::Gone
            || state.disk.is_empty(room)
            || (made_ahead(room) && state.disk.is_empty_but_for_ahead(room))
    };
    let nothing_left = (0..ROOMS as RoomId).all(is_empty);
    !at_rest(scenario, state) || ((0..scenario.services).filter(active).count() == 1 && nothing_left)
}

fn finds_room_taken(scenario: &Scenario, state: &State) -> bool {
    let lost = |id: usize| {
        let working = state.services[id].mode == Mode::Work;
        working && service::own_room(scenario, state, id).is_none()
    };
    (0..scenario.services).any(lost)
}
