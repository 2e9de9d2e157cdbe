//! Files and folders in the bus's own folders that no service put there. Nobody looks at them: a message among them is never
//! delivered, and nobody hears of that.
//!
//! Hidden names are left out: files that are being written have them, and `.gitkeep` and the like.

use std::path::Path;

use postroom::bus::disk::EntryKind;
use postroom::bus::ids;
use postroom::bus::layout::{self, WaitingName};
use postroom::bus::retention;
use postroom::bus::time;
use postroom::bus::view::View;

use super::strangers::some;
use super::{Finding, Patient};
use crate::cli::{Failure, agents, units};

/// What a folder holds.
struct Kept {
    folder: &'static str,
    belongs: fn(&str, EntryKind) -> bool,
    because: &'static str,
    mend: &'static str,
}

const DROP_IT: &str =
    "a message goes into the bus folder itself: move it there under a new name that ends in .json, or out of the bus";
const MOVE_OUT: &str = "look what it is, and move it out of the bus";

const FOLDERS: [Kept; 8] = [
    Kept {
        folder: "",
        // Whatever else is not known there is ignored and becomes a leftover when it gets old.
        belongs: |name, kind| kind == EntryKind::Folder || !ends_wrong(name),
        because: "only names that end in .json, in small letters, are messages: this one is never taken",
        mend: "rename it so that it ends in .json",
    },
    Kept {
        folder: layout::INBOX,
        belongs: |_, kind| kind == EntryKind::Folder,
        because: "each agent looks into its own folder there: what lies beside the folders is nobody's",
        mend: "move it into the folder of the agent that it is for, or drop it in the bus folder",
    },
    Kept {
        folder: layout::DEFERRED,
        belongs: is_waiting,
        because: "names there say when a message is due; one without is never taken up again",
        mend: DROP_IT,
    },
    Kept {
        folder: layout::HELD,
        belongs: is_waiting,
        because: "names there say whose turn it is; a message without is never taken up again",
        mend: DROP_IT,
    },
    Kept {
        folder: layout::DEAD_LETTER,
        belongs: |name, _| is_dead_letter(name),
        because: "it has no ticket and no reason beside it, so `dead-letter list`, `retry` and `purge` do not see it",
        mend: DROP_IT,
    },
    Kept {
        folder: layout::PROCESSING,
        belongs: |name, kind| kind == EntryKind::Folder && layout::parse_term(name).is_some(),
        because: "the rooms of the services are there; nobody looks at anything else",
        mend: DROP_IT,
    },
    Kept {
        folder: layout::ARCHIVE,
        belongs: |name, kind| match kind {
            EntryKind::Folder => time::is_day(name),
            EntryKind::File => retention::packed_day(name).is_some(),
            EntryKind::Other | EntryKind::Unknown => false,
        },
        because: "the archive has a folder or a packed file for each day; `list`, `trace` and the cleaning up see nothing else",
        mend: MOVE_OUT,
    },
    Kept {
        folder: layout::IDS,
        belongs: |name, kind| kind != EntryKind::Folder && (time::is_day(name) || ids::moved_day(name).is_some()),
        because: "the ids that were seen are kept there, a file for each day; nobody reads or removes anything else",
        mend: MOVE_OUT,
    },
];

/// Is it a message's ending to a person, but not to the service?
fn ends_wrong(name: &str) -> bool {
    !name.ends_with(".json") && name.to_ascii_lowercase().ends_with(".json")
}

fn is_waiting(name: &str, kind: EntryKind) -> bool {
    kind != EntryKind::Folder && WaitingName::parse(name).is_some()
}

fn is_dead_letter(name: &str) -> bool {
    let reason_of = name.strip_suffix(".why.json").map(|start| format!("{start}.json"));
    layout::parse_dead(reason_of.as_deref().unwrap_or(name)).is_some()
}

/// A finding for each folder that has something which does not belong there.
pub fn files(patient: &Patient) -> Vec<Finding> {
    let mut findings = Vec::new();
    for Kept { folder, belongs, because, mend } in &FOLDERS {
        let strangers = names(patient, Path::new(folder), *belongs);
        let (place, path) = match *folder {
            "" => ("the bus folder".to_owned(), "."),
            below => (format!("{below}/"), below),
        };
        findings.extend(foreign(&place, &strangers).map(|it| it.because(*because).mend(*mend).at(path)));
    }
    findings
}

/// The names in a folder that do not belong there, sorted. A folder that cannot be listed is a finding of its own.
fn names(patient: &Patient, folder: &Path, belongs: impl Fn(&str, EntryKind) -> bool) -> Vec<String> {
    let mut names = Vec::new();
    let listed = patient.disk.for_each(folder, |name, kind| {
        let name = name.to_string_lossy();
        if !name.starts_with('.') && kind != EntryKind::Unknown && !belongs(&name, kind) {
            names.push(name.into_owned());
        }
    });
    if listed.is_err() {
        names.clear();
    }
    names.sort_unstable();
    names
}

fn foreign(place: &str, names: &[String]) -> Option<Finding> {
    let count = units::count(names.len(), "file that does not belong there", "files that do not belong there");
    (!names.is_empty()).then(|| Finding::note("foreign-file", format!("{place} has {count}: {}", some(names))))
}

/// Days of the archive that can be neither read nor packed.
pub fn days(patient: &Patient) -> Result<Option<Finding>, Failure> {
    let mut obstacles = Vec::new();
    let is_no_day = |name: &str, kind| kind != EntryKind::Folder || !time::is_day(name);
    for day in names(patient, Path::new(layout::ARCHIVE), is_no_day) {
        let obstacle = retention::obstacle(patient.disk, &day)?;
        obstacles.extend(obstacle.map(|path| path.to_string_lossy().into_owned()));
    }
    let count = units::count(obstacles.len(), "day", "days");
    Ok((!obstacles.is_empty()).then(|| {
        let what = format!("{count} of the archive cannot be read or packed: {}", some(&obstacles));
        Finding::problem("closed-day", what)
            .because("`trace` cannot tell what happened then, and it is neither packed nor removed; all other days are")
            .mend("if it is a folder or a file of the service's, `chown` it to its user and `chmod u+rwX` it; else move it out of the bus")
            .at(layout::ARCHIVE)
    }))
}

/// Days of the archive that are yet to come.
pub fn coming_days(patient: &Patient) -> Option<Finding> {
    let today = time::day(patient.now_ms);
    let is_no_coming_day = |name: &str, _| {
        let day = retention::packed_day(name).map_or(name, |(day, _)| day);
        !time::is_day(day) || day <= today.as_str()
    };
    let coming = names(patient, Path::new(layout::ARCHIVE), is_no_coming_day);
    let count = units::count(coming.len(), "day that is yet to come", "days that are yet to come");
    (!coming.is_empty()).then(|| {
        Finding::note("coming-day", format!("archive/ has {count}: {}", some(&coming)))
            .because("the clock was ahead when they were written, or it is behind now; they are kept until they are old enough")
            .mend("set the clock right if it is wrong; else nothing, or move them out of the bus")
            .at(layout::ARCHIVE)
    })
}

/// Folders in `inbox/` that are no agent's.
pub fn inboxes(patient: &Patient) -> Option<Finding> {
    let is_possible = |name: &str, kind| kind != EntryKind::Folder || agents::name(name).is_some();
    let nobodys = names(patient, Path::new(layout::INBOX), is_possible);
    let count = units::count(nobodys.len(), "folder that no agent can have", "folders that no agent can have");
    (!nobodys.is_empty()).then(|| {
        Finding::note("foreign-folder", format!("inbox/ has {count}: {}", some(&nobodys)))
            .because("a message can only be addressed to an agent id: letters, digits, '.', '_' and '-', and no reserved name")
            .mend("rename it to an agent id, or move it out of the bus")
            .at(layout::INBOX)
    })
}

/// What in `agents/` says of nobody that he has registered.
pub fn registrations(patient: &Patient, view: &View) -> Result<Option<Finding>, Failure> {
    let mut strangers = Vec::new();
    for name in names(patient, Path::new(layout::AGENTS), |_, _| false) {
        let agent = name.strip_suffix(".json").and_then(agents::name);
        let is_registered = match agent {
            Some(agent) => agents::registration(view, &agent)?.is_some_and(|it| it.agent == agent.as_str()),
            None => false,
        };
        if !is_registered {
            strangers.push(name);
        }
    }
    Ok(foreign("agents/", &strangers).map(|it| {
        it.because("the service writes there who has registered; what is no registration is ignored")
            .mend("move it out of the bus; an agent becomes known when it registers (mcp.core.register)")
            .at(layout::AGENTS)
    }))
}
