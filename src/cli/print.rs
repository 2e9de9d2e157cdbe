//! Where output goes. Data to standard output, everything about it to standard error; styles only where a terminal shows them
//! (`anstream` knows: no terminal, `NO_COLOR`, `TERM=dumb`); JSON one value a line.

use std::io::{self, IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use indicatif::ProgressState;
use serde::Serialize;

use super::Failure;
use super::text;

pub const BOLD: Style = Style::new().bold();
pub const DIM: Style = Style::new().dimmed();
pub const GOOD: Style = AnsiColor::Green.on_default();
pub const WARN: Style = AnsiColor::Yellow.on_default();
pub const BAD: Style = AnsiColor::Red.on_default().bold();
pub const NAME: Style = AnsiColor::Cyan.on_default();

/// Text in a style.
pub fn styled(style: Style, text: impl std::fmt::Display) -> String {
    let text = text.to_string();
    if text.is_empty() { text } else { format!("{style}{text}{style:#}") }
}

/// How a command that prints data prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For programs: one JSON value a line, in the shapes of `docs/commands.md`.
    Json,
}

/// Prints text that is fit to be shown, and makes sure that it is out.
pub fn text(out: &str) -> Result<(), Failure> {
    let mut stdout = anstream::stdout().lock();
    stdout.write_all(out.as_bytes()).and_then(|()| stdout.flush()).map_err(|e| Failure::output(&e))
}

/// How many characters a line of the terminal takes that shows the output; `None` where it goes elsewhere, or nobody knows.
pub fn width() -> Option<usize> {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&stdout).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Prints one line.
pub fn line(out: &str) -> Result<(), Failure> {
    text(&format!("{out}\n"))
}

/// Prints one value as JSON on a line of its own.
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    let out = serde_json::to_string(value).expect("our own types are always JSON");
    line(&text::json(&out))
}

/// Prints a message's own JSON text.
pub fn stranger_json(out: &str) -> Result<(), Failure> {
    line(&text::json(out))
}

/// Says something about the work on standard error.
pub fn note(out: &str) {
    // A closed standard error takes nothing from the work.
    let _ = writeln!(anstream::stderr().lock(), "{out}");
}

pub fn error_line(message: &str) {
    note(&format!("{} {message}", styled(BAD, "error:")));
}

pub fn hint_line(hint: &str) {
    note(&format!(" {} {hint}", styled(GOOD, "hint:")));
}

/// Is anybody watching the progress of long work?
pub fn shows_progress() -> bool {
    io::stderr().is_terminal()
}

/// A progress bar on a terminal, nothing in a pipe.
pub fn progress(total: u64, what: &'static str) -> indicatif::ProgressBar {
    if !shows_progress() {
        return indicatif::ProgressBar::hidden();
    }
    let style = indicatif::ProgressStyle::with_template("{msg} {bar:32} {pos}/{len} {rate} {eta}");
    let bar = indicatif::ProgressBar::new(total).with_message(what);
    match style {
        // indicatif's own rate has four decimal places.
        Ok(style) => bar.with_style(style.with_key("rate", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            // There is nobody to tell if a terminal's line cannot be put together.
            let _ = write!(out, "{:.0}/s", state.per_sec());
        })),
        // The template is a constant; the plain style does as well.
        Err(_) => bar,
    }
}
