//! The gradients of attention, from weights computed anew block by block.
//!
//! With the weights P of a head, its result O and the gradient dO: `dV = Pᵀ dO`, `dS = P ∘ (dO Vᵀ − rowsum(dO ∘ O))`,
//! `dQ = dS K / √d`, `dK = dSᵀ Q / √d`.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::forward::{KEYS, QUERIES, scores};
use super::op::{Attention, Heads, head};
use super::pack::{self, View};
use super::tile::{ROWS, Right, Rows, Transposed, product};
use crate::nn::cpu::{self, Matrix};
use crate::nn::simd::{LANES, Product, exp, sum_rows};

/// Keys of a task. Every task has a share in the gradient of the queries, and the shares are added in order: the
/// number is part of the definition of the result.
const TASK: usize = 3 * KEYS;

/// What the forward pass took and made, and the gradient of its result.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a> {
    pub(super) q: Matrix<'a>,
    pub(super) k: Matrix<'a>,
    pub(super) v: Matrix<'a>,
    pub(super) out: Matrix<'a>,
    pub(super) gradient: Matrix<'a>,
    pub(super) stats: &'a [[f32; 2]],
}

/// The gradients of queries, keys and values, rows of all heads.
pub(super) fn gradients(op: &Attention, inputs: Inputs<'_>, heads: Heads) -> [Vec<f32>; 3] {
    let width = heads.n_heads * heads.size;
    let zeros = |x: Matrix<'_>| vec![0.0; x.n_rows * width];
    let (mut dq, mut dk, mut dv) = (zeros(inputs.q), zeros(inputs.k), zeros(inputs.v));
    let query_lengths = || op.queries.iter().map(|rows| rows.len() * width);
    let key_lengths = || op.keys.iter().map(|rows| rows.len() * width);
    let dq_cells = cpu::split(&mut dq, query_lengths());
    let dk_cells = cpu::split(&mut dk, key_lengths());
    let dv_cells = cpu::split(&mut dv, key_lengths());
    let cells: Vec<_> = dq_cells.into_iter().zip(dk_cells).zip(dv_cells).enumerate().collect();
    cells.into_par_iter().with_max_len(1).for_each(|(cell, ((dq, dk), dv))| {
        if dq.is_empty() || dk.is_empty() {
            return;
        }
        let of_heads: Vec<_> = (0..heads.n_heads)
            .into_par_iter()
            .with_max_len(1)
            .map(|h| Head::new(op, inputs, heads, cell, h).gradients(op.arch))
            .collect();
        let place = |all: &mut [f32], h: usize, values: &[f32]| {
            for (row, values) in all.chunks_exact_mut(width).zip(values.chunks_exact(heads.padded)) {
                row[h * heads.size..][..heads.size].copy_from_slice(&values[..heads.size]);
            }
        };
        for (h, of_head) in of_heads.iter().enumerate() {
            place(dq, h, &of_head.queries);
            place(dk, h, &of_head.keys);
            place(dv, h, &of_head.values);
        }
    });
    [dq, dk, dv]
}

/// Gradients in rows of the padded head size.
struct Gradients {
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
}

/// One head of one cell, packed in every way that the products read it.
struct Head {
    heads: Heads,
    n_queries: usize,
    n_keys: usize,
    causal: Option<usize>,
    query_tiles: Vec<f32>,
    query_rows: Vec<f32>,
    key_panels: Vec<f32>,
    key_rows: Vec<f32>,
    value_panels: Vec<f32>,
    gradient_tiles: Vec<f32>,
    gradient_rows: Vec<f32>,
    /// `rowsum(dO ∘ O)`.
    inner: Vec<f32>,
    stats: Vec<[f32; 2]>,
}

impl Head {
    fn new(op: &Attention, inputs: Inputs<'_>, heads: Heads, cell: usize, h: usize) -> Self {
        let (queries, keys) = (op.queries.rows(cell), op.keys.rows(cell));
        let tiles = |x: View<'_>, scale: f32| {
            let mut out = vec![0.0; x.n_rows.next_multiple_of(ROWS) * heads.size];
            pack::tiles(x, scale, &mut out);
            out
        };
        let rows = |x: View<'_>, scale: f32| {
            let mut out = vec![0.0; x.n_rows * heads.padded];
            pack::rows(x, scale, heads.padded, &mut out);
            out
        };
        let panels = |x: View<'_>| {
            let mut out = vec![0.0; x.n_rows.next_multiple_of(LANES) * heads.size];
            pack::panels(x, &mut out);
            out
        };
        let q = head(inputs.q, &queries, heads, h);
        let k = head(inputs.k, &keys, heads, h);
        let v = head(inputs.v, &keys, heads, h);
        let gradient = head(inputs.gradient, &queries, heads, h);
        let mut inner = vec![0.0; queries.len()];
        op.arch.dispatch(Inner { x: gradient, y: head(inputs.out, &queries, heads, h), out: &mut inner });
        Self {
            heads,
            n_queries: queries.len(),
            n_keys: keys.len(),
            causal: op.causal(cell),
            query_tiles: tiles(q, heads.scale),
            query_rows: rows(q, heads.scale),
            key_panels: panels(k),
            key_rows: rows(k, 1.0),
            value_panels: panels(v),
            gradient_tiles: tiles(gradient, 1.0),
            gradient_rows: rows(gradient, 1.0),
            inner,
            stats: queries.map(|row| inputs.stats[row * heads.n_heads + h]).collect(),
        }
    }

    fn gradients(&self, arch: Arch) -> Gradients {
        let padded = self.heads.padded;
        let n_tasks = self.n_keys.div_ceil(TASK);
        let shares: Vec<Gradients> = (0..n_tasks)
            .into_par_iter()
            .with_max_len(1)
            .map(|task| {
                let keys = task * TASK..((task + 1) * TASK).min(self.n_keys);
                let rows = |n: usize| vec![0.0; n.next_multiple_of(ROWS) * padded];
                let mut share = Gradients {
                    queries: rows(self.n_queries),
                    keys: rows(keys.len()),
                    values: rows(keys.len()),
                };
                arch.dispatch(Share { head: self, keys, out: &mut share });
                share
            })
            .collect();
        let mut all = Gradients {
            queries: vec![0.0; self.n_queries * padded],
            keys: Vec::with_capacity(self.n_keys * padded),
            values: Vec::with_capacity(self.n_keys * padded),
        };
        for (task, share) in shares.into_iter().enumerate() {
            let n = (self.n_keys - task * TASK).min(TASK) * padded;
            all.keys.extend_from_slice(&share.keys[..n]);
            all.values.extend_from_slice(&share.values[..n]);
            for (sum, x) in all.queries.iter_mut().zip(&share.queries) {
                *sum += x;
            }
        }
        all.queries.iter_mut().for_each(|x| *x *= self.heads.scale);
        all
    }

    fn visible(&self, query: usize) -> usize {
        self.causal.map_or(self.n_keys, |first| (first + query).min(self.n_keys))
    }
}

/// `rowsum(x ∘ y)`.
struct Inner<'a> {
    x: View<'a>,
    y: View<'a>,
    out: &'a mut [f32],
}

impl WithSimd for Inner<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (i, out) in self.out.iter_mut().enumerate() {
            *out = sum_rows(simd, self.x.row(i), self.y.row(i), Product);
        }
    }
}

/// What a range of keys contributes.
struct Share<'a> {
    head: &'a Head,
    keys: Range<usize>,
    out: &'a mut Gradients,
}

impl WithSimd for Share<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Head { heads: Heads { size, padded, .. }, n_queries, n_keys, .. } = *self.head;
        let head = self.head;
        let key_columns = n_keys.next_multiple_of(LANES);
        let mut weights = vec![0.0; QUERIES * KEYS];
        let mut slopes = vec![0.0; QUERIES * KEYS];
        for start in self.keys.clone().step_by(KEYS) {
            let columns = (key_columns - start).min(KEYS);
            let n = (n_keys - start).min(KEYS);
            let out_keys = (start - self.keys.start) * padded;
            for first in (0..n_queries).step_by(QUERIES) {
                let block = (n_queries - first).min(QUERIES);
                if head.visible(first + block - 1) <= start {
                    continue;
                }
                let tiles = first * size..(first + block).next_multiple_of(ROWS) * size;
                scores(
                    simd,
                    &head.query_tiles[tiles.clone()],
                    &head.key_panels,
                    size,
                    start,
                    columns,
                    &mut weights,
                );
                scores(
                    simd,
                    &head.gradient_tiles[tiles],
                    &head.value_panels,
                    size,
                    start,
                    columns,
                    &mut slopes,
                );
                for i in 0..block {
                    let visible = head.visible(first + i).saturating_sub(start).min(columns);
                    let [shift, factor] = head.stats[first + i];
                    let weights = &mut weights[i * KEYS..][..columns];
                    let slopes = &mut slopes[i * KEYS..][..columns];
                    weights[visible..].fill(f32::NEG_INFINITY);
                    let (shift, factor) = (simd.splat_f32s(shift), simd.splat_f32s(factor));
                    let inner = simd.splat_f32s(head.inner[first + i]);
                    let (p, ds) = (S::as_mut_simd_f32s(weights).0, S::as_mut_simd_f32s(slopes).0);
                    for (p, ds) in p.iter_mut().zip(ds) {
                        *p = simd.mul_f32s(exp(simd, simd.sub_f32s(*p, shift)), factor);
                        *ds = simd.mul_f32s(*p, simd.sub_f32s(*ds, inner));
                    }
                    // Hidden values, be they NaN, have no say.
                    slopes[visible..].fill(0.0);
                }
                let rows = first * padded..(first + block) * padded;
                for key in (0..n).step_by(ROWS) {
                    let at = out_keys + key * padded;
                    for (left, right, out) in [
                        (&weights, &head.gradient_rows, &mut self.out.values),
                        (&slopes, &head.query_rows, &mut self.out.keys),
                    ] {
                        let left = Transposed { data: &left[key..], stride: KEYS };
                        let right = Right { data: &right[rows.clone()], stride: padded };
                        product::<S, ROWS>(simd, block, left, right, &mut out[at..], padded, padded, true);
                    }
                }
                let right = Right { data: &head.key_rows[start * padded..], stride: padded };
                for query in (0..block).step_by(ROWS) {
                    let left = Rows::<ROWS>(std::array::from_fn(|i| &slopes[(query + i) * KEYS..][..n]));
                    let out = &mut self.out.queries[(first + query) * padded..];
                    product(simd, n, left, right, out, padded, padded, true);
                }
            }
        }
    }
}
