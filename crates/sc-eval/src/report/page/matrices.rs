//! Tables on coloured ground: F1 by class, and confusions.

use super::view::{Cell, Row, Shade};
use crate::metrics::classification::ConfusionMatrix;
use crate::report::facts::ModelFacts;
use crate::report::number;

/// F1 of one class in one model.
pub(super) fn f1(model: &ModelFacts<'_>, class: usize, name: &str) -> Shade {
    let scores = &model.result.per_class[class];
    // The square spreads the upper half, where most of the scores are.
    let level = (scores.f1 * scores.f1 * 10.0).round() as u8;
    let title = format!(
        "{name}, {}: precision {:.3}, recall {:.3}, F1 {:.3}",
        model.name, scores.precision, scores.recall, scores.f1
    );
    Shade { level, text: format!("{:.2}", scores.f1), title }
}

/// The rows of a confusion matrix.
pub(super) fn confusion(classes: &[String], counts: &ConfusionMatrix) -> Vec<Row> {
    let cell = |truth: usize, called: usize, count: u64, total: u64| {
        if count == 0 {
            return Cell { heat: String::new(), text: String::new(), title: String::new() };
        }
        let share = count as f64 / total as f64;
        let heat = match truth == called {
            true => format!("r{}", (share * 10.0).round() as u8),
            // The square root makes a few percent of a class visible.
            false => format!("w{}", (share.sqrt() * 10.0).round().max(1.0) as u8),
        };
        let title = format!(
            "{} of {} {} ({}) called {}",
            number::count(count as usize),
            number::count(total as usize),
            classes[truth],
            number::percent(share),
            classes[called]
        );
        Cell { heat, text: count.to_string(), title }
    };
    let row = |truth: usize| {
        let counts = counts.row(truth);
        let total = counts.iter().sum();
        Row {
            name: classes[truth].clone(),
            support: number::count(total as usize),
            cells: counts.iter().enumerate().map(|(called, &n)| cell(truth, called, n, total)).collect(),
        }
    };
    (0..counts.n_classes()).map(row).collect()
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
        assert_eq!(rows[1].cells[0].title, "5 of 10 T (50.0 %) called B");
    }
}
