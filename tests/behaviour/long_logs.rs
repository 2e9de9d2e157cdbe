//! The commit log of a busy service: how it begins again, and what a kill finds in it.

use std::fs;

use crate::session::{Session, message};

/// So many of these fill the log with more than is worth an early sync, and with less than makes a checkpoint necessary.
const MANY: usize = 700;

fn payload() -> String {
    format!("\"{}\"", "x".repeat(14 * 1024))
}

/// The number of the first frame: more than 1 when the log has begun again.
fn begins_with(bus: &Session) -> u64 {
    let rooms = bus.ls("processing/1");
    let Ok(text) = fs::read(bus.path(format!("processing/1/{}/log", rooms.concat()))) else { return 0 };
    let head = text.split(|byte| *byte == b' ').nth(1).and_then(|number| std::str::from_utf8(number).ok());
    head.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[test]
fn with_time_to_spare_the_log_begins_again_long_before_it_is_full() {
    let bus = Session::with("[bus]\ndurability = \"full\"\n");
    bus.know(&["bob"]);
    for number in 0..MANY {
        bus.drop(&format!("{number:04}.json"), message(&format!("m-{number}"), "alice", "bob", "note", &payload()));
    }
    let serving = bus.serve();
    bus.until("all are delivered", |bus| bus.ls("inbox/bob").len() == MANY);
    bus.until("the log begins again", |bus| begins_with(bus) > 1);
    bus.drop("one-more.json", message("one-more", "alice", "bob", "note", "1"));
    bus.until("one more", |bus| bus.exists("inbox/bob/one-more.json"));
    // Killed: what the log does not hold any more is not needed any more.
    drop(serving);
    bus.once();
    assert_eq!((bus.ls("inbox/bob").len(), bus.archived().len(), bus.dead()), (MANY + 1, MANY + 1, vec![]));
    // The kill may have come before the journal was told of the last one; then recovery tells it, in the one line that tells all.
    assert_eq!(bus.steps(&["finished"]).len(), MANY + 1);
}
