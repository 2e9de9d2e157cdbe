//! Dead letters: looking, trying again, removing; with a service at work and without.

use serde_json::Value;

use super::runner::{Bus, message};

fn ticket(letter: &Value) -> &str {
    letter["ticket"].as_str().expect("a ticket")
}

#[test]
fn show_tells_why_and_what_came() {
    let bus = Bus::new();
    bus.drop_text("orig.json", &message("lost", "nobody"));
    bus.run(&["serve", "--once"]).ok();
    let shown = bus.run(&["dead-letter", "show", "lost", "--json"]).ok().json();
    assert_eq!(shown["why"]["code"], "unknown-recipient");
    assert_eq!(shown["why"]["droppedAs"], "orig.json");
    assert_eq!(shown["text"], message("lost", "nobody"));
    let text = bus.run(&["dead-letter", "show", ticket(&shown)]).ok().out;
    assert!(text.contains("unknown-recipient: ") && text.contains(r#""payload":{"n":1}"#), "{text}");
}

/// The command does the service's work itself when none is there.
#[test]
fn retry_and_purge_need_no_service() {
    let bus = Bus::new();
    bus.drop_text("a.json", &message("a", "you"));
    bus.drop_text("b.json", &message("b", "nobody"));
    bus.run(&["serve", "--once"]).ok();
    bus.dead_letters(2);
    std::fs::create_dir(bus.path("inbox/you")).expect("made");
    let done = bus.run(&["dead-letter", "retry", "a", "--json"]).ok().json();
    assert_eq!(done["done"].as_array().map(Vec::len), Some(1));
    assert_eq!(bus.names("inbox/you"), ["a.json"]);
    let left = bus.dead_letters(1);
    bus.run(&["dead-letter", "purge", ticket(&left[0])]).ok();
    bus.dead_letters(0);
    assert!(bus.names("dead-letter").is_empty() && bus.names("processing").is_empty());
    assert!(bus.names(".postroom/requests").is_empty() && bus.names(".postroom/answers").is_empty());
}

#[test]
fn trace_says_as_what_a_dead_letter_was_tried_again() {
    let bus = Bus::new();
    bus.drop_text("a.json", &message("a", "you"));
    bus.run(&["serve", "--once"]).ok();
    let old = ticket(&bus.dead_letters(1)[0]).to_owned();
    std::fs::create_dir(bus.path("inbox/you")).expect("made");
    bus.run(&["dead-letter", "retry", "a"]).ok();
    for asked in ["a", &old] {
        let messages = bus.run(&["trace", asked, "--json"]).ok().json()["messages"].clone();
        let now = &messages[0]["now"][0];
        assert_eq!((&now["ticket"], &now["state"]), (&old.as_str().into(), &"retried".into()), "{messages}");
        let fresh = now["retriedAs"].as_str().expect("a ticket").to_owned();
        let text = bus.run(&["trace", asked]).ok().out;
        assert!(text.contains(&format!("tried again as {fresh}")) && !text.contains("gone"), "{text}");
        let story = bus.run(&["trace", &fresh, "--json"]).ok().json()["messages"][0].clone();
        assert_eq!(story["now"][0]["state"], "archive", "{story}");
    }
}

#[test]
fn a_service_at_work_is_asked() {
    let bus = Bus::new();
    let service = bus.serve();
    for name in ["a", "b", "c"] {
        bus.drop_text(&format!("{name}.json"), &message(name, "nobody"));
    }
    bus.dead_letters(3);
    std::fs::create_dir(bus.path("inbox/nobody")).expect("made");
    let text = bus.run(&["dead-letter", "retry", "a", "b"]).ok().out;
    assert_eq!(text, "2 dead letters tried again\n");
    bus.dead_letters(1);
    let got: Vec<Value> =
        (0..2).map(|_| bus.run(&["recv", "nobody", "--wait", "--timeout", "60s"]).ok().json()["id"].clone()).collect();
    assert!(got.contains(&"a".into()) && got.contains(&"b".into()), "{got:?}");
    assert_eq!(bus.run(&["dead-letter", "purge", "--older-than", "1h"]).ok().out, "0 dead letters removed\n");
    assert_eq!(bus.run(&["dead-letter", "purge", "--all"]).ok().out, "1 dead letter removed\n");
    bus.dead_letters(0);
    assert!(bus.names(".postroom/requests").is_empty() && bus.names(".postroom/answers").is_empty());
    service.stop();
}

#[test]
fn a_purge_of_several_requests_is_whole() {
    let bus = Bus::new();
    for n in 0..1_050 {
        let stem = format!("0192f0c1-7a5e-7c3b-9d57-{n:012x}~x");
        std::fs::write(bus.path(&format!("dead-letter/{stem}.json")), "{}").expect("written");
        let why = r#"{"code":"internal","message":"m","at":5,"attempts":1,"droppedAs":"x.json"}"#;
        std::fs::write(bus.path(&format!("dead-letter/{stem}.why.json")), why).expect("written");
    }
    let done = bus.run(&["dead-letter", "purge", "--older-than", "1h", "--json"]).ok().json();
    assert_eq!(done["done"].as_array().map(Vec::len), Some(1_050));
    assert!(bus.names("dead-letter").is_empty());
}

/// All or nothing: a wrong name among several is a slip of the hand, and removed is removed.
#[test]
fn nothing_is_done_where_one_is_not_there() {
    let bus = Bus::new();
    bus.drop_text("a.json", &message("a", "nobody"));
    bus.run(&["serve", "--once"]).ok();
    for command in ["purge", "retry"] {
        let ran = bus.run(&["dead-letter", command, "a", "nosuch", "--json"]).fails_with(6);
        assert!(ran.err.contains("there is no dead letter nosuch; nothing was done"), "{ran:?}");
        assert!(ran.out.is_empty(), "{ran:?}");
        bus.dead_letters(1);
        let ran = bus.run(&["dead-letter", command]);
        assert_eq!(ran.code, 2);
        for way in ["TICKETS", "--all", "--older-than"] {
            assert!(ran.err.contains(way), "{way}: {ran:?}");
        }
    }
}

/// A service that is started for this moment, once for each thousand, is no news.
#[test]
fn a_retry_of_many_says_what_it_did_and_no_more() {
    let bus = Bus::new();
    bus.drop_text("a.json", &message("a", "nobody"));
    bus.run(&["serve", "--once"]).ok();
    let ran = bus.run(&["dead-letter", "retry", "--all"]).ok();
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("1 dead letter tried again\n", ""));
}

/// A service that is stopped does not answer; what was asked is not done behind the user's back later.
#[test]
fn an_unanswered_request_is_withdrawn() {
    let bus = Bus::new();
    bus.drop_text("a.json", &message("a", "nobody"));
    bus.run(&["serve", "--once"]).ok();
    let service = bus.serve();
    service.signal(libc::SIGSTOP);
    let ran = bus.run(&["dead-letter", "purge", "--all", "--timeout", "300ms"]).fails_with(4);
    assert!(ran.err.contains("the request is withdrawn"), "{ran:?}");
    assert!(bus.names(".postroom/requests").is_empty());
    service.signal(libc::SIGCONT);
    service.stop();
    bus.dead_letters(1);
}
