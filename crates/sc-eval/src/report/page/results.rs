//! The table of models, with a small plot in each row.

use super::matrices::{self, HeatView, parts};
use super::sections::table;
use super::view::{Axis, Bar, Model, Pair, Score, TableView, Tick};
use crate::report::facts::{self, ALPHA, Facts};
use crate::report::figures::ticks;
use crate::report::section::{Cell, Column, Kind, Table};
use crate::report::{Report, number};

/// Width of the small plots, and what is left free at each end.
const WIDTH: f64 = 230.0;
const MARGIN: f64 = 12.0;
/// Classes above which a page lists the most frequent confusions in place of a matrix that nobody could read.
const MAX_MATRIX: usize = 60;

fn place(value: f64, [low, high]: [f64; 2]) -> String {
    let share = ((value - low) / (high - low)).clamp(0.0, 1.0);
    format!("{:.1}", MARGIN + share * (WIDTH - 2.0 * MARGIN))
}

/// The axis of the plots, and where the baseline crosses it.
pub(super) fn axis(facts: &Facts<'_>) -> Axis {
    let range = facts.range();
    let mut values = ticks(range);
    // Labels of two decimals stay apart up to seven of them.
    if values.len() > 7 {
        values = values.into_iter().step_by(2).collect();
    }
    let tick = |value: f64| Tick { x: place(value, range), label: format!("{value:.2}") };
    let majority = (range[0]..=range[1]).contains(&facts.majority).then(|| place(facts.majority, range));
    Axis { ticks: values.into_iter().map(tick).collect(), majority }
}

pub(super) fn models(report: &Report, facts: &Facts<'_>) -> Vec<Model> {
    let range = facts.range();
    let score = |score: facts::Score| Score {
        value: number::score(score.value),
        key: score.value,
        low: number::score(score.low),
        high: number::score(score.high),
        best: score.best,
    };
    let classes = report.labels.classes();
    let model = |(i, model): (usize, &facts::ModelFacts<'_>)| {
        let result = model.result;
        let folds = result.folds.iter().map(|fold| fold.scores.accuracy);
        let inside = folds.filter(|a| (range[0]..=range[1]).contains(a));
        let bar = Bar {
            at: place(model.accuracy.value, range),
            low: place(model.accuracy.low, range),
            high: place(model.accuracy.high, range),
            folds: inside.map(|a| place(a, range)).collect(),
        };
        let correct = number::count(result.confusion.correct() as usize);
        let tested = number::count(result.confusion.total() as usize);
        Model {
            name: model.name.to_owned(),
            parts: parts(model.name),
            is_best: i == facts.best,
            accuracy: score(model.accuracy),
            f1_macro: score(model.f1_macro),
            balanced_accuracy: score(model.balanced_accuracy),
            fit_seconds: number::seconds(result.fit_seconds),
            fit_key: result.fit_seconds,
            predict_seconds: number::seconds(result.predict_seconds),
            predict_key: result.predict_seconds,
            bar: (model.accuracy.value >= range[0]).then_some(bar),
            heat: (classes.len() <= MAX_MATRIX).then(|| {
                let caption = format!("{}: {correct} of {tested} cells right.", model.name);
                HeatView::confusion(classes, &result.confusion, caption)
            }),
            heat_name: format!("Confusion matrix of {}", model.name),
            per_class: per_class(classes, model),
            per_class_name: format!("Cell types in {}", model.name),
            correct,
            worst: matrices::worst(
                classes,
                &result.confusion,
                if classes.len() > MAX_MATRIX { 25 } else { 6 },
            ),
        }
    };
    facts.models.iter().enumerate().map(model).collect()
}

/// Scores of each class in one model.
fn per_class(classes: &[String], model: &facts::ModelFacts<'_>) -> TableView {
    let score = |name: &str| Column::new(name, Kind::Number(3));
    let mut scores = Table::new(vec![
        Column::text("Cell type"),
        Column::new("Cells", Kind::Count),
        score("Precision"),
        score("Recall"),
        score("F1"),
        Column::text("Most often confused with"),
    ]);
    for (i, (name, class)) in classes.iter().zip(&model.result.per_class).enumerate() {
        let confused = matrices::most_frequent(classes, &model.result.confusion, i);
        let numbers = [class.support as f64, class.precision, class.recall, class.f1].map(Cell::Value);
        let mut row = vec![Cell::from(name.as_str())];
        row.extend(numbers);
        row.push(confused.map_or(Cell::Empty, Cell::Text));
        scores.row(row);
    }
    table(&scores)
}

pub(super) fn pairs(facts: &Facts<'_>) -> Vec<Pair> {
    let pair = |model: &facts::ModelFacts<'_>| {
        let against = model.against_best.as_ref()?;
        let reading = match (against.p_holm < ALPHA, against.intervals_overlap) {
            (true, false) => "told apart",
            (true, true) => "told apart, though the intervals overlap",
            (false, true) => "not told apart",
            (false, false) => "not told apart, though the intervals do not overlap",
        };
        Some(Pair {
            parts: parts(model.name),
            best_only: number::count(against.paired.only_first),
            best_key: against.paired.only_first,
            other_only: number::count(against.paired.only_second),
            other_key: against.paired.only_second,
            p: number::p(against.p_holm),
            p_key: against.p_holm,
            reading,
        })
    };
    facts.models.iter().filter_map(pair).collect()
}
