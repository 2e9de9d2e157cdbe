//! What waits in a lane for its turn.

use super::*;

#[test]
fn one_whose_time_passes_in_its_lane_is_not_handled() {
    const END_MS: u64 = 4_102_444_800_000;
    let bus = Bus::with_lanes_of(1);
    let mut active = bus.serve();
    bus.drop("m-1", "one");
    active.work();
    for (id, more) in [("m-2", format!(",\"expiresAt\":{END_MS}")), ("m-3", String::new())] {
        std::fs::write(bus.path.join(format!("{id}.json")), message("alice", id, "\"one\"", &more)).expect("dropped");
        active.work();
    }
    assert_eq!(active.lanes.claims().count(), 3, "two wait in the lane of the first");
    active.end("m-1", replies());
    active.turn(Now { wall_ms: END_MS, ..Now::get() }).expect("a turn");
    assert_eq!(active.in_hand(), [("m-3".into(), "alice".into(), 0)]);
    active.work();
    assert_eq!(bus.dead(), [("expired".into(), "one".into())]);
    assert_eq!(bus.json("inbox/alice/m-2.reply.json")["error"]["code"], "expired");
}

#[test]
fn no_more_is_claimed_than_there_is_room_for() {
    let bus = Bus::with_lanes_of(1);
    let mut active = bus.serve();
    let in_drop = || bus.ls("").iter().filter(|name| name.ends_with(".json")).count();
    for n in 0..100 {
        bus.drop(&format!("m-{n:02}"), "one");
    }
    active.work();
    assert_eq!((active.lanes.claims().count(), in_drop()), (33, 67), "one runs, and 32 wait");
    for n in 0..100 {
        active.end(&format!("m-{n:02}"), replies());
        active.turn(Now::get()).expect("a turn");
        assert_eq!((active.lanes.claims().count(), in_drop()), (33.min(99 - n), 66_usize.saturating_sub(n)));
    }
    active.work();
    assert_eq!(bus.ls("inbox/alice").len(), 100);
}

/// Those that are no work for a lane make no room in it, so no handler's end has the next ones looked at.
#[test]
fn what_waits_in_the_drop_goes_on_while_there_is_room() {
    let bus = Bus::with_lanes_of(1);
    let mut active = bus.serve();
    bus.drop("used", "one");
    active.work();
    active.end("used", replies());
    for n in 0..33 {
        bus.drop(&format!("m-{n:02}"), "one");
    }
    active.work();
    for n in 0..100 {
        let text = message("alice", "used", "\"one\"", "").replace("do.it", "do.another");
        std::fs::write(bus.path.join(format!("x-{n:02}.json")), text).expect("dropped");
    }
    active.work();
    assert_eq!((bus.dead().len(), active.drop.parked_len()), (0, 100));
    active.end("m-00", replies());
    while active.has_work() {
        active.turn(Now::get()).expect("a turn");
    }
    assert_eq!(bus.dead().len(), 100, "each is an id-conflict");
}

/// Between the publisher's word and the next pass somebody may ask for the id: a copy in the drop, an answer.
#[test]
fn what_the_publisher_has_done_is_noted_when_it_is_known() {
    let bus = Bus::new();
    let mut active = bus.serve();
    for n in 0..8 {
        let text = format!(r#"{{"id":"m-{n}","sender":"alice","recipient":"postroom","action":"mcp.core.echo"}}"#);
        std::fs::write(bus.path.join(format!("{n}.json")), text).expect("dropped");
    }
    let now = Now::get();
    active.drop.scan(&active.core.disk).expect("listed");
    active.pass(now).expect("handed over");
    assert!(!active.publisher.is_idle(), "enough for a thread of its own");
    active.wait_for_publisher(0, now).expect("done");
    assert!(active.ids.seen("alice", "m-7").expect("read").is_some());
}
