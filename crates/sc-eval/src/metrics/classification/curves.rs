//! Curves over all thresholds of one score: ROC, precision against recall, detection errors.

use super::ranking::Ranking;
use crate::{Error, Result};

/// True against false positive rate at every threshold, from the strictest to the most lenient.
#[derive(Clone, Debug, PartialEq)]
pub struct RocCurve {
    /// Share of the negative cells that score at least the threshold; starts at 0. All NaN without negative cells.
    pub fpr: Vec<f64>,
    /// Share of the positive cells that score at least the threshold; starts at 0. All NaN without positive cells.
    pub tpr: Vec<f64>,
    /// The thresholds, descending from infinity.
    pub thresholds: Vec<f32>,
}

/// Precision against recall at every threshold, from the most lenient to the strictest.
#[derive(Clone, Debug, PartialEq)]
pub struct PrecisionRecallCurve {
    /// Share of the cells at or above the threshold that are positive; one entry more than thresholds, the last is 1.
    pub precision: Vec<f64>,
    /// Share of the positive cells at or above the threshold; one entry more than thresholds, the last is 0. All 1 but
    /// the last without positive cells.
    pub recall: Vec<f64>,
    /// The distinct scores, ascending.
    pub thresholds: Vec<f32>,
}

/// False positive against false negative rate, from the most lenient threshold to the strictest.
#[derive(Clone, Debug, PartialEq)]
pub struct DetCurve {
    /// Share of the negative cells that score at least the threshold.
    pub fpr: Vec<f64>,
    /// Share of the positive cells that score below the threshold.
    pub fnr: Vec<f64>,
    /// The thresholds, ascending; the last may be infinity.
    pub thresholds: Vec<f32>,
}

/// True and false positives among the cells at or above a threshold.
#[derive(Clone, Copy)]
struct Step {
    threshold: f32,
    tps: u64,
    fps: u64,
}

impl Step {
    /// A threshold that no cell reaches.
    const NONE: Self = Self { threshold: f32::INFINITY, tps: 0, fps: 0 };
}

fn steps(ranking: &Ranking) -> Vec<Step> {
    let (mut tps, mut fps) = (0, 0);
    let step = |tie: super::ranking::Tie| {
        tps += tie.positives;
        fps += tie.negatives;
        Step { threshold: tie.score, tps, fps }
    };
    ranking.descending().map(step).collect()
}

/// The ROC curve of one score.
///
/// * `positive`: which cells are positive; `scores`: higher is more likely positive.
/// * `drop_intermediate`: whether to leave out points on the straight line between their neighbours.
///
/// Equals scikit-learn's `roc_curve(drop_intermediate=…)`, whose default is true: the first point is (0, 0) at
/// infinity; where all cells are positive, or all negative, the rate without cells is NaN.
///
/// # Errors
/// Those of [`super::roc_auc`].
///
/// ```
/// use sc_eval::metrics::classification::roc_curve;
///
/// let curve = roc_curve(&[false, false, true, true], &[0.1, 0.4, 0.35, 0.8], true)?;
/// assert_eq!(curve.fpr, [0.0, 0.0, 0.5, 0.5, 1.0]);
/// assert_eq!(curve.tpr, [0.0, 0.5, 0.5, 1.0, 1.0]);
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn roc_curve(positive: &[bool], scores: &[f32], drop_intermediate: bool) -> Result<RocCurve> {
    let ranking = Ranking::new(positive, scores)?;
    let (positives, negatives) = ranking.totals();
    let mut steps = steps(&ranking);
    if drop_intermediate {
        let straight =
            |a: &Step, b: &Step, c: &Step| b.fps - a.fps == c.fps - b.fps && b.tps - a.tps == c.tps - b.tps;
        steps = corners(&steps, straight);
    }
    steps.insert(0, Step::NONE);
    Ok(RocCurve {
        fpr: steps.iter().map(|step| share(step.fps, negatives)).collect(),
        tpr: steps.iter().map(|step| share(step.tps, positives)).collect(),
        thresholds: steps.iter().map(|step| step.threshold).collect(),
    })
}

/// Precision and recall at every distinct score, and the end point of precision 1 and recall 0.
///
/// Equals scikit-learn's `precision_recall_curve`.
///
/// # Errors
/// Those of [`super::roc_auc`].
///
/// ```
/// use sc_eval::metrics::classification::precision_recall_curve;
///
/// let curve = precision_recall_curve(&[false, true, true], &[0.1, 0.35, 0.8])?;
/// assert_eq!(curve.recall, [1.0, 1.0, 0.5, 0.0]);
/// assert_eq!(curve.precision[1..], [1.0, 1.0, 1.0]);
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn precision_recall_curve(positive: &[bool], scores: &[f32]) -> Result<PrecisionRecallCurve> {
    let ranking = Ranking::new(positive, scores)?;
    let (positives, _) = ranking.totals();
    let steps = steps(&ranking);
    let precision = steps.iter().rev().map(|step| share(step.tps, step.tps + step.fps));
    let recall = |step: &Step| if positives == 0 { 1.0 } else { share(step.tps, positives) };
    Ok(PrecisionRecallCurve {
        precision: precision.chain([1.0]).collect(),
        recall: steps.iter().rev().map(recall).chain([0.0]).collect(),
        thresholds: steps.iter().rev().map(|step| step.threshold).collect(),
    })
}

/// Both kinds of error at every threshold: the detection error tradeoff.
///
/// Equals scikit-learn's `det_curve`: it runs from the last threshold that misses no positive cell to the first that
/// no negative cell passes.
///
/// # Errors
/// Those of [`super::roc_auc`]; [`Error::OneKind`] if all cells are positive or all negative.
pub fn det_curve(positive: &[bool], scores: &[f32]) -> Result<DetCurve> {
    let ranking = Ranking::new(positive, scores)?;
    let (positives, negatives) = ranking.totals();
    if positives == 0 || negatives == 0 {
        let kind = if negatives == 0 { "positive" } else { "negative" };
        return Err(Error::OneKind { n_cells: positive.len(), kind });
    }
    let mut steps = steps(&ranking);
    steps.insert(0, Step::NONE);
    let first = steps.iter().rposition(|step| step.fps == 0).unwrap_or(0);
    let last = steps.iter().position(|step| step.tps == positives).unwrap_or(steps.len() - 1);
    // Every step adds a cell, so positive cells cannot run out before the last step without a negative one.
    let kept = &steps[first..=last];
    Ok(DetCurve {
        fpr: kept.iter().rev().map(|step| share(step.fps, negatives)).collect(),
        fnr: kept.iter().rev().map(|step| share(positives - step.tps, positives)).collect(),
        thresholds: kept.iter().rev().map(|step| step.threshold).collect(),
    })
}

/// Average precision: the mean of the precisions at each threshold, weighted by the recall gained there; in 0..=1, the
/// share of positive cells is chance.
///
/// Equals scikit-learn's `average_precision_score` for two classes: a sum of steps, without the optimistic straight
/// lines of a trapezoidal area; 0 without positive cells. Tied cells enter together, so their order does not matter.
///
/// # Errors
/// Those of [`super::roc_auc`].
///
/// ```
/// use sc_eval::metrics::classification::average_precision;
///
/// let ap = average_precision(&[false, false, true, true], &[0.1, 0.4, 0.35, 0.8])?;
/// assert!((ap - 0.833_333_333_333).abs() < 1e-12);
/// # Ok::<(), sc_eval::Error>(())
/// ```
#[doc(alias = "average_precision_score")]
pub fn average_precision(positive: &[bool], scores: &[f32]) -> Result<f64> {
    Ok(step_area(&Ranking::new(positive, scores)?))
}

/// The average precision of a ranking; 0 without positive cells.
pub(crate) fn step_area(ranking: &Ranking) -> f64 {
    let (positives, _) = ranking.totals();
    let (mut tps, mut seen, mut sum) = (0, 0, 0.0);
    for tie in ranking.descending() {
        tps += tie.positives;
        seen += tie.positives + tie.negatives;
        sum += tie.positives as f64 * (tps as f64 / seen as f64);
    }
    if positives == 0 { 0.0 } else { sum / positives as f64 }
}

/// Area under the part of the ROC curve up to a false positive rate of `max_fpr`, standardised so that 0.5 is chance
/// and 1 perfect (McClish 1989).
///
/// Equals scikit-learn's `roc_auc_score(max_fpr=…)`; NaN if all cells are positive or all negative.
///
/// # Errors
/// Those of [`super::roc_auc`]; [`Error::Parameter`] unless `max_fpr` is above 0 and at most 1.
pub fn roc_auc_partial(positive: &[bool], scores: &[f32], max_fpr: f64) -> Result<f64> {
    if !(max_fpr > 0.0 && max_fpr <= 1.0) {
        let expected = "a rate above 0 and at most 1";
        return Err(Error::Parameter { name: "max_fpr", value: max_fpr.to_string(), expected });
    }
    let ranking = Ranking::new(positive, scores)?;
    let (positives, negatives) = ranking.totals();
    if positives == 0 || negatives == 0 {
        return Ok(f64::NAN);
    }
    let (mut area, mut from) = (0.0, (0.0, 0.0));
    for step in steps(&ranking) {
        let to = (share(step.fps, negatives), share(step.tps, positives));
        if to.0 > max_fpr {
            let height = from.1 + (to.1 - from.1) * (max_fpr - from.0) / (to.0 - from.0);
            area += (max_fpr - from.0) * (from.1 + height) / 2.0;
            break;
        }
        area += (to.0 - from.0) * (from.1 + to.1) / 2.0;
        from = to;
    }
    if max_fpr == 1.0 {
        return Ok(area);
    }
    let least = 0.5 * max_fpr * max_fpr;
    Ok(0.5 * (1.0 + (area - least) / (max_fpr - least)))
}

/// The steps without those between neighbours that make them superfluous; the ends stay.
fn corners(steps: &[Step], superfluous: impl Fn(&Step, &Step, &Step) -> bool) -> Vec<Step> {
    let inner = steps.windows(3).filter(|w| !superfluous(&w[0], &w[1], &w[2])).map(|w| w[1]);
    let ends = |at: Option<&Step>| at.copied().into_iter();
    if steps.len() < 3 {
        return steps.to_vec();
    }
    ends(steps.first()).chain(inner).chain(ends(steps.last())).collect()
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { f64::NAN } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_kind_of_cell_has_half_a_curve() {
        let curve = roc_curve(&[true, true], &[0.1, 0.2], true).unwrap();
        assert!(curve.fpr.iter().all(|rate| rate.is_nan()));
        assert_eq!(curve.tpr, [0.0, 0.5, 1.0]);
        let none = precision_recall_curve(&[false, false], &[0.1, 0.2]).unwrap();
        assert_eq!((none.precision, none.recall), (vec![0.0, 0.0, 1.0], vec![1.0, 1.0, 0.0]));
        assert_eq!(average_precision(&[false, false], &[0.1, 0.2]).unwrap(), 0.0);
        assert_eq!(average_precision(&[true, true], &[0.1, 0.2]).unwrap(), 1.0);
    }

    #[test]
    fn points_on_a_line_leave_without_changing_the_area() {
        let positive = [true, true, true, false, true, false, false, true, false];
        let scores = [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0];
        let area = |curve: RocCurve| {
            let points: Vec<_> = curve.fpr.into_iter().zip(curve.tpr).collect();
            points.windows(2).map(|w| (w[1].0 - w[0].0) * (w[0].1 + w[1].1) / 2.0).sum::<f64>()
        };
        let (all, few) =
            (roc_curve(&positive, &scores, false).unwrap(), roc_curve(&positive, &scores, true).unwrap());
        assert!(few.fpr.len() < all.fpr.len());
        assert!((area(all) - area(few)).abs() < 1e-15);
    }

    #[test]
    fn detection_errors_need_both_kinds() {
        let error = det_curve(&[true, true], &[0.1, 0.2]).unwrap_err();
        assert_eq!(error.to_string(), "all 2 cells are positive: there is nothing to tell apart");
        assert!(error.help().is_some());
        let error = det_curve(&[false], &[0.1]).unwrap_err();
        assert_eq!(error.to_string(), "all 1 cells are negative: there is nothing to tell apart");
    }

    #[test]
    fn a_partial_area_needs_a_rate() {
        for max_fpr in [0.0, 1.5, f64::NAN] {
            assert!(roc_auc_partial(&[true, false], &[0.1, 0.2], max_fpr).is_err());
        }
        assert_eq!(roc_auc_partial(&[true, false], &[0.2, 0.1], 0.1).unwrap(), 1.0);
        assert!(roc_auc_partial(&[true, true], &[0.2, 0.1], 0.1).unwrap().is_nan());
    }
}
