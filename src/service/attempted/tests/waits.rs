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
