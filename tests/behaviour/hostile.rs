//! Everything in the folder is untrusted: bad messages among good ones, names and files of strangers everywhere.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::session::{Serving, Session, echo, message, string};

/// Code and path of every file in `tests/corpus/bad/`.
fn corpus() -> Vec<(String, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/bad");
    let mut files = Vec::new();
    for code in fs::read_dir(folder).unwrap() {
        let code = code.unwrap();
        let name = code.file_name().into_string().unwrap();
        files.extend(fs::read_dir(code.path()).unwrap().map(|file| (name.clone(), file.unwrap().path())));
    }
    files.sort();
    files
}

/// What must be known to answer them is counted while the batch before becomes visible.
#[test]
fn invalid_ones_from_agents_who_are_known_do_not_hold_up_a_flood() {
    let bus = Session::new();
    let bad: Vec<String> = (0..40).map(|n| format!("bad-{n}")).collect();
    bus.know(&["bob"]).know(&bad.iter().map(String::as_str).collect::<Vec<_>>());
    let good = (0..1_000).map(|n| (format!("{n:04}.json"), message(&format!("m-{n}"), "alice", "bob", "note", "1")));
    let invalid = bad.iter().enumerate().map(|(n, name)| {
        (format!("{:04}-bad.json", 20 * n), format!(r#"{{"id":"{name}","sender":"{name}","recipient":"bob"}}"#))
    });
    bus.write_in_order(good.chain(invalid).collect::<std::collections::BTreeMap<_, _>>());
    let service = bus.serve();
    bus.until("all of them", |bus| bus.ls("inbox/bob").len() == 1_000);
    bus.until("all answers", |bus| bad.iter().all(|name| bus.ls(&format!("inbox/{name}")).len() == 1));
    service.stop();
}

#[test]
fn each_bad_message_is_refused_with_its_code_and_each_good_one_beside_it_is_answered() {
    let bus = Session::new();
    let service = bus.serve();
    let bad = corpus();
    assert!(bad.len() > 150);
    let mut expected = Vec::new();
    for (n, (code, path)) in bad.iter().enumerate() {
        let name = format!("{n:03}-{}", path.file_name().unwrap().to_str().unwrap());
        // Half of them are written in place.
        let text = fs::read(path).unwrap();
        if n % 2 == 0 {
            bus.drop(&name, text)
        } else {
            bus.write(&name, text)
        };
        bus.drop(&format!("good-{n:03}.json"), echo(&format!("good-{n:03}"), "alice", &n.to_string()));
        expected.push((code.clone(), name));
    }
    bus.until("everything in its end state", |bus| {
        bus.ls("inbox/alice").len() == bad.len() && bus.ls("dead-letter").len() == 2 * bad.len()
    });
    let said = service.stop();
    let mut dead = bus.dead();
    dead.sort_by(|a, b| a.1.cmp(&b.1));
    assert_eq!(dead, expected);
    for (n, _) in bad.iter().enumerate() {
        assert_eq!(bus.json(format!("inbox/alice/good-{n:03}.reply.json"))["payload"], n);
    }
    // As they came.
    for letter in bus.ls("dead-letter").iter().filter(|name| !name.ends_with(".why.json")) {
        let number: usize = letter.split('~').nth(1).unwrap()[..3].parse().unwrap();
        assert_eq!(
            fs::read(bus.path("dead-letter").join(letter)).unwrap(),
            fs::read(&bad[number].1).unwrap(),
            "{letter}"
        );
    }
    for why in bus.whys() {
        assert!((10..600).contains(&string(&why, "message").len()), "{why}");
        harmless("a reason", &string(&why, "message"));
    }
    harmless("serve", &said);
}

/// No character that moves a cursor, changes a colour, or turns the line around.
fn harmless(what: &str, text: &str) {
    let bad = text.chars().find(|c| {
        (c.is_control() && *c != '\n')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
    });
    assert_eq!(bad, None, "{what}: {}", text.escape_debug());
}

const EVIL: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}gpj\u{85}";

/// A bus that has seen escape sequences in every place where a stranger can put them.
fn evil_bus() -> Session {
    let bus = Session::new();
    bus.know(&["bob", "alice"]);
    let escaped = serde_json::to_string(EVIL).unwrap();
    let raw = format!("\"{}\"", EVIL.chars().filter(|c| *c as u32 >= 0x80).collect::<String>());
    for (n, text) in [
        message("a-1", "alice", "bob", "note", &escaped),
        message("a-2", "alice", "bob", "note", &raw),
        message("a-3", "alice", "bob", "not\u{202e}e", &raw),
        message("a-4", "alice", "nobody", "not\u{202e}e", &raw),
        format!(r#"{{"id":"a-5","sender":"alice","recipient":{escaped},"action":"note"}}"#),
        format!(r#"{{"id":"a-6","sender":"alice","recipient":"bob","action":{escaped}}}"#),
        format!(r#"{{"id":"a-7","sender":"alice","recipient":"bob","action":"note",{escaped}:{raw}}}"#),
        format!(
            r#"{{"id":"a-8","sender":"alice","recipient":"bob","action":"note","payload":1,{escaped}:2,{escaped}:3}}"#
        ),
        format!("{EVIL}{{"),
        message("a-9", "alice", "postroom", "mcp.core.\u{202e}", &escaped),
        message(
            "a-10",
            "alice",
            "postroom",
            "mcp.core.register",
            &format!(r#"{{"name":{escaped},"version":{escaped},"capabilities":[{escaped}],"description":{escaped}}}"#),
        ),
        message("a-11", "alice", "postroom", "mcp.core.getCapabilities", &format!(r#"{{"agent":{escaped}}}"#)),
        message(
            "a-12",
            "alice",
            "postroom",
            "mcp.execute",
            &format!(r#"{{"namespace":{escaped},"command":"x","requestId":{escaped}}}"#),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let name = [format!("{n:02}").as_bytes(), EVIL.as_bytes(), b"\xff.json"].concat();
        bus.write(OsStr::from_bytes(&name), text);
    }
    // In folders that are not theirs.
    fs::create_dir(bus.path("inbox").join(EVIL)).unwrap();
    bus.write(format!("inbox/bob/{EVIL}.json"), EVIL).write(format!("agents/{EVIL}.json"), EVIL);
    bus.write(format!("dead-letter/{EVIL}.json"), EVIL).write(format!("dead-letter/{EVIL}.why.json"), EVIL);
    bus.write(format!("deferred/{EVIL}"), EVIL).write(format!("held/{EVIL}.json"), EVIL);
    bus.write(format!("processing/{EVIL}"), EVIL).write(format!(".postroom/requests/{EVIL}.json"), EVIL);
    fs::create_dir(bus.path(format!("archive/{EVIL}"))).unwrap();
    fs::create_dir(bus.path(format!("processing/{EVIL}.d"))).unwrap();
    fs::create_dir(bus.beside("extensions")).unwrap();
    fs::write(bus.beside(&format!("extensions/{EVIL}.wasm")), EVIL).unwrap();
    bus
}

#[test]
fn no_escape_sequence_of_a_stranger_reaches_a_terminal() {
    let bus = evil_bus();
    let mut tail = bus.command(&["tail"]);
    let tail_output = bus.beside("tail");
    tail.stdout(Stdio::from(fs::File::create(&tail_output).unwrap()));
    let service = bus.serve();
    bus.until("all of it decided", |bus| bus.ls("").iter().all(|name| !name.ends_with(".json")));
    bus.drop("last.json", echo("last", "alice", "1"));
    bus.until("the last answer", |bus| bus.exists("inbox/alice/last.reply.json"));
    let mut tail = tail.spawn().unwrap();
    bus.until("tail shows the last", |_| fs::read_to_string(&tail_output).unwrap().contains("last"));
    tail.kill().unwrap();
    tail.wait().unwrap();
    harmless("tail", &fs::read_to_string(&tail_output).unwrap());

    let mut commands: Vec<Vec<String>> = Vec::new();
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    for plain in
        ["status", "agents", "list", "list archive", "list inbox", "list dead-letter", "dead-letter list", "doctor"]
    {
        commands.push(words(plain));
    }
    commands.extend((1..=12).map(|n| words(&format!("trace a-{n}"))));
    let tickets = bus.ls("dead-letter").into_iter().filter(|name| name.len() > 36 && name.is_char_boundary(36));
    let mut tickets: Vec<String> = tickets.map(|name| name[..36].to_owned()).filter(|name| name.is_ascii()).collect();
    tickets.dedup();
    assert!(tickets.len() >= 6, "{}", bus.tree());
    commands.extend(tickets.iter().map(|ticket| words(&format!("dead-letter show {ticket}"))));
    for _ in 0..4 {
        commands.push(words("recv bob"));
    }
    for command in commands {
        for json in [None, Some("--json")] {
            let args: Vec<&str> = command.iter().map(String::as_str).chain(json).collect();
            let output = bus.run(&args);
            for text in [output.stdout, output.stderr] {
                harmless(&args.join(" "), std::str::from_utf8(&text).unwrap());
            }
        }
    }
    let said = service.stop();
    assert!(said.contains("set aside"), "{said}");
    harmless("serve", &said);
}

#[test]
fn files_of_strangers_in_the_folders_of_the_bus_stop_nothing() {
    let bus = evil_bus();
    let ticket = "0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e1";
    symlink("/etc/passwd", bus.path("agents/carol.json")).unwrap();
    bus.write(format!("deferred/1.1.{ticket}1~x.json"), "nonsense");
    symlink("/etc/passwd", bus.path(format!("deferred/1.1.{ticket}2~x.json"))).unwrap();
    fs::create_dir(bus.path(format!("deferred/1.1.{ticket}3~x.json"))).unwrap();
    bus.write(format!("deferred/1.1.{ticket}4~x.json"), message("d-4", "alice", "bob", "note", "1"));
    symlink("/nowhere", bus.path("archive/journal.jsonl")).unwrap();
    symlink("/nowhere", bus.path(".postroom/ids/2020-01-01")).unwrap();
    bus.write(".postroom/ids/2020-01-02", "nonsense\n").write(".postroom/ids/x", "nonsense");
    bus.drop("good.json", echo("good", "alice", "1")).once();
    assert!(bus.exists("inbox/alice/good.reply.json") && bus.exists("inbox/bob/d-4.json"), "{}", bus.tree());
    let codes: Vec<String> = bus.ls("dead-letter").into_iter().filter(|name| name.starts_with(ticket)).collect();
    let of = |n: u32| string(&bus.json(format!("dead-letter/{ticket}{n}~x.why.json")), "code");
    assert_eq!((of(1), of(2)), ("malformed-json".into(), "not-a-regular-file".into()), "{codes:?}");
    // Once more, from what is there now.
    bus.drop("again.json", echo("again", "alice", "1")).once();
    assert!(bus.exists("inbox/alice/again.reply.json"));
}

#[test]
fn the_service_needs_no_network() {
    let bus = Session::new();
    bus.install("ext", &[crate::guests::echoing()]);
    let unshare = std::process::Command::new("unshare").args(["-n", "true"]).output();
    let alone = unshare.is_ok_and(|output| output.status.success());
    let service = if alone {
        let mut command = std::process::Command::new("unshare");
        let serve = bus.command(&["serve"]);
        command.arg("-n").arg(serve.get_program()).args(serve.get_args()).current_dir("/");
        Serving::start(command)
    } else {
        // Without the right to be alone on a network of its own, that it has no socket says the same.
        Serving::start(bus.command(&["serve"]))
    };
    service.until_it_says("active on");
    bus.drop("1.json", echo("m-1", "alice", "1")).drop("2.json", message("m-2", "alice", "ext", "do", "1"));
    bus.until("both answers", |bus| bus.ls("inbox/alice").len() == 2);
    let open = fs::read_dir(format!("/proc/{}/fd", service.id())).unwrap().flatten();
    let open: Vec<PathBuf> = open.filter_map(|fd| fs::read_link(fd.path()).ok()).collect();
    let is_socket = |path: &&PathBuf| path.to_string_lossy().starts_with("socket:");
    // A signal wakes a thread through a pair of sockets of its own; none of them has an address on a network.
    let network = fs::read_to_string(format!("/proc/{}/net/tcp", service.id())).unwrap_or_default();
    if alone {
        assert_eq!(network.lines().count(), 1, "a connection in a network of its own: {network}");
    } else {
        let names: Vec<String> =
            open.iter().filter(is_socket).map(|path| path.to_string_lossy().into_owned()).collect();
        for family in ["tcp", "tcp6", "udp", "udp6"] {
            let table = fs::read_to_string(format!("/proc/net/{family}")).unwrap_or_default();
            let inodes: Vec<String> = table
                .lines()
                .skip(1)
                .filter_map(|line| line.split_whitespace().nth(9))
                .map(|inode| format!("socket:[{inode}]"))
                .collect();
            assert!(!names.iter().any(|name| inodes.contains(name)), "{names:?} in {family}");
        }
    }
    service.stop();
}

/// It was claimed unread, to be moved aside, by a service that died before that.
#[test]
fn a_claim_that_has_another_name_elsewhere_is_no_message() {
    let bus = Session::new();
    let room = format!("processing/1/{}", uuid::Uuid::now_v7());
    fs::create_dir_all(bus.path(&room)).unwrap();
    let elsewhere = bus.beside("elsewhere.json");
    fs::write(&elsewhere, echo("m-1", "alice", "1")).unwrap();
    fs::hard_link(&elsewhere, bus.path(format!("{room}/1.{}~a.json", uuid::Uuid::now_v7()))).unwrap();
    bus.once();
    assert_eq!(bus.dead(), [("not-a-regular-file".into(), "a.json".into())]);
    assert!(!bus.exists("inbox/alice/m-1.reply.json") && elsewhere.exists());
}

/// No service has made it, since no term could follow.
#[test]
fn a_folder_with_the_last_number_there_is_keeps_no_service_from_its_work() {
    let bus = Session::new();
    fs::create_dir_all(bus.path("processing/18446744073709551615")).unwrap();
    bus.drop("1.json", echo("m-1", "alice", "1")).once();
    assert!(bus.exists("inbox/alice/m-1.reply.json"));
}
