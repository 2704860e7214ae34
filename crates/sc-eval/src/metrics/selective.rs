//! What is gained by leaving doubtful cells without a label: risk against coverage.
//!
//! A model that may abstain answers for the cells it is surest of. *Coverage* is the share of cells it answers for,
//! *risk* the share of those that are wrong. Cells of equal confidence cannot be told apart by any threshold, so they
//! are accepted or left out together; the areas average over all orders of tied cells. Nothing depends on the order of
//! the cells.

use crate::metrics::classification::ranking::Ranking;
use crate::{Error, Result};

/// Risk against coverage, one entry for every distinct confidence, from the surest cells to all.
#[derive(Clone, Debug, PartialEq)]
pub struct RiskCoverageCurve {
    /// The least confidence that is accepted, descending.
    pub thresholds: Vec<f32>,
    /// Share of the cells that are accepted, ascending to 1.
    pub coverage: Vec<f64>,
    /// Share of the accepted cells that are wrong.
    pub risk: Vec<f64>,
    /// Cells accepted and wrong, for the areas.
    counts: Vec<(u64, u64)>,
}

/// What a threshold on the confidence does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OperatingPoint {
    /// The least confidence that is accepted.
    pub threshold: f32,
    /// Share of the cells that are accepted.
    pub coverage: f64,
    /// Share of the accepted cells that are right.
    pub accuracy: f64,
}

/// The curve of risk against coverage.
///
/// * `confidence`: any score, higher is surer; `correct`: whether the cell's label is right.
///
/// # Errors
/// [`Error::Empty`], [`Error::Length`], [`Error::Value`] at a NaN.
///
/// ```
/// use sc_eval::metrics::selective::risk_coverage_curve;
///
/// let curve = risk_coverage_curve(&[0.9, 0.8, 0.8, 0.6], &[true, true, false, false])?;
/// assert_eq!(curve.coverage, [0.25, 0.75, 1.0]);
/// assert_eq!(curve.risk, [0.0, 1.0 / 3.0, 0.5]);
/// assert_eq!(curve.accuracy_at_coverage(0.25)?.accuracy, 1.0);
/// assert_eq!(curve.coverage_at_risk(0.4)?.unwrap().coverage, 0.75);
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn risk_coverage_curve(confidence: &[f32], correct: &[bool]) -> Result<RiskCoverageCurve> {
    if confidence.is_empty() {
        return Err(Error::Empty { what: "confidence" });
    }
    if correct.len() != confidence.len() {
        return Err(Error::Length { what: "correct", found: correct.len(), expected: confidence.len() });
    }
    if let Some(at) = confidence.iter().position(|score| score.is_nan()) {
        let value = f64::from(confidence[at]);
        return Err(Error::Value { what: "confidence", at, value, expected: "a number" });
    }
    let mut ranking = Ranking::default();
    ranking.sort(confidence.iter().copied().zip(correct.iter().copied()));
    let n = confidence.len() as f64;
    let (mut accepted, mut wrong) = (0, 0);
    let mut curve = RiskCoverageCurve { thresholds: vec![], coverage: vec![], risk: vec![], counts: vec![] };
    for tie in ranking.descending() {
        accepted += tie.positives + tie.negatives;
        wrong += tie.negatives;
        curve.thresholds.push(tie.score);
        curve.coverage.push(accepted as f64 / n);
        curve.risk.push(wrong as f64 / accepted as f64);
        curve.counts.push((accepted, wrong));
    }
    Ok(curve)
}

impl RiskCoverageCurve {
    /// Area under the risk-coverage curve: the mean risk over the coverages 1/n, 2/n, ..., 1; lower is better (Geifman
    /// & El-Yaniv 2017).
    ///
    /// Within a tie the expected number of wrong cells grows evenly, which is the mean over all orders of its cells.
    pub fn aurc(&self) -> f64 {
        let (mut accepted, mut wrong, mut sum) = (0, 0, 0.0);
        for &(next_accepted, next_wrong) in &self.counts {
            let rate = (next_wrong - wrong) as f64 / (next_accepted - accepted) as f64;
            for taken in 1..=next_accepted - accepted {
                sum += (wrong as f64 + rate * taken as f64) / (accepted + taken) as f64;
            }
            (accepted, wrong) = (next_accepted, next_wrong);
        }
        sum / accepted as f64
    }

    /// Excess area: [`RiskCoverageCurve::aurc`] less that of a confidence that is higher for every right cell than for
    /// any wrong one; 0 is the best ranking of these answers, however many are wrong (Geifman et al. 2019).
    ///
    /// The best area is summed over the cells, not approximated by an integral.
    pub fn excess_aurc(&self) -> f64 {
        let &(n, wrong) = self.counts.last().expect("there is a cell: checked when the curve was made");
        let right = n - wrong;
        let best: f64 = (1..=wrong).map(|i| i as f64 / (right + i) as f64).sum();
        self.aurc() - best / n as f64
    }

    /// Accuracy on the surest cells that make up at least the share `coverage` of all: the highest threshold that
    /// covers so many. Tied cells may make the true coverage larger; the result states it.
    ///
    /// # Errors
    /// [`Error::Parameter`] unless `coverage` is above 0 and at most 1.
    pub fn accuracy_at_coverage(&self, coverage: f64) -> Result<OperatingPoint> {
        if !(coverage > 0.0 && coverage <= 1.0) {
            let expected = "a share above 0 and at most 1";
            return Err(Error::Parameter { name: "coverage", value: coverage.to_string(), expected });
        }
        let at = self.coverage.partition_point(|&covered| covered < coverage);
        Ok(self.point(at.min(self.coverage.len() - 1)))
    }

    /// The largest coverage whose risk is at most `risk`; `None` if even the surest cells are riskier.
    ///
    /// The threshold is chosen on the cells it is judged on, so on other cells the risk may be higher.
    ///
    /// # Errors
    /// [`Error::Parameter`] unless `risk` is in 0 to 1.
    pub fn coverage_at_risk(&self, risk: f64) -> Result<Option<OperatingPoint>> {
        if !(0.0..=1.0).contains(&risk) {
            let expected = "a share in 0 to 1";
            return Err(Error::Parameter { name: "risk", value: risk.to_string(), expected });
        }
        Ok(self.risk.iter().rposition(|&observed| observed <= risk).map(|at| self.point(at)))
    }

    fn point(&self, at: usize) -> OperatingPoint {
        let (accepted, wrong) = self.counts[at];
        let accuracy = (accepted - wrong) as f64 / accepted as f64;
        OperatingPoint { threshold: self.thresholds[at], coverage: self.coverage[at], accuracy }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_ranking_has_no_excess_and_the_worst_the_most() {
        let correct = [true, true, true, false, false];
        let area = |confidence: &[f32]| risk_coverage_curve(confidence, &correct).unwrap().excess_aurc();
        assert_eq!(area(&[5.0, 4.0, 3.0, 2.0, 1.0]), 0.0);
        let (tied, worst) = (area(&[1.0; 5]), area(&[1.0, 2.0, 3.0, 4.0, 5.0]));
        assert!(0.0 < tied && tied < worst);
    }

    #[test]
    fn cells_that_cannot_be_told_apart_have_the_overall_risk_throughout() {
        let curve = risk_coverage_curve(&[0.5; 4], &[true, false, true, true]).unwrap();
        assert_eq!((curve.coverage.as_slice(), curve.risk.as_slice()), (&[1.0][..], &[0.25][..]));
        assert_eq!(curve.aurc(), 0.25);
        assert_eq!(curve.accuracy_at_coverage(0.1).unwrap().coverage, 1.0);
        assert_eq!(curve.coverage_at_risk(0.2).unwrap(), None);
    }

    #[test]
    fn the_largest_coverage_counts_even_where_the_risk_was_higher_before() {
        let curve = risk_coverage_curve(&[0.9, 0.8, 0.7, 0.6], &[false, true, true, true]).unwrap();
        let point = curve.coverage_at_risk(0.25).unwrap().unwrap();
        assert_eq!((point.threshold, point.coverage, point.accuracy), (0.6, 1.0, 0.75));
    }

    #[test]
    fn shares_and_confidences_must_be_such() {
        let curve = risk_coverage_curve(&[0.5], &[true]).unwrap();
        for share in [0.0, 1.1, f64::NAN] {
            assert!(curve.accuracy_at_coverage(share).is_err());
        }
        let error = curve.coverage_at_risk(-0.1).unwrap_err();
        assert_eq!(error.to_string(), "`risk` is -0.1, expected a share in 0 to 1");
        assert!(risk_coverage_curve(&[], &[]).is_err());
        assert!(risk_coverage_curve(&[0.5], &[]).is_err());
        let error = risk_coverage_curve(&[f32::NAN], &[true]).unwrap_err();
        assert_eq!(error.to_string(), "confidence is NaN at 0 (counted from 0), expected a number");
    }
}
