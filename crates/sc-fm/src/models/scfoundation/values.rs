//! From values to vectors: each value is spread over bins, and the embeddings of the bins are mixed.

use candle_core::{DType, Device, Result, Tensor};

use super::ScfoundationConfig;
use crate::models::parts::Parts;
use crate::nn::{Activation, Linear, softmax};

#[derive(Clone, Debug)]
pub(super) struct ValueEmbedding {
    first: Linear,
    second: Linear,
    /// From shares of bins to the mix of their vectors.
    mix: Linear,
    alpha: f64,
    /// Those of the weights.
    dtype: DType,
    device: Device,
}

impl ValueEmbedding {
    pub(super) fn take(config: &ScfoundationConfig, parts: &mut Parts<'_>) -> crate::Result<Self> {
        let (n_bins, width) = (config.bin_num, config.encoder.hidden_dim);
        let bins = parts.embedding("token_emb.emb", n_bins, width)?.t()?;
        let (dtype, device) = (bins.dtype(), bins.device().clone());
        let embedding = Self {
            first: parts.linear("token_emb.mlp", n_bins, 1)?,
            second: parts.linear("token_emb.mlp2", n_bins, n_bins)?,
            mix: parts.linear_of(bins, None),
            alpha: config.bin_alpha,
            dtype,
            device,
        };
        // Vectors of values that the reference hides in training, and of padding.
        parts.take("token_emb.emb_mask.weight", &[1, width])?;
        parts.take("token_emb.emb_pad.weight", &[1, width])?;
        Ok(embedding)
    }

    /// The share of each bin in each value: `rows × bins`, for `values` of `rows`.
    pub(super) fn shares(&self, values: &Tensor) -> Result<Tensor> {
        let values = values.to_dtype(self.dtype)?.unsqueeze(1)?;
        let hidden = self.first.forward(&values, Activation::LeakyRelu { slope: 0.1 })?;
        let logits = (self.second.forward(&hidden, Activation::Identity)? + (hidden * self.alpha)?)?;
        softmax(&logits)
    }

    /// `rows × width`, for `values` of `rows`.
    pub(super) fn forward(&self, values: &Tensor) -> Result<Tensor> {
        self.mix.forward(&self.shares(values)?, Activation::Identity)
    }

    /// The row of the value 0: `1 × width`.
    pub(super) fn zero(&self) -> Result<Tensor> {
        self.forward(&Tensor::zeros(1, DType::F32, &self.device)?)
    }
}
