//! Area under the ROC curve, by ranks.

use ndarray::ArrayView2;

use super::probability::{check_probabilities, check_truth};
use crate::{Error, Result};

/// How the areas of the classes become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RocAucAverage {
    /// The plain mean.
    Macro,
    /// The mean weighted by the number of cells of each class.
    Weighted,
}

/// Area under the ROC curve of one score: the probability that a positive cell scores above a negative one, ties
/// counting half; in 0..=1, 0.5 is chance.
///
/// * `positive`: which cells are positive; `scores`: higher is more likely positive.
///
/// Equals scikit-learn's `roc_auc_score` for two classes; NaN if all cells are positive or all negative. Computed
/// from ranks in integers, so it does not depend on the order of the cells.
///
/// # Errors
/// [`Error::Empty`], [`Error::Length`], [`Error::NotFinite`] at a NaN score.
///
/// ```
/// let auc = sc_eval::metrics::classification::roc_auc(&[false, false, true, true], &[0.1, 0.4, 0.35, 0.8])?;
/// assert_eq!(auc, 0.75);
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn roc_auc(positive: &[bool], scores: &[f32]) -> Result<f64> {
    if positive.is_empty() {
        return Err(Error::Empty { what: "positive" });
    }
    if scores.len() != positive.len() {
        return Err(Error::Length { what: "scores", found: scores.len(), expected: positive.len() });
    }
    if let Some(row) = scores.iter().position(|score| score.is_nan()) {
        return Err(Error::NotFinite { row, column: 0, value: scores[row] });
    }
    let mut ranked: Vec<(f32, bool)> = scores.iter().copied().zip(positive.iter().copied()).collect();
    Ok(area(&mut ranked))
}

/// Area of each class against the rest, in class order; NaN for a class that no cell, or every cell, belongs to.
///
/// * `probabilities`: cells × classes, rows summing to 1.
///
/// # Errors
/// Those of [`super::log_loss`].
pub fn roc_auc_per_class(truth: &[u32], probabilities: ArrayView2<'_, f32>) -> Result<Vec<f64>> {
    check_truth(truth, probabilities.ncols())?;
    check_probabilities(probabilities, truth.len())?;
    let mut ranked = Vec::with_capacity(truth.len());
    let areas = probabilities.columns().into_iter().zip(0u32..).map(|(scores, class)| {
        ranked.clear();
        ranked.extend(scores.iter().zip(truth).map(|(&score, &code)| (score, code == class)));
        area(&mut ranked)
    });
    Ok(areas.collect())
}

/// Area under the ROC curve of each class against the rest, averaged; in 0..=1, 0.5 is chance.
///
/// Equals scikit-learn's `roc_auc_score(multi_class="ovr", labels=range(n_classes))`; with two classes, its
/// `roc_auc_score` of the second column. A class without cells makes the macro mean NaN, as there (the weighted
/// mean leaves it out); ask [`roc_auc_per_class`] for the classes that have an area.
///
/// # Errors
/// Those of [`super::log_loss`].
pub fn roc_auc_ovr(truth: &[u32], probabilities: ArrayView2<'_, f32>, average: RocAucAverage) -> Result<f64> {
    let mut areas = roc_auc_per_class(truth, probabilities)?;
    if areas.len() == 2 {
        return Ok(areas[1]);
    }
    let mut weights = vec![1.0; areas.len()];
    if average == RocAucAverage::Weighted {
        weights.fill(0.0);
        for &code in truth {
            weights[code as usize] += 1.0;
        }
        for (area, &weight) in areas.iter_mut().zip(&weights) {
            if weight == 0.0 {
                *area = 0.0;
            }
        }
    }
    let sum: f64 = areas.iter().zip(&weights).map(|(area, weight)| area * weight).sum();
    Ok(sum / weights.iter().sum::<f64>())
}

/// The area under the curve of (score, positive) pairs without NaN.
fn area(ranked: &mut [(f32, bool)]) -> f64 {
    // Adding 0 turns -0 into 0, which the total order would tell apart.
    ranked.sort_unstable_by(|a, b| (a.0 + 0.0).total_cmp(&(b.0 + 0.0)));
    let (mut twice_won, mut negatives_below, mut positives) = (0u128, 0u64, 0u64);
    for tied in ranked.chunk_by(|a, b| a.0 == b.0) {
        let won = tied.iter().filter(|(_, positive)| *positive).count() as u64;
        let lost = tied.len() as u64 - won;
        twice_won += u128::from(won) * u128::from(2 * negatives_below + lost);
        negatives_below += lost;
        positives += won;
    }
    let twice_pairs = 2 * u128::from(positives) * u128::from(negatives_below);
    if twice_pairs == 0 { f64::NAN } else { twice_won as f64 / twice_pairs as f64 }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn ties_count_half_and_zero_has_no_sign() {
        assert_eq!(roc_auc(&[true, false], &[0.5, 0.5]).unwrap(), 0.5);
        assert_eq!(roc_auc(&[true, false], &[0.0, -0.0]).unwrap(), 0.5);
        assert_eq!(roc_auc(&[true, false, false], &[0.5, f32::INFINITY, 0.1]).unwrap(), 0.5);
    }

    #[test]
    fn one_kind_of_cell_has_no_area() {
        assert!(roc_auc(&[true, true], &[0.1, 0.2]).unwrap().is_nan());
        assert!(roc_auc(&[], &[]).is_err());
        assert!(roc_auc(&[true], &[]).is_err());
        assert!(roc_auc(&[true], &[f32::NAN]).is_err());
    }

    #[test]
    fn a_class_without_cells_spoils_the_macro_mean_but_not_the_weighted_one() {
        let p = array![[0.7f32, 0.2, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1]];
        let truth = [0, 1, 0];
        assert!(roc_auc_ovr(&truth, p.view(), RocAucAverage::Macro).unwrap().is_nan());
        assert_eq!(roc_auc_ovr(&truth, p.view(), RocAucAverage::Weighted).unwrap(), 1.0);
        let areas = roc_auc_per_class(&truth, p.view()).unwrap();
        assert_eq!(areas[..2], [1.0, 1.0]);
        assert!(areas[2].is_nan());
    }
}
