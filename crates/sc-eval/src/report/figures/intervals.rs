//! One figure to compare models: a dot and its interval each, on one axis.

use super::canvas::{Anchor, Canvas};
use super::palette::{ACCENT, INK, MUTED, RULE, WRONG};
use super::text::{fit, width};
use crate::report::facts::{ModelFacts, Score};

const ROW: f64 = 38.0;
const TOP: f64 = 84.0;
const PLOT: f64 = 460.0;
const NAME: f64 = 240.0;

/// A model in the figure.
pub(crate) struct Bar {
    /// Its name.
    pub(crate) name: String,
    /// The score, and the ends of its interval.
    pub(crate) score: [f64; 3],
    /// Scores of single folds.
    pub(crate) folds: Vec<f64>,
}

impl From<&ModelFacts<'_>> for Bar {
    fn from(model: &ModelFacts<'_>) -> Self {
        let Score { value, low, high, .. } = model.accuracy;
        let folds = model.result.folds.iter().map(|fold| fold.scores.accuracy).collect();
        Self { name: model.name.to_owned(), score: [value, low, high], folds }
    }
}

/// Models' scores with their intervals, and the majority baseline as a line.
///
/// * `range`: ends of the axis; what lies outside is drawn at the edge, as an arrow.
pub(crate) fn intervals(
    title: &str,
    bars: &[Bar],
    majority: f64,
    range: [f64; 2],
) -> Result<Vec<u8>, String> {
    let widest = bars.iter().map(|bar| width(&bar.name, 14)).fold(60.0, f64::max);
    let left = 28.0 + widest.min(NAME) + 16.0;
    let total = left + PLOT + 190.0;
    let bottom = TOP + bars.len() as f64 * ROW;
    let mut canvas = Canvas::new(total, bottom + 64.0);
    canvas.bold((28.0, 34.0), &fit(title, 18, total - 56.0), 18, Anchor::Start, INK);
    let shows_majority = (range[0]..=range[1]).contains(&majority);
    let line = if shows_majority { "; dashed: always the largest class" } else { "" };
    let subtitle = format!("accuracy with its 95 % interval; small dots: single folds{line}");
    canvas.text((28.0, 56.0), &subtitle, 13, Anchor::Start, MUTED);
    let x = |value: f64| left + (value - range[0]) / (range[1] - range[0]) * PLOT;
    for tick in ticks(range) {
        canvas.line((x(tick), TOP - 6.0), (x(tick), bottom), 1.0, RULE, None);
        canvas.text((x(tick), bottom + 20.0), &decimals(tick, range), 12, Anchor::Middle, MUTED);
    }
    canvas.text((left + PLOT / 2.0, bottom + 44.0), "accuracy", 13, Anchor::Middle, INK);
    if shows_majority {
        canvas.line((x(majority), TOP - 6.0), (x(majority), bottom), 1.5, WRONG, Some("5 4"));
    }
    for (i, bar) in bars.iter().enumerate() {
        let y = TOP + (i as f64 + 0.5) * ROW;
        canvas.text((left - 16.0, y + 5.0), &fit(&bar.name, 14, NAME), 14, Anchor::End, INK);
        let [score, low, high] = bar.score;
        if score < range[0] {
            canvas.line((left + 1.0, y), (left + 16.0, y), 2.0, MUTED, None);
            canvas.line((left + 1.0, y), (left + 7.0, y - 5.0), 2.0, MUTED, None);
            canvas.line((left + 1.0, y), (left + 7.0, y + 5.0), 2.0, MUTED, None);
            canvas.text((left + 24.0, y + 4.5), "below the axis", 12, Anchor::Start, MUTED);
        } else {
            let (from, to) = (x(low.max(range[0])), x(high.min(range[1])));
            canvas.line((from, y), (to, y), 3.0, ACCENT, None);
            canvas.line((from, y - 6.0), (from, y + 6.0), 1.5, ACCENT, None);
            canvas.line((to, y - 6.0), (to, y + 6.0), 1.5, ACCENT, None);
            for &fold in bar.folds.iter().filter(|f| (range[0]..=range[1]).contains(*f)) {
                canvas.dot((x(fold), y + 10.0), 2.2, MUTED, 0.7);
            }
            canvas.dot((x(score), y), 6.0, ACCENT, 1.0);
        }
        let text = format!("{score:.3} [{low:.3}, {high:.3}]");
        canvas.text((total - 28.0, y + 5.0), &text, 13, Anchor::End, INK);
    }
    canvas.png()
}

/// A range of scores that holds those of interest, its ends on multiples of .05.
///
/// Models whose interval does not lie above the largest class are not of interest: they would press the others
/// together.
pub(crate) fn range(scores: &[[f64; 3]], majority: f64) -> [f64; 2] {
    let better = || scores.iter().filter(|s| s[1] > majority);
    let low = match better().map(|s| s[1]).fold(f64::INFINITY, f64::min) {
        low if low.is_finite() => low,
        _ => scores.iter().map(|s| s[1]).fold(majority, f64::min),
    };
    let high = scores.iter().map(|s| s[2]).fold(majority, f64::max);
    let step = |value: f64| value * 20.0;
    let low = (step(low - 0.005).floor() / 20.0).clamp(0.0, 0.95);
    let high = (step(high + 0.005).ceil() / 20.0).clamp(low + 0.05, 1.0);
    [low, high]
}

/// Four to eight round numbers in a range.
pub(crate) fn ticks(range: [f64; 2]) -> Vec<f64> {
    let span = range[1] - range[0];
    let step = [0.01, 0.02, 0.05, 0.1, 0.2].into_iter().find(|s| span / s < 8.01).unwrap_or(0.25);
    let first = (range[0] / step - 1e-9).ceil() as i64;
    let last = (range[1] / step + 1e-9).floor() as i64;
    (first..=last).map(|i| i as f64 * step).collect()
}

fn decimals(tick: f64, range: [f64; 2]) -> String {
    if range[1] - range[0] < 0.45 { format!("{tick:.2}") } else { format!("{tick:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_leaves_the_majority_out_when_the_models_are_far_above() {
        let scores = [[0.434, 0.42, 0.45], [0.951, 0.942, 0.958], [0.918, 0.907, 0.928]];
        assert_eq!(range(&scores, 0.434), [0.9, 1.0]);
        assert_eq!(range(&[[0.434, 0.42, 0.45]], 0.434), [0.4, 0.5]);
        assert_eq!(range(&[[1.0, 0.999, 1.0]], 0.5), [0.95, 1.0]);
        assert_eq!(range(&[], 0.5), [0.45, 0.55]);
    }

    #[test]
    fn ticks_are_round_and_few() {
        for low in 0..19 {
            for high in low + 1..=20 {
                let n = ticks([f64::from(low) / 20.0, f64::from(high) / 20.0]).len();
                assert!((3..=9).contains(&n), "{low} {high}: {n}");
            }
        }
    }
}
