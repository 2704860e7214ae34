//! Rand indices: on how many pairs of cells two partitions agree.

use super::contingency::Contingency;
use crate::Result;

/// Ordered pairs of different cells by whether they are together in the first and in the second partition.
struct Pairs {
    together: i128,
    only_first: i128,
    only_second: i128,
    apart: i128,
}

impl Pairs {
    fn new(contingency: &Contingency) -> Self {
        let n = i128::from(contingency.total);
        let squares =
            |sizes: &mut dyn Iterator<Item = u64>| sizes.map(|s| i128::from(s) * i128::from(s)).sum();
        let both: i128 = squares(&mut contingency.cells.iter().map(|cell| cell.2));
        let first: i128 = squares(&mut contingency.rows.iter().copied());
        let second: i128 = squares(&mut contingency.columns.iter().copied());
        Self {
            together: both - n,
            only_first: first - both,
            only_second: second - both,
            apart: n * n - first - second + both,
        }
    }
}

/// Adjusted Rand index: agreement on pairs of cells beyond chance; 1 is the same partition, 0 is chance, the least
/// is -0.5.
///
/// * `truth`, `clusters`: part of each cell; any integers.
///
/// Equals scikit-learn's `adjusted_rand_score`, 1 for two partitions into a single part included; counted in integers.
/// Without cells an error here, 1 there.
///
/// # Errors
/// [`crate::Error::Empty`], [`crate::Error::Length`].
///
/// ```
/// use sc_eval::metrics::clustering::adjusted_rand_index;
///
/// assert_eq!(adjusted_rand_index(&[0, 0, 1, 1], &[7, 7, 3, 3])?, 1.0);
/// assert_eq!(adjusted_rand_index(&[0, 0, 1, 1], &[0, 1, 0, 1])?, -0.5);
/// # Ok::<(), sc_eval::Error>(())
/// ```
#[doc(alias = "adjusted_rand_score")]
pub fn adjusted_rand_index(truth: &[u32], clusters: &[u32]) -> Result<f64> {
    Ok(Contingency::new(truth, clusters)?.adjusted_rand_index())
}

impl Contingency {
    pub(super) fn adjusted_rand_index(&self) -> f64 {
        let Pairs { together, only_first, only_second, apart } = Pairs::new(self);
        if only_first == 0 && only_second == 0 {
            return 1.0;
        }
        let excess = 2 * (together * apart - only_first * only_second);
        let range =
            (together + only_first) * (only_first + apart) + (together + only_second) * (only_second + apart);
        excess as f64 / range as f64
    }
}

/// Rand index: share of pairs of cells that both partitions put together or both put apart, in 0..=1.
///
/// Equals scikit-learn's `rand_score`; 1 for a single cell. Not corrected for chance: prefer [`adjusted_rand_index`].
///
/// # Errors
/// [`crate::Error::Empty`], [`crate::Error::Length`].
#[doc(alias = "rand_score")]
pub fn rand_index(truth: &[u32], clusters: &[u32]) -> Result<f64> {
    let Pairs { together, only_first, only_second, apart } = Pairs::new(&Contingency::new(truth, clusters)?);
    let (agree, all) = (together + apart, together + apart + only_first + only_second);
    Ok(if agree == all { 1.0 } else { agree as f64 / all as f64 })
}

/// Fowlkes-Mallows index: geometric mean of the precision and the recall of pairs of cells put together, in 0..=1.
///
/// Equals scikit-learn's `fowlkes_mallows_score`, 0 if one of the partitions puts no two cells together. Not corrected
/// for chance.
///
/// # Errors
/// [`crate::Error::Empty`], [`crate::Error::Length`].
#[doc(alias = "fowlkes_mallows_score")]
pub fn fowlkes_mallows(truth: &[u32], clusters: &[u32]) -> Result<f64> {
    let Pairs { together, only_first, only_second, .. } = Pairs::new(&Contingency::new(truth, clusters)?);
    if together == 0 {
        return Ok(0.0);
    }
    let share = |only: i128| together as f64 / (together + only) as f64;
    Ok((share(only_first) * share(only_second)).sqrt())
}

/// Ordered pairs of different cells, counted as scikit-learn's `pair_confusion_matrix` does: rows by whether the
/// classes put them together (no, yes), columns by whether the clusters do.
///
/// # Errors
/// [`crate::Error::Empty`], [`crate::Error::Length`].
pub fn pair_confusion_matrix(truth: &[u32], clusters: &[u32]) -> Result<[[u64; 2]; 2]> {
    let Pairs { together, only_first, only_second, apart } = Pairs::new(&Contingency::new(truth, clusters)?);
    // Fewer than 2^32 cells have fewer than 2^64 pairs.
    let count = |pairs: i128| pairs as u64;
    Ok([[count(apart), count(only_second)], [count(only_first), count(together)]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_trivial_partitions_are_the_same() {
        assert_eq!(adjusted_rand_index(&[3, 3, 3], &[1, 1, 1]).unwrap(), 1.0);
        assert_eq!(adjusted_rand_index(&[1, 2, 3], &[3, 1, 2]).unwrap(), 1.0);
        assert_eq!(adjusted_rand_index(&[5], &[9]).unwrap(), 1.0);
        assert_eq!(rand_index(&[5], &[9]).unwrap(), 1.0);
    }

    #[test]
    fn one_cluster_says_nothing() {
        assert_eq!(adjusted_rand_index(&[0, 0, 1, 1], &[0, 0, 0, 0]).unwrap(), 0.0);
        assert_eq!(rand_index(&[0, 0, 1, 1], &[0, 0, 0, 0]).unwrap(), 1.0 / 3.0);
    }

    #[test]
    fn pairs_are_counted_both_ways_round() {
        let pairs = pair_confusion_matrix(&[0, 0, 1, 1], &[0, 0, 1, 2]).unwrap();
        assert_eq!(pairs, [[8, 0], [2, 2]]);
        assert_eq!(fowlkes_mallows(&[0, 0, 1, 1], &[0, 0, 1, 2]).unwrap(), 0.5f64.sqrt());
        assert_eq!(fowlkes_mallows(&[0, 0, 1, 1], &[0, 1, 2, 3]).unwrap(), 0.0);
        assert!(fowlkes_mallows(&[], &[]).is_err() && pair_confusion_matrix(&[0], &[]).is_err());
    }

    #[test]
    fn millions_of_cells_do_not_overflow() {
        let truth: Vec<u32> = (0..2_000_000).map(|i| i % 2).collect();
        let clusters: Vec<u32> = (0..2_000_000).map(|i| i % 4).collect();
        let ari = adjusted_rand_index(&truth, &clusters).unwrap();
        assert!((ari - 0.5).abs() < 1e-6, "{ari}");
    }
}
