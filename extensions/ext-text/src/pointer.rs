//! JSON Pointer (RFC 6901) over JSON text. What it finds is a piece of that text, so nothing about it changes on the way.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::problem::Problem;

/// How many names of members an error lists.
const NAMES_SHOWN: usize = 8;

pub fn pick<'a>(json: &'a str, pointer: &str) -> Result<&'a str, Problem> {
    let mut here: &RawValue = serde_json::from_str(json).map_err(Problem::not_json)?;
    for (depth, token) in tokens(pointer)?.iter().enumerate() {
        here = step(here, token).map_err(|found| {
            let above = pointer.split('/').take(depth + 1).collect::<Vec<_>>().join("/");
            Problem::NothingThere(format!("`{pointer}` leads nowhere: at `{above}` is {found}, without `{token}`"))
        })?;
    }
    Ok(here.get())
}

/// Each token unescaped.
fn tokens(pointer: &str) -> Result<Vec<String>, Problem> {
    let Some(rest) = pointer.strip_prefix('/') else {
        return match pointer {
            "" => Ok(Vec::new()),
            _ => Err(Problem::NotAPointer(format!(
                "`{pointer}` is not a JSON Pointer: it must be empty or begin with `/`"
            ))),
        };
    };
    rest.split('/').map(|token| unescaped(token, pointer)).collect()
}

fn unescaped(token: &str, pointer: &str) -> Result<String, Problem> {
    let mut plain = String::new();
    let mut characters = token.chars();
    while let Some(character) = characters.next() {
        if character != '~' {
            plain.push(character);
            continue;
        }
        plain.push(match characters.next() {
            Some('0') => '~',
            Some('1') => '/',
            Some(_) | None => {
                let text =
                    format!("`{pointer}` is not a JSON Pointer: `~` must be written `~0`, and `/` in a name `~1`");
                return Err(Problem::NotAPointer(text));
            }
        });
    }
    Ok(plain)
}

/// One step down, or else what stands there.
fn step<'a>(here: &'a RawValue, token: &str) -> Result<&'a RawValue, String> {
    let text = here.get();
    match text.as_bytes().first() {
        Some(b'{') => {
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(|error| error.to_string())?;
            members.get(token).copied().ok_or_else(|| members_of(&members))
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| error.to_string())?;
            let item = index(token).and_then(|index| items.get(index)).copied();
            item.ok_or_else(|| format!("an array of {}", items.len()))
        }
        Some(_) | None => Err("neither an object nor an array".into()),
    }
}

fn members_of(members: &BTreeMap<String, &RawValue>) -> String {
    let shown: Vec<String> = members.keys().take(NAMES_SHOWN).map(|name| format!("`{name}`")).collect();
    match members.len() {
        0 => "an empty object".into(),
        count if count > NAMES_SHOWN => format!("an object with {} and {} more", shown.join(", "), count - NAMES_SHOWN),
        _ => format!("an object with {}", shown.join(", ")),
    }
}

/// Digits without a leading zero, as the RFC has it.
fn index(token: &str) -> Option<usize> {
    let plain = token == "0" || !token.starts_with('0');
    (plain && token.bytes().all(|byte| byte.is_ascii_digit())).then(|| token.parse().ok())?
}
