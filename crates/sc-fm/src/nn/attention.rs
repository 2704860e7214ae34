//! Scaled dot-product attention inside each cell (Vaswani et al. 2017), <https://arxiv.org/abs/1706.03762>.

mod backward;
mod composed;
mod dropped;
mod forward;
mod gather;
mod head;
mod op;
mod plain;
pub(super) mod tensors;

#[cfg(test)]
mod tests;
mod tile;

use candle_core::{Result, Tensor, bail};
use pulp::Arch;

use dropped::Dropped;
pub use gather::{Group, Query, Relative, Run, attend};
pub(super) use plain::{SelfAttention, Stats};

use super::{Dropout, Packing, cpu};

/// The shape of an attention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionParams {
    /// Number of heads; the width is divided among them in order.
    pub n_heads: usize,
    /// Whether a token sees itself and those before it alone.
    pub causal: bool,
}

/// `softmax(Q Kᵀ / √d) V` for each head of each cell.
///
/// * `q`, `k`, `v`: `rows × width`, with the head `h` in the columns `h·d..(h + 1)·d`.
/// * returns: `rows × width`; differentiable. No token sees another cell.
///
/// In f32 on a processor no matrix of scores is ever stored, in neither direction, and the result of a cell has the
/// same bits in any company, on any number of threads and on any processor.
///
/// # Errors
/// Shapes that do not fit, and what the tensor library reports.
pub fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    packing: &Packing,
    params: AttentionParams,
) -> Result<Tensor> {
    cross_attention(q, k, v, packing, packing, params)
}

/// The attention of decoders of text: each token sees itself and those before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CausalAttention {
    /// Heads of queries.
    pub n_heads: usize,
    /// Heads of keys and values, a divisor of `n_heads`; each serves as many heads of queries, side by side.
    pub n_kv_heads: usize,
    /// What scores are multiplied by; `None` for `1 / √d`.
    pub scale: Option<f64>,
    /// How many tokens a token sees at most, itself and those right before it; `None` for all.
    pub window: Option<usize>,
}

impl From<CausalAttention> for op::Shape {
    fn from(params: CausalAttention) -> Self {
        let CausalAttention { n_heads, n_kv_heads, scale, window } = params;
        Self { n_heads, n_kv_heads, scale, causal: true, window }
    }
}

/// [`attention`] of decoders of text, all tokens of each text at once.
///
/// * `q`: `rows × n_heads · d`; `k`, `v`: `rows × n_kv_heads · d`. Returns the shape of `q`; differentiable.
///
/// What [`attend`] computes step by step has the same bits.
///
/// # Errors
/// As [`attention`].
pub fn causal_attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    packing: &Packing,
    params: CausalAttention,
) -> Result<Tensor> {
    check(q, k, v, packing, packing, params.into())?;
    if !cpu::is_fused(&[q, k, v]) {
        return composed::attention(q, k, v, packing, packing, params, None);
    }
    let (q, k, v) = (cpu::contiguous_rows(q)?, cpu::contiguous_rows(k)?, cpu::contiguous_rows(v)?);
    q.apply_op3(&k, &v, op::Attention::new(packing.clone(), packing.clone(), params, Arch::new()))
}

/// The weights of [`attention`], `softmax(Q Kᵀ / √d)`: for each cell `heads × tokens × tokens`, each row of which sums to 1.
///
/// To look at, not to compute with: a cell of `L` tokens takes `L²` values for each head.
///
/// # Errors
/// As [`attention`].
pub fn attention_weights(
    q: &Tensor,
    k: &Tensor,
    packing: &Packing,
    params: AttentionParams,
) -> Result<Vec<Tensor>> {
    check(q, k, k, packing, packing, params.into())?;
    let size = q.dim(1)? / params.n_heads;
    let of_cell = |rows| {
        composed::weights(&composed::heads(q, &rows, size)?, &composed::heads(k, &rows, size)?, params)
    };
    packing.iter().map(of_cell).collect()
}

/// [`attention`] of the queries of each cell to keys and values of another number, those of all tokens so far for
/// instance, where `q` holds the latest alone.
///
/// * `q`: rows of `queries`; `k`, `v`: rows of `keys`, as many cells. Where `params.causal`, the last query of a cell
///   sees all its keys, the one before all but one, and so on.
///
/// # Errors
/// As [`attention`], and a cell with queries that have no key to see.
pub fn cross_attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    queries: &Packing,
    keys: &Packing,
    params: AttentionParams,
) -> Result<Tensor> {
    check(q, k, v, queries, keys, params.into())?;
    if !cpu::is_fused(&[q, k, v]) {
        return composed::attention(q, k, v, queries, keys, params, None);
    }
    let (q, k, v) = (cpu::contiguous_rows(q)?, cpu::contiguous_rows(k)?, cpu::contiguous_rows(v)?);
    q.apply_op3(&k, &v, op::Attention::new(queries.clone(), keys.clone(), params, Arch::new()))
}

/// [`attention`] with dropout of its weights, as in training. What is dropped is drawn anew in the backward pass, block
/// by block, not kept.
///
/// # Errors
/// As [`attention`], and those of [`Dropout::forward`].
pub fn attention_with_dropout(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    packing: &Packing,
    params: AttentionParams,
    dropout: &Dropout,
) -> Result<Tensor> {
    let Some(keep) = dropout.keep(packing)? else { return attention(q, k, v, packing, params) };
    check(q, k, v, packing, packing, params.into())?;
    let dropped = Dropped { dropout: dropout.clone(), keep };
    if !cpu::is_fused(&[q, k, v]) {
        return composed::attention(q, k, v, packing, packing, params, Some(&dropped));
    }
    let (q, k, v) = (cpu::contiguous_rows(q)?, cpu::contiguous_rows(k)?, cpu::contiguous_rows(v)?);
    let op = op::Attention::new(packing.clone(), packing.clone(), params, Arch::new());
    q.apply_op3(&k, &v, op.with_dropout(dropped))
}

fn check(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    queries: &Packing,
    keys: &Packing,
    params: op::Shape,
) -> Result<()> {
    let (_, width) = q.dims2()?;
    params.checked_heads(width)?;
    let kv_width = width / params.n_heads * params.n_kv_heads;
    for (name, x, packing, width) in
        [("queries", q, queries, width), ("keys", k, keys, kv_width), ("values", v, keys, kv_width)]
    {
        let expected = (packing.n_rows(), width);
        if x.dims2()? != expected {
            bail!("attention: the {name} have the shape {:?}, expected {expected:?}", x.dims());
        }
    }
    if queries.n_cells() != keys.n_cells() {
        bail!("attention: queries of {} cells, but keys of {}", queries.n_cells(), keys.n_cells());
    }
    for (cell, (queries, keys)) in queries.iter().zip(keys.iter()).enumerate() {
        let needed = if params.causal { queries.len() } else { queries.len().min(1) };
        if keys.len() < needed {
            bail!(
                "attention: cell {cell} has {} queries and {} keys, expected at least {needed} keys",
                queries.len(),
                keys.len()
            );
        }
    }
    Ok(())
}
