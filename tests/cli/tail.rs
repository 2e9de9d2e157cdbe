//! `tail`: the journal as it grows, and what was there before.

use serde_json::Value;

use super::runner::{Bus, finish, lines, message, next_with, wait_for};

#[test]
fn tail_follows_the_journal() {
    let bus = Bus::new();
    let service = bus.serve();
    let mut tail = bus.start(&["tail", "--json"]);
    let seen = lines(tail.stdout.take().expect("a pipe"));
    bus.run(&["call", "--to", "postroom", "--action", "mcp.core.ping", "--id", "seen-live"]).ok();
    let line: Value = serde_json::from_str(&next_with(&seen, "\"finished\"")).expect("JSON");
    assert_eq!((line["id"].as_str(), line["v"].as_u64()), (Some("seen-live"), Some(1)));
    tail.kill().expect("killed");
    tail.wait().expect("ended");
    let text = bus.run(&["tail", "--no-follow", "-n", "2"]).ok().out;
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.contains("finished") && text.contains("seen-live"), "{text}");
    service.stop();
}

/// However far back they are: nothing between the first and the last line is left out.
#[test]
fn tail_begins_as_far_back_as_asked() {
    let bus = Bus::new();
    bus.drop_text("a.json", &message("a", "postroom"));
    bus.run(&["serve", "--once"]).ok();
    let today = bus.names("archive").pop().expect("a day");
    let write = |day: &str, ids: std::ops::Range<u32>| {
        let lines = ids.map(|n| {
            format!(r#"{{"v":1,"step":"accepted","at":1763683200000,"ticket":"t","attempt":1,"term":1,"instance":"i","n":{n},"id":"m{n}"}}"#) + "\n"
        });
        std::fs::create_dir_all(bus.path("archive").join(day)).expect("made");
        std::fs::write(bus.path("archive").join(day).join("journal.jsonl"), lines.collect::<String>())
            .expect("written");
    };
    write("2020-01-01", 0..10);
    write("2020-01-02", 10..20);
    write(&today, 20..15_000);
    for wanted in [0, 1, 14_000, 14_980, 14_981, 14_995, 15_000, 20_000] {
        let shown = bus.run(&["tail", "--no-follow", "--json", "-n", &wanted.to_string()]).ok().out;
        let ids: Vec<u64> = shown
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["n"].as_u64().expect("a number"))
            .collect();
        assert!(ids.iter().copied().eq(15_000 - wanted.min(15_000)..15_000), "{wanted}: {} lines", ids.len());
    }
    // Before a packed day there is nothing that would belong in front of today.
    std::fs::write(bus.path("archive/2020-01-03.jsonl.zst"), "").expect("written");
    assert_eq!(bus.run(&["tail", "--no-follow", "-n", "20000"]).ok().out.lines().count(), 14_980);
    // One that is being packed is still there.
    std::fs::rename(bus.path("archive/2020-01-03.jsonl.zst"), bus.path("archive/2020-01-02.jsonl.zst"))
        .expect("renamed");
    assert_eq!(bus.run(&["tail", "--no-follow", "-n", "20000"]).ok().out.lines().count(), 15_000);
}

#[test]
fn tail_ends_when_the_bus_goes() {
    for is_removed in [false, true] {
        let bus = Bus::new();
        bus.drop_text("a.json", &message("a", "postroom"));
        bus.run(&["serve", "--once"]).ok();
        let mut tail = bus.start(&["tail"]);
        let seen = lines(tail.stdout.take().expect("a pipe"));
        next_with(&seen, "finished");
        match is_removed {
            true => std::fs::remove_dir_all(bus.path("")).expect("removed"),
            false => std::fs::rename(bus.path(""), bus.workspace().join("elsewhere")).expect("moved"),
        }
        wait_for("its end", || tail.try_wait().expect("asked"));
        let ran = finish(tail).fails_with(3);
        assert!(ran.err.contains("was moved or removed"), "{ran:?}");
    }
}
