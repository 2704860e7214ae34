//! Attention in the operations of the tensor library: for other devices and types, and what the fused kernels are
//! compared with.

use std::ops::Range;

use candle_core::{D, Result, Tensor};
use pulp::Arch;

use super::AttentionParams;
use super::dropped::Dropped;
use crate::nn::Packing;

/// `softmax(Q Kᵀ / √d) V`, with a matrix of all scores of each head.
pub(super) fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    queries: &Packing,
    keys: &Packing,
    params: AttentionParams,
    dropped: Option<&Dropped>,
) -> Result<Tensor> {
    let (_, width) = q.dims2()?;
    let mut cells = Vec::with_capacity(queries.n_cells());
    let rows = queries.iter().zip(keys.iter()).enumerate();
    for (cell, (query_rows, key_rows)) in rows.filter(|(_, (rows, _))| !rows.is_empty()) {
        let v = heads(v, &key_rows, params)?;
        let mut weights = weights(&heads(q, &query_rows, params)?, &heads(k, &key_rows, params)?, params)?;
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
pub(super) fn heads(x: &Tensor, rows: &Range<usize>, params: AttentionParams) -> Result<Tensor> {
    let size = x.dim(1)? / params.n_heads;
    x.narrow(0, rows.start, rows.len())?
        .reshape((rows.len(), params.n_heads, size))?
        .transpose(0, 1)?
        .contiguous()
}

/// `softmax(Q Kᵀ / √d)` of the heads of a cell: `heads × queries × keys`.
pub(super) fn weights(q: &Tensor, k: &Tensor, params: AttentionParams) -> Result<Tensor> {
    let ((_, n, size), (_, m, _)) = (q.dims3()?, k.dims3()?);
    let mut scores = (q.matmul(&k.t()?)? * (1.0 / (size as f64).sqrt()))?;
    if params.causal {
        let hidden: Vec<f32> =
            (0..n * m).map(|i| if i % m + n > i / m + m { f32::NEG_INFINITY } else { 0.0 }).collect();
        let hidden = Tensor::from_vec(hidden, (n, m), q.device())?.to_dtype(q.dtype())?;
        scores = scores.broadcast_add(&hidden)?;
    }
    let highest = scores.max_keepdim(D::Minus1)?.detach();
    let weights = scores.broadcast_sub(&highest)?.exp()?;
    weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)
}
