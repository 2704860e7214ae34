//! The Brier score taken apart.

use ndarray::ArrayView2;

use super::ReliabilityParams;
use super::reliability::{Sums, bin_sums, edges};
use crate::Result;
use crate::metrics::classification::brier_score;

/// The parts of a Brier score: `brier = reliability - resolution + uncertainty + within_bins`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BrierDecomposition {
    /// The Brier score itself; see [`brier_score`].
    pub brier: f64,
    /// Mean squared gap between stated and observed shares of the bins; 0 is perfectly calibrated.
    pub reliability: f64,
    /// Mean squared distance of the observed shares of the bins from the overall share; larger is better.
    pub resolution: f64,
    /// The score of always stating the class shares: a property of the cells, not of the model.
    pub uncertainty: f64,
    /// What bins hide: the spread of the probabilities within a bin less twice their covariance with the truth there.
    /// 0 if all probabilities of a bin are equal; may be negative.
    pub within_bins: f64,
}

/// Reliability, resolution and uncertainty of the probabilities (Murphy 1973), summed over classes, with the two terms
/// within bins that make the sum exact (Stephenson et al. 2008).
///
/// * `probabilities`: cells × classes, rows summing to 1; each class is binned by its own probability.
///
/// On the scale of [`brier_score`]: the sum over classes, half of it for two.
///
/// # Errors
/// Those of [`super::expected_calibration_error`].
///
/// ```
/// use ndarray::array;
/// use sc_eval::metrics::calibration::{ReliabilityParams, brier_decomposition};
///
/// let p = array![[0.75f32, 0.25], [0.75, 0.25], [0.25, 0.75], [0.25, 0.75]];
/// let parts = brier_decomposition(&[0, 0, 1, 0], p.view(), &ReliabilityParams::default())?;
/// assert_eq!((parts.reliability, parts.resolution, parts.uncertainty), (0.0625, 0.0625, 0.1875));
/// assert_eq!(parts.brier, 0.1875);
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn brier_decomposition(
    truth: &[u32],
    probabilities: ArrayView2<'_, f32>,
    params: &ReliabilityParams,
) -> Result<BrierDecomposition> {
    params.validate()?;
    let brier = brier_score(truth, probabilities)?;
    let n = truth.len() as f64;
    let (mut reliability, mut resolution, mut uncertainty, mut within) = (0.0, 0.0, 0.0, 0.0);
    for (column, class) in probabilities.columns().into_iter().zip(0u32..) {
        let stated = column.to_vec();
        let belongs: Vec<bool> = truth.iter().map(|&code| code == class).collect();
        let of_right = column.iter().zip(&belongs).filter(|(_, belongs)| **belongs);
        let right: f64 = of_right.map(|(&p, _)| f64::from(p)).sum();
        let share = belongs.iter().filter(|&&belongs| belongs).count() as f64 / n;
        uncertainty += share * (1.0 - share);
        // Sum over bins of n p² - 2 (sum of p of the class) + 2 n p o: spread less twice the covariance.
        let mut spread = -2.0 * right;
        for Sums { confidence, squares, correct, n_cells } in
            bin_sums(&stated, &belongs, &edges(&stated, params))
        {
            if n_cells == 0 {
                continue;
            }
            let weight = n_cells as f64;
            let (stated, observed) = (confidence / weight, correct as f64 / weight);
            reliability += weight / n * (stated - observed) * (stated - observed);
            resolution += weight / n * (observed - share) * (observed - share);
            spread += squares - weight * stated * stated + 2.0 * weight * stated * observed;
        }
        within += spread / n;
    }
    let scale = if probabilities.ncols() < 3 { 0.5 } else { 1.0 };
    Ok(BrierDecomposition {
        brier,
        reliability: scale * reliability,
        resolution: scale * resolution,
        uncertainty: scale * uncertainty,
        within_bins: scale * within,
    })
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::calibration::BinStrategy;

    #[test]
    fn one_bin_leaves_no_resolution() {
        let p = array![[0.8f32, 0.1, 0.1], [0.3, 0.4, 0.3], [0.3, 0.3, 0.4]];
        let params = ReliabilityParams { n_bins: 1, ..Default::default() };
        assert_eq!(brier_decomposition(&[0, 1, 2], p.view(), &params).unwrap().resolution, 0.0);
    }

    proptest! {
        #[test]
        fn the_parts_sum_to_the_score(cells in vec((0..3u32, 1..9u8, 1..9u8, 1..9u8), 1..60), n_bins in 1..12usize) {
            let truth: Vec<u32> = cells.iter().map(|cell| cell.0).collect();
            let p = ndarray::Array2::from_shape_fn((cells.len(), 3), |(cell, class)| {
                let (_, a, b, c) = cells[cell];
                f32::from([a, b, c][class]) / f32::from(a + b + c)
            });
            for strategy in [BinStrategy::Uniform, BinStrategy::Quantile] {
                let params = ReliabilityParams { n_bins, strategy, ..Default::default() };
                let d = brier_decomposition(&truth, p.view(), &params).unwrap();
                let sum = d.reliability - d.resolution + d.uncertainty + d.within_bins;
                prop_assert!((sum - d.brier).abs() < 1e-12, "{d:?}");
            }
        }
    }
}
