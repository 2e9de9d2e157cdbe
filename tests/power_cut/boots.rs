//! Whose boot and mount it was.

use std::fs;

use postroom::bus::ids::Ids;
use postroom::bus::journal::Journal;
use postroom::bus::layout;
use postroom::bus::log::Durability;
use postroom::bus::place::Place;
use postroom::bus::{self, recover, term};

use super::old_rooms::{Bus, OldRoom, claim, echo, now_ms};

/// Interleaving 7 of the commit protocol, *copied-record-forgets-its-boot*: the first recoverer copies the record into its own
/// log, of this boot, and goes no further; the next one must still know that the record is of an earlier boot.
#[test]
fn a_copied_record_keeps_the_boot_in_which_it_was_decided() {
    let bus = Bus::new();
    let mut old = bus.earlier_room();
    let claim = claim();
    let record = old.replied(&claim);
    old.decide(&record);
    old.put(&claim, &echo());
    drop(old);
    // With a file in the place of the inbox the first one can do no more than copy it.
    bus.put("inbox/alice", "in the way");
    let OldRoom { room, mut log, .. } = bus.room(2, bus.here());
    term::take_others(&bus.disk, &room).expect("taken over");
    let mut journal = Journal::new("first".into(), room.term);
    let mut ids = Ids::load(&bus.disk, &room, 30, 0).expect("ids");
    let day = postroom::bus::time::day(now_ms());
    let recovered = recover::recover(&bus.disk, &room, &mut log, &mut journal, &mut ids, Durability::Process, &day);
    assert_eq!(recovered.expect("recovered").unfinished.len(), 1, "there is no inbox");
    let copied = bus::log::read(&bus.disk, &|| Ok(()), &room.path).expect("its log").records;
    assert_eq!(copied, std::slice::from_ref(&record));
    drop((room, log));
    fs::remove_file(bus.path("inbox/alice")).expect("removed");
    bus.serve();
    bus.is_answered_once_from_the_log(&record);
}

#[test]
fn in_the_same_boot_and_mount_a_reply_that_was_taken_is_not_written_again() {
    let bus = Bus::new();
    let here = bus.here();
    // A system that does not tell the mount's unique id trusts nothing, and writes it again.
    let is_trusted = here.same_mount(&here);
    let mut room = bus.room(1, here);
    let claim = claim();
    let record = room.replied(&claim);
    room.decide(&record);
    room.put(&claim, &echo());
    drop(room);
    bus.serve();
    let expected: &[&str] = if is_trusted { &[] } else { &["m-1.reply.json"] };
    assert_eq!(bus.names("inbox/alice"), expected);
    assert_eq!(bus.text(record.finish.path()), echo());
}

#[test]
fn on_another_mount_of_the_same_boot_a_missing_reply_is_written_again() {
    let bus = Bus::new();
    let mut room = bus.room(1, Place { mount: "an-earlier-mount".into(), ..bus.here() });
    let claim = claim();
    let record = room.replied(&claim);
    room.decide(&record);
    room.put(&claim, &echo());
    drop(room);
    bus.serve();
    bus.is_answered_once_from_the_log(&record);
}

/// As a power cut leaves it that undid the rename of the room to its term, too.
#[test]
fn a_room_that_is_back_under_its_prepared_name_is_recovered() {
    let bus = Bus::new();
    let mut room = bus.earlier_room();
    let claim = claim();
    let record = room.replied(&claim);
    room.decide(&record);
    room.put(&claim, &echo());
    let prepared = layout::prepared_folder(room.room.uuid);
    fs::rename(bus.path(layout::term_folder(1)), bus.path(prepared)).expect("renamed back");
    drop(room);
    bus.serve();
    bus.is_answered_once_from_the_log(&record);
}
