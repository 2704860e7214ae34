//! The norm of rows and its gradients.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::nn::cpu::{self, Matrix};
use crate::nn::simd::{Product, Step, sum_rows};

/// Rows of a task. The gradients of weight and bias are summed over the rows of each task, then over tasks in order:
/// the number is part of the definition of the result.
const ROWS: usize = 64;

/// The norm of `x`, or of the sum of two matrices.
#[derive(Clone, Copy)]
pub(in crate::nn) struct Norm {
    pub(in crate::nn) eps: f32,
    pub(in crate::nn) arch: Arch,
}

/// Whether weight and bias have a value for each column.
pub(super) fn check(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<()> {
    let (_, width) = x.dims2()?;
    for (name, parameter) in [("weight", weight), ("bias", bias)] {
        if parameter.dims() != [width] {
            bail!("layer norm: the {name} has the shape {:?}, expected {width} values", parameter.dims());
        }
    }
    Ok(())
}

impl Norm {
    /// * `parameters`: the rows weight and bias.
    pub(in crate::nn) fn forward(
        self,
        x: Matrix<'_>,
        residual: Option<Matrix<'_>>,
        parameters: Matrix<'_>,
    ) -> Vec<f32> {
        let width = x.n_cols;
        let mut out = vec![0.0; x.n_rows * width];
        if width > 0 {
            out.par_chunks_mut(ROWS * width).enumerate().for_each(|(chunk, out)| {
                let rows = Source { x, residual, first: chunk * ROWS };
                self.arch.dispatch(Forward { rows, parameters, eps: self.eps, out });
            });
        }
        out
    }

    /// The gradients of the rows and of weight and bias.
    pub(in crate::nn) fn backward(
        self,
        x: Matrix<'_>,
        residual: Option<Matrix<'_>>,
        parameters: Matrix<'_>,
        gradient: Matrix<'_>,
    ) -> (Vec<f32>, Vec<f32>) {
        let width = x.n_cols;
        let mut dx = vec![0.0; x.n_rows * width];
        let mut of_parameters = vec![0.0; 2 * width];
        if width == 0 {
            return (dx, of_parameters);
        }
        let shares: Vec<Vec<f32>> = dx
            .par_chunks_mut(ROWS * width)
            .enumerate()
            .map(|(chunk, out)| {
                let mut share = vec![0.0; 2 * width];
                let rows = Source { x, residual, first: chunk * ROWS };
                let (eps, share_of) = (self.eps, &mut share);
                self.arch.dispatch(Backward { rows, gradient, parameters, eps, out, share: share_of });
                share
            })
            .collect();
        for share in shares {
            of_parameters.iter_mut().zip(share).for_each(|(sum, x)| *sum += x);
        }
        (dx, of_parameters)
    }

    fn gradients(
        self,
        x: &Tensor,
        residual: Option<&Tensor>,
        parameters: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        let gradient = cpu::contiguous_rows(gradient)?;
        let (dx, of_parameters) = {
            let (x, x_layout) = x.storage_and_layout();
            let residual = residual.map(Tensor::storage_and_layout);
            let residual = match &residual {
                Some((storage, layout)) => Some(cpu::matrix(cpu::storage(storage)?, layout)?),
                None => None,
            };
            let (p, p_layout) = parameters.storage_and_layout();
            let (g, g_layout) = gradient.storage_and_layout();
            self.backward(
                cpu::matrix(cpu::storage(&x)?, x_layout)?,
                residual,
                cpu::matrix(cpu::storage(&p)?, p_layout)?,
                cpu::matrix(cpu::storage(&g)?, g_layout)?,
            )
        };
        Ok((
            Tensor::from_vec(dx, x.shape(), x.device())?,
            Tensor::from_vec(of_parameters, parameters.shape(), x.device())?,
        ))
    }
}

impl CustomOp2 for Norm {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        parameters: &CpuStorage,
        layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let x = cpu::matrix(x, x_layout)?;
        let out = self.forward(x, None, cpu::matrix(parameters, layout)?);
        Ok(cpu::result(out, (x.n_rows, x.n_cols)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        parameters: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (dx, of_parameters) = self.gradients(x, None, parameters, gradient)?;
        Ok((Some(dx), Some(of_parameters)))
    }
}

impl CustomOp3 for Norm {
    fn name(&self) -> &'static str {
        "layer-norm-residual"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        residual: &CpuStorage,
        residual_layout: &Layout,
        parameters: &CpuStorage,
        layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, residual) = (cpu::matrix(x, x_layout)?, cpu::matrix(residual, residual_layout)?);
        let out = self.forward(x, Some(residual), cpu::matrix(parameters, layout)?);
        Ok(cpu::result(out, (x.n_rows, x.n_cols)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        residual: &Tensor,
        parameters: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (dx, of_parameters) = self.gradients(x, Some(residual), parameters, gradient)?;
        Ok((Some(dx.clone()), Some(dx), Some(of_parameters)))
    }
}

/// The rows that are normalised.
#[derive(Clone, Copy)]
struct Source<'a> {
    x: Matrix<'a>,
    residual: Option<Matrix<'a>>,
    first: usize,
}

impl Source<'_> {
    /// Puts row `first + i` minus its mean into `out` and returns `1 / √(variance + eps)`.
    #[inline(always)]
    fn centre<S: Simd>(self, simd: S, i: usize, eps: f32, out: &mut [f32]) -> f32 {
        let row = self.x.row(self.first + i);
        match self.residual {
            None => out.copy_from_slice(row),
            Some(residual) => {
                let residual = residual.row(self.first + i);
                for ((out, x), y) in out.iter_mut().zip(row).zip(residual) {
                    *out = x + y;
                }
            }
        }
        let width = out.len() as f32;
        let mean = sum_rows(simd, out, out, First) / width;
        for x in out.iter_mut() {
            *x -= mean;
        }
        let variance = sum_rows(simd, out, out, Product) / width;
        1.0 / (variance + eps).sqrt()
    }
}

struct Forward<'a> {
    rows: Source<'a>,
    parameters: Matrix<'a>,
    eps: f32,
    out: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (weight, bias) = (self.parameters.row(0), self.parameters.row(1));
        for (i, out) in self.out.chunks_exact_mut(weight.len()).enumerate() {
            let factor = self.rows.centre(simd, i, self.eps, out);
            for ((out, weight), bias) in out.iter_mut().zip(weight).zip(bias) {
                *out = (*out * factor).mul_add(*weight, *bias);
            }
        }
    }
}

/// With `x̂` the normed row, `g = dy ∘ weight` and `r = 1 / √(variance + eps)`:
/// `dx = r (g − mean(g) − x̂ mean(g ∘ x̂))`, `dweight = Σ dy ∘ x̂`, `dbias = Σ dy`.
struct Backward<'a> {
    rows: Source<'a>,
    gradient: Matrix<'a>,
    parameters: Matrix<'a>,
    eps: f32,
    out: &'a mut [f32],
    /// The sums for weight and bias.
    share: &'a mut [f32],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let weight = self.parameters.row(0);
        let width = weight.len();
        let (of_weight, of_bias) = self.share.split_at_mut(width);
        let (mut normed, mut slopes) = (vec![0.0; width], vec![0.0; width]);
        for (i, out) in self.out.chunks_exact_mut(width).enumerate() {
            let factor = self.rows.centre(simd, i, self.eps, &mut normed);
            let gradient = self.gradient.row(self.rows.first + i);
            for j in 0..width {
                normed[j] *= factor;
                slopes[j] = gradient[j] * weight[j];
                of_weight[j] = gradient[j].mul_add(normed[j], of_weight[j]);
                of_bias[j] += gradient[j];
            }
            let mean = sum_rows(simd, &slopes, &slopes, First) / width as f32;
            let along = sum_rows(simd, &slopes, &normed, Product) / width as f32;
            for ((out, slope), normed) in out.iter_mut().zip(&slopes).zip(&normed) {
                *out = factor * (-*normed).mul_add(along, slope - mean);
            }
        }
    }
}

/// `Σ x`.
#[derive(Clone, Copy)]
struct First;

impl Step for First {
    #[inline(always)]
    fn add<S: Simd>(self, simd: S, sum: S::f32s, x: S::f32s, _: S::f32s) -> S::f32s {
        simd.add_f32s(sum, x)
    }
}
