//! Tables on coloured ground: F1 by class, and confusions.

use serde::Serialize;

use super::view::{Cell, Row, Shade};
use crate::metrics::classification::ConfusionMatrix;
use crate::report::facts::ModelFacts;
use crate::report::number;
use crate::report::section::{Kind, Matrix, MatrixValues};

/// F1 of one class in one model.
pub(super) fn f1(model: &ModelFacts<'_>, class: usize, name: &str) -> Shade {
    let scores = &model.result.per_class[class];
    // The square spreads the upper half, where most of the scores are.
    let level = (scores.f1 * scores.f1 * 10.0).round() as u8;
    let title = format!(
        "{name}, {}: precision {:.3}, recall {:.3}, F1 {:.3}",
        model.name, scores.precision, scores.recall, scores.f1
    );
    Shade { level, text: format!("{:.2}", scores.f1), key: scores.f1.to_string(), title }
}

/// A heatmap that the template lays out.
#[derive(Serialize)]
pub(super) struct HeatView {
    caption: String,
    /// Head of the names of the rows.
    corner: String,
    columns: Vec<String>,
    rows: Vec<Row>,
    /// Head of the sums of the rows; empty for none.
    total: &'static str,
    dense: bool,
    /// Whether the reader can choose shares in place of counts.
    toggle: bool,
}

impl HeatView {
    /// The confusion matrix of a model.
    pub(super) fn confusion(classes: &[String], counts: &ConfusionMatrix, caption: String) -> Self {
        Self {
            caption,
            corner: "Label".to_owned(),
            columns: classes.to_vec(),
            rows: confusion(classes, counts),
            total: "Cells",
            dense: is_dense(classes.len()),
            toggle: true,
        }
    }

    /// The heatmap of a section.
    pub(super) fn of(matrix: &Matrix) -> Self {
        let Matrix { rows: names, columns, values, measure, .. } = matrix;
        let counts = *measure == MatrixValues::Counts;
        let finite = || values.iter().copied().filter(|value| value.is_finite());
        let (low, high) =
            (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
        let row = |(i, name): (usize, &String)| {
            let fields = values.row(i);
            let total: f64 = fields.iter().filter(|value| value.is_finite()).sum();
            let field = |(j, &value): (usize, &f64)| match *measure {
                MatrixValues::Counts => {
                    let right = names != columns || i == j;
                    count(right, value, total)
                }
                MatrixValues::Scores(decimals) => score(value, [low, high], decimals),
            };
            let support = if counts { Kind::Count.print(total) } else { String::new() };
            Row { name: name.clone(), support, cells: fields.iter().enumerate().map(field).collect() }
        };
        let corner = match (matrix.row_axis.as_str(), matrix.column_axis.as_str()) {
            (row, "") => row.to_owned(),
            (row, column) => format!("{row} ↓ {column} →"),
        };
        Self {
            caption: matrix.caption.clone(),
            corner,
            columns: columns.clone(),
            rows: names.iter().enumerate().map(row).collect(),
            total: if counts { "Sum" } else { "" },
            dense: is_dense(columns.len()),
            toggle: counts,
        }
    }
}

fn is_dense(n_columns: usize) -> bool {
    n_columns > 14
}

/// The rows of a confusion matrix.
fn confusion(classes: &[String], counts: &ConfusionMatrix) -> Vec<Row> {
    let row = |truth: usize| {
        let counts = counts.row(truth);
        let total: u64 = counts.iter().sum();
        let cell = |(called, &n): (usize, &u64)| count(truth == called, n as f64, total as f64);
        Row {
            name: classes[truth].clone(),
            support: number::count(total as usize),
            cells: counts.iter().enumerate().map(cell).collect(),
        }
    };
    (0..counts.n_classes()).map(row).collect()
}

/// A count on the colour of its share of the row.
fn count(right: bool, count: f64, total: f64) -> Cell {
    if !(count.is_finite() && count > 0.0) {
        return Cell::default();
    }
    let share = (count / total).clamp(0.0, 1.0);
    let heat = match right {
        true => format!("r{}", (share * 10.0).round() as u8),
        // The square root makes a few percent of a class visible.
        false => format!("w{}", (share.sqrt() * 10.0).round().max(1.0) as u8),
    };
    Cell { heat, text: format!("{}", count.round()) }
}

/// A score on the colour of its place between the lowest and the highest.
fn score(value: f64, [low, high]: [f64; 2], decimals: u8) -> Cell {
    if !value.is_finite() {
        return Cell::default();
    }
    let level = if high > low { ((value - low) / (high - low) * 10.0).round() as u8 } else { 5 };
    let text = Kind::Number(decimals).print(value);
    Cell { heat: format!("r{level}"), text }
}

/// A text, divided where a line may break.
pub(super) fn parts(text: &str) -> Vec<String> {
    text.split_inclusive(['_', '-', '/']).map(str::to_owned).collect()
}

/// What the cells of a class were most often called in place of its name, with their number.
pub(super) fn most_frequent(classes: &[String], counts: &ConfusionMatrix, truth: usize) -> Option<String> {
    let mut most = (0, 0);
    for (called, &n) in counts.row(truth).iter().enumerate() {
        if called != truth && n > most.0 {
            most = (n, called);
        }
    }
    let (n, called) = most;
    (n > 0).then(|| format!("{}, {}", classes[called], number::cells(n as usize)))
}

/// The most frequent confusions in words, at most `limit`.
pub(super) fn worst(classes: &[String], counts: &ConfusionMatrix, limit: usize) -> Vec<String> {
    let rows = (0..counts.n_classes()).flat_map(|truth| {
        let row = counts.row(truth).iter().enumerate();
        row.filter(move |&(called, &n)| called != truth && n > 0).map(move |(called, &n)| (n, truth, called))
    });
    let mut confusions: Vec<(u64, usize, usize)> = rows.collect();
    confusions.sort_by_key(|&(n, truth, called)| (std::cmp::Reverse(n), truth, called));
    let words = |(n, truth, called): (u64, usize, usize)| {
        let share = n as f64 / counts.row(truth).iter().sum::<u64>() as f64;
        let (cells, share) = (number::cells(n as usize), number::percent(share));
        format!("{} called {}, {cells} ({share})", classes[truth], classes[called])
    };
    confusions.into_iter().take(limit).map(words).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_confusions_come_first() {
        let classes = ["B".to_owned(), "NK".to_owned(), "T".to_owned()];
        let counts = ConfusionMatrix::from_counts(3, vec![8, 2, 0, 0, 5, 5, 1, 0, 9]).unwrap();
        let words = worst(&classes, &counts, 2);
        assert_eq!(words, ["NK called T, 5\u{a0}cells (50.0 %)", "B called NK, 2\u{a0}cells (20.0 %)"]);
        let right = ConfusionMatrix::from_counts(2, vec![1, 0, 0, 1]).unwrap();
        assert!(worst(&classes[..2], &right, 5).is_empty());
    }

    #[test]
    fn right_answers_are_blue_by_share_and_wrong_ones_are_never_invisible() {
        let classes = ["B".to_owned(), "T".to_owned()];
        let counts = ConfusionMatrix::from_counts(2, vec![9_999, 1, 5, 5]).unwrap();
        let rows = confusion(&classes, &counts);
        let heat: Vec<_> =
            rows.iter().flat_map(|row| row.cells.iter().map(|cell| cell.heat.as_str())).collect();
        assert_eq!(heat, ["r10", "w1", "w7", "r5"]);
    }
}
