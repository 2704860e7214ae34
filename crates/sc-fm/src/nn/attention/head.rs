//! The rows of one head, and its scores.

use std::ops::Range;

use pulp::Simd;

use super::tile::{Out, Right, Rows, product};
use crate::nn::cpu::Matrix;
use crate::nn::simd::LANES;

/// Queries of a block. Their scores lie side by side, so that each has its own lane; a multiple of 16 and 6.
pub(super) const QUERIES: usize = 48;

/// Keys between two looks at the running maximum; a multiple of 24. Part of the definition of the result: another
/// number gives other roundings.
pub(super) const KEYS: usize = 192;

/// Sizes that follow from the width.
#[derive(Clone, Copy)]
pub(super) struct Heads {
    pub(super) n_heads: usize,
    /// Heads of keys and values: each serves as many heads of queries, side by side.
    pub(super) n_kv_heads: usize,
    /// Columns of a head.
    pub(super) size: usize,
    /// `size` rounded up to a whole number of registers.
    pub(super) padded: usize,
    /// What scores are multiplied by.
    pub(super) scale: f32,
}

impl Heads {
    /// `n_heads` divides the width, `n_kv_heads` divides `n_heads`.
    pub(super) fn new(width: usize, n_heads: usize, n_kv_heads: usize, scale: f32) -> Self {
        let size = width / n_heads;
        Self { n_heads, n_kv_heads, size, padded: size.next_multiple_of(LANES), scale }
    }

    /// The head of keys and values that serves head `h` of queries.
    #[inline(always)]
    pub(super) fn kv(self, h: usize) -> usize {
        h / (self.n_heads / self.n_kv_heads)
    }

    /// Adds rows of the padded size to the columns of head `h` in rows of `stride`.
    pub(super) fn add(self, values: &[f32], rows: &mut [f32], (stride, h): (usize, usize)) {
        for (row, values) in rows.chunks_exact_mut(stride).zip(values.chunks_exact(self.padded)) {
            row[h * self.size..][..self.size].iter_mut().zip(values).for_each(|(sum, x)| *sum += x);
        }
    }

    /// The columns of head `h` in some rows.
    #[inline(always)]
    pub(super) fn view(self, x: Matrix<'_>, rows: Range<usize>, h: usize) -> View<'_> {
        View {
            data: &x.data[rows.start * x.stride + h * self.size..],
            stride: x.stride,
            n_rows: rows.len(),
            size: self.size,
        }
    }
}

/// The columns of one head in rows of all heads.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    /// From the first row's first column of the head on.
    data: &'a [f32],
    stride: usize,
    pub(super) n_rows: usize,
    size: usize,
}

impl<'a> View<'a> {
    /// `n_rows` rows, `stride` apart, of which `size` columns from `column` on.
    #[inline(always)]
    pub(super) fn new(data: &'a [f32], stride: usize, n_rows: usize, column: usize, size: usize) -> Self {
        Self { data: &data[column..], stride, n_rows, size }
    }

    /// Row `i`.
    #[inline(always)]
    pub(super) fn row(self, i: usize) -> &'a [f32] {
        &self.data[i * self.stride..][..self.size]
    }

    /// Some of the rows.
    #[inline(always)]
    pub(super) fn rows(self, rows: Range<usize>) -> Self {
        Self { data: &self.data[rows.start * self.stride..], n_rows: rows.len(), ..self }
    }

    /// The rows as a right factor. Where a row is no whole number of registers, a copy in `memory` is.
    #[inline(always)]
    pub(super) fn right<'b>(self, memory: &'b mut Vec<f32>) -> Right<'b>
    where
        'a: 'b,
    {
        if self.size.is_multiple_of(LANES) {
            return Right { data: self.data, stride: self.stride };
        }
        let stride = self.size.next_multiple_of(LANES);
        memory.clear();
        memory.resize(self.n_rows * stride, 0.0);
        for (i, row) in memory.chunks_exact_mut(stride).enumerate() {
            row[..self.size].copy_from_slice(self.row(i));
        }
        Right { data: memory, stride }
    }

    /// At most [`QUERIES`] rows as columns, times `scale`: rows of [`QUERIES`], filled up with 0 to a whole number of
    /// registers. Returns the number of columns with that.
    #[inline(always)]
    pub(super) fn transpose(self, scale: f32, out: &mut [f32]) -> usize {
        let columns = self.n_rows.next_multiple_of(LANES);
        for first in (0..columns).step_by(LANES) {
            // Rows past the end are read as the last, and not used.
            let rows: [&[f32]; LANES] = std::array::from_fn(|i| self.row((first + i).min(self.n_rows - 1)));
            let used = (self.n_rows - first).min(LANES);
            for (c, out) in out.chunks_exact_mut(QUERIES).take(self.size).enumerate() {
                let out = &mut out[first..first + LANES];
                for i in 0..LANES {
                    out[i] = rows[i][c] * scale;
                }
                out[used..].fill(0.0);
            }
        }
        columns
    }
}

/// The products of keys (or values) with the queries (or gradients) of a block: a row of [`QUERIES`] for each key, of
/// which `columns` are written. The rows are filled up to a multiple of 24 with something.
///
/// * `queries`: from [`View::transpose`].
#[inline(always)]
pub(super) fn scores<S: Simd>(simd: S, keys: View<'_>, queries: &[f32], columns: usize, out: &mut [f32]) {
    if S::F32_LANES == LANES {
        score_tiles::<S, 8>(simd, keys, queries, columns, out);
    } else {
        score_tiles::<S, 6>(simd, keys, queries, columns, out);
    }
}

#[inline(always)]
fn score_tiles<S: Simd, const M: usize>(
    simd: S,
    keys: View<'_>,
    queries: &[f32],
    columns: usize,
    out: &mut [f32],
) {
    for first in (0..keys.n_rows).step_by(M) {
        let rows = std::array::from_fn(|i| keys.row((first + i).min(keys.n_rows - 1)));
        let right = Right { data: queries, stride: QUERIES };
        let out = Out { data: &mut out[first * QUERIES..], stride: QUERIES, width: columns, add: false };
        product::<S, M, 3>(simd, keys.size, Rows::<M>(rows), right, out);
    }
}

/// Which keys a query sees.
#[derive(Clone, Copy)]
pub(super) struct Visible {
    pub(super) n_keys: usize,
    /// Keys that the first query of the cell sees; the next sees one more. `None` where all see all.
    pub(super) causal: Option<usize>,
    /// How many keys a query sees at most where `causal`, itself and those before it.
    pub(super) window: usize,
}

impl Visible {
    /// Number of keys from `start` on that a query sees, at most `n`.
    #[inline(always)]
    pub(super) fn from(self, start: usize, n: usize, query: usize) -> usize {
        let seen = self.causal.map_or(self.n_keys, |first| (first + query).min(self.n_keys));
        seen.saturating_sub(start).min(n)
    }

    /// The first key that a query sees.
    #[inline(always)]
    pub(super) fn start(self, query: usize) -> usize {
        self.causal.map_or(0, |first| (first + query).saturating_sub(self.window))
    }

    /// The place among `n` queries, from `first` on, of the first that a key is too far behind for.
    #[inline(always)]
    pub(super) fn passed(self, key: usize, first: usize, n: usize) -> usize {
        self.causal
            .map_or(n, |seen| (key + 1).saturating_add(self.window).saturating_sub(seen + first).min(n))
    }

    /// Number of queries, from `first` on and at most `n`, that do not see a key yet.
    #[inline(always)]
    pub(super) fn blind(self, key: usize, first: usize, n: usize) -> usize {
        self.causal.map_or(0, |seen| (key + 1).saturating_sub(seen + first).min(n))
    }
}
