//! Attention to keys and values that lie in several places: what many sequences share, and what each has of its own.
//!
//! Nothing here is differentiated. The keys of a query are numbered in their logical order, wherever they lie, and the
//! running softmax looks at its maximum at multiples of [`KEYS`] of that number. So a query has the same bits however the
//! tokens before it were cut into runs, batches and calls.

use candle_core::{Device, Result, Tensor, bail};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::forward::Lanes;
use super::head::{Heads, KEYS, QUERIES, View, scores};
use super::tile::add_values;
use super::{CausalAttention, op};
use crate::nn::cpu::{self, Matrix};
use crate::nn::simd::LANES;

/// Keys and values of tokens that follow one another in memory: rows of `n_kv_heads · d`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Run<'a> {
    /// Rows before these that are no longer there: they have numbers, but lie outside of every window.
    pub gone: usize,
    /// Keys, row after row.
    pub keys: &'a [f32],
    /// Values, as many.
    pub values: &'a [f32],
}

impl Run<'_> {
    /// Its rows, those that are no longer there with them.
    fn rows(&self, width: usize) -> usize {
        self.gone + self.keys.len() / width
    }
}

/// One row of queries and what it sees: the first `seen` keys of its group, then its own.
#[derive(Clone, Debug)]
pub struct Query<'a> {
    /// The row.
    pub row: usize,
    /// How many of the group's keys it sees; all of them, where it has its own.
    pub seen: usize,
    /// Keys that the others do not see, in order.
    pub own: Vec<Run<'a>>,
    /// Its place in the text, for [`Relative`]; that of key `i` is `i`.
    pub position: usize,
}

/// Rows of queries whose first keys are the same.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// These keys, in order.
    pub shared: Vec<Run<'a>>,
    /// The rows.
    pub queries: Vec<Query<'a>>,
}

/// A bias of scores by head and distance.
#[derive(Clone, Copy, Debug)]
pub struct Relative<'a> {
    /// For each head the biases of the distances `−behind..`, key minus query; those beyond either end are as at the end.
    pub table: &'a [f32],
    /// How far behind the query the first bias is.
    pub behind: usize,
}

impl Relative<'_> {
    #[inline(always)]
    fn at(&self, n_heads: usize, head: usize, key: usize, query: usize) -> f32 {
        let n = self.table.len() / n_heads;
        let place = (key + self.behind).saturating_sub(query).min(n - 1);
        self.table[head * n + place]
    }
}

/// `softmax(scale · Q Kᵀ + bias) V`, each row of `q` to the keys that its query names; not differentiable.
///
/// * `q`: `rows × n_heads · d`, f32 on the CPU. Every row is in one query.
/// * returns the shape of `q`.
///
/// # Errors
/// Shapes that do not fit, rows without a query, queries without a key; another type or device.
pub fn attend(
    q: &Tensor,
    groups: &[Group<'_>],
    params: CausalAttention,
    relative: Option<Relative<'_>>,
) -> Result<Tensor> {
    if !cpu::is_fused(&[q]) {
        bail!("attention: cached keys are f32 on the CPU, found queries of {}", q.dtype().as_str());
    }
    let q = cpu::contiguous_rows(q)?;
    let (storage, layout) = q.storage_and_layout();
    let matrix = cpu::matrix(cpu::storage(&storage)?, layout)?;
    let heads = op::Shape::from(params).checked_heads(matrix.n_cols)?;
    check(matrix, groups, heads, params.window, relative)?;
    let out = on(Arch::new(), matrix, groups, heads, params.window, relative);
    Tensor::from_vec(out, (matrix.n_rows, matrix.n_cols), &Device::Cpu)
}

fn check(
    q: Matrix<'_>,
    groups: &[Group<'_>],
    heads: Heads,
    window: Option<usize>,
    relative: Option<Relative<'_>>,
) -> Result<()> {
    let width = heads.n_kv_heads * heads.size;
    let rows_of = |run: &Run<'_>| match run.keys.len() == run.values.len()
        && run.keys.len().is_multiple_of(width)
    {
        true => Ok(run.rows(width)),
        false => {
            let (keys, values) = (run.keys.len(), run.values.len());
            bail!(
                "attention: a run of {keys} numbers of keys and {values} of values, expected rows of {width}"
            )
        }
    };
    if relative.is_some_and(|x| x.table.is_empty() || !x.table.len().is_multiple_of(heads.n_heads)) {
        bail!("attention: the biases of distances are not as many for each of {} heads", heads.n_heads);
    }
    let mut is_asked = vec![false; q.n_rows];
    for group in groups {
        let shared = group.shared.iter().map(rows_of).sum::<Result<usize>>()?;
        for query in &group.queries {
            let own = query.own.iter().map(rows_of).sum::<Result<usize>>()?;
            let (row, seen) = (query.row, query.seen);
            if seen > shared || (own > 0 && seen < shared) || seen + own == 0 {
                bail!("attention: row {row} sees {seen} of {shared} keys and has {own} of its own");
            }
            // Numbers of the first row and of that behind the last gone, of every run that has some.
            let mut before = 0;
            let gone = group.shared.iter().chain(&query.own).map(|run| {
                let gone = before..before + run.gone;
                before += run.rows(width);
                gone
            });
            let seen = seen + own;
            let start = window.map_or(0, |window| seen.saturating_sub(window));
            if let Some(gone) = gone.filter(|gone| gone.start < seen && !gone.is_empty()).last()
                && gone.end.min(seen) > start
            {
                bail!(
                    "attention: row {row} sees keys from {start} on, of which those before {} are gone",
                    gone.end
                );
            }
            match is_asked.get_mut(row) {
                Some(asked) if !*asked => *asked = true,
                _ => bail!("attention: row {row} of {} is asked for twice or not there", q.n_rows),
            }
        }
    }
    match is_asked.iter().position(|asked| !asked) {
        Some(row) => bail!("attention: row {row} has no query"),
        None => Ok(()),
    }
}

/// The result on the vector units of a processor.
fn on(
    arch: Arch,
    q: Matrix<'_>,
    groups: &[Group<'_>],
    heads: Heads,
    window: Option<usize>,
    relative: Option<Relative<'_>>,
) -> Vec<f32> {
    let per_kv = heads.n_heads / heads.n_kv_heads;
    let kv_width = heads.n_kv_heads * heads.size;
    let mut tasks = Vec::new();
    for group in groups {
        for kv in 0..heads.n_kv_heads {
            let keys = Keys { heads, kv, shared: &group.shared };
            let lanes: Vec<Lane<'_>> = group
                .queries
                .iter()
                .flat_map(|query| (kv * per_kv..(kv + 1) * per_kv).map(move |head| (query, head)))
                .map(|(query, head)| {
                    let own: usize = query.own.iter().map(|run| run.rows(kv_width)).sum();
                    let end = query.seen + own;
                    let start = window.map_or(0, |window| end.saturating_sub(window));
                    Lane { query, head, start, end }
                })
                .collect();
            tasks.extend(lanes.chunks(QUERIES).map(|lanes| (keys, lanes.to_vec())));
        }
    }
    let parts: Vec<Vec<f32>> = tasks
        .par_iter()
        .with_max_len(1)
        .map_init(
            || Scratch::new(heads),
            |scratch, &(keys, ref lanes)| arch.dispatch(Task { q, keys, lanes, relative, scratch }),
        )
        .collect();
    let mut out = vec![0.0; q.n_rows * q.n_cols];
    for ((_, lanes), part) in tasks.iter().zip(&parts) {
        for (lane, values) in lanes.iter().zip(part.chunks_exact(heads.size)) {
            let at = lane.query.row * q.n_cols + lane.head * heads.size;
            out[at..at + heads.size].copy_from_slice(values);
        }
    }
    out
}

/// A head of a query, and the keys that it sees by their logical numbers.
#[derive(Clone, Copy)]
struct Lane<'a> {
    query: &'a Query<'a>,
    head: usize,
    start: usize,
    end: usize,
}

/// Memory that tasks use again.
struct Scratch {
    /// A column for each lane.
    queries: Vec<f32>,
    /// A row for each key, a lane for each query; some rows more, which tiles fill.
    weights: Vec<f32>,
    sums: Vec<f32>,
    values: Vec<f32>,
    lane: Vec<f32>,
}

/// Rows that a tile of scores may write past its keys.
const SPILL: usize = 24;

impl Scratch {
    fn new(heads: Heads) -> Self {
        Self {
            queries: vec![0.0; QUERIES * heads.size],
            weights: vec![0.0; QUERIES * (KEYS + SPILL)],
            sums: vec![0.0; QUERIES * heads.padded],
            values: Vec::new(),
            lane: vec![0.0; heads.size],
        }
    }
}

/// One head of the keys of a group.
#[derive(Clone, Copy)]
struct Keys<'a> {
    heads: Heads,
    kv: usize,
    shared: &'a [Run<'a>],
}

impl<'a> Keys<'a> {
    /// The columns of this head in some rows of a run.
    #[inline(always)]
    fn view(self, x: &'a [f32], first: usize, n: usize) -> View<'a> {
        let width = self.heads.n_kv_heads * self.heads.size;
        View::new(&x[first * width..], width, n, self.kv * self.heads.size, self.heads.size)
    }

    /// Parts of the shared runs inside a range of logical numbers: the number of the first row, the run, the rows in it.
    fn parts(self, start: usize, end: usize) -> impl Iterator<Item = (usize, Run<'a>, usize, usize)> {
        let width = self.heads.n_kv_heads * self.heads.size;
        let mut before = 0;
        self.shared.iter().filter_map(move |&run| {
            let (from, to) = (before + run.gone, before + run.rows(width));
            before = to;
            let (first, last) = (from.max(start), to.min(end));
            (first < last).then(|| (first, run, first - from, last - first))
        })
    }

    /// Calls `each` with the logical number, keys and values of the own rows of a lane inside a range.
    #[inline(always)]
    fn own(
        self,
        lane: &Lane<'a>,
        start: usize,
        end: usize,
        mut each: impl FnMut(usize, &'a [f32], &'a [f32]),
    ) {
        let (size, width) = (self.heads.size, self.heads.n_kv_heads * self.heads.size);
        let mut number = lane.query.seen;
        for run in &lane.query.own {
            number += run.gone;
            for (keys, values) in run.keys.chunks_exact(width).zip(run.values.chunks_exact(width)) {
                if (start..end).contains(&number) {
                    let at = self.kv * size..(self.kv + 1) * size;
                    each(number, &keys[at.clone()], &values[at]);
                }
                number += 1;
            }
        }
    }
}

/// At most [`QUERIES`] lanes of one head of keys.
struct Task<'a, 's> {
    q: Matrix<'a>,
    keys: Keys<'a>,
    lanes: &'a [Lane<'a>],
    relative: Option<Relative<'a>>,
    scratch: &'s mut Scratch,
}

impl WithSimd for Task<'_, '_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let Self { q, keys, lanes: all, relative, scratch } = self;
        let Heads { n_heads, size, padded, scale, .. } = keys.heads;
        let Scratch { queries, weights, sums, values: copy, lane: alone } = scratch;
        let (n, columns) = (all.len(), all.len().next_multiple_of(LANES));
        for (i, lane) in all.iter().enumerate() {
            let row = &q.row(lane.query.row)[lane.head * size..][..size];
            row.iter().enumerate().for_each(|(c, x)| queries[c * QUERIES + i] = x * scale);
        }
        for row in queries.chunks_exact_mut(QUERIES) {
            row[n..columns].fill(0.0);
        }
        sums.fill(0.0);
        let mut lanes = Lanes::default();
        let from = all.iter().map(|lane| lane.start).min().unwrap_or(0) / KEYS * KEYS;
        let to = all.iter().map(|lane| lane.end).max().unwrap_or(0);
        for start in (from..to).step_by(KEYS) {
            let end = (start + KEYS).min(to);
            for (first, run, row, n_rows) in keys.parts(start, end) {
                let out = &mut weights[(first - start) * QUERIES..];
                scores(simd, keys.view(run.keys, row, n_rows), queries, columns, out);
            }
            for (i, lane) in all.iter().enumerate() {
                if lane.query.own.is_empty() || lane.end <= start {
                    continue;
                }
                alone.iter_mut().enumerate().for_each(|(c, x)| *x = queries[c * QUERIES + i]);
                keys.own(lane, start, end, |number, key, _| {
                    let chain = |sum: f32, (x, y): (&f32, &f32)| x.mul_add(*y, sum);
                    weights[(number - start) * QUERIES + i] = key.iter().zip(&*alone).fold(0.0, chain);
                });
            }
            for (i, lane) in all.iter().enumerate() {
                if let Some(relative) = relative {
                    for key in start.max(lane.start)..end.min(lane.end) {
                        let bias = relative.at(n_heads, lane.head, key, lane.query.position);
                        weights[(key - start) * QUERIES + i] += bias;
                    }
                }
                let hidden = (start..lane.start.clamp(start, end)).chain(lane.end.clamp(start, end)..end);
                hidden.for_each(|key| weights[(key - start) * QUERIES + i] = f32::NEG_INFINITY);
            }
            // Lanes that nobody reads begin at any score, so that they stay numbers.
            if n < columns {
                for row in weights[..(end - start) * QUERIES].chunks_exact_mut(QUERIES) {
                    row[n..columns].fill(0.0);
                }
            }
            lanes.weigh(simd, &mut weights[..(end - start) * QUERIES], columns);
            for (row, &fade) in sums.chunks_exact_mut(padded).zip(&lanes.fade[..n]) {
                if fade != 1.0 {
                    row.iter_mut().for_each(|x| *x *= fade);
                }
            }
            for (first, run, row, n_rows) in keys.parts(start, end) {
                let values = keys.view(run.values, row, n_rows).right(copy);
                let seen = |i: usize| all[i.min(n - 1)].query.seen.saturating_sub(first).min(n_rows);
                add_values(simd, &weights[(first - start) * QUERIES..], values, n, padded, seen, sums);
            }
            for (i, lane) in all.iter().enumerate().filter(|(_, lane)| !lane.query.own.is_empty()) {
                let sums = &mut sums[i * padded..][..size];
                keys.own(lane, start.max(lane.start), end, |number, _, value| {
                    let weight = weights[(number - start) * QUERIES + i];
                    sums.iter_mut().zip(value).for_each(|(sum, x)| *sum = weight.mul_add(*x, *sum));
                });
            }
        }
        let mut out = vec![0.0; n * size];
        for (i, out) in out.chunks_exact_mut(size).enumerate() {
            let factor = 1.0 / lanes.sum[i];
            out.iter_mut().zip(&sums[i * padded..]).for_each(|(out, x)| *out = x * factor);
        }
        out
    }
}

#[cfg(test)]
mod tests;
