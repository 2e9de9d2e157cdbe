//! `postroom ext libs`: the interfaces that extensions offer each other.

use std::collections::BTreeMap;

use postroom::extension::install::{Survey, is_built_in};
use serde::Serialize;

use super::place::{place, survey};
use crate::cli::print::{Format, NAME};
use crate::cli::table::{Cell, cell, table};
use crate::cli::{Exit, Failure, Global, print, text};

/// Show the libraries that extensions offer: which, by whom, used by whom
#[derive(Debug, clap::Args)]
pub struct Libs {}

#[derive(Serialize)]
struct Report {
    libraries: Vec<Library>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Library {
    interface: String,
    version: Option<String>,
    offered_by: String,
    used_by: Vec<String>,
    functions: BTreeMap<String, String>,
}

impl Libs {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let libraries = libraries(&survey(&place(global)?)?);
        match global.format() {
            Format::Json => print::json(&Report { libraries })?,
            Format::Text if libraries.is_empty() => print::line("no extension offers a library")?,
            Format::Text => {
                let rows: Vec<Vec<Cell>> = libraries.iter().map(row).collect();
                print::text(&table(&["library", "version", "offered by", "used by", "functions"], &rows))?;
            }
        }
        Ok(Exit::Ok)
    }
}

fn libraries(survey: &Survey) -> Vec<Library> {
    let mut libraries = Vec::new();
    for (name, locked) in survey.extensions.iter().filter(|(name, _)| survey.works(name)) {
        for export in locked.interfaces.exports.iter().filter(|export| !is_built_in(export)) {
            let links = survey.resolution.links.iter();
            let of_this = links.filter(|link| {
                link.provider == *name && link.interface == export.name && link.provided == export.version
            });
            let mut used_by: Vec<String> = of_this.map(|link| link.importer.clone()).collect();
            used_by.dedup();
            libraries.push(Library {
                interface: export.name.clone(),
                version: export.version.as_ref().map(ToString::to_string),
                offered_by: name.clone(),
                used_by,
                functions: export.functions.clone(),
            });
        }
    }
    libraries.sort_by(|a, b| (&a.interface, &a.version, &a.offered_by).cmp(&(&b.interface, &b.version, &b.offered_by)));
    libraries
}

fn row(library: &Library) -> Vec<Cell> {
    let names = |names: Vec<&String>| names.into_iter().map(|name| text::field(name)).collect::<Vec<_>>().join(", ");
    vec![
        cell(text::field(&library.interface)).style(NAME),
        cell(library.version.as_deref().map(text::field).unwrap_or_default()),
        cell(text::field(&library.offered_by)),
        cell(names(library.used_by.iter().collect())),
        cell(names(library.functions.keys().collect())),
    ]
}
