//! What cannot be published when it is recovered: it waits for its time, through as many services as it takes, and holds up nobody.
//!
//! All of this is so after a power cut and without one.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use postroom::bus::ids::Ids;
use postroom::bus::journal::Journal;
use postroom::bus::layout;
use postroom::bus::log::Durability;
use postroom::bus::place::Place;
use postroom::bus::record::{Effect, Piece, Record, Target};
use postroom::bus::recover::{self, Recovered};
use postroom::bus::{term, time};
use postroom::policy::Settings;
use postroom::service::{Config, Mode, Notice, Service};

use super::old_rooms::{Bus, LOGGED, OldRoom, REPLY, archived, claim, echo, message, now_ms, reply};

/// Decided here, where renames have stayed, and before a power cut.
fn places(bus: &Bus) -> [Place; 2] {
    [bus.here(), bus.earlier_boot()]
}

fn for_both(test: impl Fn(&Bus, Place)) {
    for index in [0, 1] {
        let bus = Bus::new();
        let [here, earlier] = places(&bus);
        test(&bus, if index == 0 { here } else { earlier });
    }
}

/// `m-1` is decided, and all of it still in the room.
fn decided(room: &mut OldRoom<'_>, effects: Vec<Effect>, text: &str) -> Record {
    let claim = claim();
    let record = Record { effects, ..room.replied(&claim) };
    room.decide_about(&record, text);
    for (number, effect) in record.effects.iter().enumerate() {
        let bytes = record.effect_bytes(number, text.as_bytes()).expect("all of it");
        assert_eq!(bytes.len(), effect.len());
        room.put(record.staged_name(number), &String::from_utf8(bytes).expect("text"));
    }
    room.put(&claim, text);
    record
}

fn answered(room: &mut OldRoom<'_>) -> Record {
    decided(room, vec![Effect::whole(reply(), LOGGED.into())], &echo())
}

/// What the service of this term recovers, which dies then.
fn recovered(bus: &Bus, term: u64) -> Recovered {
    let OldRoom { room, mut log, .. } = bus.room(term, bus.here());
    term::take_others(&bus.disk, &room).expect("taken over");
    let mut journal = Journal::new(format!("of-{term}"), room.term);
    let mut ids = Ids::load(&bus.disk, &room, 30, 0).expect("ids");
    let day = time::day(now_ms());
    recover::recover(&bus.disk, &room, &mut log, &mut journal, &mut ids, Durability::Full, &day).expect("recovered")
}

/// What a service says while `meanwhile` is going on.
fn served_while(bus: &Bus, meanwhile: impl FnOnce()) -> Vec<Notice> {
    let said = Arc::new(Mutex::new(Vec::new()));
    let (bus_path, settings) = (bus.disk.path().to_owned(), Settings::default());
    let config = Config { bus: bus_path, settings, settings_file: None, force_file_system: true };
    let says = said.clone();
    let service = Service::new(config, move |notice| says.lock().expect("no panic").push(notice.clone()));
    let stopper = service.stopper();
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| service.run(Mode::UntilStopped));
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(meanwhile));
        stopper.stop();
        serving.join().expect("no panic").expect("served");
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    Arc::into_inner(said).expect("the service has ended").into_inner().expect("no panic")
}

#[track_caller]
fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < end, "waited for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What of a record's effects lies in the room of this term.
fn staged(bus: &Bus, term: u64, record: &Record) -> Vec<String> {
    let rooms = bus.names(&format!("processing/{term}"));
    let mut names: Vec<String> =
        rooms.iter().flat_map(|room| bus.names(&format!("processing/{term}/{room}"))).collect();
    names.retain(|name| (0..record.effects.len()).any(|number| *name == record.staged_name(number)));
    names
}

#[test]
fn an_inbox_that_is_no_folder_holds_up_nobody_else() {
    for_both(|bus, place| {
        let mut room = bus.room(1, place);
        let record = answered(&mut room);
        drop(room);
        bus.put("inbox/alice", "in the way");
        fs::create_dir_all(bus.path("inbox/bob")).expect("an inbox");
        let said = served_while(bus, || {
            bus.put("b.json", &echo().replace("alice", "bob"));
            until("bob's reply", || bus.path("inbox/bob/m-1.reply.json").exists());
            assert_eq!(bus.text("inbox/alice"), "in the way");
            assert!(!bus.path(record.finish.path()).exists(), "it is not done");
            fs::remove_file(bus.path("inbox/alice")).expect("removed");
            until("alice's reply", || bus.path(record.finish.path()).exists());
        });
        bus.is_answered_once_from_the_log(&record);
        assert_eq!(bus.names("processing"), [""; 0], "a room is left");
        assert_eq!(bus.journal_lines(&record, "finished"), 1);
        let troubles = said.iter().filter(|notice| matches!(notice, Notice::Trouble { .. })).count();
        assert_eq!(troubles, 1, "{said:?}");
    });
}

#[test]
fn the_next_one_finds_it_as_the_last_one_did() {
    for_both(|bus, place| {
        let mut room = bus.room(1, place);
        let record = answered(&mut room);
        drop(room);
        bus.put("inbox/alice", "in the way");
        for term in [2, 3] {
            let unfinished = recovered(bus, term).unfinished;
            assert_eq!(unfinished.len(), 1, "term {term}");
            assert_eq!((&unfinished[0].record, &*unfinished[0].staged), (&record, &[0][..]), "term {term}");
        }
        fs::remove_file(bus.path("inbox/alice")).expect("removed");
        bus.serve();
        bus.is_answered_once_from_the_log(&record);
    });
}

/// The log of a service that ran for long tells of many that went to an inbox which is no folder by now.
#[test]
fn what_was_published_and_finished_is_not_set_aside() {
    let bus = Bus::new();
    let here = bus.here();
    if !here.same_mount(&here) {
        return;
    }
    let mut room = bus.room(1, here);
    let record = room.replied(&claim());
    room.decide(&record);
    drop(room);
    bus.put(record.finish.path(), &echo());
    bus.put("inbox/alice", "in the way");
    assert_eq!(recovered(&bus, 2).unfinished.len(), 0);
    assert_eq!(bus.journal_lines(&record, "finished"), 1);
}

/// Whether it was cannot be seen as long as the inbox is not what it was.
#[test]
fn a_reply_that_a_power_cut_left_in_its_inbox_is_not_there_twice() {
    let bus = Bus::new();
    let mut room = bus.earlier_room();
    let record = answered(&mut room);
    fs::remove_file(bus.path(room.room.file(record.staged_name(0)))).expect("it was published");
    drop(room);
    bus.put(REPLY, LOGGED);
    fs::rename(bus.path("inbox/alice"), bus.path("inbox/elsewhere")).expect("put away");
    bus.put("inbox/alice", "in the way");
    served_while(&bus, || {
        until("the reply in its room", || !staged(&bus, 2, &record).is_empty());
        fs::remove_file(bus.path("inbox/alice")).expect("removed");
        fs::rename(bus.path("inbox/elsewhere"), bus.path("inbox/alice")).expect("put back");
        until("the end", || bus.path(record.finish.path()).exists());
    });
    bus.is_answered_once_from_the_log(&record);
}

#[test]
fn the_registration_that_was_decided_last_stands() {
    for_both(|bus, place| {
        let registered = |version: &str| {
            let text = format!(r#"{{"name":"alice","version":"{version}"}}"#);
            Effect::whole(Target::Agent { agent: "alice".into() }, text.into())
        };
        let mut room = bus.room(1, place);
        let effects = vec![Effect::whole(reply(), LOGGED.into()), registered("1.0.0")];
        let record = decided(&mut room, effects, &echo());
        let later = room.record(&claim(), archived(&claim()), vec![registered("2.0.0")]);
        room.decide(&later);
        room.put(later.staged_name(0), r#"{"name":"alice","version":"2.0.0"}"#);
        drop(room);
        bus.put("inbox/alice", "in the way");
        assert_eq!(recovered(bus, 2).unfinished.len(), 2, "the later one waits for the earlier one");
        assert!(!bus.path(layout::agent_file("alice")).exists());
        let freed = || bus.path(record.finish.path()).exists() && bus.path(layout::agent_file("alice")).exists();
        served_while(bus, || {
            until("a room", || bus.names("processing") == ["3"]);
            fs::remove_file(bus.path("inbox/alice")).expect("removed");
            until("the end", freed);
        });
        assert!(bus.text(layout::agent_file("alice")).contains("2.0.0"));
        assert_eq!(bus.names("processing"), [""; 0], "a room is left");
    });
}

/// The log has only a reference to the message's own file.
#[test]
fn a_long_reply_waits_with_its_message() {
    for_both(|bus, place| {
        let long = "x".repeat(40_000);
        let text = message(r#""postroom""#, "mcp.core.echo", &format!("{long:?}"));
        let start = text.find(&long).expect("it is there");
        let body = vec![Piece::Bytes(b"\"".to_vec()), Piece::OfMessage { start, len: long.len() }];
        let body = body.into_iter().chain([Piece::Bytes(b"\"".to_vec())]).collect();
        let mut room = bus.room(1, place);
        let record = decided(&mut room, vec![Effect { to: reply(), body }], &text);
        assert!(record.refers_to_message());
        drop(room);
        bus.put("inbox/alice", "in the way");
        for term in [2, 3] {
            assert_eq!(recovered(bus, term).unfinished.len(), 1, "term {term}");
        }
        fs::remove_file(bus.path("inbox/alice")).expect("removed");
        bus.serve();
        assert_eq!((bus.text(REPLY), bus.text(record.finish.path())), (format!("{long:?}"), text));
    });
}

/// Its message cannot be archived: no hour's folder can be made.
#[test]
fn the_deliveries_of_a_split_that_waits_are_made_once() {
    for_both(|bus, place| {
        let text = message(r#"["bob","carol"]"#, "notes.add", "1");
        let mut room = bus.room(1, place);
        let claim = claim();
        let copies = [claim.part(1, "bob"), claim.part(2, "carol")].map(|delivery| Effect {
            to: Target::Room { name: delivery.to_string() },
            body: vec![Piece::OfMessage { start: 0, len: text.len() }],
        });
        let record = room.record(&claim, archived(&claim), copies.into());
        room.decide_about(&record, &text);
        (0..2).for_each(|number| room.put(record.staged_name(number), &text));
        room.put(&claim, &text);
        drop(room);
        for inbox in ["alice", "bob", "carol"] {
            fs::create_dir_all(bus.path(layout::inbox(inbox))).expect("an inbox");
        }
        let hour = record.finish.path().parent().expect("its folder").to_owned();
        bus.put(&hour, "in the way");
        assert_eq!(recovered(bus, 2).unfinished.len(), 1);
        served_while(bus, || {
            until("a room", || bus.names("processing") == ["3"]);
            fs::remove_file(bus.path(&hour)).expect("removed");
            until("the end", || bus.path(record.finish.path()).exists());
            until("the deliveries", || {
                ["bob", "carol"].iter().all(|name| !bus.names(&format!("inbox/{name}")).is_empty())
            });
        });
        for name in ["bob", "carol"] {
            assert_eq!(bus.names(&format!("inbox/{name}")), ["m-1.json"], "{name}");
        }
        assert_eq!(bus.text(record.finish.path()), text);
        assert_eq!(bus.names("processing"), [""; 0], "a room is left");
    });
}
