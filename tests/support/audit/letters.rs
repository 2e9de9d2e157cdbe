//! The two places where a message ends as it came: `archive/` and `dead-letter/`.

use std::path::{Path, PathBuf};

use super::{Audit, text};
use crate::support::workload::{Fate, Sent};

impl Audit<'_> {
    /// Each message that was not refused lies in the archive once, with the bytes that were dropped; of one with several
    /// recipients also each delivery, under the ticket's numbers from 1.
    pub(super) fn archive(&mut self) {
        let mut left: Vec<(&Sent, Option<u32>)> = self.sent.iter().flat_map(archived_as).collect();
        for path in self.archived() {
            let bytes = self.bytes(&path);
            let Some((_, part)) = ticket(&path) else {
                self.find(format!("{} is not named <ticket>~<id>.json", path.display()));
                continue;
            };
            match left.iter().position(|(sent, wanted)| sent.bytes == bytes && *wanted == part) {
                Some(at) => drop(left.remove(at)),
                None => self.find(format!("{} is archived once too often, or not as it came", path.display())),
            }
        }
        for (sent, part) in left {
            let part = part.map_or_else(String::new, |part| format!(" (its delivery {part})"));
            self.find(format!("{sent}{part} is not archived"));
        }
    }

    /// The archived messages: everything in a day's folder but its journal.
    pub(super) fn archived(&mut self) -> Vec<PathBuf> {
        let mut messages = Vec::new();
        for path in self.files("archive") {
            let depth = path.components().count();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match (depth, name.as_str()) {
                (3, "journal.jsonl") => {}
                (4, name) if name.ends_with(".json") && !name.starts_with('.') => messages.push(path),
                _ => self.find(format!("{} does not belong into the archive", path.display())),
            }
        }
        messages
    }

    /// Each refused message lies in `dead-letter/` once, as it came, beside its reason.
    pub(super) fn dead_letters(&mut self) {
        let mut left: Vec<&Sent> = self.sent.iter().filter(|sent| matches!(sent.fate, Fate::Dead { .. })).collect();
        let files = self.files("dead-letter");
        let (reasons, letters): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|path| path.to_string_lossy().ends_with(".why.json"));
        for reason in &reasons {
            let letter = reason.to_string_lossy().replace(".why.json", ".json");
            if !letters.contains(&PathBuf::from(letter)) {
                self.find(format!("{} stands beside no letter", reason.display()));
            }
        }
        for letter in &letters {
            let bytes = self.bytes(letter);
            match left.iter().position(|sent| sent.bytes == bytes) {
                Some(at) => {
                    let sent = left.remove(at);
                    self.reason(letter, sent);
                }
                None => {
                    let why = PathBuf::from(letter.to_string_lossy().replace(".json", ".why.json"));
                    let why = String::from_utf8_lossy(&self.bytes(&why)).into_owned();
                    self.find(format!("{} is dead once too often, or not as it came: {why}", letter.display()));
                }
            }
        }
        left.into_iter().for_each(|sent| self.find(format!("{sent} is not in dead-letter/")));
    }

    fn reason(&mut self, letter: &Path, sent: &Sent) {
        let Fate::Dead { code, answer } = &sent.fate else {
            return;
        };
        let path = PathBuf::from(letter.to_string_lossy().replace(".json", ".why.json"));
        let why = self.object(&path);
        let mut expect = |name: &str, value: &str| {
            let found = text(&why, name);
            if found.as_deref() != Some(value) {
                self.findings.push(format!("{} says {name} {found:?} instead of {value:?}", path.display()));
            }
        };
        expect("code", code);
        expect("droppedAs", &sent.file);
        if let Some(answer) = answer {
            expect("id", &answer.id);
            expect("sender", &answer.sender);
        }
        for name in ["message", "at", "attempts"] {
            if !why.contains_key(name) {
                self.find(format!("{} has no {name}", path.display()));
            }
        }
    }
}

/// How often a message is archived: as a whole, and each of several deliveries.
fn archived_as(sent: &Sent) -> Vec<(&Sent, Option<u32>)> {
    let deliveries = match &sent.fate {
        Fate::Dead { .. } => return Vec::new(),
        Fate::Delivered { to, .. } if to.len() > 1 => to.len(),
        Fate::Delivered { .. } | Fate::Replied { .. } | Fate::Registered { .. } | Fate::Duplicate => 0,
    };
    let parts = (1..).take(deliveries).map(|part| (sent, Some(part)));
    std::iter::once((sent, None)).chain(parts).collect()
}

/// The ticket in a name `<ticket>~<rest>`: a UUID, with `.<k>` when it is one delivery of several; and that k.
pub(super) fn ticket(path: &Path) -> Option<(String, Option<u32>)> {
    let name = path.file_name()?.to_str()?;
    let (ticket, _) = name.split_once('~')?;
    let (whole, part) = match ticket.split_once('.') {
        Some((whole, part)) => (whole, Some(part.parse().ok()?)),
        None => (ticket, None),
    };
    uuid::Uuid::parse_str(whole).ok().map(|_| (ticket.to_owned(), part))
}
