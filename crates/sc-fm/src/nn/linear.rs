//! `y = f(x Wᵀ + b)`.

use candle_core::{Result, Tensor};

use super::Activation;

/// A linear layer, with the weight as PyTorch stores it: `out × in`.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// * `weight`: `out × in`; `bias`: `out`.
    pub fn new(weight: Tensor, bias: Option<Tensor>) -> Self {
        Self { weight, bias }
    }

    /// The weight, `out × in`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// `activation(x Wᵀ + b)` for `x`: `rows × in`.
    ///
    /// # Errors
    /// What the tensor library reports, shapes that do not fit above all.
    pub fn forward(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        let y = x.matmul(&self.weight.t()?)?;
        let y = match &self.bias {
            Some(bias) => y.broadcast_add(bias)?,
            None => y,
        };
        activation.forward(&y)
    }
}
