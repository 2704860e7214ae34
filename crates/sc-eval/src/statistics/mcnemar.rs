//! Two models on the same cells: McNemar's test.

use super::distributions::chi2_sf;
use crate::{Error, Result};

/// Cells on which exactly one of two models is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discordant {
    /// Cells that only the first model names rightly.
    pub only_first: u64,
    /// Cells that only the second model names rightly.
    pub only_second: u64,
}

/// How p is computed from the discordant cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum McNemar {
    /// From the binomial distribution: never too small, a little too large for few cells.
    #[default]
    Exact,
    /// From the binomial distribution, the observed split counting half: closer to the level than the exact test, and
    /// hardly ever above it (Fagerland et al. 2013).
    MidP,
    /// From the chi-squared distribution: `(b - c)² / (b + c)`.
    ChiSquared,
    /// From the chi-squared distribution with Edwards' continuity correction: `(|b - c| - 1)² / (b + c)`.
    Corrected,
}

/// Counts the cells on which exactly one of two predictions is right.
///
/// # Errors
/// [`Error::Empty`], [`Error::Length`].
pub fn discordant(truth: &[u32], first: &[u32], second: &[u32]) -> Result<Discordant> {
    if truth.is_empty() {
        return Err(Error::Empty { what: "truth" });
    }
    for (what, predicted) in [("the first prediction", first), ("the second prediction", second)] {
        if predicted.len() != truth.len() {
            return Err(Error::Length { what, found: predicted.len(), expected: truth.len() });
        }
    }
    let mut cells = Discordant { only_first: 0, only_second: 0 };
    for ((t, a), b) in truth.iter().zip(first).zip(second) {
        cells.only_first += u64::from(a == t && b != t);
        cells.only_second += u64::from(a != t && b == t);
    }
    Ok(cells)
}

/// Two-sided p of McNemar's test: how likely a split of the discordant cells at least so uneven is if each were as
/// likely to fall to either side. 1 if there are none.
///
/// Cells are taken to be independent; those of one donor are not, and neither are the models of one cross-validation,
/// which share training cells: a p close to the threshold says little.
///
/// ```
/// use sc_eval::statistics::{Discordant, McNemar, mcnemar};
///
/// let cells = Discordant { only_first: 0, only_second: 10 };
/// assert_eq!(mcnemar(cells, McNemar::Exact), 0.001953125);
/// assert_eq!(mcnemar(cells, McNemar::MidP), 0.0009765625);
/// ```
pub fn mcnemar(cells: Discordant, method: McNemar) -> f64 {
    let (b, c) = (cells.only_first, cells.only_second);
    if b == 0 && c == 0 {
        return 1.0;
    }
    let (n, difference) = (b as f64 + c as f64, b.abs_diff(c) as f64);
    match method {
        McNemar::Exact => binomial(b, c).0,
        McNemar::MidP => binomial(b, c).1,
        McNemar::ChiSquared => chi2_sf(difference * difference / n, 1.0),
        McNemar::Corrected => {
            let corrected = (difference - 1.0).max(0.0);
            chi2_sf(corrected * corrected / n, 1.0)
        }
    }
}

/// Two-sided p under a fair coin, exact and with the observed split counting half.
fn binomial(b: u64, c: u64) -> (f64, f64) {
    let (n, k) = (b.saturating_add(c), b.min(c));
    // C(n, k) / 2^n, halved on the way whenever the product grows: no intermediate value leaves the range of f64
    // before the result does, and no logarithm is needed.
    let mut term = 1.0;
    let mut halvings = n;
    for i in 1..=k {
        term *= (n - k + i) as f64 / i as f64;
        while term > 1.0 && halvings > 0 {
            term *= 0.5;
            halvings -= 1;
        }
    }
    // 2^-1100 is 0 in f64 already.
    for _ in 0..halvings.min(1_100) {
        term *= 0.5;
    }
    let observed = term;
    let mut tail = 0.0;
    for i in (0..=k).rev() {
        tail += term;
        if term < tail * f64::EPSILON / 4.0 {
            break;
        }
        term *= i as f64 / (n - i + 1) as f64;
    }
    // The two tails share the middle of an even split.
    let mid = if b == c { 1.0 } else { 2.0 * tail - observed };
    ((2.0 * tail).min(1.0), mid.min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(only_first: u64, only_second: u64, method: McNemar) -> f64 {
        mcnemar(Discordant { only_first, only_second }, method)
    }

    #[test]
    fn p_does_not_depend_on_which_model_is_first() {
        for method in [McNemar::Exact, McNemar::MidP, McNemar::ChiSquared, McNemar::Corrected] {
            for (b, c) in [(0, 1), (3, 12), (34, 21), (2_000, 2_200)] {
                assert_eq!(p(b, c, method), p(c, b, method));
            }
            assert_eq!(p(0, 0, method), 1.0);
        }
    }

    #[test]
    fn an_even_split_shows_nothing_and_thousands_to_none_everything() {
        for n in [1, 5, 500_000] {
            assert_eq!(p(n, n, McNemar::Exact), 1.0);
            assert_eq!(p(n, n, McNemar::MidP), 1.0);
            assert_eq!(p(n, n, McNemar::ChiSquared), 1.0);
            assert_eq!(p(n, n, McNemar::Corrected), 1.0);
        }
        assert_eq!(p(0, 5_000, McNemar::Exact), 0.0);
        assert!(p(500_000, 500_001, McNemar::Exact) > 0.99);
    }

    #[test]
    fn only_cells_that_one_model_has_right_count() {
        let cells = discordant(&[0, 1, 2, 3, 4], &[0, 1, 0, 3, 0], &[0, 0, 2, 0, 0]).unwrap();
        assert_eq!(cells, Discordant { only_first: 2, only_second: 1 });
        let error = discordant(&[0], &[0], &[]).unwrap_err();
        assert_eq!(error.to_string(), "the second prediction has 0 entries, expected 1");
        assert!(discordant(&[], &[], &[]).is_err());
    }
}
