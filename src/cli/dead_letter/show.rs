//! `postroom dead-letter show`.

use postroom::bus::view::View;
use serde::Serialize;

use super::{Letter, all, named, recipient};
use crate::cli::print::{BOLD, DIM, Format, styled};
use crate::cli::{Exit, Failure, Global, print, text};

/// How much of a dead letter is shown.
const MESSAGE_MAX: u64 = 64 << 20;

/// Show a dead letter: why, and the message as it came
#[derive(Debug, clap::Args)]
pub struct Show {
    /// Its ticket, or the message's id
    ticket: String,
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    letter: Letter,
    /// The file as text; what is no UTF-8 in it is replaced. Null for what is no regular file, or too large to show.
    text: Option<String>,
}

impl Show {
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let view = global.workspace()?.view()?;
        for letter in named(all(&view)?, &self.ticket)? {
            let text = content(&view, &letter);
            match global.format() {
                Format::Json => print::json(&Report { letter, text })?,
                Format::Text => print::text(&shown(&letter, text.as_deref()))?,
            }
        }
        Ok(Exit::Ok)
    }
}

fn content(view: &View, letter: &Letter) -> Option<String> {
    // What cannot be read is a link, a FIFO or the like: that is why it is here.
    let bytes = view.read(&letter.path, MESSAGE_MAX).ok().flatten()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn shown(letter: &Letter, content: Option<&str>) -> String {
    let mut out = String::new();
    let mut line =
        |name: &str, value: &str| out.push_str(&format!("{}  {value}\n", styled(DIM, format!("{name:<10}"))));
    line("ticket", &styled(BOLD, text::field(&letter.ticket)));
    line("file", &text::path(&letter.path));
    match &letter.why {
        None => line("why", "no reason is there, or it cannot be read"),
        Some(why) => {
            line("why", &format!("{}: {}", text::field(&why.code), text::sentence(&why.message)));
            if let Some(hint) = &why.hint {
                line("hint", &text::sentence(hint));
            }
            line("at", &postroom::bus::time::readable(why.at));
            line("attempts", &why.attempts.to_string());
            let optional =
                [("dropped as", &why.dropped_as), ("id", &why.id), ("from", &why.sender), ("action", &why.action)];
            for (name, value) in optional {
                if let Some(value) = value {
                    line(name, &text::field(value));
                }
            }
            line("to", &recipient(why));
        }
    }
    match content {
        Some(content) => out.push_str(&format!("\n{}\n", text::json(content))),
        None => out.push_str("\n(not a regular file, or too large to show)\n"),
    }
    out
}
