//! What a handler did, where the disk refuses what is needed to keep it.

use std::time::Instant;

use super::*;

/// No value of `one` can be read, as its folder is none.
fn make_unreadable(bus: &Bus) -> PathBuf {
    let folder = bus.path.join(".postroom/state/one");
    std::fs::write(&folder, "").expect("written");
    folder
}

fn writes() -> Attempted {
    let mut attempted = replies();
    attempted.effects.written.insert(key("count"), Some(b"1".to_vec()));
    attempted
}

#[test]
fn its_message_is_put_aside_and_no_handler_runs_before_the_value_can_be_read() {
    let bus = Bus::new();
    let mut active = bus.serve();
    let folder = make_unreadable(&bus);
    bus.drop("m-1", "one");
    active.work();
    active.end("m-1", writes());
    active.turn(Now::get()).expect("a turn");
    assert_eq!(active.in_hand(), []);
    bus.drop("m-2", "two");
    active.scan_now();
    active.turn(Now::get()).expect("a turn");
    assert_eq!(active.in_hand(), [("m-2".into(), "alice".into(), 0)], "the others go on");
    assert_eq!(bus.times_said("trying again"), 1);
    std::fs::remove_file(folder).expect("removed");
    active.end("m-2", replies());
    active.work();
    active.end("m-1", writes());
    active.work();
    assert_eq!(bus.value("count").map(|value| (value.version, value.attempt)), Some((1, 1)), "it was not counted");
    assert!(active.vain.is_empty());
}

#[test]
fn one_that_is_refused_on_and_on_ends_as_a_dead_letter() {
    let bus = Bus::new();
    let mut active = bus.serve();
    make_unreadable(&bus);
    bus.drop("m-1", "one");
    let (mut runs, deadline) = (0, Instant::now() + Duration::from_secs(30));
    while bus.dead().is_empty() {
        assert!(Instant::now() < deadline, "it does not end; its handler ran {runs} times");
        active.work();
        if !active.in_hand().is_empty() {
            runs += 1;
            active.end("m-1", writes());
        }
    }
    assert_eq!(runs, 1, "it never could be kept");
    assert_eq!(bus.dead(), [("internal".into(), "one".into())]);
    let told = bus.json("inbox/alice/m-1.reply.json")["error"]["message"].to_string();
    assert!(told.contains("could not be kept, 5 times in a row: cannot open"), "{told}");
}
