//! Silhouettes: how much closer a cell is to its own cluster than to the next.

use ndarray::ArrayView2;

use crate::{Error, Result};

/// Cells whose distances to one other cell are computed side by side: they stay in the first-level cache, and their
/// sums are independent, so that the order of additions does not depend on the width of the machine's registers.
const BLOCK: usize = 64;

/// Silhouette of each cell, in -1..=1: `(b - a) / max(a, b)` with `a` the mean Euclidean distance to the other cells of
/// its cluster and `b` the smallest mean distance to those of another cluster (Rousseeuw 1987).
///
/// * `x`: cells × dimensions; `clusters`: cluster of each cell, any integers.
///
/// Equals scikit-learn's `silhouette_samples`: 0 for a cell that is alone in its cluster, and where both distances
/// are 0. Distances are summed from differences in `f64`, where scikit-learn expands squares. The time is quadratic in
/// cells, the memory is not.
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
    let n = x.nrows();
    if clusters.len() != n {
        return Err(Error::Length { what: "clusters", found: clusters.len(), expected: n });
    }
    if let Some(((row, column), &value)) = x.indexed_iter().find(|(_, value)| !value.is_finite()) {
        return Err(Error::NotFinite { row, column, value });
    }
    let mut names = clusters.to_vec();
    names.sort_unstable();
    names.dedup();
    if names.len() < 2 || names.len() >= n {
        let (value, expected) = (names.len().to_string(), "at least 2 clusters and fewer than cells");
        return Err(Error::Parameter { name: "the number of clusters", value, expected });
    }
    // Cells in order of cluster: the distances to one cluster are then neighbours, and are summed in one go.
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by_key(|&cell| clusters[cell]);
    let mut ends = vec![0; names.len()];
    for cluster in clusters {
        ends[names.partition_point(|name| name < cluster)] += 1;
    }
    for i in 1..ends.len() {
        ends[i] += ends[i - 1];
    }
    let sorted = ByDimension::new(x, &order);
    let mut silhouettes = vec![0.0; n];
    let mut sums = vec![0.0; names.len() * BLOCK];
    for block in 0..n.div_ceil(BLOCK) {
        sums.fill(0.0);
        sorted.sum_distances(block, &ends, &mut sums);
        for lane in 0..BLOCK.min(n - block * BLOCK) {
            let place = block * BLOCK + lane;
            let to_cluster = |cluster: usize| sums[cluster * BLOCK + lane];
            silhouettes[order[place]] = silhouette(place, &ends, to_cluster);
        }
    }
    Ok(silhouettes)
}

/// Mean silhouette of all cells, in -1..=1; see [`silhouette_samples`].
///
/// # Errors
/// Those of [`silhouette_samples`].
pub fn silhouette_score(x: ArrayView2<'_, f32>, clusters: &[u32]) -> Result<f64> {
    let silhouettes = silhouette_samples(x, clusters)?;
    Ok(silhouettes.iter().sum::<f64>() / silhouettes.len() as f64)
}

/// The silhouette of the cell at `place` in cluster order, given its summed distances to each cluster.
fn silhouette(place: usize, ends: &[usize], to_cluster: impl Fn(usize) -> f64) -> f64 {
    let own = ends.partition_point(|&end| end <= place);
    let size = |cluster: usize| ends[cluster] - if cluster == 0 { 0 } else { ends[cluster - 1] };
    if size(own) == 1 {
        return 0.0;
    }
    let a = to_cluster(own) / (size(own) - 1) as f64;
    let others = (0..ends.len()).filter(|&cluster| cluster != own);
    let b = others.map(|cluster| to_cluster(cluster) / size(cluster) as f64).fold(f64::INFINITY, f64::min);
    let larger = a.max(b);
    if larger == 0.0 { 0.0 } else { (b - a) / larger }
}

/// Cells in blocks, within a block dimension by dimension: `[block][dimension][lane]`, padded with zeros.
struct ByDimension {
    values: Vec<f64>,
    n_dims: usize,
}

impl ByDimension {
    fn new(x: ArrayView2<'_, f32>, order: &[usize]) -> Self {
        let n_dims = x.ncols();
        let mut values = vec![0.0; order.len().div_ceil(BLOCK) * BLOCK * n_dims];
        for (place, &cell) in order.iter().enumerate() {
            for (dim, &value) in x.row(cell).iter().enumerate() {
                values[(place / BLOCK * n_dims + dim) * BLOCK + place % BLOCK] = f64::from(value);
            }
        }
        Self { values, n_dims }
    }

    /// Adds to `sums` (clusters × lanes) the distances of the cells of a block to every cell.
    fn sum_distances(&self, block: usize, ends: &[usize], sums: &mut [f64]) {
        let stride = self.n_dims * BLOCK;
        let own = &self.values[block * stride..(block + 1) * stride];
        let mut place = 0;
        for (&end, sums) in ends.iter().zip(sums.chunks_exact_mut(BLOCK)) {
            for other in place..end {
                let first = other / BLOCK * stride + other % BLOCK;
                let mut squares = [0.0; BLOCK];
                for (dim, lanes) in own.chunks_exact(BLOCK).enumerate() {
                    let value = self.values[first + dim * BLOCK];
                    for (square, lane) in squares.iter_mut().zip(lanes) {
                        *square += (lane - value) * (lane - value);
                    }
                }
                for (sum, square) in sums.iter_mut().zip(squares) {
                    *sum += square.sqrt();
                }
            }
            place = end;
        }
    }
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
