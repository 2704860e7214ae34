//! The one transcendental function that metrics need, with the same bits on every machine.

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

#[cfg(test)]
mod tests {
    use super::ln;

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
}
