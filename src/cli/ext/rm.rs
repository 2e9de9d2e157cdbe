//! `postroom ext rm`.

use std::path::Path;

use postroom::extension::install::{Dependents, Installer};
use serde::Serialize;

use super::place::{at, bus, remover, stored};
use crate::cli::print::Format;
use crate::cli::{Exit, Failure, Global, print, text};

/// Remove an extension
#[derive(Debug, clap::Args)]
pub struct Rm {
    /// The installed extension
    name: String,
    /// Remove everything that needs it, too
    #[arg(long)]
    cascade: bool,
}

#[derive(Serialize)]
struct Report {
    removed: Vec<String>,
    /// What stays of them.
    notes: Vec<String>,
}

impl Rm {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let bus = bus(global)?;
        let mut installer = remover(at(&bus)?)?;
        let dependents = if self.cascade { Dependents::RemoveToo } else { Dependents::Refuse };
        let removed = installer.remove(&self.name, dependents)?;
        let notes = removed.iter().filter_map(|name| stays(&installer, &bus, name)).collect();
        let report = Report { removed, notes };
        match global.format() {
            Format::Json => print::json(&report)?,
            Format::Text => print::text(&shown(&report))?,
        }
        Ok(Exit::Ok)
    }
}

/// What belongs to the name, and not to the file.
fn stays(installer: &Installer, bus: &Path, name: &str) -> Option<String> {
    let granted = |granted: &[String]| match granted {
        [] => String::new(),
        granted => format!(" (it grants {})", granted.join(", ")),
    };
    let table =
        installer.granted_to(name).map(|grants| format!("[extension.{name}] in the settings{}", granted(&grants)));
    let state = stored(bus, name).map(|folder| format!("what it has stored in {}", folder.display()));
    let what: Vec<String> = table.into_iter().chain(state).collect();
    (!what.is_empty()).then(|| format!("stays for the next extension of this name: {}", what.join(", and ")))
}

fn shown(report: &Report) -> String {
    let mut out: String = report.removed.iter().map(|name| format!("removed  {}\n", text::field(name))).collect();
    for note in &report.notes {
        out.push_str(&format!("note     {}\n", text::sentence(note)));
    }
    out
}
