//! The parts of a report that tell what models lose to perturbations.

use sc_eval::protocol::robustness::{RobustnessCurve, RobustnessPoint};
use sc_eval::protocol::{Estimate, Robustness};
use sc_eval::report::{
    Axis, Best, Cell, Column, Curves, KeyFigure, Kind as Holds, Point, Section, Series, Table,
};

use crate::perturb::Kind;

/// Models by name, with what they lose.
pub type Results<'a> = [(&'a str, Robustness)];

/// A figure with its interval, in a table.
pub fn estimate(estimate: Estimate) -> Cell {
    Cell::Interval { value: estimate.value, low: estimate.interval.low, high: estimate.interval.high }
}

/// Curves, what is lost, and every number.
///
/// * `majority`: share of the largest class.
pub fn sections(results: &Results<'_>, majority: f64) -> Vec<Section> {
    let curve = |at| Section::new(heading(results, at), lede(results, at), curves(results, at, majority));
    let mut sections = vec![Section::new("What is lost", LOST, drops(results))];
    sections.extend((0..n_kinds(results)).map(curve));
    sections.push(Section::new("Mean accuracy over the levels", AREA, areas(results)));
    sections.push(Section::new("Every level", "", levels(results)));
    sections
}

const LOST: &str = "Accuracy on clean cells, and how much of it each kind of perturbation takes at its highest level. Both \
                    are measured on the same test cells, and so are the 95 % intervals of what is lost: one that holds 0 \
                    may be chance.";

const AREA: &str = "The area under each curve divided by its highest level: the accuracy that a level drawn at random \
                    between 0 and that one would leave. Higher is better.";

/// The answer of the page: who stands most, and who least.
pub fn answer(results: &Results<'_>) -> String {
    let (best, worst) = (ranked(results, true), ranked(results, false));
    let told =
        |at: usize| (results[at].0, mean_area(&results[at].1), clean(&results[at].1).scores.accuracy.value);
    let ((name, area, clean), (last, least, _)) = (told(best), told(worst));
    let kinds = n_kinds(results);
    let over = if kinds == 1 { "all levels".to_owned() } else { format!("all levels of {kinds} kinds") };
    match results.len() {
        1 => format!(
            "{name} is right about {area:.3} of perturbed cells, averaged over {over}; clean: {clean:.3}."
        ),
        _ => format!(
            "{name} stands perturbations best: {area:.3} accurate, averaged over {over}, and {clean:.3} on clean cells. \
             {last} stands them least: {least:.3}."
        ),
    }
}

/// For each kind, what the best model of the answer loses at the highest level.
pub fn key_figures(results: &Results<'_>) -> Vec<KeyFigure> {
    let (name, best) = &results[ranked(results, true)];
    let figure = |curve: &RobustnessCurve| {
        let last = highest(curve);
        KeyFigure {
            name: format!("lost to {} of {}", curve.kind, last.level),
            // Adding 0 makes a negative zero positive.
            value: format!("{:.3}", (last.drop.accuracy.value * 1e3).round() / 1e3 + 0.0),
            note: format!("of accuracy, by {name}"),
        }
    };
    best.curves.iter().map(figure).collect()
}

/// Accuracy on clean cells and what each kind takes of it at its highest level.
pub fn drops(results: &Results<'_>) -> Table {
    let lost = |curve: &RobustnessCurve| format!("Lost to {} of {}", curve.kind, highest(curve).level);
    let mut columns = vec![Column::text("Model"), Column::new("Clean", Holds::Number(3)).best(Best::Highest)];
    let kinds = results.iter().take(1).flat_map(|(_, result)| &result.curves);
    columns.extend(kinds.map(|curve| Column::new(lost(curve), Holds::Interval(3))));
    let mut table = Table::new(columns);
    for (name, result) in results {
        let mut row = vec![Cell::from(*name), Cell::Value(clean(result).scores.accuracy.value)];
        row.extend(result.curves.iter().map(|curve| estimate(highest(curve).drop.accuracy)));
        table.row(row);
    }
    table
}

fn areas(results: &Results<'_>) -> Table {
    let mut columns = vec![Column::text("Model")];
    let kinds = results.iter().take(1).flat_map(|(_, result)| &result.curves);
    columns.extend(kinds.map(|curve| {
        let name = format!("{} to {}", curve.kind, highest(curve).level);
        Column::new(name, Holds::Interval(3)).best(Best::Highest)
    }));
    let mut table = Table::new(columns);
    for (name, result) in results {
        let areas = result.curves.iter().map(|curve| estimate(curve.area.accuracy));
        table.row([Cell::from(*name)].into_iter().chain(areas).collect::<Vec<_>>());
    }
    table
}

fn levels(results: &Results<'_>) -> Table {
    let mut table = Table::new(vec![
        Column::text("Perturbation"),
        Column::new("Level", Holds::Number(2)),
        Column::text("Model"),
        Column::new("Accuracy", Holds::Interval(3)),
        Column::new("Lost", Holds::Interval(3)),
        Column::new("sd", Holds::Number(3)),
        Column::new("Macro-F1", Holds::Interval(3)),
        Column::new("Lost of macro-F1", Holds::Interval(3)),
    ]);
    table.caption = "sd: of the accuracy over folds and draws.".into();
    for kind in 0..n_kinds(results) {
        for level in 0..results[0].1.curves[kind].points.len() {
            for (name, result) in results {
                let curve = &result.curves[kind];
                let point = &curve.points[level];
                table.row([
                    curve.kind.as_str().into(),
                    Cell::Value(point.level),
                    Cell::from(*name),
                    estimate(point.scores.accuracy),
                    if level == 0 { Cell::Empty } else { estimate(point.drop.accuracy) },
                    point.sd.map_or(Cell::Empty, |sd| Cell::Value(sd.accuracy)),
                    estimate(point.scores.f1_macro),
                    if level == 0 { Cell::Empty } else { estimate(point.drop.f1_macro) },
                ]);
            }
        }
    }
    table
}

fn curves(results: &Results<'_>, kind: usize, majority: f64) -> Curves {
    let point = |point: &RobustnessPoint| {
        let Estimate { value, interval } = point.scores.accuracy;
        Point::with_interval(point.level, value, interval.low, interval.high)
    };
    let line = |(name, result): &(&str, Robustness)| {
        Series::new(*name, result.curves[kind].points.iter().map(point).collect::<Vec<_>>())
    };
    // A flat line far below would press the others together: the caption has its height.
    let drawn = |(name, _): &&(&str, Robustness)| sees(results, name);
    Curves {
        x: Axis::new(kind_of(results, kind).map_or("level", Kind::axis)),
        y: Axis::new("accuracy"),
        series: results.iter().filter(drawn).map(line).collect(),
        baselines: Vec::new(),
        caption: format!("Naming the largest class for every cell is {majority:.3} accurate at all levels."),
    }
}

fn heading(results: &Results<'_>, kind: usize) -> &'static str {
    match kind_of(results, kind) {
        Some(Kind::Noise) => "Noise",
        Some(Kind::Mask) => "Lost counts",
        Some(Kind::Depth) => "Shallow sequencing",
        Some(Kind::Batch) => "Another batch",
        None => "Perturbation",
    }
}

fn lede(results: &Results<'_>, kind: usize) -> &'static str {
    match kind_of(results, kind) {
        Some(Kind::Noise) => {
            "Gaussian noise is added to log-normalised expression before scaling, zeros included; its size is that share of \
             the standard deviation of each gene among training cells, and what falls below 0 becomes 0."
        }
        Some(Kind::Mask) => {
            "Every count above 0 is lost with this probability, alone; the cell is then normalised again."
        }
        Some(Kind::Depth) => {
            "Every molecule is lost with this probability, as in a shallower run; the cell is then normalised again."
        }
        Some(Kind::Batch) => {
            "All test cells come from another batch: each gene is stronger or weaker by a log-normal factor of its own, the \
             same in all cells; counts stay counts and are normalised again."
        }
        None => "",
    }
}

fn kind_of(results: &Results<'_>, kind: usize) -> Option<Kind> {
    Kind::named(&results.first()?.1.curves[kind].kind)
}

fn n_kinds(results: &Results<'_>) -> usize {
    results.first().map_or(0, |(_, result)| result.curves.len())
}

fn clean(result: &Robustness) -> &RobustnessPoint {
    &result.curves[0].points[0]
}

fn highest(curve: &RobustnessCurve) -> &RobustnessPoint {
    curve.points.last().expect("a curve starts with its clean point")
}

fn mean_area(result: &Robustness) -> f64 {
    let areas = result.curves.iter().map(|curve| curve.area.accuracy.value);
    areas.sum::<f64>() / result.curves.len() as f64
}

/// The model of the highest mean area, or of the lowest among those that learn from features; the first among equals.
fn ranked(results: &Results<'_>, best: bool) -> usize {
    let mut order: Vec<usize> = (0..results.len()).filter(|&at| sees(results, results[at].0)).collect();
    order.sort_by(|&a, &b| mean_area(&results[b].1).total_cmp(&mean_area(&results[a].1)));
    if best { order[0] } else { order[order.len() - 1] }
}

/// Whether a model looks at cells at all; if none does, all take part.
fn sees(results: &Results<'_>, name: &str) -> bool {
    let blind = |name: &str| matches!(name, "majority" | "random_by_prior");
    !blind(name) || results.iter().all(|(name, _)| blind(name))
}
