//! The distributions that tests and intervals are read from, with the same bits on every machine.
//!
//! `…_cdf` is the probability of a value at most `x`, `…_sf` of one above it: small upper tails keep their digits.
//! Parameters out of range give NaN. To a relative 1e-10 of scipy, the studentised range to 1e-6
//! (`tests/golden/scores`).

mod beta;
mod gamma;
mod normal;
mod studentized_range;

pub use beta::{beta_cdf, beta_quantile, beta_sf, f_sf, t_sf, t_two_sided};
pub use gamma::chi2_sf;
pub use normal::{normal_cdf, normal_quantile, normal_sf};
pub use studentized_range::{studentized_range_quantile, studentized_range_sf};

/// Correction of Stirling's formula: `ln Γ(n + 1) - (n + 1/2) ln n + n - ln(2π) / 2`, for `n` above 0.
fn stirling_error(n: f64) -> f64 {
    if n < 15.0 {
        return libm::lgamma(n + 1.0) - (n + 0.5) * libm::log(n) + n - HALF_LN_2PI;
    }
    let n2 = n * n;
    // The Bernoulli terms; the first left out is below 1e-17 here.
    let series = 1.0 / 1188.0 - (691.0 / 360_360.0 - 1.0 / (156.0 * n2)) / n2;
    (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - (1.0 / 1680.0 - series / n2) / n2) / n2) / n2) / n
}

/// `x ln(x / m) + m - x`, without cancellation where `x` is close to `m` (Loader 2000).
fn deviance(x: f64, m: f64) -> f64 {
    if (x - m).abs() >= 0.1 * (x + m) {
        return x * libm::log(x / m) + m - x;
    }
    let v = (x - m) / (x + m);
    let mut sum = (x - m) * v;
    let mut power = 2.0 * x * v;
    for j in 1..1000 {
        power *= v * v;
        let next = sum + power / f64::from(2 * j + 1);
        if next == sum {
            break;
        }
        sum = next;
    }
    sum
}

const HALF_LN_2PI: f64 = 0.918_938_533_204_672_8;

/// Lentz's evaluation of the continued fraction `1 / (1 + a₁ / (1 + a₂ / …))` and its relatives, from `b` of the step
/// before and `(a, b)` of each step on.
fn continued_fraction(first: f64, step: impl Fn(u32) -> (f64, f64)) -> f64 {
    const TINY: f64 = 1e-300;
    let guard = |x: f64| if x.abs() < TINY { TINY } else { x };
    let mut value = guard(first);
    let (mut c, mut d) = (value, 0.0);
    // Converges in about as many steps as the square root of the larger parameter.
    for i in 1..1_000_000 {
        let (a, b) = step(i);
        d = 1.0 / guard(b + a * d);
        c = guard(b + a / c);
        let factor = c * d;
        value *= factor;
        if (factor - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_correction_joins_where_its_series_begins() {
        let (below, above) = (stirling_error(14.999_999), stirling_error(15.000_001));
        assert!((below - above).abs() < 1e-9);
        assert!((stirling_error(15.0) - 0.005_554_733_551_962_801).abs() < 1e-16);
    }

    #[test]
    fn the_deviance_keeps_its_digits_near_its_zero() {
        assert_eq!(deviance(7.0, 7.0), 0.0);
        // (x - m)² / 2m to leading order.
        assert!((deviance(1e6 + 1.0, 1e6) / 5e-7 - 1.0).abs() < 1e-6);
    }
}
