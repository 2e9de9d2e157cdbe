//! Each thing that `doctor` knows, caused for real and found.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;

use serde_json::Value;

use super::runner::{Bus, program, run_in, wait_for};
use tempfile::TempDir;

fn checks(bus: &Bus) -> Vec<String> {
    let ran = bus.run(&["doctor", "--json"]);
    let report = ran.json();
    let findings = report["findings"].as_array().expect("a list");
    for finding in findings {
        for text in ["what", "why", "mend"] {
            assert!(!finding[text].as_str().expect("a text").is_empty(), "{text} of {finding}");
        }
    }
    let problems = findings.iter().filter(|finding| finding["severity"] == "problem").count();
    assert_eq!(report["problems"], problems);
    assert_eq!(ran.code, if problems == 0 { 0 } else { 7 });
    findings.iter().map(|finding| finding["check"].as_str().expect("a name").to_owned()).collect()
}

#[track_caller]
fn finds(bus: &Bus, check: &str) {
    let found = checks(bus);
    assert!(found.iter().any(|name| name == check), "{check} in {found:?}");
}

fn age(path: &std::path::Path) {
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(200_000);
    std::fs::File::options().write(true).open(path).expect("open").set_modified(old).expect("set");
}

#[test]
fn a_fresh_bus_only_lacks_a_service() {
    let bus = Bus::new();
    assert_eq!(checks(&bus), ["no-service"]);
    let service = bus.serve();
    // On a machine that stands still for seconds, a service that is well may seem silent.
    wait_for("no findings", || checks(&bus).is_empty().then_some(()));
    wait_for("the good news", || bus.run(&["doctor"]).out.ends_with("no problems\n").then_some(()));
    service.stop();
}

#[test]
fn folders() {
    let bus = Bus::new();
    std::fs::remove_dir(bus.path("held")).expect("removed");
    finds(&bus, "missing-folder");
    symlink("/tmp", bus.path("held")).expect("linked");
    finds(&bus, "not-a-folder");
    std::fs::write(bus.path(".postroom/format"), "").expect("written");
    finds(&bus, "no-format");
    assert!(bus.run(&["doctor"]).out.contains("`postroom init` was interrupted"));
    std::fs::remove_file(bus.path(".postroom/format")).expect("removed");
    finds(&bus, "no-format");
    std::fs::write(bus.path(".postroom/format"), "postroom bus format 99\n").expect("written");
    finds(&bus, "other-format");
}

/// The program, or another one, for which the modes of files count although root runs it (where the system lets root give that up).
fn without_privilege(bus: &Bus, mut command: std::process::Command) -> std::process::Output {
    /// `CAP_DAC_OVERRIDE` and `CAP_DAC_READ_SEARCH`, capabilities(7).
    const PAST_MODES: [libc::c_ulong; 2] = [1, 2];
    // SAFETY: prctl is a system call, which the child may do between fork and exec; whoever may not do it has no such privilege.
    unsafe {
        command.pre_exec(|| {
            for capability in PAST_MODES {
                libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
            }
            Ok(())
        });
    }
    command.current_dir(bus.workspace()).output().expect("ran")
}

#[test]
fn permissions() {
    let bus = Bus::new();
    std::fs::create_dir(bus.path("inbox/bob")).expect("made");
    let set = |path: &str, mode| {
        std::fs::set_permissions(bus.path(path), std::fs::Permissions::from_mode(mode)).expect("set");
    };
    set("", 0o755);
    finds(&bus, "not-private");
    for folder in ["held", "inbox/bob"] {
        set(folder, 0o777);
        finds(&bus, "open-to-others");
        set(folder, 0o500);
        let mut doctor = program(bus.workspace());
        doctor.args(["doctor", "--json"]);
        let report = without_privilege(&bus, doctor).stdout;
        let report: Value = serde_json::from_slice(&report).expect("JSON");
        let mut test = std::process::Command::new("test");
        test.arg("-w").arg(bus.path(folder));
        let is_writable = without_privilege(&bus, test).status.success();
        let findings = report["findings"].as_array().expect("a list");
        let found = findings.iter().find(|finding| finding["check"] == "not-writable");
        assert_eq!(found.is_some(), !is_writable, "{folder}: {report}");
        let name = folder.rsplit('/').next().expect("a name");
        assert!(found.is_none_or(|found| found["what"].as_str().expect("a text").contains(name)), "{folder}: {report}");
        set(folder, 0o700);
        assert_eq!(checks(&bus), ["no-service", "not-private"]);
    }
    // Who cannot enter the bus cannot write to an inbox that was made with a loose umask.
    set("", 0o700);
    set("inbox/bob", 0o777);
    assert_eq!(checks(&bus), ["no-service"]);
}

/// Whoever may not even enter it is told how that is mended.
#[test]
fn a_bus_that_is_closed_to_this_user() {
    let bus = Bus::new();
    for folder in ["", ".postroom", "processing", "dead-letter", "agents"] {
        let set = |mode| {
            std::fs::set_permissions(bus.path(folder), std::fs::Permissions::from_mode(mode)).expect("set");
        };
        for mode in [0o000, 0o400] {
            set(mode);
            let mut test = std::process::Command::new("test");
            test.arg("-x").arg(bus.path(folder));
            let is_open = without_privilege(&bus, test).status.success();
            let mut doctor = program(bus.workspace());
            doctor.args(["doctor", "--json"]);
            let ran = without_privilege(&bus, doctor);
            assert_eq!(ran.status.code(), Some(7), "{folder}: {ran:?}");
            let report: Value = serde_json::from_slice(&ran.stdout).expect("JSON");
            let findings = report["findings"].as_array().expect("a list");
            let found: Vec<&Value> = findings.iter().filter(|finding| finding["check"] == "not-writable").collect();
            assert_eq!(found.len(), usize::from(!is_open), "{folder}: {report}");
            assert!(found.iter().all(|found| found["mend"].as_str().expect("text").contains("chmod 700")), "{report}");
            set(0o700);
        }
    }
}

#[test]
fn a_folder_that_is_no_bus_is_one_problem() {
    let bus = Bus::new();
    std::fs::create_dir(bus.workspace().join("empty")).expect("made");
    let report = bus.run(&["--bus", "empty", "doctor", "--json"]).json();
    let findings = report["findings"].as_array().expect("a list");
    let problems: Vec<&Value> = findings.iter().filter(|finding| finding["severity"] == "problem").collect();
    assert_eq!(problems.iter().map(|finding| &finding["check"]).collect::<Vec<_>>(), ["no-format"], "{report}");
}

#[test]
fn strangers_and_leftovers() {
    let bus = Bus::new();
    std::fs::write(bus.path(".fresh.tmp"), "x").expect("written");
    std::fs::write(bus.path("being-written.tmp"), "x").expect("written");
    assert_eq!(checks(&bus), ["no-service"]);
    std::fs::create_dir(bus.path("outbox")).expect("made");
    finds(&bus, "foreign-folder");
    age(&bus.path(".fresh.tmp"));
    finds(&bus, "leftover");
    std::fs::write(bus.path(".postroom/damaged-log-1"), "x").expect("written");
    finds(&bus, "moved-aside");
}

/// The notes of a kind, with the folder of each.
fn notes(bus: &Bus, check: &str) -> Vec<(String, String)> {
    let report = bus.run(&["doctor", "--json"]).json();
    let findings = report["findings"].as_array().expect("a list").iter().filter(|finding| finding["check"] == check);
    let text = |finding: &Value, name: &str| finding[name].as_str().expect("a text").to_owned();
    findings.map(|finding| (text(finding, "path"), text(finding, "what"))).collect()
}

#[test]
fn files_in_a_wrong_place() {
    let bus = Bus::new();
    for (folder, name) in [
        ("", "A.JSON"),
        ("", "notes.txt"),
        ("", "q1"),
        ("agents", "bad.json"),
        ("archive", "mine.json"),
        ("archive", "2024-10-27~1.jsonl.zst"),
        ("dead-letter", "mine.json"),
        ("deferred", "mine.json"),
        ("held", "mine.json"),
        ("inbox", "stray.json"),
        ("processing", "mine.json"),
        (".postroom/ids", "garbage"),
        (".postroom/ids", "20241027"),
        ("processing", "07"),
    ] {
        assert!(notes(&bus, "foreign-file").is_empty());
        let path = bus.path(folder).join(name);
        std::fs::write(&path, super::runner::message("m", "you")).expect("written");
        let found = notes(&bus, "foreign-file");
        assert_eq!(found.len(), 1, "{folder}: {found:?}");
        let place = if folder.is_empty() { "." } else { folder };
        assert!(found[0].0 == place && found[0].1.ends_with(&format!(": {name}")), "{folder}: {found:?}");
        std::fs::remove_file(&path).expect("removed");
    }
    // A registration under another's name is nobody's.
    let registration = r#"{"agent":"a","name":"A","version":"1","capabilities":[],"registeredAt":1,"lastSeen":1}"#;
    std::fs::write(bus.path("agents/a.json"), registration).expect("written");
    assert!(notes(&bus, "foreign-file").is_empty());
    std::fs::rename(bus.path("agents/a.json"), bus.path("agents/b.json")).expect("renamed");
    assert_eq!(notes(&bus, "foreign-file").len(), 1);
}

/// A folder, a FIFO, a link and a socket, each named like a registration.
#[test]
fn what_is_no_file_is_no_registration() {
    let bus = Bus::new();
    std::fs::create_dir(bus.path("agents/folder.json")).expect("made");
    let fifo = std::process::Command::new("mkfifo").arg(bus.path("agents/fifo.json")).status().expect("ran");
    assert!(fifo.success());
    symlink("/etc/hostname", bus.path("agents/link.json")).expect("linked");
    let socket = std::os::unix::net::UnixListener::bind(bus.path("agents/socket.json")).expect("bound");
    let large = std::fs::File::create(bus.path("agents/large.json")).expect("made");
    large.set_len(5 << 20).expect("enlarged");
    bus.run(&["status"]).ok();
    assert_eq!(bus.run(&["agents", "--json"]).ok().json()["agents"], serde_json::json!([]));
    let found = notes(&bus, "foreign-file");
    assert_eq!(found.len(), 1, "{found:?}");
    let named = found[0].1.ends_with(": fifo.json, folder.json, large.json, link.json, socket.json");
    assert!(found[0].0 == "agents" && named, "{found:?}");
    drop(socket);
}

/// A registration that only its owner may read is none for another user.
#[test]
fn a_registration_that_may_not_be_read() {
    let bus = Bus::new();
    std::fs::write(bus.path("agents/closed.json"), "{}").expect("written");
    std::fs::set_permissions(bus.path("agents/closed.json"), std::fs::Permissions::from_mode(0o000)).expect("set");
    for command in ["status", "agents"] {
        let mut looking = program(bus.workspace());
        looking.arg(command);
        let ran = without_privilege(&bus, looking);
        assert!(ran.status.success(), "{ran:?}");
    }
    let mut doctor = program(bus.workspace());
    doctor.args(["doctor", "--json"]);
    let report: Value = serde_json::from_slice(&without_privilege(&bus, doctor).stdout).expect("JSON");
    assert!(report.to_string().contains("agents/ has 1 file that does not belong there: closed.json"), "{report}");
}

/// On a bus that was used in every way nothing is foreign.
#[test]
fn what_the_service_itself_puts_there_is_in_its_place() {
    let bus = Bus::new();
    let service = bus.serve();
    let card = r#"{"name":"A","version":"1","capabilities":[]}"#;
    bus.run(&["call", "--from", "a", "--to", "postroom", "--action", "mcp.core.register", card]).ok();
    bus.run(&["call", "--to", "nobody", "--action", "x"]).fails_with(5);
    bus.run(&["send", "--to", "a", "--action", "x", "--delay", "1h"]).ok();
    bus.run(&["send", "--to", "a", "--to", "nobody", "--action", "x"]).ok();
    symlink("/etc/hostname", bus.path("link.json")).expect("linked");
    bus.dead_letters(3);
    for name in ["2024-10-27.jsonl.zst", "2024-10-27~2.jsonl.zst"] {
        std::fs::write(bus.path("archive").join(name), "").expect("written");
    }
    // Ids of a day yet to come that are in another day's file.
    std::fs::write(bus.path(".postroom/ids/2999-12-31.as"), "2024-10-27\n").expect("written");
    wait_for("the delay", || (bus.names("deferred").len() == 1).then_some(()));
    assert_eq!((notes(&bus, "foreign-file"), notes(&bus, "foreign-folder")), (vec![], vec![]));
    service.stop();
    assert_eq!((notes(&bus, "foreign-file"), notes(&bus, "foreign-folder")), (vec![], vec![]));
}

#[test]
fn inboxes_that_nobody_can_have() {
    let bus = Bus::new();
    for name in ["FOO BAR", "con", "postroom", "good"] {
        std::fs::create_dir(bus.path("inbox").join(name)).expect("made");
    }
    let found = notes(&bus, "foreign-folder");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].0 == "inbox" && found[0].1.ends_with(": FOO BAR, con, postroom"), "{found:?}");
    let agents = bus.run(&["agents", "--json"]).ok().json();
    let names: Vec<&Value> = agents["agents"].as_array().expect("a list").iter().map(|agent| &agent["agent"]).collect();
    assert_eq!(names, ["good"], "only who can be addressed");
}

#[test]
fn surroundings() {
    let bus = Bus::new();
    std::fs::write(bus.settings(), "[bus\n").expect("written");
    finds(&bus, "settings");
    let top = TempDir::new().expect("a folder");
    let synced = top.path().join("OneDrive - Example");
    std::fs::create_dir(&synced).expect("made");
    run_in(&synced, &["init"]).ok();
    let report: Value = run_in(&synced, &["doctor", "--json"]).json();
    let found = report["findings"].as_array().expect("a list").iter().any(|finding| finding["check"] == "file-system");
    assert!(found, "{report}");
}

/// Where the user may have a namespace of his own, it can have no events to give.
#[test]
fn a_system_without_events_is_a_note() {
    let bus = Bus::new();
    let mut command = std::process::Command::new("unshare");
    let script = "echo 0 > /proc/sys/user/max_inotify_instances || exit 99; exec \"$0\" doctor --json";
    command.args(["--user", "--map-root-user", "sh", "-c", script, env!("CARGO_BIN_EXE_postroom")]);
    let Ok(ran) = command.current_dir(bus.workspace()).output() else { return };
    // Not allowed here: the check has a test of its own beside it.
    let Some(0 | 7) = ran.status.code() else { return };
    let report: Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    let found = report["findings"].as_array().expect("a list").iter().any(|finding| finding["check"] == "no-events");
    assert!(found, "{report}");
}

#[test]
fn a_killed_service_leaves_a_stale_room() {
    let bus = Bus::new();
    let service = bus.serve();
    service.signal(libc::SIGKILL);
    service.ended();
    let found = checks(&bus);
    assert!(found.contains(&"stale-room".to_owned()) && found.contains(&"no-service".to_owned()), "{found:?}");
    bus.run(&["serve", "--once"]).ok();
    assert_eq!(checks(&bus), ["no-service"]);
}

#[test]
fn a_stopped_service_is_silent() {
    let bus = Bus::new();
    std::fs::write(bus.settings(), "[bus]\nlook_ms = 100\n").expect("written");
    let service = bus.serve();
    service.signal(libc::SIGSTOP);
    finds(&bus, "silent-service");
    service.signal(libc::SIGCONT);
    wait_for("a sign of life", || checks(&bus).is_empty().then_some(()));
    service.stop();
}

#[test]
fn a_service_on_another_machine() {
    let bus = Bus::new();
    let room = bus.path("processing/3/0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11");
    std::fs::create_dir_all(&room).expect("made");
    let line = r#"{"beat":"1","started_at":1,"host":"other","host_name":"far-away","boot":"b","mount":"m","namespace":"","pid":1}"#;
    std::fs::write(room.join("line"), line).expect("written");
    finds(&bus, "other-host");
}

#[test]
fn dead_letters_are_a_note() {
    let bus = Bus::new();
    bus.drop_text("a.json", &super::runner::message("a", "nobody"));
    bus.run(&["serve", "--once"]).ok();
    finds(&bus, "dead-letters");
}

#[test]
fn it_leaves_no_file_behind() {
    let bus = Bus::new();
    let before = bus.names(".postroom");
    program(bus.workspace()).arg("doctor").output().expect("ran");
    assert_eq!(bus.names(".postroom"), before);
}
