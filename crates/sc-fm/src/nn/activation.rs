//! The functions between two linear layers.

use candle_core::{Result, Tensor};

/// A function applied to each value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// `x`.
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// `x` where positive, else `slope · x`.
    LeakyRelu {
        /// The slope below 0.
        slope: f64,
    },
    /// `x · Φ(x)` with the error function.
    Gelu,
    /// `tanh(x)`.
    Tanh,
}

impl Activation {
    /// The function of each value of `x`; differentiable.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn forward(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Identity => Ok(x.clone()),
            Self::Relu => x.relu(),
            Self::LeakyRelu { slope } => x.maximum(&(x * slope)?),
            Self::Gelu => x.gelu_erf(),
            Self::Tanh => x.tanh(),
        }
    }
}
