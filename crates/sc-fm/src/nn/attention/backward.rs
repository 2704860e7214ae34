//! The gradients of attention, from weights computed anew block by block.
//!
//! With the weights P of a head, its result O and the gradient dO: `dV = Pᵀ dO`, `dS = P ∘ (dO Vᵀ − rowsum(dO ∘ O))`,
//! `dQ = dS K / √d`, `dK = dSᵀ Q / √d`. With dropout, M being 0 or the factor of what stays, `P ∘ M` takes the place of P
//! in dV, and `M ∘ (dO Vᵀ)` that of `dO Vᵀ`.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::dropped::Mask;
use super::head::{Heads, KEYS, QUERIES, View, Visible, scores};
use super::op::Attention;
use super::tile::{Out, Right, Rows, Transposed, product};
use crate::nn::cpu::{self, Matrix};
use crate::nn::simd::{Product, exp, sum_rows};

/// Keys of a task. Every task has a share in the gradient of the queries, and the shares are added in order: the
/// number is part of the definition of the result.
const TASK: usize = 3 * KEYS;

/// Rows of a tile.
const ROWS: usize = 6;

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
    let (width, kv_width) = (heads.n_heads * heads.size, heads.n_kv_heads * heads.size);
    let zeros = |x: Matrix<'_>| vec![0.0; x.n_rows * x.n_cols];
    let (mut dq, mut dk, mut dv) = (zeros(inputs.q), zeros(inputs.k), zeros(inputs.v));
    let query_lengths = op.queries.iter().map(|rows| rows.len() * width);
    let key_lengths = || op.keys.iter().map(|rows| rows.len() * kv_width);
    let cells = cpu::split(&mut dq, query_lengths)
        .into_par_iter()
        .zip(cpu::split(&mut dk, key_lengths()))
        .zip(cpu::split(&mut dv, key_lengths()));
    cells.enumerate().with_max_len(1).for_each(|(cell, ((dq, dk), dv))| {
        if dq.is_empty() {
            return;
        }
        // Heads that share keys add up, in order.
        for (h, of_head) in of_heads(op, inputs, heads, cell).iter().enumerate() {
            heads.add(&of_head.queries, dq, (width, h));
            heads.add(&of_head.keys, dk, (kv_width, heads.kv(h)));
            heads.add(&of_head.values, dv, (kv_width, heads.kv(h)));
        }
    });
    [dq, dk, dv]
}

/// [`gradients`] in one matrix: columns of queries, of keys, of values. There are as many queries as keys.
pub(super) fn side_by_side(op: &Attention, inputs: Inputs<'_>, heads: Heads) -> Vec<f32> {
    let stride = 3 * heads.n_heads * heads.size;
    let mut all = vec![0.0; inputs.q.n_rows * stride];
    let cells = cpu::split(&mut all, op.queries.iter().map(|rows| rows.len() * stride)).into_par_iter();
    cells.enumerate().with_max_len(1).for_each(|(cell, rows)| {
        if rows.is_empty() {
            return;
        }
        for (h, of_head) in of_heads(op, inputs, heads, cell).iter().enumerate() {
            for (i, values) in [&of_head.queries, &of_head.keys, &of_head.values].into_iter().enumerate() {
                heads.add(values, rows, (stride, i * heads.n_heads + h));
            }
        }
    });
    all
}

fn of_heads(op: &Attention, inputs: Inputs<'_>, heads: Heads, cell: usize) -> Vec<Gradients> {
    let of_head = |h| Head::new(op, inputs, heads, cell, h).gradients(op.arch);
    (0..heads.n_heads).into_par_iter().with_max_len(1).map(of_head).collect()
}

/// Gradients in rows of the padded head size.
struct Gradients {
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
}

/// One head of one cell.
struct Head<'a> {
    heads: Heads,
    queries: View<'a>,
    keys: View<'a>,
    values: View<'a>,
    out: View<'a>,
    gradient: View<'a>,
    visible: Visible,
    mask: Option<Mask>,
    /// Those of the cell, all heads.
    stats: &'a [[f32; 2]],
    head: usize,
}

impl<'a> Head<'a> {
    fn new(op: &Attention, inputs: Inputs<'a>, heads: Heads, cell: usize, head: usize) -> Self {
        let (queries, keys) = (op.queries.rows(cell), op.keys.rows(cell));
        Self {
            heads,
            queries: heads.view(inputs.q, queries.clone(), head),
            keys: heads.view(inputs.k, keys.clone(), heads.kv(head)),
            values: heads.view(inputs.v, keys, heads.kv(head)),
            out: heads.view(inputs.out, queries.clone(), head),
            gradient: heads.view(inputs.gradient, queries.clone(), head),
            visible: op.visible(cell),
            mask: op.dropped.as_ref().map(|dropped| dropped.mask(cell, head)),
            stats: &inputs.stats[queries.start * heads.n_heads..queries.end * heads.n_heads],
            head,
        }
    }

    fn gradients(&self, arch: Arch) -> Gradients {
        let padded = self.heads.padded;
        let n_keys = self.keys.n_rows;
        let mut shares = (0..n_keys.div_ceil(TASK))
            .into_par_iter()
            .with_max_len(1)
            .map(|task| {
                let keys = task * TASK..((task + 1) * TASK).min(n_keys);
                let rows = |n: usize| vec![0.0; n.next_multiple_of(ROWS) * padded];
                let mut share = Gradients {
                    queries: rows(self.queries.n_rows),
                    keys: rows(keys.len()),
                    values: rows(keys.len()),
                };
                arch.dispatch(Share { head: self, keys: keys.clone(), out: &mut share });
                share.keys.truncate(keys.len() * padded);
                share.values.truncate(keys.len() * padded);
                share
            })
            .collect::<Vec<_>>()
            .into_iter();
        let mut all = shares.next().expect("a cell with queries has keys");
        for share in shares {
            all.keys.extend(share.keys);
            all.values.extend(share.values);
            all.queries.iter_mut().zip(share.queries).for_each(|(sum, x)| *sum += x);
        }
        let scaled = all.queries.iter_mut().chain(&mut all.keys);
        scaled.for_each(|x| *x *= self.heads.scale);
        all
    }
}

/// What a range of keys contributes.
struct Share<'a> {
    head: &'a Head<'a>,
    keys: Range<usize>,
    out: &'a mut Gradients,
}

impl WithSimd for Share<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { head, keys, out } = self;
        let Head { heads: Heads { size, padded, n_heads, scale, .. }, visible, mask, .. } = *head;
        let (mut queries, mut gradients) = (vec![0.0; QUERIES * size], vec![0.0; QUERIES * size]);
        let (mut weights, mut slopes) = (vec![0.0; QUERIES * KEYS], vec![0.0; QUERIES * KEYS]);
        let (mut query_copy, mut gradient_copy, mut key_copy) = (Vec::new(), Vec::new(), Vec::new());
        let mut words = Vec::new();
        let key_rows = head.keys.rows(keys.clone()).right(&mut key_copy);
        for first in (0..head.queries.n_rows).step_by(QUERIES) {
            let block = first..(first + QUERIES).min(head.queries.n_rows);
            let n = block.len();
            let columns = head.queries.rows(block.clone()).transpose(scale, &mut queries);
            head.gradient.rows(block.clone()).transpose(1.0, &mut gradients);
            let query_rows = head.queries.rows(block.clone()).right(&mut query_copy);
            let gradient_rows = head.gradient.rows(block.clone()).right(&mut gradient_copy);
            let mut lanes = Lanes::default();
            for (i, query) in block.clone().enumerate() {
                [lanes.shift[i], lanes.factor[i]] = head.stats[query * n_heads + head.head];
                lanes.inner[i] = sum_rows(simd, head.gradient.row(query), head.out.row(query), Product);
            }
            for start in keys.clone().step_by(KEYS) {
                let some = start..(start + KEYS).min(keys.end);
                if visible.from(start, 1, block.end - 1) == 0 {
                    break;
                }
                scores(simd, head.keys.rows(some.clone()), &queries, columns, &mut weights);
                scores(simd, head.values.rows(some.clone()), &gradients, columns, &mut slopes);
                if let Some(mask) = mask {
                    mask.words(simd, first, start, some.len(), &mut words);
                }
                let rows = weights.chunks_exact_mut(QUERIES).zip(slopes.chunks_exact_mut(QUERIES));
                for ((weights, slopes), key) in rows.zip(some.clone()) {
                    if let Some(mask) = mask {
                        mask.apply(simd, &words, key - start, columns, slopes);
                    }
                    lanes.differentiate(simd, &mut weights[..columns], &mut slopes[..columns]);
                    if let Some(mask) = mask {
                        mask.apply(simd, &words, key - start, columns, weights);
                    }
                    // Hidden values, be they NaN, have no say.
                    let blind = visible.blind(key, first, columns);
                    weights[..blind].fill(0.0);
                    slopes[..blind].fill(0.0);
                    let passed = visible.passed(key, first, columns);
                    weights[passed..columns].fill(0.0);
                    slopes[passed..columns].fill(0.0);
                }
                let at = (start - keys.start) * padded;
                for (left, right, out) in
                    [(&weights, gradient_rows, &mut out.values), (&slopes, query_rows, &mut out.keys)]
                {
                    for key in (0..some.len()).step_by(ROWS) {
                        let left = std::array::from_fn(|i| &left[(key + i) * QUERIES..][..n]);
                        let data = &mut out[at + key * padded..];
                        let out = Out { data, stride: padded, width: padded, add: true };
                        product::<S, ROWS, 4>(simd, n, Rows::<ROWS>(left), right, out);
                    }
                }
                let right =
                    Right { data: &key_rows.data[(start - keys.start) * key_rows.stride..], ..key_rows };
                for query in (0..n).step_by(ROWS) {
                    let left = Transposed { data: &slopes[query..], stride: QUERIES };
                    let data = &mut out.queries[(first + query) * padded..];
                    let out = Out { data, stride: padded, width: padded, add: true };
                    product::<S, ROWS, 4>(simd, some.len(), left, right, out);
                }
            }
        }
    }
}

/// What belongs to each query of a block.
struct Lanes {
    shift: [f32; QUERIES],
    factor: [f32; QUERIES],
    /// `rowsum(dO ∘ O)`.
    inner: [f32; QUERIES],
}

impl Default for Lanes {
    fn default() -> Self {
        let none = [0.0; QUERIES];
        Self { shift: none, factor: none, inner: none }
    }
}

impl Lanes {
    /// Scores of a key become weights, and gradients of weights those of scores.
    #[inline(always)]
    fn differentiate<S: Simd>(&self, simd: S, weights: &mut [f32], slopes: &mut [f32]) {
        let shift = S::as_simd_f32s(&self.shift).0;
        let (factor, inner) = (S::as_simd_f32s(&self.factor).0, S::as_simd_f32s(&self.inner).0);
        let lanes = shift.iter().zip(factor).zip(inner);
        let (weights, slopes) = (S::as_mut_simd_f32s(weights).0, S::as_mut_simd_f32s(slopes).0);
        for ((p, ds), ((&shift, &factor), &inner)) in weights.iter_mut().zip(slopes).zip(lanes) {
            *p = simd.mul_f32s(exp(simd, simd.sub_f32s(*p, shift)), factor);
            *ds = simd.mul_f32s(*p, simd.sub_f32s(*ds, inner));
        }
    }
}
