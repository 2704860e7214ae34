//! Metrics of predicted probabilities: how much was staked on the truth.

use ndarray::ArrayView2;

use crate::metrics::math::ln;
use crate::{Error, Result};

/// How far the probabilities of a cell may be from summing to 1, and one probability above 1: rounding of `f32`.
const TOLERANCE: f32 = 1e-3;

/// Checks that there are `n_cells` rows of probabilities, each in 0..=1, rows summing to 1.
pub(crate) fn check_probabilities(probabilities: ArrayView2<'_, f32>, n_cells: usize) -> Result<()> {
    if probabilities.nrows() != n_cells {
        let what = "the axis of cells of the probabilities";
        return Err(Error::Length { what, found: probabilities.nrows(), expected: n_cells });
    }
    for (cell, row) in probabilities.rows().into_iter().enumerate() {
        if let Some(class) = row.iter().position(|p| !(0.0..=1.0 + TOLERANCE).contains(p)) {
            return Err(Error::Probability { cell, class, value: row[class] });
        }
        let sum: f64 = row.iter().map(|&p| f64::from(p)).sum();
        if (sum - 1.0).abs() > f64::from(TOLERANCE) {
            return Err(Error::ProbabilitySum { cell, sum });
        }
    }
    Ok(())
}

/// Checks that each of at least one cell has a class with a column.
pub(crate) fn check_truth(truth: &[u32], n_classes: usize) -> Result<()> {
    if truth.is_empty() {
        return Err(Error::Empty { what: "truth" });
    }
    match truth.iter().find(|&&code| code as usize >= n_classes) {
        Some(&code) => Err(Error::ClassCode { what: "truth", code, n_classes }),
        None => Ok(()),
    }
}

/// Mean negative natural logarithm of the probability of the true class: 0 is perfect, no upper bound but the clip.
///
/// * `probabilities`: cells × classes, rows summing to 1.
///
/// Equals scikit-learn's `log_loss(labels=range(n_classes))` on the same `f32` values: probabilities are clipped to
/// `f32::EPSILON` from 0 and 1, so that a certain mistake costs 15.9 and not infinity. Logarithms and the sum are `f64`.
///
/// # Errors
/// [`Error::Empty`], [`Error::Length`], [`Error::ClassCode`]; [`Error::Probability`] and [`Error::ProbabilitySum`]
/// (where scikit-learn only warns) for rows that are no probabilities.
pub fn log_loss(truth: &[u32], probabilities: ArrayView2<'_, f32>) -> Result<f64> {
    check_truth(truth, probabilities.ncols())?;
    check_probabilities(probabilities, truth.len())?;
    let of_truth = truth.iter().zip(probabilities.rows()).map(|(&code, row)| row[code as usize]);
    let losses = of_truth.map(|p| -ln(f64::from(p.clamp(f32::EPSILON, 1.0 - f32::EPSILON))));
    Ok(losses.sum::<f64>() / truth.len() as f64)
}

/// Brier score: mean squared distance between the probabilities and the truth (1 for the true class, 0 elsewhere); 0 is
/// perfect.
///
/// Equals scikit-learn's `brier_score_loss(labels=range(n_classes))`: the sum over classes, 0..=2, for three or more
/// classes; half of it, 0..=1, for two, where it is the usual score of the second class.
///
/// # Errors
/// Those of [`log_loss`].
#[doc(alias = "brier_score_loss")]
pub fn brier_score(truth: &[u32], probabilities: ArrayView2<'_, f32>) -> Result<f64> {
    check_truth(truth, probabilities.ncols())?;
    check_probabilities(probabilities, truth.len())?;
    let mut sum = 0.0;
    for (&code, row) in truth.iter().zip(probabilities.rows()) {
        for (class, &p) in row.iter().enumerate() {
            let wanted = if class == code as usize { 1.0 } else { 0.0 };
            sum += (wanted - f64::from(p)) * (wanted - f64::from(p));
        }
    }
    let scale = if probabilities.ncols() < 3 { 0.5 } else { 1.0 };
    Ok(scale * sum / truth.len() as f64)
}

/// Share of cells whose true class is among the `k` classes of highest score, in 0..=1.
///
/// * `scores`: cells × classes; any finite or infinite scale, higher is more likely.
///
/// Equals scikit-learn's `top_k_accuracy_score(labels=range(n_classes))` for three or more classes, ties included: of
/// equal scores the higher class index comes first (the opposite of [`crate::Prediction::from_probabilities`]). Two
/// classes are treated in the same way, where scikit-learn wants one column and thresholds it.
///
/// # Errors
/// [`Error::Empty`], [`Error::Length`], [`Error::ClassCode`], [`Error::NotFinite`] at a NaN, [`Error::Parameter`] if
/// `k` is 0.
#[doc(alias = "top_k_accuracy_score")]
pub fn top_k_accuracy(truth: &[u32], scores: ArrayView2<'_, f32>, k: usize) -> Result<f64> {
    check_truth(truth, scores.ncols())?;
    if scores.nrows() != truth.len() {
        let what = "the axis of cells of the scores";
        return Err(Error::Length { what, found: scores.nrows(), expected: truth.len() });
    }
    if k == 0 {
        return Err(Error::Parameter { name: "k", value: "0".into(), expected: "at least 1" });
    }
    if let Some(((row, column), &value)) = scores.indexed_iter().find(|(_, score)| score.is_nan()) {
        return Err(Error::NotFinite { row, column, value });
    }
    let hits = truth.iter().zip(scores.rows()).filter(|(code, row)| {
        let (code, own) = (**code as usize, row[**code as usize]);
        let ahead = row.iter().enumerate().filter(|&(c, &s)| s > own || (s == own && c > code));
        ahead.count() < k
    });
    Ok(hits.count() as f64 / truth.len() as f64)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn certainty_costs_nothing_when_right_and_a_bounded_price_when_wrong() {
        let p = array![[1.0f32, 0.0, 0.0], [0.0, 0.0, 1.0]];
        assert!(log_loss(&[0, 2], p.view()).unwrap() < 2e-7);
        assert!((log_loss(&[1, 0], p.view()).unwrap() - 15.942385).abs() < 1e-6);
        assert_eq!(brier_score(&[0, 2], p.view()).unwrap(), 0.0);
        assert_eq!(brier_score(&[1, 0], p.view()).unwrap(), 2.0);
        assert_eq!(brier_score(&[0], array![[0.75f32, 0.25]].view()).unwrap(), 0.0625);
    }

    #[test]
    fn rows_that_are_no_probabilities_are_refused() {
        let p = array![[0.5f32, 0.6]];
        assert!(matches!(log_loss(&[0], p.view()), Err(Error::ProbabilitySum { cell: 0, .. })));
        assert!(matches!(brier_score(&[2], p.view()), Err(Error::ClassCode { code: 2, .. })));
        assert!(matches!(log_loss(&[0, 1], p.view()), Err(Error::Length { found: 1, .. })));
        assert!(matches!(log_loss(&[], p.view()), Err(Error::Empty { .. })));
    }

    #[test]
    fn the_top_k_of_equal_scores_are_the_last_classes() {
        let s = array![[1.0f32, 1.0, 1.0], [3.0, 2.0, 1.0]];
        assert_eq!(top_k_accuracy(&[2, 0], s.view(), 1).unwrap(), 1.0);
        assert_eq!(top_k_accuracy(&[0, 1], s.view(), 2).unwrap(), 0.5);
        assert_eq!(top_k_accuracy(&[0, 2], s.view(), 7).unwrap(), 1.0);
        assert!(top_k_accuracy(&[0, 2], s.view(), 0).is_err());
        assert!(top_k_accuracy(&[0], array![[f32::NAN]].view(), 1).is_err());
    }
}
