//! Dead letters that the user has tried again: which error reply is taken back, and which is somebody else's.

use serde_json::json;

use crate::guests::{echoing, failing_before};
use crate::session::{Session, message, message_with, string};

/// The ticket of the dead letter that was dropped as this.
fn letter(bus: &Session, dropped_as: &str) -> String {
    let whys = bus.ls("dead-letter").into_iter().filter(|name| name.ends_with(".why.json"));
    let of = |name: &String| string(&bus.json(format!("dead-letter/{name}")), "droppedAs") == dropped_as;
    let name = whys.into_iter().find(of).unwrap_or_else(|| panic!("no letter {dropped_as}\n{}", bus.tree()));
    name.split_once('~').expect("a ticket and a name").0.to_owned()
}

fn retry(bus: &Session, dropped_as: &str) {
    let ran = bus.run(&["dead-letter", "retry", &letter(bus, dropped_as)]);
    assert!(ran.status.success(), "{ran:?}");
    bus.once();
}

#[test]
fn the_answer_of_another_with_the_same_id_is_left_alone() {
    let bus = Session::new();
    bus.know(&["alice", "bob"]).drop("1.json", message("x", "alice", "bob", "a.b", "1")).once();
    let answer = r#""inReplyTo":"x","error":{"code":"mine","message":"no"}"#;
    let text = message_with(answer, "r", "bob", "alice", "a.b", "0").replace(r#","payload":0"#, "");
    bus.drop("2.json", text).once();
    let genuine = bus.text("inbox/alice/x.reply.json");
    bus.drop("3.json", message("x", "alice", "bob", "a.b", "2")).once();
    retry(&bus, "3.json");
    assert_eq!(bus.text("inbox/alice/x.reply.json"), genuine);
    // It is a conflict again: its first word was taken back, its second is there.
    assert_eq!(bus.ls("inbox/alice"), ["x.reply.json", "x~postroom.reply.json"]);
    assert_eq!(bus.json("inbox/alice/x~postroom.reply.json")["error"]["code"], "id-conflict");
}

#[test]
fn of_two_letters_with_one_id_the_word_about_the_right_one_is_taken_back() {
    let bus = Session::new();
    bus.know(&["alice"]).drop("1.json", message("e", "alice", "no-1", "a.b", "1")).once();
    bus.drop("2.json", message("e", "alice", "no-2", "a.b", "1")).once();
    assert_eq!(bus.ls("inbox/alice"), ["e.reply.json", "e.reply~2.json"]);
    let first = bus.text("inbox/alice/e.reply.json");
    bus.know(&["no-2"]);
    retry(&bus, "2.json");
    assert_eq!(
        (bus.ls("inbox/no-2"), bus.ls("inbox/alice")),
        (vec!["e.json".to_owned()], vec!["e.reply.json".to_owned()])
    );
    assert_eq!(bus.text("inbox/alice/e.reply.json"), first);
}

#[test]
fn the_word_about_one_of_several_and_about_one_without_an_id_is_found_too() {
    let bus = Session::new();
    bus.know(&["alice", "bob"]).drop("1.json", message("l", "alice", r#"["bob","ext"]"#, "do", "1"));
    bus.drop("2.json", r#"{"sender":"alice","recipient":"ext","priority":77,"action":"do"}"#).once();
    assert_eq!(bus.ls("inbox/alice").len(), 2, "{}", bus.tree());
    bus.install("ext", &[echoing()]);
    retry(&bus, "1.json");
    assert_eq!(bus.json("inbox/alice/l~ext.reply.json")["payload"], json!(1));
    retry(&bus, "2.json");
    // What is wrong in itself stays so, and its sender is told of the second try.
    let names = bus.ls("inbox/alice");
    assert_eq!((names.len(), bus.dead().len()), (2, 1), "{}", bus.tree());
}

/// Its owner fills an inbox, and empties it, as he likes.
#[test]
fn the_word_about_a_letter_is_looked_for_behind_gaps_and_under_so_many_names() {
    let bus = Session::new();
    let reply = |number: u32| match number {
        1 => "inbox/alice/e.reply.json".to_owned(),
        number => format!("inbox/alice/e.reply~{number}.json"),
    };
    for (there, found) in [(3, true), (70, false)] {
        bus.know(&["alice"]);
        for number in 1..=there {
            bus.write(reply(number), "{}");
        }
        bus.drop("1.json", message("e", "alice", "nobody", "a.b", "1")).once();
        let mut names = bus.ls("inbox/alice").into_iter().map(|name| format!("inbox/alice/{name}"));
        let mine = names.find(|name| bus.text(name) != "{}").expect("a reply");
        for number in 2..=3 {
            bus.remove(&reply(number));
        }
        let before = bus.text(&mine);
        retry(&bus, "1.json");
        assert_eq!(!bus.exists(&mine) || bus.text(&mine) != before, found, "{there}: {}", bus.tree());
        for folder in ["inbox/alice", "dead-letter"] {
            std::fs::remove_dir_all(bus.path(folder)).unwrap();
        }
        std::fs::create_dir(bus.path("dead-letter")).unwrap();
    }
}

/// A client that waits at the path of its answer must not find the refusal of another message there.
#[test]
fn a_refused_text_with_the_id_of_a_pending_message_is_answered_beside_it() {
    let bus = Session::new();
    bus.know(&["alice", "bob"]).drop("1.json", message("x", "alice", "bob", "ask", "1")).once();
    bus.drop("2.json", message_with(r#""priority":99"#, "x", "alice", "bob", "ask", "1")).once();
    bus.drop("3.json", message_with(r#""inReplyTo":"x""#, "r", "bob", "alice", "ask", "7")).once();
    assert_eq!(bus.ls("inbox/alice"), ["x.reply.json", "x~postroom.reply.json"]);
    assert_eq!(bus.json("inbox/alice/x.reply.json")["payload"], 7);
    assert_eq!(bus.json("inbox/alice/x~postroom.reply.json")["error"]["code"], "invalid-message");
}

/// Retries of one of several are not admitted anew: its own siblings are what waits.
#[test]
fn one_of_several_that_waits_for_its_retry_is_not_refused_for_its_siblings() {
    let limits = "[retry]\nattempts = 3\nfirst_ms = 50\n[limits]\nper_sender_messages = 2";
    let bus = Session::with(limits);
    for name in ["one", "two", "three"] {
        bus.install(name, &[failing_before(3)]);
    }
    let service = bus.serve();
    bus.drop("1.json", message("h", "alice", r#"["one","two","three"]"#, "do", "1"));
    bus.until("all answers", |bus| bus.ls("inbox/alice").len() == 3);
    service.stop();
    assert_eq!(bus.dead(), []);
}

/// Where its sender can have no answer, there is none to take back either.
#[test]
fn a_retry_for_a_sender_without_a_usable_inbox_holds_up_nobody() {
    let bus = Session::new();
    bus.write("inbox/alice", "a file").drop("1.json", message("m", "alice", "postroom", "mcp.core.ping", "1")).once();
    assert_eq!(bus.dead(), [("not-permitted".into(), "1.json".into())]);
    retry(&bus, "1.json");
    assert_eq!(bus.dead(), [("not-permitted".into(), "1.json".into())]);
    std::fs::remove_file(bus.path("inbox/alice")).unwrap();
    retry(&bus, "1.json");
    assert!(bus.exists("inbox/alice/m.reply.json"));
}
