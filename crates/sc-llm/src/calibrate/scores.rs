//! Arithmetic of scores. Sums run in order, so results have the same bits everywhere.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};

use super::Error;
use super::error::check_scores;

/// The scores of labels from those of their spellings: `log Σ exp S` over the spellings of a label.
///
/// * `scores`: cells × spellings.
/// * `label_of`: the label of each spelling; every label below the largest must have one.
///
/// # Errors
/// [`Error::Length`], [`Error::Score`]; [`Error::Empty`] for a label without a spelling.
pub fn merge_spellings(scores: ArrayView2<'_, f64>, label_of: &[usize]) -> Result<Array2<f64>, Error> {
    check_scores(scores)?;
    if label_of.len() != scores.ncols() {
        return Err(Error::Length {
            what: "labels of spellings",
            found: label_of.len(),
            expected: scores.ncols(),
        });
    }
    let n_labels = label_of.iter().max().map_or(0, |&last| last.saturating_add(1));
    if n_labels > label_of.len() || (0..n_labels).any(|label| !label_of.contains(&label)) {
        return Err(Error::Empty { what: "spellings of a label below the largest" });
    }
    let mut merged = Array2::from_elem((scores.nrows(), n_labels), f64::NEG_INFINITY);
    for (row, mut out) in scores.rows().into_iter().zip(merged.rows_mut()) {
        for (label, out) in out.iter_mut().enumerate() {
            let own = || row.iter().zip(label_of).filter(|&(_, &of)| of == label).map(|(&score, _)| score);
            let highest = own().fold(f64::NEG_INFINITY, f64::max);
            if highest > f64::NEG_INFINITY {
                *out = highest + libm::log(own().map(|score| libm::exp(score - highest)).sum());
            }
        }
    }
    Ok(merged)
}

/// The scores less what the model says where it is shown no cell (contextual calibration, Zhao et al. 2021; for the sum of
/// logarithms it is the pointwise mutual information of cell and label).
///
/// * `prior`: `S(label)` after the same prompt with genes that say nothing. A label with minus infinity there keeps its
///   score: nothing can be taken off.
///
/// # Errors
/// [`Error::Length`], [`Error::Score`].
pub fn without_prior(scores: ArrayView2<'_, f64>, prior: ArrayView1<'_, f64>) -> Result<Array2<f64>, Error> {
    check_scores(scores)?;
    check_scores(prior.insert_axis(ndarray::Axis(0)))?;
    if prior.len() != scores.ncols() {
        return Err(Error::Length {
            what: "scores without a cell",
            found: prior.len(),
            expected: scores.ncols(),
        });
    }
    Ok(&scores - &prior.mapv(|score| if score == f64::NEG_INFINITY { 0.0 } else { score }))
}

/// Probabilities of labels, `softmax(scores / temperature)` in each row.
///
/// # Errors
/// [`Error::Score`], [`Error::Impossible`]; [`Error::Param`] unless the temperature is a finite number above 0.
pub fn probabilities(scores: ArrayView2<'_, f64>, temperature: f64) -> Result<Array2<f64>, Error> {
    check_scores(scores)?;
    if !(temperature > 0.0 && temperature.is_finite()) {
        let expected = "a finite number above 0";
        return Err(Error::Param { field: "temperature", found: temperature, expected });
    }
    let mut all = scores.to_owned();
    for (cell, mut row) in all.rows_mut().into_iter().enumerate() {
        let highest = row.fold(f64::NEG_INFINITY, |a, &b| a.max(b));
        if highest == f64::NEG_INFINITY {
            return Err(Error::Impossible { cell });
        }
        row.mapv_inplace(|score| libm::exp((score - highest) / temperature));
        let sum = row.iter().sum::<f64>();
        row.mapv_inplace(|weight| weight / sum);
    }
    Ok(all)
}

/// The scores of a cluster from those of its cells: the sum of the cells' log-probabilities, times `damping`.
///
/// Cells of one cluster are no independent witnesses: at 1 a hundred of them are always sure. `damping` is what a cell
/// counts for, 1 / n for the mean.
///
/// * `probabilities`: cells × labels.
///
/// # Errors
/// [`Error::Empty`] without cells; [`Error::Probability`]; [`Error::Param`] unless `damping` is above 0 and at most 1.
pub fn of_cluster(probabilities: ArrayView2<'_, f64>, damping: f64) -> Result<Array1<f64>, Error> {
    super::error::check_probabilities(probabilities)?;
    if probabilities.nrows() == 0 {
        return Err(Error::Empty { what: "cells" });
    }
    if !(damping > 0.0 && damping <= 1.0) {
        return Err(Error::Param { field: "damping", found: damping, expected: "above 0 and at most 1" });
    }
    let of_label = |label: ArrayView1<'_, f64>| damping * label.iter().map(|&p| libm::log(p)).sum::<f64>();
    Ok(probabilities.columns().into_iter().map(of_label).collect())
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    const NONE: f64 = f64::NEG_INFINITY;

    #[test]
    fn two_spellings_are_as_probable_as_both_together() {
        let scores = array![[0.1_f64.ln(), 0.2_f64.ln(), 0.3_f64.ln()], [NONE, NONE, 0.0]];
        let merged = merge_spellings(scores.view(), &[0, 1, 0]).expect("three spellings");
        assert!((merged[[0, 0]] - 0.4_f64.ln()).abs() < 1e-12);
        assert!((merged[[0, 1]] - 0.2_f64.ln()).abs() < 1e-12);
        assert_eq!(merged.row(1), array![0.0, NONE]);
    }

    #[test]
    fn every_label_has_a_spelling() {
        let scores = array![[0.0, 0.0]];
        let message = |label_of: &[usize]| merge_spellings(scores.view(), label_of).unwrap_err().to_string();
        assert_eq!(message(&[0, 2]), "there are no spellings of a label below the largest");
        assert_eq!(message(&[0, usize::MAX]), "there are no spellings of a label below the largest");
        assert_eq!(message(&[0]), "1 labels of spellings, expected 2");
    }

    #[test]
    fn a_label_that_is_always_likely_loses_that() {
        let scores = array![[-1.0, -2.0]];
        let corrected = without_prior(scores.view(), array![-0.5, -3.0].view()).expect("two labels");
        assert_eq!(corrected, array![[-0.5, 1.0]]);
        let kept = without_prior(scores.view(), array![NONE, -3.0].view()).expect("two labels");
        assert_eq!(kept, array![[-1.0, 1.0]]);
    }

    #[test]
    fn temperature_flattens_and_sharpens() {
        let scores = array![[0.0, 1.0_f64.exp().ln() + 1.0]];
        let at = |t| probabilities(scores.view(), t).expect("good scores")[[0, 1]];
        assert!((at(1.0) - 1.0 / (1.0 + (-2.0_f64).exp())).abs() < 1e-12);
        assert!(at(0.5) > at(1.0) && at(1.0) > at(5.0) && at(1e9) - 0.5 < 1e-8);
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        let message = |scores: Array2<f64>| probabilities(scores.view(), 1.0).unwrap_err().to_string();
        assert_eq!(
            message(array![[0.0, f64::NAN]]),
            "the score of label 1 for cell 0 is NaN, expected a number or minus infinity"
        );
        assert_eq!(message(array![[0.0, 0.0], [NONE, NONE]]), "every label of cell 1 has probability 0");
        let zero = probabilities(array![[0.0]].view(), 0.0).unwrap_err().to_string();
        assert_eq!(zero, "`temperature` is 0, expected a finite number above 0");
    }

    #[test]
    fn a_cluster_is_the_product_of_its_cells() {
        let cells = array![[0.5, 0.5], [0.8, 0.2]];
        let sum = of_cluster(cells.view(), 1.0).expect("two cells");
        assert!((sum[0] - 0.4_f64.ln()).abs() < 1e-12 && (sum[1] - 0.1_f64.ln()).abs() < 1e-12);
        let mean = of_cluster(cells.view(), 0.5).expect("two cells");
        assert_eq!((mean[0], mean[1]), (sum[0] * 0.5, sum[1] * 0.5));
        assert_eq!(
            of_cluster(cells.view(), 0.0).unwrap_err().to_string(),
            "`damping` is 0, expected above 0 and at most 1"
        );
    }
}
