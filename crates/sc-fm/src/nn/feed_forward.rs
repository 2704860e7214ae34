//! Two linear layers with a function between them.

use candle_core::{Result, Tensor};

use super::{Activation, LayerDropout, Linear, Packing};

/// `f(x W₁ᵀ + b₁) W₂ᵀ + b₂`, row by row.
#[derive(Clone, Debug)]
pub struct FeedForward {
    pub(super) first: Linear,
    pub(super) second: Linear,
    pub(super) activation: Activation,
}

impl FeedForward {
    /// * `first`: to the inner width; `second`: back again.
    pub fn new(first: Linear, second: Linear, activation: Activation) -> Self {
        Self { first, second, activation }
    }

    /// For `x`: `rows × width`, the same shape; differentiable.
    ///
    /// # Errors
    /// What the tensor library reports, shapes that do not fit above all.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.second.forward(&self.first.forward(x, self.activation)?, Activation::Identity)
    }

    /// [`forward`](Self::forward) with dropout behind the function.
    pub(super) fn forward_with(
        &self,
        x: &Tensor,
        packing: &Packing,
        dropout: &LayerDropout<'_>,
    ) -> Result<Tensor> {
        let site = |number| Some(dropout.site(packing, number));
        let inner = self.first.forward_with(x, self.activation, site(LayerDropout::FIRST))?;
        let inner = dropout.at(LayerDropout::INNER, dropout.inner).forward(&inner, packing)?;
        self.second.forward_with(&inner, Activation::Identity, site(LayerDropout::SECOND))
    }
}
