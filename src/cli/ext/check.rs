//! `postroom ext check`: loads everything as a service would, and names what does not load.

use postroom::extension::cache::Cache;
use postroom::extension::install::LockState;
use serde::Serialize;

use super::place::{place, runtime};
use crate::cli::print::{BAD, Format, GOOD, styled};
use crate::cli::{Exit, Failure, Global, print, text, units};

/// Load every extension as a service would, and name what does not load
#[derive(Debug, clap::Args)]
pub struct Check {}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    ok: Vec<String>,
    broken: Vec<Broken>,
    /// `current`, `absent`, `behind` or `damaged`.
    lock: &'static str,
    /// Compiled code that was not trusted, or cannot be kept.
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Broken {
    name: String,
    reason: String,
}

impl Check {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let place = place(global)?;
        let (survey, (broken, mut notes)) = runtime()?.block_on(async {
            // First, so that what is wrong with the cache is found here.
            let loaded = place.load_all().await?;
            Ok::<_, Failure>((place.survey().await?, loaded))
        })?;
        let is_broken = |name: &String| broken.iter().any(|broken| broken.name == *name);
        if let Some(trouble) = Cache::of_user().trouble().map(ToString::to_string) {
            // It may be among them already.
            notes.retain(|note| *note != trouble);
            notes.push(trouble);
        }
        let report = Report {
            ok: survey.extensions.keys().filter(|name| !is_broken(name)).cloned().collect(),
            lock: match survey.lock {
                LockState::Current => "current",
                LockState::Absent => "absent",
                LockState::Behind { .. } => "behind",
                LockState::Damaged { .. } => "damaged",
            },
            notes,
            broken: broken.into_iter().map(|broken| Broken { name: broken.name, reason: broken.reason }).collect(),
        };
        match global.format() {
            Format::Json => print::json(&report)?,
            Format::Text => print::text(&shown(&report))?,
        }
        Ok(if report.broken.is_empty() { Exit::Ok } else { Exit::Problems })
    }
}

fn shown(report: &Report) -> String {
    let mut out = String::new();
    for name in &report.ok {
        out.push_str(&format!("{}      {}\n", styled(GOOD, "ok"), text::field(name)));
    }
    for Broken { name, reason } in &report.broken {
        out.push_str(&format!("{}  {}: {}\n", styled(BAD, "broken"), text::field(name), text::sentence(reason)));
    }
    for note in &report.notes {
        out.push_str(&format!("note    {}\n", text::sentence(note)));
    }
    let installed = report.ok.len() + report.broken.len();
    out + &format!(
        "{}, {} broken, extensions.lock is {}\n",
        units::count(installed, "extension", "extensions"),
        report.broken.len(),
        report.lock
    )
}
