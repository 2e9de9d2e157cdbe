//! Several services, many writers, and services that die: every message is answered once, and what kills is given up.

use std::thread;

use crate::guests::looping_on_long_payloads;
use crate::session::{Serving, Session, echo, message};

#[test]
fn three_services_four_writers_and_two_kills_answer_everything_once() {
    const WRITERS: usize = 4;
    const EACH: usize = 150;
    // Who is killed lets go of its lock at once; the lease is for services that hang, and a loaded machine must not look like one.
    let bus = Session::with("[bus]\nlook_ms = 1000\nlease_looks = 60");
    let mut services: Vec<Serving> = (0..3).map(|_| Serving::start(bus.command(&["serve"]))).collect();
    let answered = |bus: &Session, writer: usize| {
        let inbox = bus.path(format!("inbox/writer-{writer}"));
        std::fs::read_dir(inbox).map_or(0, |files| files.count())
    };
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let bus = &bus;
            scope.spawn(move || {
                for n in 0..EACH {
                    let id = format!("{writer}-{n}");
                    bus.drop(&format!("{id}.json"), echo(&id, &format!("writer-{writer}"), &n.to_string()));
                }
            });
        }
        // Whoever is active when it is killed, the next one goes on.
        for part in 1..=2 {
            let said = || services.iter().map(Serving::said).collect::<Vec<_>>().join("\n");
            bus.until_or("a part is answered", |bus| answered(bus, 0) >= part * EACH / 3, said);
            drop(services.remove(0));
        }
    });
    for writer in 0..WRITERS {
        bus.until_or("all is answered", |bus| answered(bus, writer) >= EACH, || services[0].said());
    }
    // Those before it may have answered everything; the room of the last one is its to clear up.
    services[0].until_it_says("active on");
    services.remove(0).stop();
    for writer in 0..WRITERS {
        let mut expected: Vec<String> = (0..EACH).map(|n| format!("{writer}-{n}.reply.json")).collect();
        expected.sort();
        assert_eq!(bus.ls(&format!("inbox/writer-{writer}")), expected);
    }
    assert_eq!(bus.archived().len(), WRITERS * EACH);
    assert_eq!(bus.ls("processing"), [""; 0]);
}

#[test]
fn poison_is_given_up_and_its_bystanders_are_not_counted() {
    let bus = Session::with("[extensions]\ndeadline_ms = 600000\n[extension.slow]\nconcurrency = 1");
    bus.install("slow", &[looping_on_long_payloads()]);
    bus.drop("1.json", message("poison", "alice", "slow", "do", "\"for ever\""));
    for attempt in 1..=5 {
        let service = bus.serve();
        bus.until("its handling begins", |bus| bus.steps(&["called"]).len() == attempt);
        if attempt == 1 {
            bus.drop("2.json", message("bystander", "alice", "slow", "do", "2"));
            bus.until("it is claimed too", |bus| bus.steps(&["accepted"]).len() == 2);
        }
        // Killed while it runs.
        drop(service);
    }
    bus.once();
    assert_eq!(bus.dead(), [("internal".to_owned(), "1.json".to_owned())]);
    assert_eq!(bus.json("inbox/alice/poison.reply.json")["error"]["code"], "internal");
    assert_eq!(bus.json("inbox/alice/bystander.reply.json")["payload"], 2);
    assert_eq!(bus.json("inbox/alice/bystander.reply.json")["delivery"]["attempt"], 1);
}
