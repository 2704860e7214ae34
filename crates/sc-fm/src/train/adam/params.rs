//! The knobs of the optimizer.

use serde::{Deserialize, Serialize};

use crate::train::Error;
use crate::train::error::check;

/// Parameters of [`Adam`](super::Adam).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdamParams {
    /// Weight of the past in the mean of the gradient. Default 0.9; at least 0 and below 1.
    pub beta1: f64,
    /// Weight of the past in the mean of the squared gradient. Default 0.999; at least 0 and below 1.
    pub beta2: f64,
    /// Added to the root of the mean square. Default 1e-8; at least 0.
    pub eps: f64,
    /// Share by which values shrink, or would shrink, at a learning rate of 1. Default 0; at least 0.
    pub weight_decay: f64,
    /// Whether values shrink by themselves (AdamW), or the decay is part of the gradient (Adam). Default true.
    pub decoupled: bool,
    /// Whether biases and norms, the variables of one dimension, decay too. Default false, as in Hugging Face's trainer;
    /// PyTorch's optimizers by themselves decay all.
    pub decay_vectors: bool,
}

impl Default for AdamParams {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, decoupled: true, decay_vectors: false }
    }
}

impl AdamParams {
    /// AdamW as Hugging Face's trainer sets it up: biases and norms do not decay.
    pub fn adamw(weight_decay: f64) -> Self {
        Self { weight_decay, ..Self::default() }
    }

    /// Adam without decay; scGPT's tutorials have `eps` 1e-4 with half precision, else 1e-8.
    pub fn adam(eps: f64) -> Self {
        Self { eps, decoupled: false, ..Self::default() }
    }

    /// Refuses what makes no optimizer.
    ///
    /// # Errors
    /// [`Error::Param`].
    pub fn validate(&self) -> Result<(), Error> {
        for (field, beta) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            check(field, beta, (0.0..1.0).contains(&beta), "at least 0 and below 1")?;
        }
        for (field, value) in [("eps", self.eps), ("weight_decay", self.weight_decay)] {
            check(field, value, value.is_finite() && value >= 0.0, "a finite number of at least 0")?;
        }
        Ok(())
    }

    /// The decay of a variable of so many dimensions.
    pub(super) fn decay(&self, rank: usize) -> f64 {
        match rank > 1 || self.decay_vectors {
            true => self.weight_decay,
            false => 0.0,
        }
    }
}
