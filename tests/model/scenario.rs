//! What a search searches: how many services and messages, which faults, and which rules; and the `Model` itself.
//!
//! Deliberately absent: the meaning of any of it.

use super::faults::{self, Fault};
use super::memory::{Call, Service};
use super::properties;
use super::rules::{Rule, Rules};
use super::service;
use super::state::{
    At, Budget, Disk, DropName, EndState, History, Log, MESSAGES, Msg, NAMES, ROOMS, Room, SERVICES, State,
};
use stateright::{Model, Property};
use std::str::FromStr;

/// Which id the messages carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    Distinct,
    /// The second message is a duplicate of the first.
    Same,
}

/// Under which name the replies go into the inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InboxNames {
    Distinct,
    Same,
}

/// How the messages come into the drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    AllThere,
    /// The second one at any time.
    SecondLater,
    /// The second one at any time when the name of the first is free, under that name.
    SecondUnderTheSameName,
}

/// How far one batch may overtake another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// A batch is published and finished before the next message is claimed.
    BatchByBatch,
    /// Publishing and finishing go on beside the next batches.
    Pipelined,
}

/// Which file an effect is staged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staging {
    /// One of its own, made for it.
    ByPath,
    /// The one that was made ahead, if there is one; a service may make it at any time.
    MadeAhead,
}

/// What the reader of the inbox does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    Leaves,
    /// Takes (deletes) a reply at any time.
    Takes,
}

/// What `Budget::power_cuts` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerCut {
    Reboot,
    /// The disk is pulled and mounted again: same boot, and the system gives the same mount number again.
    Remount,
}

#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub services: usize,
    pub messages: usize,
    pub ids: Ids,
    pub inbox_names: InboxNames,
    pub arrival: Arrival,
    pub line: Line,
    pub staging: Staging,
    pub reader: Reader,
    pub power_cut: PowerCut,
    pub budget: Budget,
    pub rules: Rules,
}

impl Scenario {
    pub fn new(services: usize, messages: usize) -> Scenario {
        assert!(services <= SERVICES && messages <= MESSAGES);
        Scenario {
            services,
            messages,
            ids: Ids::Distinct,
            inbox_names: InboxNames::Distinct,
            arrival: Arrival::AllThere,
            line: Line::BatchByBatch,
            staging: Staging::ByPath,
            reader: Reader::Leaves,
            power_cut: PowerCut::Reboot,
            budget: Budget::default(),
            rules: Rules::ALL,
        }
    }

    /// The id of a message, as a bit.
    pub fn id(&self, msg: Msg) -> u8 {
        match self.ids {
            Ids::Distinct => 1 << msg,
            Ids::Same => 1,
        }
    }

    /// The inbox name that a reply wants; the next numbers follow it.
    pub fn wanted_name(&self, msg: Msg) -> u8 {
        match self.inbox_names {
            InboxNames::Distinct => msg * (NAMES / MESSAGES) as u8,
            InboxNames::Same => 0,
        }
    }
}

/// `services=2 messages=2 kills=1 pipelined without-LookAgain`: the names of the fields, words for the choices, and rules.
impl FromStr for Scenario {
    type Err = String;

    fn from_str(words: &str) -> Result<Scenario, String> {
        let mut asked = Scenario::new(1, 1);
        for word in words.split_whitespace() {
            if let Some(off) = word.strip_prefix("without-") {
                let rule = Rule::ALL.into_iter().find(|rule| format!("{rule:?}") == off);
                asked.rules = asked.rules.without(rule.ok_or(format!("{off}: not a rule"))?);
                continue;
            }
            let (name, number) = word.split_once('=').unwrap_or((word, "1"));
            let number: u8 = number.parse().map_err(|_| format!("{word}: not a number"))?;
            let budget = &mut asked.budget;
            match name {
                "services" => asked.services = number.into(),
                "messages" => asked.messages = number.into(),
                "kills" => budget.kills = number,
                "take_overs" => budget.take_overs = number,
                "failed_syncs" => budget.failed_syncs = number,
                "power_cuts" => budget.power_cuts = number,
                "checkpoints" => budget.checkpoints = number,
                "stops" => budget.stops = number,
                "pipelined" => asked.line = Line::Pipelined,
                "made-ahead" => asked.staging = Staging::MadeAhead,
                "same-ids" => (asked.ids, asked.arrival) = (Ids::Same, Arrival::SecondLater),
                "same-names" => asked.inbox_names = InboxNames::Same,
                "takes" => asked.reader = Reader::Takes,
                unknown => return Err(format!("{unknown}: not a word of a scenario")),
            }
        }
        assert!(asked.services <= SERVICES && asked.messages <= MESSAGES, "too large for the arrays of state.rs");
        Ok(asked)
    }
}

/// One step: a system call of one service, or something that its surroundings do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Service(usize, Call),
    Surroundings(Fault),
}

impl Model for Scenario {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let mut messages = [At::Archived(EndState::Answered); MESSAGES];
        messages[..self.messages].fill(At::Drop(DropName::Own));
        if self.arrival != Arrival::AllThere {
            messages[1] = At::Writer;
        }
        let disk = Disk { rooms: [Room::default(); ROOMS], messages, inbox: [None; NAMES], ids: 0, ids_synced: 0 };
        vec![State {
            disk,
            photo: None,
            logs: std::array::from_fn(|_| Log::default()),
            services: vec![Service::default(); self.services],
            versions: [0; MESSAGES],
            era: 0,
            budget: self.budget,
            history: History::default(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Step>) {
        for id in 0..self.services {
            actions.extend(service::possible(self, state, id).into_iter().map(|call| Step::Service(id, call)));
        }
        actions.extend(faults::possible(self, state).into_iter().map(Step::Surroundings));
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let mut next = state.clone();
        match step {
            Step::Service(id, call) => service::make(self, &mut next, id, call),
            Step::Surroundings(fault) => faults::happen(self, &mut next, fault),
        }
        next.tidy();
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
