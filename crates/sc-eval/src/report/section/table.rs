//! A table with typed columns.

use serde::Serialize;

use crate::report::number;

/// Rows and typed columns.
///
/// ```
/// use sc_eval::report::{Best, Cell, Column, Kind, Table};
///
/// let columns = vec![Column::text("donor"), Column::new("accuracy", Kind::Interval(3)).best(Best::Highest)];
/// let mut table = Table::new(columns);
/// table.row(["donor 1".into(), Cell::Interval { value: 0.91, low: 0.89, high: 0.93 }]);
/// assert_eq!(table.rows.len(), 1);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Table {
    /// The columns; the first names the row.
    pub columns: Vec<Column>,
    /// The rows, one cell a column.
    pub rows: Vec<Vec<Cell>>,
    /// A sentence above the table; may be empty.
    pub caption: String,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Column {
    /// Its head.
    pub name: String,
    /// What it holds.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Which of its values is marked.
    pub best: Best,
}

/// What a column holds, and how it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Words.
    Text,
    /// A number with so many decimals.
    Number(u8),
    /// A share, printed in percent with so many decimals.
    Percent(u8),
    /// A whole number.
    Count,
    /// A duration in seconds.
    Seconds,
    /// A number with so many decimals, with an interval around it.
    Interval(u8),
}

/// Which value of a column is marked as the best.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Best {
    /// None.
    #[default]
    None,
    /// The highest, to the digits that are printed.
    Highest,
    /// The lowest, to the digits that are printed.
    Lowest,
}

/// One value of a table.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Cell {
    /// Words.
    Text(String),
    /// A number; NaN is printed as nothing.
    Value(f64),
    /// A number between two others.
    Interval {
        /// The number.
        value: f64,
        /// Lower end.
        low: f64,
        /// Upper end.
        high: f64,
    },
    /// Nothing.
    Empty,
}

impl Table {
    /// A table without rows.
    pub fn new(columns: Vec<Column>) -> Self {
        Self { columns, rows: Vec::new(), caption: String::new() }
    }

    /// Adds a row; that it has one cell a column is checked when the report is written.
    pub fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        self.rows.push(cells.into());
    }

    /// Whether the value in each row is the best of a column.
    pub(in crate::report) fn is_best(&self, column: usize) -> Vec<bool> {
        let Column { kind, best, .. } = &self.columns[column];
        let sign = match best {
            Best::None => return vec![false; self.rows.len()],
            Best::Highest => 1.0,
            Best::Lowest => -1.0,
        };
        // What prints alike is alike.
        let printed = |value: f64| kind.rounded(value) * sign;
        let values: Vec<Option<f64>> = self.rows.iter().map(|row| row[column].value().map(printed)).collect();
        let top = values.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
        values.into_iter().map(|value| value == Some(top)).collect()
    }
}

impl Column {
    /// A column without a mark.
    pub fn new(name: impl Into<String>, kind: Kind) -> Self {
        Self { name: name.into(), kind, best: Best::None }
    }

    /// A column of words.
    pub fn text(name: impl Into<String>) -> Self {
        Self::new(name, Kind::Text)
    }

    /// The same with a mark on its best value.
    pub fn best(self, best: Best) -> Self {
        Self { best, ..self }
    }
}

impl Kind {
    /// A finite number as this kind prints it.
    pub(in crate::report) fn print(self, value: f64) -> String {
        // Adding 0 makes a negative zero positive.
        let value = value + 0.0;
        match self {
            Self::Percent(decimals) => format!("{:.*} %", usize::from(decimals), value * 100.0),
            Self::Count => number::signed_count(value),
            Self::Seconds => number::seconds(value),
            Self::Number(decimals) | Self::Interval(decimals) => {
                let text = format!("{value:.*}", usize::from(decimals));
                // What rounds to zero has no sign.
                match text.strip_prefix('-') {
                    Some(digits) if digits.bytes().all(|b| matches!(b, b'0' | b'.')) => digits.to_owned(),
                    _ => text,
                }
            }
            Self::Text => format!("{value}"),
        }
    }

    fn rounded(self, value: f64) -> f64 {
        let digits = match self {
            Self::Number(decimals) | Self::Interval(decimals) => decimals,
            Self::Percent(decimals) => decimals.saturating_add(2),
            Self::Count => 0,
            Self::Seconds | Self::Text => return value,
        };
        format!("{value:.*}", usize::from(digits)).parse().unwrap_or(value)
    }
}

impl Cell {
    /// The number, where there is one that is finite.
    pub(in crate::report) fn value(&self) -> Option<f64> {
        match *self {
            Self::Value(value) | Self::Interval { value, .. } => value.is_finite().then_some(value),
            Self::Text(_) | Self::Empty => None,
        }
    }

    /// The ends of the interval, where there is one.
    pub(in crate::report) fn ends(&self) -> Option<(f64, f64)> {
        match *self {
            Self::Interval { low, high, .. } => Some((low, high)),
            _ => None,
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<f64> for Cell {
    fn from(value: f64) -> Self {
        Self::Value(value)
    }
}

impl From<usize> for Cell {
    fn from(count: usize) -> Self {
        Self::Value(count as f64)
    }
}

impl From<Option<f64>> for Cell {
    fn from(value: Option<f64>) -> Self {
        value.map_or(Self::Empty, Self::Value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_prints_alike_is_marked_alike() {
        let mut table = Table::new(vec![
            Column::new("score", Kind::Number(3)).best(Best::Highest),
            Column::new("time", Kind::Seconds).best(Best::Lowest),
            Column::new("plain", Kind::Count),
        ]);
        for (score, time) in [(0.91204, 3.0), (0.91196, 2.0), (0.9, f64::NAN)] {
            table.row([Cell::from(score), Cell::from(time), Cell::from(7_usize)]);
        }
        assert_eq!(table.is_best(0), [true, true, false]);
        assert_eq!(table.is_best(1), [false, true, false]);
        assert_eq!(table.is_best(2), [false; 3]);
    }

    #[test]
    fn numbers_are_printed_as_their_column_says() {
        assert_eq!(Kind::Number(2).print(-0.0), "0.00");
        assert_eq!(
            (Kind::Number(3).print(-1e-17), Kind::Number(1).print(-0.06)),
            ("0.000".into(), "-0.1".into())
        );
        assert_eq!(Kind::Percent(1).print(0.1234), "12.3 %");
        assert_eq!(Kind::Count.print(12_345.0), "12\u{a0}345");
        assert_eq!(Kind::Count.print(-1.0), "-1");
        assert_eq!(Kind::Seconds.print(0.5), "0.50");
    }
}
