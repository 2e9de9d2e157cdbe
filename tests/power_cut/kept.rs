//! What extensions keep and what they send: the higher version counts, and a message that was sent is there once.

use std::fs;

use postroom::bus::layout::{self, ClaimName};
use postroom::bus::record::{Effect, Record, Target};
use postroom::bus::state::Value;

use super::old_rooms::{Bus, OldRoom, archived, claim};

fn value(version: u64, text: Option<&str>) -> Value {
    let value = text.map(|text| text.as_bytes().to_vec());
    Value { key: "count".into(), version, ticket: "t".into(), attempt: 1, at: 0, value }
}

fn file() -> std::path::PathBuf {
    layout::state_folder("counter").join(layout::state_name("count"))
}

fn keeps(room: &OldRoom<'_>, value: &Value) -> Record {
    let (extension, name) = ("counter".to_owned(), layout::state_name("count"));
    let to = Target::State { extension, name, version: value.version };
    let claim = claim();
    room.record(&claim, archived(&claim), vec![Effect::whole(to, value.encode())])
}

/// The bus after the recovery of a log that says these, in their order, with that on the disk.
#[track_caller]
fn after(decided: &[Value], found: Option<&[u8]>) -> Option<Value> {
    let bus = Bus::new();
    if let Some(found) = found {
        fs::create_dir_all(bus.path(file()).parent().unwrap()).unwrap();
        fs::write(bus.path(file()), found).unwrap();
    }
    let mut room = bus.earlier_room();
    for value in decided {
        let record = keeps(&room, value);
        room.decide(&record);
    }
    drop(room);
    bus.serve();
    Value::decode(&fs::read(bus.path(file())).ok()?)
}

#[test]
fn a_value_that_is_missing_older_or_cut_short_is_written_again() {
    let new = value(2, Some("2"));
    let whole = new.encode();
    for found in [None, Some(value(1, Some("1")).encode()), Some(Vec::new()), Some(whole[..whole.len() - 1].to_vec())] {
        assert_eq!(after(std::slice::from_ref(&new), found.as_deref()), Some(new.clone()), "{found:?}");
    }
}

#[test]
fn a_later_value_is_not_replaced_by_an_earlier_one() {
    let later = value(3, Some("3"));
    assert_eq!(after(&[value(2, Some("2"))], Some(&later.encode())), Some(later));
    let gone = value(3, None);
    assert_eq!(after(&[value(2, Some("2"))], Some(&gone.encode())), Some(gone), "nor is the end of one");
}

#[test]
fn of_several_in_one_log_the_last_counts() {
    let values = [value(1, Some("1")), value(2, None), value(3, Some("3"))];
    assert_eq!(after(&values, None).as_ref(), values.last());
    assert_eq!(after(&values, Some(&values[0].encode())).as_ref(), values.last());
}

#[test]
fn in_the_same_boot_a_value_that_is_still_staged_is_published_and_a_stale_one_is_not() {
    for (found, expected) in [(1, 2), (3, 3)] {
        let bus = Bus::new();
        let mut room = bus.room(1, bus.here());
        let record = keeps(&room, &value(2, Some("2")));
        let staged = String::from_utf8(value(2, Some("2")).encode()).unwrap();
        room.put(record.staged_name(0), &staged);
        room.decide(&record);
        drop(room);
        bus.put(file(), &String::from_utf8(value(found, Some("x")).encode()).unwrap());
        bus.serve();
        let kept = Value::decode(&fs::read(bus.path(file())).unwrap()).unwrap();
        assert_eq!(kept.version, expected);
    }
}

fn sends(room: &OldRoom<'_>, name: &ClaimName) -> Record {
    let claim = claim();
    let effect = Effect::whole(Target::Room { name: name.to_string() }, sent().into());
    room.record(&claim, archived(&claim), vec![effect])
}

fn sent() -> String {
    r#"{"id":"s-1","sender":"counter","recipient":"bob","action":"note","payload":1,"timestamp":1767225600000}"#.into()
}

#[track_caller]
fn is_there_once(bus: &Bus) {
    fs::create_dir_all(bus.path("inbox/bob")).unwrap();
    bus.serve();
    assert_eq!(bus.names("inbox/bob"), ["s-1.json"]);
    assert!(bus.text("inbox/bob/s-1.json").contains(r#""sender":"counter""#));
}

#[test]
fn a_sent_message_that_is_missing_or_cut_short_is_written_again() {
    for left in [None, Some(""), Some(r#"{"id":"s-1","sen"#)] {
        let bus = Bus::new();
        let name = ClaimName::sent(1, "s-1");
        let mut room = bus.earlier_room();
        let record = sends(&room, &name);
        room.decide(&record);
        left.into_iter().for_each(|left| room.put(&name, left));
        drop(room);
        is_there_once(&bus);
    }
}

#[test]
fn a_sent_message_that_was_delivered_is_not_sent_again() {
    let bus = Bus::new();
    let name = ClaimName::sent(1, "s-1");
    let mut room = bus.earlier_room();
    let record = sends(&room, &name);
    room.decide(&record);
    let to = Target::Inbox { agent: "bob".into(), stem: "s-1".into(), number: 1 };
    let delivered = room.record(&name, archived(&name), vec![Effect::whole(to, sent().into())]);
    room.decide(&delivered);
    drop(room);
    is_there_once(&bus);
}
