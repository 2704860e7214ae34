//! The normal distribution.

use std::f64::consts::FRAC_1_SQRT_2;

use super::HALF_LN_2PI;

/// The probability that a standard normal variable is at most `x`.
pub fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x * FRAC_1_SQRT_2)
}

/// The probability that a standard normal variable is above `x`.
pub fn normal_sf(x: f64) -> f64 {
    normal_cdf(-x)
}

/// The value that a standard normal variable is at most with probability `p`; infinite at 0 and 1.
pub fn normal_quantile(p: f64) -> f64 {
    if p.is_nan() || !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    if p == 0.5 {
        return 0.0;
    }
    // Work in the lower tail, whose probability has all digits.
    let (tail, sign) = if p < 0.5 { (p, 1.0) } else { (1.0 - p, -1.0) };
    if tail == 0.0 {
        return -sign * f64::INFINITY;
    }
    // Rough start by Hastings' formula, then Halley's method, which triples the digits at each step.
    let u = (-2.0 * libm::log(tail)).sqrt();
    let mut x = (2.307_53 + 0.270_61 * u) / (1.0 + (0.992_29 + 0.044_81 * u) * u) - u;
    for _ in 0..4 {
        let error = (normal_cdf(x) - tail) / density(x);
        x -= error / (1.0 + 0.5 * x * error);
    }
    sign * x
}

pub(super) fn density(x: f64) -> f64 {
    libm::exp(-0.5 * x * x - HALF_LN_2PI)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_undo_probabilities_far_into_the_tails() {
        for p in [1e-300, 1e-20, 0.025, 0.3, 0.5, 0.6, 0.975, 1.0 - 1e-12] {
            assert!((normal_cdf(normal_quantile(p)) / p - 1.0).abs() < 1e-12, "{p}");
        }
        assert!((normal_quantile(0.975) - 1.959_963_984_540_054).abs() < 1e-14);
        assert_eq!((normal_quantile(0.0), normal_quantile(1.0)), (f64::NEG_INFINITY, f64::INFINITY));
        assert!(normal_quantile(-0.1).is_nan() && normal_quantile(f64::NAN).is_nan());
    }
}
