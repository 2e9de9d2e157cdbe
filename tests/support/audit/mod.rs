//! Looks at the files of a bus and at nothing else, and says everything that breaks a promise of `bus-format.md`.
//!
//! Strict: what is not expected is a finding, also a file too many. Absent on purpose: any use of the library, so that
//! a mistake shared by writer and reader is seen.
//! Invariant: a bus with no findings holds each dropped message in exactly one end state, with exactly what was to be
//! published for it, and no trace of the work.

mod journal;
mod letters;
mod published;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::value::RawValue;

use super::workload::Sent;
use super::workspace::below;

/// In which moment a bus is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Every service has ended cleanly: no room may be left.
    Ended,
    /// A service runs and should have nothing to do: its room may hold its own files, but no message.
    Idle,
}

/// What one audit is about.
struct Audit<'a> {
    bus: &'a Path,
    sent: &'a [Sent],
    apart: &'a dyn Fn(&Path) -> bool,
    findings: Vec<String>,
}

/// The members of a JSON object with the text of each as it was written.
type Members = BTreeMap<String, Box<RawValue>>;

/// Everything that is wrong with the bus, a sentence each. Empty: nothing is.
pub fn audit(bus: &Path, sent: &[Sent], moment: Moment) -> Vec<String> {
    audit_beside(bus, sent, moment, &|_| false)
}

/// The same, but for the files that are `apart`, by their paths in the bus: those the caller looks at himself.
pub fn audit_beside(bus: &Path, sent: &[Sent], moment: Moment, apart: &dyn Fn(&Path) -> bool) -> Vec<String> {
    let mut audit = Audit { bus, sent, apart, findings: Vec::new() };
    audit.nothing_foreign();
    audit.nothing_at_work(moment);
    audit.nothing_open_to_others();
    audit.dead_letters();
    audit.archive();
    audit.inboxes();
    audit.agents();
    audit.journals();
    audit.findings
}

impl Audit<'_> {
    fn find(&mut self, finding: impl Into<String>) {
        self.findings.push(finding.into());
    }

    /// The paths of all files (not folders) below a folder of the bus, relative to the bus.
    fn files(&self, folder: &str) -> Vec<PathBuf> {
        let below = below(&self.bus.join(folder));
        let files = below.into_iter().filter(|path| !path.is_dir());
        let names = files.map(|path| path.strip_prefix(self.bus).expect("below the bus").to_owned());
        names.filter(|name| !(self.apart)(name)).collect()
    }

    fn bytes(&mut self, path: &Path) -> Vec<u8> {
        match fs::read(self.bus.join(path)) {
            Ok(bytes) => bytes,
            Err(why) => {
                self.find(format!("{} cannot be read: {why}", path.display()));
                Vec::new()
            }
        }
    }

    fn object(&mut self, path: &Path) -> Members {
        let bytes = self.bytes(path);
        match serde_json::from_slice(&bytes) {
            Ok(members) => members,
            Err(why) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                self.find(format!("{} is not a JSON object: {why}: {text:?}", path.display()));
                Members::new()
            }
        }
    }

    /// The bus folder holds its own folders and nothing else: no drop file is left, no temporary one.
    fn nothing_foreign(&mut self) {
        const KNOWN: [&str; 10] = [
            "inbox",
            "deferred",
            "held",
            "dead-letter",
            "archive",
            "agents",
            "processing",
            ".postroom",
            "README.md",
            "schema",
        ];
        for entry in fs::read_dir(self.bus).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !KNOWN.contains(&name.as_str()) {
                self.find(format!("{name} is left in the bus folder"));
            }
        }
    }

    fn nothing_at_work(&mut self, moment: Moment) {
        for folder in ["deferred", "held"] {
            for path in self.files(folder) {
                self.find(format!("{} still waits", path.display()));
            }
        }
        match moment {
            Moment::Ended => {
                for path in below(&self.bus.join("processing")) {
                    let name = path.strip_prefix(self.bus).unwrap_or(&path).display().to_string();
                    self.find(format!("{name} is left of a room"));
                }
            }
            Moment::Idle => {
                let bus = self.bus;
                let at_work = |path: &&PathBuf| names_a_message(path) || is_filled_ahead(&bus.join(path));
                for path in self.files("processing").iter().filter(at_work) {
                    self.find(format!("{} is still at work", path.display()));
                }
            }
        }
        let scratch = |path: &&PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.starts_with(".tmp") || name.ends_with(".tmp") || name.ends_with(".new")
        };
        for path in self.files(".postroom").iter().filter(scratch) {
            self.find(format!("{} is left of a write", path.display()));
        }
    }

    fn nothing_open_to_others(&mut self) {
        for path in below(self.bus) {
            let Ok(meta) = fs::symlink_metadata(&path) else {
                continue;
            };
            let mode = meta.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                let name = path.strip_prefix(self.bus).unwrap_or(&path).display().to_string();
                self.find(format!("{name} is open to others: mode {mode:04o}"));
            }
        }
    }
}

/// A message or an effect in a room carries `~` between ticket and name; the service's own files do not.
fn names_a_message(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.contains('~') || name.ends_with(".json")
}

/// A file made ahead is empty until it is staged, and then soon published.
fn is_filled_ahead(path: &Path) -> bool {
    let is_ahead = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("+ahead."));
    is_ahead && fs::metadata(path).is_ok_and(|meta| meta.len() > 0)
}

/// A member that must be a string; absent or otherwise: nothing.
fn text(members: &Members, name: &str) -> Option<String> {
    members.get(name).and_then(|raw| serde_json::from_str(raw.get()).ok())
}
