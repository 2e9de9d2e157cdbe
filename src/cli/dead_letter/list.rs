//! `postroom dead-letter list`.

use serde::Serialize;

use super::{Letter, all, recipient};
use crate::cli::print::{BAD, Format};
use crate::cli::table::{Cell, cell, number, table};
use crate::cli::{Exit, Failure, Global, print, text, units};

/// List the dead letters, oldest first
#[derive(Debug, clap::Args)]
pub struct List {}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    dead_letters: Vec<Letter>,
}

impl List {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let dead_letters = all(&global.workspace()?.view()?)?;
        match global.format() {
            Format::Json => print::json(&Report { dead_letters })?,
            Format::Text if dead_letters.is_empty() => print::line("no dead letters")?,
            Format::Text => {
                let now_ms = units::now_ms();
                let rows: Vec<Vec<Cell>> = dead_letters.iter().map(|letter| row(letter, now_ms)).collect();
                print::text(&table(&["age", "ticket", "why", "id", "from", "to", "action", "because"], &rows))?;
            }
        }
        Ok(Exit::Ok)
    }
}

fn row(letter: &Letter, now_ms: u64) -> Vec<Cell> {
    let Some(why) = &letter.why else {
        return vec![number("?"), cell(text::field(&letter.ticket)).whole(), cell("no reason is there").style(BAD)];
    };
    let field = |text: &Option<String>| cell(text.as_deref().map_or_else(|| "?".into(), text::field));
    vec![
        number(units::span(now_ms.saturating_sub(why.at))),
        cell(text::field(&letter.ticket)).whole(),
        cell(text::field(&why.code)).style(BAD),
        field(&why.id),
        field(&why.sender),
        cell(recipient(why)),
        field(&why.action),
        cell(text::field(&why.message)),
    ]
}
