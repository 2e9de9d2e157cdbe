//! The line: drop, claim, check, route, handle, commit, publish, finish. [`Active::pass`] is all of it.

use crate::bus::BusError;
use crate::bus::claim::{self, Claimed as Claim};
use crate::bus::log::Note;
use crate::control::{self, Call, View};
use crate::message::{AgentId, Handled, Payload, ReplyBody};
use crate::policy::route::Route;

use super::active::{Active, Turn};
use super::check::{Answers, Checked, Verdict, expired};
use super::claimed::{Aside, Claimed};
use super::clock::Now;
use super::decide::{Decision, Handler};
use super::drop_queue::BATCH;
use super::gather::Candidate;
use super::lanes::Job;

/// So many files that were read are closed only when what is to be answered is answered.
const KEPT_OPEN: usize = 4;

impl Active<'_> {
    /// One batch through the whole line. What an error interrupts is kept and gone on with in the next pass.
    pub(super) fn pass(&mut self, now: Now) -> Result<(), BusError> {
        let started = self.start_early(now);
        self.settle(now)?;
        started?;
        self.inbox_states.borrow_mut().clear();
        self.publisher.folders().doubt();
        // One batch becomes visible while the next one is made; more of them would only take memory.
        self.wait_for_publisher(BATCH, now)?;
        if self.stop_at.is_none() && self.may_claim() {
            for claimed in self.claim_batch(now)? {
                let aside = Aside::of(&claimed);
                match self.decide(claimed, now) {
                    // One message must not hold up the others.
                    Err(error @ BusError::Disk(_)) => {
                        self.put_aside(aside);
                        self.one_failed(&error, now);
                    }
                    done => done?,
                }
            }
        }
        self.start_handlers(1, now)?;
        self.settle(now)
    }

    /// Checks a claimed message and decides what becomes of it, or gives it to its extension.
    fn decide(&mut self, claimed: Claimed, now: Now) -> Result<(), BusError> {
        let Checked { route, hops, answers } = match self.check(&claimed, now)? {
            Verdict::Go(checked) => checked,
            verdict => return self.decide_unhandled(claimed, verdict, now),
        };
        let alive = self.registry.seen(claimed.message.sender(), now.wall_ms);
        let mut decision = match route {
            Route::Inbox(agent) => self.delivered(claimed, &agent, hops, answers, now)?,
            Route::Split(recipients) => self.split(claimed, &recipients, hops, now),
            Route::Control => self.handle_control(claimed, hops, now)?,
            Route::Extension(extension) => return self.enter_lane(claimed, extension, hops, answers, now),
        };
        decision.note_alive(alive);
        self.unsettled.push(decision);
        Ok(())
    }

    /// Something that must be known of it cannot be read now: it is looked at again with the next scan.
    pub(super) fn put_aside(&mut self, Aside { ready, key }: Aside) {
        if let Some(key) = key {
            self.in_flight.remove(&key);
            self.drop.unblock(&key);
        }
        self.alone = self.alone.take().filter(|name| *name != ready.name);
        self.busy.push(ready);
    }

    /// What there is to work on, claimed. Nothing is published meanwhile: the kernel makes renames across folders one after the other, and two
    /// threads that wait for each other at every one of them are slower than one.
    fn claim_batch(&mut self, now: Now) -> Result<Vec<Claimed>, BusError> {
        self.read.clear();
        let candidates = self.gather(now)?;
        let _pause = self.publisher.pause();
        let (mut claimed, mut failed) = (Vec::new(), None);
        for candidate in candidates {
            match self.claim(candidate, now) {
                Ok(one) => claimed.extend(one),
                Err(error @ BusError::Disk(_)) => failed = Some(error),
                Err(error) => return Err(error),
            }
        }
        if let Some(error) = failed {
            // It may be in the room, where no list names it.
            self.relist = true;
            self.one_failed(&error, now);
            if claimed.is_empty() {
                return Err(error);
            }
        }
        Ok(claimed)
    }

    /// Claims a candidate and notes that it was accepted. `None`: it is not to be had, or its fate is decided already.
    fn claim(&mut self, candidate: Candidate, now: Now) -> Result<Option<Claimed>, BusError> {
        let (disk, room) = (&self.core.disk, &self.room);
        let (claim, refusal) = match candidate {
            Candidate::InRoom(claimed) => return Ok(Some(*claimed)),
            Candidate::UnfitInRoom { claim, refusal } => (claim, refusal),
            Candidate::Unfit { name, state, refusal } => match claim::claim_unread(disk, room, &name, state)? {
                Claim::Yes(claim) => {
                    self.drop.settled(&name);
                    (claim, refusal)
                }
                Claim::No => return Ok(None),
            },
            Candidate::Dropped { opened, message } => {
                let key = (message.sender().clone(), message.id().clone());
                let claim = match claim::claim(disk, room, &opened) {
                    Ok(Claim::Yes(claim)) => claim,
                    other => {
                        self.in_flight.remove(&key);
                        self.drop.unblock(&key);
                        return other.map(|_| None);
                    }
                };
                if self.read.len() < KEPT_OPEN {
                    self.read.push(opened);
                }
                let claimed = Claimed {
                    accepted_at: now.wall_ms,
                    claim,
                    message,
                    part: None,
                    suspect: false,
                    known: false,
                    waited_until: None,
                    turn: Turn::Unknown,
                    earlier: Vec::new(),
                };
                self.accepted(&claimed, now);
                return Ok(Some(claimed));
            }
        };
        let decision = self.unfit(claim, &refusal, now)?;
        self.unsettled.push(decision);
        Ok(None)
    }

    pub(super) fn decide_unhandled(&mut self, claimed: Claimed, verdict: Verdict, now: Now) -> Result<(), BusError> {
        let decision = match verdict {
            Verdict::Go(_) => return Ok(()),
            Verdict::Refuse(refused) => self.dead(claimed, refused, None, None, 0, now)?,
            Verdict::Loop(refused, hops) => self.dead(claimed, refused, None, None, hops, now)?,
            Verdict::Duplicate(of) => self.duplicate(claimed, of, now),
            Verdict::Wait(due, why) => self.wait(claimed, due, why, now),
        };
        self.unsettled.push(decision);
        Ok(())
    }

    /// The service's own commands are answered at once.
    fn handle_control(&mut self, claimed: Claimed, hops: u32, now: Now) -> Result<Decision, BusError> {
        let envelope = match self.envelope(&claimed.message) {
            Ok(envelope) => envelope,
            Err(refused) => return self.dead(claimed, refused, None, None, hops, now),
        };
        self.log.note(&self.room, &Note::StartedNext { claim: claimed.claim.name.file_name() })?;
        let name = AgentId::parse(AgentId::POSTROOM).expect("a constant that is a valid name");
        self.called(&claimed, &name, now);
        let began = std::time::Instant::now();
        let message = &claimed.message;
        let call = Call {
            message,
            action: envelope.as_ref().map_or(message.action().as_str(), |envelope| envelope.action.as_str()),
            parameters: envelope.as_ref().map_or(message.payload_text(), |envelope| envelope.parameters_text(message)),
            bus: self.view(now),
        };
        let control::Answer { handled, change } = control::answer(&call);
        let described = name.to_string();
        let handler = Handler { name, described, took_us: began.elapsed().as_micros() as u64, log: Vec::new() };
        let mut decision = match handled {
            Handled::Reply(payload) => self.replied(claimed, &handler, hops, body(&payload), envelope.as_ref(), now)?,
            Handled::Failed(failure) => self.failed(claimed, &handler, hops, failure, envelope.as_ref(), now)?,
        };
        if let Some(change) = change {
            self.registry.apply(&change);
            decision.record.effects.push(Self::change_effect(&change));
        }
        Ok(decision)
    }

    /// What control commands may know.
    pub(super) fn view(&self, now: Now) -> View<'_> {
        View {
            now_ms: now.wall_ms,
            uptime_ms: now.mono.saturating_duration_since(self.began).as_millis() as u64,
            registered: self.registry.agents(),
            extensions: &self.extensions,
            agents_limit: self.core.settings.limits.agents,
            reply_bytes: usize::try_from(self.core.settings.bus.max_message_bytes).unwrap_or(usize::MAX),
        }
    }

    fn enter_lane(
        &mut self,
        claimed: Claimed,
        extension: AgentId,
        hops: u32,
        answers: Option<Answers>,
        now: Now,
    ) -> Result<(), BusError> {
        match self.envelope(&claimed.message) {
            Ok(envelope) => {
                let job = Job { claimed, extension, envelope, hops, answers, conflicts: 0 };
                if let Some(job) = self.unless_in_vain(job, now)? {
                    self.lanes.add(job);
                }
            }
            Err(refused) => {
                let decision = self.dead(claimed, refused, None, None, hops, now)?;
                self.unsettled.push(decision);
            }
        }
        Ok(())
    }

    /// Starts what those that have ended make room for, while their outcomes are written down. What they have changed of what extensions keep is
    /// known already. In a lane of one, each waits until the one before is decided on the disk.
    fn start_early(&mut self, now: Now) -> Result<(), BusError> {
        if self.trouble.retry_at().is_some() { Ok(()) } else { self.start_handlers(2, now) }
    }

    /// Starts what the lanes have room for that are at least so wide. Nothing new starts while the service is stopping.
    fn start_handlers(&mut self, at_least: usize, now: Now) -> Result<(), BusError> {
        if self.stop_at.is_some() {
            return Ok(());
        }
        while let Some(job) = self.lanes.next_to_start(&self.core.installed, at_least) {
            // It may have waited long for its turn.
            if let Some(refused) = expired(&job.claimed.message, now) {
                let decision = self.dead(job.claimed, refused, None, None, job.hops, now)?;
                self.unsettled.push(decision);
                continue;
            }
            let note = Note::Started { claim: job.claimed.claim.name.file_name() };
            if let Err(error) = self.log.note(&self.room, &note) {
                self.lanes.add(job);
                return Err(error);
            }
            self.called(&job.claimed, &job.extension, Now::get());
            self.lanes.start(job);
        }
        Ok(())
    }
}

fn body(payload: &Payload) -> ReplyBody<'_> {
    match payload {
        Payload::OfMessage => ReplyBody::OfMessage,
        Payload::Text(text) => ReplyBody::Payload(text),
    }
}
