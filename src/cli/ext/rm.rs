//! `postroom ext rm`.

use postroom::extension::install::Dependents;
use serde::Serialize;

use super::place::{installer, place, runtime};
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
}

impl Rm {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let mut installer = installer(place(global)?, &runtime()?)?;
        let dependents = if self.cascade { Dependents::RemoveToo } else { Dependents::Refuse };
        let removed = installer.remove(&self.name, dependents)?;
        match global.format() {
            Format::Json => print::json(&Report { removed })?,
            Format::Text => {
                let lines: String = removed.iter().map(|name| format!("removed  {}\n", text::field(name))).collect();
                print::text(&lines)?;
            }
        }
        Ok(Exit::Ok)
    }
}
