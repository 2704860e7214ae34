//! Layer normalisation (Ba et al. 2016), <https://arxiv.org/abs/1607.06450>.

pub(super) mod op;
mod rms;
#[cfg(test)]
mod tests;

use candle_core::{D, Result, Tensor};
use pulp::Arch;

pub use rms::RmsNorm;

use super::cpu;

/// `(x − mean) / √(variance + eps) · weight + bias` over each row.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
    pub(super) eps: f64,
}

impl LayerNorm {
    /// * `weight`, `bias`: one value per column.
    pub fn new(weight: Tensor, bias: Tensor, eps: f64) -> Self {
        Self { weight, bias, eps }
    }

    /// The norm of each row of `x`: `rows × width`; differentiable.
    ///
    /// In f32 on a processor one pass over the rows, with the same bits on every processor; the variance is that of
    /// the differences from the mean, summed after it.
    ///
    /// # Errors
    /// What the tensor library reports, shapes that do not fit above all.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if !cpu::is_fused(&[x, &self.weight, &self.bias]) {
            return self.composed(x);
        }
        op::check(x, &self.weight, &self.bias)?;
        let norm = op::Norm { eps: self.eps as f32, arch: Arch::new() };
        cpu::contiguous_rows(x)?.apply_op2(&self.parameters()?, norm)
    }

    /// The norm of `x + residual`, as it stands after each part of a post-norm layer.
    ///
    /// # Errors
    /// As [`LayerNorm::forward`].
    pub fn forward_residual(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        if !cpu::is_fused(&[x, residual, &self.weight, &self.bias]) || x.dims() != residual.dims() {
            return self.composed(&(x + residual)?);
        }
        op::check(x, &self.weight, &self.bias)?;
        let norm = op::Norm { eps: self.eps as f32, arch: Arch::new() };
        let (x, residual) = (cpu::contiguous_rows(x)?, cpu::contiguous_rows(residual)?);
        x.apply_op3(&residual, &self.parameters()?, norm)
    }

    /// Weight and bias as rows of one matrix, for an op takes no more than three tensors.
    fn parameters(&self) -> Result<Tensor> {
        Tensor::stack(&[&self.weight, &self.bias], 0)
    }

    /// The norm in the operations of the tensor library: for other devices and types.
    fn composed(&self, x: &Tensor) -> Result<Tensor> {
        cpu::widened(x, |x| {
            let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
            let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
            let normed = centred.broadcast_div(&(variance + self.eps)?.sqrt()?)?;
            let (weight, bias) = (self.weight.to_dtype(x.dtype())?, self.bias.to_dtype(x.dtype())?);
            normed.broadcast_mul(&weight)?.broadcast_add(&bias)
        })
    }
}
