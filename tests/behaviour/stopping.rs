//! The service ends, hangs in a handler, or stands by: what becomes of what it had in hand.

use insta::assert_snapshot;

use crate::guests::{echoing, looping_on_long_payloads};
use crate::session::{Serving, Session, Signal, echo, message};

#[test]
fn what_runs_too_long_and_what_has_not_started_waits_for_the_next_service_uncounted() {
    let bus = Session::with("[extensions]\ndeadline_ms = 600000\n[extension.slow]\nconcurrency = 1");
    bus.install("slow", &[looping_on_long_payloads()]);
    let service = bus.serve();
    bus.drop("1.json", message("m-1", "alice", "slow", "do", "\"for ever\""));
    bus.until("it runs", |bus| !bus.steps(&["called"]).is_empty());
    for n in 2..=4 {
        bus.drop(&format!("{n}.json"), message(&format!("m-{n}"), "alice", "slow", "do", &n.to_string()));
    }
    bus.until("the last is claimed", |bus| bus.steps(&["accepted"]).len() == 4);
    let said = service.stop();
    assert!(said.contains("1 handler may still finish"), "{said}");
    assert_snapshot!(bus.tree(), @"
    deferred/0.1.T1~1.json
    deferred/0.1.T2~2.json
    deferred/0.1.T3~3.json
    deferred/0.1.T4~4.json
    ");
    bus.install("slow", &[echoing()]).once();
    assert_snapshot!(bus.tree(), @"
    archive/DAY/HH/T1~m-1.json
    archive/DAY/HH/T2~m-2.json
    archive/DAY/HH/T3~m-3.json
    archive/DAY/HH/T4~m-4.json
    inbox/alice/
    inbox/alice/m-1.reply.json
    inbox/alice/m-2.reply.json
    inbox/alice/m-3.reply.json
    inbox/alice/m-4.reply.json
    ");
    let called: Vec<String> = bus.steps(&["called"]).into_iter().skip(1).collect();
    assert_eq!(called, ["m-1 called", "m-2 called", "m-3 called", "m-4 called"]);
    assert_eq!(bus.json("inbox/alice/m-1.reply.json")["delivery"]["attempt"], 1);
}

#[test]
fn a_second_service_stands_by_and_takes_over_when_the_first_is_killed() {
    let bus = Session::with("[bus]\nlook_ms = 1000\nlease_looks = 600");
    let first = bus.serve();
    let second = Serving::start(bus.command(&["serve"]));
    second.until_it_says("standing by");
    bus.drop("1.json", echo("m-1", "alice", "1"));
    bus.until("the answer", |bus| bus.exists("inbox/alice/m-1.reply.json"));
    bus.until("its story is told", |bus| !bus.steps(&["finished"]).is_empty());
    // Dropped means killed. Its lock comes free, so nobody waits for the end of the lease.
    drop(first);
    second.until_it_says("active on");
    bus.drop("2.json", echo("m-2", "alice", "2"));
    bus.until("the answer", |bus| bus.exists("inbox/alice/m-2.reply.json"));
    second.stop();
    assert_snapshot!(bus.tree(), @"
    archive/DAY/HH/T1~m-1.json
    archive/DAY/HH/T2~m-2.json
    inbox/alice/
    inbox/alice/m-1.reply.json
    inbox/alice/m-2.reply.json
    ");
    let terms: Vec<u64> = bus.journal().iter().map(|line| line["term"].as_u64().unwrap()).collect();
    assert_eq!(terms, [1, 1, 1, 1, 2, 2, 2, 2]);
}

#[test]
fn once_beside_an_active_service_leaves_the_work_to_it() {
    let bus = Session::new();
    let service = bus.serve();
    bus.drop("1.json", echo("m-1", "alice", "1")).once();
    bus.until("the answer", |bus| bus.exists("inbox/alice/m-1.reply.json"));
    service.stop();
    assert_eq!(bus.archived().len(), 1);
}

/// A script that asks for what is there to be done must not be told that it is while nobody does it.
#[test]
fn once_beside_a_service_that_hangs_takes_over() {
    let bus = Session::new();
    let hung = bus.serve();
    hung.signal(Signal::STOP);
    bus.drop("1.json", echo("m-1", "alice", "1"));
    let said = bus.once();
    assert!(said.contains("standing by") && said.contains("active on"), "{said}");
    assert!(bus.exists("inbox/alice/m-1.reply.json"));
    hung.signal(Signal::CONT);
    hung.until_it_says("beginning anew");
    hung.stop();
    assert_eq!(bus.ls("inbox/alice").len(), 1);
}

#[test]
fn once_beside_a_service_at_work_ends_when_that_one_has_taken_what_is_there() {
    let bus = Session::new();
    let active = bus.serve();
    bus.drop("1.json", echo("m-1", "alice", "1"));
    let said = bus.once();
    assert!(said.contains("standing by") && !said.contains("active on"), "{said}");
    bus.until("the answer", |bus| bus.exists("inbox/alice/m-1.reply.json"));
    active.stop();
}
