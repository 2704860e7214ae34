//! Attention of one block of queries, over blocks of keys with a running softmax (Dao et al. 2022,
//! <https://arxiv.org/abs/2205.14135>).

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::dropped::Dropped;
use super::head::{Heads, KEYS, QUERIES, Visible, scores};
use super::tile::{Right, add_values};
use crate::nn::cpu::Matrix;
use crate::nn::simd::exp;

/// A block of queries of a cell, all heads.
pub(super) struct Block<'a> {
    pub(super) q: Matrix<'a>,
    pub(super) k: Matrix<'a>,
    pub(super) v: Matrix<'a>,
    pub(super) heads: Heads,
    /// The rows of the block.
    pub(super) queries: Range<usize>,
    /// Place of the first of them in the cell.
    pub(super) first: usize,
    /// The rows of the cell's keys.
    pub(super) keys: Range<usize>,
    pub(super) visible: Visible,
    /// What is dropped, with the number of the cell.
    pub(super) dropped: Option<(&'a Dropped, usize)>,
    /// The result of the block: rows of all heads.
    pub(super) out: &'a mut [f32],
    /// For each query and head the shift of its scores and the factor of its weights.
    pub(super) stats: &'a mut [[f32; 2]],
    pub(super) scratch: &'a mut Scratch,
}

/// Memory that tasks use again.
pub(super) struct Scratch {
    queries: Vec<f32>,
    /// A row for each key, a lane for each query.
    weights: Vec<f32>,
    out: Vec<f32>,
    values: Vec<f32>,
    words: Vec<u32>,
    lanes: Lanes,
}

/// What is known of each query so far.
pub(super) struct Lanes {
    pub(super) highest: [f32; QUERIES],
    pub(super) shift: [f32; QUERIES],
    pub(super) sum: [f32; QUERIES],
    /// What the latest block of keys makes of earlier weights.
    pub(super) fade: [f32; QUERIES],
}

impl Scratch {
    pub(super) fn new(heads: Heads) -> Self {
        Self {
            queries: vec![0.0; QUERIES * heads.size],
            weights: vec![0.0; QUERIES * KEYS],
            out: vec![0.0; QUERIES * heads.padded],
            values: Vec::new(),
            words: Vec::new(),
            lanes: Lanes::default(),
        }
    }
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { heads, first, visible, dropped, out, stats, scratch, .. } = self;
        let Scratch { queries: transposed, weights, out: sums, values: copy, words, lanes } = scratch;
        let (n, width) = (self.queries.len(), heads.n_heads * heads.size);
        for h in 0..heads.n_heads {
            let queries = heads.view(self.q, self.queries.clone(), h);
            let keys = heads.view(self.k, self.keys.clone(), heads.kv(h));
            let values = heads.view(self.v, self.keys.clone(), heads.kv(h)).right(copy);
            let columns = queries.transpose(heads.scale, transposed);
            let mask = dropped.map(|(dropped, cell)| dropped.mask(cell, h));
            sums.fill(0.0);
            *lanes = Lanes::default();

            let from = visible.start(first) / KEYS * KEYS;
            for start in (from..visible.from(0, usize::MAX, first + n - 1)).step_by(KEYS) {
                let block = start..(start + KEYS).min(keys.n_rows);
                let weights = &mut weights[..];
                scores(simd, keys.rows(block.clone()), transposed, columns, weights);
                for (row, key) in weights.chunks_exact_mut(QUERIES).zip(block.clone()) {
                    row[..visible.blind(key, first, columns)].fill(f32::NEG_INFINITY);
                    row[visible.passed(key, first, columns)..columns].fill(f32::NEG_INFINITY);
                }
                lanes.weigh(simd, &mut weights[..block.len() * QUERIES], columns);
                // The sum of the weights, above, is that before any is dropped.
                if let Some(mask) = mask {
                    mask.words(simd, first, start, block.len(), words);
                    for (key, row) in weights.chunks_exact_mut(QUERIES).enumerate().take(block.len()) {
                        mask.apply(simd, words, key, columns, row);
                    }
                }
                for (row, &fade) in sums.chunks_exact_mut(heads.padded).zip(&lanes.fade[..n]) {
                    if fade != 1.0 {
                        row.iter_mut().for_each(|x| *x *= fade);
                    }
                }
                let values = Right { data: &values.data[start * values.stride..], ..values };
                let seen = |i: usize| visible.from(start, block.len(), first + i.min(n - 1));
                add_values(simd, weights, values, n, heads.padded, seen, sums);
            }

            for i in 0..n {
                let factor = 1.0 / lanes.sum[i];
                let row = &mut out[i * width + h * heads.size..][..heads.size];
                row.iter_mut().zip(&sums[i * heads.padded..]).for_each(|(out, x)| *out = x * factor);
                stats[i * heads.n_heads + h] = [lanes.shift[i], factor];
            }
        }
    }
}

impl Default for Lanes {
    fn default() -> Self {
        let none = [0.0; QUERIES];
        Self { highest: [f32::NEG_INFINITY; QUERIES], shift: none, sum: none, fade: none }
    }
}

impl Lanes {
    /// Scores become weights relative to the highest score so far.
    #[inline(always)]
    pub(super) fn weigh<S: Simd>(&mut self, simd: S, scores: &mut [f32], columns: usize) {
        let lowest = simd.splat_f32s(f32::NEG_INFINITY);
        for lane in (0..columns).step_by(S::F32_LANES) {
            let at = lane..lane + S::F32_LANES;
            let before = S::as_simd_f32s(&self.highest[at.clone()]).0[0];
            // Two maxima by turns, for each waits for the one before. NaN is passed over.
            let (mut highest, mut other) = (before, before);
            let mut pairs = scores.chunks_exact(2 * QUERIES);
            for rows in &mut pairs {
                highest = simd.max_f32s(S::as_simd_f32s(&rows[at.clone()]).0[0], highest);
                other = simd.max_f32s(S::as_simd_f32s(&rows[QUERIES..][at.clone()]).0[0], other);
            }
            if let Some(last) = pairs.remainder().get(at.clone()) {
                highest = simd.max_f32s(S::as_simd_f32s(last).0[0], highest);
            }
            let highest = simd.max_f32s(highest, other);
            // Where every score so far is −∞ the weights are 0, not NaN, for a later block may hold others.
            let none = simd.equal_f32s(highest, lowest);
            let shift = simd.select_f32s(none, simd.splat_f32s(0.0), highest);
            let fade = exp(simd, simd.sub_f32s(before, shift));
            let mut sum = simd.mul_f32s(S::as_simd_f32s(&self.sum[at.clone()]).0[0], fade);
            for row in scores.chunks_exact_mut(QUERIES) {
                let x = &mut S::as_mut_simd_f32s(&mut row[at.clone()]).0[0];
                *x = exp(simd, simd.sub_f32s(*x, shift));
                sum = simd.add_f32s(sum, *x);
            }
            for (values, x) in [
                (&mut self.highest, highest),
                (&mut self.shift, shift),
                (&mut self.fade, fade),
                (&mut self.sum, sum),
            ] {
                S::as_mut_simd_f32s(&mut values[at.clone()]).0[0] = x;
            }
        }
    }
}
