//! Ranks with ties.

/// Twice the rank of each value, 1 for the least; equal values share the mean of their ranks, so twice it is whole.
pub(super) fn doubled_ranks(values: &[f64]) -> Vec<u64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    // Adding 0 turns -0 into 0, which the total order would tell apart.
    order.sort_unstable_by(|&a, &b| (values[a] + 0.0).total_cmp(&(values[b] + 0.0)));
    let mut ranks = vec![0; values.len()];
    let mut first = 1;
    for tied in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let last = first + tied.len() as u64 - 1;
        tied.iter().for_each(|&i| ranks[i] = first + last);
        first = last + 1;
    }
    ranks
}

/// Sum over ties of `t³ - t`, `t` values being equal: what ties take from the variance of ranks.
pub(super) fn tie_term(ranks: &[u64]) -> f64 {
    let mut sorted = ranks.to_vec();
    sorted.sort_unstable();
    let of_tie = |tied: &[u64]| {
        let t = tied.len() as f64;
        t * t * t - t
    };
    sorted.chunk_by(|a, b| a == b).map(of_tie).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_the_mean_of_their_ranks() {
        assert_eq!(doubled_ranks(&[0.5, -1.0, 0.5, 3.0]), [5, 2, 5, 8]);
        assert_eq!(doubled_ranks(&[0.0, -0.0]), [3, 3]);
        assert_eq!(tie_term(&[5, 2, 5, 8]), 6.0);
    }
}
