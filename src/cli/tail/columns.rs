//! A step as a person at a terminal sees it: one line, whatever the terminal's width.

use postroom::bus::view::JournalLine;

use super::{action, details, id, style_of, who};
use crate::cli::print::{DIM, styled};
use crate::cli::table::{KEY_LEFT, cut, filled, width_of};
use crate::cli::{text, units};

/// The widest that a column gets before what is in it is cut or pushes the rest aside.
const WIDEST: Columns = Columns { id: KEY_LEFT, who: 24, action: 20 };
const STEP: usize = 9;

/// How wide the columns have become. Nobody knows what comes, so they grow with it: short ids leave room for the rest.
#[derive(Clone, Copy, Debug, Default)]
pub struct Columns {
    id: usize,
    who: usize,
    action: usize,
}

impl Columns {
    /// One line with its end, no wider than `width`. The id is cut last; of what has a code the code comes before who and what where
    /// there is no room for all.
    pub fn fitted(&mut self, line: &JournalLine, width: usize) -> String {
        let (clock, id) = (units::clock(line.at), id(line));
        let (who, action) = (who(line), action(line));
        let more = details(line, line.by.as_deref().map(name_and_version));
        grow(&mut self.id, &id, WIDEST.id);
        grow(&mut self.who, &who, WIDEST.who);
        grow(&mut self.action, &action, WIDEST.action);
        let room = width.saturating_sub(width_of(&clock) + STEP + 4);
        let whole = format!("{}  {}  {more}", filled_or_more(&who, self.who), filled_or_more(&action, self.action));
        let left = room.saturating_sub(self.id + 2);
        let rest = match line.code.is_some() && width_of(whole.trim_end()) > left {
            true => with_what_fits(more, [who, action], left),
            false => whole,
        };
        let step = styled(style_of(&line.step), filled(&text::field(&line.step), STEP));
        let (id, rest) = (filled(&id, self.id.min(room)), cut(rest.trim_end(), left));
        format!("{}\n", format!("{}  {step}  {id}  {rest}", styled(DIM, clock)).trim_end())
    }
}

fn with_what_fits(first: String, more: [String; 2], left: usize) -> String {
    more.into_iter().filter(|part| !part.is_empty()).fold(first, |line, part| {
        let longer = format!("{line}  {part}");
        if width_of(&longer) <= left { longer } else { line }
    })
}

/// `hello 1.0 sha256:...`: which very file it was, `trace` says.
fn name_and_version(by: &str) -> String {
    text::field(by.split(" sha256:").next().unwrap_or(by))
}

fn grow(column: &mut usize, text: &str, widest: usize) {
    *column = width_of(text).clamp(*column, widest.max(*column));
}

fn filled_or_more(text: &str, width: usize) -> String {
    filled(text, width.max(width_of(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, more: &str) -> JournalLine {
        let text = format!(
            r#"{{"v":1,"step":"replied","at":1763683200123,"ticket":"t","attempt":1,"term":1,"instance":"i","n":1,"id":"{id}","sender":"me","recipient":"postroom","action":"mcp.core.ping"{more}}}"#
        );
        JournalLine::parse(text.as_bytes()).expect("a line")
    }

    fn plain(columns: &mut Columns, line: &JournalLine, width: usize) -> String {
        anstream::adapter::strip_str(&columns.fitted(line, width)).to_string()
    }

    #[test]
    fn a_step_is_one_line() {
        let id = "0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11";
        let by = r#","by":"hello 1.0 sha256:0123456789abcdef0123456789abcdef","tookUs":1500"#;
        let dead = r#","code":"unknown-recipient""#;
        let code = r#","code":"unknown-recipient","message":"nobody is known as \"x\"""#;
        for width in 40..160 {
            for line in [line("q1", by), line(id, by), line(id, code), line(&"漢".repeat(99), code)] {
                let shown = plain(&mut Columns::default(), &line, width);
                assert!(width_of(shown.trim_end_matches('\n')) <= width, "{width}: {shown}");
                assert!(!shown.contains("sha256"), "{shown}");
            }
        }
        let shown = |line: &JournalLine, width| plain(&mut Columns::default(), line, width);
        assert!(shown(&line(id, by), 80).contains(&format!("{id}  me > postroom")), "{}", shown(&line(id, by), 80));
        assert!(shown(&line(id, code), 80).contains(&format!("{id}  unknown-recipie")));
        assert!(shown(&line(id, dead), 80).ends_with(&format!("{id}  unknown-recipient\n")));
        assert!(shown(&line("q1", by), 80).ends_with("  q1  me > postroom  mcp.core.ping  by hello 1.0, in 1.5…\n"));
    }

    #[test]
    fn columns_grow_and_stay() {
        let mut columns = Columns::default();
        plain(&mut columns, &line("a-longer-id", ""), 80);
        assert!(plain(&mut columns, &line("q1", ""), 80).ends_with("  q1           me > postroom  mcp.core.ping\n"));
    }
}
