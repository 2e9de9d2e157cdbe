//! The notes themselves: one key a note, and one for the next number.
//!
//! Two messages at once read the same next number; then one of them commits, and the other attempt is made again by the service, because
//! a key that it has read has changed. So no number is given twice, with nothing done for that here.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::postroom::extension::{log, state};
use crate::{Failure, parsed, refused, settings, stored};

const NEXT: &str = "next";
const PREFIX: &str = "note/";

#[derive(Deserialize, Serialize)]
struct Note {
    number: u64,
    text: String,
}

#[derive(Deserialize)]
struct New {
    text: String,
}

#[derive(Deserialize)]
struct Which {
    number: u64,
}

/// As many digits as the greatest number has, so that the order of the keys is that of the numbers.
fn key(number: u64) -> String {
    format!("{PREFIX}{number:020}")
}

pub fn add(payload: &str) -> Result<String, Failure> {
    let New { text } = parsed(payload, "{\"text\": a string}")?;
    let limit = settings::limit()?;
    if state::keys(PREFIX)?.len() as u64 >= limit {
        log::write(log::Level::Warn, "no room for another note");
        return Err(refused("too-many-notes", format!("there are {limit} notes; remove one first")));
    }
    let number = match state::get(NEXT)? {
        Some(value) => stored(NEXT, &value)?,
        None => 1,
    };
    state::set(NEXT, (number + 1).to_string().as_bytes())?;
    state::set(&key(number), json!({ "number": number, "text": text }).to_string().as_bytes())?;
    log::write(log::Level::Info, &format!("note {number} has {} bytes", text.len()));
    Ok(json!({ "number": number }).to_string())
}

pub fn list() -> Result<String, Failure> {
    let notes: Vec<Note> = all()?;
    Ok(json!(notes).to_string())
}

pub fn texts() -> Result<Vec<String>, Failure> {
    Ok(all()?.into_iter().map(|note| note.text).collect())
}

fn all() -> Result<Vec<Note>, Failure> {
    let mut notes = Vec::new();
    for key in state::keys(PREFIX)? {
        if let Some(value) = state::get(&key)? {
            notes.push(stored(&key, &value)?);
        }
    }
    Ok(notes)
}

pub fn remove(payload: &str) -> Result<String, Failure> {
    let Which { number } = parsed(payload, "{\"number\": that of a note}")?;
    let key = key(number);
    let Some(value) = state::get(&key)? else {
        return Err(refused("no-such-note", format!("there is no note {number}")));
    };
    let note: Note = stored(&key, &value)?;
    state::delete(&key)?;
    Ok(json!(note).to_string())
}
