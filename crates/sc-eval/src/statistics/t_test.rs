//! The t-test of two models on the folds of a cross-validation.

use super::distributions::t_two_sided;
use crate::{Error, Result};

/// A t-test of paired differences.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TTest {
    /// Mean difference.
    pub mean: f64,
    /// Mean difference over its standard error.
    pub t: f64,
    /// Degrees of freedom.
    pub dof: f64,
    /// Two-sided p.
    pub p: f64,
}

/// The corrected resampled t-test (Nadeau & Bengio 2003): whether the mean difference of two models over the splits of
/// a cross-validation is other than 0.
///
/// * `differences`: first less second score, one for each split, at least two.
/// * `test_share`: test cells per training cell, the same in every split: 0.25 for five folds, `1 / (k - 1)` for `k`.
///
/// Training sets overlap, so the scores of splits are not independent and the plain t-test finds too much. The variance
/// of the mean is taken as `(1/n + test_share)` times the variance over splits, with `n - 1` degrees of freedom. 0 gives
/// the plain paired test, scipy's `ttest_rel`. Without spread p is 1 at mean 0, else 0.
///
/// # Errors
/// [`Error::Parameter`] for fewer than two differences or a negative share, [`Error::Value`] at a difference that is
/// not finite.
///
/// ```
/// use sc_eval::statistics::corrected_resampled_t;
///
/// let differences = [0.02, 0.01, 0.03, 0.00, 0.02];
/// let (plain, corrected) =
///     (corrected_resampled_t(&differences, 0.0)?, corrected_resampled_t(&differences, 0.25)?);
/// assert!(plain.p < 0.05 && corrected.p > 0.05);
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn corrected_resampled_t(differences: &[f64], test_share: f64) -> Result<TTest> {
    if differences.len() < 2 {
        let (value, expected) = (format!("{} entries", differences.len()), "at least 2");
        return Err(Error::Parameter { name: "differences", value, expected });
    }
    if !(test_share >= 0.0 && test_share.is_finite()) {
        let (value, expected) = (test_share.to_string(), "a finite number from 0 on");
        return Err(Error::Parameter { name: "test_share", value, expected });
    }
    check_finite(differences)?;
    let n = differences.len() as f64;
    let mean = differences.iter().sum::<f64>() / n;
    let same = differences.iter().all(|&d| d == differences[0]);
    let variance = differences.iter().map(|d| (d - mean) * (d - mean)).sum::<f64>() / (n - 1.0);
    let t = match (same, mean == 0.0) {
        (true, true) => 0.0,
        (true, false) => f64::INFINITY.copysign(mean),
        _ => mean / ((1.0 / n + test_share) * variance).sqrt(),
    };
    Ok(TTest { mean, t, dof: n - 1.0, p: t_two_sided(t, n - 1.0) })
}

pub(super) fn check_finite(differences: &[f64]) -> Result<()> {
    match differences.iter().position(|d| !d.is_finite()) {
        Some(at) => {
            let (what, value, expected) = ("differences", differences[at], "a finite number");
            Err(Error::Value { what, at, value, expected })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_spread_the_mean_decides() {
        let none = corrected_resampled_t(&[0.0; 5], 0.25).unwrap();
        assert_eq!((none.t, none.p), (0.0, 1.0));
        let some = corrected_resampled_t(&[-0.1; 5], 0.25).unwrap();
        assert_eq!((some.t, some.p), (f64::NEG_INFINITY, 0.0));
    }

    #[test]
    fn what_cannot_be_tested_is_refused() {
        let message = |d: &[f64], share| corrected_resampled_t(d, share).unwrap_err().to_string();
        assert_eq!(message(&[0.1], 0.1), "`differences` is 1 entries, expected at least 2");
        assert_eq!(message(&[0.1, 0.2], -1.0), "`test_share` is -1, expected a finite number from 0 on");
        let nan = "differences is NaN at 1 (counted from 0), expected a finite number";
        assert_eq!(message(&[0.1, f64::NAN], 0.0), nan);
    }
}
