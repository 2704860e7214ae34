//! From values to vectors: each value is spread over bins, and the embeddings of the bins are mixed.

use candle_core::{D, DType, Result, Tensor};

use super::ScfoundationConfig;
use crate::checkpoint::{Error, Weights};
use crate::models::parts;
use crate::nn::{Activation, Linear};

#[derive(Clone, Debug)]
pub(super) struct ValueEmbedding {
    first: Linear,
    second: Linear,
    /// `bins × width`.
    bins: Tensor,
    alpha: f64,
}

impl ValueEmbedding {
    pub(super) fn take(
        config: &ScfoundationConfig,
        weights: &mut Weights,
    ) -> std::result::Result<Self, Error> {
        let (n_bins, width) = (config.bin_num, config.encoder.hidden_dim);
        let embedding = Self {
            first: parts::linear(weights, "token_emb.mlp", n_bins, 1)?,
            second: parts::linear(weights, "token_emb.mlp2", n_bins, n_bins)?,
            bins: parts::embedding(weights, "token_emb.emb", n_bins, width)?,
            alpha: config.bin_alpha,
        };
        // Vectors of values that the reference hides in training, and of padding.
        weights.take("token_emb.emb_mask.weight", &[1, width])?;
        weights.take("token_emb.emb_pad.weight", &[1, width])?;
        Ok(embedding)
    }

    /// The share of each bin in each value: `rows × bins`, for `values` of `rows`.
    pub(super) fn shares(&self, values: &Tensor) -> Result<Tensor> {
        let values = values.to_dtype(self.bins.dtype())?.unsqueeze(1)?;
        let hidden = self.first.forward(&values, Activation::LeakyRelu { slope: 0.1 })?;
        let logits = (self.second.forward(&hidden, Activation::Identity)? + (hidden * self.alpha)?)?;
        let powers = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?.detach())?.exp()?;
        powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?)
    }

    /// `rows × width`, for `values` of `rows`.
    pub(super) fn forward(&self, values: &Tensor) -> Result<Tensor> {
        Linear::new(self.bins.t()?, None).forward(&self.shares(values)?, Activation::Identity)
    }

    /// The row of the value 0: `1 × width`.
    pub(super) fn zero(&self) -> Result<Tensor> {
        self.forward(&Tensor::zeros(1, DType::F32, self.bins.device())?)
    }
}
