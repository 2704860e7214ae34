//! Silhouettes: how much closer a cell is to its own cluster than to the next.

mod distances;

use ndarray::ArrayView2;

use self::distances::{BLOCK, Grouped};
use crate::metrics::compute::{map_blocks, mean};
use crate::{Error, Result};

/// How far two cells are from each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SilhouetteMetric {
    /// Euclidean distance.
    #[default]
    Euclidean,
    /// One minus the cosine of the angle between them, in 0..=2; 1 to a cell of zeros.
    Cosine,
}

/// How far a cell is from the clusters that it is not in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BetweenClusters {
    /// Smallest mean distance to the cells of another cluster: the silhouette of Rousseeuw (1987).
    #[default]
    Nearest,
    /// Mean distance to all cells of all other clusters.
    MeanOther,
    /// Largest mean distance to the cells of another cluster.
    Furthest,
}

/// How to compute silhouettes; the default is Rousseeuw's, which scikit-learn computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SilhouetteParams {
    /// Distance of two cells. Default Euclidean.
    pub metric: SilhouetteMetric,
    /// Distance of a cell to the other clusters. Default the nearest.
    pub between: BetweenClusters,
}

impl SilhouetteParams {
    /// Silhouette of each cell, in -1..=1; see [`silhouette_samples`].
    ///
    /// Equals scib-metrics' `silhouette_samples` of the same metric and `between_cluster_distances`.
    ///
    /// # Errors
    /// Those of [`silhouette_samples`].
    pub fn samples(&self, x: ArrayView2<'_, f32>, clusters: &[u32]) -> Result<Vec<f64>> {
        let n = x.nrows();
        if clusters.len() != n {
            return Err(Error::Length { what: "clusters", found: clusters.len(), expected: n });
        }
        if let Some(((row, column), &value)) = x.indexed_iter().find(|(_, value)| !value.is_finite()) {
            return Err(Error::NotFinite { row, column, value });
        }
        let cells = Grouped::new(x, clusters, self.metric);
        let n_clusters = cells.n_clusters();
        if n_clusters < 2 || n_clusters >= n {
            let (value, expected) = (n_clusters.to_string(), "at least 2 clusters and fewer than cells");
            return Err(Error::Parameter { name: "the number of clusters", value, expected });
        }
        let blocks = map_blocks(n.div_ceil(BLOCK), |block| {
            let sums = cells.sum_distances(block, self.metric);
            let places = block * BLOCK..((block + 1) * BLOCK).min(n);
            let one = |place| self.silhouette(&cells, place, |cluster| sums[cluster * BLOCK + place % BLOCK]);
            places.map(one).collect::<Vec<f64>>()
        });
        let mut silhouettes = vec![0.0; n];
        for (&cell, value) in cells.order().iter().zip(blocks.into_iter().flatten()) {
            silhouettes[cell] = value;
        }
        Ok(silhouettes)
    }

    /// The silhouette of the cell at `place` in cluster order, given its summed distances to each cluster.
    fn silhouette(&self, cells: &Grouped, place: usize, to_cluster: impl Fn(usize) -> f64) -> f64 {
        let own = cells.cluster_at(place);
        if cells.size(own) == 1 {
            return 0.0;
        }
        let a = to_cluster(own) / (cells.size(own) - 1) as f64;
        let others = (0..cells.n_clusters()).filter(|&cluster| cluster != own);
        let means = others.clone().map(|cluster| to_cluster(cluster) / cells.size(cluster) as f64);
        let b = match self.between {
            BetweenClusters::Nearest => means.fold(f64::INFINITY, f64::min),
            BetweenClusters::Furthest => means.fold(f64::NEG_INFINITY, f64::max),
            BetweenClusters::MeanOther => {
                others.map(to_cluster).sum::<f64>() / (cells.order().len() - cells.size(own)) as f64
            }
        };
        let larger = a.max(b);
        if larger == 0.0 { 0.0 } else { (b - a) / larger }
    }
}

/// Silhouette of each cell, in -1..=1: `(b - a) / max(a, b)` with `a` the mean Euclidean distance to the other cells of
/// its cluster and `b` the smallest mean distance to those of another cluster (Rousseeuw 1987).
///
/// * `x`: cells × dimensions; `clusters`: cluster of each cell, any integers.
///
/// Equals scikit-learn's `silhouette_samples`: 0 for a cell that is alone in its cluster, and where both distances
/// are 0. Squares are expanded as there, in `f64`, where products of two `f32` values are exact. The time is quadratic
/// in cells; the memory is two copies of `x` in `f64` and, on each thread, the distances of a few cells to the
/// clusters.
///
/// # Errors
/// [`Error::Length`]; [`Error::NotFinite`] at a NaN or infinity; [`Error::Parameter`] unless there are at least two
/// clusters and fewer than cells.
///
/// ```
/// use sc_eval::metrics::clustering::silhouette_samples;
///
/// let x = ndarray::array![[0.0f32], [1.0], [9.0], [10.0]];
/// let s = silhouette_samples(x.view(), &[0, 0, 1, 1])?;
/// assert!((s[0] - (9.5 - 1.0) / 9.5).abs() < 1e-12);
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn silhouette_samples(x: ArrayView2<'_, f32>, clusters: &[u32]) -> Result<Vec<f64>> {
    SilhouetteParams::default().samples(x, clusters)
}

/// Mean silhouette of all cells, in -1..=1; see [`silhouette_samples`].
///
/// # Errors
/// Those of [`silhouette_samples`].
pub fn silhouette_score(x: ArrayView2<'_, f32>, clusters: &[u32]) -> Result<f64> {
    Ok(mean(&silhouette_samples(x, clusters)?))
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn a_lonely_cell_and_identical_cells_have_silhouette_zero() {
        let x = array![[0.0f32, 0.0], [0.0, 1.0], [5.0, 5.0]];
        assert_eq!(silhouette_samples(x.view(), &[4, 4, 1]).unwrap()[2], 0.0);
        let same = Array2::<f32>::zeros((4, 3));
        assert_eq!(silhouette_samples(same.view(), &[0, 0, 1, 1]).unwrap(), [0.0; 4]);
    }

    #[test]
    fn blocks_give_what_the_definition_gives() {
        let n = 3 * BLOCK + 17;
        let x = Array2::from_shape_fn((n, 5), |(i, j)| ((i * 37 + j * 101) % 89) as f32 * 0.25);
        let clusters: Vec<u32> = (0..n as u32).map(|i| i * i % 7).collect();
        let fast = silhouette_samples(x.view(), &clusters).unwrap();
        for i in 0..n {
            let mut sums = [0.0; 7];
            let mut sizes = [0usize; 7];
            for j in 0..n {
                let square = |(a, b): (&f32, &f32)| f64::from(a - b).powi(2);
                sums[clusters[j] as usize] += x.row(i).iter().zip(x.row(j)).map(square).sum::<f64>().sqrt();
                sizes[clusters[j] as usize] += 1;
            }
            let own = clusters[i] as usize;
            let a = sums[own] / (sizes[own] - 1) as f64;
            let others = (0..7).filter(|&c| c != own && sizes[c] > 0);
            let b = others.map(|c| sums[c] / sizes[c] as f64).fold(f64::INFINITY, f64::min);
            assert!((fast[i] - (b - a) / a.max(b)).abs() < 1e-12, "cell {i}");
        }
    }

    #[test]
    fn cosine_and_the_distances_between_clusters_follow_their_definitions() {
        let x = Array2::from_shape_fn((40, 4), |(i, j)| ((i * 31 + j * 17) % 23) as f32 - 9.0);
        let clusters: Vec<u32> = (0..40).map(|i| i % 3).collect();
        let cosine = |i: usize, j: usize| {
            let (a, b) = (x.row(i).mapv(f64::from), x.row(j).mapv(f64::from));
            1.0 - a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt()
        };
        for between in [BetweenClusters::Nearest, BetweenClusters::MeanOther, BetweenClusters::Furthest] {
            let params = SilhouetteParams { metric: SilhouetteMetric::Cosine, between };
            let found = params.samples(x.view(), &clusters).unwrap();
            for i in 0..40 {
                let to = |c: u32| (0..40).filter(|&j| clusters[j] == c).collect::<Vec<usize>>();
                let total = |c: u32| to(c).iter().map(|&j| cosine(i, j)).sum::<f64>();
                let own = clusters[i];
                let a = total(own) / (to(own).len() - 1) as f64;
                let others = (0..3).filter(|&c| c != own);
                let means: Vec<f64> = others.clone().map(|c| total(c) / to(c).len() as f64).collect();
                let b = match between {
                    BetweenClusters::Nearest => means[0].min(means[1]),
                    BetweenClusters::Furthest => means[0].max(means[1]),
                    BetweenClusters::MeanOther => {
                        others.map(total).sum::<f64>() / (40 - to(own).len()) as f64
                    }
                };
                assert!((found[i] - (b - a) / a.max(b)).abs() < 1e-12, "{between:?} {i}");
            }
        }
    }

    #[test]
    fn a_common_offset_costs_no_digits() {
        let x = Array2::from_shape_fn((50, 3), |(i, j)| ((i * 37 + j * 101) % 89) as f32 * 0.25);
        let clusters: Vec<u32> = (0..50).map(|i| i % 4).collect();
        let near = silhouette_samples(x.view(), &clusters).unwrap();
        let far = silhouette_samples((&x + 1_048_576.0).view(), &clusters).unwrap();
        assert!(near.iter().zip(far).all(|(a, b)| (a - b).abs() < 1e-12));
    }

    #[test]
    fn the_order_of_cells_moves_silhouettes_with_them() {
        let x = Array2::from_shape_fn((30, 2), |(i, j)| ((i * 7 + j * 3) % 11) as f32);
        let clusters: Vec<u32> = (0..30).map(|i| i % 3).collect();
        let forward = silhouette_samples(x.view(), &clusters).unwrap();
        let reversed: Vec<u32> = clusters.iter().rev().copied().collect();
        let mut backward = silhouette_samples(x.slice(ndarray::s![..;-1, ..]), &reversed).unwrap();
        backward.reverse();
        for (a, b) in forward.iter().zip(backward) {
            assert!((a - b).abs() < 1e-14);
        }
    }

    #[test]
    fn inputs_without_silhouette_are_refused() {
        let x = array![[0.0f32], [1.0], [2.0]];
        assert!(silhouette_samples(x.view(), &[0, 0]).is_err());
        assert!(silhouette_samples(x.view(), &[0, 0, 0]).is_err());
        assert!(silhouette_samples(x.view(), &[0, 1, 2]).is_err());
        let nan = array![[0.0f32], [f32::NAN], [2.0]];
        assert!(matches!(silhouette_score(nan.view(), &[0, 1, 1]), Err(Error::NotFinite { row: 1, .. })));
    }
}
