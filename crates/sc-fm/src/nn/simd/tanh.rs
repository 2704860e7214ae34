//! `tanh(x)`.

use pulp::Simd;

use super::exp;

/// `tanh(x)`, within 3 units in the last place; NaN for NaN.
///
/// Near 0 an odd polynomial with a relative error of 2e-10; elsewhere `(1 − e) / (1 + e)` with `e = e^(−2|x|)`.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    let z = simd.abs_f32s(x);
    let e = exp(simd, simd.mul_f32s(z, simd.splat_f32s(-2.0)));
    let far = simd.div_f32s(simd.sub_f32s(one, e), simd.add_f32s(one, e));
    let square = simd.mul_f32s(z, z);
    let mut p = simd.splat_f32s(2.130_906_8e-3);
    for c in [-8.165_038e-3, 2.169_607_2e-2, -5.394_599_2e-2, 1.333_32e-1, -0.333_333_3] {
        p = simd.mul_add_f32s(p, square, simd.splat_f32s(c));
    }
    let near = simd.mul_add_f32s(simd.mul_f32s(square, z), p, z);
    let y = simd.select_f32s(simd.less_than_f32s(z, simd.splat_f32s(0.625)), near, far);
    let sign = simd.and_f32s(x, simd.splat_f32s(-0.0));
    simd.or_f32s(y, sign)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::simd::{Unary, every_arch, map_unary};

    struct Tanh;

    impl Unary for Tanh {
        #[inline(always)]
        fn apply<S: Simd>(&self, simd: S, x: S::f32s) -> S::f32s {
            tanh(simd, x)
        }
    }

    #[test]
    fn is_within_three_units_on_every_processor() {
        let mut x: Vec<f32> = (-100_000..=100_000).map(|i| i as f32 * 1e-4).collect();
        x.extend([1e-30, f32::INFINITY, f32::NEG_INFINITY, -0.0]);
        for arch in every_arch() {
            let mut y = vec![0.0; x.len()];
            map_unary(arch, &Tanh, &x, &mut y);
            for (&x, &y) in x.iter().zip(&y) {
                let exact = f64::from(x).tanh();
                let allowed = exact.abs() * 3.0 * f64::from(f32::EPSILON) / 2.0;
                assert!((f64::from(y) - exact).abs() <= allowed, "tanh({x}) is {y}, expected {exact}");
            }
            map_unary(arch, &Tanh, &[f32::NAN, -0.0], &mut y[..2]);
            assert!(y[0].is_nan() && y[1].is_sign_negative());
        }
    }
}
