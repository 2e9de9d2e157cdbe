//! Decisions of earlier services that recovery could not carry out: they are this one's from now on, before all of its own.
//!
//! Absent on purpose: what only the service that decides can know, such as when exactly what is put off was to be due by its clock.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::active::Active;
use super::claimed::Key;
use super::clock::Now;
use super::decide::Decision;
use super::waiting::{Due, GIVEN_BACK};
use crate::bus::layout::{ClaimName, WaitingName};
use crate::bus::record::{Finish, Record, Target};
use crate::bus::state::{self, Value};
use crate::bus::unfinished::Unfinished;
use crate::extension::{StateKey, Stored};
use crate::message::{AgentId, Given, Message, MessageId};

impl Active<'_> {
    /// Takes them on, in the order in which they were decided.
    pub(super) fn inherit(&mut self, unfinished: Vec<Unfinished>, now: Now) {
        for Unfinished { record, staged } in unfinished {
            self.decided += 1;
            let message = self.message_put_off(&record);
            let decision = Decision {
                key: key_of(&record),
                parts: staged.iter().filter_map(|effect| message_in_room(&record.effects[*effect].to)).collect(),
                sent: Vec::new(),
                due: self.due(&record.finish, message.as_ref(), now),
                bytes: message.as_ref().map_or(0, |message| message.text().as_bytes().len() as u64),
                number: self.decided,
                staged: true,
                message,
                record,
            };
            self.in_flight.extend(decision.key.clone());
            // For the limits it waits already.
            if let (Some(_), Some(message)) = (decision.due, &decision.message) {
                self.waiting.announce();
                self.senders.add(message.sender(), decision.bytes);
            }
            for effect in staged {
                self.expect(&decision.record, effect);
            }
            self.unfinished.push(Arc::new(decision));
        }
        self.inherited = self.unfinished.len();
    }

    /// What is to be there counts already: a name in an inbox, the inbox itself, what an extension keeps.
    fn expect(&mut self, record: &Record, effect: usize) {
        let (disk, target) = (&self.core.disk, &record.effects[effect].to);
        match target {
            Target::Inbox { agent, .. } => {
                self.inbox_names.reserve(target);
                self.coming.extend(AgentId::parse(agent));
            }
            Target::State { extension, .. } => {
                let staged = disk.read(&self.room.file(record.staged_name(effect)), u64::MAX).ok().flatten();
                let Some(Value { key, version, value, .. }) = staged.as_deref().and_then(Value::decode) else { return };
                // One that was decided later may be there already.
                if state::version_at(disk, &target.path(Path::new(""))).is_ok_and(|there| there >= version) {
                    return;
                }
                let key = StateKey { extension: extension.clone(), key };
                self.state.decide(vec![(key, Stored { value, version })]);
            }
            Target::Room { .. } | Target::Why { .. } | Target::Agent { .. } | Target::AgentGone { .. } => {}
        }
    }

    /// The message, where it matters whose it is: that one will wait.
    fn message_put_off(&self, record: &Record) -> Option<Message> {
        let Finish::Deferred { .. } = &record.finish else { return None };
        let path = self.room.file(record.claim.file_name());
        let text = self.core.disk.read(&path, self.core.settings.bus.max_message_bytes).ok()??;
        Message::parse(text, Given { file_identity: (0, 0), now_ms: 0 }).ok()
    }

    /// As for what waits in its folder when a service begins. A turn that it was given has come by then.
    fn due(&self, finish: &Finish, message: Option<&Message>, now: Now) -> Option<Due> {
        let Finish::Deferred { name } = finish else { return None };
        let due_ms = WaitingName::parse(name).map_or(GIVEN_BACK, |name| name.due_ms);
        if message.and_then(Message::not_before) == Some(due_ms) {
            return Some(Due::Date(due_ms));
        }
        let longest = Duration::from_millis(self.core.settings.retry.max_ms);
        Some(Due::At(now.mono + Duration::from_millis(due_ms.saturating_sub(now.wall_ms)).min(longest)))
    }
}

/// Of one delivery of several the id is not its own.
fn key_of(record: &Record) -> Option<Key> {
    let note = record.id.as_ref().filter(|_| record.claim.ticket.part.is_none())?;
    Some((AgentId::parse(&note.sender).ok()?, MessageId::parse(&note.id).ok()?))
}

fn message_in_room(target: &Target) -> Option<ClaimName> {
    match target {
        Target::Room { name } => ClaimName::parse(name),
        Target::Inbox { .. }
        | Target::Why { .. }
        | Target::Agent { .. }
        | Target::AgentGone { .. }
        | Target::State { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::attempted::tests::Bus;
    use super::*;
    use crate::bus::layout::{self, Ticket};
    use crate::bus::record::{Effect, Story};

    fn claim() -> ClaimName {
        ClaimName::first(Ticket::new(), "m.json".as_ref())
    }

    fn record(active: &Active<'_>, claim: ClaimName, finish: Finish, effects: Vec<Effect>) -> Record {
        let (term, place) = (active.room.term, active.room.place.clone());
        Record { term, place, claim, finish, effects, ahead: None, id: None, answers: None, story: Story::default() }
    }

    fn put(bus: &Bus, active: &Active<'_>, name: &str, bytes: &[u8]) {
        std::fs::write(bus.path.join(active.room.file(name)), bytes).expect("put into the room");
    }

    #[test]
    fn what_was_put_off_is_taken_up_when_it_is_due() {
        let bus = Bus::new();
        let mut active = bus.serve();
        let claim = claim();
        let text = r#"{"id":"m-1","sender":"alice","recipient":"postroom","action":"mcp.core.echo"}"#;
        put(&bus, &active, &claim.file_name(), text.as_bytes());
        let finish = Finish::Deferred { name: claim.waiting(GIVEN_BACK) };
        let record = record(&active, claim, finish, Vec::new());
        let alice = AgentId::parse("alice").expect("a name");
        active.inherit(vec![Unfinished { record, staged: Vec::new() }], Now::get());
        assert_eq!((active.waiting.len(), active.senders.of(&alice)), (1, (1, text.len() as u64)));
        active.work();
        assert_eq!((active.waiting.len(), active.senders.of(&alice)), (0, (0, 0)));
        assert!(bus.path.join("inbox/alice/m-1.reply.json").exists());
        assert_eq!(active.undone().count(), 0);
    }

    #[test]
    fn what_an_extension_keeps_is_known_before_it_is_published() {
        let bus = Bus::new();
        let mut active = bus.serve();
        let value = Value {
            key: "k".into(),
            version: 3,
            ticket: "t".into(),
            attempt: 1,
            at: 0,
            value: Some(b"three".to_vec()),
        };
        let name = layout::state_name("k");
        let to = Target::State { extension: "one".into(), name, version: value.version };
        let (claim, effects) = (claim(), vec![Effect::whole(to, value.encode())]);
        let finish = Finish::DeadLetter { name: claim.dead().0 };
        let record = record(&active, claim, finish, effects);
        put(&bus, &active, &record.staged_name(0), &value.encode());
        active.inherit(vec![Unfinished { record, staged: vec![0] }], Now::get());
        let key = StateKey { extension: "one".into(), key: "k".into() };
        let expected = Stored { value: value.value.clone(), version: 3 };
        assert_eq!(active.state.get(&key).expect("read"), expected);
        active.work();
        assert_eq!(active.state.get(&key).expect("read"), expected, "from its file");
        assert!(bus.path.join(".postroom/state/one/k").exists());
    }

    #[test]
    fn a_service_that_ends_leaves_it_to_the_next_one_with_its_room() {
        let bus = Bus::new();
        let mut active = bus.serve();
        let to = Target::Inbox { agent: "bob".into(), stem: "m-1".into(), number: 1 };
        let (claim, effects) = (claim(), vec![Effect::whole(to, b"{}".to_vec())]);
        let finish = Finish::DeadLetter { name: claim.dead().0 };
        let record = record(&active, claim, finish, effects);
        put(&bus, &active, &record.staged_name(0), b"{}");
        put(&bus, &active, &record.claim.file_name(), b"the message");
        active.log.commit(&active.core.disk, &active.room, &[(&record, b"")]).expect("decided");
        std::fs::write(bus.path.join("inbox/bob"), "in the way").expect("written");
        active.inherit(vec![Unfinished { record: record.clone(), staged: vec![0] }], Now::get());
        let rooms = || std::fs::read_dir(bus.path.join("processing")).expect("listed").count();
        for _ in 0..2 {
            active.work();
            active.stop();
            active.leave().expect("left");
            drop(active);
            assert_eq!(rooms(), 1);
            active = bus.serve();
            assert_eq!(active.undone().map(|decision| &decision.record).collect::<Vec<_>>(), [&record]);
        }
        std::fs::remove_file(bus.path.join("inbox/bob")).expect("removed");
        active.work();
        assert!(bus.path.join("inbox/bob/m-1.json").exists() && bus.path.join(record.finish.path()).exists());
        active.stop();
        active.leave().expect("left");
        assert_eq!(rooms(), 0);
    }
}
