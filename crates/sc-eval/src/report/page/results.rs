//! The table of models, with a small plot in each row.

use super::matrices;
use super::view::{Axis, Bar, Model, Pair, Score, Tick};
use crate::report::facts::{self, ALPHA, Facts};
use crate::report::figures::ticks;
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

/// A name, divided where a line may break.
fn parts(name: &str) -> Vec<String> {
    name.split_inclusive(['_', '-', '/']).map(str::to_owned).collect()
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
        Model {
            name: model.name.to_owned(),
            parts: parts(model.name),
            is_best: i == facts.best,
            accuracy: score(model.accuracy),
            f1_macro: score(model.f1_macro),
            balanced_accuracy: score(model.balanced_accuracy),
            fit_seconds: number::seconds(result.fit_seconds),
            predict_seconds: number::seconds(result.predict_seconds),
            bar: (model.accuracy.value >= range[0]).then_some(bar),
            confusion: match classes.len() {
                ..=MAX_MATRIX => matrices::confusion(classes, &result.confusion),
                _ => Vec::new(),
            },
            correct: number::count(result.confusion.correct() as usize),
            worst: matrices::worst(
                classes,
                &result.confusion,
                if classes.len() > MAX_MATRIX { 25 } else { 6 },
            ),
        }
    };
    facts.models.iter().enumerate().map(model).collect()
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
            other_only: number::count(against.paired.only_second),
            p: number::p(against.p_holm),
            reading,
        })
    };
    facts.models.iter().filter_map(pair).collect()
}
