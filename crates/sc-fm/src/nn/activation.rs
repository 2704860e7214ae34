//! The functions between two linear layers.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use pulp::{Arch, Simd};
use rayon::prelude::*;

use super::cpu;
use super::simd::{
    Binary, Unary, gelu, gelu_gradient, gelu_tanh, gelu_tanh_gradient, map_binary, map_unary, silu,
    silu_gradient, tanh,
};

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
    /// `x · (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2`, the older approximation of GELU: `gelu_new`, and the gate of T5.
    GeluTanh,
    /// `x / (1 + e⁻ˣ)`.
    Silu,
    /// `tanh(x)`.
    Tanh,
}

impl Activation {
    /// The function of each value of `x`; differentiable. NaN gives NaN.
    ///
    /// In f32 on a processor one pass over the values, with the same bits on every processor.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn forward(self, x: &Tensor) -> Result<Tensor> {
        if self == Self::Identity {
            return Ok(x.clone());
        }
        if cpu::is_fused(&[x]) {
            return x.contiguous()?.apply_op1(Pass { function: self, arch: Arch::new() });
        }
        cpu::widened(x, |x| match self {
            Self::Identity => Ok(x.clone()),
            Self::Relu => x.relu(),
            Self::LeakyRelu { slope } => x.relu()? - (x.neg()?.relu()? * slope)?,
            Self::Gelu => x.gelu_erf(),
            Self::GeluTanh => x.gelu(),
            Self::Silu => x.silu(),
            Self::Tanh => x.tanh(),
        })
    }
}

impl Unary for Activation {
    #[inline(always)]
    fn apply<S: Simd>(&self, simd: S, x: S::f32s) -> S::f32s {
        let zero = simd.splat_f32s(0.0);
        match *self {
            Self::Identity => x,
            // A comparison, for the processor's maximum may lose a NaN.
            Self::Relu => simd.select_f32s(simd.less_than_f32s(x, zero), zero, x),
            Self::LeakyRelu { slope } => {
                let below = simd.mul_f32s(x, simd.splat_f32s(slope as f32));
                simd.select_f32s(simd.less_than_f32s(x, zero), below, x)
            }
            Self::Gelu => gelu(simd, x),
            Self::GeluTanh => gelu_tanh(simd, x),
            Self::Silu => silu(simd, x),
            Self::Tanh => tanh(simd, x),
        }
    }
}

/// The gradient of the argument, from the argument (or, for tanh, the result) and the gradient of the result.
struct Gradient(Activation);

impl Binary for Gradient {
    #[inline(always)]
    fn apply<S: Simd>(&self, simd: S, x: S::f32s, gradient: S::f32s) -> S::f32s {
        let (zero, one) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0));
        let slope = match self.0 {
            Activation::Identity => one,
            Activation::Relu => simd.select_f32s(simd.less_than_f32s(zero, x), one, zero),
            Activation::LeakyRelu { slope } => {
                simd.select_f32s(simd.less_than_f32s(zero, x), one, simd.splat_f32s(slope as f32))
            }
            Activation::Gelu => gelu_gradient(simd, x),
            Activation::GeluTanh => gelu_tanh_gradient(simd, x),
            Activation::Silu => silu_gradient(simd, x),
            Activation::Tanh => simd.sub_f32s(one, simd.mul_f32s(x, x)),
        };
        simd.mul_f32s(slope, gradient)
    }
}

/// One pass over all values.
struct Pass {
    function: Activation,
    arch: Arch,
}

/// Values that one thread takes at a time.
const CHUNK: usize = 1 << 14;

/// The function of each value.
pub(super) fn values(function: Activation, x: &[f32]) -> Vec<f32> {
    Pass { function, arch: Arch::new() }.values(x)
}

/// The gradient of what the function was applied to (for tanh: of what came out), from that of what came out.
pub(super) fn gradients(function: Activation, of: &[f32], gradient: &[f32]) -> Vec<f32> {
    Pass { function, arch: Arch::new() }.gradients(of, gradient)
}

/// Sets the slopes to 0 where `y`, the result of a rectifier, is not above it. A NaN in `y` lets them pass.
pub(super) fn where_positive(y: &[f32], slopes: &mut [f32]) {
    slopes.par_chunks_mut(CHUNK).zip(y.par_chunks(CHUNK)).for_each(|(slopes, y)| {
        for (slope, y) in slopes.iter_mut().zip(y) {
            *slope = if *y <= 0.0 { 0.0 } else { *slope };
        }
    });
}

impl Pass {
    fn values(&self, x: &[f32]) -> Vec<f32> {
        let mut y = vec![0.0; x.len()];
        let chunks = y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK));
        chunks.for_each(|(y, x)| map_unary(self.arch, &self.function, x, y));
        y
    }

    fn gradients(&self, of: &[f32], dy: &[f32]) -> Vec<f32> {
        let mut dx = vec![0.0; of.len()];
        let chunks = dx.par_chunks_mut(CHUNK).zip(of.par_chunks(CHUNK)).zip(dy.par_chunks(CHUNK));
        chunks.for_each(|((dx, of), dy)| map_binary(self.arch, &Gradient(self.function), of, dy, dx));
        dx
    }
}

impl CustomOp1 for Pass {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok(cpu::result(self.values(cpu::values(x, layout)?), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let of = if self.function == Activation::Tanh { y } else { x };
        let gradient = gradient.contiguous()?;
        let ((of, of_layout), (dy, dy_layout)) = (of.storage_and_layout(), gradient.storage_and_layout());
        let of = cpu::values(cpu::storage(&of)?, of_layout)?;
        let dx = self.gradients(of, cpu::values(cpu::storage(&dy)?, dy_layout)?);
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Var};

    use super::*;
    use crate::nn::simd::every_arch;
    use crate::nn::testing::{largest_difference, numbers, same_bits};

    const ALL: [Activation; 7] = [
        Activation::Identity,
        Activation::Relu,
        Activation::LeakyRelu { slope: 0.1 },
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Silu,
        Activation::Tanh,
    ];

    fn values(x: &Tensor) -> Vec<f32> {
        x.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    }

    /// The values of a function and the gradient of `Σ w f(x)`.
    fn both(function: Activation, x: &Tensor) -> [Vec<f32>; 2] {
        let x = Var::from_tensor(x).unwrap();
        let y = function.forward(&x).unwrap();
        let w = Tensor::from_vec(numbers(2, x.elem_count()), x.shape(), &Device::Cpu).unwrap();
        let w = w.to_dtype(x.dtype()).unwrap();
        let gradients = (&y * w).unwrap().sum_all().unwrap().backward().unwrap();
        [values(&y), values(gradients.get(&x).unwrap())]
    }

    #[test]
    fn values_and_gradients_equal_those_of_the_tensor_library_in_f64() {
        let x = Tensor::from_vec(numbers(1, 37 * 131), (37, 131), &Device::Cpu).unwrap();
        let x = (x * 4.0).unwrap();
        for function in ALL {
            let [y, dx] = both(function, &x);
            let [expected_y, expected_dx] = both(function, &x.to_dtype(DType::F64).unwrap());
            for (found, expected) in [(y, expected_y), (dx, expected_dx)] {
                let (difference, at) = largest_difference(&found, &expected);
                assert!(difference < 2e-6, "{function:?}: {difference} at {at}");
            }
        }
    }

    #[test]
    fn every_processor_gives_the_same_bits() {
        let x = Tensor::from_vec(numbers(1, 1013), 1013, &Device::Cpu).unwrap();
        for function in ALL {
            let mut results = every_arch().into_iter().map(|arch| {
                let x = Var::from_tensor(&(&x * 9.0).unwrap()).unwrap();
                let y = x.apply_op1(Pass { function, arch }).unwrap();
                let gradients = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
                [values(&y), values(gradients.get(&x).unwrap())].concat()
            });
            let first = results.next().unwrap();
            assert!(results.all(|other| same_bits(&first, &other)), "{function:?}");
        }
    }

    #[test]
    fn nan_stays_nan_and_a_transposed_tensor_is_no_trouble() {
        let x = Tensor::from_vec(vec![f32::NAN, 1.0, -2.0, 0.5, -0.0, 3.0], (2, 3), &Device::Cpu).unwrap();
        for function in ALL {
            assert!(values(&function.forward(&x).unwrap())[0].is_nan(), "{function:?}");
            let turned = function.forward(&x.t().unwrap()).unwrap().t().unwrap();
            let straight = function.forward(&x).unwrap();
            assert!(same_bits(&values(&turned)[1..], &values(&straight)[1..]), "{function:?}");
        }
    }
}
