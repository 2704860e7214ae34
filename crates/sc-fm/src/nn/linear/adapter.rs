//! A trainable product of two thin matrices beside a weight.

use candle_core::{Error, Result, Tensor};

use super::Linear;
use crate::nn::Activation;
use crate::nn::dropout::Site;
use crate::nn::gemm::Precision;

#[derive(Clone, Debug)]
pub(super) struct Adapter {
    /// `r × in` and `out × r`; boxed, as they are layers inside a layer.
    down: Box<Linear>,
    up: Box<Linear>,
    scale: f64,
    /// The share of `x` that is dropped in training.
    pub(super) dropout: f64,
}

impl Adapter {
    /// For a weight of `dims`: outputs, inputs.
    pub(super) fn new(a: Tensor, b: Tensor, scale: f64, dims: (usize, usize)) -> Result<Self> {
        let ((r, inputs), (outputs, r_up)) = (a.dims2()?, b.dims2()?);
        if r != r_up || dims != (outputs, inputs) {
            let (lhs, rhs) = (b.shape().clone(), a.shape().clone());
            return Err(Error::ShapeMismatchBinaryOp { lhs, rhs, op: "adapter" }.bt());
        }
        let layer = |weight| Box::new(Linear::with_precision(weight, None, Precision::F32Grade));
        Ok(Self { down: layer(a), up: layer(b), scale, dropout: 0.0 })
    }

    /// `scale · (x Aᵀ) Bᵀ`, some of `x` dropped at a site.
    pub(super) fn forward(&self, x: &Tensor, site: Option<Site<'_>>) -> Result<Tensor> {
        let x = match site {
            Some(site) => &site.dropout(self.dropout).forward(x, site.packing)?,
            None => x,
        };
        let thin = (self.down.forward(x, Activation::Identity)? * self.scale)?;
        self.up.forward(&thin, Activation::Identity)
    }

    /// `scale · B A`, the weight that it stands for.
    pub(super) fn weight(&self) -> Result<Tensor> {
        let thin = |layer: &Linear| layer.weight().cloned().expect("thin matrices are kept as tensors");
        thin(&self.up).matmul(&thin(&self.down))? * self.scale
    }
}
