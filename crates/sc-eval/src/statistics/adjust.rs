//! Several tests at once.

/// Holm's step-down adjustment: p values, in their order, that may each be held against the level without the chance of
/// any false finding exceeding it.
///
/// A NaN stays NaN and does not count as a test.
///
/// ```
/// let adjusted = sc_eval::statistics::holm(&[0.01, 0.04, 0.03]);
/// assert_eq!(adjusted, [0.03, 0.06, 0.06]);
/// ```
pub fn holm(p: &[f64]) -> Vec<f64> {
    let order = ascending(p);
    let mut adjusted = vec![f64::NAN; p.len()];
    let mut largest: f64 = 0.0;
    for (rank, &at) in order.iter().enumerate() {
        largest = largest.max((p[at] * (order.len() - rank) as f64).min(1.0));
        adjusted[at] = largest;
    }
    adjusted
}

/// Benjamini and Hochberg's adjustment: p values, in their order, that may each be held against the wanted share of
/// false findings among the findings, for independent or positively dependent tests.
///
/// Equals scipy's `false_discovery_control`. A NaN stays NaN and does not count as a test.
///
/// ```
/// let adjusted = sc_eval::statistics::benjamini_hochberg(&[0.5, 0.125]);
/// assert_eq!(adjusted, [0.5, 0.25]);
/// ```
pub fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    let order = ascending(p);
    let mut adjusted = vec![f64::NAN; p.len()];
    let mut least: f64 = 1.0;
    for (rank, &at) in order.iter().enumerate().rev() {
        least = least.min(p[at] * (order.len() as f64 / (rank + 1) as f64));
        adjusted[at] = least;
    }
    adjusted
}

/// Indices of the numbers, ascending, ties by index.
fn ascending(p: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p.len()).filter(|&i| !p[i].is_nan()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: &[f64], expected: &[f64]) {
        assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-12), "{found:?}");
    }

    #[test]
    fn holm_multiplies_the_smallest_by_the_number_of_tests_and_never_falls() {
        close(&holm(&[0.01, 0.04, 0.03, 0.5]), &[0.04, 0.09, 0.09, 0.5]);
        assert!(holm(&[]).is_empty());
    }

    #[test]
    fn the_share_of_false_findings_is_no_stricter_than_the_chance_of_any() {
        let p = [0.01, 0.04, 0.03, 0.5];
        close(&benjamini_hochberg(&p), &[0.04, 0.16 / 3.0, 0.16 / 3.0, 0.5]);
        assert!(benjamini_hochberg(&p).iter().zip(holm(&p)).all(|(b, h)| *b <= h));
    }

    #[test]
    fn what_is_no_test_is_not_counted() {
        for adjust in [holm, benjamini_hochberg] {
            let adjusted = adjust(&[0.02, f64::NAN, 0.02]);
            assert!(adjusted[1].is_nan());
            assert_eq!(adjusted[0], adjust(&[0.02, 0.02])[0]);
        }
    }
}
