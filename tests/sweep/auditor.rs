//! The audit, tested on a bus made by hand: content with a perfect one, and it finds each way to spoil it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::audit::{Moment, audit};
use crate::support::workload::{Answer, Fate, Sent, one_of_each};

const TICKET: &str = "0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e";
const DELIVERY: &str =
    r#""delivery":{"acceptedAt":1,"attempt":1,"trust":"unsigned","hops":1,"correlationId":"c","ticket":"t"}"#;

struct Made {
    _holder: tempfile::TempDir,
    bus: PathBuf,
}

impl Made {
    fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.bus.join(path);
        let folder = path.parent().expect("a path below the bus");
        fs::create_dir_all(folder).expect("a folder");
        fs::write(&path, bytes).expect("a file");
        for made in path.ancestors().take_while(|made| made.starts_with(&self.bus)) {
            let mode = if made.is_dir() { 0o700 } else { 0o600 };
            fs::set_permissions(made, fs::Permissions::from_mode(mode)).expect("a mode");
        }
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.bus.join(path)).expect("it is there")
    }

    fn replace(&self, path: &str, old: &str, new: &str) {
        let text = self.read(path);
        assert!(text.contains(old), "{path} does not contain {old}: {text}");
        self.write(path, text.replace(old, new));
    }

    fn remove(&self, path: &str) {
        fs::remove_file(self.bus.join(path)).expect("it was there");
    }

    fn audit(&self) -> Vec<String> {
        audit(&self.bus, &one_of_each(), Moment::Ended)
    }
}

/// What a service that does everything right leaves of the sweeps' messages.
fn perfect() -> Made {
    let holder = tempfile::tempdir().expect("a temporary folder");
    let made = Made { bus: holder.path().join("bus"), _holder: holder };
    for folder in ["processing", "deferred", "held"] {
        fs::create_dir_all(made.bus.join(folder)).expect("a folder");
        fs::set_permissions(made.bus.join(folder), fs::Permissions::from_mode(0o700)).expect("a mode");
    }
    let mut journal = String::new();
    for (at, sent) in one_of_each().iter().enumerate() {
        let ticket = format!("{TICKET}{at:02x}");
        finish(&made, sent, &ticket);
        let parts = if sent.file == "04.json" { vec!["", ".1", ".2"] } else { vec![""] };
        for part in parts {
            journal += &format!("{{\"v\":1,\"term\":1,\"step\":\"finished\",\"ticket\":\"{ticket}{part}\"}}\n");
        }
    }
    made.write("archive/2026-11-21/journal.jsonl", journal);
    assert_eq!(made.audit(), Vec::<String>::new());
    made
}

fn finish(made: &Made, sent: &Sent, ticket: &str) {
    if let Fate::Dead { code, answer } = &sent.fate {
        let name = format!("dead-letter/{ticket}~{}", sent.file);
        made.write(&name, &sent.bytes);
        let who = answer.as_ref().map_or_else(String::new, |Answer { id, sender }| {
            let error = format!(r#""error":{{"code":"{code}","message":"m"}}"#);
            publish_reply(made, sender, id, "notes.add", &error);
            format!(r#","id":"{id}","sender":"{sender}""#)
        });
        let why = format!(r#"{{"code":"{code}","message":"m","at":1,"attempts":1,"droppedAs":"{}"{who}}}"#, sent.file);
        made.write(&name.replace(".json", ".why.json"), why);
        return;
    }
    made.write(&format!("archive/2026-11-21/07/{ticket}~m.json"), &sent.bytes);
    match &sent.fate {
        Fate::Replied { id, sender, action, payload } => {
            publish_reply(made, sender, id, action, &format!("\"payload\":{payload}"));
        }
        Fate::Registered { id, sender, name } => {
            let card = format!(r#"{{"name":"{name}","version":"1.0.0","capabilities":["notes"]}}"#);
            made.write(&format!("agents/{sender}.json"), &card);
            publish_reply(made, sender, id, "mcp.core.register", &format!("\"payload\":{card}"));
        }
        Fate::Delivered { id, to } => {
            let text = String::from_utf8(sent.bytes.clone()).expect("the workload is text");
            let copy = format!("{},{DELIVERY}}}", text.trim_end().trim_end_matches('}'));
            for (at, agent) in to.iter().enumerate() {
                made.write(&format!("inbox/{agent}/{id}.json"), &copy);
                if to.len() > 1 {
                    made.write(&format!("archive/2026-11-21/07/{ticket}.{}~m.json", at + 1), &sent.bytes);
                }
            }
        }
        Fate::Dead { .. } | Fate::Duplicate => {}
    }
}

fn publish_reply(made: &Made, sender: &str, id: &str, action: &str, says: &str) {
    let reply = format!(
        r#"{{"id":"r","sender":"postroom","recipient":"{sender}","action":"{action}","inReplyTo":"{id}","timestamp":1,{says},{DELIVERY}}}"#
    );
    made.write(&format!("inbox/{sender}/{id}.reply.json"), reply);
}

/// Spoils a perfect bus in one way and wants exactly a finding that says so.
fn spoiled(how: impl FnOnce(&Made), finding: &str) {
    let made = perfect();
    how(&made);
    let findings = made.audit();
    assert!(findings.iter().any(|found| found.contains(finding)), "{finding:?} is not among {findings:#?}");
}

#[test]
fn finds_what_is_published_wrongly() {
    let reply = "inbox/alice/a-1.reply.json";
    spoiled(|bus| bus.remove(reply), "a-1.reply.json is missing");
    spoiled(|bus| bus.write("inbox/alice/a-1.reply~2.json", bus.read(reply)), "is published, but should not be");
    spoiled(|bus| bus.write("inbox/alice/.stage", "{}"), "is published, but should not be");
    spoiled(|bus| bus.replace(reply, "1e2", "100.0"), "payload");
    spoiled(|bus| bus.replace(reply, "\\u0041", "A"), "payload");
    spoiled(|bus| bus.replace(reply, "[1 ,2]", "[1,2]"), "payload");
    spoiled(|bus| bus.write(reply, ""), "is not a JSON object");
    spoiled(|bus| bus.replace(reply, "\"inReplyTo\":\"a-1\"", "\"inReplyTo\":\"a-2\""), "inReplyTo");
    spoiled(|bus| bus.replace("inbox/alice/a-3.reply.json", "unknown-recipient", "internal"), "error code");
    spoiled(|bus| bus.replace(reply, "delivery", "livery"), "its delivery has no hops");
    spoiled(|bus| bus.remove("inbox/agent-c/b-2.json"), "agent-c/b-2.json is missing");
    spoiled(|bus| bus.replace("inbox/agent-b/a-2.json", "\"one\":1.0", "\"one\":1"), "payload");
    spoiled(|bus| bus.replace("inbox/agent-b/a-2.json", "\"action\"", "\"extra\":1,\"action\""), "extra was not");
    spoiled(|bus| bus.remove("agents/carol.json"), "agents/carol.json is missing");
    spoiled(|bus| bus.replace("agents/carol.json", "1.0.0", "2.0.0"), "told was");
    spoiled(|bus| bus.write("agents/mallory.json", "{}"), "was never registered");
}

#[test]
fn finds_a_message_in_no_or_two_end_states() {
    let archived = format!("archive/2026-11-21/07/{TICKET}01~m.json");
    let dead = format!("dead-letter/{TICKET}04~05.json");
    let why = dead.replace(".json", ".why.json");
    spoiled(|bus| bus.remove(&archived), "02.json is not archived");
    spoiled(|bus| bus.write(&archived.replace("01~", "11~"), bus.read(&archived)), "is archived once too often");
    spoiled(|bus| bus.write(&archived, "{}"), "or not as it came");
    spoiled(|bus| bus.write("archive/2026-11-21/07/m.json", bus.read(&archived)), "is not named <ticket>~<id>.json");
    spoiled(|bus| bus.write("archive/2026-11-21/07/.m", ""), "does not belong into the archive");
    spoiled(|bus| bus.remove(&format!("archive/2026-11-21/07/{TICKET}03.2~m.json")), "04.json (its delivery 2)");
    spoiled(|bus| bus.remove(&dead), "05.json is not in dead-letter/");
    spoiled(|bus| bus.write(&dead.replace("04~", "14~"), bus.read(&archived)), "is dead once too often");
    spoiled(|bus| bus.remove(&why), "cannot be read");
    spoiled(|bus| bus.replace(&why, "malformed-json", "internal"), "says code");
    spoiled(|bus| bus.replace(&why, "05.json", "06.json"), "says droppedAs");
    spoiled(|bus| bus.replace(&why, "attempts", "tries"), "has no attempts");
    spoiled(|bus| bus.write("dead-letter/x.why.json", "{}"), "stands beside no letter");
    spoiled(|bus| bus.write("01.json", bus.read(&archived)), "01.json is left in the bus folder");
    spoiled(|bus| bus.write("deferred/1.1.x~01.json", "{}"), "still waits");
}

#[test]
fn finds_what_is_left_of_the_work() {
    spoiled(|bus| bus.write("processing/1/room/log", ""), "processing/1 is left of a room");
    spoiled(|bus| bus.write(".a.json.tmp", ""), "is left in the bus folder");
    spoiled(|bus| bus.write(".postroom/ids/2026-11-21.tmp", ""), "is left of a write");
    let open = |bus: &Made, path: &str, mode| {
        let path: &Path = &bus.bus.join(path);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    };
    spoiled(|bus| open(bus, "inbox/alice/a-1.reply.json", 0o640), "is open to others");
    spoiled(|bus| open(bus, "archive/2026-11-21", 0o755), "is open to others");
}

#[test]
fn finds_a_journal_that_does_not_tell_all() {
    let journal = "archive/2026-11-21/journal.jsonl";
    let line = |at: usize, more: &str| {
        format!("{{\"v\":1,\"term\":2,\"step\":\"finished\",\"ticket\":\"{TICKET}{at:02x}\"{more}}}\n")
    };
    let append = |bus: &Made, text: &str| bus.write(journal, bus.read(journal) + text);
    let without = |bus: &Made, at: &str| {
        let text = bus.read(journal);
        let kept: Vec<&str> = text.lines().filter(|line| !line.contains(at)).collect();
        bus.write(journal, kept.join("\n"));
    };
    spoiled(|bus| without(bus, &format!("{TICKET}00")), "has no finished line");
    spoiled(|bus| without(bus, &format!("{TICKET}04")), "05.json has no finished line");
    spoiled(|bus| append(bus, &line(0, ",\"outcome\":\"other\"")), "is finished in two ways");
    spoiled(|bus| append(bus, "{\"ticket\":\"never-finished\",\"at"), "is torn and not completed");
    spoiled(|bus| append(bus, "not a line"), "is torn and not completed");
    spoiled(|bus| append(bus, "{\"ticket\":\"x\"}\n"), "a line without step");
    let made = perfect();
    append(&made, &format!("{}\n{}", &line(0, "")[..70], line(0, "")));
    assert_eq!(
        made.audit(),
        Vec::<String>::new(),
        "a repeat of a higher term and a torn line that was completed are allowed"
    );
}
