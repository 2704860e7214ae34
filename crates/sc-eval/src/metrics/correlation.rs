//! Agreement of two lists of numbers, and of two sets.

use std::collections::BTreeSet;

use crate::metrics::compute::{mean, sum};
use crate::{Error, Result};

/// Mean of the squared differences; lower is better.
///
/// Equals scikit-learn's `mean_squared_error`.
///
/// # Errors
/// [`Error::Length`] if the lengths differ, [`Error::Empty`] without values.
pub fn mean_squared_error(truth: &[f64], predicted: &[f64]) -> Result<f64> {
    check(truth, predicted, 1)?;
    let squares: Vec<f64> = truth.iter().zip(predicted).map(|(a, b)| (a - b) * (a - b)).collect();
    Ok(mean(&squares))
}

/// Pearson's correlation coefficient, in -1..=1; NaN if one list is constant or holds a NaN.
///
/// Equals the `statistic` of SciPy's `pearsonr`.
///
/// # Errors
/// [`Error::Length`] if the lengths differ, [`Error::Empty`] without values, [`Error::Parameter`] with only one.
#[doc(alias = "pearsonr")]
pub fn pearson_correlation(x: &[f64], y: &[f64]) -> Result<f64> {
    check(x, y, 2)?;
    let unit = |values: &[f64]| {
        let center = mean(values);
        let centered: Vec<f64> = values.iter().map(|v| v - center).collect();
        // Over the largest, so that no square overflows.
        let largest = centered.iter().fold(0.0f64, |a, v| a.max(v.abs()));
        let squares: Vec<f64> = centered.iter().map(|v| (v / largest) * (v / largest)).collect();
        let norm = largest * sum(&squares).sqrt();
        centered.into_iter().map(|v| v / norm).collect::<Vec<f64>>()
    };
    let constant = |values: &[f64]| values.iter().all(|&v| v == values[0]);
    if constant(x) || constant(y) {
        return Ok(f64::NAN);
    }
    let products: Vec<f64> = unit(x).into_iter().zip(unit(y)).map(|(a, b)| a * b).collect();
    let r = sum(&products);
    Ok(if r.is_nan() { r } else { r.clamp(-1.0, 1.0) })
}

/// Spearman's rank correlation, in -1..=1: [`pearson_correlation`] of the ranks, where equal values share the mean of
/// theirs; NaN if one list is constant or holds a NaN.
///
/// Equals the `statistic` of SciPy's `spearmanr`. cz-benchmarks turns the NaN into 0.
///
/// # Errors
/// Those of [`pearson_correlation`].
#[doc(alias = "spearmanr")]
pub fn spearman_correlation(x: &[f64], y: &[f64]) -> Result<f64> {
    check(x, y, 2)?;
    if x.iter().chain(y).any(|v| v.is_nan()) {
        return Ok(f64::NAN);
    }
    pearson_correlation(&ranks(x), &ranks(y))
}

/// Ranks from 1, equal values at the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].partial_cmp(&values[b]).expect("no value is NaN"));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for ties in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = first as f64 + (ties.len() + 1) as f64 / 2.0;
        ties.iter().for_each(|&place| ranks[place] = rank);
        first += ties.len();
    }
    ranks
}

/// Jaccard similarity of two sets, in 0..=1: what they share over what either holds. Repeats count once.
///
/// Equals cz-benchmarks' `jaccard_score`, which divides by zero if both are empty.
///
/// # Errors
/// [`Error::Empty`] if both are empty.
pub fn jaccard<T: Ord>(truth: &[T], predicted: &[T]) -> Result<f64> {
    let (truth, predicted): (BTreeSet<&T>, BTreeSet<&T>) =
        (truth.iter().collect(), predicted.iter().collect());
    let shared = truth.intersection(&predicted).count();
    let either = truth.len() + predicted.len() - shared;
    if either == 0 {
        return Err(Error::Empty { what: "the union of the sets" });
    }
    Ok(shared as f64 / either as f64)
}

fn check(x: &[f64], y: &[f64], least: usize) -> Result<()> {
    if x.len() != y.len() {
        return Err(Error::Length { what: "the second list", found: y.len(), expected: x.len() });
    }
    if x.is_empty() {
        return Err(Error::Empty { what: "the list of values" });
    }
    if x.len() < least {
        let expected = "at least 2";
        return Err(Error::Parameter { name: "the number of values", value: x.len().to_string(), expected });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_straight_line_correlates_fully() {
        let x = [1.0, 2.0, 4.0, 1e200];
        let y: Vec<f64> = x.iter().map(|v| 3.0 - 2.0 * v).collect();
        assert!((pearson_correlation(&x, &y).unwrap() + 1.0).abs() < 1e-15);
        assert!((spearman_correlation(&x, &[0.0, 1.0, 100.0, 101.0]).unwrap() - 1.0).abs() < 1e-15);
        assert_eq!(mean_squared_error(&[1.0, 2.0], &[1.0, 4.0]).unwrap(), 2.0);
    }

    #[test]
    fn equal_values_share_a_rank() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 0.0]), [3.5, 2.0, 3.5, 1.0]);
        assert_eq!(ranks(&[-0.0, 0.0]), [1.5, 1.5]);
        // scipy.stats.spearmanr
        let r = spearman_correlation(&[1.0, 2.0, 2.0, 4.0, 5.0], &[2.0, 1.0, 3.0, 3.0, 9.0]).unwrap();
        assert!((r - 0.763_157_894_736_842_2).abs() < 1e-12, "{r}");
    }

    #[test]
    fn constants_and_nan_have_no_correlation() {
        assert!(pearson_correlation(&[1.0, 1.0], &[1.0, 2.0]).unwrap().is_nan());
        assert!(spearman_correlation(&[1.0, 2.0], &[3.0, 3.0]).unwrap().is_nan());
        assert!(spearman_correlation(&[1.0, f64::NAN], &[3.0, 4.0]).unwrap().is_nan());
        assert!(pearson_correlation(&[1.0, f64::NAN], &[3.0, 4.0]).unwrap().is_nan());
    }

    #[test]
    fn sets_share_what_both_hold() {
        assert_eq!(jaccard(&["A", "B", "B"], &["B", "C"]).unwrap(), 1.0 / 3.0);
        assert_eq!(jaccard(&["A"], &[]).unwrap(), 0.0);
        assert_eq!(jaccard::<u8>(&[], &[]).unwrap_err().to_string(), "the union of the sets is empty");
    }

    #[test]
    fn faults_are_named() {
        let error = mean_squared_error(&[1.0], &[]).unwrap_err().to_string();
        assert_eq!(error, "the second list has 0 entries, expected 1");
        let error = mean_squared_error(&[], &[]).unwrap_err().to_string();
        assert_eq!(error, "the list of values is empty");
        let error = pearson_correlation(&[1.0], &[1.0]).unwrap_err().to_string();
        assert_eq!(error, "`the number of values` is 1, expected at least 2");
    }
}
