//! Wilcoxon's signed rank test.

use super::distributions::normal_sf;
use super::ranks::{doubled_ranks, tie_term};
use super::t_test::check_finite;
use crate::{Error, Result};

/// Differences up to which the distribution is computed exactly.
const MAX_EXACT: usize = 50;

/// Wilcoxon's signed rank test of paired differences.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wilcoxon {
    /// Sum of the ranks of the positive differences.
    pub w_plus: f64,
    /// Sum of the ranks of the negative differences.
    pub w_minus: f64,
    /// Differences other than 0.
    pub n: usize,
    /// Two-sided p.
    pub p: f64,
}

/// Whether paired differences are symmetric about 0, from the ranks of their sizes.
///
/// * `differences`: first less second score of each data set or donor.
///
/// Differences of 0 are left out (Wilcoxon's own way), ties share ranks. Up to 50 differences p is exact, ties included:
/// scipy's `wilcoxon(method="exact")` without ties, and with them what its permutation method finds over all signs.
/// Beyond, the normal approximation with tie correction and without continuity correction, as there. 1 without
/// differences. Fewer than 6 can never be below 0.05.
///
/// # Errors
/// [`Error::Empty`], [`Error::Value`] at a difference that is not finite.
///
/// ```
/// let test = sc_eval::statistics::wilcoxon_signed_rank(&[0.1, 0.2, 0.05, 0.15, 0.3, 0.25])?;
/// assert_eq!((test.w_plus, test.w_minus, test.p), (21.0, 0.0, 2.0 / 64.0));
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn wilcoxon_signed_rank(differences: &[f64]) -> Result<Wilcoxon> {
    if differences.is_empty() {
        return Err(Error::Empty { what: "differences" });
    }
    check_finite(differences)?;
    let kept: Vec<f64> = differences.iter().copied().filter(|&d| d != 0.0).collect();
    let sizes: Vec<f64> = kept.iter().map(|d| d.abs()).collect();
    let ranks = doubled_ranks(&sizes);
    let total: u64 = ranks.iter().sum();
    let plus: u64 = ranks.iter().zip(&kept).filter(|(_, d)| **d > 0.0).map(|(rank, _)| rank).sum();
    let least = plus.min(total - plus);
    let p = match kept.len() {
        0 => 1.0,
        1..=MAX_EXACT => (2.0 * share_of_patterns(&ranks, least)).min(1.0),
        n => {
            let n = n as f64;
            let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - tie_term(&ranks) / 48.0;
            let distance = (total as f64 / 2.0 - least as f64) / 2.0;
            (2.0 * normal_sf(distance / variance.sqrt())).min(1.0)
        }
    };
    Ok(Wilcoxon { w_plus: plus as f64 / 2.0, w_minus: (total - plus) as f64 / 2.0, n: kept.len(), p })
}

/// Share of the sign patterns whose positive ranks sum to at most `bound`.
fn share_of_patterns(ranks: &[u64], bound: u64) -> f64 {
    // Patterns by their sum, rank after rank; below 2^50 patterns every count is exact.
    let mut patterns = vec![0.0; bound as usize + 1];
    patterns[0] = 1.0;
    for &rank in ranks {
        for sum in (rank as usize..patterns.len()).rev() {
            patterns[sum] += patterns[sum - rank as usize];
        }
    }
    patterns.iter().sum::<f64>() / (1u64 << ranks.len()) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sign_decides_the_sums_and_not_p() {
        let (a, b) = ([0.3, -0.1, 0.2, 0.5], [-0.3, 0.1, -0.2, -0.5]);
        let (a, b) = (wilcoxon_signed_rank(&a).unwrap(), wilcoxon_signed_rank(&b).unwrap());
        assert_eq!((a.w_plus, a.w_minus, a.p), (b.w_minus, b.w_plus, b.p));
    }

    #[test]
    fn zeros_are_left_out_and_nothing_but_zeros_shows_nothing() {
        let with = wilcoxon_signed_rank(&[0.0, 0.2, -0.1, 0.0]).unwrap();
        assert_eq!(with, wilcoxon_signed_rank(&[0.2, -0.1]).unwrap());
        assert_eq!(wilcoxon_signed_rank(&[0.0, 0.0]).unwrap().p, 1.0);
    }

    #[test]
    fn what_cannot_be_ranked_is_refused() {
        assert!(wilcoxon_signed_rank(&[]).is_err());
        assert!(wilcoxon_signed_rank(&[0.1, f64::NAN]).is_err());
    }
}
