//! Sections 8 to 10: what is written down about each message, how long that is kept, and the settings.

use std::fs;
use std::io::Read as _;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::guests::failing_before;
use crate::mock::{described, replying};
use crate::session::{Session, echo, message, message_with, string};

/// One message of each fate.
fn busy() -> Session {
    let bus = Session::new();
    bus.know(&["bob"]).install("ext", &[replying("3"), described("1.4.0", "math.add", "math")]);
    bus.install("flaky", &[failing_before(2)]);
    bus.drop("1.json", echo("echo", "alice", r#"[1.0, "\u0041"]"#));
    bus.drop("2.json", message("note", "alice", "bob", "note", "1"));
    bus.drop("3.json", message("sum", "alice", "ext", "math.add", "1"));
    bus.drop("4.json", message("both", "alice", r#"["bob","ext"]"#, "math.add", "1"));
    bus.drop("5.json", message("lost", "alice", "nobody", "note", "1"));
    bus.drop("6.json", "nonsense").drop("7.json", message("slow", "alice", "flaky", "do", "1"));
    bus.drop("8.json", message_with(r#""notBefore":4102444800000"#, "later", "alice", "bob", "note", "1"));
    let service = bus.serve();
    bus.until("the slowest", |bus| bus.exists("inbox/alice/slow.reply.json") && bus.dead().len() == 2);
    bus.drop("9.json", message("note", "alice", "bob", "note", "1"));
    bus.until("the duplicate", |bus| !bus.steps(&["duplicate"]).is_empty());
    service.stop();
    bus
}

fn told(bus: &Session, id: &str) -> String {
    let lines = bus.journal();
    let own = lines.iter().filter(|line| line["id"] == id);
    let step = |line: &Value| {
        let part = string(line, "ticket").split_once('.').map(|(_, part)| format!(".{part}")).unwrap_or_default();
        format!("{}{part}", string(line, "step"))
    };
    own.map(step).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_journal_has_a_line_for_every_step() {
    let bus = busy();
    let all = ["echo", "note", "sum", "both", "lost", "slow", "later"].map(|id| format!("{id}: {}", told(&bus, id)));
    assert_snapshot!(all.join("\n"), @"
    echo: accepted called replied finished
    note: accepted delivered finished accepted duplicate finished
    sum: accepted called replied finished
    both: accepted split finished called.2 delivered.1 finished.1 replied.2 finished.2
    lost: accepted dead finished
    slow: accepted called deferred called replied finished
    later: accepted deferred
    ");
    let lines = bus.journal();
    let nonsense: Vec<&Value> = lines.iter().filter(|line| line["code"] == "malformed-json").collect();
    assert_eq!(nonsense.iter().map(|line| string(line, "step")).collect::<Vec<_>>(), ["dead", "finished"]);
    for (n, line) in lines.iter().enumerate() {
        assert_eq!((&line["v"], &line["term"], &line["n"]), (&json!(1), &json!(1), &json!(n + 1)), "{line}");
        assert!(line["at"].is_u64() && line["attempt"].is_u64() && line["instance"].is_string(), "{line}");
        assert_eq!(string(line, "ticket").len().min(36), 36);
        // Whoever watches the journal grow sees in each line which message it is about.
        if line["id"] != Value::Null {
            for field in ["sender", "recipient", "action"] {
                assert!(line[field].is_string(), "{field} is missing in {line}");
            }
        }
    }
}

#[test]
fn who_handled_it_and_how_long_it_took() {
    let bus = busy();
    let lines = bus.journal();
    let finished = |id: &str| lines.iter().rfind(|line| line["step"] == "finished" && line["id"] == id).unwrap();
    assert_eq!((&finished("echo")["by"], finished("echo")["tookUs"].is_u64()), (&json!("postroom"), true));
    let by = string(finished("sum"), "by");
    assert!(by.starts_with("ext 1.4.0 sha256:") && by.len() == 17 + 64, "{by}");
    assert_eq!(lines.iter().find(|line| line["step"] == "delivered").unwrap()["by"], "bob");
    assert_eq!(finished("slow")["attempt"], 2);
    assert_eq!(finished("slow")["earlier"][0]["attempt"], 1);
}

#[test]
fn the_finished_line_tells_every_effect_verbatim() {
    let bus = busy();
    let lines = bus.journal();
    let mut compared = 0;
    for line in lines.iter().filter(|line| line["step"] == "finished") {
        let archived = bus.text(string(line, "nowAt"));
        for effect in line["effects"].as_array().unwrap() {
            let to = string(effect, "to");
            if to.starts_with("processing") || !bus.exists(&to) {
                continue;
            }
            let pieces = effect["pieces"].as_array().unwrap().iter().map(|piece| match piece {
                Value::String(text) => text.clone(),
                range => {
                    let (start, len) =
                        (range["start"].as_u64().unwrap() as usize, range["len"].as_u64().unwrap() as usize);
                    archived[start..start + len].to_owned()
                }
            });
            assert_eq!(pieces.collect::<String>(), bus.text(&to), "{to}");
            compared += 1;
        }
    }
    // Four answers, two deliveries, an answer and a delivery of the two, an error reply, two reasons.
    assert_eq!(compared, bus.ls("inbox/alice").len() + bus.ls("inbox/bob").len() + 2);
}

#[test]
fn the_archive_has_the_messages_as_they_came() {
    let bus = busy();
    assert_snapshot!(bus.tree(), @"
    archive/DAY/HH/T1~echo.json
    archive/DAY/HH/T2~note.json
    archive/DAY/HH/T3~sum.json
    archive/DAY/HH/T4.1~both.json
    archive/DAY/HH/T4.2~both.json
    archive/DAY/HH/T4~both.json
    archive/DAY/HH/T6~slow.json
    archive/DAY/HH/T9~note.json
    dead-letter/T5~5.json
    dead-letter/T5~5.why.json
    dead-letter/T8~6.json
    dead-letter/T8~6.why.json
    deferred/DUE.1.T7~8.json
    inbox/alice/
    inbox/alice/both~ext.reply.json
    inbox/alice/echo.reply.json
    inbox/alice/lost.reply.json
    inbox/alice/slow.reply.json
    inbox/alice/sum.reply.json
    inbox/bob/
    inbox/bob/both.json
    inbox/bob/note.json
    ");
    for path in bus.archived() {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.ends_with("~echo.json") {
            assert_eq!(fs::read_to_string(&path).unwrap(), echo("echo", "alice", r#"[1.0, "\u0041"]"#));
        }
    }
}

#[test]
fn a_line_that_a_crash_left_torn_stands_alone() {
    let bus = Session::new();
    bus.drop("1.json", echo("m-1", "alice", "1")).once();
    let journal =
        crate::support::workspace::below(&bus.path("archive")).into_iter().find(|path| path.ends_with("journal.jsonl"));
    let journal = journal.unwrap();
    let text = fs::read_to_string(&journal).unwrap();
    fs::write(&journal, format!("{text}{{\"v\":1,\"step\":\"acc")).unwrap();
    bus.drop("2.json", echo("m-2", "alice", "1")).once();
    let lines = fs::read_to_string(&journal).unwrap();
    let whole: Vec<&str> = lines.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).collect();
    assert_eq!((whole.len(), lines.lines().count()), (8, 9));
}

#[test]
fn a_reason_says_what_is_known_and_no_more() {
    let bus = Session::new();
    bus.drop("a.json", "nonsense").drop("b.json", r#"{"id":"m-1","sender":"alice","recipient":"bob"}"#).once();
    let mut whys = bus.whys();
    whys.sort_by_key(|why| string(why, "droppedAs"));
    for why in &mut whys {
        assert!(why["at"].take().is_u64() && why["message"].take().is_string() && why["hint"].take().is_string());
    }
    let (message, hint, at) = (Value::Null, Value::Null, Value::Null);
    assert_eq!(
        whys[0],
        json!({
            "code": "malformed-json", "message": message, "hint": hint, "at": at, "attempts": 1, "droppedAs": "a.json"
        })
    );
    assert_eq!(
        whys[1],
        json!({
            "code": "invalid-message", "message": message, "hint": hint, "at": at, "attempts": 1, "droppedAs": "b.json",
            "id": "m-1", "sender": "alice", "recipient": "bob"
        })
    );
    // Its sender is not known, so nobody is told.
    assert_eq!(bus.ls("inbox"), [""; 0]);
}

#[test]
fn a_refused_text_is_answered_where_its_sender_is_known() {
    let bus = Session::new();
    let text = |id: &str, more: &str| format!(r#"{{"id":"{id}","sender":"alice","recipient":"bob"{more}}}"#);
    bus.know(&["alice"]).drop("1.json", text("m-1", "")).drop("2.json", text("m-2", r#","payload":{"a":1,"a":2}"#));
    // Which of two equal fields counts, nobody knows, so nothing can be read of that one; and a reply is not answered.
    bus.drop("3.json", text("m-3", r#","action":"x","action":"y""#))
        .drop("4.json", text("m-4", r#","inReplyTo":7"#))
        .drop("5.json", format!("\u{feff}{}", text("m-5", r#","action":"x""#)))
        .once();
    assert_eq!(bus.ls("inbox/alice"), ["m-1.reply.json", "m-2.reply.json", "m-5.reply.json"]);
    assert_eq!(bus.json("inbox/alice/m-1.reply.json")["error"]["code"], "invalid-message");
    assert_eq!(bus.json("inbox/alice/m-2.reply.json")["error"]["code"], "malformed-json");
    assert_eq!(bus.dead().len(), 5);
}

/// The day so many days ago, as its folder is named.
fn day(ago: i64) -> String {
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    now.checked_sub(jiff::Span::new().days(ago)).unwrap().to_string()
}

#[test]
fn old_days_are_packed_and_older_ones_removed() {
    let bus = Session::with("[retention]\npack_days = 7\nremove_days = 90");
    for ago in [6, 8] {
        let folder = bus.path("archive").join(day(ago));
        fs::create_dir_all(folder.join("13")).unwrap();
        fs::write(folder.join("journal.jsonl"), "{\"v\":1,\"step\":\"accepted\"}\n{\"v\":1,\"step\":\"fin").unwrap();
        fs::write(folder.join("13/0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11~m-1.json"), "{\"n\":1.0}").unwrap();
    }
    for ago in [89, 91] {
        bus.write(format!("archive/{}.jsonl.zst", day(ago)), "packed long ago");
    }
    fs::create_dir(bus.path("archive/my-notes")).unwrap();
    bus.write(format!("archive/{}/notes.txt", day(8)), "mine");
    let service = bus.serve();
    let packed = format!("archive/{}.jsonl.zst", day(8));
    bus.until("packed", |bus| bus.exists(&packed) && !bus.exists(format!("archive/{}", day(8))));
    bus.until("removed", |bus| !bus.exists(format!("archive/{}.jsonl.zst", day(91))));
    service.stop();
    assert!(bus.exists(format!("archive/{}.jsonl.zst", day(89))) && bus.exists("archive/my-notes"));
    assert!(bus.exists(format!("archive/{}/13", day(6))));
    // What the packed file does not have is not removed with the folder.
    let private = fs::read_dir(bus.path(".postroom")).unwrap().map(|entry| entry.unwrap().path());
    let found: Vec<_> = private.filter(|path| path.to_string_lossy().contains("/found-")).collect();
    assert_eq!(found.iter().map(|path| fs::read_to_string(path).unwrap()).collect::<Vec<_>>(), ["mine"]);
    let mut text = String::new();
    zstd::Decoder::new(fs::File::open(bus.path(packed)).unwrap()).unwrap().read_to_string(&mut text).unwrap();
    assert_snapshot!(text, @r#"
    {"v":1,"step":"accepted"}
    {"v":1,"step":"fin
    {"v":1,"step":"file","name":"13/0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11~m-1.json","text":"{\"n\":1.0}"}
    "#);
    assert_eq!(bus.ls("processing"), [""; 0]);
}

/// From it the ids of that day would be made anew, and earlier attempts told.
#[test]
fn a_journal_that_is_no_file_tells_nothing_and_stops_nobody() {
    let bus = Session::new();
    fs::create_dir_all(bus.path("archive").join(day(1)).join("journal.jsonl")).unwrap();
    bus.drop("1.json", echo("m-1", "alice", "1")).once();
    assert!(bus.exists("inbox/alice/m-1.reply.json"));
}

#[test]
fn with_zero_days_everything_is_kept() {
    let bus = Session::with("[retention]\npack_days = 0\nremove_days = 0");
    let kept = [format!("archive/{}.jsonl.zst", day(4000)), format!("archive/{}/journal.jsonl", day(1))];
    fs::create_dir_all(bus.path(&kept[1]).parent().unwrap()).unwrap();
    for path in &kept {
        bus.write(path, "");
    }
    bus.once();
    assert!(kept.iter().all(|path| bus.exists(path)), "{}", bus.tree());
}

/// The clock may have been set wrong: nothing else says that it is so late.
#[test]
fn what_is_old_only_by_a_date_out_of_the_blue_is_kept() {
    let bus = Session::new();
    let old = format!("archive/{}.jsonl.zst", day(400));
    bus.write(&old, "").once();
    assert!(bus.exists(&old));
    // One day alone may have been made by the same wrong clock.
    bus.write(format!("archive/{}.jsonl.zst", day(6)), "").once();
    assert!(bus.exists(&old));
    // The bus was in use until some days ago: then the date is right.
    bus.write(format!("archive/{}.jsonl.zst", day(9)), "").once();
    assert!(!bus.exists(&old));
}

#[test]
fn wrong_settings_are_refused_with_the_nearest_known_key() {
    let bus = Session::new();
    for (text, said) in [
        ("[bus]\ndurabilty = \"full\"", "did you mean \"durability\"?"),
        ("[limit]\nagents = 1", "did you mean \"limits\"?"),
        ("[bus]\ngrace_ms = \"5s\"", "grace_ms"),
        ("[retry]\nattempts = 0", "retry.attempts"),
        ("[bus]\ndedup_days = 0", "bus.dedup_days"),
        ("[bus", "TOML"),
    ] {
        fs::write(bus.beside("postroom.toml"), text).unwrap();
        let output = bus.run(&["serve", "--once"]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(9), "{text}: {stderr}");
        assert!(stderr.contains(said) && stderr.contains("postroom.toml"), "{text}: {stderr}");
    }
    // Every key is optional, and so is the file.
    fs::remove_file(bus.beside("postroom.toml")).unwrap();
    bus.drop("a.json", echo("m-1", "alice", "1")).once();
    assert!(bus.exists("inbox/alice/m-1.reply.json"));
}

#[test]
fn init_writes_the_settings_with_their_defaults_and_keeps_what_is_there() {
    let bus = Session::new();
    let own = fs::read_to_string(bus.beside("postroom.toml")).unwrap();
    assert!(bus.run(&["init"]).status.success());
    assert_eq!(fs::read_to_string(bus.beside("postroom.toml")).unwrap(), own);
    fs::remove_file(bus.beside("postroom.toml")).unwrap();
    assert!(bus.run(&["init"]).status.success());
    let written: toml::Table = fs::read_to_string(bus.beside("postroom.toml")).unwrap().parse().unwrap();
    let said = |table: &str, key: &str| written[table][key].as_integer();
    assert_eq!(written["bus"]["durability"].as_str(), Some("full"));
    let expected = [
        (("bus", "grace_ms"), 5000),
        (("bus", "rescan_ms"), 2000),
        (("bus", "look_ms"), 1000),
        (("bus", "lease_looks"), 10),
        (("bus", "max_message_bytes"), 16_777_216),
        (("bus", "dedup_days"), 7),
        (("retry", "attempts"), 5),
        (("retry", "first_ms"), 200),
        (("retry", "max_ms"), 30_000),
        (("retention", "pack_days"), 7),
        (("retention", "remove_days"), 90),
        (("limits", "per_sender_messages"), 200_000),
        (("limits", "per_sender_bytes"), 4_294_967_296),
        (("limits", "per_inbox_messages"), 200_000),
        (("limits", "bus_messages"), 1_000_000),
        (("limits", "agents"), 10_000),
        (("extensions", "deadline_ms"), 10_000),
        (("extensions", "memory_bytes"), 268_435_456),
    ];
    for ((table, key), value) in expected {
        assert_eq!(said(table, key), Some(value), "{table}.{key}");
    }
}
