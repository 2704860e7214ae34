//! Layer normalisation (Ba et al. 2016), <https://arxiv.org/abs/1607.06450>.

use candle_core::{D, Result, Tensor};

/// `(x − mean) / √(variance + eps) · weight + bias` over each row.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    /// * `weight`, `bias`: one value per column.
    pub fn new(weight: Tensor, bias: Tensor, eps: f64) -> Self {
        Self { weight, bias, eps }
    }

    /// The norm of each row of `x`: `rows × width`; differentiable.
    ///
    /// # Errors
    /// What the tensor library reports, shapes that do not fit above all.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let normed = centred.broadcast_div(&(variance + self.eps)?.sqrt()?)?;
        normed.broadcast_mul(&self.weight)?.broadcast_add(&self.bias)
    }

    /// The norm of `x + residual`, as it stands after each part of a post-norm layer.
    ///
    /// # Errors
    /// As [`LayerNorm::forward`].
    pub fn forward_residual(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        self.forward(&(x + residual)?)
    }
}
