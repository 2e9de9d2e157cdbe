//! Section 4: in which order messages are delivered and handled.

use std::fmt::Write as _;

use crate::guests::echoing;
use crate::mock::{Function, handler};
use crate::session::{Session, echo, message, message_with};

fn numbered(count: usize, recipient: &str) -> Vec<(String, String)> {
    let one = |n| (format!("{n:04}.json"), message(&format!("m-{n:04}"), "alice", recipient, "note", "1"));
    (0..count).map(one).collect()
}

fn expected(count: usize, step: &str) -> Vec<String> {
    (0..count).map(|n| format!("m-{n:04} {step}")).collect()
}

#[test]
fn what_waits_is_delivered_in_the_order_of_change_times() {
    let bus = Session::new();
    // Against the order of the names; more than one batch would be too slow to write with a time of its own for each.
    let mut files = numbered(60, "bob");
    for (n, file) in files.iter_mut().enumerate() {
        file.0 = format!("{:04}.json", 9999 - n);
    }
    bus.know(&["bob"]).write_in_order(files).once();
    assert_eq!(bus.steps(&["delivered"]), expected(60, "delivered"));
}

#[test]
fn ascending_names_are_delivered_in_their_order_also_over_many_batches() {
    let bus = Session::new();
    bus.know(&["bob"]);
    for (name, text) in numbered(1000, "bob") {
        bus.drop(&name, text);
    }
    bus.once();
    assert_eq!(bus.steps(&["delivered"]), expected(1000, "delivered"));
}

#[test]
fn ascending_names_are_delivered_in_their_order_while_they_come() {
    let bus = Session::new();
    bus.know(&["bob"]);
    let service = bus.serve();
    for (name, text) in numbered(1000, "bob") {
        bus.drop(&name, text);
    }
    bus.until("all delivered", |bus| bus.ls("inbox/bob").len() == 1000);
    service.stop();
    assert_eq!(bus.steps(&["delivered"]), expected(1000, "delivered"));
}

#[test]
fn handlers_are_first_started_in_order_also_of_what_waits_in_the_drop_for_a_busy_lane() {
    let bus = Session::with("[extension.ext]\nconcurrency = 1");
    bus.install("ext", &[echoing()]);
    for (name, text) in numbered(150, "ext") {
        bus.drop(&name, text);
    }
    bus.once();
    assert_eq!(bus.steps(&["called"]), expected(150, "called"));
    assert_eq!(bus.ls("inbox/alice").len(), 150);
}

#[test]
fn higher_priority_goes_first_among_what_waits() {
    let bus = Session::new();
    bus.know(&["bob"]).install("ext", &[echoing()]);
    for (n, priority) in [4, 0, 9, 5, 4, 9, 1].into_iter().enumerate() {
        for recipient in ["bob", "ext"] {
            let id = format!("{recipient}-{n}");
            let text = message_with(&format!("\"priority\":{priority}"), &id, "alice", recipient, "note", "1");
            bus.drop(&format!("{id}.json"), text);
        }
    }
    // The default is 4.
    bus.drop("bob-7.json", message("bob-7", "alice", "bob", "note", "1")).once();
    let order = |step: &str, recipient: &str| {
        let mut told = String::new();
        for step in bus.steps(&[step]) {
            if let Some(number) = step.split(' ').next().unwrap().strip_prefix(recipient) {
                write!(told, "{number} ").unwrap();
            }
        }
        told
    };
    assert_eq!(order("delivered", "bob-"), "2 5 3 0 4 7 6 1 ");
    assert_eq!(order("called", "ext-"), "2 5 3 0 4 6 1 ");
}

#[test]
fn an_urgent_message_does_not_wait_behind_a_backlog() {
    let bus = Session::new();
    bus.know(&["bob"]);
    bus.drop("000.json", message_with(r#""priority":1"#, "late", "alice", "bob", "note", "1"));
    for n in 1..=900 {
        bus.drop(&format!("{n:03}.json"), message(&format!("m-{n:03}"), "alice", "bob", "note", "1"));
    }
    bus.drop("901.json", message_with(r#""priority":9"#, "urgent", "alice", "bob", "note", "1")).once();
    let told = bus.steps(&["delivered"]);
    let of_others: Vec<&String> = told.iter().filter(|step| step.starts_with("m-")).collect();
    assert_eq!(told.first().map(String::as_str), Some("urgent delivered"));
    assert_eq!(told.last().map(String::as_str), Some("late delivered"));
    assert_eq!(of_others.len(), 900);
    assert!(of_others.is_sorted(), "the others keep their order");
}

#[test]
fn an_urgent_message_may_be_large() {
    let bus = Session::new();
    bus.know(&["bob"]);
    for n in 1..=600 {
        bus.drop(&format!("{n:03}.json"), message(&format!("m-{n:03}"), "alice", "bob", "note", "1"));
    }
    let long = format!("\"{}\"", "x".repeat(100_000));
    bus.drop("901.json", message_with(r#""priority":9"#, "large", "alice", "bob", "note", &long));
    bus.drop("902.json", message_with(r#""priority":9"#, "small", "alice", "bob", "note", "1")).once();
    assert_eq!(bus.steps(&["delivered"])[..3], ["large delivered", "small delivered", "m-001 delivered"]);
}

#[test]
fn one_that_waits_for_its_time_lets_later_ones_pass() {
    let bus = Session::new();
    let later = message_with(r#""notBefore":4102444800000"#, "m-1", "alice", "bob", "note", "1");
    bus.know(&["bob"]).drop("1.json", later).drop("2.json", message("m-2", "alice", "bob", "note", "2")).once();
    insta::assert_snapshot!(bus.tree(), @"
    archive/DAY/HH/T2~m-2.json
    deferred/DUE.1.T1~1.json
    inbox/bob/
    inbox/bob/m-2.json
    ");
}

/// 50 ms each, 8 at a time: more than six seconds of waiting for all of them, in which nobody else waits.
#[test]
fn a_thousand_messages_to_a_slow_extension_delay_nobody_else() {
    const SLEEP: Function = Function { name: "sleep-ms", parameters: &["u32"], result: None };
    let bus = Session::with("[extensions]\nconcurrency = 8\n");
    let slow = handler("(call $sleep-ms (i32.const 50)) (call $reply_number (i32.const 1))");
    bus.install("slow", &[slow.importing("postroom:extension/clock@1.0.0", &[SLEEP])]).install("quick", &[echoing()]);
    bus.know(&["bob"]);
    for number in 0..1_000 {
        bus.drop(&format!("{number:04}.json"), message(&format!("s-{number}"), "alice", "slow", "wait", "1"));
    }
    let _serving = bus.serve();
    bus.until("as many as may are at work", |bus| bus.steps(&["called"]).len() >= 8);
    bus.drop("q-1.json", message("q-1", "carol", "quick", "do", "1"));
    bus.drop("q-2.json", echo("q-2", "carol", "1"));
    bus.drop("q-3.json", message("q-3", "carol", "bob", "note", "1"));
    bus.until("the others have theirs", |bus| {
        bus.exists("inbox/carol/q-1.reply.json")
            && bus.exists("inbox/carol/q-2.reply.json")
            && bus.exists("inbox/bob/q-3.json")
    });
    let answered = bus.ls("inbox/alice").len();
    assert!(answered < 1_000, "the slow ones were all handled before");
    bus.until("the slow ones go on", |bus| bus.ls("inbox/alice").len() > answered + 16);
}
