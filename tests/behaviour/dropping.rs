//! Section 2: whatever way a file gets into the folder, and whatever it is.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::os::unix::net::UnixListener;

use insta::assert_snapshot;

use crate::session::{Serving, Session, echo, message, string};

#[test]
fn a_file_renamed_into_the_drop_is_answered() {
    let bus = Session::new();
    bus.drop("a.json", echo("a-1", "alice", r#"{"one":1.0}"#)).once();
    assert_snapshot!(bus.tree(), @"
    archive/DAY/HH/T1~a-1.json
    inbox/alice/
    inbox/alice/a-1.reply.json
    ");
    assert_eq!(bus.json("inbox/alice/a-1.reply.json")["payload"].to_string(), r#"{"one":1.0}"#);
}

/// Bursts make the service list the drop in place of watching it. It must watch again before it waits: a debug build checks that.
#[test]
fn what_is_dropped_after_a_burst_is_seen_without_a_rescan() {
    let bus = Session::with("[bus]\nrescan_ms = 600000\n[limits]\nper_sender_messages = 0");
    let service = bus.serve();
    for burst in 0..6 {
        for n in 0..400 {
            bus.drop(&format!("{burst}-{n:03}.json"), echo(&format!("e-{burst}-{n:03}"), "alice", "1"));
        }
        bus.until("every answer", |bus| bus.ls("inbox/alice").len() == 400 * (burst + 1));
    }
    assert!(service.stop().contains("stopped"));
}

#[test]
fn a_plain_write_in_place_is_answered() {
    let bus = Session::new();
    let service = bus.serve();
    bus.write("a.json", echo("a-1", "alice", "1"));
    bus.until("the answer", |bus| bus.exists("inbox/alice/a-1.reply.json"));
    service.stop();
    assert_snapshot!(bus.tree(), @"
    archive/DAY/HH/T1~a-1.json
    inbox/alice/
    inbox/alice/a-1.reply.json
    ");
}

#[test]
fn a_file_is_not_taken_while_its_writer_has_it_open() {
    let bus = Session::new();
    let service = bus.serve();
    // The whole message is there, but the writer has not closed it: he could go on.
    let mut slow = File::create(bus.path("slow.json")).unwrap();
    slow.write_all(echo("slow", "alice", "1").as_bytes()).unwrap();
    // So could he after far more than the grace time, in which others are given up and answered. No event tells of a new
    // name of an old file: only a scan finds it, and with it the slow one.
    bus.write("torn.json", "{").until("the torn one given up", |bus| bus.dead().len() == 1);
    for n in 0..3 {
        bus.write(".hidden", echo(&format!("scanned-{n}"), "alice", "2"));
        fs::hard_link(bus.path(".hidden"), bus.path("scanned.json")).unwrap();
        bus.remove(".hidden");
        bus.until("an answer", |bus| bus.exists(format!("inbox/alice/scanned-{n}.reply.json")));
    }
    assert!(bus.exists("slow.json") && !bus.exists("inbox/alice/slow.reply.json"));
    drop(slow);
    bus.until("its answer", |bus| bus.exists("inbox/alice/slow.reply.json"));
    service.stop();
    assert_eq!(bus.dead(), [("malformed-json".into(), "torn.json".into())]);
}

#[test]
fn a_writer_that_writes_half_and_comes_back_within_the_grace_time_is_answered_once() {
    let bus = Session::with("[bus]\ngrace_ms = 600000");
    let service = bus.serve();
    let text = echo("a-1", "alice", r#""a long one""#);
    let (half, rest) = text.split_at(40);
    bus.write("a.json", half);
    // A message dropped later is answered: the half was looked at before it.
    bus.drop("b.json", echo("b-1", "alice", "1"));
    bus.until("the other's answer", |bus| bus.exists("inbox/alice/b-1.reply.json"));
    let mut again = fs::OpenOptions::new().append(true).open(bus.path("a.json")).unwrap();
    again.write_all(rest.as_bytes()).unwrap();
    drop(again);
    bus.until("the answer", |bus| bus.exists("inbox/alice/a-1.reply.json"));
    service.stop();
    assert_snapshot!(bus.tree(), @"
    archive/DAY/HH/T1~b-1.json
    archive/DAY/HH/T2~a-1.json
    inbox/alice/
    inbox/alice/a-1.reply.json
    inbox/alice/b-1.reply.json
    ");
}

#[test]
fn a_half_written_and_abandoned_file_is_given_up_after_the_grace_time() {
    let bus = Session::with("[bus]\ngrace_ms = 30\nrescan_ms = 600000");
    let service = bus.serve();
    bus.write("half.json", &echo("a-1", "alice", "1")[..30]).write("empty.json", "");
    bus.until("both given up", |bus| bus.whys().len() == 2);
    service.stop();
    let mut dead = bus.dead();
    dead.sort();
    assert_eq!(dead, ["empty.json", "half.json"].map(|name| ("malformed-json".into(), name.into())));
}

#[test]
fn a_name_can_be_used_again() {
    let bus = Session::new();
    let service = bus.serve();
    for n in 0..20 {
        bus.drop("message.json", echo(&format!("a-{n}"), "alice", "1"));
        bus.until("taken", |bus| !bus.exists("message.json"));
    }
    bus.until("all answers", |bus| bus.ls("inbox/alice").len() == 20);
    service.stop();
    assert_eq!(bus.archived().len(), 20);
}

#[test]
fn who_renames_over_a_waiting_file_or_rewrites_it_replaces_that_message() {
    let bus = Session::new();
    bus.drop("a.json", echo("first", "alice", "1")).drop("a.json", echo("second", "alice", "2"));
    bus.drop("b.json", echo("third", "alice", "3")).write("b.json", echo("fourth", "alice", "4"));
    bus.once();
    assert_eq!(bus.ls("inbox/alice"), ["fourth.reply.json", "second.reply.json"]);
    assert_eq!(bus.archived().len(), 2);
}

#[test]
fn what_was_dropped_while_the_service_was_down_is_taken_oldest_first() {
    let bus = Session::new();
    bus.know(&["bob"]);
    let names = ["z", "m", "a", "q"];
    bus.write_in_order(names.map(|name| (format!("{name}.json"), message(name, "alice", "bob", "note", "1")))).once();
    assert_eq!(bus.steps(&["delivered"]), names.map(|name| format!("{name} delivered")));
}

#[test]
fn hidden_names_other_endings_and_folders_are_ignored() {
    let bus = Session::new();
    let text = echo("a-1", "alice", "1");
    for name in [".a.json", ".json", "a.txt", "a.json.tmp", "a.JSON", "json", "notes.md"] {
        bus.write(name, &text);
    }
    fs::create_dir(bus.path("folder.json")).unwrap();
    bus.write("folder.json/inside.json", &text).drop("b.json", echo("b-1", "alice", "1")).once();
    assert_snapshot!(bus.tree(), @"
    .a.json
    .json
    a.JSON
    a.json.tmp
    a.txt
    archive/DAY/HH/T1~b-1.json
    folder.json/inside.json
    inbox/alice/
    inbox/alice/b-1.reply.json
    json
    notes.md
    ");
}

#[test]
fn what_is_no_regular_file_is_moved_aside_as_it_is() {
    let bus = Session::new();
    let outside = bus.beside("outside.json");
    fs::write(&outside, echo("outside", "alice", "1")).unwrap();
    symlink(&outside, bus.path("link.json")).unwrap();
    symlink("nowhere", bus.path("dangling.json")).unwrap();
    symlink(bus.beside(""), bus.path("to-a-folder.json")).unwrap();
    make(&bus, "fifo.json", rustix::fs::FileType::Fifo, 0);
    // Long socket paths cannot be bound.
    let socket = UnixListener::bind(bus.beside("s")).unwrap();
    fs::rename(bus.beside("s"), bus.path("socket.json")).unwrap();
    let devices = make_devices(&bus);
    fs::hard_link(&outside, bus.path("second-name.json")).unwrap();
    bus.drop("good.json", echo("good", "alice", "1")).once();
    drop(socket);

    assert_eq!(bus.ls("inbox/alice"), ["good.reply.json"]);
    let mut dead = bus.dead();
    dead.sort();
    let mut names = vec!["dangling", "fifo", "link", "second-name", "socket", "to-a-folder"];
    names.extend(devices);
    names.sort_unstable();
    let expected: Vec<_> = names.iter().map(|name| ("not-a-regular-file".into(), format!("{name}.json"))).collect();
    assert_eq!(dead, expected);
    // As they are: the link is still the link, and what it points to was not touched.
    let letters: Vec<String> = bus.ls("dead-letter").into_iter().filter(|name| name.ends_with("~link.json")).collect();
    assert_eq!(fs::read_link(bus.path("dead-letter").join(&letters[0])).unwrap(), outside);
    assert_eq!(fs::read_to_string(&outside).unwrap(), echo("outside", "alice", "1"));
}

fn make(bus: &Session, name: &str, kind: rustix::fs::FileType, device: u64) -> bool {
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, bus.path(name), kind, mode, device).is_ok()
}

/// `/dev/zero` and a block device under names of messages, where the system lets one make them; elsewhere the FIFO and the
/// socket stand for everything that is no file.
fn make_devices(bus: &Session) -> Vec<&'static str> {
    let zero = rustix::fs::makedev(1, 5);
    let character = make(bus, "character.json", rustix::fs::FileType::CharacterDevice, zero);
    let block = make(bus, "block.json", rustix::fs::FileType::BlockDevice, rustix::fs::makedev(7, 200));
    [("character", character), ("block", block)].into_iter().filter(|(_, made)| *made).map(|(name, _)| name).collect()
}

#[test]
fn a_file_that_loses_its_other_name_within_the_grace_time_is_answered() {
    // `ln message.tmp a.json; rm message.tmp` is how some programs make a file without replacing.
    let bus = Session::with("[bus]\ngrace_ms = 600000");
    let service = bus.serve();
    bus.write("message.tmp", echo("a-1", "alice", "1"));
    fs::hard_link(bus.path("message.tmp"), bus.path("a.json")).unwrap();
    bus.drop("b.json", echo("b-1", "alice", "1"));
    bus.until("the other's answer", |bus| bus.exists("inbox/alice/b-1.reply.json"));
    assert!(bus.exists("a.json"));
    bus.remove("message.tmp");
    bus.until("the answer", |bus| bus.exists("inbox/alice/a-1.reply.json"));
    service.stop();
    assert_eq!(bus.dead(), []);
}

#[test]
fn files_over_the_limit_are_refused_unread() {
    let bus = Session::with("[bus]\nmax_message_bytes = 1000");
    let padded = |length: usize| {
        let text = echo("a", "alice", "1");
        text.clone() + &" ".repeat(length - text.len())
    };
    bus.drop("fits.json", padded(1000)).drop("over.json", padded(1001));
    // 4 TiB, of which not one block is there.
    File::create(bus.path("sparse.json")).unwrap().set_len(1 << 42).unwrap();
    bus.once();
    assert_eq!(bus.ls("inbox/alice"), ["a.reply.json"]);
    let mut dead = bus.dead();
    dead.sort();
    assert_eq!(dead, ["over.json", "sparse.json"].map(|name| ("too-large".into(), name.into())));
    let mut says: Vec<String> = bus.whys().iter().map(|why| string(why, "message")).collect();
    says.sort();
    let sizes = ["1001", "4398046511104"];
    assert_eq!(says, sizes.map(|size| format!("the file has {size} bytes; bus.max_message_bytes allows 1000")));
}

#[test]
fn a_file_that_may_not_be_read_is_moved_aside() {
    let bus = Session::new();
    let secret = fs::OpenOptions::new().write(true).create_new(true).mode(0o000).open(bus.path("secret.json"));
    secret.unwrap().write_all(echo("a-1", "alice", "1").as_bytes()).unwrap();
    bus.drop("b.json", echo("b-1", "alice", "1"));
    let mut serve = bus.command(&["serve", "--once"]);
    without_override(&mut serve);
    let output = serve.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(bus.ls("inbox/alice"), ["b-1.reply.json"]);
    assert_eq!(bus.dead(), [("not-a-regular-file".into(), "secret.json".into())]);
    assert_eq!(string(&bus.why(), "message"), "the service may not read the file");
}

#[test]
fn a_file_that_gets_its_rights_after_its_name_is_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let bus = Session::with("[bus]\ngrace_ms = 60000\nrescan_ms = 100");
    let mut serve = bus.command(&["serve"]);
    without_override(&mut serve);
    let service = Serving::start(serve);
    let late = fs::OpenOptions::new().write(true).create_new(true).mode(0o000).open(bus.path("late.json"));
    late.unwrap().write_all(echo("a-1", "alice", "1").as_bytes()).unwrap();
    bus.drop("b.json", echo("b-1", "alice", "1"));
    bus.until("the other is answered", |bus| bus.exists("inbox/alice/b-1.reply.json"));
    fs::set_permissions(bus.path("late.json"), fs::Permissions::from_mode(0o600)).unwrap();
    bus.until("it is answered", |bus| bus.exists("inbox/alice/a-1.reply.json"));
    service.stop();
    assert_eq!(bus.dead(), []);
}

/// Root reads everything, unless it gives up the capabilities to (capabilities(7)); for anybody else this does nothing.
fn without_override(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt as _;
    const CAP_DAC_OVERRIDE: libc::c_ulong = 1;
    const CAP_DAC_READ_SEARCH: libc::c_ulong = 2;
    // SAFETY: prctl with integers is allowed between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0);
            libc::prctl(libc::PR_CAPBSET_DROP, CAP_DAC_READ_SEARCH, 0, 0, 0);
            Ok(())
        });
    }
}

#[test]
fn any_name_that_the_file_system_takes_will_do() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let bus = Session::new();
    let long = format!("{}.json", "x".repeat(250));
    let wide = format!("{}.json", "\u{1F4EC}".repeat(62));
    let odd: [&[u8]; 7] = [
        b"\xff\xfe.json",
        b"\x1b[2J\x07.json",
        b"new\nline.json",
        b"~.json",
        b"a~b.why.json",
        b"-rf.json",
        "\u{202e}gpj.json".as_bytes(),
    ];
    let names: Vec<&OsStr> = [long.as_bytes(), wide.as_bytes()].into_iter().chain(odd).map(OsStr::from_bytes).collect();
    for (n, name) in names.iter().enumerate() {
        bus.write(name, echo(&format!("good-{n}"), "alice", "1"));
    }
    bus.once();
    assert_eq!(bus.ls("inbox/alice").len(), names.len(), "{}", bus.tree());

    // The same names on what is refused: now they stand in `dead-letter/`. The long ones are cut.
    bus.write_in_order(names.iter().map(|name| (name, "{}"))).once();
    assert_eq!(bus.dead().len(), names.len());
    let short: Vec<String> = bus.tree().lines().filter(|line| line.len() < 100).map(str::to_owned).collect();
    let short: Vec<String> = short.into_iter().filter(|line| line.starts_with("dead-letter/")).collect();
    assert_snapshot!(short.join("\n"), @"
    dead-letter/T12~__.json
    dead-letter/T12~__.why.json
    dead-letter/T13~_[2J_.json
    dead-letter/T13~_[2J_.why.json
    dead-letter/T14~new_line.json
    dead-letter/T14~new_line.why.json
    dead-letter/T15~~.json
    dead-letter/T15~~.why.json
    dead-letter/T16~a~b_why.json
    dead-letter/T16~a~b_why.why.json
    dead-letter/T17~-rf.json
    dead-letter/T17~-rf.why.json
    dead-letter/T18~_gpj.json
    dead-letter/T18~_gpj.why.json
    ");
}

#[test]
fn a_hundred_thousand_at_once_from_eight_writers() {
    const WRITERS: usize = 8;
    const EACH: usize = 12_500;
    let bus = Session::new();
    let service = bus.serve();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let bus = &bus;
            scope.spawn(move || {
                for n in 0..EACH {
                    let text = echo(&format!("w{writer}-{n}"), &format!("agent-{writer}"), &n.to_string());
                    let name = format!("w{writer}-{n}.json");
                    // Every other one is written in place.
                    if n % 2 == 0 {
                        bus.drop(&name, text)
                    } else {
                        bus.write(&name, text)
                    };
                }
            });
        }
    });
    let inbox = |writer: usize| format!("inbox/agent-{writer}");
    // However long it takes, as long as more and more are answered.
    let mut answered = 0;
    while answered < WRITERS * EACH {
        bus.until("more answers", |bus| {
            let before =
                std::mem::replace(&mut answered, (0..WRITERS).map(|writer| bus.ls(&inbox(writer)).len()).sum());
            answered > before
        });
    }
    service.stop();
    for writer in 0..WRITERS {
        for n in 0..EACH {
            let reply = bus.json(format!("{}/w{writer}-{n}.reply.json", inbox(writer)));
            assert_eq!(reply["payload"], n);
        }
    }
    assert_eq!(bus.archived().len(), WRITERS * EACH);
    assert_eq!((bus.dead(), bus.ls("processing").len()), (vec![], 0));
}
