//! A clustering scored on cells drawn with replacement.

use rand_chacha::ChaCha8Rng;

use super::{ClusteringScores, with_silhouette};
use crate::metrics::clustering::{Contingency, partition_scores_of};
use crate::statistics::below;

/// How often each of `bound` cells is drawn.
pub(super) fn draw(rng: &mut ChaCha8Rng, bound: u32, weights: &mut [u32]) {
    weights.fill(0);
    for _ in 0..bound {
        weights[below(rng, bound) as usize] += 1;
    }
}

/// One clustering, ready to be scored on any weights of its cells.
pub(super) struct Drawn {
    /// For each cell, its pair of class and cluster.
    pair_of: Vec<u32>,
    /// Class and cluster of each pair that has cells; both numbered without gaps.
    pairs: Vec<(usize, usize)>,
    n_classes: usize,
    n_clusters: usize,
    /// Silhouette of each cell.
    silhouettes: Option<Vec<f64>>,
    /// Cells of each pair, rewritten by every draw.
    counts: Vec<u64>,
}

impl Drawn {
    pub(super) fn new(classes: &[u32], clusters: &[u32], silhouettes: Option<Vec<f64>>) -> Self {
        let (class_names, cluster_names) = (distinct(classes), distinct(clusters));
        let slot = |names: &[u32], name| names.partition_point(|&n| n < name);
        let of =
            |(&class, &cluster): (&u32, &u32)| (slot(&class_names, class), slot(&cluster_names, cluster));
        let mut pairs: Vec<_> = classes.iter().zip(clusters).map(of).collect();
        let cells = pairs.clone();
        pairs.sort_unstable();
        pairs.dedup();
        let pair_of = cells.iter().map(|cell| pairs.partition_point(|pair| pair < cell) as u32).collect();
        let counts = vec![0; pairs.len()];
        let (n_classes, n_clusters) = (class_names.len(), cluster_names.len());
        Self { pair_of, pairs, n_classes, n_clusters, silhouettes, counts }
    }

    pub(super) fn n_clusters(&self) -> usize {
        self.n_clusters
    }

    pub(super) fn scores(&mut self, weights: &[u32]) -> ClusteringScores<f64> {
        self.counts.fill(0);
        for (&pair, &weight) in self.pair_of.iter().zip(weights) {
            self.counts[pair as usize] += u64::from(weight);
        }
        let (mut rows, mut columns) = (vec![0; self.n_classes], vec![0; self.n_clusters]);
        for (&(row, column), &count) in self.pairs.iter().zip(&self.counts) {
            rows[row] += count;
            columns[column] += count;
        }
        // Parts that nobody was drawn from are no parts.
        let (row_of, column_of) = (renumbered(&rows), renumbered(&columns));
        let pairs = self.pairs.iter().zip(&self.counts).filter(|(_, count)| **count > 0);
        let cells = pairs.map(|(&(row, column), &count)| (row_of[row], column_of[column], count)).collect();
        rows.retain(|&n| n > 0);
        columns.retain(|&n| n > 0);
        let total = self.counts.iter().sum();
        let silhouette = self.silhouettes.as_ref().map(|silhouettes| {
            let weighted = silhouettes.iter().zip(weights).map(|(s, &weight)| s * f64::from(weight));
            weighted.sum::<f64>() / total as f64
        });
        with_silhouette(partition_scores_of(&Contingency { cells, rows, columns, total }), silhouette)
    }
}

fn distinct(names: &[u32]) -> Vec<u32> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names.dedup();
    names
}

/// The index of each part among those that have cells.
fn renumbered(sizes: &[u64]) -> Vec<usize> {
    let mut next = 0;
    let number = |&size: &u64| {
        next += usize::from(size > 0);
        next.saturating_sub(1)
    };
    sizes.iter().map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::super::mean;
    use super::*;
    use crate::metrics::clustering::partition_scores;

    #[test]
    fn weights_stand_for_repeated_cells() {
        let classes = [4, 4, 9, 9, 0, 0, 0];
        let clusters = [1, 1, 1, 7, 7, 3, 3];
        let mut drawn = Drawn::new(&classes, &clusters, Some(vec![0.5, 0.25, 0.0, 0.0, -0.5, 1.0, 0.75]));
        for weights in [[1, 1, 1, 1, 1, 1, 1], [2, 0, 0, 3, 1, 1, 0], [0, 0, 4, 3, 0, 0, 0]] {
            let repeated = |of: &[u32]| -> Vec<u32> {
                of.iter().zip(weights).flat_map(|(&v, n)| std::iter::repeat_n(v, n as usize)).collect()
            };
            let expected = partition_scores(&repeated(&classes), &repeated(&clusters)).unwrap();
            let found = drawn.scores(&weights);
            assert_eq!(with_silhouette(expected, found.silhouette), found);
        }
        assert_eq!(
            drawn.scores(&[2, 0, 0, 3, 1, 1, 0]).silhouette,
            Some(mean(&[0.5, 0.5, 0.0, 0.0, 0.0, -0.5, 1.0]))
        );
    }
}
