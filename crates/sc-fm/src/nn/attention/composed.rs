//! Attention in the operations of the tensor library: for other devices and types, and what the fused kernels are
//! compared with.

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
    let size = width / params.n_heads;
    let scale = 1.0 / (size as f64).sqrt();
    let mut cells = Vec::with_capacity(queries.n_cells());
    let rows = queries.iter().zip(keys.iter()).enumerate();
    for (cell, (query_rows, key_rows)) in rows.filter(|(_, (rows, _))| !rows.is_empty()) {
        let heads = |x: &Tensor, rows: &std::ops::Range<usize>| {
            x.narrow(0, rows.start, rows.len())?
                .reshape((rows.len(), params.n_heads, size))?
                .transpose(0, 1)?
                .contiguous()
        };
        let (q, k, v) = (heads(q, &query_rows)?, heads(k, &key_rows)?, heads(v, &key_rows)?);
        let mut scores = (q.matmul(&k.t()?)? * scale)?;
        if params.causal {
            let (n, m) = (query_rows.len(), key_rows.len());
            let hidden: Vec<f32> =
                (0..n * m).map(|i| if i % m + n > i / m + m { f32::NEG_INFINITY } else { 0.0 }).collect();
            let hidden = Tensor::from_vec(hidden, (n, m), q.device())?.to_dtype(q.dtype())?;
            scores = scores.broadcast_add(&hidden)?;
        }
        let highest = scores.max_keepdim(D::Minus1)?.detach();
        let weights = scores.broadcast_sub(&highest)?.exp()?;
        let mut weights = weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)?;
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
