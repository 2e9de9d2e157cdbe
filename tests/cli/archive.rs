//! Old days of the archive: packed one after the other whatever somebody has put among them, and nothing of them lost.

use std::io::Read as _;

use serde_json::json;

use super::runner::{Bus, wait_for};

const TICKET: &str = "0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11";

/// The day so many days ago, as its folder is named.
fn day(ago: i64) -> String {
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    now.checked_sub(jiff::Span::new().days(ago)).expect("a day").to_string()
}

/// A line of a journal that tells the end of a message.
fn line(id: &str, day: &str) -> String {
    let now_at = format!("archive/{day}/13/{TICKET}~{id}.json");
    format!(
        r#"{{"v":1,"step":"finished","at":1730000000000,"ticket":"{TICKET}","attempt":1,"term":1,"instance":"i","n":1,"id":"{id}","nowAt":"{now_at}"}}"#
    )
}

/// A day on which one message with this id was handled.
fn archived(bus: &Bus, id: &str, day: &str) {
    let hour = bus.path("archive").join(day).join("13");
    std::fs::create_dir_all(&hour).expect("made");
    std::fs::write(hour.join(format!("{TICKET}~{id}.json")), "{}").expect("written");
    std::fs::write(bus.path(&format!("archive/{day}/journal.jsonl")), line(id, day) + "\n").expect("written");
}

/// The bus was used yesterday and the day before: where it was not for long, a service does not trust the date.
fn used() -> Bus {
    let bus = Bus::new();
    archived(&bus, "yesterday", &day(1));
    archived(&bus, "before", &day(2));
    bus
}

/// What is in the archive beside these two days.
fn days(bus: &Bus) -> Vec<String> {
    bus.names("archive").into_iter().filter(|name| ![day(1), day(2)].contains(name)).collect()
}

fn unpacked(bus: &Bus, name: &str) -> String {
    let file = std::fs::File::open(bus.path("archive").join(name)).expect("open");
    let mut text = String::new();
    zstd::Decoder::new(file).expect("packed").read_to_string(&mut text).expect("read");
    text
}

#[track_caller]
fn is_told(bus: &Bus, id: &str) {
    let story = bus.run(&["trace", id, "--json"]).ok().json()["messages"][0].clone();
    assert_eq!(story["steps"][0]["step"], "finished", "{story}");
}

#[test]
fn a_day_whose_journal_is_no_file_holds_up_no_other() {
    let bus = used();
    let (bad, good) = (day(10), day(9));
    std::fs::create_dir_all(bus.path(&format!("archive/{bad}/journal.jsonl"))).expect("made");
    archived(&bus, "good", &good);
    is_told(&bus, "good");
    bus.run(&["tail", "--no-follow"]).ok();
    let service = bus.serve();
    let packed = format!("{good}.jsonl.zst");
    wait_for("the good day", || (days(&bus) == [bad.clone(), packed.clone()]).then_some(()));
    service.stop();
    is_told(&bus, "good");
    let report = bus.run(&["doctor", "--json"]).json();
    let found = report["findings"].as_array().expect("a list").iter().find(|it| it["check"] == "closed-day");
    let what = found.expect("a finding")["what"].as_str().expect("a text").to_owned();
    assert!(
        what.contains(&format!("1 day of the archive cannot be read or packed: archive/{bad}/journal.jsonl")),
        "{what}"
    );
    // Once it is out of the way, the day is packed as well.
    std::fs::remove_dir(bus.path(&format!("archive/{bad}/journal.jsonl"))).expect("removed");
    let service = bus.serve();
    wait_for("the other day", || days(&bus).contains(&format!("{bad}.jsonl.zst")).then_some(()));
    service.stop();
}

#[test]
fn a_packed_day_that_is_damaged_takes_nothing_from_the_others() {
    let bus = used();
    let (old, damaged) = (day(9), day(10));
    archived(&bus, "good", &old);
    archived(&bus, "lost", &damaged);
    let service = bus.serve();
    let packed = [format!("{damaged}.jsonl.zst"), format!("{old}.jsonl.zst")];
    wait_for("both days", || (days(&bus) == packed).then_some(()));
    service.stop();
    let path = bus.path("archive").join(&packed[0]);
    let bytes = std::fs::read(&path).expect("read");
    std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("written");
    let told = bus.run(&["trace", "good"]);
    assert_eq!(told.code, 0, "{told:?}");
    let missing = format!("what happened on {damaged} may be missing here: cannot read all of {}", path.display());
    assert!(told.err.contains(&missing) && told.out.contains("finished"), "{told:?}");
    bus.run(&["trace", "lost"]).fails_with(6);
}

/// A service whose clock was far ahead for a while has filed something there.
#[test]
fn a_day_that_is_yet_to_come_is_named_by_the_doctor() {
    let bus = used();
    archived(&bus, "early", &day(-400));
    let report = bus.run(&["doctor", "--json"]).json();
    let found = report["findings"].as_array().expect("a list").iter().find(|it| it["check"] == "coming-day");
    let what = found.expect("a finding")["what"].as_str().expect("a text");
    assert_eq!(what, format!("archive/ has 1 day that is yet to come: {}", day(-400)));
}

/// Today's journal cannot be written then, but who looks at the bus sees the rest of it.
#[test]
fn todays_journal_that_is_no_file_does_not_blind_anybody() {
    let bus = Bus::new();
    archived(&bus, "good", &day(1));
    std::fs::create_dir_all(bus.path(&format!("archive/{}/journal.jsonl", day(0)))).expect("made");
    is_told(&bus, "good");
    bus.run(&["status"]).ok();
    assert!(bus.run(&["tail", "--no-follow"]).ok().out.contains("good"));
}

#[test]
fn a_folder_named_like_a_packed_day_is_in_nobodys_way() {
    let bus = used();
    let old = day(9);
    archived(&bus, "good", &old);
    let folder = format!("{old}.jsonl.zst");
    std::fs::create_dir(bus.path("archive").join(&folder)).expect("made");
    is_told(&bus, "good");
    let service = bus.serve();
    let packed = format!("{old}~2.jsonl.zst");
    wait_for("the day", || (days(&bus) == [folder.clone(), packed.clone()]).then_some(()));
    service.stop();
    is_told(&bus, "good");
    let doctor = bus.run(&["doctor"]).out;
    assert!(doctor.contains(&format!("archive/ has 1 file that does not belong there: {folder}")), "{doctor}");
}

/// What somebody else has put among the messages of an hour is moved aside and not packed, and the day goes.
#[test]
fn what_is_no_message_is_not_packed() {
    let bus = used();
    let old = day(9);
    archived(&bus, "good", &old);
    let hour = bus.path(&format!("archive/{old}/13"));
    std::fs::create_dir(hour.join("mine")).expect("made");
    std::fs::write(hour.join("mine/notes.txt"), "mine").expect("written");
    std::os::unix::fs::symlink("/etc/hostname", hour.join("link.json")).expect("linked");
    let service = bus.serve();
    let packed = format!("{old}.jsonl.zst");
    wait_for("the day", || (days(&bus) == [packed.clone()]).then_some(()));
    service.stop();
    let told = format!(r#"{{"v":1,"step":"file","name":"13/{TICKET}~good.json","text":"{{}}"}}"#);
    assert_eq!(unpacked(&bus, &packed).lines().collect::<Vec<_>>(), [line("good", &old), told]);
    let found: Vec<_> = bus.names(".postroom").into_iter().filter(|name| name.starts_with("found-")).collect();
    let notes = found
        .iter()
        .filter_map(|name| std::fs::read_to_string(bus.path(".postroom").join(name).join("notes.txt")).ok());
    assert_eq!((found.len(), notes.collect::<Vec<_>>()), (2, vec!["mine".to_owned()]), "{found:?}");
}

/// A service was killed when it had taken a packed day's folder, before it had seen whether anything had come into it meanwhile.
#[test]
fn a_day_that_was_taken_and_not_yet_removed_comes_back() {
    let bus = Bus::new();
    let (whole, again) = (day(3), day(2));
    archived(&bus, "whole", &whole);
    archived(&bus, "again", &again);
    let service = bus.serve();
    let term = &bus.names("processing")[0];
    let room = format!("processing/{term}/{}", bus.names(&format!("processing/{term}"))[0]);
    service.signal(libc::SIGKILL);
    service.ended();
    for day in [&whole, &again] {
        let (archived, taken) = (bus.path("archive").join(day), bus.path(&room).join(format!("packed-{day}")));
        std::fs::rename(archived, taken).expect("renamed");
    }
    // The other day has a folder again by now, with another message in the same hour.
    let hour = bus.path(&format!("archive/{again}/13"));
    std::fs::create_dir_all(&hour).expect("made");
    std::fs::write(hour.join(format!("{TICKET}~late.json")), "{}").expect("written");
    bus.run(&["serve", "--once"]).ok();
    is_told(&bus, "whole");
    is_told(&bus, "again");
    assert_eq!(bus.names(&format!("archive/{whole}/13")), [format!("{TICKET}~whole.json")]);
    let both = [format!("{TICKET}~again.json"), format!("{TICKET}~late.json")];
    assert_eq!(bus.names(&format!("archive/{again}/13")), both);
    assert!(bus.names(".postroom").iter().all(|name| !name.starts_with("found-")), "nothing is left over");
    assert_eq!(bus.names("processing"), [""; 0]);
    assert_eq!(bus.run(&["list", "archive", "--json"]).ok().json()["states"][0]["total"], json!(3));
}
