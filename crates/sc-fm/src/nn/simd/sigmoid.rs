//! The logistic function, and the two activations made of it.

use pulp::Simd;

use super::exp;

/// √(2/π).
const FACTOR: f32 = 0.797_884_6;
const CUBIC: f32 = 0.044_715;
/// Below it `x · σ(…)` vanishes for both activations, and −∞ · 0 would be no number.
const LOWEST: f32 = -104.0;

/// `1 / (1 + e⁻ˣ)`, with its relative precision on both sides; NaN for NaN.
#[inline(always)]
fn sigmoid<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    let e = exp(simd, simd.neg_f32s(simd.abs_f32s(x)));
    let negative = simd.less_than_f32s(x, simd.splat_f32s(0.0));
    simd.div_f32s(simd.select_f32s(negative, e, one), simd.add_f32s(one, e))
}

/// `x σ(z)`, 0 where x is far below 0.
#[inline(always)]
fn gated<S: Simd>(simd: S, x: S::f32s, z: S::f32s) -> S::f32s {
    let y = simd.mul_f32s(x, sigmoid(simd, z));
    let vanishes = simd.less_than_f32s(x, simd.splat_f32s(LOWEST));
    simd.select_f32s(vanishes, simd.splat_f32s(-0.0), y)
}

/// `x σ(x)`; NaN for NaN.
#[inline(always)]
pub(crate) fn silu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    gated(simd, x, x)
}

/// `σ(x) (1 + x (1 − σ(x)))`, the derivative of [`silu`].
#[inline(always)]
pub(crate) fn silu_gradient<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    let x = bounded(simd, x);
    let s = sigmoid(simd, x);
    simd.mul_f32s(s, simd.mul_add_f32s(x, simd.sub_f32s(one, s), one))
}

/// `x σ(2u)` with `u = √(2/π) (x + 0.044715 x³)`, that is `x (1 + tanh u) / 2` without its cancellation; NaN for NaN.
#[inline(always)]
pub(crate) fn gelu_tanh<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let square = simd.mul_f32s(x, x);
    let slope =
        simd.mul_add_f32s(square, simd.splat_f32s(2.0 * FACTOR * CUBIC), simd.splat_f32s(2.0 * FACTOR));
    gated(simd, x, simd.mul_f32s(x, slope))
}

/// `s + x s (1 − s) · 2u′` with `s = σ(2u)`, the derivative of [`gelu_tanh`].
#[inline(always)]
pub(crate) fn gelu_tanh_gradient<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    let x = bounded(simd, x);
    let square = simd.mul_f32s(x, x);
    let slope =
        simd.mul_add_f32s(square, simd.splat_f32s(2.0 * FACTOR * CUBIC), simd.splat_f32s(2.0 * FACTOR));
    let s = sigmoid(simd, simd.mul_f32s(x, slope));
    let steep =
        simd.mul_add_f32s(square, simd.splat_f32s(6.0 * FACTOR * CUBIC), simd.splat_f32s(2.0 * FACTOR));
    let flank = simd.mul_f32s(s, simd.sub_f32s(one, s));
    simd.mul_add_f32s(simd.mul_f32s(x, flank), steep, s)
}

/// x held to −100..100, where the derivatives are 0 and 1 long since; NaN stays.
#[inline(always)]
fn bounded<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let (low, high) = (simd.splat_f32s(-100.0), simd.splat_f32s(100.0));
    let x = simd.select_f32s(simd.less_than_f32s(high, x), high, x);
    simd.select_f32s(simd.less_than_f32s(x, low), low, x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::simd::{Unary, every_arch, map_unary};

    struct Silu;
    struct GeluTanh;

    impl Unary for Silu {
        #[inline(always)]
        fn apply<S: Simd>(&self, simd: S, x: S::f32s) -> S::f32s {
            silu(simd, x)
        }
    }

    impl Unary for GeluTanh {
        #[inline(always)]
        fn apply<S: Simd>(&self, simd: S, x: S::f32s) -> S::f32s {
            gelu_tanh(simd, x)
        }
    }

    #[test]
    fn values_keep_their_relative_precision_far_below_zero() {
        let x: Vec<f32> = (-8_000..=8_000).map(|i| i as f32 * 1e-3).collect();
        let mut y = vec![0.0; x.len()];
        for arch in every_arch() {
            map_unary(arch, &Silu, &x, &mut y);
            for (&x, &y) in x.iter().zip(&y) {
                let exact = f64::from(x) / (1.0 + (-f64::from(x)).exp());
                assert!(
                    (f64::from(y) - exact).abs() <= 4e-7 * exact.abs(),
                    "silu({x}) is {y}, expected {exact}"
                );
            }
            map_unary(arch, &GeluTanh, &x, &mut y);
            for (&x, &y) in x.iter().zip(&y) {
                let z = f64::from(x);
                let u = (2.0 / std::f64::consts::PI).sqrt() * (z + 0.044_715 * z.powi(3));
                let exact = z / (1.0 + (-2.0 * u).exp());
                let allowed = 4e-7 * exact.abs() * (1.0 + 2.0 * u.abs()) + 1e-38;
                assert!((f64::from(y) - exact).abs() <= allowed, "gelu({x}) is {y}, expected {exact}");
            }
        }
    }

    #[test]
    fn the_ends_of_the_axis_have_their_limits() {
        let x = [f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, f32::NAN];
        let mut y = [0.0; 5];
        for arch in every_arch() {
            map_unary(arch, &Silu, &x, &mut y);
            assert!(y[0] == f32::INFINITY && y[1] == 0.0 && y[2] == f32::MAX && y[3] == 0.0 && y[4].is_nan());
            map_unary(arch, &GeluTanh, &x, &mut y);
            assert!(y[0] == f32::INFINITY && y[1] == 0.0 && y[2] == f32::MAX && y[3] == 0.0 && y[4].is_nan());
        }
    }
}
