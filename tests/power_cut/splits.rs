//! Deliveries of a split.

use std::fs;

use postroom::bus::layout::{self, ClaimName};
use postroom::bus::record::{Effect, Finish, Piece, Record, Target};

use super::old_rooms::{Bus, LOGGED, NEVER_MS, OldRoom, archived, claim, message, today};

/// `m-1` to two agents was split.
struct Split {
    record: Record,
    text: String,
    deliveries: [ClaimName; 2],
}

fn split(room: &mut OldRoom) -> Split {
    for agent in ["agent-b", "agent-c"] {
        fs::create_dir_all(room.bus.path(layout::inbox(agent))).expect("an inbox");
    }
    let text = message(r#"["agent-b","agent-c"]"#, "notes.add", "1");
    let claim = claim();
    let deliveries = [claim.part(1, "agent-b"), claim.part(2, "agent-c")];
    let copy = |delivery: &ClaimName| Effect {
        to: Target::Room { name: delivery.to_string() },
        body: vec![Piece::OfMessage { start: 0, len: text.len() }],
    };
    let record = room.record(&claim, archived(&claim), deliveries.iter().map(copy).collect());
    room.decide_about(&record, &text);
    room.bus.put(record.finish.path(), &text);
    Split { record, text, deliveries }
}

#[test]
fn deliveries_that_are_missing_or_empty_are_written_again_and_delivered() {
    let bus = Bus::new();
    let mut room = bus.earlier_room();
    let split = split(&mut room);
    room.put(&split.deliveries[1], "");
    drop(room);
    bus.serve();
    for agent in ["agent-b", "agent-c"] {
        assert_eq!(bus.names(&format!("inbox/{agent}")), ["m-1.json"], "{agent}");
        assert!(bus.text(format!("inbox/{agent}/m-1.json")).contains("notes.add"));
    }
    assert_eq!(bus.text(split.record.finish.path()), split.text);
}

#[test]
fn a_delivery_that_was_decided_is_not_made_again() {
    let bus = Bus::new();
    let mut room = bus.earlier_room();
    let split = split(&mut room);
    let delivered = Target::Inbox { agent: "agent-b".into(), stem: "m-1".into(), number: 1 };
    let effects = vec![Effect::whole(delivered, LOGGED.into())];
    let own = room.record(&split.deliveries[0], archived(&split.deliveries[0]), effects);
    room.decide(&own);
    drop(room);
    bus.serve();
    assert_eq!(bus.names("inbox/agent-b"), ["m-1.json"]);
    assert_eq!(bus.text("inbox/agent-b/m-1.json"), LOGGED);
    assert_eq!(bus.names("inbox/agent-c"), ["m-1.json"]);
}

#[test]
fn a_delivery_that_waits_is_not_made_again() {
    let bus = Bus::new();
    let mut room = bus.earlier_room();
    let split = split(&mut room);
    let waiting = split.deliveries[0].next_attempt().waiting(NEVER_MS);
    let own = room.record(&split.deliveries[0], Finish::Deferred { name: waiting.clone() }, Vec::new());
    room.decide(&own);
    bus.put(own.finish.path(), &split.text);
    drop(room);
    bus.serve();
    assert_eq!(bus.names("inbox/agent-b"), [""; 0]);
    assert_eq!(bus.names("inbox/agent-c"), ["m-1.json"]);
    let parts = |name: &String| layout::WaitingName::parse(name).map(|waiting| waiting.claim);
    let waits: Vec<_> = bus.names("deferred").iter().filter_map(parts).collect();
    assert_eq!(waits, [split.deliveries[0].next_attempt()]);
}

#[test]
fn a_delivery_that_was_resumed_is_not_made_again() {
    let bus = Bus::new();
    let mut room = bus.earlier_room();
    let split = split(&mut room);
    let second = split.deliveries[0].next_attempt();
    let own = room.record(&split.deliveries[0], Finish::Deferred { name: second.waiting(NEVER_MS) }, Vec::new());
    room.decide(&own);
    room.put(&second, &split.text);
    drop(room);
    bus.serve();
    for agent in ["agent-b", "agent-c"] {
        assert_eq!(bus.names(&format!("inbox/{agent}")), ["m-1.json"], "{agent}");
    }
    let journal = bus.text(format!("archive/{}/{}", today(), layout::JOURNAL));
    let delivered = |line: &&str| line.contains(r#""step":"delivered""#) && line.contains(&second.ticket.to_string());
    assert_eq!(journal.lines().filter(delivered).count(), 1, "{journal}");
}

#[test]
fn a_delivery_that_waited_and_whose_file_is_gone_is_made_again() {
    let bus = Bus::new();
    let mut room = bus.earlier_room();
    let split = split(&mut room);
    let waiting = split.deliveries[0].next_attempt().waiting(NEVER_MS);
    let own = room.record(&split.deliveries[0], Finish::Deferred { name: waiting }, Vec::new());
    room.decide(&own);
    drop(room);
    bus.serve();
    for agent in ["agent-b", "agent-c"] {
        assert_eq!(bus.names(&format!("inbox/{agent}")), ["m-1.json"], "{agent}");
    }
}
