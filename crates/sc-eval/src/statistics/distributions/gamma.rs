//! The incomplete gamma function, and the chi-squared distribution that it gives.

use super::{continued_fraction, deviance, stirling_error};

/// The probability that a chi-squared variable of `dof` degrees of freedom is above `x`.
pub fn chi2_sf(x: f64, dof: f64) -> f64 {
    if x.is_nan() || !(dof > 0.0 && dof.is_finite()) {
        return f64::NAN;
    }
    if x <= 0.0 {
        return 1.0;
    }
    if x.is_infinite() {
        return 0.0;
    }
    upper(dof / 2.0, x / 2.0)
}

/// The upper tail of a gamma variable of shape `a`.
fn upper(a: f64, x: f64) -> f64 {
    // xᵃ e⁻ˣ / Γ(a + 1), as a Poisson probability so that large shapes keep their digits (Loader 2000).
    let density = libm::exp(-stirling_error(a) - deviance(a, x)) / (std::f64::consts::TAU * a).sqrt();
    if x < a + 1.0 {
        let (mut term, mut sum) = (1.0, 1.0);
        let mut shape = a;
        while term > sum * f64::EPSILON {
            shape += 1.0;
            term *= x / shape;
            sum += term;
        }
        return 1.0 - density * sum;
    }
    let fraction = continued_fraction(x + 1.0 - a, |i| {
        let i = f64::from(i);
        (-i * (i - a), x + 2.0 * i + 1.0 - a)
    });
    density * a / fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_degrees_of_freedom_are_exponential() {
        for x in [1e-8, 0.5, 1.0, 3.0, 40.0, 700.0] {
            let expected = libm::exp(-x / 2.0);
            assert!((chi2_sf(x, 2.0) / expected - 1.0).abs() < 1e-13, "{x}");
        }
    }

    #[test]
    fn the_ends_are_certain_and_wrong_parameters_are_nan() {
        assert_eq!((chi2_sf(0.0, 3.0), chi2_sf(f64::INFINITY, 3.0)), (1.0, 0.0));
        assert!(chi2_sf(1.0, 0.0).is_nan() && chi2_sf(f64::NAN, 1.0).is_nan());
    }
}
