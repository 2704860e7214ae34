//! A table for a terminal.

use super::table::{Cell, Kind, Table};

/// Columns of a text before it is cut.
const WIDEST: usize = 34;

impl Table {
    /// The table as aligned plain text, a line for the heads and one for each row; `*` marks the best of a column.
    ///
    /// Control characters are blanks, and long texts are cut: names from files cannot act on a terminal.
    pub fn to_text(&self) -> String {
        let best: Vec<Vec<bool>> = (0..self.columns.len()).map(|column| self.is_best(column)).collect();
        let heads = self.columns.iter().map(|column| clean(&column.name)).collect();
        let rows = self.rows.iter().enumerate().map(|(i, row)| {
            let cells = row.iter().zip(&self.columns).zip(&best);
            cells.map(|((cell, column), best)| print(cell, column.kind, best[i])).collect()
        });
        let lines: Vec<Vec<String>> = [heads].into_iter().chain(rows).collect();
        let width = |column: usize| {
            lines
                .iter()
                .map(|line| line.get(column).map_or(0, |cell| cell.chars().count()))
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut out = String::new();
        for (at, line) in lines.iter().enumerate() {
            let mut text = String::new();
            for ((cell, column), &width) in line.iter().zip(&self.columns).zip(&widths) {
                let text_like = matches!(column.kind, Kind::Text | Kind::Interval(_));
                text += &if text_like { format!("{cell:<width$}  ") } else { format!("{cell:>width$}  ") };
            }
            out += text.trim_end();
            out.push('\n');
            if at == 0 {
                out += &"─".repeat(widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1));
                out.push('\n');
            }
        }
        out
    }
}

fn print(cell: &Cell, kind: Kind, best: bool) -> String {
    let number = |value: f64| if value.is_finite() { kind.print(value) } else { "–".to_owned() };
    let mark = if best { "*" } else { "" };
    match cell {
        Cell::Text(text) => clean(text),
        Cell::Empty => "–".to_owned(),
        Cell::Value(value) => format!("{}{mark}", number(*value)),
        Cell::Interval { value, .. } if !value.is_finite() => "–".to_owned(),
        Cell::Interval { value, low, high } => {
            format!("{}{mark} [{}, {}]", number(*value), number(*low), number(*high))
        }
    }
}

fn clean(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match clean.char_indices().nth(WIDEST) {
        None => clean,
        Some(_) => clean.chars().take(WIDEST - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::{Best, Column};
    use super::*;

    #[test]
    fn columns_are_aligned_and_the_best_is_marked() {
        let mut table = Table::new(vec![
            Column::text("target"),
            Column::new("cells", Kind::Count),
            Column::new("accuracy", Kind::Interval(2)).best(Best::Highest),
        ]);
        table.row([
            "lung\u{1b}[2J".into(),
            5_usize.into(),
            Cell::Interval { value: 0.5, low: 0.25, high: 0.75 },
        ]);
        table.row(["a very long name that goes on and on and on".into(), 1234_usize.into(), Cell::Empty]);
        let text = table.to_text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], format!("{:<34}  cells  accuracy", "target"));
        assert_eq!(lines[2], format!("{:<34}      5  0.50* [0.25, 0.75]", "lung [2J"));
        assert!(
            lines[3].starts_with("a very long name that goes on and…") && lines[3].ends_with('–'),
            "{}",
            lines[3]
        );
    }
}
