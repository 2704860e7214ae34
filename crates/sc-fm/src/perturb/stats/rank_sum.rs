//! Whether two samples are of the same distribution.

/// The two-sided p-value of Wilcoxon's rank-sum test by the normal approximation, equal values with their mean rank and
/// without correction for them: SciPy's `ranksums`. None if a sample is empty or has a value that is no number.
pub fn rank_sum(x: &[f64], y: &[f64]) -> Option<f64> {
    let mut pooled: Vec<f64> = y.to_vec();
    pooled.sort_by(f64::total_cmp);
    against(x, &mut x.to_vec(), &pooled)
}

/// [`rank_sum`] with the second sample sorted, for many first ones.
pub(super) fn against(x: &[f64], sorted: &mut [f64], y: &[f64]) -> Option<f64> {
    let is_sample = |values: &[f64]| !values.is_empty() && !values.iter().any(|value| value.is_nan());
    // Sorted by total order, what is no number stands at either end.
    let ends = [y.first().copied().unwrap_or(f64::NAN), y.last().copied().unwrap_or(f64::NAN)];
    if !is_sample(x) || !is_sample(&ends) {
        return None;
    }
    sorted.sort_by(f64::total_cmp);
    // The rank of a value among both samples: those below it, and half of those equal to it.
    let rank = |value: f64| {
        let in_sample = |values: &[f64]| {
            let below = values.partition_point(|&other| other < value);
            let equal = values[below..].partition_point(|&other| other <= value);
            (below, equal)
        };
        let ((below_x, equal_x), (below_y, equal_y)) = (in_sample(sorted), in_sample(y));
        (below_x + below_y) as f64 + ((equal_x + equal_y) as f64 + 1.0) / 2.0
    };
    let (n, m) = (x.len() as f64, y.len() as f64);
    let sum: f64 = sorted.iter().map(|&value| rank(value)).sum();
    let expected = n * (n + m + 1.0) / 2.0;
    let z = (sum - expected) / (n * m * (n + m + 1.0) / 12.0).sqrt();
    Some(libm::erfc(z.abs() / std::f64::consts::SQRT_2))
}

/// Adjusted p-values that control the false discovery rate (Benjamini and Hochberg 1995), as statsmodels' `fdr_bh`. Those
/// that are not there count for nothing.
pub fn benjamini_hochberg(p: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut order: Vec<(usize, f64)> = p.iter().enumerate().filter_map(|(i, p)| Some((i, (*p)?))).collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    let (n, mut smallest) = (order.len() as f64, 1.0f64);
    let mut adjusted = vec![None; p.len()];
    for (rank, &(i, p)) in order.iter().enumerate().rev() {
        smallest = smallest.min(p * n / (rank as f64 + 1.0));
        adjusted[i] = Some(smallest);
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_alike_are_no_surprise_and_empty_ones_have_no_p() {
        assert_eq!(rank_sum(&[1.0, 2.0, 2.0], &[1.0, 2.0, 2.0]), Some(1.0));
        assert_eq!(rank_sum(&[], &[1.0]), None);
        assert_eq!(rank_sum(&[1.0], &[]), None);
        assert_eq!(rank_sum(&[1.0, f64::NAN], &[1.0]), None);
        assert_eq!(rank_sum(&[1.0], &[1.0, -f64::NAN]), None);
    }

    #[test]
    fn adjusted_p_values_never_fall_with_their_p() {
        let adjusted = benjamini_hochberg(&[Some(0.01), None, Some(0.04), Some(0.03), Some(0.9)]);
        let expected = [Some(0.04), None, Some(0.16 / 3.0), Some(0.16 / 3.0), Some(0.9)];
        for (found, expected) in adjusted.iter().zip(expected) {
            match (found, expected) {
                (Some(found), Some(expected)) => assert!((found - expected).abs() < 1e-15),
                (found, expected) => assert_eq!(*found, expected),
            }
        }
    }
}
