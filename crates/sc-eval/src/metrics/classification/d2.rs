//! Losses of probabilities beside those of a forecast that knows the class shares only.

use ndarray::ArrayView2;

use super::{brier_score, log_loss};
use crate::Result;
use crate::metrics::math::ln;

/// Share of the log-loss of the class shares that the probabilities save: 1 is perfect, 0 no better than the shares,
/// negative worse.
///
/// * `probabilities`: cells × classes, rows summing to 1.
///
/// Equals scikit-learn's `d2_log_loss_score(labels=range(n_classes))`: the null forecast gives every cell the class
/// shares among these cells. NaN below two cells. With one class only the null forecast is right but for a clip of
/// `f64::EPSILON`, so the score is a huge negative number, as there.
///
/// # Errors
/// Those of [`log_loss`].
pub fn d2_log_loss_score(truth: &[u32], probabilities: ArrayView2<'_, f32>) -> Result<f64> {
    let loss = log_loss(truth, probabilities)?;
    if truth.len() < 2 {
        return Ok(f64::NAN);
    }
    let of_shares = |share: f64| -share * ln(share.clamp(f64::EPSILON, 1.0 - f64::EPSILON));
    let null: f64 = shares(truth, probabilities.ncols()).into_iter().map(of_shares).sum();
    Ok(1.0 - loss / null)
}

/// Share of the Brier score of the class shares that the probabilities save: 1 is perfect, 0 no better than the shares,
/// negative worse.
///
/// * `probabilities`: cells × classes, rows summing to 1.
///
/// Equals scikit-learn's `d2_brier_score(labels=range(n_classes))`. NaN below two cells; with one class only it is
/// minus infinity, or NaN if every probability is right.
///
/// # Errors
/// Those of [`log_loss`].
///
/// ```
/// use ndarray::array;
/// use sc_eval::metrics::classification::d2_brier_score;
///
/// let p = array![[1.0f32, 0.0], [0.5, 0.5]];
/// assert_eq!(d2_brier_score(&[0, 1], p.view())?, 0.5);
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn d2_brier_score(truth: &[u32], probabilities: ArrayView2<'_, f32>) -> Result<f64> {
    let brier = brier_score(truth, probabilities)?;
    if truth.len() < 2 {
        return Ok(f64::NAN);
    }
    // A cell of class c costs 1 - 2 s_c + sum of squares; over all cells that is 1 - sum of squares.
    let squares: f64 = shares(truth, probabilities.ncols()).into_iter().map(|share| share * share).sum();
    let scale = if probabilities.ncols() < 3 { 0.5 } else { 1.0 };
    Ok(1.0 - brier / (scale * (1.0 - squares)))
}

/// The share of each class; zeros for classes without cells.
fn shares(truth: &[u32], n_classes: usize) -> Vec<f64> {
    let mut counts = vec![0u64; n_classes];
    for &code in truth {
        counts[code as usize] += 1;
    }
    counts.into_iter().map(|n| n as f64 / truth.len() as f64).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn the_class_shares_score_zero() {
        let truth = [0, 0, 1, 2];
        let p = Array2::from_shape_fn((4, 3), |(_, class)| [0.5f32, 0.25, 0.25][class]);
        assert!(d2_log_loss_score(&truth, p.view()).unwrap().abs() < 1e-12);
        assert_eq!(d2_brier_score(&truth, p.view()).unwrap(), 0.0);
    }

    #[test]
    fn one_cell_has_no_score_and_one_class_nothing_to_save() {
        let p = array![[0.5f32, 0.5], [1.0, 0.0]];
        assert!(d2_log_loss_score(&[0], p.slice(ndarray::s![..1, ..])).unwrap().is_nan());
        assert!(d2_brier_score(&[0], p.slice(ndarray::s![..1, ..])).unwrap().is_nan());
        assert_eq!(d2_brier_score(&[0, 0], p.view()).unwrap(), f64::NEG_INFINITY);
        assert!(d2_log_loss_score(&[0, 0], p.view()).unwrap() < -1e12);
    }
}
