//! The reliability curve: stated against observed, by bins of confidence.

use ndarray::ArrayView2;

use crate::metrics::classification::{check_probabilities, check_truth};
use crate::statistics::{Interval, check_level, quantile, wilson};
use crate::{Error, Result};

/// Where the edges of the bins are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BinStrategy {
    /// Bins of equal width from 0 to 1.
    #[default]
    Uniform,
    /// Bins of equal mass: the edges are quantiles of the confidences. Equal confidences stay in one bin, so masses
    /// are only as equal as ties allow.
    Quantile,
}

/// Knobs of a reliability curve and of the errors read from it.
#[derive(Clone, Debug, PartialEq)]
pub struct ReliabilityParams {
    /// Number of bins, 1 to 100,000. Default 15, the usual number for the expected calibration error (Guo et al. 2017).
    pub n_bins: usize,
    /// Where the edges are. Default uniform.
    pub strategy: BinStrategy,
    /// Confidence of the interval of each bin, between 0 and 1. Default 0.95.
    pub level: f64,
}

impl Default for ReliabilityParams {
    fn default() -> Self {
        Self { n_bins: 15, strategy: BinStrategy::Uniform, level: 0.95 }
    }
}

impl ReliabilityParams {
    /// Checks the ranges that the fields state.
    ///
    /// # Errors
    /// [`Error::Parameter`].
    pub fn validate(&self) -> Result<()> {
        if !(1..=100_000).contains(&self.n_bins) {
            let (value, expected) = (self.n_bins.to_string(), "1 to 100000 bins");
            return Err(Error::Parameter { name: "n_bins", value, expected });
        }
        check_level(self.level)
    }
}

/// The cells of one range of confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReliabilityBin {
    /// Lower edge; belongs to the bin below, except in the first bin.
    pub low: f64,
    /// Upper edge; belongs to the bin.
    pub high: f64,
    /// Mean confidence of the cells.
    pub confidence: f64,
    /// Share of the cells that are right.
    pub accuracy: f64,
    /// Number of cells, at least 1.
    pub n_cells: u64,
    /// Wilson interval of the accuracy.
    pub interval: Interval,
}

/// The most probable class of each cell: how sure, and whether right.
#[derive(Clone, Debug, PartialEq)]
pub struct TopLabel {
    /// Largest probability of each cell.
    pub confidence: Vec<f32>,
    /// Whether the class of that probability is the true one; the lower index wins a tie, as in
    /// [`crate::Prediction::from_probabilities`].
    pub correct: Vec<bool>,
}

/// Confidence and correctness of the most probable class of each cell.
///
/// * `probabilities`: cells × classes, rows summing to 1.
///
/// # Errors
/// Those of [`crate::metrics::classification::log_loss`].
pub fn top_label(truth: &[u32], probabilities: ArrayView2<'_, f32>) -> Result<TopLabel> {
    check_truth(truth, probabilities.ncols())?;
    check_probabilities(probabilities, truth.len())?;
    let top = |(&code, row): (&u32, ndarray::ArrayView1<'_, f32>)| {
        let mut best = 0;
        for (class, &p) in row.iter().enumerate() {
            if p > row[best] {
                best = class;
            }
        }
        (row[best].min(1.0), best == code as usize)
    };
    let (confidence, correct) = truth.iter().zip(probabilities.rows()).map(top).unzip();
    Ok(TopLabel { confidence, correct })
}

/// Mean confidence, accuracy and number of cells of each bin that has cells, bins ascending.
///
/// * `confidence`: the stated probability of being right, 0 to 1; `correct`: whether the cell is.
///
/// Equals scikit-learn's `calibration_curve(n_bins, strategy)`, which leaves out empty bins and puts a confidence on an
/// edge into the lower bin, as Guo et al. (2017) do.
///
/// # Errors
/// [`Error::Empty`], [`Error::Length`], [`Error::Value`] outside 0 to 1, [`Error::Parameter`].
pub fn reliability_curve(
    confidence: &[f32],
    correct: &[bool],
    params: &ReliabilityParams,
) -> Result<Vec<ReliabilityBin>> {
    params.validate()?;
    check_confidence(confidence, correct)?;
    let edges = edges(confidence, params);
    let bin = |(bin, sums): (usize, Sums)| {
        let n = sums.n_cells;
        Ok(ReliabilityBin {
            low: edges[bin],
            high: edges[bin + 1],
            confidence: sums.confidence / n as f64,
            accuracy: sums.correct as f64 / n as f64,
            n_cells: n,
            interval: wilson(sums.correct, n, params.level)?,
        })
    };
    let sums = bin_sums(confidence, correct, &edges);
    sums.into_iter().enumerate().filter(|(_, sums)| sums.n_cells > 0).map(bin).collect()
}

pub(super) fn check_confidence(confidence: &[f32], correct: &[bool]) -> Result<()> {
    if confidence.is_empty() {
        return Err(Error::Empty { what: "confidence" });
    }
    if correct.len() != confidence.len() {
        return Err(Error::Length { what: "correct", found: correct.len(), expected: confidence.len() });
    }
    match confidence.iter().position(|p| !(0.0..=1.0).contains(p)) {
        Some(at) => {
            let value = f64::from(confidence[at]);
            Err(Error::Value { what: "confidence", at, value, expected: "0 to 1" })
        }
        None => Ok(()),
    }
}

/// What one bin holds.
#[derive(Clone, Copy, Default)]
pub(super) struct Sums {
    pub(super) confidence: f64,
    pub(super) squares: f64,
    pub(super) correct: u64,
    pub(super) n_cells: u64,
}

/// The edges of the bins, ascending: one more than bins.
pub(super) fn edges(confidence: &[f32], params: &ReliabilityParams) -> Vec<f64> {
    let n = params.n_bins;
    // As numpy's linspace has it: multiples of one step, and the end itself.
    let step = 1.0 / n as f64;
    let even = (0..=n).map(|i| if i == n { 1.0 } else { i as f64 * step });
    if params.strategy == BinStrategy::Uniform {
        return even.collect();
    }
    let mut sorted: Vec<f64> = confidence.iter().map(|&p| f64::from(p)).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    // By way of per cent, as scikit-learn does: the rounding decides on which side of an edge a cell falls.
    even.map(|q| quantile(&sorted, q * 100.0 / 100.0)).collect()
}

pub(super) fn bin_sums(confidence: &[f32], correct: &[bool], edges: &[f64]) -> Vec<Sums> {
    let inner = &edges[1..edges.len() - 1];
    let mut sums = vec![Sums::default(); edges.len() - 1];
    for (&p, &correct) in confidence.iter().zip(correct) {
        let p = f64::from(p);
        let bin = &mut sums[inner.partition_point(|&edge| edge < p)];
        bin.confidence += p;
        bin.squares += p * p;
        bin.correct += u64::from(correct);
        bin.n_cells += 1;
    }
    sums
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn an_edge_belongs_to_the_bin_below() {
        let params = ReliabilityParams { n_bins: 2, ..Default::default() };
        let bins = reliability_curve(&[0.0, 0.5, 0.75, 1.0], &[false, true, true, true], &params).unwrap();
        assert_eq!((bins[0].n_cells, bins[0].confidence, bins[0].accuracy), (2, 0.25, 0.5));
        assert_eq!((bins[1].low, bins[1].high, bins[1].accuracy), (0.5, 1.0, 1.0));
        assert!(bins[1].interval.low < 1.0, "two cells that are right do not prove certainty");
    }

    #[test]
    fn equal_confidences_share_a_bin_of_equal_mass() {
        let params = ReliabilityParams { n_bins: 4, strategy: BinStrategy::Quantile, ..Default::default() };
        let bins = reliability_curve(&[0.5; 10], &[true; 10], &params).unwrap();
        assert_eq!(bins.iter().map(|bin| bin.n_cells).collect::<Vec<_>>(), [10]);
    }

    #[test]
    fn the_lower_class_wins_a_tie_for_the_top() {
        let top = top_label(&[0, 1], array![[0.5f32, 0.5], [0.5, 0.5]].view()).unwrap();
        assert_eq!((top.confidence, top.correct), (vec![0.5, 0.5], vec![true, false]));
    }

    #[test]
    fn what_is_no_confidence_is_refused() {
        let message = |p: &[f32], right: &[bool]| {
            reliability_curve(p, right, &ReliabilityParams::default()).unwrap_err().to_string()
        };
        assert_eq!(message(&[], &[]), "confidence is empty");
        assert_eq!(message(&[0.5], &[]), "correct has 0 entries, expected 1");
        assert_eq!(
            message(&[0.5, 1.5], &[true, true]),
            "confidence is 1.5 at 1 (counted from 0), expected 0 to 1"
        );
        assert!(message(&[f32::NAN], &[true]).contains("NaN"));
        for params in [
            ReliabilityParams { n_bins: 0, ..Default::default() },
            ReliabilityParams { level: 1.0, ..Default::default() },
        ] {
            assert!(matches!(reliability_curve(&[0.5], &[true], &params), Err(Error::Parameter { .. })));
        }
    }
}
