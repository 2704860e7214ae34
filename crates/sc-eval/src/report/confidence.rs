//! What the models' probabilities are worth: sections that every report with probabilities has.

use super::Report;
use super::section::{Axis, Curves, Point, Reliability, ReliabilityBin, ReliabilityCurve, Section, Series};
use crate::protocol::CrossValidation;

/// Bins of the confidence, of equal width.
const BINS: usize = 15;
/// Points of a risk-coverage curve, at most.
const POINTS: usize = 50;

const RELIABILITY: &str = "The confidence of a model in a cell is its highest probability. Where a model is calibrated, \
     of the cells named with 90 % confidence 90 % are right, and its line lies on the dashed one; below it, the model is \
     surer than it should be. Bars are the numbers of cells; 15 bins of equal width.";
const RISK: &str = "Cells are named in the order of the model's confidence, the surest first. At each share of the cells \
     named, the share of them that is wrong: how much a threshold on the confidence would buy.";

/// The sections about the models that gave probabilities; none without such a model.
pub(super) fn sections(report: &Report) -> Vec<Section> {
    let sure = report.models.iter().filter_map(|(name, result)| Some((name, answers(result)?)));
    let sure: Vec<(&String, Vec<Answer>)> = sure.filter(|(_, answers)| !answers.is_empty()).collect();
    if sure.is_empty() {
        return Vec::new();
    }
    let curve = |(name, answers): &(&String, Vec<Answer>)| {
        let (bins, ece) = reliability(answers);
        ReliabilityCurve { name: (*name).clone(), bins, ece }
    };
    let risk = |(name, answers): &(&String, Vec<Answer>)| Series::new(*name, risk_coverage(answers));
    let curves = Curves {
        x: Axis::share("share of the cells named"),
        y: Axis::new("share of the named cells that is wrong"),
        series: sure.iter().map(risk).collect(),
        ..Default::default()
    };
    let models = sure.iter().map(curve).collect();
    vec![
        Section::new("Reliability", RELIABILITY, Reliability { models }),
        Section::new("Risk and coverage", RISK, curves),
    ]
}

/// The confidence of each tested cell, NaN for the others; `None` for a model without probabilities.
pub(super) fn confidences(result: &CrossValidation) -> Option<Vec<f32>> {
    let probabilities = result.probabilities.as_ref()?;
    Some(probabilities.rows().into_iter().map(|row| row.iter().copied().fold(f32::NAN, f32::max)).collect())
}

/// An answer: how sure, and whether right.
#[derive(Clone, Copy)]
struct Answer {
    confidence: f64,
    right: bool,
}

fn answers(result: &CrossValidation) -> Option<Vec<Answer>> {
    let confidences = confidences(result)?;
    let cells = confidences.iter().zip(&result.predicted).zip(&result.truth);
    let answer = |((&confidence, predicted), truth): ((&f32, &Option<u32>), &u32)| {
        let predicted = predicted.as_ref()?;
        // Rounding may have put a probability a little above 1.
        let confidence = f64::from(confidence).min(1.0);
        confidence.is_finite().then_some(Answer { confidence, right: predicted == truth })
    };
    Some(cells.filter_map(answer).collect())
}

/// Bins over (low, high] and the expected calibration error, as Guo et al. (2017) define both.
fn reliability(answers: &[Answer]) -> (Vec<ReliabilityBin>, f64) {
    let mut sums = [(0_usize, 0.0, 0_usize); BINS];
    for answer in answers {
        let bin = ((answer.confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
        let (n, confidence, right) = &mut sums[bin];
        *n += 1;
        *confidence += answer.confidence;
        *right += usize::from(answer.right);
    }
    let edge = |i: usize| i as f64 / BINS as f64;
    let bin = |(i, (n, confidence, right)): (usize, (usize, f64, usize))| {
        // 0 of 0 is NaN, which says that there is nothing.
        let (confidence, accuracy) = (confidence / n as f64, right as f64 / n as f64);
        ReliabilityBin { low: edge(i), high: edge(i + 1), n, confidence, accuracy }
    };
    let bins: Vec<_> = sums.into_iter().enumerate().map(bin).collect();
    let gaps = bins.iter().filter(|bin| bin.n > 0);
    let ece = gaps.map(|bin| (bin.accuracy - bin.confidence).abs() * bin.n as f64).sum::<f64>();
    (bins, ece / answers.len() as f64)
}

/// Share of wrong answers among the surest, at growing shares of the cells; cells of one confidence come together.
fn risk_coverage(answers: &[Answer]) -> Vec<Point> {
    let mut answers = answers.to_vec();
    answers.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    let n = answers.len();
    let (mut points, mut wrong, mut marked) = (Vec::new(), 0, 0);
    for (i, answer) in answers.iter().enumerate() {
        wrong += usize::from(!answer.right);
        let tied = answers.get(i + 1).is_some_and(|next| next.confidence == answer.confidence);
        // One point for each fiftieth of the cells, or for all that a tie steps over.
        let mark = (i + 1) * POINTS / n;
        if !tied && mark > marked {
            marked = mark;
            points.push(Point::new((i + 1) as f64 / n as f64, wrong as f64 / (i + 1) as f64));
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(values: &[(f64, bool)]) -> Vec<Answer> {
        values.iter().map(|&(confidence, right)| Answer { confidence, right }).collect()
    }

    #[test]
    fn the_calibration_error_is_the_mean_gap_weighted_by_cells() {
        // Gaps of 0.45 - 0 with one cell, |2/3 - 0.95| with three.
        let answers = answers(&[(0.45, false), (0.95, true), (0.95, true), (0.95, false)]);
        let (bins, ece) = reliability(&answers);
        assert_eq!(bins.iter().map(|bin| bin.n).sum::<usize>(), 4);
        assert_eq!((bins[6].n, bins[14].n), (1, 3));
        let expected = (0.45 + 3.0 * (0.95 - 2.0 / 3.0)) / 4.0;
        assert!((ece - expected).abs() < 1e-12, "{ece}");
    }

    #[test]
    fn an_edge_belongs_to_the_bin_below_it() {
        let (bins, _) = reliability(&answers(&[(0.0, true), (0.2, true), (1.0, true)]));
        let full: Vec<_> = bins.iter().enumerate().filter(|(_, bin)| bin.n > 0).map(|(i, _)| i).collect();
        assert_eq!(full, [0, 2, 14]);
    }

    #[test]
    fn the_risk_at_full_coverage_is_the_error_and_ties_come_together() {
        let tied = risk_coverage(&answers(&[(0.5, false), (0.9, true), (0.5, true), (0.5, true)]));
        assert_eq!(tied, [Point::new(0.25, 0.0), Point::new(1.0, 0.25)]);
        let many: Vec<_> = (0..1_000).map(|i| (f64::from(i) / 1_000.0, i >= 100)).collect();
        let curve = risk_coverage(&answers(&many));
        assert!(curve.len() <= POINTS + 1, "{}", curve.len());
        assert_eq!(curve.last(), Some(&Point::new(1.0, 0.1)));
        assert!(curve.windows(2).all(|pair| pair[0].x < pair[1].x && pair[0].y <= pair[1].y));
    }
}
