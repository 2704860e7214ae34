//! Genes of similar mean, as `pandas.cut` forms them: intervals that are open on the left and closed on the right.

/// Index of the interval of each value, or `None` outside all of them. `edges` ascend.
pub(crate) fn assign(values: &[f64], edges: &[f64]) -> Vec<Option<usize>> {
    let bin = |&v: &f64| {
        let bin = edges.partition_point(|&edge| edge < v);
        (1..edges.len()).contains(&bin).then(|| bin - 1)
    };
    values.iter().map(bin).collect()
}

/// Edges of `n` intervals of equal width over the values; the lowest edge is moved down by a thousandth of the range,
/// so that the smallest value lies inside.
pub(crate) fn equal_width(values: &[f64], n: usize) -> Vec<f64> {
    let (mut low, mut high) =
        values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)));
    if low == high {
        let widen = |v: f64| if v == 0.0 { 0.001 } else { 0.001 * v.abs() };
        (low, high) = (low - widen(low), high + widen(high));
        return linspace(low, high, n);
    }
    let mut edges = linspace(low, high, n);
    edges[0] -= (high - low) * 0.001;
    edges
}

fn linspace(low: f64, high: f64, n: usize) -> Vec<f64> {
    let step = (high - low) / n as f64;
    let mut edges: Vec<f64> = (0..=n).map(|i| i as f64 * step + low).collect();
    edges[n] = high;
    edges
}

/// The `percent`-th percentile of ascending values, interpolated linearly between neighbours.
pub(crate) fn percentile(ascending: &[f64], percent: f64) -> f64 {
    let at = percent / 100.0 * (ascending.len() - 1) as f64;
    let below = (at.floor() as usize).min(ascending.len() - 1);
    let above = (below + 1).min(ascending.len() - 1);
    let (a, b, t) = (ascending[below], ascending[above], at - below as f64);
    // From the nearer end, as numpy does, so that t = 1 gives b exactly.
    if t >= 0.5 { b - (b - a) * (1.0 - t) } else { a + (b - a) * t }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_edge_belongs_to_the_bin_and_the_smallest_value_is_inside() {
        let values = [0.0, 1.0, 1.5, 2.0];
        let edges = equal_width(&values, 2);
        assert_eq!(edges, [-0.002, 1.0, 2.0]);
        assert_eq!(assign(&values, &edges), [Some(0), Some(0), Some(1), Some(1)]);
        assert_eq!(assign(&[-1.0, 3.0], &edges), [None, None]);
    }

    #[test]
    fn equal_means_share_one_bin() {
        for v in [0.0, 2.0] {
            let bins = assign(&[v; 3], &equal_width(&[v; 3], 20));
            assert!(bins[0].is_some() && bins.iter().all(|b| *b == bins[0]));
        }
    }

    #[test]
    fn percentiles_are_interpolated() {
        let v = [1.0, 2.0, 4.0];
        assert_eq!([0.0, 25.0, 50.0, 75.0, 100.0].map(|p| percentile(&v, p)), [1.0, 1.5, 2.0, 3.0, 4.0]);
    }
}
