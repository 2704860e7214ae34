//! Calibration errors: the gaps between confidence and accuracy as one number.

use ndarray::ArrayView2;

use super::reliability::{bin_sums, edges};
use super::{ReliabilityParams, reliability_curve, top_label};
use crate::Result;
use crate::metrics::classification::{check_probabilities, check_truth};

/// Expected calibration error of the most probable class: the mean over cells of the gap between confidence and
/// accuracy in the cell's bin; 0 is perfect, at most 1 (Naeini et al. 2015, Guo et al. 2017).
///
/// * `probabilities`: cells × classes, rows summing to 1.
///
/// The value depends on the bins: name their number and strategy beside it. It is biased upwards for few cells, and
/// says nothing about the other classes; see [`classwise_calibration_error`].
///
/// # Errors
/// Those of [`top_label`] and [`reliability_curve`].
#[doc(alias = "ece")]
pub fn expected_calibration_error(
    truth: &[u32],
    probabilities: ArrayView2<'_, f32>,
    params: &ReliabilityParams,
) -> Result<f64> {
    let top = top_label(truth, probabilities)?;
    let bins = reliability_curve(&top.confidence, &top.correct, params)?;
    let gaps = bins.iter().map(|bin| bin.n_cells as f64 * (bin.accuracy - bin.confidence).abs());
    Ok(gaps.sum::<f64>() / truth.len() as f64)
}

/// Maximum calibration error of the most probable class: the largest gap between confidence and accuracy of any bin
/// that has cells; 0 is perfect, at most 1. A bin of one cell may set it.
///
/// # Errors
/// Those of [`expected_calibration_error`].
#[doc(alias = "mce")]
pub fn maximum_calibration_error(
    truth: &[u32],
    probabilities: ArrayView2<'_, f32>,
    params: &ReliabilityParams,
) -> Result<f64> {
    let top = top_label(truth, probabilities)?;
    let bins = reliability_curve(&top.confidence, &top.correct, params)?;
    Ok(bins.iter().map(|bin| (bin.accuracy - bin.confidence).abs()).fold(0.0, f64::max))
}

/// Calibration error of each class: the expected calibration error of its probability against whether the cell belongs
/// to it (Kull et al. 2019). Their plain mean is the classwise expected calibration error.
///
/// * returns: one value per class, in class order, classes without cells included.
///
/// # Errors
/// Those of [`expected_calibration_error`].
///
/// ```
/// use ndarray::array;
/// use sc_eval::metrics::calibration::{ReliabilityParams, classwise_calibration_error};
///
/// let p = array![[0.75f32, 0.25, 0.0], [0.75, 0.25, 0.0]];
/// let errors = classwise_calibration_error(&[0, 1], p.view(), &ReliabilityParams::default())?;
/// assert_eq!(errors, [0.25, 0.25, 0.0]);
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn classwise_calibration_error(
    truth: &[u32],
    probabilities: ArrayView2<'_, f32>,
    params: &ReliabilityParams,
) -> Result<Vec<f64>> {
    params.validate()?;
    check_truth(truth, probabilities.ncols())?;
    check_probabilities(probabilities, truth.len())?;
    let errors = probabilities.columns().into_iter().zip(0u32..).map(|(column, class)| {
        let stated: Vec<f32> = column.iter().map(|p| p.min(1.0)).collect();
        let belongs: Vec<bool> = truth.iter().map(|&code| code == class).collect();
        let sums = bin_sums(&stated, &belongs, &edges(&stated, params));
        let gaps = sums.iter().map(|bin| (bin.correct as f64 - bin.confidence).abs());
        gaps.sum::<f64>() / truth.len() as f64
    });
    Ok(errors.collect())
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn certainty_that_is_right_has_no_error_and_certainty_that_is_wrong_all_of_it() {
        let p = array![[1.0f32, 0.0], [0.0, 1.0]];
        let params = ReliabilityParams::default();
        assert_eq!(expected_calibration_error(&[0, 1], p.view(), &params).unwrap(), 0.0);
        assert_eq!(expected_calibration_error(&[1, 0], p.view(), &params).unwrap(), 1.0);
        assert_eq!(maximum_calibration_error(&[0, 0], p.view(), &params).unwrap(), 0.5);
        assert_eq!(classwise_calibration_error(&[1, 0], p.view(), &params).unwrap(), [1.0, 1.0]);
    }

    #[test]
    fn bins_must_be_bins_and_rows_probabilities() {
        let p = array![[1.0f32, 0.5]];
        let none = ReliabilityParams { n_bins: 0, ..Default::default() };
        assert!(classwise_calibration_error(&[0], array![[1.0f32]].view(), &none).is_err());
        assert!(expected_calibration_error(&[0], p.view(), &ReliabilityParams::default()).is_err());
        assert!(maximum_calibration_error(&[2], p.view(), &ReliabilityParams::default()).is_err());
    }
}
