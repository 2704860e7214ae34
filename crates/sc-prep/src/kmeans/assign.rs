//! The nearest centre of every cell.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::Points;

/// Centres that are scored together.
const LANES: usize = 16;
/// Cells that are scored together: a centre fetched serves this many.
const ROWS: usize = 8;
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
    n_clusters: usize,
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
        Self { values, start, n_dims, n_clusters }
    }

    /// The centre of lowest score for each of [`ROWS`] rows; the lower index wins a tie.
    ///
    /// With a cell `a` and a centre `c`, `|c|²/2 - a·c` orders the centres as their distance does. Each lane is one centre,
    /// summed over the dimensions in order: the width of the vectors does not show.
    #[inline(always)]
    fn nearest<S: Simd>(&self, simd: S, rows: [&[f32]; ROWS]) -> [u32; ROWS] {
        let mut best = [(f32::INFINITY, 0u32); ROWS];
        let mut scores = [[0f32; LANES]; ROWS];
        let blocks = self.values.chunks_exact(LANES * self.n_dims).zip(self.start.chunks_exact(LANES));
        for (block, (values, start)) in blocks.enumerate() {
            let (start, _) = S::as_simd_f32s(start);
            // Vectors that hold nothing but padding are left out.
            let live = LANES.min(self.n_clusters - block * LANES);
            for (v, &start) in start.iter().enumerate().take(live.div_ceil(S::F32_LANES)) {
                // One vector of centres by all rows: the sums stay in registers.
                let mut sums = [start; ROWS];
                for (dim, lanes) in values.chunks_exact(LANES).enumerate() {
                    let lanes = S::as_simd_f32s(lanes).0[v];
                    for r in 0..ROWS {
                        sums[r] = simd.mul_add_f32s(simd.splat_f32s(rows[r][dim]), lanes, sums[r]);
                    }
                }
                for r in 0..ROWS {
                    S::as_mut_simd_f32s(&mut scores[r]).0[v] = sums[r];
                }
            }
            for (best, scores) in best.iter_mut().zip(&scores) {
                for (lane, &score) in scores[..live].iter().enumerate() {
                    if score < best.0 {
                        *best = (score, (block * LANES + lane) as u32);
                    }
                }
            }
        }
        best.map(|(_, cluster)| cluster)
    }
}

/// The assignment of one block of cells; runs inside `pulp`'s dispatch.
struct Block<'a> {
    points: &'a Points,
    centers: &'a [f64],
    packed: &'a Centers,
    /// The first cell of the block.
    first: usize,
    labels: &'a mut [u32],
    squared: &'a mut [f64],
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { points, centers, packed, first, labels, squared } = self;
        let n_dims = points.n_dims;
        for (at, (labels, squared)) in labels.chunks_mut(ROWS).zip(squared.chunks_mut(ROWS)).enumerate() {
            let first = first + at * ROWS;
            // A group at the end is filled up with its last row.
            let mut rows = [points.row(first + labels.len() - 1); ROWS];
            for (r, row) in rows.iter_mut().enumerate().take(labels.len()) {
                *row = points.row(first + r);
            }
            let nearest = packed.nearest(simd, rows);
            for (r, (label, squared)) in labels.iter_mut().zip(squared).enumerate() {
                *label = nearest[r];
                *squared = squared_distance(rows[r], &centers[nearest[r] as usize * n_dims..][..n_dims]);
            }
        }
    }
}

/// Assigns every cell to its nearest centre, in parallel over blocks of cells.
pub(super) fn assign(points: &Points, centers: &[f64]) -> Assignment {
    let n = points.len();
    let packed = Centers::new(centers, points.n_dims);
    let (mut labels, mut squared) = (vec![0u32; n], vec![0f64; n]);
    let arch = pulp::Arch::new();
    let blocks = labels.par_chunks_mut(BLOCK).zip(squared.par_chunks_mut(BLOCK)).enumerate();
    blocks.for_each(|(block, (labels, squared))| {
        arch.dispatch(Block { points, centers, packed: &packed, first: block * BLOCK, labels, squared });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vector_width_assigns_the_same_with_the_same_distances() {
        let x = ndarray::Array2::from_shape_fn((77, 13), |(i, j)| libm::sinf((i * 13 + j) as f32 * 1.7));
        let points = Points::new(x.view());
        let centers: Vec<f64> = (0..21 * 13).map(|i| libm::sin(f64::from(i) * 0.9) * 0.5).collect();
        let packed = Centers::new(&centers, 13);
        let run = |vectorize: &dyn Fn(Block<'_>)| {
            let (mut labels, mut squared) = (vec![0; 70], vec![0.0; 70]);
            let (labels_out, squared_out) = (&mut labels[..], &mut squared[..]);
            let (points, centers, packed) = (&points, &centers[..], &packed);
            vectorize(Block { points, centers, packed, first: 7, labels: labels_out, squared: squared_out });
            (labels, squared)
        };
        let widest = run(&|block| pulp::Arch::new().dispatch(block));
        assert_eq!(run(&|block| Simd::vectorize(pulp::Scalar::new(), block)), widest);
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = pulp::x86::V3::try_new() {
            assert_eq!(run(&|block| Simd::vectorize(avx2, block)), widest);
        }
        for (i, (&label, &squared)) in widest.0.iter().zip(&widest.1).enumerate() {
            let of = |c: usize| squared_distance(points.row(7 + i), &centers[c * 13..][..13]);
            assert_eq!(of(label as usize), squared);
            assert!((0..21).all(|c| squared <= of(c) + 1e-5));
        }
    }
}
