//! Tables, heatmaps and curves of what scores of strangeness are worth.

use ndarray::Array2;
use sc_eval::metrics::classification::RocCurve;
use sc_eval::protocol::Estimate;
use sc_eval::protocol::anomaly::{AnomalyScores, UnseenType};
use sc_eval::report::{
    Axis, Baseline, Best, Cell, Column, Curves, KeyFigure, Kind, Matrix, MatrixValues, Point, Section,
    Series, Table,
};

use super::Found;

/// Points of a line at most; the page shows no more.
const MOST_POINTS: usize = 200;

/// The method of highest mean AUROC; the first among equals.
pub fn best(found: &Found) -> usize {
    let score = |at: usize| found.results[at].mean.auroc.value;
    (1..found.methods.len()).fold(0, |best, at| if score(at) > score(best) { at } else { best })
}

/// What was found, in a sentence.
pub fn headline(found: &Found) -> String {
    let at = best(found);
    let Estimate { value, interval } = found.results[at].mean.auroc;
    format!(
        "Cells of a type that was never seen are told best from known ones by {}: AUROC {value:.3} (95 % interval {:.3} to \
         {:.3}; chance is 0.5), mean over {} types.",
        found.methods[at],
        interval.low,
        interval.high,
        found.results[at].types.len()
    )
}

/// Numbers for the top of the page.
pub fn key_figures(found: &Found) -> Vec<KeyFigure> {
    let at = best(found);
    let result = &found.results[at];
    let figure = |name: &str, value: String, note: String| KeyFigure { name: name.into(), value, note };
    let auroc = |unseen: &UnseenType| unseen.scores.auroc.value;
    let mut figures = vec![
        figure("best AUROC", format!("{:.3}", result.mean.auroc.value), found.methods[at].to_string()),
        figure(
            "its FPR at 95 % TPR",
            format!("{:.1} %", 100.0 * result.mean.fpr_at_95_tpr.value),
            "of known cells, to find 95 % of the unseen ones".into(),
        ),
    ];
    if let Some(hardest) = result.types.iter().min_by(|a, b| auroc(a).total_cmp(&auroc(b))) {
        let note = format!("AUROC {:.3}", auroc(hardest));
        figures.push(figure("hardest type", hardest.label.clone(), note));
    }
    figures
}

/// All sections.
pub fn sections(found: &Found) -> Vec<Section> {
    vec![
        Section::new("Unseen types", LEDE, means(found)),
        matrix(
            found,
            "AUROC of each type",
            "Columns are types that were left out of training in turn; 0.5 is chance, less than that means that the type looks \
             more familiar than the known cells.",
            |s| s.auroc.value,
        ),
        matrix(
            found,
            "FPR at 95 % TPR of each type",
            "Share of known cells put aside to find 95 % of the unseen ones; less is better.",
            |s| s.fpr_at_95_tpr.value,
        ),
        curves(found),
        Section::new("Every type and method", "The AUPR of chance is the share of unseen cells.", all(found)),
    ]
}

/// What the table of [`means`] means.
const LEDE: &str = "Each type in turn is left out of training, and then asked about beside held-out cells of the others. \
                    Means over types, with 95 % intervals over the draw of cells. AUROC is the chance that an unseen cell \
                    is found stranger than a known one (0.5 is no better than a coin). The AUPR depends on how many \
                    unseen cells there are. The FPR at 95 % TPR is the share of known cells that are put aside to find \
                    95 % of the unseen ones.";

/// What each method is worth, mean over types.
pub fn means(found: &Found) -> Table {
    let mut table = Table::new(
        [Column::text("Model"), Column::text("Score")]
            .into_iter()
            .chain(columns().map(Column::from))
            .collect(),
    );
    for (method, result) in found.methods.iter().zip(&found.results) {
        let [auroc, aupr, fpr] = cells(&result.mean);
        table.row([method.model.into(), method.score.into(), auroc, aupr, fpr]);
    }
    if let Some(result) = found.results.first() {
        let shares = result.types.iter().map(|unseen| unseen.prevalence).sum::<f64>();
        let share = shares / result.types.len() as f64;
        table.caption = format!("By chance: AUROC 0.5, AUPR {share:.3}, FPR 0.95.");
        if !result.left_out.is_empty() {
            let names = result.left_out.iter().map(|(label, n)| format!("{label} ({n})"));
            let names = names.collect::<Vec<_>>().join(", ");
            table.caption += &format!(" Never the unseen type, as they have too few cells: {names}.");
        }
    }
    table
}

fn columns() -> [Column; 3] {
    [
        Column::new("AUROC", Kind::Interval(3)).best(Best::Highest),
        Column::new("AUPR", Kind::Interval(3)).best(Best::Highest),
        Column::new("FPR at 95 % TPR", Kind::Interval(3)).best(Best::Lowest),
    ]
}

fn cells(scores: &AnomalyScores<Estimate>) -> [Cell; 3] {
    [scores.auroc, scores.aupr, scores.fpr_at_95_tpr].map(|Estimate { value, interval }| Cell::Interval {
        value,
        low: interval.low,
        high: interval.high,
    })
}

/// Types × methods.
fn matrix(
    found: &Found,
    title: &str,
    lede: &str,
    value: impl Fn(&AnomalyScores<Estimate>) -> f64,
) -> Section {
    let types = &found.results[0].types;
    let values = Array2::from_shape_fn((found.methods.len(), types.len()), |(method, at)| {
        value(&found.results[method].types[at].scores)
    });
    let matrix = Matrix {
        row_axis: "method".into(),
        column_axis: "unseen type".into(),
        rows: found.methods.iter().map(ToString::to_string).collect(),
        columns: types.iter().map(|unseen| unseen.label.clone()).collect(),
        values,
        measure: MatrixValues::Scores(2),
        caption: String::new(),
    };
    Section::new(title, lede, matrix)
}

/// ROC curves of the best method, a line for each type.
fn curves(found: &Found) -> Section {
    let at = best(found);
    let line = |(unseen, curve): (&UnseenType, &RocCurve)| Series::new(&unseen.label, points(curve));
    let curves = Curves {
        x: Axis::share("known cells put aside"),
        y: Axis::share("unseen cells found"),
        series: found.results[at].types.iter().zip(&found.curves[at]).map(line).collect(),
        baselines: vec![Baseline::Diagonal { name: "chance".into() }],
        ..Default::default()
    };
    let lede = format!("Of {}, in the first split.", found.methods[at]);
    Section::new("ROC of the best method", lede, curves)
}

/// A curve with its ends and, between them, points at equal steps in both directions together.
fn points(curve: &RocCurve) -> Vec<Point> {
    let n = curve.fpr.len();
    let mut kept: Vec<usize> = Vec::new();
    let mut last = f64::NEG_INFINITY;
    for at in 0..n {
        // Neither share ever falls, so their sum tells how far along the curve a point is.
        let along = curve.fpr[at] + curve.tpr[at];
        if at == 0 || at + 1 == n || along - last >= 2.0 / MOST_POINTS as f64 {
            kept.push(at);
            last = along;
        }
    }
    kept.into_iter().map(|at| Point::new(curve.fpr[at], curve.tpr[at])).collect()
}

/// Every type by every method.
fn all(found: &Found) -> Table {
    let head = [
        Column::text("Unseen type"),
        Column::text("Model"),
        Column::text("Score"),
        Column::new("Unseen cells", Kind::Count),
        Column::new("Known cells", Kind::Count),
        Column::new("Share of unseen", Kind::Percent(1)),
    ];
    let plain = columns().map(|column| Column { best: Best::None, ..column });
    let mut table = Table::new(head.into_iter().chain(plain).collect());
    for at in 0..found.results[0].types.len() {
        for (method, result) in found.methods.iter().zip(&found.results) {
            let unseen = &result.types[at];
            let [auroc, aupr, fpr] = cells(&unseen.scores);
            table.row([
                unseen.label.as_str().into(),
                method.model.into(),
                method.score.into(),
                unseen.n_unseen.into(),
                unseen.n_known.into(),
                Cell::Value(unseen.prevalence),
                auroc,
                aupr,
                fpr,
            ]);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_curve_keeps_its_ends_and_its_shape() {
        let n = 5000;
        let share = |i: usize| i as f64 / (n - 1) as f64;
        let curve = RocCurve {
            fpr: (0..n).map(|i| share(i) * share(i)).collect(),
            tpr: (0..n).map(share).collect(),
            thresholds: vec![0.0; n],
        };
        let points = points(&curve);
        assert!((100..=MOST_POINTS + 2).contains(&points.len()), "{}", points.len());
        assert_eq!((points[0], points[points.len() - 1]), (Point::new(0.0, 0.0), Point::new(1.0, 1.0)));
        assert!(points.windows(2).all(|pair| pair[1].x - pair[0].x + pair[1].y - pair[0].y < 0.015));
    }
}
