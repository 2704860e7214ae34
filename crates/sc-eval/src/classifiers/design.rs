//! Features as linear models read them: what differs from the background, by row and by column.

use pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;

use super::training::ROW_CHUNK;
use crate::Features;
use crate::features::{Lines, Store};

/// `x[i][j] = background[j] + delta[i][j]`, with `delta` sparse. Dense features have a background of zero.
pub(crate) struct Design {
    pub(crate) n_rows: usize,
    pub(crate) n_cols: usize,
    pub(crate) background: Vec<f64>,
    /// The deltas by row: columns ascend within a row.
    pub(crate) rows: Lines,
}

/// Classes are processed in blocks of this many accumulators, whatever the SIMD width of the machine.
pub(crate) const LANES: usize = 8;

impl Design {
    pub(crate) fn new(x: &Features) -> Self {
        let (n_rows, n_cols) = (x.n_rows(), x.n_cols());
        let mut rows = Lines { start: vec![0], index: Vec::new(), value: Vec::new() };
        let background = match x.store() {
            Store::Dense(values) => {
                for row in values.chunks_exact(n_cols.max(1)) {
                    let stored = row.iter().enumerate().filter(|(_, v)| **v != 0.0);
                    for (j, &v) in stored {
                        rows.index.push(j as u32);
                        rows.value.push(v);
                    }
                    rows.start.push(rows.index.len());
                }
                // A matrix without columns has rows all the same.
                rows.start.resize(n_rows + 1, rows.index.len());
                vec![0.0; n_cols]
            }
            Store::Sparse { indptr, indices, values, background } => {
                rows.start.clone_from(indptr);
                rows.index.clone_from(indices);
                rows.value = indices.iter().zip(values).map(|(&j, &v)| v - background[j as usize]).collect();
                background.iter().map(|&v| f64::from(v)).collect()
            }
        };
        Self { n_rows, n_cols, background, rows }
    }

    /// As [`Design::new`], but over a background that is given: kernels compare deltas of two matrices.
    pub(crate) fn over(x: &Features, background: &[f64]) -> Self {
        let own = Self::new(x);
        if own.background == background {
            return own;
        }
        let mut rows = Lines { start: vec![0], index: Vec::new(), value: Vec::new() };
        let mut full = vec![0f32; own.n_cols];
        for i in 0..own.n_rows {
            x.write_row(i, &mut full);
            for (j, (&v, &b)) in full.iter().zip(background).enumerate() {
                if f64::from(v) != b {
                    rows.index.push(j as u32);
                    rows.value.push((f64::from(v) - b) as f32);
                }
            }
            rows.start.push(rows.index.len());
        }
        Self { background: background.to_vec(), rows, ..own }
    }

    /// Columns and deltas of row `i`.
    pub(crate) fn row(&self, i: usize) -> (&[u32], &[f32]) {
        self.rows.line(i)
    }

    /// The deltas by column: rows ascend within a column.
    pub(crate) fn columns(&self) -> Lines {
        self.rows.transposed(self.n_cols)
    }

    /// Mean and variance (population) over all `n_rows × n_cols` values.
    pub(crate) fn mean_and_variance(&self) -> (f64, f64) {
        let n = self.n_rows as f64;
        let (mut sum, mut squares) = (0.0, 0.0);
        for &b in &self.background {
            sum += n * b;
            squares += n * b * b;
        }
        for (&j, &d) in self.rows.index.iter().zip(&self.rows.value) {
            let (b, d) = (self.background[j as usize], f64::from(d));
            sum += d;
            squares += d * (2.0 * b + d);
        }
        let total = n * self.n_cols as f64;
        let mean = sum / total;
        (mean, squares / total - mean * mean)
    }
}

/// `out[line] += Σ_k delta[line][k] · w[index[k]]`, over all lines, for row vectors `w[..]` and `out[..]` of `width`
/// values each, a multiple of [`LANES`].
///
/// The sum of each output runs over the stored deltas in order, so neither SIMD width nor threads change a bit.
pub(crate) fn accumulate(lines: &Lines, width: usize, w: &[f64], out: &mut [f64]) {
    assert_eq!(width % LANES, 0, "whole blocks of lanes");
    let arch = Arch::new();
    out.par_chunks_mut(ROW_CHUNK * width).enumerate().for_each(|(chunk, out)| {
        arch.dispatch(Accumulate { lines, first: chunk * ROW_CHUNK, width, w, out })
    });
}

/// [`accumulate`] for the lines from `first` on. A struct, because closures are not always inlined into the code for
/// the machine's instructions.
struct Accumulate<'a> {
    lines: &'a Lines,
    first: usize,
    width: usize,
    w: &'a [f64],
    out: &'a mut [f64],
}

impl NullaryFnOnce for Accumulate<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { lines, first, width, w, out } = self;
        for (offset, out) in out.chunks_exact_mut(width).enumerate() {
            let (index, delta) = lines.line(first + offset);
            for (block, out) in out.chunks_exact_mut(LANES).enumerate() {
                let mut sum: [f64; LANES] = [0.0; LANES];
                sum.copy_from_slice(out);
                for (&k, &d) in index.iter().zip(delta) {
                    let at = k as usize * width + block * LANES;
                    let w = &w[at..at + LANES];
                    let d = f64::from(d);
                    for lane in 0..LANES {
                        sum[lane] += w[lane] * d;
                    }
                }
                out.copy_from_slice(&sum);
            }
        }
    }
}

impl Design {
    /// `out[i] = Σ_j x[i][j] · w[j]`, row vectors of `width` values; `out` is `n_rows × width`.
    pub(crate) fn times(&self, width: usize, w: &[f64], out: &mut [f64]) {
        let mut base = vec![0.0; width];
        for (w, &b) in w.chunks_exact(width).zip(&self.background) {
            for (sum, &w) in base.iter_mut().zip(w) {
                *sum += b * w;
            }
        }
        for row in out.chunks_exact_mut(width) {
            row.copy_from_slice(&base);
        }
        accumulate(&self.rows, width, w, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sparse() -> Features {
        let background = vec![-1.0, 0.5, 0.25];
        Features::sparse(vec![0, 2, 2, 3], vec![0, 2, 1], vec![3.0, 4.0, 5.0], background).unwrap()
    }

    fn full(x: &Features) -> Vec<Vec<f32>> {
        let row = |i| {
            let mut row = vec![0.0; x.n_cols()];
            x.write_row(i, &mut row);
            row
        };
        (0..x.n_rows()).map(row).collect()
    }

    #[test]
    fn products_over_a_background_equal_dense_products() {
        let x = sparse();
        let design = Design::new(&x);
        let w: Vec<f64> = (0..3 * LANES).map(|k| k as f64 * 0.5 - 3.0).collect();
        let mut out = vec![0.0; 3 * LANES];
        design.times(LANES, &w, &mut out);
        for (i, row) in full(&x).iter().enumerate() {
            for lane in 0..LANES {
                let direct: f64 = (0..3).map(|j| f64::from(row[j]) * w[j * LANES + lane]).sum();
                assert!((out[i * LANES + lane] - direct).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn columns_are_the_transposed_rows() {
        let design = Design::new(&sparse());
        let columns = design.columns();
        assert_eq!(columns.line(0), (&[0u32][..], &[4.0f32][..]));
        assert_eq!(columns.line(1), (&[2u32][..], &[4.5f32][..]));
        assert_eq!(columns.line(2), (&[0u32][..], &[3.75f32][..]));
    }

    #[test]
    fn deltas_over_another_background_describe_the_same_rows() {
        let x = sparse();
        let over = Design::over(&x, &[1.0, 0.0, 0.25]);
        for (i, row) in full(&x).iter().enumerate() {
            let mut rebuilt = over.background.clone();
            let (js, ds) = over.row(i);
            js.iter().zip(ds).for_each(|(&j, &d)| rebuilt[j as usize] += f64::from(d));
            assert!(rebuilt.iter().zip(row).all(|(a, &b)| (a - f64::from(b)).abs() < 1e-6));
        }
    }

    #[test]
    fn mean_and_variance_are_those_of_the_full_matrix() {
        let x = sparse();
        let all: Vec<f64> = full(&x).concat().into_iter().map(f64::from).collect();
        let mean = all.iter().sum::<f64>() / 9.0;
        let variance = all.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / 9.0;
        let (m, v) = Design::new(&x).mean_and_variance();
        assert!((m - mean).abs() < 1e-12 && (v - variance).abs() < 1e-12);
    }
}
