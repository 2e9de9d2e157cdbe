//! What is in an old room and was not put there by a service: nothing of it is lost, and nothing of it is in the way.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use postroom::bus::record::Record;

use crate::old_rooms::{Bus, OldRoom, claim, echo};

/// What recovery moved aside, whose names begin so.
fn moved_aside(bus: &Bus, beginning: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(bus.path(".postroom")).expect("the private folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(beginning))).collect()
}

/// A room of an earlier boot in which one message is answered, and not yet published.
fn answered(bus: &Bus) -> (OldRoom<'_>, Record) {
    let mut room = bus.earlier_room();
    let claim = claim();
    let record = room.replied(&claim);
    room.decide(&record);
    room.put(&claim, &echo());
    (room, record)
}

#[test]
fn folders_and_files_of_others_are_moved_aside() {
    let bus = Bus::new();
    let (room, record) = answered(&bus);
    // Staged files have such names, but are no folders.
    for stranger in ["notes.txt", "folder/inside", "+folder/inside"] {
        room.put(stranger, stranger);
    }
    drop(room);
    bus.serve();
    bus.is_answered_once_from_the_log(&record);
    let mut found: Vec<String> = moved_aside(&bus, "found-")
        .into_iter()
        .map(|path| fs::read_to_string(&path).or_else(|_| fs::read_to_string(path.join("inside"))).expect("its text"))
        .collect();
    found.sort();
    assert_eq!(found, ["+folder/inside", "folder/inside", "notes.txt"]);
}

/// As one that a later version has written. Everything before it counts, and the log stays for whoever wants to know.
#[test]
fn a_log_with_a_whole_frame_that_nobody_understands_is_kept_aside() {
    let bus = Bus::new();
    let (room, record) = answered(&bus);
    let path = bus.path(room.room.file("log"));
    // The numbers before it are those of the beginning and of the record.
    let (number, body) = (3_u64, "?what is this");
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&number.to_le_bytes());
    checksum.update(body.as_bytes());
    let head = format!("postroom {number:020} {:010} {:08x}", body.len(), checksum.finalize());
    let mut log = fs::OpenOptions::new().append(true).open(path).expect("the log");
    writeln!(log, "{head}\n{body}").expect("written");
    drop(room);
    bus.serve();
    bus.is_answered_once_from_the_log(&record);
    let [aside] = moved_aside(&bus, "damaged-log-").try_into().expect("one log");
    assert!(fs::read_to_string(aside).expect("its text").contains(body));
}
