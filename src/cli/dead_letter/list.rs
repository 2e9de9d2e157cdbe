//! `postroom dead-letter list`.

use serde::Serialize;

use super::{Letter, Why, all, recipient};
use crate::cli::print::{BAD, Format};
use crate::cli::table::{Cell, KEY_LEFT, cell, is_shown_whole, number, table_without};
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
    let headings = ["age", "ticket", "why", "id", "from", "to", "action", "because"];
    let rows: Vec<Vec<Cell>> = letters.iter().map(|letter| row(letter, now_ms)).collect();
    if is_shown_whole(&headings, &rows) {
        return table_without(&[], &headings, &rows);
    }
    let rows: Vec<Vec<Cell>> = letters.iter().map(|letter| short_row(letter, now_ms)).collect();
    let headings = ["age", "id or ticket", "why", "from", "to", "action", "because"];
    table_without(&["from", "action", "to"], &headings, &rows)
}

fn row(letter: &Letter, now_ms: u64) -> Vec<Cell> {
    let ticket = cell(text::field(&letter.ticket));
    let Some(why) = &letter.why else { return vec![number("?"), ticket, without_reason()] };
    let id = cell(field(if why.id.is_some() { &why.id } else { &why.dropped_as }));
    let [age, code, from, to, action] = common(why, now_ms);
    vec![age, ticket, code, id, from, to, action, cell(text::field(&why.message))]
}

/// For a narrow terminal: one name is enough for `show` and `retry`, but it must be whole.
fn short_row(letter: &Letter, now_ms: u64) -> Vec<Cell> {
    let id = letter.why.as_ref().and_then(|why| why.id.as_ref()).filter(|id| id.len() <= KEY_LEFT);
    let name = cell(text::field(id.unwrap_or(&letter.ticket))).key();
    let Some(why) = &letter.why else { return vec![number("?"), name, without_reason()] };
    let [age, code, from, to, action] = common(why, now_ms);
    // What is no message has no id, but its writer knows the name that he gave the file.
    let dropped_as =
        why.dropped_as.as_ref().filter(|_| why.id.is_none()).map(|name| format!("{}: ", text::field(name)));
    let because = format!("{}{}", dropped_as.unwrap_or_default(), text::field(&why.message));
    vec![age, name, code, from, to, action, cell(because)]
}

/// Age, code, from, to, action.
fn common(why: &Why, now_ms: u64) -> [Cell; 5] {
    [
        number(units::span(now_ms.saturating_sub(why.at))),
        cell(text::field(&why.code)).style(BAD).code(),
        cell(field(&why.sender)),
        cell(recipient(why)),
        cell(field(&why.action)),
    ]
}

fn without_reason() -> Cell {
    cell("no reason is there").style(BAD)
}

fn field(text: &Option<String>) -> String {
    text.as_deref().map_or_else(|| "?".into(), text::field)
}
