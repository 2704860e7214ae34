//! The centred matrix as an operator: sparse, plus one row that is added to every cell.

use ndarray::ArrayView2;
use pulp::Arch;

use crate::vectorized::vectorized;
use rayon::prelude::*;

use super::block::{Block, Lane};
use crate::chunks::{chunk_len, chunks};
use crate::scale::Scaled;

/// Fewest rows whose partial sums are worth a buffer of their own.
const MIN_ROWS: usize = 256;

/// `X - 1 meanᵀ`, written as `S + 1 offsetᵀ`: `S` holds how far the written-out values lie above the background, and
/// `offset` how far the background lies above the mean. Nothing of the size cells × genes exists.
pub(crate) struct Centered {
    pub(crate) n_rows: usize,
    indptr: Vec<usize>,
    indices: Vec<u32>,
    deltas: Vec<f64>,
    offset: Vec<f64>,
    pub(crate) mean: Vec<f64>,
    arch: Arch,
}

impl Centered {
    /// Centred by its own column means.
    pub(crate) fn of(x: &Scaled) -> Self {
        let mut centered = Self::around(x, vec![0.0; x.n_cols()]);
        let sums = centered.sum_rows(|deltas, indices, sums: &mut [f64]| {
            indices.iter().zip(deltas).for_each(|(&j, d)| sums[j as usize] += d);
        });
        let n = x.n_rows() as f64;
        centered.mean = sums.iter().zip(x.background()).map(|(s, &b)| f64::from(b) + s / n).collect();
        centered.offset = sums.iter().map(|s| -s / n).collect();
        centered
    }

    /// Centred by means that are given.
    pub(crate) fn around(x: &Scaled, mean: Vec<f64>) -> Self {
        let n_rows = x.n_rows();
        let background: Vec<f64> = x.background().iter().map(|&b| f64::from(b)).collect();
        let mut indptr = Vec::with_capacity(n_rows + 1);
        indptr.push(0);
        let (mut indices, mut deltas) = (Vec::with_capacity(x.nnz()), Vec::with_capacity(x.nnz()));
        for i in 0..n_rows {
            let (columns, values) = x.row(i);
            indices.extend_from_slice(columns);
            deltas.extend(columns.iter().zip(values).map(|(&j, &v)| f64::from(v) - background[j as usize]));
            indptr.push(indices.len());
        }
        let offset = background.iter().zip(&mean).map(|(b, m)| b - m).collect();
        Self { n_rows, indptr, indices, deltas, offset, mean, arch: Arch::new() }
    }

    /// A dense matrix, as one whose background is zero.
    pub(crate) fn dense(x: ArrayView2<'_, f32>) -> Scaled {
        Scaled::from_checked(sc_io::Csr::from_dense(x), vec![0.0; x.ncols()])
    }

    pub(crate) fn n_cols(&self) -> usize {
        self.offset.len()
    }

    pub(crate) fn nnz(&self) -> usize {
        self.deltas.len()
    }

    /// Sum of squares of all entries.
    pub(crate) fn sum_of_squares(&self) -> f64 {
        let n_cols = self.n_cols();
        let mut squares = vec![0.0; 2 * n_cols];
        let of_stored = self.sum_rows(|deltas, indices, sums: &mut [f64]| {
            for (&j, d) in indices.iter().zip(deltas) {
                let v = d + self.offset[j as usize];
                sums[j as usize] += v * v;
            }
        });
        squares[..n_cols].copy_from_slice(&of_stored);
        let mut stored = vec![0usize; n_cols];
        self.indices.iter().for_each(|&j| stored[j as usize] += 1);
        for (j, square) in squares[n_cols..].iter_mut().enumerate() {
            *square = (self.n_rows - stored[j]) as f64 * self.offset[j] * self.offset[j];
        }
        squares.iter().sum()
    }

    /// One sum per column, over chunks of rows, folded in order.
    fn sum_rows(&self, add: impl Fn(&[f64], &[u32], &mut [f64]) + Sync) -> Vec<f64> {
        let partials: Vec<Vec<f64>> = chunks(self.n_rows, MIN_ROWS)
            .map(|rows| {
                let span = self.indptr[rows.start]..self.indptr[rows.end];
                let mut sums = vec![0.0; self.n_cols()];
                add(&self.deltas[span.clone()], &self.indices[span], &mut sums);
                sums
            })
            .collect();
        let mut sums = vec![0.0; self.n_cols()];
        for partial in partials {
            sums.iter_mut().zip(partial).for_each(|(sum, part)| *sum += part);
        }
        sums
    }

    /// `offsetᵀ q`, what every row of the product shares.
    fn shared(&self, q: &[Lane]) -> Lane {
        vectorized(
            self.arch,
            #[inline(always)]
            || {
                let mut sum = Lane::ZERO;
                self.offset.iter().zip(q).for_each(|(&o, lane)| sum.add_scaled(o, lane));
                sum
            },
        )
    }

    /// One row of the product with `q`, in two interleaved sums.
    #[inline(always)]
    fn row_product(&self, row: usize, q: &[Lane], shared: Lane) -> Lane {
        let span = self.indptr[row]..self.indptr[row + 1];
        let (indices, deltas) = (&self.indices[span.clone()], &self.deltas[span]);
        let (mut even, mut odd) = (shared, Lane::ZERO);
        let (index_pairs, delta_pairs) = (indices.chunks_exact(2), deltas.chunks_exact(2));
        let (last_index, last_delta) = (index_pairs.remainder(), delta_pairs.remainder());
        for (j, d) in index_pairs.zip(delta_pairs) {
            even.add_scaled(d[0], &q[j[0] as usize]);
            odd.add_scaled(d[1], &q[j[1] as usize]);
        }
        if let (&[j], &[d]) = (last_index, last_delta) {
            even.add_scaled(d, &q[j as usize]);
        }
        even.add(&odd);
        even
    }

    /// `X q`: one lane per row.
    pub(crate) fn times(&self, q: &[Lane]) -> Block {
        assert_eq!(q.len(), self.n_cols(), "one lane per column");
        let shared = self.shared(q);
        let mut out = vec![Lane::ZERO; self.n_rows];
        let len = chunk_len(self.n_rows, 64);
        out.par_chunks_mut(len).enumerate().for_each(|(chunk, out)| {
            vectorized(
                self.arch,
                #[inline(always)]
                || {
                    for (i, lane) in out.iter_mut().enumerate() {
                        *lane = self.row_product(chunk * len + i, q, shared);
                    }
                },
            );
        });
        out
    }

    /// `Xᵀ u`: one lane per column.
    pub(crate) fn transpose_times(&self, u: &[Lane], work: &mut Workspace) -> Block {
        assert_eq!(u.len(), self.n_rows, "one lane per row");
        self.scatter(
            work,
            #[inline(always)]
            |row| u[row],
        )
    }

    /// `Xᵀ (X q)` in one pass: the row that was just read is still at hand for its part of the transposed product.
    pub(crate) fn gram_times(&self, q: &[Lane], work: &mut Workspace) -> Block {
        assert_eq!(q.len(), self.n_cols(), "one lane per column");
        let shared = self.shared(q);
        self.scatter(
            work,
            #[inline(always)]
            |row| self.row_product(row, q, shared),
        )
    }

    /// `Σ over rows of (row of X)ᵀ y(row)`.
    fn scatter(&self, work: &mut Workspace, y: impl Fn(usize) -> Lane + Sync) -> Block {
        let n_cols = self.n_cols();
        let len = chunk_len(self.n_rows, MIN_ROWS);
        work.partials.resize_with(self.n_rows.div_ceil(len), Vec::new);
        work.partials.par_iter_mut().enumerate().for_each(|(chunk, sums)| {
            sums.clear();
            // One lane more than there are columns, for the sum of y itself.
            sums.resize(n_cols + 1, Lane::ZERO);
            vectorized(
                self.arch,
                #[inline(always)]
                || {
                    let mut total = Lane::ZERO;
                    // A slice of this scope's own: its address stays in a register.
                    let sums = &mut sums[..];
                    for row in chunk * len..self.n_rows.min((chunk + 1) * len) {
                        let y = y(row);
                        total.add(&y);
                        let span = self.indptr[row]..self.indptr[row + 1];
                        for (&j, &d) in self.indices[span.clone()].iter().zip(&self.deltas[span]) {
                            sums[j as usize].add_scaled(d, &y);
                        }
                    }
                    sums[n_cols] = total;
                },
            );
        });
        let mut total = Lane::ZERO;
        work.partials.iter().for_each(|sums| total.add(&sums[n_cols]));
        let mut out = vec![Lane::ZERO; n_cols];
        out.par_chunks_mut(512).enumerate().for_each(|(chunk, out)| {
            let first = chunk * 512;
            vectorized(
                self.arch,
                #[inline(always)]
                || {
                    for sums in &work.partials {
                        out.iter_mut().zip(&sums[first..]).for_each(|(o, s)| o.add(s));
                    }
                    out.iter_mut().zip(&self.offset[first..]).for_each(|(o, &d)| o.add_scaled(d, &total));
                },
            );
        });
        out
    }
}

/// Buffers of partial sums, kept between products.
#[derive(Default)]
pub(crate) struct Workspace {
    partials: Vec<Block>,
}

#[cfg(test)]
mod tests {
    use super::super::block::WIDTH;
    use super::*;
    use ndarray::Array2;
    use sc_io::Csr;

    fn example() -> (Scaled, Array2<f64>) {
        let mut x = Array2::<f32>::zeros((300, 23));
        x.indexed_iter_mut().for_each(|((i, j), v)| {
            let h = (i * 31 + j * 17 + i * j) % 19;
            *v = if h < 4 { h as f32 + 0.5 } else { 0.0 };
        });
        let background: Vec<f32> = (0..23).map(|j| j as f32 * 0.1 - 1.0).collect();
        let scaled = Scaled::new(Csr::from_dense(x.view()), background).unwrap();
        let mut dense = scaled.to_dense().mapv(f64::from);
        let mean = dense.mean_axis(ndarray::Axis(0)).unwrap();
        dense -= &mean;
        (scaled, dense)
    }

    fn block(len: usize) -> (Block, Array2<f64>) {
        let dense = Array2::from_shape_fn((len, WIDTH), |(i, l)| ((i * 13 + l * 7) % 11) as f64 - 5.0);
        let lanes = dense.rows().into_iter().map(|r| Lane(std::array::from_fn(|l| r[l]))).collect();
        (lanes, dense)
    }

    fn assert_same(lanes: &[Lane], dense: &Array2<f64>) {
        for (lane, row) in lanes.iter().zip(dense.rows()) {
            assert!((0..WIDTH).all(|l| (lane.0[l] - row[l]).abs() < 1e-9));
        }
    }

    #[test]
    fn every_processor_gives_the_same_bits() {
        let mut x = Centered::of(&example().0);
        let (q, u) = (block(23).0, block(300).0);
        let run = |x: &Centered| {
            let mut work = Workspace::default();
            (x.times(&q), x.transpose_times(&u, &mut work), x.gram_times(&q, &mut work))
        };
        let here = run(&x);
        x.arch = Arch::Scalar;
        assert_eq!(here, run(&x));
    }

    #[test]
    fn products_are_those_of_the_dense_centred_matrix() {
        let (scaled, dense) = example();
        let x = Centered::of(&scaled);
        let mut work = Workspace::default();
        let (q, q_dense) = block(23);
        let (u, u_dense) = block(300);
        assert_same(&x.times(&q), &dense.dot(&q_dense));
        assert_same(&x.transpose_times(&u, &mut work), &dense.t().dot(&u_dense));
        assert_same(&x.gram_times(&q, &mut work), &dense.t().dot(&dense.dot(&q_dense)));
        let squares: f64 = dense.iter().map(|v| v * v).sum();
        assert!((x.sum_of_squares() / squares - 1.0).abs() < 1e-12);
    }
}
