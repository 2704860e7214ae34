//! An exponential function with the same bits on every machine, which the one of the standard library does not
//! promise: sums and products in a fixed order, and nothing else.

/// ln 2 in two parts. The first ends in 32 zero bits, so its product with a whole number below 2^20 is exact.
const LN_2_HIGH: f64 = f64::from_bits(0x3FE6_2E42_0000_0000);
const LN_2_LOW: f64 = 4.749_325_039_031_672_6e-7;

/// `e^x` for `x` at most 0, within 2 units in the last place; 0 from -746 down.
pub(super) fn exp(x: f64) -> f64 {
    debug_assert!(x <= 0.0, "{x}");
    if x < -746.0 {
        return 0.0;
    }
    // x = k ln 2 + r with |r| <= ln 2 / 2.
    let k = (x * std::f64::consts::LOG2_E - 0.5) as i64;
    let r = (x - k as f64 * LN_2_HIGH) - k as f64 * LN_2_LOW;
    // Taylor's series; the first term left out, r^14 / 14!, is below 5e-18.
    let series = (1..=13).rev().fold(1.0, |sum, n| 1.0 + sum * r / f64::from(n));
    // In two factors, for 2^k has no exponent field below k = -1022.
    series * power_of_two(k / 2) * power_of_two(k - k / 2)
}

fn power_of_two(k: i64) -> f64 {
    f64::from_bits(((1023 + k) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_standard_library_to_two_units_in_the_last_place() {
        for i in 0..200_000 {
            let x = -f64::from(i) * f64::from(i) * 1.77e-8;
            let (found, expected) = (exp(x), x.exp());
            assert!((found - expected).abs() <= 4.5e-16 * expected, "e^{x} = {expected}, not {found}");
        }
    }

    #[test]
    fn ends_of_the_range_are_exact() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-0.0), 1.0);
        assert_eq!(exp(-f64::MIN_POSITIVE), 1.0);
        assert_eq!(exp(-745.1), f64::from_bits(1));
        assert_eq!(exp(-745.2), 0.0);
        assert_eq!(exp(f64::MIN), 0.0);
        assert_eq!(exp(f64::NEG_INFINITY), 0.0);
    }
}
