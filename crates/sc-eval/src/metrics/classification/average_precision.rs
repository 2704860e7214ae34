//! Average precision of each class against the rest.

use ndarray::ArrayView2;

use super::Average;
use super::curves::step_area;
use super::probability::{check_probabilities, check_truth};
use super::roc_auc::{averaged, per_class};
use crate::Result;

/// Average precision of each class against the rest, in class order; 0 for a class without cells.
///
/// * `probabilities`: cells × classes, rows summing to 1.
///
/// Equals scikit-learn's `average_precision_score(average=None)` of the truth as indicators, one column per class. See
/// [`super::average_precision`] for one score.
///
/// # Errors
/// Those of [`super::log_loss`].
pub fn average_precision_per_class(truth: &[u32], probabilities: ArrayView2<'_, f32>) -> Result<Vec<f64>> {
    check_truth(truth, probabilities.ncols())?;
    check_probabilities(probabilities, truth.len())?;
    Ok(per_class(truth, probabilities, step_area))
}

/// Average precision of each class against the rest, averaged; with two classes, that of the second.
///
/// Equals scikit-learn's `average_precision_score` of the truth as indicators: a class without cells counts as 0 in the
/// macro mean (given class indices instead, scikit-learn refuses such a class). The micro average ranks every
/// probability of every cell together.
///
/// # Errors
/// Those of [`super::log_loss`].
///
/// ```
/// use ndarray::array;
/// use sc_eval::metrics::classification::{Average, average_precision_ovr};
///
/// let p = array![[0.8f32, 0.1, 0.1], [0.3, 0.6, 0.1], [0.2, 0.2, 0.6], [0.5, 0.3, 0.2]];
/// assert_eq!(average_precision_ovr(&[0, 1, 2, 0], p.view(), Average::Macro)?, 1.0);
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn average_precision_ovr(
    truth: &[u32],
    probabilities: ArrayView2<'_, f32>,
    average: Average,
) -> Result<f64> {
    let scores = average_precision_per_class(truth, probabilities)?;
    Ok(averaged(truth, probabilities, &scores, average, step_area))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_class_without_cells_counts_as_zero_in_the_macro_mean_only() {
        let p = array![[0.7f32, 0.2, 0.1], [0.2, 0.7, 0.1]];
        let score = |average| average_precision_ovr(&[0, 1], p.view(), average).unwrap();
        assert_eq!(average_precision_per_class(&[0, 1], p.view()).unwrap(), [1.0, 1.0, 0.0]);
        assert_eq!(score(Average::Macro), 2.0 / 3.0);
        assert_eq!(score(Average::Weighted), 1.0);
        assert_eq!(score(Average::Micro), 1.0);
    }

    #[test]
    fn what_is_no_probability_is_refused() {
        let p = array![[0.7f32, 0.7]];
        assert!(average_precision_per_class(&[0], p.view()).is_err());
        assert!(average_precision_ovr(&[2], array![[0.5f32, 0.5]].view(), Average::Macro).is_err());
    }
}
