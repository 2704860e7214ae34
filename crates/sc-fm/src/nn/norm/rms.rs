//! Root mean square normalisation (Zhang and Sennrich 2019), <https://arxiv.org/abs/1910.07467>.

use candle_core::{CpuStorage, CustomOp2, D, Layout, Result, Shape, Tensor, bail};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::nn::cpu::{self, Matrix};
use crate::nn::simd::{Product, sum_rows};

/// `x / √(mean(x²) + eps) · weight` over each row.
#[derive(Clone, Debug)]
pub struct RmsNorm {
    weight: Tensor,
    eps: f64,
}

impl RmsNorm {
    /// * `weight`: one value per column.
    pub fn new(weight: Tensor, eps: f64) -> Self {
        Self { weight, eps }
    }

    /// The norm of each row of `x`: `rows × width`; differentiable.
    ///
    /// In f32 on a processor one pass over the rows, with the same bits on every processor.
    ///
    /// # Errors
    /// What the tensor library reports, shapes that do not fit above all.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if !cpu::is_fused(&[x, &self.weight]) {
            return cpu::widened(x, |x| {
                let normed = x.broadcast_div(&(x.sqr()?.mean_keepdim(D::Minus1)? + self.eps)?.sqrt()?)?;
                normed.broadcast_mul(&self.weight.to_dtype(x.dtype())?)
            });
        }
        let (_, width) = x.dims2()?;
        if self.weight.dims() != [width] {
            bail!("rms norm: the weight has the shape {:?}, expected {width} values", self.weight.dims());
        }
        let norm = Norm { eps: self.eps as f32, arch: Arch::new() };
        cpu::contiguous_rows(x)?.apply_op2(&self.weight.contiguous()?, norm)
    }
}

/// Rows of a task. The gradient of the weight is summed over the rows of each task, then over tasks in order: the
/// number is part of the definition of the result.
const ROWS: usize = 64;

struct Norm {
    eps: f32,
    arch: Arch,
}

impl CustomOp2 for Norm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight) = (cpu::matrix(x, x_layout)?, cpu::values(weight, layout)?);
        let width = x.n_cols;
        let mut out = vec![0.0; x.n_rows * width];
        if width > 0 {
            out.par_chunks_mut(ROWS * width).enumerate().for_each(|(chunk, out)| {
                self.arch.dispatch(Forward { x, first: chunk * ROWS, weight, eps: self.eps, out });
            });
        }
        Ok(cpu::result(out, (x.n_rows, width)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = cpu::contiguous_rows(gradient)?;
        let (dx, of_weight) = {
            let ((x, x_layout), (w, w_layout)) = (x.storage_and_layout(), weight.storage_and_layout());
            let (g, g_layout) = gradient.storage_and_layout();
            let (x, w) =
                (cpu::matrix(cpu::storage(&x)?, x_layout)?, cpu::values(cpu::storage(&w)?, w_layout)?);
            self.backward(x, w, cpu::matrix(cpu::storage(&g)?, g_layout)?)
        };
        Ok((
            Some(Tensor::from_vec(dx, x.shape(), x.device())?),
            Some(Tensor::from_vec(of_weight, weight.shape(), x.device())?),
        ))
    }
}

impl Norm {
    /// The gradients of the rows and of the weight.
    fn backward(&self, x: Matrix<'_>, weight: &[f32], gradient: Matrix<'_>) -> (Vec<f32>, Vec<f32>) {
        let width = x.n_cols;
        let (mut dx, mut of_weight) = (vec![0.0; x.n_rows * width], vec![0.0; width]);
        if width == 0 {
            return (dx, of_weight);
        }
        let share = |(chunk, out): (usize, &mut [f32])| {
            let mut share = vec![0.0; width];
            let (first, eps, of_weight) = (chunk * ROWS, self.eps, &mut share);
            self.arch.dispatch(Backward { x, gradient, first, weight, eps, out, of_weight });
            share
        };
        let shares: Vec<Vec<f32>> = dx.par_chunks_mut(ROWS * width).enumerate().map(share).collect();
        for share in shares {
            of_weight.iter_mut().zip(share).for_each(|(sum, x)| *sum += x);
        }
        (dx, of_weight)
    }
}

/// `1 / √(mean(x²) + eps)`.
#[inline(always)]
fn factor<S: Simd>(simd: S, row: &[f32], eps: f32) -> f32 {
    1.0 / (sum_rows(simd, row, row, Product) / row.len() as f32 + eps).sqrt()
}

struct Forward<'a> {
    x: Matrix<'a>,
    first: usize,
    weight: &'a [f32],
    eps: f32,
    out: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (i, out) in self.out.chunks_exact_mut(self.weight.len()).enumerate() {
            let row = self.x.row(self.first + i);
            let factor = factor(simd, row, self.eps);
            for ((out, x), weight) in out.iter_mut().zip(row).zip(self.weight) {
                *out = x * factor * weight;
            }
        }
    }
}

/// With `x̂` the normed row, `g = dy ∘ weight` and `r = 1 / √(mean(x²) + eps)`: `dx = r (g − x̂ mean(g ∘ x̂))`,
/// `dweight = Σ dy ∘ x̂`.
struct Backward<'a> {
    x: Matrix<'a>,
    gradient: Matrix<'a>,
    first: usize,
    weight: &'a [f32],
    eps: f32,
    out: &'a mut [f32],
    of_weight: &'a mut [f32],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = self.weight.len();
        let (mut normed, mut slopes) = (vec![0.0; width], vec![0.0; width]);
        for (i, out) in self.out.chunks_exact_mut(width).enumerate() {
            let (row, gradient) = (self.x.row(self.first + i), self.gradient.row(self.first + i));
            let factor = factor(simd, row, self.eps);
            for j in 0..width {
                normed[j] = row[j] * factor;
                slopes[j] = gradient[j] * self.weight[j];
                self.of_weight[j] = gradient[j].mul_add(normed[j], self.of_weight[j]);
            }
            let along = sum_rows(simd, &slopes, &normed, Product) / width as f32;
            for ((out, slope), normed) in out.iter_mut().zip(&slopes).zip(&normed) {
                *out = factor * (-*normed).mul_add(along, *slope);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Var};

    use super::*;
    use crate::nn::simd::every_arch;
    use crate::nn::testing::{largest_difference, numbers, on_threads, same_bits};

    fn values(x: &Tensor) -> Vec<f32> {
        x.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    }

    /// Result and gradients of `Σ w ∘ norm(x)`.
    fn all(rows: usize, width: usize, dtype: DType, arch: Option<Arch>) -> [Vec<f32>; 3] {
        let tensor = |seed, dims: &[usize]| {
            let x = Tensor::from_vec(numbers(seed, dims.iter().product()), dims, &Device::Cpu).unwrap();
            x.to_dtype(dtype).unwrap()
        };
        let x = Var::from_tensor(&tensor(1, &[rows, width])).unwrap();
        let weight = Var::from_tensor(&tensor(2, &[width])).unwrap();
        let y = match arch {
            None => RmsNorm::new(weight.as_tensor().clone(), 1e-5).forward(&x),
            Some(arch) => x.apply_op2(&weight, Norm { eps: 1e-5, arch }),
        };
        let y = y.unwrap();
        let gradients = (&y * tensor(3, &[rows, width])).unwrap().sum_all().unwrap().backward().unwrap();
        [values(&y), values(gradients.get(&x).unwrap()), values(gradients.get(&weight).unwrap())]
    }

    #[test]
    fn values_and_gradients_equal_those_of_the_composed_layer_in_f64() {
        for (rows, width) in [(1, 1), (3, 7), (130, 48), (65, 100), (2, 513)] {
            let (found, expected) = (all(rows, width, DType::F32, None), all(rows, width, DType::F64, None));
            for (found, expected) in found.iter().zip(&expected) {
                let (difference, at) = largest_difference(found, expected);
                assert!(difference < 2e-5, "{rows} x {width}: {difference} at {at}");
            }
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let (rows, width) = (3, 5);
        let (x, weight, w) = (numbers(1, rows * width), numbers(2, width), numbers(3, rows * width));
        let [_, dx, dweight] = all(rows, width, DType::F32, None);
        let value = |x: &[f32], weight: &[f32]| -> f64 {
            let weight = Tensor::from_slice(weight, width, &Device::Cpu).unwrap();
            let x = Tensor::from_slice(x, (rows, width), &Device::Cpu).unwrap();
            let y = RmsNorm::new(weight, 1e-5).forward(&x).unwrap();
            values(&y).iter().zip(&w).map(|(y, w)| f64::from(*y) * f64::from(*w)).sum()
        };
        let moved = |values: &[f32], i: usize, step: f32| {
            let mut values = values.to_vec();
            values[i] += step;
            values
        };
        for (i, found) in dx.iter().enumerate() {
            let slope = (value(&moved(&x, i, 1e-3), &weight) - value(&moved(&x, i, -1e-3), &weight)) / 2e-3;
            assert!((f64::from(*found) - slope).abs() < 3e-3, "x {i}: {found}, expected {slope}");
        }
        for (i, found) in dweight.iter().enumerate() {
            let slope = (value(&x, &moved(&weight, i, 1e-2)) - value(&x, &moved(&weight, i, -1e-2))) / 2e-2;
            assert!((f64::from(*found) - slope).abs() < 1e-3, "weight {i}: {found}, expected {slope}");
        }
    }

    #[test]
    fn every_processor_and_number_of_threads_gives_the_same_bits() {
        let expected = all(130, 77, DType::F32, Some(Arch::Scalar));
        for arch in every_arch() {
            for threads in [1, 3] {
                let found = on_threads(threads, || all(130, 77, DType::F32, Some(arch)));
                assert!(found.iter().zip(&expected).all(|(x, y)| same_bits(x, y)), "{arch:?}");
            }
        }
    }

    #[test]
    fn a_weight_of_another_width_is_named() {
        let x = Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap();
        let weight = Tensor::zeros(4, DType::F32, &Device::Cpu).unwrap();
        let message = RmsNorm::new(weight, 1e-6).forward(&x).unwrap_err().to_string();
        assert!(message.contains("the weight has the shape [4], expected 3 values"), "{message}");
    }
}
