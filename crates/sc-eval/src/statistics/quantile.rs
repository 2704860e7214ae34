//! Quantiles with linear interpolation.

/// The `q`-th quantile (0..=1) of `sorted`, ascending, interpolated linearly between neighbours.
///
/// Equals numpy's `quantile` with its default method; NaN if there are no values or `q` is outside 0..=1.
///
/// ```
/// assert_eq!(sc_eval::statistics::quantile(&[1.0, 2.0, 4.0], 0.75), 3.0);
/// ```
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    if sorted.is_empty() || !(0.0..=1.0).contains(&q) {
        return f64::NAN;
    }
    let at = (sorted.len() - 1) as f64 * q;
    let below = (at as usize).min(sorted.len() - 1);
    let above = (below + 1).min(sorted.len() - 1);
    let (low, high, t) = (sorted[below], sorted[above], at - below as f64);
    // From the nearer end, as numpy does, so that the ends are met exactly.
    if t < 0.5 { low + (high - low) * t } else { high - (high - low) * (1.0 - t) }
}

#[cfg(test)]
mod tests {
    use super::quantile;

    #[test]
    fn the_ends_are_the_extremes_and_the_middle_is_the_median() {
        let sorted = [-3.0, 0.5, 0.75, 8.0];
        assert_eq!(quantile(&sorted, 0.0), -3.0);
        assert_eq!(quantile(&sorted, 0.5), 0.625);
        assert_eq!(quantile(&sorted, 1.0), 8.0);
    }

    #[test]
    fn what_has_no_quantile_is_nan() {
        assert!(quantile(&[], 0.5).is_nan());
        assert!(quantile(&[1.0], 1.5).is_nan());
        assert!(quantile(&[1.0], f64::NAN).is_nan());
        assert_eq!(quantile(&[1.0], 0.3), 1.0);
    }
}
