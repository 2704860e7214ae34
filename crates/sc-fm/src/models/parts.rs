//! Layers taken out of a checkpoint by the names that PyTorch gives their tensors.

use candle_core::Tensor;

use crate::checkpoint::{Error, Weights};
use crate::nn::{
    Activation, AttentionParams, EncoderLayer, FeedForward, LayerNorm, Linear, NormOrder, Projection,
};

/// `{name}.weight` (`outputs × inputs`) and `{name}.bias`.
pub(crate) fn linear(
    weights: &mut Weights,
    name: &str,
    outputs: usize,
    inputs: usize,
) -> Result<Linear, Error> {
    let weight = weights.take(&format!("{name}.weight"), &[outputs, inputs])?;
    let bias = weights.take(&format!("{name}.bias"), &[outputs])?;
    Ok(Linear::new(weight, Some(bias)))
}

/// `{name}.weight` and `{name}.bias` of `width` each.
pub(crate) fn layer_norm(
    weights: &mut Weights,
    name: &str,
    width: usize,
    eps: f64,
) -> Result<LayerNorm, Error> {
    let weight = weights.take(&format!("{name}.weight"), &[width])?;
    Ok(LayerNorm::new(weight, weights.take(&format!("{name}.bias"), &[width])?, eps))
}

/// `{name}.weight` of an embedding: `entries × width`.
pub(crate) fn embedding(
    weights: &mut Weights,
    name: &str,
    entries: usize,
    width: usize,
) -> Result<Tensor, Error> {
    weights.take(&format!("{name}.weight"), &[entries, width])
}

/// The shape of a layer of PyTorch's `TransformerEncoder`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TorchLayer {
    pub(crate) width: usize,
    pub(crate) inner: usize,
    pub(crate) n_heads: usize,
    pub(crate) order: NormOrder,
}

impl TorchLayer {
    /// `{name}.self_attn.{in_proj_weight, in_proj_bias, out_proj}`, `linear1`, `linear2`, `norm1`, `norm2`; ReLU
    /// between the linear layers, eps 1e-5 in the norms.
    pub(crate) fn take(self, weights: &mut Weights, name: &str) -> Result<EncoderLayer, Error> {
        let Self { width, inner, n_heads, order } = self;
        let in_proj = weights.take(&format!("{name}.self_attn.in_proj_weight"), &[3 * width, width])?;
        let in_proj_bias = weights.take(&format!("{name}.self_attn.in_proj_bias"), &[3 * width])?;
        let first = linear(weights, &format!("{name}.linear1"), inner, width)?;
        let second = linear(weights, &format!("{name}.linear2"), width, inner)?;
        Ok(EncoderLayer {
            projection: Projection::Fused(Linear::new(in_proj, Some(in_proj_bias))),
            output: linear(weights, &format!("{name}.self_attn.out_proj"), width, width)?,
            attention_norm: layer_norm(weights, &format!("{name}.norm1"), width, 1e-5)?,
            feed_forward: FeedForward::new(first, second, Activation::Relu),
            feed_forward_norm: layer_norm(weights, &format!("{name}.norm2"), width, 1e-5)?,
            order,
            attention: AttentionParams { n_heads, causal: false },
        })
    }
}
