//! The percentile bootstrap over cells, for any statistic.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::quantile;
use crate::{Error, Result};

/// An interval that holds a score with the stated confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Confidence, e.g. 0.95.
    pub level: f64,
}

/// Knobs of a bootstrap.
#[derive(Clone, Debug, PartialEq)]
pub struct BootstrapParams {
    /// Number of resamplings. Default 1000; 1 to 1,000,000.
    pub n_replicates: usize,
    /// Confidence of the interval, between 0 and 1. Default 0.95: percentiles 2.5 and 97.5.
    pub level: f64,
    /// Seed; each replicate has a stream of its own. Default 0.
    pub seed: u64,
}

impl Default for BootstrapParams {
    fn default() -> Self {
        Self { n_replicates: 1000, level: 0.95, seed: 0 }
    }
}

impl BootstrapParams {
    /// Checks the ranges that the fields state.
    ///
    /// # Errors
    /// [`Error::Parameter`].
    pub fn validate(&self) -> Result<()> {
        if !(1..=1_000_000).contains(&self.n_replicates) {
            let (value, expected) = (self.n_replicates.to_string(), "1 to 1000000 resamplings");
            return Err(Error::Parameter { name: "n_replicates", value, expected });
        }
        check_level(self.level)
    }

    /// The generator of one replicate.
    pub(crate) fn rng(&self, replicate: usize) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(replicate as u64);
        rng
    }

    /// The interval between the outer percentiles of `replicates`; NaN ends if a replicate is NaN.
    pub(crate) fn interval(&self, mut replicates: Vec<f64>) -> Interval {
        let level = self.level;
        if replicates.iter().any(|value| value.is_nan()) {
            return Interval { low: f64::NAN, high: f64::NAN, level };
        }
        replicates.sort_unstable_by(f64::total_cmp);
        let tail = (1.0 - level) / 2.0;
        Interval { low: quantile(&replicates, tail), high: quantile(&replicates, 1.0 - tail), level }
    }
}

/// Percentile interval of a statistic of `n_cells` cells, which are drawn with replacement.
///
/// * `statistic`: gets the indices of the drawn cells, `n_cells` of them, in the order drawn; any score of the cells.
///   A NaN makes both ends NaN, as in numpy.
///
/// For scores averaged over folds use the much faster [`super::bootstrap_folds`].
///
/// # Errors
/// [`Error::Empty`] without cells, [`Error::Parameter`] beyond 2³² - 1 cells or for parameters out of range.
///
/// ```
/// use sc_eval::statistics::{BootstrapParams, bootstrap};
///
/// let correct = [1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0];
/// let accuracy = |cells: &[usize]| cells.iter().map(|&i| correct[i]).sum::<f64>() / cells.len() as f64;
/// let interval = bootstrap(correct.len(), &BootstrapParams::default(), accuracy)?;
/// assert!(interval.low < 0.75 && 0.75 < interval.high);
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn bootstrap(
    n_cells: usize,
    params: &BootstrapParams,
    mut statistic: impl FnMut(&[usize]) -> f64,
) -> Result<Interval> {
    params.validate()?;
    if n_cells == 0 {
        return Err(Error::Empty { what: "cells" });
    }
    let bound = u32::try_from(n_cells).map_err(|_| Error::Parameter {
        name: "n_cells",
        value: n_cells.to_string(),
        expected: "at most 4294967295 cells",
    })?;
    let mut drawn = vec![0; n_cells];
    let replicate = |index| {
        let mut rng = params.rng(index);
        drawn.fill_with(|| below(&mut rng, bound) as usize);
        statistic(&drawn)
    };
    Ok(params.interval((0..params.n_replicates).map(replicate).collect()))
}

/// Checks the confidence of an interval.
pub(crate) fn check_level(level: f64) -> Result<()> {
    if !(level > 0.0 && level < 1.0) {
        let (value, expected) = (level.to_string(), "a confidence between 0 and 1");
        return Err(Error::Parameter { name: "level", value, expected });
    }
    Ok(())
}

/// A uniform integer below `bound`, unbiased: the high half of a product, redrawn where the low half would favour one.
pub(crate) fn below(rng: &mut ChaCha8Rng, bound: u32) -> u32 {
    loop {
        let product = u64::from(rng.next_u32()) * u64::from(bound);
        let low = product as u32;
        if low >= bound || low >= bound.wrapping_neg() % bound {
            return (product >> 32) as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_interval_and_another_seed_another() {
        let run = |seed| {
            let params = BootstrapParams { n_replicates: 50, seed, ..Default::default() };
            bootstrap(100, &params, |cells| cells.iter().sum::<usize>() as f64).unwrap()
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
    }

    #[test]
    fn the_interval_of_a_mean_is_close_to_the_normal_one() {
        let values: Vec<f64> = (0..1000).map(|i| f64::from(i % 10)).collect();
        let mean = |cells: &[usize]| cells.iter().map(|&i| values[i]).sum::<f64>() / 1000.0;
        let interval = bootstrap(1000, &BootstrapParams::default(), mean).unwrap();
        // Mean 4.5, standard deviation sqrt(8.25), so 1.96 standard errors are 0.178.
        assert!((interval.low - 4.322).abs() < 0.02, "{interval:?}");
        assert!((interval.high - 4.678).abs() < 0.02, "{interval:?}");
    }

    #[test]
    fn every_index_below_the_bound_is_drawn_about_equally_often() {
        let mut rng = BootstrapParams::default().rng(0);
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[below(&mut rng, 7) as usize] += 1;
        }
        assert!(counts.iter().all(|&n| (9_600..10_400).contains(&n)), "{counts:?}");
        assert_eq!(below(&mut rng, 1), 0);
    }

    #[test]
    fn parameters_out_of_range_are_refused() {
        let one = |params: BootstrapParams| bootstrap(1, &params, |_| 0.0);
        assert!(one(BootstrapParams { n_replicates: 0, ..Default::default() }).is_err());
        assert!(one(BootstrapParams { level: 1.0, ..Default::default() }).is_err());
        assert!(one(BootstrapParams { level: f64::NAN, ..Default::default() }).is_err());
        assert!(bootstrap(0, &BootstrapParams::default(), |_| 0.0).is_err());
        assert!(bootstrap(usize::MAX, &BootstrapParams::default(), |_| 0.0).is_err());
    }

    #[test]
    fn a_statistic_that_is_not_a_number_has_no_interval() {
        let interval = bootstrap(2, &BootstrapParams::default(), |_| f64::NAN).unwrap();
        assert!(interval.low.is_nan() && interval.high.is_nan());
    }
}
