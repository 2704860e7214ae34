//! Attention of one block of queries, over blocks of keys with a running softmax (Dao et al. 2022,
//! <https://arxiv.org/abs/2205.14135>).

use pulp::{Simd, WithSimd};

use super::pack::{PANEL, View, tiles};
use super::tile::{ROWS, Right, Rows, Transposed, product};
use crate::nn::simd::{Chains, LANES, chains, exp, lanes, max_lanes, registers, sum_lanes};

/// Queries of a task; a multiple of [`ROWS`].
pub(super) const QUERIES: usize = 48;

/// Keys between two looks at the running maximum; a multiple of [`PANEL`] and [`ROWS`]. Part of the definition of the
/// result: another number gives other roundings.
pub(super) const KEYS: usize = 192;

/// What the queries of one cell look at, packed.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    /// The transposed keys of all heads, in panels.
    pub(super) keys: &'a [f32],
    /// The values of all heads, in rows of `padded`.
    pub(super) values: &'a [f32],
    pub(super) n_keys: usize,
    pub(super) n_heads: usize,
    /// Columns of a head.
    pub(super) size: usize,
    /// `size` rounded up to 16.
    pub(super) padded: usize,
    /// Keys that the first query of the cell sees; the next sees one more. `None` where all see all.
    pub(super) causal: Option<usize>,
}

impl Context<'_> {
    /// Keys that a query of the cell sees.
    #[inline(always)]
    pub(super) fn visible(&self, query: usize) -> usize {
        self.causal.map_or(self.n_keys, |first| (first + query).min(self.n_keys))
    }
}

/// A block of queries.
pub(super) struct Block<'a> {
    pub(super) context: Context<'a>,
    /// The cell's queries, all heads.
    pub(super) queries: &'a [f32],
    pub(super) stride: usize,
    /// Place of the first query in the cell.
    pub(super) first: usize,
    pub(super) scale: f32,
    /// The result of the block: rows of all heads.
    pub(super) out: &'a mut [f32],
    /// For each query and head the shift of its scores and the factor of its weights.
    pub(super) stats: &'a mut [[f32; 2]],
    pub(super) scratch: &'a mut Scratch,
}

/// Memory that tasks use again.
pub(super) struct Scratch {
    queries: Vec<f32>,
    scores: Vec<f32>,
    out: Vec<f32>,
    sums: [[f32; LANES]; QUERIES],
    highest: [f32; QUERIES],
    shift: [f32; QUERIES],
}

impl Scratch {
    pub(super) fn new(size: usize, padded: usize) -> Self {
        Self {
            queries: vec![0.0; QUERIES * size],
            scores: vec![0.0; QUERIES * KEYS],
            out: vec![0.0; QUERIES * padded],
            sums: [[0.0; LANES]; QUERIES],
            highest: [0.0; QUERIES],
            shift: [0.0; QUERIES],
        }
    }
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        for head in 0..self.context.n_heads {
            self.head(simd, head);
        }
    }
}

impl Block<'_> {
    #[inline(always)]
    fn head<S: Simd>(&mut self, simd: S, head: usize) {
        let Context { n_keys, n_heads, size, padded, .. } = self.context;
        let width = n_heads * size;
        let n = self.out.len() / width;
        let n_padded = n.next_multiple_of(ROWS);
        let key_columns = n_keys.next_multiple_of(LANES);
        let keys = &self.context.keys[head * key_columns * size..][..key_columns * size];
        let values = &self.context.values[head * n_keys * padded..][..n_keys * padded];

        let scratch = &mut *self.scratch;
        let queries = View {
            data: &self.queries[self.first * self.stride + head * size..],
            stride: self.stride,
            n_rows: n,
            size,
        };
        tiles(queries, self.scale, &mut scratch.queries[..n_padded * size]);
        scratch.out[..n_padded * padded].fill(0.0);
        scratch.sums.fill([0.0; LANES]);
        scratch.highest.fill(f32::NEG_INFINITY);

        let seen = self.context.visible(self.first + n - 1);
        for start in (0..seen).step_by(KEYS) {
            let columns = (key_columns - start).min(KEYS);
            let visible = |i: usize| self.context.visible(self.first + i).saturating_sub(start).min(columns);
            scores(
                simd,
                &scratch.queries[..n_padded * size],
                keys,
                size,
                start,
                columns,
                &mut scratch.scores,
            );
            scratch.weights(simd, n, columns, padded, visible);
            scratch.add_values(simd, n_padded, padded, &values[start * padded..], |i| visible(i.min(n - 1)));
        }

        for i in 0..n {
            let factor = 1.0 / sum_lanes(scratch.sums[i]);
            let out = &mut self.out[i * width + head * size..][..size];
            for (out, x) in out.iter_mut().zip(&scratch.out[i * padded..]) {
                *out = x * factor;
            }
            self.stats[i * n_heads + head] = [scratch.highest[i], factor];
        }
    }
}

/// The scores of tiles of queries with the keys from `start` on, a whole number of panels: rows of [`KEYS`].
#[inline(always)]
pub(super) fn scores<S: Simd>(
    simd: S,
    tiles: &[f32],
    panels: &[f32],
    size: usize,
    start: usize,
    columns: usize,
    out: &mut [f32],
) {
    for (p, panel) in panels[start * size..][..columns * size].chunks(PANEL * size).enumerate() {
        let width = panel.len() / size;
        let right = Right { data: panel, stride: width };
        for (t, tile) in tiles.chunks_exact(ROWS * size).enumerate() {
            let left = Transposed { data: tile, stride: ROWS };
            let out = &mut out[t * ROWS * KEYS + p * PANEL..];
            product::<S, ROWS>(simd, size, left, right, out, KEYS, width, false);
        }
    }
}

impl Scratch {
    /// Scores become weights relative to the highest score so far, and what was summed before is brought to it.
    #[inline(always)]
    fn weights<S: Simd>(
        &mut self,
        simd: S,
        n: usize,
        columns: usize,
        padded: usize,
        visible: impl Fn(usize) -> usize,
    ) {
        let mut fade = [0.0; QUERIES];
        for i in 0..n {
            let row = &mut self.scores[i * KEYS..][..columns];
            row[visible(i)..].fill(f32::NEG_INFINITY);
            let mut highest: Chains<S> = chains(simd, f32::NEG_INFINITY);
            for x in row.chunks_exact(LANES) {
                let x = S::as_simd_f32s(x).0;
                for r in 0..registers::<S>() {
                    highest[r] = simd.max_f32s(x[r], highest[r]);
                }
            }
            let before = self.highest[i];
            let highest = max_lanes(lanes::<S>(&highest)).max(before);
            // Where every score so far is −∞ the weights are 0, not NaN, for a later block may hold others.
            self.shift[i] = if highest == f32::NEG_INFINITY { 0.0 } else { highest };
            fade[i] = before - self.shift[i];
            self.highest[i] = highest;
        }
        for x in S::as_mut_simd_f32s(&mut fade).0 {
            *x = exp(simd, *x);
        }
        for i in 0..n {
            let shift = simd.splat_f32s(self.shift[i]);
            let sums = S::as_mut_simd_f32s(&mut self.sums[i]).0;
            let mut chains: Chains<S> = chains(simd, 0.0);
            for r in 0..registers::<S>() {
                chains[r] = simd.mul_f32s(sums[r], simd.splat_f32s(fade[i]));
            }
            for x in self.scores[i * KEYS..][..columns].chunks_exact_mut(LANES) {
                let x = S::as_mut_simd_f32s(x).0;
                for r in 0..registers::<S>() {
                    x[r] = exp(simd, simd.sub_f32s(x[r], shift));
                    chains[r] = simd.add_f32s(chains[r], x[r]);
                }
            }
            sums.copy_from_slice(&chains[..registers::<S>()]);
            if fade[i] != 1.0 {
                let fade = simd.splat_f32s(fade[i]);
                for x in S::as_mut_simd_f32s(&mut self.out[i * padded..][..padded]).0 {
                    *x = simd.mul_f32s(*x, fade);
                }
            }
        }
    }

    /// Adds the weighted values.
    #[inline(always)]
    fn add_values<S: Simd>(
        &mut self,
        simd: S,
        n_padded: usize,
        padded: usize,
        values: &[f32],
        visible: impl Fn(usize) -> usize,
    ) {
        for first in (0..n_padded).step_by(ROWS) {
            let row = |i: usize| &self.scores[(first + i) * KEYS..][..KEYS];
            let out = &mut self.out[first * padded..];
            // What the first of the queries sees they all see.
            let depth = visible(first);
            let right = Right { data: values, stride: padded };
            let left = Rows::<ROWS>(std::array::from_fn(|i| &row(i)[..depth]));
            product(simd, depth, left, right, out, padded, padded, true);
            for i in 1..ROWS {
                let more = visible(first + i) - depth;
                if more > 0 {
                    let right = Right { data: &values[depth * padded..], stride: padded };
                    let left = Rows::<1>([&row(i)[depth..]]);
                    product(simd, more, left, right, &mut out[i * padded..], padded, padded, true);
                }
            }
        }
    }
}
