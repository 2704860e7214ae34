//! Layers taken out of a checkpoint by the names that PyTorch gives their tensors.

use candle_core::Tensor;

use crate::checkpoint::{Error, LORA_A, Weights};
use crate::nn::gemm::Precision;
use crate::nn::{
    Activation, AttentionParams, EncoderLayer, FeedForward, LayerNorm, Linear, NormOrder, Projection,
};

/// Names of the layers inside a fused projection, for adapters of their own.
pub(crate) const QKV: [&str; 3] = ["q_proj", "k_proj", "v_proj"];

/// Weights on their way into layers.
pub(crate) struct Parts<'w> {
    pub(crate) weights: &'w mut Weights,
    /// How exact the products with them shall be.
    pub(crate) precision: Precision,
}

impl Parts<'_> {
    /// A tensor by its whole name.
    pub(crate) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        self.weights.take(name, shape)
    }

    /// Whether there is a tensor whose name begins so.
    pub(crate) fn any(&self, prefix: &str) -> bool {
        self.weights.names().any(|name| name.starts_with(prefix))
    }

    /// Rows of a tensor; 0 if it is not there.
    pub(crate) fn n_rows(&self, name: &str) -> usize {
        self.weights.shape(name).and_then(|shape| shape.first().copied()).unwrap_or(0)
    }

    /// A linear layer of these tensors.
    pub(crate) fn linear_of(&self, weight: Tensor, bias: Option<Tensor>) -> Linear {
        Linear::with_precision(weight, bias, self.precision)
    }

    /// `{name}.weight` (`outputs × inputs`) and `{name}.bias`.
    pub(crate) fn linear(&mut self, name: &str, outputs: usize, inputs: usize) -> Result<Linear, Error> {
        let weight = self.take(&format!("{name}.weight"), &[outputs, inputs])?;
        let bias = self.take(&format!("{name}.bias"), &[outputs])?;
        let linear = self.linear_of(weight, Some(bias));
        self.weights.adapted(linear, name)
    }

    /// Queries, keys and values of a fused projection: one layer, or three where one of them has an adapter.
    fn projection(
        &mut self,
        name: &str,
        (weight, bias): (Tensor, Tensor),
        width: usize,
    ) -> Result<Projection, Error> {
        let parts = QKV.map(|part| format!("{name}.{part}"));
        let has_adapter = |part: &String| self.weights.contains(&format!("{part}{LORA_A}"));
        if self.weights.adapters().is_none() || !parts.iter().any(has_adapter) {
            return Ok(Projection::Fused(self.linear_of(weight, Some(bias))));
        }
        let mut part = |i: usize| {
            let narrow = |x: &Tensor| {
                x.narrow(0, i * width, width)
                    .map_err(|source| Error::Tensor { name: parts[i].clone(), source })
            };
            let linear = self.linear_of(narrow(&weight)?, Some(narrow(&bias)?));
            self.weights.adapted(linear, &parts[i])
        };
        Ok(Projection::Split { query: part(0)?, key: part(1)?, value: part(2)? })
    }

    /// `{name}.weight` and `{name}.bias` of `width` each.
    pub(crate) fn layer_norm(&mut self, name: &str, width: usize, eps: f64) -> Result<LayerNorm, Error> {
        let weight = self.take(&format!("{name}.weight"), &[width])?;
        Ok(LayerNorm::new(weight, self.take(&format!("{name}.bias"), &[width])?, eps))
    }

    /// `{name}.weight` of an embedding: `entries × width`.
    pub(crate) fn embedding(&mut self, name: &str, entries: usize, width: usize) -> Result<Tensor, Error> {
        self.take(&format!("{name}.weight"), &[entries, width])
    }

    /// A layer of PyTorch's `TransformerEncoder`: `{name}.self_attn.{in_proj_weight, in_proj_bias, out_proj}`, `linear1`,
    /// `linear2`, `norm1`, `norm2`; ReLU between the linear layers, eps 1e-5 in the norms.
    pub(crate) fn torch_layer(&mut self, name: &str, shape: TorchLayer) -> Result<EncoderLayer, Error> {
        let TorchLayer { width, inner, n_heads, order } = shape;
        let in_proj = self.take(&format!("{name}.self_attn.in_proj_weight"), &[3 * width, width])?;
        let in_proj_bias = self.take(&format!("{name}.self_attn.in_proj_bias"), &[3 * width])?;
        let first = self.linear(&format!("{name}.linear1"), inner, width)?;
        let second = self.linear(&format!("{name}.linear2"), width, inner)?;
        Ok(EncoderLayer {
            projection: self.projection(&format!("{name}.self_attn"), (in_proj, in_proj_bias), width)?,
            output: self.linear(&format!("{name}.self_attn.out_proj"), width, width)?,
            attention_norm: self.layer_norm(&format!("{name}.norm1"), width, 1e-5)?,
            feed_forward: FeedForward::new(first, second, Activation::Relu),
            feed_forward_norm: self.layer_norm(&format!("{name}.norm2"), width, 1e-5)?,
            order,
            attention: AttentionParams { n_heads, causal: false },
        })
    }
}

/// The shape of a layer of PyTorch's `TransformerEncoder`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TorchLayer {
    pub(crate) width: usize,
    pub(crate) inner: usize,
    pub(crate) n_heads: usize,
    pub(crate) order: NormOrder,
}
