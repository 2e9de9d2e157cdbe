//! Messages that had been put off, and whose files came back elsewhere.

use std::path::Path;

use postroom::bus::ids::Ids;
use postroom::bus::journal::Journal;
use postroom::bus::layout::{self, ClaimName};
use postroom::bus::log::Durability;
use postroom::bus::{recover, term};

use super::old_rooms::{Bus, LOGGED, NEVER_MS, OldRoom, REPLY, claim, echo, now_ms, today};

#[test]
fn a_deferred_message_that_is_back_in_the_drop_is_handled_and_answered_once() {
    let bus = Bus::new();
    let mut room = bus.earlier_room();
    let claim = claim();
    let record = room.deferred(&claim, &claim.next_attempt());
    room.decide(&record);
    room.note_id(&record);
    bus.put("m.json", &echo());
    drop(room);
    bus.serve();
    assert!(bus.text(REPLY).contains(r#""payload":"hello""#));
    let first = bus.text(REPLY);
    bus.put("again.json", &echo());
    bus.serve();
    assert_eq!(bus.names("inbox/alice"), ["m-1.reply.json"]);
    assert_eq!(bus.text(REPLY), first);
}

#[test]
fn a_message_that_was_deferred_twice_and_is_back_in_the_drop_is_handled() {
    for is_noted in [false, true] {
        let bus = Bus::new();
        let mut room = bus.earlier_room();
        let first = claim();
        let second = first.next_attempt();
        for (claim, waits_as) in [(&first, &second), (&second, &second.next_attempt())] {
            let record = room.deferred(claim, waits_as);
            room.decide(&record);
            if is_noted {
                room.note_id(&record);
            }
        }
        bus.put("m.json", &echo());
        drop(room);
        bus.serve();
        assert_eq!(bus.names("inbox/alice"), ["m-1.reply.json"], "the id is in the file of ids: {is_noted}");
    }
}

#[test]
fn a_message_that_waited_and_was_begun_and_is_back_in_the_drop_is_handled() {
    let bus = Bus::new();
    let mut room = bus.earlier_room();
    let claim = claim();
    let record = room.deferred(&claim, &claim);
    room.decide(&record);
    room.note_id(&record);
    room.began(&claim);
    bus.put("m.json", &echo());
    drop(room);
    bus.serve();
    assert!(bus.text(REPLY).contains(r#""payload":"hello""#));
}

#[test]
fn a_deferred_message_that_is_back_in_the_room_waits_again() {
    let bus = Bus::new();
    let mut room = bus.earlier_room();
    let claim = claim();
    let record = room.deferred(&claim, &claim.next_attempt());
    room.decide(&record);
    room.put(&claim, &echo());
    drop(room);
    bus.serve();
    assert_eq!(bus.names("deferred").len(), 1);
    assert_eq!(bus.names("inbox/alice"), [""; 0]);
}

/// It was back in the drop before, was claimed from there under another ticket and answered; then recovery ran once more.
#[test]
fn an_id_that_another_ticket_has_by_now_stays_taken() {
    let bus = Bus::new();
    let mut room = bus.earlier_room();
    let first = claim();
    let record = room.deferred(&first, &first.next_attempt());
    room.decide(&record);
    room.note_id(&room.replied(&claim()));
    bus.put("m.json", &echo());
    drop(room);
    bus.serve();
    assert_eq!(bus.names("inbox/alice"), [""; 0]);
}

/// Its file is in the room as the second attempt: the id stays taken, or a copy in the drop would be handled beside it.
#[test]
fn a_resumed_message_that_is_still_in_the_room_keeps_its_id() {
    for waits_as in [ClaimName::next_attempt, ClaimName::clone] {
        let bus = Bus::new();
        let mut old = bus.earlier_room();
        let first = claim();
        let record = old.deferred(&first, &waits_as(&first));
        old.decide(&record);
        old.note_id(&record);
        // Waiting did not count it up; that its service died did.
        old.began(&waits_as(&first));
        old.put(first.next_attempt(), &echo());
        drop(old);
        let OldRoom { room, mut log, .. } = bus.room(2, bus.here());
        term::take_others(&bus.disk, &room).expect("taken over");
        let mut journal = Journal::new("first".into(), room.term);
        let mut ids = Ids::load(&bus.disk, &room, 30, 0).expect("ids");
        recover::recover(
            &bus.disk,
            &room,
            &mut log,
            &mut journal,
            &mut ids,
            Durability::Process,
            &postroom::bus::time::day(now_ms()),
        )
        .expect("recovered");
        let seen = ids.seen("alice", "m-1").expect("read").map(|seen| seen.ticket);
        assert_eq!(seen, Some(first.ticket), "it waited as {}", waits_as(&first));
    }
}

/// It was put off as `waits_as`, resumed, and answered as that attempt; `back` puts its file back, and it is not answered again.
#[track_caller]
fn resumed_and_answered(waits_as: impl Fn(&ClaimName) -> ClaimName, back: impl Fn(&OldRoom, &ClaimName, &ClaimName)) {
    let bus = Bus::new();
    let mut room = bus.earlier_room();
    let first = claim();
    let second = waits_as(&first);
    let deferral = room.deferred(&first, &second);
    room.decide(&deferral);
    let answer = room.replied(&second);
    room.decide(&answer);
    back(&room, &first, &second);
    drop(room);
    bus.serve();
    bus.is_answered_once_from_the_log(&answer);
}

#[test]
fn an_answered_retry_that_is_back_in_deferred_is_finished() {
    resumed_and_answered(ClaimName::next_attempt, |room, _, second| {
        room.bus.put(Path::new(layout::DEFERRED).join(second.waiting(1)), &echo());
    });
}

#[test]
fn an_answered_retry_that_is_back_in_the_room_as_its_first_attempt_is_finished() {
    resumed_and_answered(ClaimName::next_attempt, |room, first, _| room.put(first, &echo()));
}

#[test]
fn an_answered_message_that_had_waited_and_is_back_in_deferred_is_finished() {
    resumed_and_answered(ClaimName::clone, |room, _, second| {
        room.bus.put(Path::new(layout::DEFERRED).join(second.waiting(NEVER_MS)), &echo());
    });
}

#[test]
fn an_answered_message_that_had_waited_and_is_back_in_the_room_is_finished() {
    resumed_and_answered(ClaimName::clone, |room, _, second| room.put(second, &echo()));
}

/// It had waited, and its answer was decided as the same attempt: two ends, and the journal has the first one's line alone.
#[test]
fn what_waited_and_was_answered_has_a_line_for_each() {
    for place in [Bus::here, Bus::earlier_boot] {
        let bus = Bus::new();
        let mut room = bus.room(1, place(&bus));
        let claim = claim();
        let waited = room.deferred(&claim, &claim);
        let answered = room.replied(&claim);
        let mut journal = Journal::new("first".into(), 1);
        journal.finished(&bus.disk, &today(), &waited, b"");
        journal.flush(&bus.disk).expect("written");
        room.decide(&waited);
        room.decide(&answered);
        bus.put(REPLY, LOGGED);
        bus.put(answered.finish.path(), &echo());
        drop(room);
        bus.serve();
        for step in ["deferred", "finished"] {
            assert_eq!(bus.journal_lines(&answered, step), 1, "{step}");
        }
        bus.is_answered_once_from_the_log(&answered);
    }
}
