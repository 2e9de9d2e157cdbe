//! The lanes of the extensions: each handles up to its `concurrency` messages at a time, in order, and delays no other.
//!
//! What a lane has no room for is not claimed at all but stays in the drop, so a flood for one slow extension costs neither
//! memory nor a place in the room.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use tokio::task::AbortHandle;

use super::attempt::AtHand;
use super::attempted::Left;
use super::check::Answers;
use super::claimed::Claimed;
use super::installed::Installed;
use super::stored::StateStore;
use super::wake::{Wake, Waker};
use crate::bus::layout::Ticket;
use crate::extension::{Attempted, Call, ErrorReply, ExtensionHost, Message as GuestMessage, Trust};
use crate::message::{AgentId, Envelope};

/// How many claimed messages may wait in one lane, beside those that run.
const LANE_WAITS: usize = 32;

/// A handler has ended.
#[derive(Debug)]
pub struct Ended {
    pub ticket: Ticket,
    pub left: Left,
}

/// A message that an extension is to handle.
#[derive(Debug)]
pub struct Job {
    pub claimed: Claimed,
    pub extension: AgentId,
    pub envelope: Option<Envelope>,
    pub hops: u32,
    /// It answers what the extension has sent.
    pub answers: Option<Answers>,
    /// How often in a row it ran in vain, because what it had read was changed meanwhile.
    pub conflicts: u32,
}

#[derive(Debug)]
struct Running {
    job: Job,
    abort: AbortHandle,
}

#[derive(Debug, Default)]
struct Lane {
    /// By falling priority, then in the order of arrival.
    waiting: BTreeMap<(u8, u64), Job>,
    running: usize,
    /// What is being gathered for it, and not yet in it.
    gathered: usize,
}

/// Everything that is claimed for extensions.
pub struct Lanes {
    host: Arc<ExtensionHost>,
    /// There is one if there are extensions.
    runtime: Option<tokio::runtime::Handle>,
    state: Arc<StateStore>,
    wake: Waker,
    lanes: HashMap<AgentId, Lane>,
    running: HashMap<Ticket, Running>,
    arrivals: u64,
}

impl Lanes {
    pub fn new(
        host: Arc<ExtensionHost>,
        runtime: Option<tokio::runtime::Handle>,
        state: Arc<StateStore>,
        wake: Waker,
    ) -> Lanes {
        Lanes { host, runtime, state, wake, lanes: HashMap::new(), running: HashMap::new(), arrivals: 0 }
    }

    pub fn host(&self) -> &ExtensionHost {
        &self.host
    }

    /// From now on handlers start in this set of extensions.
    pub fn use_set(&mut self, host: Arc<ExtensionHost>, runtime: Option<tokio::runtime::Handle>) {
        self.host = host;
        self.runtime = runtime;
    }

    /// May one more message be claimed for this extension?
    pub fn has_room(&self, extension: &AgentId, installed: &Installed) -> bool {
        let most = LANE_WAITS + installed.concurrency(extension.as_str());
        self.lanes.get(extension).is_none_or(|lane| lane.waiting.len() + lane.running + lane.gathered < most)
    }

    /// One message is going to be claimed, perhaps for an extension.
    pub fn gather(&mut self, recipient: &AgentId) {
        if self.host.package(recipient.as_str()).is_some() {
            self.lanes.entry(recipient.clone()).or_default().gathered += 1;
        }
    }

    /// What was gathered is now in its lane, or will not come.
    pub fn end_gathering(&mut self) {
        for lane in self.lanes.values_mut() {
            lane.gathered = 0;
        }
    }

    pub fn add(&mut self, job: Job) {
        self.arrivals += 1;
        let order = (9 - job.claimed.message.priority().min(9), self.arrivals);
        self.lanes.entry(job.extension.clone()).or_default().waiting.insert(order, job);
    }

    /// The next message that may start now, if there is one, in a lane that is at least so wide.
    pub fn next_to_start(&mut self, installed: &Installed, at_least: usize) -> Option<Job> {
        let has_room = |name: &AgentId, lane: &Lane| {
            let width = installed.concurrency(name.as_str());
            lane.running < width && width >= at_least
        };
        let (_, lane) = self.lanes.iter_mut().find(|(name, lane)| !lane.waiting.is_empty() && has_room(name, lane))?;
        lane.waiting.pop_first().map(|(_, job)| job)
    }

    /// Starts the handler. The caller has noted the start in the log.
    pub fn start(&mut self, job: Job) {
        let ticket = job.claimed.claim.name.ticket;
        let (host, wake) = (self.host.clone(), self.wake.clone());
        let at_hand = Arc::new(AtHand::new(self.state.clone(), self.wake.clone()));
        let task = Task::of(&job);
        let described = described(&host, &job.extension);
        let runtime = self
            .runtime
            .as_ref()
            .expect("a message is routed to an extension only where one was loaded, and runtimes stay");
        let handle = runtime.spawn(async move {
            let began = Instant::now();
            let attempted = task.run(&host, at_hand.clone()).await;
            let left = Left { attempted, changes: at_hand.take_changes(), took: began.elapsed(), described };
            wake.wake(Wake::Ended(Box::new(Ended { ticket, left })));
        });
        self.lanes.entry(job.extension.clone()).or_default().running += 1;
        self.running.insert(ticket, Running { job, abort: handle.abort_handle() });
    }

    /// Takes out the message whose handler ended; `None` if it was cancelled before.
    pub fn ended(&mut self, ticket: Ticket) -> Option<Job> {
        let running = self.running.remove(&ticket)?;
        if let Some(lane) = self.lanes.get_mut(&running.job.extension) {
            lane.running -= 1;
        }
        Some(running.job)
    }

    /// The messages that have not started, in their order.
    pub fn take_waiting(&mut self) -> Vec<Job> {
        let mut jobs: Vec<Job> =
            self.lanes.values_mut().flat_map(|lane| std::mem::take(&mut lane.waiting).into_values()).collect();
        jobs.sort_by_key(|job| job.claimed.claim.name.ticket);
        jobs
    }

    /// Ends every handler that still runs; what it returns is lost.
    pub fn cancel_running(&mut self) -> Vec<Job> {
        let tickets: Vec<Ticket> = self.running.keys().copied().collect();
        let mut jobs: Vec<Job> = tickets
            .into_iter()
            .filter_map(|ticket| {
                if let Some(running) = self.running.get(&ticket) {
                    running.abort.abort();
                }
                self.ended(ticket)
            })
            .collect();
        jobs.sort_by_key(|job| job.claimed.claim.name.ticket);
        jobs
    }

    pub fn running(&self) -> usize {
        self.running.len()
    }

    pub fn is_idle(&self) -> bool {
        self.running.is_empty() && self.lanes.values().all(|lane| lane.waiting.is_empty())
    }

    /// Every claim that is in a lane, running or not.
    pub fn claims(&self) -> impl Iterator<Item = &Job> {
        let waiting = self.lanes.values().flat_map(|lane| lane.waiting.values());
        waiting.chain(self.running.values().map(|running| &running.job))
    }

    /// The claims whose handlers run.
    pub fn running_claims(&self) -> impl Iterator<Item = &Job> {
        self.running.values().map(|running| &running.job)
    }
}

/// An extension as the journal names it.
pub(super) fn described(host: &ExtensionHost, extension: &AgentId) -> String {
    match host.package(extension.as_str()) {
        Some(package) => format!("{extension} {} sha256:{}", package.about.version, package.sha256_hex()),
        None => extension.to_string(),
    }
}

/// What a handler's task owns while it runs.
struct Task {
    extension: AgentId,
    message: crate::message::Message,
    envelope: Option<Envelope>,
    accepted_at: u64,
    attempt: u32,
    hops: u32,
}

impl Task {
    fn of(job: &Job) -> Task {
        Task {
            extension: job.extension.clone(),
            message: job.claimed.message.clone(),
            envelope: job.envelope.clone(),
            accepted_at: job.claimed.accepted_at,
            attempt: job.claimed.claim.name.attempt,
            hops: job.hops,
        }
    }

    async fn run(&self, host: &ExtensionHost, at_hand: Arc<AtHand>) -> Attempted {
        let message = &self.message;
        let others: Vec<(&str, &str)> = message.extras().collect();
        let (action, payload) = match &self.envelope {
            Some(envelope) => (envelope.action.as_str(), envelope.parameters_text(message)),
            None => (message.action().as_str(), message.payload_text()),
        };
        let error = message.error().map(|error| ErrorReply {
            code: &error.code,
            message: &error.message,
            details: message.error_details_text(),
        });
        let signed_ms = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        let call = Call {
            message: GuestMessage {
                id: message.id().as_str(),
                sender: message.sender().as_str(),
                recipient: self.extension.as_str(),
                action,
                payload,
                error,
                timestamp: signed_ms(message.timestamp()),
                in_reply_to: message.in_reply_to().map(|id| id.as_str()),
                correlation_id: message.correlation_id().map(|id| id.as_str()),
                expires_at: message.expires_at().map(signed_ms),
                others: &others,
            },
            accepted_at: signed_ms(self.accepted_at),
            attempt: self.attempt,
            hops: self.hops,
            trust: Trust::Unsigned,
            key_id: None,
        };
        host.handle(self.extension.as_str(), call, at_hand).await
    }
}
