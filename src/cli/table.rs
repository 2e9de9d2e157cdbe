//! Columns of text, aligned. Widths are counted in characters: what is shown is mostly ids and numbers.
//!
//! On a terminal a table is as wide as that at most: what one stranger calls himself must not move everything else apart. In a
//! pipe nothing is cut.

use anstyle::Style;

use super::print::{DIM, styled, width};

/// What is left of columns where a table is too wide, in the order in which it is taken away: first of those wider than the ids that a
/// program gives itself (a UUID); then of the last one, which has the sentences and paths; then of all.
const NAME_LEFT: usize = 36;
const SENTENCE_LEFT: usize = 16;
const LEFT: usize = 4;

/// One cell: fit to be shown, and in which style.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    style: Style,
    side: Side,
    whole: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// A cell of plain text.
pub fn cell(text: impl Into<String>) -> Cell {
    Cell { text: text.into(), style: Style::new(), side: Side::Left, whole: false }
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
    pub fn whole(mut self) -> Cell {
        self.whole = true;
        self
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }

    fn padded(&self, width: usize, is_last: bool) -> String {
        let pad = " ".repeat(width.saturating_sub(self.width()));
        let text = styled(self.style, cut(&self.text, width));
        match self.side {
            Side::Right => format!("{pad}{text}"),
            Side::Left if is_last => text,
            Side::Left => format!("{text}{pad}"),
        }
    }
}

/// At most `width` characters, with `…` in place of the last where it was cut.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// The rows under their headings, two spaces between columns, within the terminal if there is one. No rows: nothing.
pub fn table(headings: &[&str], rows: &[Vec<Cell>]) -> String {
    within(width(), headings, rows)
}

/// The same where nothing may be left out, since there is no other place that says it.
pub fn uncut(headings: &[&str], rows: &[Vec<Cell>]) -> String {
    within(None, headings, rows)
}

fn within(line: Option<usize>, headings: &[&str], rows: &[Vec<Cell>]) -> String {
    let Some(first) = rows.first() else { return String::new() };
    // A heading stands on the side of its column.
    let side = |column: usize| first.get(column).map_or(Side::Left, |cell| cell.side);
    let headings = headings.iter().enumerate();
    let headings: Vec<Cell> =
        headings.map(|(column, heading)| Cell { side: side(column), ..cell(*heading).style(DIM) }).collect();
    let width = |column: usize| {
        let cells = rows.iter().chain([&headings]).filter_map(|row| row.get(column));
        cells.map(Cell::width).max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = (0..headings.len()).map(width).collect();
    if let Some(line) = line {
        let is_whole = |column: usize| rows.iter().filter_map(|row| row.get(column)).any(|cell| cell.whole);
        let may_shrink: Vec<usize> = (0..headings.len()).filter(|column| !is_whole(*column)).collect();
        fit(&mut widths, &may_shrink, line);
    }
    let mut out = String::new();
    for row in [&headings].into_iter().chain(rows) {
        let last = row.len().saturating_sub(1);
        let cells = row.iter().zip(&widths).enumerate();
        let cells: Vec<String> = cells.map(|(index, (cell, width))| cell.padded(*width, index == last)).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

/// Makes columns narrower until a line takes all of them, as far as that is possible.
fn fit(widths: &mut [usize], may_shrink: &[usize], line: usize) {
    let gaps = 2 * widths.len().saturating_sub(1);
    let last = may_shrink.iter().copied().filter(|column| column + 1 == widths.len()).collect::<Vec<_>>();
    for (columns, left) in [(may_shrink, NAME_LEFT), (&last[..], SENTENCE_LEFT), (may_shrink, LEFT)] {
        while widths.iter().sum::<usize>() + gaps > line {
            let widest =
                columns.iter().copied().filter(|column| widths[*column] > left).max_by_key(|column| widths[*column]);
            let Some(widest) = widest else { break };
            widths[widest] -= 1;
        }
    }
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
            anstream::adapter::strip_str(&within(line, &["n", "ticket", "from", "to", "why"], &rows)).to_string()
        };
        let longest = |line| shown(line).lines().map(|line| line.chars().count()).max();
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
}
