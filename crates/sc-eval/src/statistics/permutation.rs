//! The paired permutation test: the signs of the differences are drawn anew.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::t_test::check_finite;
use crate::{Error, Result};

/// Differences up to which all sign patterns are tried.
const MAX_EXACT: usize = 20;

/// Knobs of a Monte Carlo permutation test.
#[derive(Clone, Debug, PartialEq)]
pub struct PermutationParams {
    /// Number of random sign patterns where there are too many to try all. Default 10,000; 1 to 10,000,000.
    pub n_resamples: usize,
    /// Seed; each pattern has a stream of its own. Default 0.
    pub seed: u64,
}

impl Default for PermutationParams {
    fn default() -> Self {
        Self { n_resamples: 10_000, seed: 0 }
    }
}

/// Two-sided p of the paired permutation test: how likely a mean difference at least as far from 0 is if the two models
/// of every pair were exchanged at random.
///
/// * `differences`: first less second score of each data set, donor or split.
///
/// Exact for up to 20 differences other than 0: all sign patterns are tried, and p is scipy's
/// `permutation_test(permutation_type="samples")` of the mean difference. For more, `(hits + 1) / (n_resamples + 1)`
/// over random patterns, never 0. Sums that agree but for rounding count as equal. 1 if all differences are 0.
///
/// # Errors
/// [`Error::Empty`], [`Error::Value`] at a difference that is not finite, [`Error::Parameter`].
///
/// ```
/// use sc_eval::statistics::{PermutationParams, paired_permutation};
///
/// // Of the 32 patterns of signs, only all plus and all minus are as extreme.
/// let p = paired_permutation(&[0.1, 0.2, 0.05, 0.1, 0.3], &PermutationParams::default())?;
/// assert_eq!(p, 2.0 / 32.0);
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn paired_permutation(differences: &[f64], params: &PermutationParams) -> Result<f64> {
    if differences.is_empty() {
        return Err(Error::Empty { what: "differences" });
    }
    check_finite(differences)?;
    if !(1..=10_000_000).contains(&params.n_resamples) {
        let (value, expected) = (params.n_resamples.to_string(), "1 to 10000000 patterns");
        return Err(Error::Parameter { name: "n_resamples", value, expected });
    }
    let sizes: Vec<f64> = differences.iter().map(|d| d.abs()).filter(|&size| size > 0.0).collect();
    let total: f64 = sizes.iter().sum();
    // A pattern's sum is reached in another order than the observed one.
    let extreme = differences.iter().sum::<f64>().abs() - 1e-12 * total;
    if sizes.len() <= MAX_EXACT {
        let n_patterns = (1u64 << sizes.len()) as f64;
        return Ok(count(&sizes, 0.0, extreme) as f64 / n_patterns);
    }
    let hits = (0..params.n_resamples).filter(|&pattern| {
        let mut rng = ChaCha8Rng::seed_from_u64(params.seed);
        rng.set_stream(pattern as u64);
        let mut sum = 0.0;
        for chunk in sizes.chunks(64) {
            let signs = rng.next_u64();
            for (i, size) in chunk.iter().enumerate() {
                sum += if signs >> i & 1 == 1 { *size } else { -size };
            }
        }
        sum.abs() >= extreme
    });
    Ok((hits.count() + 1) as f64 / (params.n_resamples + 1) as f64)
}

/// How many sign patterns of `sizes` bring `sum` at least as far from 0 as `extreme`.
fn count(sizes: &[f64], sum: f64, extreme: f64) -> u64 {
    match sizes {
        [] => u64::from(sum.abs() >= extreme),
        [size, rest @ ..] => count(rest, sum + size, extreme) + count(rest, sum - size, extreme),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(differences: &[f64]) -> f64 {
        paired_permutation(differences, &PermutationParams::default()).unwrap()
    }

    #[test]
    fn no_difference_shows_nothing_and_zeros_change_nothing() {
        assert_eq!(p(&[0.0, 0.0]), 1.0);
        assert_eq!(p(&[0.1, -0.1]), 1.0);
        assert_eq!(p(&[0.2, 0.0, 0.1, 0.0, 0.4]), p(&[0.2, 0.1, 0.4]));
    }

    #[test]
    fn random_patterns_come_close_to_all_patterns() {
        let differences: Vec<f64> = (0..20).map(|i| f64::from(i % 7) - 2.5).collect();
        let exact = p(&differences);
        // One difference more, below the tolerance, forces random patterns.
        let more: Vec<f64> = differences.iter().copied().chain([1e-14]).collect();
        assert!((p(&more) - exact).abs() < 0.02, "{} {exact}", p(&more));
        assert_eq!(p(&more), p(&more));
        let other = PermutationParams { seed: 1, ..Default::default() };
        assert_ne!(paired_permutation(&more, &other).unwrap(), p(&more));
    }

    #[test]
    fn what_cannot_be_tested_is_refused() {
        let none = PermutationParams { n_resamples: 0, ..Default::default() };
        assert!(paired_permutation(&[0.1], &none).is_err());
        assert!(paired_permutation(&[], &PermutationParams::default()).is_err());
        assert!(paired_permutation(&[f64::INFINITY], &PermutationParams::default()).is_err());
    }
}
