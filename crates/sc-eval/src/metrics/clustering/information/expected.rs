//! The mutual information that random partitions of given sizes have on average.

use crate::metrics::clustering::contingency::Contingency;
use crate::metrics::math::ln;

/// Weights, relative to the largest, below which the tails of the distribution are cut: far below rounding.
const NEGLIGIBLE: f64 = 1e-25;

/// Expected mutual information in nats under random partitions with the same sizes (Vinh, Epps and Bailey 2010).
///
/// The intersection of two parts is hypergeometric. Its probabilities follow from one another by ratios of integers,
/// outwards from the mode, and are normalised by their sum: no factorials, and no loss where those are huge.
pub(super) fn expected_mutual_info(contingency: &Contingency) -> f64 {
    // Parts of the same size share their term; there are far fewer sizes than parts where parts are many.
    let (rows, columns) = (sizes(&contingency.rows), sizes(&contingency.columns));
    let mut sum = 0.0;
    for &(a, n_a) in &rows {
        for &(b, n_b) in &columns {
            sum += n_a * n_b * expected_term(a, b, contingency.total);
        }
    }
    sum
}

/// Distinct sizes in ascending order, with how many parts have each.
fn sizes(parts: &[u64]) -> Vec<(u64, f64)> {
    let mut parts = parts.to_vec();
    parts.sort_unstable();
    parts.chunk_by(|x, y| x == y).map(|run| (run[0], run.len() as f64)).collect()
}

/// Expectation of `k / n * ln(n k / (a b))` over the size `k` of the intersection of random parts of sizes `a`, `b`.
fn expected_term(a: u64, b: u64, n: u64) -> f64 {
    let (least, most) = ((a + b).saturating_sub(n), a.min(b));
    let mode = (u128::from(a + 1) * u128::from(b + 1) / u128::from(n + 2)) as u64;
    let mode = mode.clamp(least, most);
    // ln(n / (a b)), of which `ln k` makes the rest.
    let offset = ln(n as f64) - ln(a as f64) - ln(b as f64);
    let (mut weights, mut sum) = (0.0, 0.0);
    let mut add = |k: u64, weight: f64| {
        weights += weight;
        if k > 0 {
            sum += weight * (k as f64 / n as f64) * (ln(k as f64) + offset);
        }
    };
    // P(k + 1) / P(k); `rest` is k + n - a - b, which is never negative.
    let ratio = |k: u64| {
        let rest = k + n - a - b;
        ((a - k) as f64 * (b - k) as f64) / ((k + 1) as f64 * (rest + 1) as f64)
    };
    add(mode, 1.0);
    let mut weight = 1.0;
    for k in mode..most {
        weight *= ratio(k);
        if weight < NEGLIGIBLE {
            break;
        }
        add(k + 1, weight);
    }
    weight = 1.0;
    for k in (least..mode).rev() {
        weight /= ratio(k);
        if weight < NEGLIGIBLE {
            break;
        }
        add(k, weight);
    }
    sum / weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expectation_over_all_arrangements_is_the_formula() {
        // All ways to put two marked cells among five, against a fixed part of three cells.
        let fixed = [0, 0, 0, 1, 1];
        let (mut sum, mut n) = (0.0, 0.0);
        for i in 0..5 {
            for j in 0..i {
                let drawn: Vec<u32> = (0..5).map(|cell| u32::from(cell == i || cell == j)).collect();
                sum += super::super::mutual_info(&fixed, &drawn).unwrap();
                n += 1.0;
            }
        }
        let contingency = Contingency::new(&fixed, &[0, 0, 0, 1, 1]).unwrap();
        assert!((expected_mutual_info(&contingency) - sum / n).abs() < 1e-15);
    }

    #[test]
    fn cells_that_are_all_alone_are_expected_to_be_fully_informative() {
        let alone: Vec<u32> = (0..1000).collect();
        let contingency = Contingency::new(&alone, &alone).unwrap();
        assert!((expected_mutual_info(&contingency) - 1000f64.ln()).abs() < 1e-10);
    }
}
