//! What is different between two JSON values, line by line.

use serde_json::Value;

/// More lines are not compared one by one: the table has one cell for each pair.
const MOST_LINES: usize = 2_000;

/// A line: of both, only expected, or only there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    Both(&'a str),
    Expected(&'a str),
    Came(&'a str),
}

/// Both values, a value a line.
pub fn texts(expected: &Value, came: &Value) -> (String, String) {
    (format!("{expected:#}"), format!("{came:#}"))
}

/// The lines of both texts, the common ones once.
pub fn lines<'a>(expected: &'a str, came: &'a str) -> Vec<Line<'a>> {
    let (expected, came): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), came.lines().collect());
    if expected.len().max(came.len()) > MOST_LINES {
        let first = expected.into_iter().map(Line::Expected);
        return first.chain(came.into_iter().map(Line::Came)).collect();
    }
    // common[i][j]: how many lines the ends from i and from j have in common.
    let mut common = vec![vec![0_u32; came.len() + 1]; expected.len() + 1];
    for i in (0..expected.len()).rev() {
        for j in (0..came.len()).rev() {
            common[i][j] = match expected[i] == came[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut lines = Vec::new();
    while i < expected.len() || j < came.len() {
        if i < expected.len() && j < came.len() && expected[i] == came[j] {
            lines.push(Line::Both(expected[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == came.len() || (i < expected.len() && common[i + 1][j] >= common[i][j + 1]) {
            lines.push(Line::Expected(expected[i]));
            i += 1;
        } else {
            lines.push(Line::Came(came[j]));
            j += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_lines_stand_once() {
        let found = lines("a\nb\nc\nd", "a\nx\nc\nd\ne");
        let wanted =
            [Line::Both("a"), Line::Expected("b"), Line::Came("x"), Line::Both("c"), Line::Both("d"), Line::Came("e")];
        assert_eq!(found, wanted);
        assert_eq!(lines("", "a"), [Line::Came("a")]);
        assert_eq!(lines("a", ""), [Line::Expected("a")]);
        assert!(lines("", "").is_empty());
    }
}
