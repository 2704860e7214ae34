//! The parts of a report that tell what models gain from more training cells.

use sc_eval::protocol::sample_efficiency::SizePoint;
use sc_eval::protocol::{Estimate, Estimates, SampleEfficiency};
use sc_eval::report::{
    Axis, Baseline, Best, Cell, Column, Curves, KeyFigure, Kind, Point, Section, Series, Table,
};

use crate::progress::thousands;
use crate::robust_sections::estimate;

/// Models by name, with their learning curves.
pub type Results<'a> = [(&'a str, SampleEfficiency)];

/// How far behind its largest size a model may be to be called as good.
const NEAR: f64 = 0.01;

/// Learning curves, and every number.
///
/// * `majority`: share of the largest class.
pub fn sections(results: &Results<'_>, majority: f64) -> Vec<Section> {
    let shown = results.iter().any(|(name, _)| *name == "majority");
    let level = Baseline::Level { name: "largest class".into(), y: majority };
    let accuracy = Curves {
        baselines: if shown { Vec::new() } else { vec![level] },
        ..curves(results, "accuracy", |scores| scores.accuracy)
    };
    let f1 = curves(results, "macro-F1", |scores| scores.f1_macro);
    vec![
        Section::new("Accuracy by training cells", ACCURACY, accuracy),
        Section::new("Macro-F1 by training cells", F1, f1),
        Section::new("How many cells are enough", ENOUGH, enough(results)),
        Section::new("Every size", EVERY, sizes(results)),
    ]
}

const ACCURACY: &str = "Every size is tested on the same cells. Training cells are drawn with the shares of the classes as they are, and \
                        a larger draw holds every smaller one.";

const F1: &str = "Each class counts the same, however small: a class that a small draw does not hold is never predicted and costs its \
                  whole share.";

const ENOUGH: &str = "The smallest size whose accuracy is at most 0.01 behind that of the largest, and what a model that has a tenth of the \
                      cells, or the nearest size above that, still lacks. Intervals are of the difference on the same test cells.";

const EVERY: &str = "Means over folds and draws with 95 % intervals for the draw of the test cells; sd is the spread over folds and \
                     draws, the luck of which cells were annotated.";

/// The answer of the page: the best model at the smallest and at the largest size.
pub fn answer(results: &Results<'_>) -> String {
    let points = &results[0].1.points;
    let best = |at: usize| {
        let value = |i: usize| results[i].1.points[at].scores.accuracy.value;
        // The first among equals.
        (1..results.len()).fold(0, |best, i| if value(i) > value(best) { i } else { best })
    };
    let told = |at: usize| {
        let (name, curve) = &results[best(at)];
        (thousands(points[at].n_train), *name, curve.points[at].scores.accuracy.value)
    };
    let (last, (cells, name, accuracy)) = (points.len() - 1, told(points.len() - 1));
    if last == 0 {
        return format!("With {cells} training cells {name} is best: {accuracy:.3} accurate.");
    }
    let (few, first, at_first) = told(0);
    format!(
        "With {few} training cells {first} is best: {at_first:.3} accurate. With {cells} it is {name}: {accuracy:.3}."
    )
}

/// For the best model at the largest size, how few cells are enough.
pub fn key_figures(results: &Results<'_>) -> Vec<KeyFigure> {
    let last = |curve: &SampleEfficiency| curve.points[curve.points.len() - 1].scores.accuracy.value;
    let best = (1..results.len())
        .fold(0, |best, i| if last(&results[i].1) > last(&results[best].1) { i } else { best });
    let (name, curve) = &results[best];
    let figure = |name: &str, value: String, note: String| KeyFigure { name: name.to_owned(), value, note };
    vec![
        figure(
            "cells that are enough",
            thousands(near(curve).n_train),
            format!("for {name}, to {NEAR} of its best"),
        ),
        figure(
            "largest size",
            thousands(curve.points[curve.points.len() - 1].n_train),
            sizes_left_out(curve),
        ),
    ]
}

/// Sizes that the data have no cells for, in a sentence; none if there are none.
pub fn note(results: &Results<'_>) -> Option<String> {
    let curve = &results.first()?.1;
    let left_out: Vec<String> = curve.left_out.iter().map(|&size| thousands(size)).collect();
    let most = thousands(curve.largest_possible);
    let plural = if left_out.len() == 1 { "Size" } else { "Sizes" };
    (!left_out.is_empty()).then(|| {
        format!("{plural} {} could not be tried: a fold has {most} training cells.", left_out.join(", "))
    })
}

fn sizes_left_out(curve: &SampleEfficiency) -> String {
    match curve.left_out.len() {
        0 => String::new(),
        n => format!("{n} larger could not be tried"),
    }
}

fn near(curve: &SampleEfficiency) -> &SizePoint {
    let near = curve.points.iter().find(|point| point.behind_largest.accuracy.value <= NEAR);
    near.expect("the largest size is not behind itself")
}

/// Accuracy by size, a row a model.
pub fn table(results: &Results<'_>) -> Table {
    let sizes = results.iter().take(1).flat_map(|(_, curve)| &curve.points);
    let column = |point: &SizePoint| {
        Column::new(format!("{} cells", thousands(point.n_train)), Kind::Interval(3)).best(Best::Highest)
    };
    let mut table = Table::new([Column::text("Model")].into_iter().chain(sizes.map(column)).collect());
    for (name, curve) in results {
        let accuracies = curve.points.iter().map(|point| estimate(point.scores.accuracy));
        table.row([Cell::from(*name)].into_iter().chain(accuracies).collect::<Vec<_>>());
    }
    table
}

fn curves(results: &Results<'_>, name: &str, score: impl Fn(&Estimates) -> Estimate) -> Curves {
    let point = |point: &SizePoint| {
        let Estimate { value, interval } = score(&point.scores);
        Point::with_interval(point.n_train as f64, value, interval.low, interval.high)
    };
    let line = |(name, curve): &(&str, SampleEfficiency)| {
        Series::new(*name, curve.points.iter().map(point).collect::<Vec<_>>())
    };
    Curves {
        x: Axis::log("training cells"),
        y: Axis::new(name),
        series: results.iter().map(line).collect(),
        baselines: Vec::new(),
        caption: String::new(),
    }
}

fn enough(results: &Results<'_>) -> Table {
    let mut table = Table::new(vec![
        Column::text("Model"),
        Column::new("Best accuracy", Kind::Interval(3)).best(Best::Highest),
        Column::new("with cells", Kind::Count),
        Column::new("Enough cells", Kind::Count),
        Column::new("Accuracy with these", Kind::Interval(3)),
        Column::new("A tenth or so", Kind::Count),
        Column::new("Behind with these", Kind::Interval(3)),
    ]);
    for (name, curve) in results {
        let points = &curve.points;
        let last = &points[points.len() - 1];
        let tenth = points.iter().find(|point| point.n_train * 10 >= last.n_train).unwrap_or(last);
        table.row([
            Cell::from(*name),
            estimate(last.scores.accuracy),
            Cell::from(last.n_train),
            Cell::from(near(curve).n_train),
            estimate(near(curve).scores.accuracy),
            Cell::from(tenth.n_train),
            estimate(tenth.behind_largest.accuracy),
        ]);
    }
    table
}

fn sizes(results: &Results<'_>) -> Table {
    let mut table = Table::new(vec![
        Column::text("Model"),
        Column::new("Training cells", Kind::Count),
        Column::new("Classes", Kind::Count),
        Column::new("Accuracy", Kind::Interval(3)),
        Column::new("sd", Kind::Number(3)),
        Column::new("Behind the largest", Kind::Interval(3)),
        Column::new("Macro-F1", Kind::Interval(3)),
        Column::new("Fit", Kind::Seconds),
    ]);
    table.caption = "Classes: the fewest that any of the draws holds.".into();
    for (name, curve) in results {
        for (at, point) in curve.points.iter().enumerate() {
            let is_last = at + 1 == curve.points.len();
            table.row([
                Cell::from(*name),
                Cell::from(point.n_train),
                Cell::from(point.n_classes),
                estimate(point.scores.accuracy),
                point.sd.map_or(Cell::Empty, |sd| Cell::Value(sd.accuracy)),
                if is_last { Cell::Empty } else { estimate(point.behind_largest.accuracy) },
                estimate(point.scores.f1_macro),
                Cell::Value(point.fit_seconds),
            ]);
        }
    }
    table
}
