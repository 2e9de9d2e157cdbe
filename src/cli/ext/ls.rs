//! `postroom ext ls`.

use std::path::PathBuf;

use postroom::extension::ComponentHash;
use postroom::extension::install::{LockState, Survey};
use serde::Serialize;

use super::place::{place, survey};
use crate::cli::print::{BAD, Format, NAME};
use crate::cli::table::{Cell, cell, number, table};
use crate::cli::{Exit, Failure, Global, print, text, units};

/// List the installed extensions
#[derive(Debug, clap::Args)]
pub struct Ls {}

#[derive(Serialize)]
struct Report {
    folder: PathBuf,
    extensions: Vec<Row>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    name: String,
    /// Null for what could not be looked at.
    sha256: Option<ComponentHash>,
    version: String,
    description: String,
    actions: Vec<String>,
    capabilities: Vec<String>,
    bytes: Option<u64>,
    subcommand: Option<String>,
    /// Why it cannot be used.
    broken: Option<String>,
}

impl Ls {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let place = place(global)?;
        let survey = survey(&place)?;
        let rows = rows(&survey);
        match global.format() {
            Format::Json => print::json(&Report { folder: place.folder, extensions: rows })?,
            Format::Text if rows.is_empty() => print::line("no extensions are installed")?,
            Format::Text => {
                let cells: Vec<Vec<Cell>> = rows.iter().map(shown).collect();
                print::text(&table(&["name", "version", "size", "state", "what it is"], &cells))?;
            }
        }
        if let LockState::Behind { .. } | LockState::Damaged { .. } = survey.lock {
            print::note(
                "extensions.lock does not say what is there; the next `postroom ext add` or `upgrade` mends that",
            );
        }
        Ok(Exit::Ok)
    }
}

fn rows(survey: &Survey) -> Vec<Row> {
    let reason = |name: &str| survey.broken.iter().find(|broken| broken.name == name).map(|it| it.reason.clone());
    let mut rows: Vec<Row> = survey
        .extensions
        .iter()
        .map(|(name, locked)| Row {
            name: name.clone(),
            sha256: Some(locked.sha256),
            version: locked.about.version.clone(),
            description: locked.about.description.clone(),
            actions: locked.about.actions.clone(),
            capabilities: locked.about.capabilities.clone(),
            bytes: Some(locked.stamp.bytes),
            subcommand: locked.subcommand.as_ref().map(|subcommand| subcommand.name.clone()),
            broken: reason(name),
        })
        .collect();
    let unknown = survey.broken.iter().filter(|broken| !survey.extensions.contains_key(&broken.name));
    rows.extend(unknown.map(|broken| Row {
        name: broken.name.clone(),
        sha256: None,
        version: String::new(),
        description: String::new(),
        actions: Vec::new(),
        capabilities: Vec::new(),
        bytes: None,
        subcommand: None,
        broken: Some(broken.reason.clone()),
    }));
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

fn shown(row: &Row) -> Vec<Cell> {
    let (state, what) = match &row.broken {
        Some(reason) => (cell("broken").style(BAD), text::sentence(reason)),
        None => (cell("ok"), text::field(&row.description)),
    };
    vec![
        cell(text::field(&row.name)).style(NAME),
        cell(text::field(&row.version)),
        number(row.bytes.map_or_else(|| "?".to_owned(), units::bytes)),
        state,
        cell(what),
    ]
}
