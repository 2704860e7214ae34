//! Two models on the same cells: who is right where the other is not.

use crate::protocol::CrossValidation;

/// The comparison of a model with another on the cells that both were tested on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paired {
    /// Cells that only the first model names rightly.
    pub only_first: usize,
    /// Cells that only the second model names rightly.
    pub only_second: usize,
    /// Two-sided p of the exact McNemar test: how likely a split of these cells at least so uneven is, if each were
    /// as likely to fall to either side. 1 if there are no such cells.
    pub p: f64,
}

/// Compares two models cell by cell with the exact McNemar test.
///
/// Two intervals that overlap do not show that two models are alike: both were tried on the same cells, and most
/// cells are easy or hard for both. Only the cells on which one is right and the other wrong can tell them apart.
/// Cells that either was not tested on are left out. The test takes cells to be independent; models of one
/// cross-validation share training cells, so a p close to the threshold says little.
pub fn compare(first: &CrossValidation, second: &CrossValidation) -> Paired {
    let (mut only_first, mut only_second) = (0, 0);
    for (cell, &truth) in first.truth.iter().enumerate() {
        if let (Some(a), Some(b)) = (first.predicted[cell], second.predicted[cell]) {
            only_first += usize::from(a == truth && b != truth);
            only_second += usize::from(a != truth && b == truth);
        }
    }
    Paired { only_first, only_second, p: mcnemar_exact(only_first, only_second) }
}

/// Two-sided p of `b` against `c` under a fair coin: twice the smaller tail, at most 1.
fn mcnemar_exact(b: usize, c: usize) -> f64 {
    let (n, k) = (b + c, b.min(c));
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
    let mut tail = 0.0;
    for i in (0..=k).rev() {
        tail += term;
        term *= i as f64 / (n - i + 1) as f64;
    }
    (2.0 * tail).min(1.0)
}

/// Holm's step-down adjustment of several p values, in their order.
pub(super) fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut largest: f64 = 0.0;
    for (rank, &at) in order.iter().enumerate() {
        largest = largest.max((p[at] * (p.len() - rank) as f64).min(1.0));
        adjusted[at] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_is_that_of_the_binomial_distribution() {
        // scipy.stats.binomtest(min(b, c), b + c).pvalue
        for (b, c, expected) in [
            (0, 0, 1.0),
            (5, 5, 1.0),
            (1, 0, 1.0),
            (0, 10, 0.001953125),
            (3, 12, 0.03515625),
            (34, 21, 0.104_789_482),
            (60, 100, 0.001_953_728),
            (2_000, 2_200, 0.002_132_356),
        ] {
            let p = mcnemar_exact(b, c);
            assert!((p - expected).abs() < 1e-6, "{b} {c}: {p}");
            assert_eq!(p, mcnemar_exact(c, b));
        }
        assert_eq!(mcnemar_exact(0, 5_000), 0.0);
        assert!(mcnemar_exact(500_000, 500_001) > 0.99);
    }

    #[test]
    fn holm_multiplies_the_smallest_by_the_number_of_tests_and_never_falls() {
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.5]);
        let expected = [0.04, 0.09, 0.09, 0.5];
        for (a, e) in adjusted.iter().zip(expected) {
            assert!((a - e).abs() < 1e-12, "{adjusted:?}");
        }
        assert!(holm(&[]).is_empty());
    }
}
