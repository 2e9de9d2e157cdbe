//! The journals: every message that ended has its one last line.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::letters::ticket;
use super::{Audit, Members, text};

impl Audit<'_> {
    /// Each archived file's ticket has exactly one `finished` line once repeats are left out as the commit protocol
    /// says (of two lines for one step the higher term counts); every other line parses, or is a torn one whose
    /// ticket was finished in another.
    pub(super) fn journals(&mut self) {
        let mut finished: BTreeMap<String, Vec<Members>> = BTreeMap::new();
        let mut torn = Vec::new();
        for path in self.files("archive").into_iter().filter(|path| path.ends_with("journal.jsonl")) {
            let bytes = self.bytes(&path);
            for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let Ok(members) = serde_json::from_slice::<Members>(line) else {
                    torn.push(String::from_utf8_lossy(line).into_owned());
                    continue;
                };
                match (text(&members, "step").as_deref(), text(&members, "ticket")) {
                    (Some("finished"), Some(ticket)) => finished.entry(ticket).or_default().push(members),
                    (Some(_), _) => {}
                    (None, _) => self.find(format!("{}: a line without step: {}", path.display(), show(line))),
                }
            }
        }
        for line in torn {
            // Cut before its ticket, it may be anybody's; whose it was must have his whole line then, like everybody.
            let cut_early = line.starts_with('{') && !line.contains("\"ticket\":\"");
            let cut_inside = line.rsplit_once("\"ticket\":\"").is_some_and(|(_, rest)| !rest.contains('"'));
            let completed = finished.keys().any(|ticket| line.contains(ticket.as_str()));
            if !cut_early && !cut_inside && !completed {
                self.find(format!("a journal line is torn and not completed: {line:?}"));
            }
        }
        self.one_finish_each(&finished);
    }

    fn one_finish_each(&mut self, finished: &BTreeMap<String, Vec<Members>>) {
        for (ticket, lines) in finished {
            let differs = |line: &&Members| !same_story(line, &lines[0]);
            if let Some(other) = lines.iter().find(differs) {
                let tell = |line: &Members| format!("{line:?}");
                let both = format!("{} and {}", tell(&lines[0]), tell(other));
                self.find(format!("{ticket} is finished in two ways: {both}"));
            }
        }
        let mut ended: Vec<PathBuf> = self.archived();
        ended.extend(self.files("dead-letter"));
        for path in ended {
            if ticket(&path).is_some_and(|(ticket, _)| !finished.contains_key(&ticket)) {
                self.find(format!("{} has no finished line in the journal", path.display()));
            }
        }
    }
}

/// Whether two lines tell the same but for who wrote them and when.
fn same_story(one: &Members, other: &Members) -> bool {
    const WHO_AND_WHEN: [&str; 5] = ["at", "term", "instance", "n", "ms"];
    let story = |line: &Members| {
        let told = line.iter().filter(|(name, _)| !WHO_AND_WHEN.contains(&name.as_str()));
        told.map(|(name, raw)| (name.clone(), raw.get().to_owned())).collect::<Vec<_>>()
    };
    story(one) == story(other)
}

fn show(line: &[u8]) -> String {
    String::from_utf8_lossy(line).into_owned()
}
