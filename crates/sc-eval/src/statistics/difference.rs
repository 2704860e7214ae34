//! How sure the difference of two means is that come from different cells.

use super::bootstrap::below;
use super::{BootstrapParams, Interval};
use crate::{Error, Result};

/// Percentile interval of `mean(a) - mean(b)` for two independent sets of cells, each drawn with replacement.
///
/// * `a`, `b`: a value of each cell, such as 1 for a right answer and 0 for a wrong one.
///
/// # Errors
/// [`Error::Empty`] if either has no cells; [`Error::Parameter`] for parameters out of range or beyond 2³² - 1 cells.
///
/// ```
/// use sc_eval::statistics::{BootstrapParams, bootstrap_difference};
///
/// let (here, there) = ([1.0; 40], [[1.0; 20], [0.0; 20]].concat());
/// let gap = bootstrap_difference(&here, &there, &BootstrapParams::default())?;
/// assert!(0.3 < gap.low && gap.low < 0.5 && 0.5 < gap.high);
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn bootstrap_difference(a: &[f64], b: &[f64], params: &BootstrapParams) -> Result<Interval> {
    params.validate()?;
    let bound = |values: &[f64]| match u32::try_from(values.len()) {
        Ok(0) => Err(Error::Empty { what: "cells" }),
        Ok(n) => Ok(n),
        Err(_) => Err(Error::Parameter {
            name: "n_cells",
            value: values.len().to_string(),
            expected: "at most 4294967295 cells",
        }),
    };
    let (n_a, n_b) = (bound(a)?, bound(b)?);
    let replicate = |index| {
        let mut rng = params.rng(index);
        let mut mean = |values: &[f64], n: u32| {
            (0..n).map(|_| values[below(&mut rng, n) as usize]).sum::<f64>() / f64::from(n)
        };
        let first = mean(a, n_a);
        first - mean(b, n_b)
    };
    Ok(params.interval((0..params.n_replicates).map(replicate).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constant_sets_differ_by_exactly_that_much() {
        let gap = bootstrap_difference(&[0.75; 7], &[0.5; 3], &BootstrapParams::default()).unwrap();
        assert_eq!((gap.low, gap.high), (0.25, 0.25));
    }

    #[test]
    fn the_width_is_that_of_two_independent_binomials() {
        let share = |right: usize| (0..400).map(|i| f64::from(u8::from(i < right))).collect::<Vec<_>>();
        let params = BootstrapParams { n_replicates: 4000, ..Default::default() };
        let gap = bootstrap_difference(&share(320), &share(200), &params).unwrap();
        let sd = (0.8f64 * 0.2 / 400.0 + 0.25 / 400.0).sqrt();
        assert!((gap.low - (0.3 - 1.96 * sd)).abs() < 0.01, "{gap:?}");
        assert!((gap.high - (0.3 + 1.96 * sd)).abs() < 0.01, "{gap:?}");
    }

    #[test]
    fn an_empty_side_is_refused() {
        let empty = bootstrap_difference(&[], &[1.0], &BootstrapParams::default()).unwrap_err();
        assert_eq!(empty.to_string(), "cells is empty");
    }
}
