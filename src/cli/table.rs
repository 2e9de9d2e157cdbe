//! Columns of text, aligned. Widths are counted in the places that a terminal gives to a character: two to a Chinese one.
//!
//! On a terminal a table is as wide as that at most: what one stranger calls himself must not move everything else apart. Columns
//! become narrower, then those go that matter least; what names a thing and says what became of it stays. In a pipe nothing is cut.

use anstyle::Style;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::print::{DIM, styled, width};

/// What is left of columns where a table is too wide, in the order in which it is taken away: first of those wider than the ids that a
/// program gives itself (a UUID); then of the last one, which has the sentences and paths; then of all, before the first column is
/// left out; and when there is none to leave out.
const NAME_LEFT: usize = 36;
const SENTENCE_LEFT: usize = 16;
const USEFUL: usize = 8;
const LEFT: usize = 4;
/// The ids that programs make are no longer: a UUID, and `r1.` before that of a message for the id of its reply.
pub const KEY_LEFT: usize = 40;
/// The codes of the program are shorter.
const CODE_LEFT: usize = 24;

/// One cell: fit to be shown, and in which style.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    style: Style,
    side: Side,
    /// Its column is never cut to less.
    least: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// A cell of plain text.
pub fn cell(text: impl Into<String>) -> Cell {
    Cell { text: text.into(), style: Style::new(), side: Side::Left, least: LEFT }
}

/// A number: it stands at the right of its column.
pub fn number(text: impl std::fmt::Display) -> Cell {
    Cell { side: Side::Right, ..cell(text.to_string()) }.whole()
}

impl Cell {
    pub fn style(mut self, style: Style) -> Cell {
        self.style = style;
        self
    }

    /// It is of no use in part: its column is never cut.
    pub fn whole(self) -> Cell {
        Cell { least: usize::MAX, ..self }
    }

    /// By it people name the thing: it stays whole, unless it is longer than the ids that programs make.
    pub fn key(self) -> Cell {
        Cell { least: KEY_LEFT, ..self }
    }

    /// A code, or another word or two that say what became of it.
    pub fn code(self) -> Cell {
        Cell { least: CODE_LEFT, ..self }
    }

    fn padded(&self, width: usize, is_last: bool) -> String {
        let text = cut(&self.text, width);
        let pad = " ".repeat(width.saturating_sub(text.width()));
        let text = styled(self.style, text);
        match self.side {
            Side::Right => format!("{pad}{text}"),
            Side::Left if is_last => text,
            Side::Left => format!("{text}{pad}"),
        }
    }
}

/// How many places a terminal gives to a text.
pub fn width_of(text: &str) -> usize {
    text.width()
}

/// At most `width` places wide, with `…` at the end where it was cut.
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let fits = |character: &char| {
        let takes = character.width().unwrap_or(0);
        let fits = takes <= left;
        left = left.saturating_sub(takes);
        fits
    };
    let start: String = text.chars().take_while(fits).collect();
    if width == 0 { String::new() } else { start + "…" }
}

/// Cut or filled up to this width.
pub fn filled(text: &str, width: usize) -> String {
    cell(text).padded(width, false)
}

/// The rows under their headings, two spaces between columns, within the terminal if there is one. No rows: nothing.
pub fn table(headings: &[&str], rows: &[Vec<Cell>]) -> String {
    within(width(), headings, &[], rows)
}

/// The same with columns that are left out where the terminal is too narrow for all: these, one after the other.
pub fn table_without(expendable: &[&str], headings: &[&str], rows: &[Vec<Cell>]) -> String {
    within(width(), headings, expendable, rows)
}

/// The same where nothing may be left out, since there is no other place that says it.
pub fn uncut(headings: &[&str], rows: &[Vec<Cell>]) -> String {
    within(None, headings, &[], rows)
}

/// One column: which of the cells of a row is its own, how wide it is, and how wide at least.
#[derive(Clone, Debug)]
struct Column {
    index: usize,
    width: usize,
    least: usize,
}

/// Does the terminal show all of it? A pipe always does.
pub fn is_shown_whole(headings: &[&str], rows: &[Vec<Cell>]) -> bool {
    let columns = columns(headings, rows);
    width().is_none_or(|line| total(&columns) <= line)
}

/// The columns with all that is in them.
fn columns(headings: &[&str], rows: &[Vec<Cell>]) -> Vec<Column> {
    let column = |(index, heading): (usize, &&str)| {
        let cells = || rows.iter().filter_map(|row| row.get(index));
        let width = cells().map(|cell| cell.text.width()).max().unwrap_or(0);
        let least = cells().map(|cell| cell.least).max().unwrap_or(LEFT);
        Column { index, width: width.max(heading.width()), least }
    };
    headings.iter().enumerate().map(column).collect()
}

/// What a line of them takes, with two spaces between.
fn total(columns: &[Column]) -> usize {
    columns.iter().map(|column| column.width).sum::<usize>() + 2 * columns.len().saturating_sub(1)
}

fn within(line: Option<usize>, headings: &[&str], expendable: &[&str], rows: &[Vec<Cell>]) -> String {
    let Some(first) = rows.first() else { return String::new() };
    let columns = columns(headings, rows);
    // A heading stands on the side of its column.
    let side = |column: usize| first.get(column).map_or(Side::Left, |cell| cell.side);
    let named = headings.iter().enumerate();
    let named: Vec<Cell> =
        named.map(|(column, heading)| Cell { side: side(column), ..cell(*heading).style(DIM) }).collect();
    let columns = match line {
        Some(line) => {
            let index = |name: &&str| headings.iter().position(|heading| heading == name);
            fitted(columns, &expendable.iter().filter_map(index).collect::<Vec<_>>(), line)
        }
        None => columns,
    };
    let mut out = String::new();
    for row in [&named].into_iter().chain(rows) {
        let last = row.len().saturating_sub(1);
        let cells = columns.iter().filter_map(|column| row.get(column.index).map(|cell| (column, cell)));
        let cells: Vec<String> = cells.map(|(column, cell)| cell.padded(column.width, column.index == last)).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

/// The columns that a line takes, each as narrow as it must be. One after the other of the expendable ones goes.
fn fitted(all: Vec<Column>, expendable: &[usize], line: usize) -> Vec<Column> {
    let mut expendable = expendable.iter();
    let mut kept = all;
    loop {
        let mut columns = kept.clone();
        let last = columns.len().saturating_sub(1);
        let steps = [(0, NAME_LEFT), (last, SENTENCE_LEFT), (0, USEFUL)];
        if steps.into_iter().any(|(from, left)| shrink(&mut columns, from, left, line)) {
            return columns;
        }
        match expendable.next() {
            Some(index) => kept.retain(|column| column.index != *index),
            None => {
                shrink(&mut columns, 0, LEFT, line);
                return columns;
            }
        }
    }
}

/// Makes the columns from this one on narrower, the widest first, until a line takes all, or none is wider than that. Does it take all?
fn shrink(columns: &mut [Column], from: usize, left: usize, line: usize) -> bool {
    while total(columns) > line {
        let wide = columns[from..].iter_mut().filter(|column| column.width > left.max(column.least));
        match wide.max_by_key(|column| column.width) {
            Some(widest) => widest.width -= 1,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [vec![cell("a"), number(5), cell("x")], vec![cell("longer"), number(1234), cell("y")]];
        let plain = anstream::adapter::strip_str(&table(&["name", "n", "end"], &rows)).to_string();
        assert_eq!(plain, "name       n  end\na          5  x\nlonger  1234  y\n");
        assert_eq!(table(&["name"], &[]), "");
    }

    #[test]
    fn a_terminal_is_not_overrun() {
        let long = "n".repeat(128);
        let ticket = "0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11";
        let rows = [
            vec![
                number(5),
                cell(ticket).whole(),
                cell(&long),
                cell("short"),
                cell("a sentence of some length, for people"),
            ],
            vec![number(1234), cell(ticket).whole(), cell("ann"), cell(&long), cell("no")],
        ];
        let shown = |line| {
            anstream::adapter::strip_str(&within(line, &["n", "ticket", "from", "to", "why"], &[], &rows)).to_string()
        };
        let longest = |line| shown(line).lines().map(|line| line.width()).max();
        for line in [70, 80, 100, 132, 200] {
            assert!(longest(Some(line)) <= Some(line), "{line}: {}", shown(Some(line)));
            assert!(shown(Some(line)).contains(ticket) && shown(Some(line)).contains("1234"), "{line}");
        }
        assert!(
            shown(Some(140)).contains("…") && shown(Some(140)).contains("  a sentence of some …\n"),
            "{}",
            shown(Some(140))
        );
        assert!(shown(None).contains(&long) && longest(None) > Some(300));
        assert_eq!(longest(Some(1000)), longest(None));
    }

    fn plain(line: usize, headings: &[&str], expendable: &[&str], rows: &[Vec<Cell>]) -> String {
        anstream::adapter::strip_str(&within(Some(line), headings, expendable, rows)).to_string()
    }

    #[test]
    fn what_names_it_stays_and_what_matters_least_goes() {
        let id = "0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11";
        let from = "somebody-with-a-name";
        let rows = [vec![cell(id).key(), cell(from), cell("unknown-recipient").code(), cell("held/".repeat(9))]];
        let headings = ["id", "from", "note", "file"];
        let shown = |line| plain(line, &headings, &["file", "from"], &rows);
        assert!(shown(70).ends_with(&format!("{id}  somebod…  unknown-recipient\n")) || shown(70).contains(id));
        assert_eq!(shown(60), format!("{:36}  note\n{id}  unknown-recipient\n", "id"));
        assert!(shown(100).contains(id) && shown(100).contains("unknown-recipient  held/"), "{}", shown(100));
        let long = [vec![cell("i".repeat(128)).key(), cell(from), cell("c".repeat(99)).code(), cell("held")]];
        assert!(plain(80, &headings, &["file", "from"], &long).lines().all(|line| line.width() <= 80));
    }

    #[test]
    fn wide_characters_take_two_places() {
        let rows = [vec![cell("漢字かな漢字かな"), cell("x")], vec![cell("abc"), cell("y")]];
        let shown = plain(80, &["who", "end"], &[], &rows);
        assert_eq!(shown, "who               end\n漢字かな漢字かな  x\nabc               y\n");
        assert_eq!(plain(12, &["who", "end"], &[], &rows), "who      end\n漢字か…  x\nabc      y\n");
        assert_eq!(plain(11, &["who", "end"], &[], &rows), "who     end\n漢字…   x\nabc     y\n");
        assert_eq!((cut("漢字", 0), cut("漢字", 1), cut("漢字", 4)), (String::new(), "…".into(), "漢字".into()));
    }
}
