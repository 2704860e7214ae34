//! The transcendental functions of inner loops, with the same bits on every machine.

/// Leading part of ln 2, short enough that its product with any exponent is exact.
const LN_2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fefa_0000);
/// What [`LN_2_HIGH`] leaves of ln 2.
const LN_2_LOW: f64 = 1.646_594_958_289_708_2e-12;

/// Natural logarithm of a positive, normal number.
///
/// The standard library's may differ by platform, and a dependency for one function would weigh on every user of the
/// plain metrics. With `x = m 2^e` and `m` near 1, `ln m = 2 artanh(s)` for `s = (m - 1) / (m + 1)`, whose series
/// converges below rounding within twelve terms because `|s| < 0.172`.
pub(crate) fn ln(x: f64) -> f64 {
    debug_assert!(x.is_normal() && x > 0.0, "ln of {x}");
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as i32 - 1023;
    let mut m = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    if m > std::f64::consts::SQRT_2 {
        m *= 0.5;
        exponent += 1;
    }
    let s = (m - 1.0) / (m + 1.0);
    let s2 = s * s;
    let mut series = 0.0;
    for k in (1..=12).rev() {
        series = (series + 1.0 / f64::from(2 * k + 1)) * s2;
    }
    let e = f64::from(exponent);
    e * LN_2_HIGH + (2.0 * s + (2.0 * s * series + e * LN_2_LOW))
}

/// `exp(x)` for `x <= 0`; 0 below -708, where the result would not be normal. At most two units in the last place off.
///
/// `libm` computes one value at a time; this is nothing but arithmetic, so that a loop over it fills wide registers.
/// With `x = n ln 2 + r` and `|r| <= ln 2 / 2`, the series of `exp r` converges below rounding within thirteen terms.
#[inline(always)]
pub(crate) fn exp_negative(x: f64) -> f64 {
    /// Adding it rounds to an integer, which the last bits of the sum then hold.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let clamped = if x < -708.0 { -708.0 } else { x };
    let shifted = clamped * std::f64::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (clamped - n * LN_2_HIGH) - n * LN_2_LOW;
    let mut series = INVERSE_FACTORIALS[0];
    let mut k = 1;
    while k < INVERSE_FACTORIALS.len() {
        series = series * r + INVERSE_FACTORIALS[k];
        k += 1;
    }
    // The integer in the low bits of `shifted`, moved to the exponent.
    let power = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    if x < -708.0 { 0.0 } else { series * power }
}

/// `1 / 13!` to `1 / 0!`.
const INVERSE_FACTORIALS: [f64; 14] = {
    let mut inverse = [1.0; 14];
    let mut factorial = 1.0;
    let mut k = 1;
    while k < 14 {
        factorial *= k as f64;
        inverse[13 - k] = 1.0 / factorial;
        k += 1;
    }
    inverse
};

#[cfg(test)]
mod tests {
    use super::{exp_negative, ln};

    #[test]
    fn the_logarithm_is_right_to_the_last_bits() {
        assert_eq!(ln(1.0), 0.0);
        let mut x = 1e-12;
        while x < 1e18 {
            let (own, std) = (ln(x), f64::ln(x));
            assert!((own - std).abs() <= 4.0 * f64::EPSILON * std.abs(), "ln {x}: {own} is not {std}");
            x *= 1.003_7;
        }
        assert_eq!(super::LN_2_HIGH + super::LN_2_LOW, std::f64::consts::LN_2);
    }

    #[test]
    fn the_exponential_is_right_to_the_last_bits() {
        assert_eq!(exp_negative(0.0), 1.0);
        assert_eq!(exp_negative(-708.1), 0.0);
        assert_eq!(exp_negative(f64::NEG_INFINITY), 0.0);
        let mut x = -1e-9;
        while x > -708.0 {
            let (own, exact) = (exp_negative(x), libm::exp(x));
            assert!((own - exact).abs() <= 2.0 * f64::EPSILON * exact, "exp {x}: {own} is not {exact}");
            x *= 1.002_3;
        }
    }
}
