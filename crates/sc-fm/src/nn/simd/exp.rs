//! `eˣ` for values that are not large: all that a softmax needs.

use pulp::Simd;

/// 1.5 · 2²³ + 127: adding it rounds to a whole number, and leaves that number with the exponent's bias in the low bits.
const ROUND: f32 = 12_583_039.0;
const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// The first nine bits of ln 2, so that its products with exponents are exact, and the rest.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;
/// Below it `eˣ` leaves the normal numbers.
const LOWEST: f32 = -87.33;

/// `eˣ` for x ≤ 88, within 1 unit in the last place; 0 below −87.33, where `eˣ` would leave the normal numbers; NaN for
/// NaN. Results above 88 are meaningless.
///
/// x = n ln 2 + r with |r| ≤ ln 2 / 2, and `eʳ` by a polynomial of degree 6 with a relative error of 3e-9.
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let shifted = simd.mul_add_f32s(x, simd.splat_f32s(LOG2_E), simd.splat_f32s(ROUND));
    let n = simd.sub_f32s(shifted, simd.splat_f32s(ROUND));
    let r = simd.mul_add_f32s(n, simd.splat_f32s(-LN2_HIGH), x);
    let r = simd.mul_add_f32s(n, simd.splat_f32s(-LN2_LOW), r);
    let mut p = simd.splat_f32s(1.381_446_5e-3);
    for c in [8.368_781e-3, 4.166_839_3e-2, 1.666_652e-1, 4.999_999_4e-1, 1.0, 1.0] {
        p = simd.mul_add_f32s(p, r, simd.splat_f32s(c));
    }
    let exponent = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    let y = simd.mul_f32s(p, simd.transmute_f32s_u32s(exponent));
    let vanishes = simd.less_than_f32s(x, simd.splat_f32s(LOWEST));
    simd.select_f32s(vanishes, simd.splat_f32s(0.0), y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::simd::{Unary, every_arch, map_unary};

    struct Exp;

    impl Unary for Exp {
        #[inline(always)]
        fn apply<S: Simd>(&self, simd: S, x: S::f32s) -> S::f32s {
            exp(simd, x)
        }
    }

    fn exps(x: &[f32]) -> Vec<f32> {
        let mut y = vec![0.0; x.len()];
        map_unary(pulp::Arch::new(), &Exp, x, &mut y);
        y
    }

    #[test]
    fn is_within_one_unit_of_the_last_place() {
        // Every 1021st number between −87.33 and −1e-30, and some above 0.
        let x: Vec<f32> = (1e-30_f32.to_bits()..87.33_f32.to_bits())
            .step_by(1021)
            .map(|bits| -f32::from_bits(bits))
            .chain((0..88_000).map(|i| i as f32 / 1000.0))
            .collect();
        for (&x, y) in x.iter().zip(exps(&x)) {
            let exact = f64::from(x).exp();
            let unit = f64::from(f32::from_bits((exact as f32).to_bits() + 1)) - f64::from(exact as f32);
            assert!((f64::from(y) - exact).abs() <= unit, "e^{x} is {y}, expected {exact}");
        }
    }

    #[test]
    fn ends_are_exact() {
        let y = exps(&[0.0, -0.0, -87.4, -1e4, f32::NEG_INFINITY, f32::NAN, f32::from_bits(0xffc0_0001)]);
        assert_eq!(y[..5], [1.0, 1.0, 0.0, 0.0, 0.0]);
        assert!(y[5].is_nan() && y[6].is_nan());
    }

    #[test]
    fn every_processor_gives_the_same_bits() {
        let x: Vec<f32> = (0..10_007).map(|i| -0.0093 * i as f32).collect();
        let mut results = every_arch().into_iter().map(|arch| {
            let mut y = vec![0.0; x.len()];
            map_unary(arch, &Exp, &x, &mut y);
            y.iter().map(|y| y.to_bits()).collect::<Vec<_>>()
        });
        let first = results.next().unwrap();
        assert!(results.all(|bits| bits == first));
    }
}
