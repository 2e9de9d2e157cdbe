//! `postroom dead-letter list`.

use serde::Serialize;

use super::{Letter, all, recipient};
use crate::cli::print::{BAD, Format};
use crate::cli::table::{Cell, NAME_LEFT, cell, number, table_without};
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
            Format::Text => print::text(&shown(&dead_letters, units::now_ms()))?,
        }
        Ok(Exit::Ok)
    }
}

fn shown(letters: &[Letter], now_ms: u64) -> String {
    let by_id = letters.iter().all(is_known_by_id);
    let rows: Vec<Vec<Cell>> = letters.iter().map(|letter| row(letter, by_id, now_ms)).collect();
    // What a narrow terminal does without, in this order.
    let expendable = &["ticket", "from", "action", "to"][usize::from(!by_id)..];
    table_without(expendable, &["age", "ticket", "why", "id", "from", "to", "action", "because"], &rows)
}

/// Ticket or id must be whole, as `show` and `retry` want it: the id, which people know, if each has one that can be shown.
fn is_known_by_id(letter: &Letter) -> bool {
    let id = letter.why.as_ref().and_then(|why| why.id.as_ref());
    id.is_some_and(|id| id.len() <= NAME_LEFT)
}

fn row(letter: &Letter, by_id: bool, now_ms: u64) -> Vec<Cell> {
    let ticket = cell(text::field(&letter.ticket)).whole();
    let Some(why) = &letter.why else {
        return vec![number("?"), ticket, cell("no reason is there").style(BAD)];
    };
    let field = |text: &Option<String>| cell(text.as_deref().map_or_else(|| "?".into(), text::field));
    // What is no message has no id, but its writer gave the file a name.
    let id = field(if why.id.is_some() { &why.id } else { &why.dropped_as });
    vec![
        number(units::span(now_ms.saturating_sub(why.at))),
        ticket,
        cell(text::field(&why.code)).style(BAD).code(),
        if by_id { id.key() } else { id },
        field(&why.sender),
        cell(recipient(why)),
        field(&why.action),
        cell(text::field(&why.message)),
    ]
}
