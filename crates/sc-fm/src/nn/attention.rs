//! Scaled dot-product attention inside each cell (Vaswani et al. 2017), <https://arxiv.org/abs/1706.03762>.

use candle_core::{D, Result, Tensor};

use super::Packing;

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
/// # Errors
/// What the tensor library reports, shapes that do not fit above all.
pub fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    packing: &Packing,
    params: AttentionParams,
) -> Result<Tensor> {
    let (_, width) = q.dims2()?;
    let head = width / params.n_heads;
    let scale = 1.0 / (head as f64).sqrt();
    let mut cells = Vec::with_capacity(packing.n_cells());
    for rows in packing.iter().filter(|rows| !rows.is_empty()) {
        let length = rows.len();
        let heads = |x: &Tensor| {
            x.narrow(0, rows.start, length)?
                .reshape((length, params.n_heads, head))?
                .transpose(0, 1)?
                .contiguous()
        };
        let (q, k, v) = (heads(q)?, heads(k)?, heads(v)?);
        let mut scores = (q.matmul(&k.t()?)? * scale)?;
        if params.causal {
            let hidden: Vec<f32> = (0..length * length)
                .map(|i| if i % length > i / length { f32::NEG_INFINITY } else { 0.0 })
                .collect();
            let hidden = Tensor::from_vec(hidden, (length, length), q.device())?.to_dtype(q.dtype())?;
            scores = scores.broadcast_add(&hidden)?;
        }
        let highest = scores.max_keepdim(D::Minus1)?.detach();
        let weights = scores.broadcast_sub(&highest)?.exp()?;
        let weights = weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)?;
        cells.push(weights.matmul(&v)?.transpose(0, 1)?.reshape((length, width))?);
    }
    match cells.is_empty() {
        true => Ok(q.clone()),
        false => Tensor::cat(&cells, 0),
    }
}
