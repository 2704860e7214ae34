//! Attention with a bias in the operations of the tensor library: what gradients are computed of, and for other devices.

use std::ops::Range;

use candle_core::{D, DType, Result, Tensor};
use sc_fm::nn::Packing;

use super::relative::Bias;

/// The keys of an attention.
#[derive(Clone, Copy)]
pub(super) struct Keys<'a> {
    /// Which rows are of which text.
    pub(super) packing: &'a Packing,
    /// A bias by distance, where queries and keys are the same tokens.
    pub(super) bias: Option<Biases<'a>>,
    /// Whether a query sees no later key.
    pub(super) is_causal: bool,
}

/// A bias by distance.
#[derive(Clone, Copy)]
pub(super) enum Biases<'a> {
    /// To be computed for each text, so that gradients reach it.
    Of(&'a Bias),
    /// For each text, `heads × tokens × tokens`.
    Ready(&'a [Tensor]),
}

/// `softmax(Q Kᵀ + bias) V` for each head of each text; differentiable.
pub(super) fn whole_attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    n_heads: usize,
    queries: &Packing,
    keys: Keys<'_>,
) -> Result<Tensor> {
    let (_, width) = q.dims2()?;
    let heads = |x: &Tensor, rows: &Range<usize>| {
        let x = x.narrow(0, rows.start, rows.len())?.reshape((rows.len(), n_heads, width / n_heads))?;
        x.transpose(0, 1)?.contiguous()
    };
    let mut texts = Vec::with_capacity(queries.n_cells());
    for (text, (rows, key_rows)) in queries.iter().zip(keys.packing.iter()).enumerate() {
        let (q, k, v) = (heads(q, &rows)?, heads(k, &key_rows)?, heads(v, &key_rows)?);
        let mut scores = q.matmul(&k.t()?)?;
        match keys.bias {
            Some(Biases::Of(bias)) => scores = (scores + bias.matrix(rows.len())?)?,
            Some(Biases::Ready(of_texts)) => scores = (scores + &of_texts[text])?,
            None => {}
        }
        if keys.is_causal {
            let n = rows.len();
            let hidden = |i: usize| if i % n > i / n { f32::NEG_INFINITY } else { 0.0 };
            let hidden = Tensor::from_vec((0..n * n).map(hidden).collect(), (n, n), q.device())?;
            scores = scores.broadcast_add(&hidden.to_dtype(DType::F32)?)?;
        }
        let weights = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?.detach())?.exp()?;
        let weights = weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)?;
        texts.push(weights.matmul(&v)?.transpose(0, 1)?.reshape((rows.len(), width))?);
    }
    Tensor::cat(&texts, 0)
}
