//! Section 4: into an inbox, and who has one.

use std::fs;
use std::os::unix::fs::symlink;

use insta::assert_snapshot;
use serde_json::json;

use crate::session::{Session, echo, message, message_with, string};

#[test]
fn a_name_that_another_senders_message_has_gets_a_number() {
    let bus = Session::new();
    bus.know(&["bob"]).write("inbox/bob/m-2.json", "left here by somebody");
    bus.drop("1.json", message("m-1", "alice", "bob", "note", "1"));
    bus.drop("2.json", message("m-1", "carol", "bob", "note", "2"));
    bus.drop("3.json", message("m-1", "dora", "bob", "note", "3"));
    bus.drop("4.json", message("m-2", "alice", "bob", "note", "4")).once();
    assert_snapshot!(bus.tree(), @"
    archive/DAY/HH/T1~m-1.json
    archive/DAY/HH/T2~m-1.json
    archive/DAY/HH/T3~m-1.json
    archive/DAY/HH/T4~m-2.json
    inbox/bob/
    inbox/bob/m-1.json
    inbox/bob/m-1~2.json
    inbox/bob/m-1~3.json
    inbox/bob/m-2.json
    inbox/bob/m-2~2.json
    ");
    let senders =
        ["m-1.json", "m-1~2.json", "m-1~3.json"].map(|name| string(&bus.json(format!("inbox/bob/{name}")), "sender"));
    assert_eq!(senders, ["alice", "carol", "dora"]);
    assert_eq!(bus.text("inbox/bob/m-2.json"), "left here by somebody");
}

#[test]
fn a_name_that_was_deleted_is_free_again() {
    let bus = Session::new();
    bus.know(&["bob"]).drop("1.json", message("m-1", "alice", "bob", "note", "1")).once();
    bus.remove("inbox/bob/m-1.json").drop("2.json", message("m-1", "carol", "bob", "note", "2")).once();
    assert_eq!(bus.ls("inbox/bob"), ["m-1.json"]);
    assert_eq!(bus.json("inbox/bob/m-1.json")["sender"], "carol");
}

#[test]
fn what_is_deleted_is_not_delivered_again_and_what_is_there_never_changes() {
    let bus = Session::new();
    bus.know(&["bob"]).drop("1.json", message("m-1", "alice", "bob", "note", "1"));
    bus.drop("2.json", message("m-2", "alice", "bob", "note", "2")).once();
    let before =
        (bus.text("inbox/bob/m-2.json"), bus.path("inbox/bob/m-2.json").metadata().unwrap().modified().unwrap());
    bus.remove("inbox/bob/m-1.json").once();
    bus.once();
    let after =
        (bus.text("inbox/bob/m-2.json"), bus.path("inbox/bob/m-2.json").metadata().unwrap().modified().unwrap());
    assert_eq!(bus.ls("inbox/bob"), ["m-2.json"]);
    assert_eq!(before, after);
}

#[test]
fn an_agent_is_known_by_its_registration_or_by_its_folder() {
    let bus = Session::new();
    bus.know(&["carol"]);
    bus.drop(
        "1.json",
        message("r-1", "bob", "postroom", "mcp.core.register", r#"{"name":"Bob","version":"1","capabilities":[]}"#),
    )
    .once();
    fs::remove_dir_all(bus.path("inbox/bob")).unwrap();
    bus.drop("2.json", message("m-1", "alice", "bob", "note", "1"));
    bus.drop("3.json", message("m-2", "alice", "carol", "note", "1"));
    bus.drop("4.json", message("m-3", "alice", "dora", "note", "1")).once();
    assert_snapshot!(bus.tree(), @"
    agents/bob.json
    archive/DAY/HH/T1~r-1.json
    archive/DAY/HH/T2~m-1.json
    archive/DAY/HH/T3~m-2.json
    dead-letter/T4~4.json
    dead-letter/T4~4.why.json
    inbox/alice/
    inbox/alice/m-3.reply.json
    inbox/bob/
    inbox/bob/m-1.json
    inbox/carol/
    inbox/carol/m-2.json
    ");
    assert_eq!(bus.dead(), [("unknown-recipient".into(), "4.json".into())]);
}

#[test]
fn an_unknown_recipient_is_told_with_the_nearest_names() {
    let bus = Session::new();
    bus.know(&["summer", "bob"]).drop("1.json", message("m-1", "alice", "sumer", "note", "1")).once();
    let mut why = bus.why();
    assert!(why["at"].take().is_u64());
    assert_eq!(
        why,
        json!({
            "code": "unknown-recipient", "message": "nobody is known as \"sumer\"", "hint": "known and most like it: summer",
            "at": null, "attempts": 1, "droppedAs": "1.json", "id": "m-1", "sender": "alice", "recipient": "sumer",
            "action": "note"
        })
    );
    let reply = bus.json("inbox/alice/m-1.reply.json");
    assert_eq!(reply["error"], json!({"code": "unknown-recipient", "message": "nobody is known as \"sumer\""}));
    assert_eq!(
        (&reply["sender"], &reply["inReplyTo"], &reply["action"]),
        (&json!("postroom"), &json!("m-1"), &json!("note"))
    );
}

#[test]
fn sending_makes_a_sender_known_for_the_answers_alone() {
    let bus = Session::new();
    bus.know(&["bob"]).drop("1.json", message("q-1", "alice", "bob", "sum", "1"));
    bus.drop("2.json", message("m-1", "bob", "alice", "note", "1")).once();
    assert_eq!(bus.dead(), [("unknown-recipient".into(), "2.json".into())]);
    assert!(!bus.exists("inbox/alice"));
    bus.drop("3.json", message_with(r#""inReplyTo":"q-1""#, "a-1", "bob", "alice", "sum", "2")).once();
    assert_eq!(bus.ls("inbox/alice"), ["q-1.reply.json"]);
}

#[test]
fn links_in_the_place_of_inboxes_are_not_followed() {
    let bus = Session::new();
    let outside = bus.beside("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, bus.path("inbox/bob")).unwrap();
    fs::write(bus.path("inbox/carol"), "a file").unwrap();
    bus.drop("1.json", message("m-1", "alice", "bob", "note", "1"));
    bus.drop("2.json", message("m-2", "alice", "carol", "note", "1"));
    bus.drop("3.json", echo("m-3", "bob", "1")).drop("4.json", echo("m-4", "carol", "1")).once();
    let codes: Vec<_> = bus.dead().into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, ["unknown-recipient", "unknown-recipient", "not-permitted", "not-permitted"]);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(bus.ls("inbox/alice"), ["m-1.reply.json", "m-2.reply.json"]);
}

#[test]
fn a_leased_message_is_left_to_its_consumer() {
    let bus = Session::new();
    bus.know(&["bob"]).drop("1.json", message("m-1", "alice", "bob", "note", "1")).once();
    let leased = bus.path("inbox/bob/.m-1.json~0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11.leased");
    fs::rename(bus.path("inbox/bob/m-1.json"), &leased).unwrap();
    bus.once();
    assert!(leased.exists());
    // Meanwhile the name is free for another's message; giving the lease back does not replace that.
    bus.drop("2.json", message("m-1", "carol", "bob", "note", "2")).once();
    assert_eq!(bus.json("inbox/bob/m-1.json")["sender"], "carol");
}

/// Answers an echo; the service says in the meantime what it has to.
fn is_served(bus: &Session, id: &str) {
    bus.drop(&format!("{id}.json"), echo(id, "alice", "1"));
    let reply = format!("inbox/alice/{id}.reply.json");
    bus.until(&format!("{id} is answered"), |bus| bus.exists(&reply));
}

#[test]
fn an_inbox_that_is_replaced_between_two_messages_is_the_new_one_for_the_second() {
    let bus = Session::new();
    let service = bus.serve();
    for (n, put) in ["first", "second", "third"].into_iter().enumerate() {
        // Twice: the folder is open for the second.
        is_served(&bus, &format!("m-{n}"));
        is_served(&bus, &format!("n-{n}"));
        fs::rename(bus.path("inbox/alice"), bus.beside(put)).unwrap();
        fs::create_dir(bus.path("inbox/alice")).unwrap();
    }
    is_served(&bus, "last");
    fs::rename(bus.path("inbox/alice"), bus.beside("fourth")).unwrap();
    symlink(bus.beside("first"), bus.path("inbox/alice")).unwrap();
    bus.drop("link.json", echo("link", "alice", "1"));
    bus.until("it is refused", |bus| !bus.dead().is_empty());
    service.stop();
    assert_eq!(bus.dead(), [("not-permitted".into(), "link.json".into())]);
    for (n, put) in ["first", "second", "third"].into_iter().enumerate() {
        let mut there: Vec<_> =
            fs::read_dir(bus.beside(put)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        there.sort();
        assert_eq!(there, [format!("m-{n}.reply.json").as_str(), format!("n-{n}.reply.json").as_str()]);
    }
}

#[test]
fn a_bus_that_is_removed_or_moved_away_and_made_anew_is_served() {
    let bus = Session::new();
    let service = bus.serve();
    is_served(&bus, "m-1");
    fs::rename(bus.bus(), bus.beside("elsewhere")).unwrap();
    service.until_it_says("was removed, moved or replaced");
    assert!(bus.run(&["init"]).status.success());
    is_served(&bus, "m-2");
    // What it makes while a folder is being removed would be left in it.
    bus.until("it is at rest", |bus| bus.names_in_the_room().iter().any(|name| name.starts_with("+ahead.")));
    fs::remove_dir_all(bus.bus()).unwrap();
    bus.until("it is missed", |_| service.said().matches("was removed, moved or replaced").count() == 2);
    assert!(bus.run(&["init"]).status.success());
    is_served(&bus, "m-3");
    let said = service.stop();
    assert!(!said.contains("another service") && said.matches("active on").count() == 3, "{said}");
    // What was moved away is a bus still, with what was on it.
    assert!(bus.beside("elsewhere/inbox/alice/m-1.reply.json").exists());
}

#[test]
fn a_service_whose_room_is_removed_begins_anew() {
    let bus = Session::new();
    let service = bus.serve();
    is_served(&bus, "m-1");
    fs::rename(bus.path("processing"), bus.beside("aside")).unwrap();
    service.until_it_says("the room of this service (term 1) is gone");
    is_served(&bus, "m-2");
    let said = service.stop();
    assert!(!said.contains("another service"), "{said}");
}

#[test]
fn a_link_in_the_place_of_a_folder_is_followed_nowhere() {
    let bus = Session::new();
    let service = bus.serve();
    fs::rename(bus.path("dead-letter"), bus.beside("aside")).unwrap();
    fs::create_dir(bus.beside("outside")).unwrap();
    std::os::unix::fs::symlink(bus.beside("outside"), bus.path("dead-letter")).unwrap();
    service.until_it_says("dead-letter is not a folder");
    bus.drop("1.json", message("m-1", "alice", "nobody", "note", "1"));
    bus.remove("dead-letter");
    fs::rename(bus.beside("aside"), bus.path("dead-letter")).unwrap();
    bus.until("it is a dead letter", |bus| bus.dead().len() == 1);
    service.until_it_says("working again");
    let said = service.stop();
    assert_eq!((said.matches("is not a folder").count(), said.matches("working again").count()), (1, 1), "{said}");
    assert_eq!(fs::read_dir(bus.beside("outside")).unwrap().count(), 0);
}

#[test]
fn a_missing_folder_of_the_bus_is_made_again() {
    let bus = Session::new();
    bus.know(&["bob"]);
    let service = bus.serve();
    fs::remove_dir(bus.path("dead-letter")).unwrap();
    fs::remove_dir_all(bus.path("inbox")).unwrap();
    bus.drop("1.json", echo("a-1", "alice", "1")).drop("2.json", message("a-2", "alice", "nobody", "note", "1"));
    bus.until("both answers", |bus| bus.ls("inbox/alice").len() == 2);
    bus.until("the dead letter", |bus| bus.ls("dead-letter").len() == 2);
    service.stop();
}
