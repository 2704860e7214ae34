//! Intervals of a proportion, such as an accuracy, from its counts.

use super::Interval;
use super::bootstrap::check_level;
use super::distributions::{beta_quantile, normal_quantile};
use crate::{Error, Result};

/// Wilson's score interval: close to the stated confidence on average, also for few cells and for shares near 0 or 1.
///
/// * `successes` of `n` cells; `level`: confidence between 0 and 1, e.g. 0.95.
///
/// Equals scipy's `binomtest(…).proportion_ci(level, method="wilson")`. At perfect accuracy the upper end is 1 and the
/// lower end below it: `1 / (1 + z²/n)`, about `1 - 3.84/n` at 95 %.
///
/// # Errors
/// [`Error::Empty`] if `n` is 0, [`Error::Parameter`] for more successes than cells or a level out of range.
///
/// ```
/// let interval = sc_eval::statistics::wilson(50, 50, 0.95)?;
/// assert!((interval.low - 0.928_65).abs() < 1e-5 && interval.high == 1.0);
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn wilson(successes: u64, n: u64, level: f64) -> Result<Interval> {
    check(successes, n, level)?;
    let z = -normal_quantile((1.0 - level) / 2.0);
    let (n, p, z2) = (n as f64, successes as f64 / n as f64, z * z);
    let centre = (2.0 * n * p + z2) / (2.0 * (n + z2));
    let half = z / (2.0 * (n + z2)) * (4.0 * n * p * (1.0 - p) + z2).sqrt();
    // The ends are exact where the formula is only so up to rounding.
    let low = if p == 0.0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if p == 1.0 { 1.0 } else { (centre + half).min(1.0) };
    Ok(Interval { low, high, level })
}

/// Clopper and Pearson's interval: holds the true share with at least the stated confidence, whatever it is, and is
/// therefore wider than need be.
///
/// * `successes` of `n` cells; `level`: confidence between 0 and 1, e.g. 0.95.
///
/// Equals scipy's `binomtest(…).proportion_ci(level, method="exact")`.
///
/// # Errors
/// Those of [`wilson`].
pub fn clopper_pearson(successes: u64, n: u64, level: f64) -> Result<Interval> {
    check(successes, n, level)?;
    let tail = (1.0 - level) / 2.0;
    let (k, rest) = (successes as f64, (n - successes) as f64);
    let low = if successes == 0 { 0.0 } else { beta_quantile(tail, k, rest + 1.0) };
    // The upper end by the mirrored distribution, whose small quantile has all digits.
    let high = if successes == n { 1.0 } else { 1.0 - beta_quantile(tail, rest, k + 1.0) };
    Ok(Interval { low, high, level })
}

fn check(successes: u64, n: u64, level: f64) -> Result<()> {
    if n == 0 {
        return Err(Error::Empty { what: "cells" });
    }
    if successes > n {
        let expected = "at most the number of cells";
        return Err(Error::Parameter { name: "successes", value: successes.to_string(), expected });
    }
    check_level(level)
}

impl Interval {
    /// This interval, or Wilson's where resampling found no spread at all.
    ///
    /// * `successes` of `n` cells: the counts of the score that this is the interval of.
    ///
    /// A bootstrap draws from the cells seen. If all of them are right it finds accuracy 1 every time and says 1 to 1,
    /// however few they are. The rule: where the two ends are the same, take Wilson's interval of the same level.
    ///
    /// # Errors
    /// Those of [`wilson`].
    ///
    /// ```
    /// use sc_eval::statistics::Interval;
    ///
    /// let bootstrapped = Interval { low: 1.0, high: 1.0, level: 0.95 };
    /// let interval = bootstrapped.or_wilson(20, 20)?;
    /// assert!(interval.low < 0.85 && interval.high == 1.0);
    /// # Ok::<(), sc_eval::Error>(())
    /// ```
    pub fn or_wilson(self, successes: u64, n: u64) -> Result<Self> {
        let of_counts = wilson(successes, n, self.level)?;
        Ok(if self.low == self.high { of_counts } else { self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_interval_holds_the_share_and_wilson_lies_within_it_for_half() {
        let (exact, wilson) = (clopper_pearson(30, 60, 0.95).unwrap(), wilson(30, 60, 0.95).unwrap());
        assert!(exact.low < wilson.low && wilson.low < 0.5 && 0.5 < wilson.high && wilson.high < exact.high);
    }

    #[test]
    fn all_or_none_leave_one_end_open() {
        for interval in [wilson, clopper_pearson] {
            let (none, all) = (interval(0, 9, 0.9).unwrap(), interval(9, 9, 0.9).unwrap());
            assert_eq!((none.low, all.high), (0.0, 1.0));
            assert!(none.high > 0.2 && (none.high + all.low - 1.0).abs() < 1e-12);
        }
        // 1 - (1 - level)/2 = low^n.
        let low = clopper_pearson(9, 9, 0.9).unwrap().low;
        assert!((low.powi(9) - 0.05).abs() < 1e-12);
    }

    #[test]
    fn an_interval_with_spread_stays() {
        let spread = Interval { low: 0.8, high: 0.9, level: 0.95 };
        assert_eq!(spread.or_wilson(17, 20).unwrap(), spread);
    }

    #[test]
    fn counts_that_cannot_be_are_refused() {
        assert_eq!(wilson(0, 0, 0.95).unwrap_err().to_string(), "cells is empty");
        let more = clopper_pearson(3, 2, 0.95).unwrap_err();
        assert_eq!(more.to_string(), "`successes` is 3, expected at most the number of cells");
        assert!(wilson(1, 2, 1.0).is_err() && wilson(1, 2, f64::NAN).is_err());
    }
}
