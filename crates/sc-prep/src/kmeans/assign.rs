//! The nearest centre of every cell.

use rayon::prelude::*;

use super::Points;
use crate::vectorized::vectorized;

/// Centres that are scored together.
const LANES: usize = 16;
/// Cells that are scored together: a centre fetched serves this many.
const ROWS: usize = 4;
/// Cells of one task.
const BLOCK: usize = 256;

/// The cluster of every cell.
pub(super) struct Assignment {
    pub(super) labels: Vec<u32>,
    /// Squared distance of each cell to its centre.
    pub(super) squared: Vec<f64>,
}

impl Assignment {
    pub(super) fn inertia(&self) -> f64 {
        self.squared.iter().sum()
    }
}

/// The centres as the scoring loop wants them.
struct Centers {
    /// Block by block of [`LANES`] centres, in it dimension by dimension; negated.
    values: Vec<f32>,
    /// Half the squared norm of each centre; infinite for the padding.
    start: Vec<f32>,
    n_dims: usize,
}

impl Centers {
    fn new(centers: &[f64], n_dims: usize) -> Self {
        let n_clusters = centers.len() / n_dims;
        let padded = n_clusters.next_multiple_of(LANES);
        let (mut values, mut start) = (vec![0f32; padded * n_dims], vec![f32::INFINITY; padded]);
        for (cluster, center) in centers.chunks_exact(n_dims).enumerate() {
            start[cluster] = (center.iter().map(|c| c * c).sum::<f64>() / 2.0) as f32;
            let block = &mut values[cluster / LANES * LANES * n_dims..][..LANES * n_dims];
            for (dim, &c) in center.iter().enumerate() {
                block[dim * LANES + cluster % LANES] = -c as f32;
            }
        }
        Self { values, start, n_dims }
    }

    /// The centre of lowest score for each of up to [`ROWS`] rows; the lower index wins a tie.
    ///
    /// With a cell `a` and a centre `c`, `|c|²/2 - a·c` orders the centres as their distance does.
    #[inline(always)]
    fn nearest(&self, rows: [&[f32]; ROWS]) -> [u32; ROWS] {
        let mut best = [(f32::INFINITY, 0u32); ROWS];
        let blocks = self.values.chunks_exact(LANES * self.n_dims).zip(self.start.as_chunks::<LANES>().0);
        for (block, (values, start)) in blocks.enumerate() {
            let mut scores = [*start; ROWS];
            for (dim, lanes) in values.as_chunks::<LANES>().0.iter().enumerate() {
                for (scores, row) in scores.iter_mut().zip(rows) {
                    let a = row[dim];
                    for lane in 0..LANES {
                        scores[lane] = a.mul_add(lanes[lane], scores[lane]);
                    }
                }
            }
            for (best, scores) in best.iter_mut().zip(&scores) {
                for (lane, &score) in scores.iter().enumerate() {
                    if score < best.0 {
                        *best = (score, (block * LANES + lane) as u32);
                    }
                }
            }
        }
        best.map(|(_, cluster)| cluster)
    }
}

/// Assigns every cell to its nearest centre, in parallel over blocks of cells.
pub(super) fn assign(points: &Points, centers: &[f64]) -> Assignment {
    let (n, n_dims) = (points.len(), points.n_dims);
    let packed = Centers::new(centers, n_dims);
    let (mut labels, mut squared) = (vec![0u32; n], vec![0f64; n]);
    let arch = pulp::Arch::new();
    let blocks = labels.par_chunks_mut(BLOCK).zip(squared.par_chunks_mut(BLOCK)).enumerate();
    blocks.for_each(|(block, (labels, squared))| {
        let first = block * BLOCK;
        vectorized(
            arch,
            #[inline(always)]
            || {
                for (at, (labels, squared)) in
                    labels.chunks_mut(ROWS).zip(squared.chunks_mut(ROWS)).enumerate()
                {
                    // A group at the end is filled up with its last row.
                    let last = first + at * ROWS + labels.len() - 1;
                    let rows = std::array::from_fn(|r| points.row((first + at * ROWS + r).min(last)));
                    let nearest = packed.nearest(rows);
                    for (((label, squared), cluster), row) in
                        labels.iter_mut().zip(squared).zip(nearest).zip(rows)
                    {
                        *label = cluster;
                        *squared = squared_distance(row, &centers[cluster as usize * n_dims..][..n_dims]);
                    }
                }
            },
        );
    });
    Assignment { labels, squared }
}

/// Squared euclidean distance in f64, in eight interleaved sums whatever the vector width is.
#[inline(always)]
pub(super) fn squared_distance(row: &[f32], center: &[f64]) -> f64 {
    let mut sums = [0f64; 8];
    let ((rows, row_rest), (centers, center_rest)) = (row.as_chunks::<8>(), center.as_chunks::<8>());
    for (a, b) in rows.iter().zip(centers) {
        for lane in 0..8 {
            let difference = f64::from(a[lane]) - b[lane];
            sums[lane] += difference * difference;
        }
    }
    for ((sum, &a), b) in sums.iter_mut().zip(row_rest).zip(center_rest) {
        let difference = f64::from(a) - b;
        *sum += difference * difference;
    }
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}
