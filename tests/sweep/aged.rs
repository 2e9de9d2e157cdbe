//! The old days of an archive: put into a bus, and looked for by content wherever they may be.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::running::Scene;
use crate::support::audit::Moment;
use crate::support::workload::{ODD_PAYLOAD, echo};
use crate::support::workspace::{Workspace, below};

const TICKET: &str = "0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e";
/// What somebody else has put into the old day: where, and what it is in the end.
const STRANGERS: [(&str, &str); 2] = [("notes.txt", ""), ("07/mine/more.txt", "more.txt")];

/// What is old in a bus.
pub struct Aged {
    /// To be packed: more than 7 days old.
    day: String,
    /// To be removed, more than 90 days old; and not yet.
    removed: String,
    kept: String,
    /// Because of these the service believes its clock.
    recent: [String; 2],
    /// The archived messages of the day: `<HH>/<name>`, and the text.
    messages: Vec<(String, String)>,
    /// The lines of its journal.
    journal: Vec<String>,
}

/// What a packed file tells.
#[derive(Default)]
struct Told {
    messages: Vec<(String, String)>,
    journal: Vec<String>,
}

fn day(ago: i64) -> String {
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    today.checked_sub(jiff::Span::new().days(ago)).expect("a day").to_string()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("JSON")
}

fn finished(ticket: &str, id: &str, path: &str) -> String {
    format!(
        r#"{{"v":1,"step":"finished","at":1730000000000,"ticket":"{ticket}","attempt":1,"term":1,"instance":"i","n":1,"id":"{id}","nowAt":"{path}"}}"#
    )
}

impl Aged {
    pub fn put_into(workspace: &Workspace) -> Aged {
        let (mut messages, mut journal) = (Vec::new(), Vec::new());
        let old = day(9);
        for (number, hour) in [(1, "07"), (2, "07"), (3, "13")] {
            let (ticket, id) = (format!("{TICKET}0{number}"), format!("old-{number}"));
            let name = format!("{hour}/{ticket}~{id}.json");
            journal.push(finished(&ticket, &id, &format!("archive/{old}/{name}")));
            messages.push((name, text(echo("x.json", "alice", &id, ODD_PAYLOAD).bytes)));
        }
        let recent = [day(1), day(2)];
        let aged = Aged { day: old, removed: day(100), kept: day(30), recent, messages, journal };
        aged.put(workspace);
        aged
    }

    fn put(&self, workspace: &Workspace) {
        for (name, text) in &self.messages {
            workspace.put(&self.path(name), text.as_bytes());
        }
        let journal: String = self.journal.iter().map(|line| format!("{line}\n")).collect();
        workspace.put(&self.path("journal.jsonl"), journal.as_bytes());
        for (name, _) in STRANGERS {
            workspace.put(&self.path(name), name.as_bytes());
        }
        for (index, day) in self.recent.iter().enumerate() {
            workspace.put(&format!("archive/{day}/journal.jsonl"), recent_line(day, index).as_bytes());
        }
        for day in [&self.removed, &self.kept] {
            workspace.put(&format!("archive/{day}.jsonl.zst"), &packed(day));
        }
    }

    fn path(&self, name: &str) -> String {
        format!("archive/{}/{name}", self.day)
    }

    /// Is this path in the bus about the old days?
    pub fn has(&self, path: &Path) -> bool {
        let Ok(name) = path.strip_prefix("archive") else { return false };
        let name = name.to_string_lossy();
        let [one, other] = &self.recent;
        [&self.day, &self.removed, &self.kept, one, other].iter().any(|day| name.starts_with(day.as_str()))
    }

    /// Has the old day its folder still?
    pub fn is_unpacked(&self, bus: &Path) -> bool {
        bus.join(self.path("")).exists()
    }

    /// What is not as it must be when all is done.
    pub fn findings(&self, bus: &Path, moment: Moment) -> Vec<String> {
        let mut findings = self.untouched(bus);
        if self.is_unpacked(bus) {
            findings.push("the old day has a folder still".to_owned());
        }
        let packed = self.packed(bus, &mut findings);
        if packed.is_empty() {
            findings.push("the old day is not packed".to_owned());
        }
        for (file, told) in packed {
            if told.messages != self.messages || told.journal != self.journal {
                findings
                    .push(format!("{file} has the lines {:#?} and the messages {:#?}", told.journal, told.messages));
            }
        }
        findings.extend(self.moved_aside(bus));
        if moment == Moment::Ended {
            findings.extend(self.messages.iter().filter_map(|(name, _)| untold(bus, name)));
        }
        findings
    }

    /// The days that are not old enough are as they were, and the oldest is gone.
    fn untouched(&self, bus: &Path) -> Vec<String> {
        let mut expected: Vec<(String, Vec<u8>)> = Vec::new();
        for (index, day) in self.recent.iter().enumerate() {
            expected.push((format!("archive/{day}/journal.jsonl"), recent_line(day, index).into_bytes()));
        }
        expected.push((format!("archive/{}.jsonl.zst", self.kept), packed(&self.kept)));
        let is_changed = |(path, bytes): &(String, Vec<u8>)| fs::read(bus.join(path)).ok().as_ref() != Some(bytes);
        let changed = expected.iter().filter(|file| is_changed(file)).map(|(path, _)| format!("{path} has changed"));
        let mut findings: Vec<String> = changed.collect();
        for path in below(&bus.join("archive")).iter().filter(|path| path.is_file()) {
            let name = path.strip_prefix(bus).expect("below the bus");
            let is_known = expected.iter().any(|(path, _)| Path::new(path) == name);
            if self.has(name)
                && !is_known
                && !name.starts_with(format!("archive/{}", self.day))
                && !self.is_packed(name)
            {
                findings.push(format!("{} is too much", name.display()));
            }
        }
        findings
    }

    fn is_packed(&self, name: &Path) -> bool {
        let name = name.file_name().unwrap_or_default().to_string_lossy();
        name.strip_prefix(self.day.as_str()).is_some_and(|rest| rest == ".jsonl.zst" || is_numbered(rest))
    }

    /// The names of the files into which the old day is packed.
    pub fn packed_files(&self, bus: &Path) -> Vec<PathBuf> {
        below(&bus.join("archive")).into_iter().filter(|path| self.is_packed(path)).collect()
    }

    fn packed(&self, bus: &Path, findings: &mut Vec<String>) -> Vec<(String, Told)> {
        let mut packed = Vec::new();
        for path in self.packed_files(bus) {
            match fs::File::open(&path).and_then(zstd::decode_all) {
                Ok(lines) => packed.push((path.display().to_string(), told(&text(lines)))),
                Err(why) => findings.push(format!("{} cannot be unpacked: {why}", path.display())),
            }
        }
        packed
    }

    /// What was somebody else's is in `.postroom/found-*`, and nothing else is.
    fn moved_aside(&self, bus: &Path) -> Vec<String> {
        let mut left: Vec<(&str, &str)> = STRANGERS.to_vec();
        let mut findings = Vec::new();
        let private = below(&bus.join(".postroom"));
        let is_found = |path: &Path| {
            let first = path.strip_prefix(bus.join(".postroom")).ok().and_then(|path| path.iter().next());
            first.is_some_and(|name| {
                !["format", "ids", "requests", "answers", "state"].iter().any(|known| name == *known)
            })
        };
        for path in private.iter().filter(|path| path.is_file() && is_found(path)) {
            let bytes = fs::read(path).unwrap_or_default();
            match left.iter().position(|(name, end)| name.as_bytes() == bytes && path.to_string_lossy().ends_with(end))
            {
                Some(at) => drop(left.remove(at)),
                None => findings.push(format!("{} is there", path.display())),
            }
        }
        findings.extend(left.iter().map(|(name, _)| format!("the stranger's {name} is lost")));
        findings
    }

    /// In whatever moment, each message and each line is in the day's folder, wherever that is just now, or packed.
    pub fn nothing_is_lost(&self, scene: &mut Scene, when: &str) {
        let bus = scene.workspace.bus();
        let mut findings = Vec::new();
        let packed = self.packed(bus, &mut findings);
        // What goes under this name is removed, not kept.
        let files: Vec<PathBuf> =
            below(bus).into_iter().filter(|path| !path.to_string_lossy().contains("gone-")).collect();
        let lies = |name: &str, text: &str| {
            let mut files = files.iter().filter(|path| path.ends_with(name));
            files.any(|path| fs::read_to_string(path).is_ok_and(|found| found.contains(text)))
        };
        for message in &self.messages {
            if !lies(&message.0, &message.1) && !packed.iter().any(|(_, told)| told.messages.contains(message)) {
                findings.push(format!("{} is lost", message.0));
            }
        }
        for line in &self.journal {
            if !lies("journal.jsonl", line) && !packed.iter().any(|(_, told)| told.journal.contains(line)) {
                findings.push(format!("a line is lost: {line}"));
            }
        }
        scene.note(when, if findings.is_empty() { Ok(()) } else { Err(findings.join("; ")) });
    }
}

fn recent_line(day: &str, index: usize) -> String {
    let (ticket, id) = (format!("{TICKET}1{index}"), format!("recent-{index}"));
    finished(&ticket, &id, &format!("archive/{day}/13/{ticket}~{id}.json")) + "\n"
}

/// A packed day in which nothing was handled.
fn packed(day: &str) -> Vec<u8> {
    zstd::encode_all(format!("{{\"v\":1,\"step\":\"none\",\"day\":\"{day}\"}}\n").as_bytes(), 1).expect("in memory")
}

/// `~<n>.jsonl.zst`.
fn is_numbered(rest: &str) -> bool {
    let number = rest.strip_prefix('~').and_then(|rest| rest.strip_suffix(".jsonl.zst"));
    number.is_some_and(|number| number.parse::<u32>().is_ok())
}

fn told(text: &str) -> Told {
    let mut told = Told::default();
    for line in text.lines() {
        let value: Value = serde_json::from_str(line).unwrap_or_default();
        match value["step"].as_str() {
            Some("file") => {
                let member = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
                told.messages.push((member("name"), member("text")));
            }
            Some(_) | None => told.journal.push(line.to_owned()),
        }
    }
    told
}

/// `postroom trace` must know the story of the message with this name.
fn untold(bus: &Path, name: &str) -> Option<String> {
    let id = name.split_once('~').and_then(|(_, rest)| rest.strip_suffix(".json")).expect("a name of ours");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_postroom"));
    command.arg("--bus").arg(bus).args(["trace", id, "--json"]).current_dir("/");
    let said = command.output().expect("the program can be started");
    let story: Value = serde_json::from_slice(&said.stdout).unwrap_or_default();
    let is_told = said.status.success() && story["messages"][0]["steps"][0]["step"] == "finished";
    (!is_told).then(|| format!("trace does not find {id}: {story} {}", String::from_utf8_lossy(&said.stderr)))
}
