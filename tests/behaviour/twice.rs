//! Section 4: the same message twice, and what holds an id.

use insta::assert_snapshot;
use serde_json::json;

use crate::guests::{echoing, failing_before, looping_on_long_payloads, refusing};
use crate::session::{Session, echo, message, message_with};

#[test]
fn the_same_message_is_handled_once_wherever_the_first_one_is() {
    let bus = Session::new();
    bus.know(&["bob"]);
    let text = message("m-1", "alice", "bob", "note", "[1.0]");
    // Beside it in the drop.
    bus.write_in_order([("1.json", &text), ("2.json", &text)]).once();
    // Archived, its copy in the inbox read and deleted, and the service started again.
    bus.remove("inbox/bob/m-1.json").drop("3.json", &text).once();
    assert_snapshot!(bus.tree(), @"
    archive/DAY/HH/T1~m-1.json
    archive/DAY/HH/T2~m-1.json
    archive/DAY/HH/T3~m-1.json
    inbox/bob/
    ");
    assert_eq!(bus.steps(&["delivered", "duplicate"]), ["m-1 delivered", "m-1 duplicate", "m-1 duplicate"]);
}

#[test]
fn the_same_message_is_a_duplicate_while_the_first_waits() {
    let bus = Session::new();
    let text = message_with(r#""notBefore":4102444800000"#, "m-1", "alice", "bob", "note", "1");
    bus.know(&["bob"]).drop("1.json", &text).once();
    bus.drop("2.json", &text).once();
    assert_snapshot!(bus.tree(), @"
    archive/DAY/HH/T2~m-1.json
    deferred/DUE.1.T1~1.json
    inbox/bob/
    ");
}

#[test]
fn the_same_message_waits_while_the_first_is_in_work() {
    let bus = Session::with("[extensions]\ndeadline_ms = 200\n[retry]\nattempts = 1");
    bus.install("slow", &[looping_on_long_payloads()]);
    let service = bus.serve();
    bus.drop("1.json", message("m-1", "alice", "slow", "do", "\"for ever\""));
    bus.until("it runs", |bus| !bus.steps(&["called"]).is_empty());
    bus.drop("2.json", message("m-1", "alice", "slow", "do", "\"for ever\""));
    bus.drop("3.json", echo("m-2", "alice", "1"));
    bus.until("the other's answer", |bus| bus.exists("inbox/alice/m-2.reply.json"));
    // The first ends in `dead-letter/`, which frees the id, so the second is tried.
    bus.until("both given up", |bus| bus.whys().len() == 2);
    service.stop();
    assert_eq!(bus.dead().iter().map(|(code, _)| code.as_str()).collect::<Vec<_>>(), ["timeout", "timeout"]);
}

#[test]
fn what_makes_two_messages_the_same() {
    let bus = Session::new();
    bus.know(&["bob", "carol"])
        .drop("0.json", message_with("\"timestamp\":1", "m-1", "alice", "bob", "note", "[1]"))
        .once();
    // Recipient, action, payload text and inReplyTo count; the rest does not.
    bus.drop("1.json", message_with(r#""timestamp":2,"priority":9,"x":1"#, "m-1", "alice", "bob", "note", "[1]"));
    bus.drop("2.json", message("m-1", "alice", "carol", "note", "[1]"));
    bus.drop("3.json", message("m-1", "alice", "bob", "other", "[1]"));
    bus.drop("4.json", message("m-1", "alice", "bob", "note", "[1 ]"));
    bus.drop("5.json", message_with(r#""inReplyTo":"x""#, "m-1", "alice", "bob", "note", "[1]"));
    bus.drop("6.json", message("m-1", "carol", "bob", "note", "[2]")).once();
    assert_eq!(bus.steps(&["duplicate"]), ["m-1 duplicate"]);
    let conflicts = ["2", "3", "4", "5"].map(|n| ("id-conflict".to_owned(), format!("{n}.json")));
    let mut dead = bus.dead();
    dead.sort();
    assert_eq!(dead, conflicts);
    assert_eq!(bus.ls("inbox/bob"), ["m-1.json", "m-1~2.json"]);
}

#[test]
fn a_conflict_does_not_take_the_id_from_the_first() {
    let bus = Session::new();
    bus.know(&["bob"]).drop("1.json", message("m-1", "alice", "bob", "note", "1")).once();
    bus.drop("2.json", message("m-1", "alice", "bob", "note", "2")).once();
    bus.drop("3.json", message("m-1", "alice", "bob", "note", "1")).once();
    assert_eq!(bus.dead(), [("id-conflict".into(), "2.json".into())]);
    assert_eq!(bus.steps(&["duplicate"]), ["m-1 duplicate"]);
    assert_eq!(bus.json("inbox/bob/m-1.json")["payload"], 1);
}

#[test]
fn a_dead_letter_releases_its_id_for_a_corrected_message() {
    let bus = Session::new();
    bus.know(&["bob"]).drop("1.json", message("m-1", "alice", "bbo", "note", "1")).once();
    bus.drop("2.json", message("m-1", "alice", "bob", "note", "1")).once();
    assert_eq!(bus.ls("inbox/bob"), ["m-1.json"]);
    assert_eq!(bus.dead().len(), 1);
}

#[test]
fn a_dead_letter_releases_its_id_at_once_in_a_running_service() {
    let bus = Session::new();
    bus.know(&["bob"]);
    let service = bus.serve();
    bus.drop("1.json", message("m-1", "alice", "bbo", "note", "1"));
    bus.until("refused", |bus| bus.whys().len() == 1);
    bus.drop("2.json", message("m-1", "alice", "bob", "note", "1"));
    bus.until("delivered", |bus| bus.exists("inbox/bob/m-1.json"));
    service.stop();
}

#[test]
fn the_same_refused_message_is_refused_again_and_not_a_duplicate() {
    let bus = Session::new();
    let text = message("m-1", "alice", "nobody", "note", "1");
    bus.write_in_order([("1.json", &text), ("2.json", &text)]).once();
    assert_eq!(bus.dead(), ["1.json", "2.json"].map(|name| ("unknown-recipient".into(), name.into())));
}

#[test]
fn a_message_that_is_refused_by_its_form_uses_no_id() {
    let bus = Session::new();
    bus.drop("1.json", r#"{"id":"m-1","sender":"alice","recipient":"postroom","action":""}"#).once();
    bus.drop("2.json", echo("m-1", "alice", "1")).once();
    assert_eq!(bus.dead(), [("invalid-message".into(), "1.json".into())]);
    assert_eq!(bus.json("inbox/alice/m-1.reply.json")["payload"], 1);
}

#[test]
fn ids_are_forgotten_after_the_days_that_are_set() {
    let bus = Session::with("[bus]\ndedup_days = 7");
    let text = message("m-1", "alice", "bob", "note", "1");
    let age = |days: i64| {
        let [today] = <[String; 1]>::try_from(bus.ls(".postroom/ids")).unwrap();
        let date: jiff::civil::Date = today.parse().unwrap();
        let old = date.checked_sub(jiff::Span::new().days(days)).unwrap().to_string();
        // With its journal, from which they would be made anew.
        for folder in [".postroom/ids", "archive"] {
            std::fs::rename(bus.path(folder).join(&today), bus.path(folder).join(&old)).unwrap();
        }
    };
    bus.know(&["bob"]).drop("1.json", &text).once();
    bus.remove("inbox/bob/m-1.json");
    age(6);
    bus.drop("2.json", &text).once();
    assert_eq!(bus.ls("inbox/bob"), [""; 0]);
    age(3);
    // The bus was in use between that day and this one, so the date is right.
    let between =
        jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date().checked_sub(jiff::Span::new().days(5));
    std::fs::create_dir(bus.path("archive").join(between.unwrap().to_string())).unwrap();
    bus.drop("3.json", &text).once();
    assert_eq!(bus.ls("inbox/bob"), ["m-1.json"]);
    assert_eq!(bus.json("inbox/bob/m-1.json")["payload"], json!(1));
}

/// The lines of every day's ids that are not about what is free again.
fn remembered(bus: &Session) -> Vec<String> {
    let days = bus.ls(".postroom/ids").into_iter();
    let texts: String = days.map(|day| bus.text(format!(".postroom/ids/{day}"))).collect();
    let mut lines: Vec<String> = texts.lines().filter(|line| !line.contains("\tfree\t")).map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn what_is_remembered_comes_from_the_journal_where_its_file_was_removed() {
    let bus = Session::new();
    bus.install("ext", &[echoing()]).install("later", &[failing_before(2)]).install("no", &[refusing("no", "{}")]);
    bus.know(&["bob", "carol"]);
    bus.drop("1.json", message("m-1", "alice", "bob", "chat", "1"));
    bus.drop("2.json", message("m-2", "alice", r#"["bob","carol","nobody"]"#, "chat", "1"));
    bus.drop("3.json", echo("m-3", "alice", "1")).drop("4.json", message("m-4", "alice", "ext", "do", "1"));
    bus.drop("5.json", message("m-5", "alice", "later", "do", "1"))
        .drop("6.json", message("m-6", "alice", "no", "do", "1"));
    bus.drop("7.json", message_with(r#""notBefore":4102444800000"#, "m-7", "alice", "bob", "note", "1"));
    let service = bus.serve();
    bus.until("all answers", |bus| ["m-5", "m-6"].iter().all(|id| bus.exists(format!("inbox/alice/{id}.reply.json"))));
    for (id, from, to, asked) in
        [("b-1", "bob", "alice", "m-1"), ("b-2", "bob", "alice", "m-2"), ("b-3", "alice", "bob", "b-1")]
    {
        let text = message_with(&format!(r#""inReplyTo":"{asked}""#), id, from, to, "chat", "2");
        bus.drop(&format!("{id}.json"), text);
        bus.until("it was finished", |bus| bus.steps(&["finished"]).contains(&format!("{id} finished")));
    }
    service.stop();
    let before = remembered(&bus);
    // All messages, three answers, and m-5 twice: it was deferred.
    assert_eq!(before.len(), 7 + 3 + 3 + 1, "{before:#?}");
    for day in bus.ls(".postroom/ids") {
        bus.remove(&format!(".postroom/ids/{day}"));
    }
    bus.drop("8.json", message("m-3", "alice", "postroom", "mcp.core.echo", "1"));
    bus.drop("9.json", message_with(r#""inReplyTo":"m-1""#, "b-4", "bob", "alice", "chat", "\"again\"")).once();
    // The duplicates leave nothing to remember; what was dead may come again.
    assert_eq!(remembered(&bus), before);
    assert_eq!(bus.steps(&["duplicate"]), ["m-3 duplicate", "b-4 duplicate"]);
    bus.remove("inbox/alice/m-6.reply.json")
        .drop("10.json", message("m-6", "alice", "ext", "do", "\"another\""))
        .once();
    assert_eq!(bus.json("inbox/alice/m-6.reply.json")["payload"], "another");
}

/// What a service that hung appends when it wakes, the one that took over from it knows better.
#[test]
fn what_a_replaced_service_says_of_an_id_later_does_not_count() {
    let bus = Session::new();
    bus.drop("1.json", message("m-1", "alice", "bob", "note", "1")).once();
    let [day] = <[String; 1]>::try_from(bus.ls(".postroom/ids")).unwrap();
    let ids = format!(".postroom/ids/{day}");
    let first = bus.text(&ids).lines().find(|line| line.contains("released")).unwrap().to_owned();
    // The corrected message has the id now.
    let text = message("m-1", "alice", "bob", "note", "2");
    bus.know(&["bob"]).drop("2.json", &text).once();
    let [term, ticket] = <[&str; 2]>::try_from(first.split('\t').take(2).collect::<Vec<_>>()).unwrap();
    let late = format!("{}{term}\t{ticket}\tfree\talice\tm-1\t\t0\t\t\n", bus.text(&ids));
    bus.write(&ids, late).remove("inbox/bob/m-1.json").drop("3.json", &text).once();
    assert_eq!((bus.steps(&["duplicate"]), bus.ls("inbox/bob").len()), (vec!["m-1 duplicate".to_owned()], 0));
}

/// A clock that was ahead for a moment has made a file for a day long from now.
#[test]
fn ids_of_a_day_that_is_yet_to_come_are_todays() {
    let bus = Session::new();
    let text = message("m-1", "alice", "bob", "note", "1");
    bus.know(&["bob"]).drop("1.json", &text).once();
    let [today] = <[String; 1]>::try_from(bus.ls(".postroom/ids")).unwrap();
    let ids = |day: &str| bus.path(".postroom/ids").join(day);
    std::fs::rename(ids(&today), ids("2999-12-31")).unwrap();
    // The journal has them, too; here it is about the file.
    bus.remove(&format!("archive/{today}/journal.jsonl"));
    bus.once();
    assert_eq!(bus.ls(".postroom/ids"), [today.as_str(), "2999-12-31.as"]);
    bus.drop("2.json", &text).once();
    assert_eq!(bus.steps(&["duplicate"]), ["m-1 duplicate"]);
}

/// The journal of a day yet to come stays; what it says of an id is older than what was said since.
#[test]
fn what_was_said_on_a_day_yet_to_come_does_not_count_again() {
    let bus = Session::new();
    bus.know(&["bob"]).drop("1.json", message("m-1", "alice", "bbo", "note", "1")).once();
    let [today] = <[String; 1]>::try_from(bus.ls(".postroom/ids")).unwrap();
    for folder in [".postroom/ids", "archive"] {
        std::fs::rename(bus.path(folder).join(&today), bus.path(folder).join("2999-12-31")).unwrap();
    }
    // The bus was in use on the days before this one, so the date is right.
    let date: jiff::civil::Date = today.parse().unwrap();
    for days in 1..=2 {
        let day = date.checked_sub(jiff::Span::new().days(days)).unwrap().to_string();
        std::fs::create_dir(bus.path("archive").join(day)).unwrap();
    }
    bus.once();
    let [ids, moved] = [today.as_str(), "2999-12-31.as"].map(|name| format!(".postroom/ids/{name}"));
    assert!(bus.exists(&ids) && bus.exists(&moved) && !bus.exists(".postroom/ids/2999-12-31"));
    // The corrected message has the id now, for every service to come, and also where the file of ids is removed.
    let text = message("m-1", "alice", "bob", "note", "1");
    bus.drop("2.json", &text).once();
    bus.remove("inbox/bob/m-1.json").drop("3.json", &text).once();
    bus.remove(&ids).drop("4.json", &text).once();
    assert_eq!(bus.steps(&["delivered", "duplicate"]), ["m-1 delivered", "m-1 duplicate", "m-1 duplicate"]);
    assert_eq!((bus.ls("inbox/bob").len(), bus.ls(".postroom/ids")), (0, vec![today, "2999-12-31.as".to_owned()]));
}

/// In a flood a message is decided, carried out and noted while others are claimed: its copy must find it at each of these moments.
#[test]
fn copies_in_a_flood_are_found_however_far_behind_they_are() {
    const APART: usize = 300;
    let bus = Session::new();
    let mut names = Vec::new();
    for n in 0..3_000 {
        let id = format!("m-{}", if (n / APART).is_multiple_of(2) { n } else { n - APART });
        let name = format!("{n:05}.json");
        bus.drop(&name, echo(&id, "alice", "1"));
        names.push(name);
    }
    bus.once();
    let replies = bus.ls("inbox/alice");
    let twice: Vec<&String> = replies.iter().filter(|name| name.contains('~')).collect();
    assert_eq!((replies.len(), twice), (1_500, vec![]));
}
