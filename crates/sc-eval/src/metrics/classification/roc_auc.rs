//! Area under the ROC curve, by ranks.

use ndarray::ArrayView2;

use super::Average;
use super::probability::{check_probabilities, check_truth};
use super::ranking::Ranking;
use crate::{Error, Result};

/// Area under the ROC curve of one score: the probability that a positive cell scores above a negative one, ties
/// counting half; in 0..=1, 0.5 is chance.
///
/// * `positive`: which cells are positive; `scores`: higher is more likely positive.
///
/// Equals scikit-learn's `roc_auc_score` for two classes; NaN if all cells are positive or all negative. Computed
/// from ranks in integers, so it does not depend on the order of the cells.
///
/// # Errors
/// [`Error::Empty`], [`Error::Length`], [`Error::Value`] at a NaN score.
///
/// ```
/// let auc = sc_eval::metrics::classification::roc_auc(&[false, false, true, true], &[0.1, 0.4, 0.35, 0.8])?;
/// assert_eq!(auc, 0.75);
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn roc_auc(positive: &[bool], scores: &[f32]) -> Result<f64> {
    Ok(area(&Ranking::new(positive, scores)?))
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
    Ok(per_class(truth, probabilities, area))
}

/// Area under the ROC curve of each class against the rest, averaged; in 0..=1, 0.5 is chance.
///
/// Equals scikit-learn's `roc_auc_score(multi_class="ovr", labels=range(n_classes))`; with two classes, its
/// `roc_auc_score` of the second column, whatever the average. A class without cells makes the macro mean NaN, as there
/// (the weighted mean leaves it out); ask [`roc_auc_per_class`] for the classes that have an area. The micro average
/// ranks every probability of every cell together.
///
/// # Errors
/// Those of [`super::log_loss`].
pub fn roc_auc_ovr(truth: &[u32], probabilities: ArrayView2<'_, f32>, average: Average) -> Result<f64> {
    let areas = roc_auc_per_class(truth, probabilities)?;
    Ok(averaged(truth, probabilities, &areas, average, area))
}

/// Area under the ROC curve of each pair of classes, averaged (Hand & Till 2001); in 0..=1, 0.5 is chance.
///
/// Equals scikit-learn's `roc_auc_score(multi_class="ovo", labels=range(n_classes))`: of a pair, the mean of the areas
/// by the one and by the other class's probability, among the cells of the two; classes without cells are left out.
/// [`Average::Weighted`] weighs a pair by its cells. NaN with fewer than two classes that have cells; with two columns
/// the area of the second.
///
/// # Errors
/// Those of [`super::log_loss`]; [`Error::Parameter`] for [`Average::Micro`], which pairs do not have.
pub fn roc_auc_ovo(truth: &[u32], probabilities: ArrayView2<'_, f32>, average: Average) -> Result<f64> {
    if average == Average::Micro {
        let expected = "Macro or Weighted: pairs of classes have no micro average";
        return Err(Error::Parameter { name: "average", value: "Micro".into(), expected });
    }
    let n_classes = probabilities.ncols();
    if n_classes == 2 {
        return roc_auc_ovr(truth, probabilities, average);
    }
    check_truth(truth, n_classes)?;
    check_probabilities(probabilities, truth.len())?;
    let mut by_class = vec![Vec::new(); n_classes];
    for (cell, &code) in truth.iter().enumerate() {
        by_class[code as usize].push(cell);
    }
    let (mut sum, mut weights) = (0.0, 0.0);
    let mut ranking = Ranking::default();
    for a in 0..n_classes {
        for b in a + 1..n_classes {
            let (of_a, of_b) = (&by_class[a], &by_class[b]);
            if of_a.is_empty() || of_b.is_empty() {
                continue;
            }
            let mut between = |column: usize, positives: &[usize], negatives: &[usize]| {
                let cells = |cells: &[usize], positive| {
                    cells
                        .iter()
                        .map(move |&cell| (probabilities[[cell, column]], positive))
                        .collect::<Vec<_>>()
                };
                ranking.sort(cells(positives, true).into_iter().chain(cells(negatives, false)));
                area(&ranking)
            };
            let both = (between(a, of_a, of_b) + between(b, of_b, of_a)) / 2.0;
            let weight = if average == Average::Weighted { (of_a.len() + of_b.len()) as f64 } else { 1.0 };
            sum += weight * both;
            weights += weight;
        }
    }
    Ok(sum / weights)
}

/// A score of the ranking by each column, its class against the rest.
pub(super) fn per_class(
    truth: &[u32],
    probabilities: ArrayView2<'_, f32>,
    score: fn(&Ranking) -> f64,
) -> Vec<f64> {
    let mut ranking = Ranking::default();
    let columns = probabilities.columns().into_iter().zip(0u32..);
    let scores = columns.map(|(column, class)| {
        ranking.sort(column.iter().zip(truth).map(|(&p, &code)| (p, code == class)));
        score(&ranking)
    });
    scores.collect()
}

/// One number of the scores of the classes; with two classes, the second's.
pub(super) fn averaged(
    truth: &[u32],
    probabilities: ArrayView2<'_, f32>,
    scores: &[f64],
    average: Average,
    score: fn(&Ranking) -> f64,
) -> f64 {
    if let [_, second] = *scores {
        return second;
    }
    match average {
        Average::Macro => scores.iter().sum::<f64>() / scores.len() as f64,
        Average::Weighted => {
            // A class without cells may have no score, which no weight of zero would take away.
            let of_truth = truth.iter().map(|&code| scores[code as usize]);
            of_truth.sum::<f64>() / truth.len() as f64
        }
        Average::Micro => {
            let mut ranking = Ranking::default();
            let cells = truth.iter().zip(probabilities.rows());
            ranking.sort(cells.flat_map(|(&code, row)| {
                row.into_iter().zip(0u32..).map(move |(&p, class)| (p, class == code))
            }));
            score(&ranking)
        }
    }
}

/// The area under the curve of a ranking; NaN if all its cells are of one kind.
pub(crate) fn area(ranking: &Ranking) -> f64 {
    let (mut twice_won, mut negatives_below, mut positives) = (0u128, 0u64, 0u64);
    for tie in ranking.ascending() {
        twice_won += u128::from(tie.positives) * u128::from(2 * negatives_below + tie.negatives);
        negatives_below += tie.negatives;
        positives += tie.positives;
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
        assert!(roc_auc_ovr(&truth, p.view(), Average::Macro).unwrap().is_nan());
        assert_eq!(roc_auc_ovr(&truth, p.view(), Average::Weighted).unwrap(), 1.0);
        assert_eq!(roc_auc_ovo(&truth, p.view(), Average::Macro).unwrap(), 1.0);
        let areas = roc_auc_per_class(&truth, p.view()).unwrap();
        assert_eq!(areas[..2], [1.0, 1.0]);
        assert!(areas[2].is_nan());
    }

    #[test]
    fn pairs_have_no_micro_average_and_one_class_has_no_pairs() {
        let p = array![[0.7f32, 0.2, 0.1], [0.2, 0.7, 0.1]];
        let error = roc_auc_ovo(&[0, 1], p.view(), Average::Micro).unwrap_err();
        let expected =
            "`average` is Micro, expected Macro or Weighted: pairs of classes have no micro average";
        assert_eq!(error.to_string(), expected);
        assert!(roc_auc_ovo(&[0, 0], p.view(), Average::Weighted).unwrap().is_nan());
    }
}
