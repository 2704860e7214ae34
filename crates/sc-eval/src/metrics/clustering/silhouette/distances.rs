//! Distances of blocks of cells to all cells, summed by cluster and never stored.

use ndarray::ArrayView2;

use super::SilhouetteMetric;
use crate::metrics::compute::{Arithmetic, Kernel, dispatch};

/// Cells of a block: their sums by cluster belong to one thread.
pub(super) const BLOCK: usize = 128;
/// Cells of a panel, whose distances to one other cell are computed side by side in registers.
const LANES: usize = 16;
/// Other cells that share one pass over a panel.
const WIDE: usize = 6;
/// Other cells that stay in the first-level cache while all panels of a block pass over them.
const TILE: usize = 48;

/// Cells in order of cluster, in both layouts that the distances read.
pub(super) struct Grouped {
    order: Vec<usize>,
    /// Where each cluster ends in `order`.
    ends: Vec<usize>,
    /// `[place][dimension]`.
    rows: Vec<f64>,
    /// `[panel][dimension][lane]`, padded with zeros.
    panels: Vec<f64>,
    /// Squared norm of each place (Euclidean) or the reciprocal of its norm (cosine), padded with zeros.
    norms: Vec<f64>,
    n_dims: usize,
}

impl Grouped {
    pub(super) fn new(x: ArrayView2<'_, f32>, clusters: &[u32], metric: SilhouetteMetric) -> Self {
        let (n, n_dims) = x.dim();
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by_key(|&cell| clusters[cell]);
        let mut ends = Vec::new();
        for run in order.chunk_by(|&a, &b| clusters[a] == clusters[b]) {
            ends.push(ends.last().unwrap_or(&0) + run.len());
        }
        let shifts = match metric {
            SilhouetteMetric::Euclidean => exact_shifts(x),
            SilhouetteMetric::Cosine => vec![0.0; n_dims],
        };
        let padded = n.div_ceil(BLOCK) * BLOCK;
        let mut rows = Vec::with_capacity(n * n_dims);
        let mut panels = vec![0.0; padded * n_dims];
        for (place, &cell) in order.iter().enumerate() {
            for (dim, (value, shift)) in x.row(cell).iter().zip(&shifts).enumerate() {
                let value = f64::from(value - shift);
                rows.push(value);
                panels[(place / LANES * n_dims + dim) * LANES + place % LANES] = value;
            }
        }
        let mut norms = vec![0.0; padded];
        for (place, norm) in norms[..n].iter_mut().enumerate() {
            // Summed in the order of the products of two cells, so that a cell is at distance 0 from itself.
            let row = &rows[place * n_dims..(place + 1) * n_dims];
            let square = row.iter().fold(0.0, |sum, v| sum + v * v);
            *norm = match metric {
                SilhouetteMetric::Euclidean => square,
                SilhouetteMetric::Cosine if square > 0.0 => 1.0 / square.sqrt(),
                SilhouetteMetric::Cosine => 0.0,
            };
        }
        Self { order, ends, rows, panels, norms, n_dims }
    }

    /// The cells by cluster.
    pub(super) fn order(&self) -> &[usize] {
        &self.order
    }

    pub(super) fn n_clusters(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn cluster_at(&self, place: usize) -> usize {
        self.ends.partition_point(|&end| end <= place)
    }

    pub(super) fn size(&self, cluster: usize) -> usize {
        self.ends[cluster] - self.start(cluster)
    }

    fn start(&self, cluster: usize) -> usize {
        if cluster == 0 { 0 } else { self.ends[cluster - 1] }
    }

    /// Distances of the cells of a block to the cells of each cluster, summed: clusters × [`BLOCK`].
    pub(super) fn sum_distances(&self, block: usize, metric: SilhouetteMetric) -> Vec<f64> {
        let mut sums = vec![0.0; self.n_clusters() * BLOCK];
        match metric {
            SilhouetteMetric::Euclidean => {
                dispatch(SumDistances::<false> { cells: self, block, sums: &mut sums })
            }
            SilhouetteMetric::Cosine => {
                dispatch(SumDistances::<true> { cells: self, block, sums: &mut sums })
            }
        }
        sums
    }
}

/// A value for each dimension that can be taken from all of its values without rounding, and shortens them.
///
/// If the values lie within a factor of two of each other, the difference of any two is a `f32` (Sterbenz), and
/// expanding squares around one of them loses no digits to a common offset.
fn exact_shifts(x: ArrayView2<'_, f32>) -> Vec<f32> {
    let shift = |column: ndarray::ArrayView1<'_, f32>| {
        let first = column.first().copied().unwrap_or(0.0);
        let (a, b) = (first * 0.5, first * 2.0);
        let near = |v: &f32| *v >= a.min(b) && *v <= a.max(b);
        if b.is_finite() && a.is_normal() && column.iter().all(near) { first } else { 0.0 }
    };
    x.columns().into_iter().map(shift).collect()
}

struct SumDistances<'a, const COSINE: bool> {
    cells: &'a Grouped,
    block: usize,
    sums: &'a mut [f64],
}

impl<const COSINE: bool> Kernel for SumDistances<'_, COSINE> {
    type Output = ();

    #[inline(always)]
    fn run<M: Arithmetic>(self) {
        let Self { cells, block, sums } = self;
        let n_dims = cells.n_dims;
        let mut start = 0;
        for (&end, sums) in cells.ends.iter().zip(sums.chunks_exact_mut(BLOCK)) {
            let mut tile = start;
            while tile < end {
                let tile_end = (tile + TILE).min(end);
                for (panel, sums) in sums.chunks_exact_mut(LANES).enumerate() {
                    let first = block * BLOCK + panel * LANES;
                    let lanes = &cells.panels[first * n_dims..(first + LANES) * n_dims];
                    let norms = &cells.norms[first..first + LANES];
                    let mut other = tile;
                    while other + WIDE <= tile_end {
                        add_distances::<M, COSINE, WIDE>(cells, lanes, norms, other, sums);
                        other += WIDE;
                    }
                    while other < tile_end {
                        add_distances::<M, COSINE, 1>(cells, lanes, norms, other, sums);
                        other += 1;
                    }
                }
                tile = tile_end;
            }
            start = end;
        }
    }
}

/// Adds to `sums` the distances of the cells of a panel to `N` cells from place `other` on, one cell after the other.
#[inline(always)]
fn add_distances<M: Arithmetic, const COSINE: bool, const N: usize>(
    cells: &Grouped,
    lanes: &[f64],
    norms: &[f64],
    other: usize,
    sums: &mut [f64],
) {
    let n_dims = cells.n_dims;
    let rows: [&[f64]; N] =
        std::array::from_fn(|i| &cells.rows[(other + i) * n_dims..(other + i + 1) * n_dims]);
    let mut products = [[0.0; LANES]; N];
    for (dim, panel) in lanes.chunks_exact(LANES).enumerate() {
        for i in 0..N {
            let value = rows[i][dim];
            for lane in 0..LANES {
                products[i][lane] = M::exact_product_add(panel[lane], value, products[i][lane]);
            }
        }
    }
    for (i, products) in products.iter().enumerate() {
        let norm = cells.norms[other + i];
        for lane in 0..LANES {
            sums[lane] += if COSINE {
                (1.0 - products[lane] * (norms[lane] * norm)).clamp(0.0, 2.0)
            } else {
                (norms[lane] + norm - 2.0 * products[lane]).max(0.0).sqrt()
            };
        }
    }
}
