//! `wit/log.wit`: lines about an attempt, for its story.
//!
//! Invariant: an attempt keeps at most [`MOST_LINES`] lines of at most [`MOST_BYTES`] bytes, and one more that says if there were more, whatever
//! extensions took part.

use std::sync::Arc;

use wasmtime::component::{ComponentType, Lift, LinkerInstance};

use crate::extension::tenant::{Importer, Tenant};
use crate::extension::{Level, LogLine};

/// Lines of an attempt; see `wit/log.wit`.
const MOST_LINES: usize = 64;
/// Bytes of a line; see `wit/log.wit`.
const MOST_BYTES: usize = 1024;

/// `level` of `wit/log.wit`.
#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "its values come out of the guest's memory, where the compiler does not look")]
enum GuestLevel {
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

pub(super) fn add(interface: &mut LinkerInstance<'_, Tenant>, importer: &Arc<Importer>) -> wasmtime::Result<()> {
    let importer = importer.clone();
    interface.func_wrap("write", move |store, (level, text): (GuestLevel, String)| {
        let chain = &store.data().chain;
        chain.count_host_call()?;
        write(&mut chain.collected().log, &importer.name, level.into(), text);
        Ok(())
    })
}

impl From<GuestLevel> for Level {
    fn from(level: GuestLevel) -> Level {
        match level {
            GuestLevel::Debug => Level::Debug,
            GuestLevel::Info => Level::Info,
            GuestLevel::Warn => Level::Warn,
            GuestLevel::Error => Level::Error,
        }
    }
}

/// Adds a line, or what of it there is room for.
pub(super) fn write(log: &mut Vec<LogLine>, extension: &str, level: Level, text: String) {
    let line = |level, text| LogLine { extension: extension.to_owned(), level, text };
    match log.len() {
        ..MOST_LINES => log.push(line(level, cut(text))),
        MOST_LINES => log.push(line(Level::Warn, format!("more than {MOST_LINES} lines; what follows is not kept"))),
        _ => {}
    }
}

/// At most [`MOST_BYTES`], with what was cut off in words.
fn cut(mut text: String) -> String {
    if text.len() <= MOST_BYTES {
        return text;
    }
    let said = format!(" ... ({} bytes in all)", text.len());
    text.truncate(text.floor_char_boundary(MOST_BYTES - said.len()));
    text + &said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_and_that_is_said() {
        assert_eq!(cut("x".repeat(1024)), "x".repeat(1024));
        let line = cut("ä".repeat(513));
        assert!(line.len() <= 1024, "{}", line.len());
        assert!(line.starts_with("ää") && line.ends_with(" ... (1026 bytes in all)"), "{line}");
    }

    #[test]
    fn the_line_after_the_last_one_says_that_there_are_more() {
        let mut log = Vec::new();
        for number in 0..100 {
            write(&mut log, "it", Level::Info, number.to_string());
        }
        assert_eq!(log.len(), 65);
        assert_eq!((log[63].text.as_str(), log[63].level), ("63", Level::Info));
        assert_eq!(
            (log[64].text.as_str(), log[64].level),
            ("more than 64 lines; what follows is not kept", Level::Warn)
        );
    }
}
