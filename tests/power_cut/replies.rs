//! Published replies: missing, there, cut short, another's.

use std::fs;
use std::os::unix::fs::MetadataExt;

use postroom::bus::record::{Effect, Piece, Record};
use uuid::Uuid;

use super::old_rooms::{Bus, LOGGED, REPLY, archived, claim, echo, message, reply};

#[test]
fn a_published_reply_that_is_missing_is_written_again() {
    let bus = Bus::new();
    let mut room = bus.earlier_room();
    let claim = claim();
    let record = room.replied(&claim);
    room.decide(&record);
    room.put(&claim, &echo());
    drop(room);
    bus.serve();
    bus.is_answered_once_from_the_log(&record);
}

#[test]
fn a_published_reply_that_is_there_is_left_and_what_is_staged_goes() {
    let bus = Bus::new();
    let mut room = bus.earlier_room();
    let claim = claim();
    let record = room.replied(&claim);
    room.decide(&record);
    room.put(&claim, &echo());
    room.put(record.staged_name(0), LOGGED);
    bus.put(REPLY, LOGGED);
    let before = fs::metadata(bus.path(REPLY)).expect("there").ino();
    drop(room);
    bus.serve();
    bus.is_answered_once_from_the_log(&record);
    assert_eq!(fs::metadata(bus.path(REPLY)).expect("there").ino(), before, "written again");
}

#[test]
fn a_published_reply_that_was_cut_short_is_written_again() {
    for left in ["", &LOGGED[..LOGGED.len() / 2], &"\0".repeat(LOGGED.len())] {
        let bus = Bus::new();
        let mut room = bus.earlier_room();
        let claim = claim();
        let record = room.replied(&claim);
        room.decide(&record);
        room.put(&claim, &echo());
        bus.put(REPLY, left);
        drop(room);
        bus.serve();
        bus.is_answered_once_from_the_log(&record);
    }
}

#[test]
fn a_staged_reply_that_was_cut_short_is_not_published() {
    for ahead in [None, Some(Uuid::now_v7())] {
        let bus = Bus::new();
        let mut room = bus.earlier_room();
        let claim = claim();
        let record = Record { ahead, ..room.replied(&claim) };
        room.decide(&record);
        room.put(&claim, &echo());
        room.put(record.staged_name(0), "");
        drop(room);
        bus.serve();
        bus.is_answered_once_from_the_log(&record);
    }
}

#[test]
fn anothers_file_of_that_name_is_left_and_the_reply_takes_the_next_number() {
    let bus = Bus::new();
    let mut room = bus.earlier_room();
    let claim = claim();
    let record = room.replied(&claim);
    room.decide(&record);
    room.put(&claim, &echo());
    bus.put(REPLY, r#"{"of":"another"}"#);
    drop(room);
    bus.serve();
    assert_eq!(bus.names("inbox/alice"), ["m-1.reply.json", "m-1.reply~2.json"]);
    assert_eq!(bus.text(REPLY), r#"{"of":"another"}"#);
    assert_eq!(bus.text("inbox/alice/m-1.reply~2.json"), LOGGED);
}

#[test]
fn an_answered_message_that_is_back_in_the_drop_is_not_answered_again() {
    let bus = Bus::new();
    let mut room = bus.earlier_room();
    let record = room.replied(&claim());
    room.decide(&record);
    bus.put("m.json", &echo());
    drop(room);
    bus.serve();
    assert_eq!(bus.names("inbox/alice"), ["m-1.reply.json"]);
    assert_eq!(bus.text(REPLY), LOGGED);
    assert!(!bus.path("m.json").exists());
}

#[test]
fn a_large_reply_is_rebuilt_from_the_messages_file_wherever_that_is() {
    let payload = format!(r#""{}""#, "large ".repeat(4000));
    let text = message(r#""postroom""#, "mcp.core.echo", &payload);
    let start = text.find(&payload).expect("the payload is in it");
    let (head, tail) = (r#"{"payload":"#, "}");
    let body =
        vec![Piece::Bytes(head.into()), Piece::OfMessage { start, len: payload.len() }, Piece::Bytes(tail.into())];
    for is_finished in [false, true] {
        let bus = Bus::new();
        let mut room = bus.earlier_room();
        let claim = claim();
        let record = room.record(&claim, archived(&claim), vec![Effect { to: reply(), body: body.clone() }]);
        assert!(record.refers_to_message());
        room.decide_about(&record, &text);
        let back = if is_finished { record.finish.path() } else { room.room.file(claim.to_string()) };
        bus.put(back, &text);
        drop(room);
        bus.serve();
        assert_eq!(bus.text(REPLY), format!("{head}{payload}{tail}"), "finished: {is_finished}");
        assert_eq!(bus.text(record.finish.path()), text);
    }
}
