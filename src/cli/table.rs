//! Columns of text, aligned. Widths are counted in characters: what is shown is mostly ids and numbers.

use anstyle::Style;

use super::print::{DIM, styled};

/// One cell: fit to be shown, and in which style.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    style: Style,
    side: Side,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// A cell of plain text.
pub fn cell(text: impl Into<String>) -> Cell {
    Cell { text: text.into(), style: Style::new(), side: Side::Left }
}

/// A number: it stands at the right of its column.
pub fn number(text: impl std::fmt::Display) -> Cell {
    Cell { side: Side::Right, ..cell(text.to_string()) }
}

impl Cell {
    pub fn style(mut self, style: Style) -> Cell {
        self.style = style;
        self
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }

    fn padded(&self, width: usize, is_last: bool) -> String {
        let pad = " ".repeat(width.saturating_sub(self.width()));
        match self.side {
            Side::Right => format!("{pad}{}", styled(self.style, &self.text)),
            Side::Left if is_last => styled(self.style, &self.text),
            Side::Left => format!("{}{pad}", styled(self.style, &self.text)),
        }
    }
}

/// The rows under their headings, two spaces between columns. No rows: nothing.
pub fn table(headings: &[&str], rows: &[Vec<Cell>]) -> String {
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
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
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
}
