//! Attention in the operations of the tensor library: for other devices and types, and what the fused kernels are
//! compared with.

use std::ops::Range;

use candle_core::{D, Result, Tensor};
use pulp::Arch;

use super::dropped::Dropped;
use super::op::Shape;
use crate::nn::{Packing, cpu};

/// `softmax(Q Kᵀ / √d) V`, with a matrix of all scores of each head.
pub(super) fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    queries: &Packing,
    keys: &Packing,
    params: impl Into<Shape>,
    dropped: Option<&Dropped>,
) -> Result<Tensor> {
    let params = params.into();
    let (_, width) = q.dims2()?;
    let size = width / params.n_heads;
    let mut cells = Vec::with_capacity(queries.n_cells());
    let rows = queries.iter().zip(keys.iter()).enumerate();
    for (cell, (query_rows, key_rows)) in rows.filter(|(_, (rows, _))| !rows.is_empty()) {
        let shared = |x: &Tensor| repeated(&heads(x, &key_rows, size)?, params);
        let v = shared(v)?;
        let mut weights = weights(&heads(q, &query_rows, size)?, &shared(k)?, params)?;
        if let Some(dropped) = dropped {
            let heads = (0..params.n_heads).map(|h| dropped.factors(Arch::new(), cell, h, query_rows.len()));
            let factors = Tensor::from_vec(heads.flatten().collect(), weights.shape(), q.device())?;
            weights = (weights * factors.to_dtype(q.dtype())?)?;
        }
        cells.push(weights.matmul(&v)?.transpose(0, 1)?.reshape((query_rows.len(), width))?);
    }
    match cells.is_empty() {
        true => Ok(q.clone()),
        false => Tensor::cat(&cells, 0),
    }
}

/// The rows of a cell, `heads × rows × width / heads`.
pub(super) fn heads(x: &Tensor, rows: &Range<usize>, size: usize) -> Result<Tensor> {
    x.narrow(0, rows.start, rows.len())?
        .reshape((rows.len(), x.dim(1)? / size, size))?
        .transpose(0, 1)?
        .contiguous()
}

/// Heads of keys or values, each once for every head of queries that it serves.
fn repeated(x: &Tensor, params: Shape) -> Result<Tensor> {
    let (n, rows, size) = x.dims3()?;
    let times = params.n_heads / params.n_kv_heads;
    match times {
        1 => Ok(x.clone()),
        _ => x.unsqueeze(1)?.broadcast_as((n, times, rows, size))?.reshape((n * times, rows, size)),
    }
}

/// `softmax(Q Kᵀ / √d)` of the heads of a cell: `heads × queries × keys`.
pub(super) fn weights(q: &Tensor, k: &Tensor, params: impl Into<Shape>) -> Result<Tensor> {
    let params = params.into();
    let ((_, n, size), (_, m, _)) = (q.dims3()?, k.dims3()?);
    cpu::widened(&q.matmul(&k.t()?)?, |scores| softmax(scores, (n, m, size), params))
}

/// The softmax of the scores that a query may see.
fn softmax(scores: &Tensor, (n, m, size): (usize, usize, usize), params: Shape) -> Result<Tensor> {
    let mut scores = (scores * params.scale.unwrap_or_else(|| 1.0 / (size as f64).sqrt()))?;
    if params.causal {
        let window = params.window.unwrap_or(usize::MAX);
        let is_seen = |query: usize, key: usize| {
            let self_key = query + m - n;
            key <= self_key && self_key - key < window
        };
        let hidden: Vec<f32> =
            (0..n * m).map(|i| if is_seen(i / m, i % m) { 0.0 } else { f32::NEG_INFINITY }).collect();
        let hidden = Tensor::from_vec(hidden, (n, m), scores.device())?.to_dtype(scores.dtype())?;
        scores = scores.broadcast_add(&hidden)?;
    }
    let highest = scores.max_keepdim(D::Minus1)?.detach();
    let weights = scores.broadcast_sub(&highest)?.exp()?;
    weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)
}
