//! The incomplete beta function, and the distributions of Student and Fisher that it gives.

use super::{continued_fraction, deviance, stirling_error};

/// Regularised incomplete beta function: the probability that a beta variable of shapes `a` and `b` is at most `x`.
pub fn beta_cdf(x: f64, a: f64, b: f64) -> f64 {
    tails(x, a, b).0
}

/// The probability that a beta variable of shapes `a` and `b` is above `x`.
pub fn beta_sf(x: f64, a: f64, b: f64) -> f64 {
    tails(x, a, b).1
}

/// The value that a beta variable of shapes `a` and `b` is at most with probability `p`.
pub fn beta_quantile(p: f64, a: f64, b: f64) -> f64 {
    if !(0.0..=1.0).contains(&p) || !are_shapes(a, b) {
        return f64::NAN;
    }
    if p == 0.0 || p == 1.0 {
        return p;
    }
    // Newton's method, kept between bounds that close in.
    let (mut low, mut high) = (0.0, 1.0);
    let mut x = a / (a + b);
    for _ in 0..400 {
        let (below, above) = tails(x, a, b);
        // The smaller tail has the digits.
        let excess = if p <= 0.5 { below - p } else { (1.0 - p) - above };
        if excess < 0.0 {
            low = x;
        } else {
            high = x;
        }
        let newton = x - excess * x * (1.0 - x) / density(x, 1.0 - x, a, b);
        if (newton - x).abs() <= 2.0 * f64::EPSILON * x {
            return newton;
        }
        let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
        if next == low || next == high {
            return next;
        }
        x = next;
    }
    x
}

/// The probability that a t variable of `dof` degrees of freedom is above `t`.
pub fn t_sf(t: f64, dof: f64) -> f64 {
    let tail = 0.5 * t_two_sided(t, dof);
    if t < 0.0 { 1.0 - tail } else { tail }
}

/// The probability that a t variable of `dof` degrees of freedom is farther from 0 than `t`.
pub fn t_two_sided(t: f64, dof: f64) -> f64 {
    if t.is_infinite() && dof > 0.0 {
        return 0.0;
    }
    let t2 = t * t;
    // The complement is kept apart: far out, 1 - t²/(dof + t²) would lose all digits.
    lower(dof / (dof + t2), t2 / (dof + t2), dof / 2.0, 0.5)
}

/// The probability that an F variable of `numerator` and `denominator` degrees of freedom is above `f`.
pub fn f_sf(f: f64, numerator: f64, denominator: f64) -> f64 {
    if f <= 0.0 {
        return 1.0;
    }
    if f.is_infinite() {
        return 0.0;
    }
    let (n, d) = (numerator * f, denominator);
    lower(d / (d + n), n / (d + n), denominator / 2.0, numerator / 2.0)
}

fn are_shapes(a: f64, b: f64) -> bool {
    a > 0.0 && b > 0.0 && a.is_finite() && b.is_finite()
}

fn tails(x: f64, a: f64, b: f64) -> (f64, f64) {
    if x.is_nan() {
        return (f64::NAN, f64::NAN);
    }
    let x = x.clamp(0.0, 1.0);
    (lower(x, 1.0 - x, a, b), lower(1.0 - x, x, b, a))
}

/// The lower tail at `x`, where `y` is `1 - x`.
fn lower(x: f64, y: f64, a: f64, b: f64) -> f64 {
    if !are_shapes(a, b) || x.is_nan() {
        return f64::NAN;
    }
    if x <= 0.0 {
        return 0.0;
    }
    if y <= 0.0 {
        return 1.0;
    }
    // The fraction converges fast on the near side of the mean.
    if x <= (a + 1.0) / (a + b + 2.0) { tail(x, y, a, b) } else { 1.0 - tail(y, x, b, a) }
}

fn tail(x: f64, y: f64, a: f64, b: f64) -> f64 {
    let fraction = continued_fraction(1.0, |i| {
        let m = f64::from(i / 2);
        let a_i = if i % 2 == 0 {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        (a_i, 1.0)
    });
    density(x, y, a, b) / (a * fraction)
}

/// `xᵃ (1 - x)ᵇ / B(a, b)`, as a binomial probability so that large shapes keep their digits (Loader 2000).
fn density(x: f64, y: f64, a: f64, b: f64) -> f64 {
    let n = a + b;
    let exponent =
        stirling_error(n) - stirling_error(a) - stirling_error(b) - deviance(a, n * x) - deviance(b, n * y);
    (a * b / (std::f64::consts::TAU * n)).sqrt() * libm::exp(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tails_of_uniform_and_triangle_are_known() {
        for x in [0.0, 0.1, 0.5, 0.9, 1.0] {
            assert!((beta_cdf(x, 1.0, 1.0) - x).abs() < 1e-15);
            assert!((beta_cdf(x, 2.0, 1.0) - x * x).abs() < 1e-15);
            assert!((beta_sf(x, 1.0, 3.0) - (1.0 - x).powi(3)).abs() < 1e-15);
        }
    }

    #[test]
    fn quantiles_undo_probabilities() {
        for (a, b) in [(0.5, 0.5), (3.0, 8.0), (1000.0, 2.0), (1.0, 1e6), (0.1, 4.0)] {
            for p in [1e-9, 0.025, 0.5, 0.8, 0.975] {
                let x = beta_quantile(p, a, b);
                assert!((beta_cdf(x, a, b) / p - 1.0).abs() < 1e-8, "{a} {b} {p}: {x}");
            }
        }
        assert_eq!((beta_quantile(0.0, 2.0, 2.0), beta_quantile(1.0, 2.0, 2.0)), (0.0, 1.0));
    }

    #[test]
    fn the_ends_are_certain_and_wrong_shapes_are_nan() {
        assert_eq!((f_sf(0.0, 2.0, 3.0), f_sf(f64::INFINITY, 2.0, 3.0)), (1.0, 0.0));
        assert_eq!((t_sf(0.0, 4.0), t_sf(f64::INFINITY, 4.0)), (0.5, 0.0));
        assert_eq!(t_sf(-1.5, 4.0), 1.0 - t_sf(1.5, 4.0));
        for value in [
            beta_cdf(0.5, 0.0, 1.0),
            beta_cdf(f64::NAN, 1.0, 1.0),
            beta_quantile(1.5, 1.0, 1.0),
            t_sf(1.0, -1.0),
        ] {
            assert!(value.is_nan());
        }
    }
}
