//! The normal distribution, and GELU with it.

use pulp::Simd;

use super::exp;

/// Beyond it the density is below the smallest normal number.
const FAR: f32 = 13.5;

/// The density without its factor, `e^(−z²/2)`, and the tail `Φ(−z)`, both for z = |x| ≤ 13.5.
///
/// The ratio of the two (half the scaled complementary error function) is a polynomial in 1 / (1 + 0.3 z), fitted to
/// a relative error of 4e-9. What `z²` loses by rounding is put back, so that far tails keep their relative precision.
#[inline(always)]
fn tail<S: Simd>(simd: S, z: S::f32s) -> (S::f32s, S::f32s) {
    let one = simd.splat_f32s(1.0);
    let square = simd.mul_f32s(z, z);
    let lost = simd.mul_add_f32s(z, z, simd.neg_f32s(square));
    let density = exp(simd, simd.mul_f32s(square, simd.splat_f32s(-0.5)));
    let density = simd.mul_add_f32s(simd.mul_f32s(density, lost), simd.splat_f32s(-0.5), density);
    let t = simd.div_f32s(one, simd.mul_add_f32s(z, simd.splat_f32s(0.3), one));
    let mut ratio = simd.splat_f32s(-2.058_472_7e-2);
    for c in [
        1.122_175_1e-1,
        -2.276_804_7e-1,
        1.910_432_9e-1,
        -7.877_876e-2,
        9.579_381e-2,
        7.852_168e-2,
        1.102_055_8e-1,
        1.195_756_1e-1,
        1.196_864_84e-1,
    ] {
        ratio = simd.mul_add_f32s(ratio, t, simd.splat_f32s(c));
    }
    (density, simd.mul_f32s(density, simd.mul_f32s(ratio, t)))
}

/// `|x|`, at most 13.5, with what [`tail`] makes of it, and `Φ(x)`.
#[inline(always)]
fn normal<S: Simd>(simd: S, x: S::f32s) -> (S::f32s, S::f32s) {
    let far = simd.splat_f32s(FAR);
    let z = simd.abs_f32s(x);
    let z = simd.select_f32s(simd.less_than_f32s(z, far), z, far);
    let (density, below) = tail(simd, z);
    let negative = simd.less_than_f32s(x, simd.splat_f32s(0.0));
    let above = simd.sub_f32s(simd.splat_f32s(1.0), below);
    (density, simd.select_f32s(negative, below, above))
}

/// `x Φ(x)`, within 6 units in the last place; NaN for NaN.
///
/// Negative values keep their relative precision, which `x (1 + erf(x / √2)) / 2` loses.
#[inline(always)]
pub(crate) fn gelu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let (_, probability) = normal(simd, x);
    let y = simd.mul_f32s(x, probability);
    // −∞ · 0 is no number, but the limit is 0.
    let lowest = simd.less_than_f32s(x, simd.splat_f32s(-FAR));
    simd.select_f32s(lowest, simd.splat_f32s(-0.0), y)
}

/// `Φ(x) + x φ(x)`, the derivative of [`gelu`], within 4e-7; NaN for NaN.
#[inline(always)]
pub(crate) fn gelu_gradient<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    const DENSITY: f32 = 0.398_942_3; // 1 / √(2π)
    let (density, probability) = normal(simd, x);
    let slope = simd.mul_f32s(density, simd.splat_f32s(DENSITY));
    let near = simd.mul_add_f32s(x, slope, probability);
    let far = simd.less_than_f32s(simd.splat_f32s(FAR), simd.abs_f32s(x));
    simd.select_f32s(far, probability, near)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::simd::{Unary, every_arch, map_unary};

    struct Gelu;

    impl Unary for Gelu {
        #[inline(always)]
        fn apply<S: Simd>(&self, simd: S, x: S::f32s) -> S::f32s {
            gelu(simd, x)
        }
    }

    struct Gradient;

    impl Unary for Gradient {
        #[inline(always)]
        fn apply<S: Simd>(&self, simd: S, x: S::f32s) -> S::f32s {
            gelu_gradient(simd, x)
        }
    }

    fn values(f: &impl Unary, x: &[f32]) -> Vec<f32> {
        let mut y = vec![0.0; x.len()];
        map_unary(pulp::Arch::new(), f, x, &mut y);
        y
    }

    fn grid() -> Vec<f32> {
        (-140_000..=140_000).map(|i| i as f32 * 1e-4).collect()
    }

    #[test]
    fn is_as_exact_as_libm() {
        let (x, root) = (grid(), std::f64::consts::SQRT_2);
        for (&x, y) in x.iter().zip(values(&Gelu, &x)).filter(|(x, _)| **x > -13.0) {
            let exact = f64::from(x) * 0.5 * libm::erfc(-f64::from(x) / root);
            let allowed = exact.abs() * 6.0 * f64::from(f32::EPSILON) / 2.0 + 1e-45;
            assert!((f64::from(y) - exact).abs() <= allowed, "gelu({x}) is {y}, expected {exact}");
        }
    }

    #[test]
    fn the_gradient_is_the_density_and_the_distribution() {
        let (x, root) = (grid(), std::f64::consts::SQRT_2);
        for (&x, y) in x.iter().zip(values(&Gradient, &x)) {
            let x = f64::from(x);
            let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
            let exact = 0.5 * libm::erfc(-x / root) + x * density;
            assert!((f64::from(y) - exact).abs() <= 4e-7, "at {x}: {y}, expected {exact}");
        }
    }

    #[test]
    fn the_ends_are_the_limits() {
        let ends = [f32::NEG_INFINITY, -1e30, -14.0, 0.0, 14.0, 1e30, f32::INFINITY];
        assert_eq!(values(&Gelu, &ends), [0.0, 0.0, 0.0, 0.0, 14.0, 1e30, f32::INFINITY]);
        assert_eq!(values(&Gradient, &ends), [0.0, 0.0, 0.0, 0.5, 1.0, 1.0, 1.0]);
        assert!(values(&Gelu, &[f32::NAN])[0].is_nan() && values(&Gradient, &[f32::NAN])[0].is_nan());
    }

    #[test]
    fn every_processor_gives_the_same_bits() {
        let x: Vec<f32> = (0..10_007).map(|i| 0.0031 * (i - 5000) as f32).collect();
        let bits = |arch| {
            let mut y = vec![0.0; 2 * x.len()];
            let (values, gradients) = y.split_at_mut(x.len());
            map_unary(arch, &Gelu, &x, values);
            map_unary(arch, &Gradient, &x, gradients);
            y.iter().map(|y| y.to_bits()).collect::<Vec<_>>()
        };
        let mut results = every_arch().into_iter().map(bits);
        let first = results.next().unwrap();
        assert!(results.all(|bits| bits == first));
    }
}
