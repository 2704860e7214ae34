//! Softmax of rows.

use candle_core::{CpuStorage, CustomOp1, D, Layout, Result, Shape, Tensor};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::cpu::{self, Matrix};
use super::simd::{
    Chains, LANES, Product, chains, exp, groups, lanes, max_lanes, registers, sum_lanes, sum_rows,
};

/// `exp(xᵢ) / Σ exp(xⱼ)` over each row of `x`: `rows × columns`; differentiable. A row with NaN is NaN.
///
/// In f32 on a processor one pass, with the same bits on every processor.
///
/// # Errors
/// What the tensor library reports, a tensor that is no matrix above all.
pub fn softmax(x: &Tensor) -> Result<Tensor> {
    x.dims2()?;
    if cpu::is_fused(&[x]) {
        return cpu::contiguous_rows(x)?.apply_op1(Softmax { arch: Arch::new() });
    }
    cpu::widened(x, |x| {
        let weights = x.broadcast_sub(&x.max_keepdim(D::Minus1)?.detach())?.exp()?;
        weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)
    })
}

/// `ln Σ exp(xᵢ)` of a row: the highest value, and the sum of what is relative to it in f32 with the same bits on every
/// processor. Minus infinity for no values or nothing but minus infinity; NaN where a value is NaN or infinite.
pub fn log_sum_exp(row: &[f32]) -> f64 {
    struct Sum<'a>(&'a [f32], &'a mut [f32]);
    impl WithSimd for Sum<'_> {
        type Output = (f32, f32);

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> (f32, f32) {
            weights(simd, self.0, self.1)
        }
    }
    if row.iter().all(|&x| x == f32::NEG_INFINITY) {
        return f64::NEG_INFINITY;
    }
    let (highest, sum) = Arch::new().dispatch(Sum(row, &mut vec![0.0; row.len()]));
    f64::from(highest) + libm::log(f64::from(sum))
}

/// Rows that one thread takes at a time hold about so many values.
const CHUNK: usize = 1 << 13;

/// Number of rows of a task.
pub(super) fn rows_of_a_task(width: usize) -> usize {
    (CHUNK / width.max(1)).max(1)
}

/// The highest value of a row; NaN is passed over.
#[inline(always)]
pub(super) fn highest<S: Simd>(simd: S, row: &[f32]) -> f32 {
    let (whole, rest) = groups(row);
    let mut highest: Chains<S> = chains(simd, f32::NEG_INFINITY);
    for x in whole.chunks_exact(LANES) {
        let x = S::as_simd_f32s(x).0;
        for r in 0..registers::<S>() {
            highest[r] = simd.max_f32s(x[r], highest[r]);
        }
    }
    rest.iter().fold(max_lanes(lanes::<S>(&highest)), |high, &x| if x > high { x } else { high })
}

/// `out = exp(row − highest)`; returns the highest value and the sum.
#[inline(always)]
pub(super) fn weights<S: Simd>(simd: S, row: &[f32], out: &mut [f32]) -> (f32, f32) {
    let highest = highest(simd, row);
    let shift = simd.splat_f32s(highest);
    let ((whole, rest), split) = (groups(row), row.len() / LANES * LANES);
    let (out, out_rest) = out.split_at_mut(split);
    let mut sums: Chains<S> = chains(simd, 0.0);
    for (x, y) in whole.chunks_exact(LANES).zip(out.chunks_exact_mut(LANES)) {
        let (x, y) = (S::as_simd_f32s(x).0, S::as_mut_simd_f32s(y).0);
        for r in 0..registers::<S>() {
            y[r] = exp(simd, simd.sub_f32s(x[r], shift));
            sums[r] = simd.add_f32s(sums[r], y[r]);
        }
    }
    let mut sums = lanes::<S>(&sums);
    for ((sum, &x), y) in sums.iter_mut().zip(rest).zip(out_rest) {
        *y = exp(pulp::Scalar::new(), x - highest);
        *sum += *y;
    }
    (highest, sum_lanes(sums))
}

struct Softmax {
    arch: Arch,
}

impl CustomOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = cpu::matrix(x, layout)?;
        let width = x.n_cols;
        let mut out = vec![0.0; x.n_rows * width];
        if width > 0 {
            let rows = rows_of_a_task(width);
            out.par_chunks_mut(rows * width).enumerate().for_each(|(task, out)| {
                self.arch.dispatch(Forward { x, first: task * rows, out });
            });
        }
        Ok(cpu::result(out, (x.n_rows, width)))
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let gradient = cpu::contiguous_rows(gradient)?;
        let ((y, y_layout), (dy, dy_layout)) = (y.storage_and_layout(), gradient.storage_and_layout());
        let y = cpu::matrix(cpu::storage(&y)?, y_layout)?;
        let gradient = cpu::matrix(cpu::storage(&dy)?, dy_layout)?;
        let width = y.n_cols;
        let mut out = vec![0.0; y.n_rows * width];
        if width > 0 {
            let rows = rows_of_a_task(width);
            out.par_chunks_mut(rows * width).enumerate().for_each(|(task, out)| {
                self.arch.dispatch(Backward { y, gradient, first: task * rows, out });
            });
        }
        Ok(Some(Tensor::from_vec(out, x.shape(), x.device())?))
    }
}

struct Forward<'a> {
    x: Matrix<'a>,
    first: usize,
    out: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (i, out) in self.out.chunks_exact_mut(self.x.n_cols).enumerate() {
            let (_, sum) = weights(simd, self.x.row(self.first + i), out);
            let factor = 1.0 / sum;
            out.iter_mut().for_each(|y| *y *= factor);
        }
    }
}

/// `dx = y ∘ (dy − Σ y ∘ dy)`.
struct Backward<'a> {
    y: Matrix<'a>,
    gradient: Matrix<'a>,
    first: usize,
    out: &'a mut [f32],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (i, out) in self.out.chunks_exact_mut(self.y.n_cols).enumerate() {
            let (y, gradient) = (self.y.row(self.first + i), self.gradient.row(self.first + i));
            let inner = sum_rows(simd, y, gradient, Product);
            for ((out, y), gradient) in out.iter_mut().zip(y).zip(gradient) {
                *out = y * (gradient - inner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Var};

    use super::*;
    use crate::nn::simd::every_arch;
    use crate::nn::testing::{largest_difference, numbers, same_bits};

    fn values(x: &Tensor) -> Vec<f32> {
        x.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    }

    fn both(x: &Tensor, f: impl Fn(&Tensor) -> Result<Tensor>) -> [Vec<f32>; 2] {
        let x = Var::from_tensor(x).unwrap();
        let y = f(&x).unwrap();
        let w = Tensor::from_vec(numbers(2, x.elem_count()), x.shape(), &Device::Cpu).unwrap();
        let gradients = (&y * w.to_dtype(x.dtype()).unwrap()).unwrap().sum_all().unwrap().backward().unwrap();
        [values(&y), values(gradients.get(&x).unwrap())]
    }

    #[test]
    fn values_and_gradients_equal_those_of_the_tensor_library_in_f64() {
        for (rows, width) in [(1, 1), (3, 15), (5, 16), (40, 100), (2, 9000)] {
            let x = Tensor::from_vec(numbers(1, rows * width), (rows, width), &Device::Cpu).unwrap();
            let x = (x * 20.0).unwrap();
            let found = both(&x, softmax);
            let expected = both(&x.to_dtype(DType::F64).unwrap(), softmax);
            for (found, expected) in found.iter().zip(&expected) {
                let (difference, at) = largest_difference(found, expected);
                assert!(difference < 1e-6, "{rows} x {width}: {difference} at {at}");
            }
        }
    }

    #[test]
    fn every_processor_gives_the_same_bits() {
        let x = Tensor::from_vec(numbers(1, 7 * 101), (7, 101), &Device::Cpu).unwrap();
        let mut results =
            every_arch().into_iter().map(|arch| both(&x, |x| x.apply_op1(Softmax { arch })).concat());
        let first = results.next().unwrap();
        assert!(results.all(|other| same_bits(&first, &other)));
    }

    #[test]
    fn rows_with_nan_or_without_columns_are_no_trouble() {
        let x = Tensor::from_vec(vec![1.0, f32::NAN, 0.0, f32::NEG_INFINITY], (2, 2), &Device::Cpu).unwrap();
        let y = values(&softmax(&x).unwrap());
        assert!(y[0].is_nan() && y[1].is_nan());
        assert_eq!(y[2..], [1.0, 0.0]);
        assert_eq!(softmax(&x.narrow(1, 0, 0).unwrap()).unwrap().dims(), [2, 0]);
        assert_eq!(softmax(&x.narrow(0, 0, 0).unwrap()).unwrap().dims(), [0, 2]);
    }
}
