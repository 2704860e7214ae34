//! The range of several normal means in units of their standard error, which Tukey's and Nemenyi's tests need.

use super::normal::{density, normal_cdf};

/// Nodes and weights on 0..1 of the Gauss-Legendre rule of eight points, mirrored about 0.
const RULE: [(f64, f64); 4] = [
    (0.183_434_642_495_649_8, 0.362_683_783_378_362),
    (0.525_532_409_916_329, 0.313_706_645_877_887_27),
    (0.796_666_477_413_626_7, 0.222_381_034_453_374_48),
    (0.960_289_856_497_536_3, 0.101_228_536_290_376_26),
];

/// The probability that the range of `k` normal means, in units of a standard error with `dof` degrees of freedom, is
/// above `q`. `dof` may be infinite: the error is then known, as in Nemenyi's test.
///
/// NaN unless `k` is at least 2 and `dof` at least 1.
pub fn studentized_range_sf(q: f64, k: usize, dof: f64) -> f64 {
    if q.is_nan() || k < 2 || dof.is_nan() || dof < 1.0 {
        return f64::NAN;
    }
    if q <= 0.0 {
        return 1.0;
    }
    RangeTail::new(k).studentized(q, dof)
}

/// The value that the studentised range is above with probability `p`; NaN where [`studentized_range_sf`] is, and
/// unless `p` is between 0 and 1. Meant for levels in use: below 1e-12 digits are lost.
pub fn studentized_range_quantile(p: f64, k: usize, dof: f64) -> f64 {
    if !(p > 0.0 && p < 1.0) || k < 2 || dof.is_nan() || dof < 1.0 {
        return f64::NAN;
    }
    let tail = RangeTail::new(k);
    let excess = |q: f64| libm::log((tail.studentized(q, dof) / p).max(f64::MIN_POSITIVE));
    let (mut low, mut high) = (0.0, 4.0);
    let (mut at_low, mut at_high) = (-libm::log(p), excess(high));
    while at_high > 0.0 && high < 1e15 {
        (low, at_low) = (high, at_high);
        high *= 2.0;
        at_high = excess(high);
    }
    // The Illinois method: a secant between bounds, whose far end counts half once it has stayed.
    for _ in 0..100 {
        let q = (low * at_high - high * at_low) / (at_high - at_low);
        let at_q = excess(q);
        if at_q.abs() < 1e-11 || high - low < 1e-11 * high {
            return q;
        }
        if at_q > 0.0 {
            (low, at_low) = (q, at_q);
            at_high *= 0.5;
        } else {
            (high, at_high) = (q, at_q);
            at_low *= 0.5;
        }
    }
    0.5 * (low + high)
}

/// The range of `k` standard normal variables, made ready for many values.
struct RangeTail {
    others: f64,
    /// Where the least of the `k` may lie, the probability of a variable above it, and its density times the weight of
    /// the integral.
    least: Vec<(f64, f64, f64)>,
}

impl RangeTail {
    fn new(k: usize) -> Self {
        let others = (k - 1) as f64;
        let node = |(z, weight): (f64, f64)| {
            let above = normal_cdf(-z);
            (z, above, weight * k as f64 * density(z) * libm::exp(others * libm::log(above)))
        };
        Self { others, least: nodes(-9.0, 9.0, 30).map(node).collect() }
    }

    /// The probability that the range is above `q` standard errors of `dof` degrees of freedom.
    fn studentized(&self, q: f64, dof: f64) -> f64 {
        if dof.is_infinite() {
            return self.normal(q);
        }
        // The standard error's own spread: s² dof is chi-squared. Integrated over u = ln s, where it is close to normal.
        let half = dof / 2.0;
        let ln_scale = libm::log(2.0) + half * libm::log(half) - libm::lgamma(half);
        let spread = |u: f64| libm::exp(ln_scale + dof * u - half * libm::exp(2.0 * u));
        let (low, high) = (-9.0 / dof.sqrt() - 20.0 / dof, 6.0 / dof.sqrt() + 2.0 / dof);
        let parts =
            nodes(low, high, 24).map(|(u, weight)| weight * spread(u) * self.normal(q * libm::exp(u)));
        parts.sum::<f64>().clamp(0.0, 1.0)
    }

    /// The probability that the range is above `q`, where the standard error is known.
    ///
    /// Over the least of the variables, z: the others are above z, and not all of them within q of it. Integrating what
    /// exceeds the range, not one less what does not, keeps the digits of small tails.
    fn normal(&self, q: f64) -> f64 {
        let exceeds = |&(z, above, weight): &(f64, f64, f64)| {
            let beyond = normal_cdf(-z - q) / above;
            let not_all = if beyond >= 1.0 { 1.0 } else { -libm::expm1(self.others * libm::log1p(-beyond)) };
            weight * not_all
        };
        self.least.iter().map(exceeds).sum::<f64>().clamp(0.0, 1.0)
    }
}

/// Nodes and weights of an integral from `low` to `high` in equal pieces.
fn nodes(low: f64, high: f64, n_pieces: u32) -> impl Iterator<Item = (f64, f64)> {
    let half = 0.5 * (high - low) / f64::from(n_pieces);
    (0..n_pieces).flat_map(move |piece| {
        let middle = low + half * f64::from(2 * piece + 1);
        RULE.into_iter().flat_map(move |(node, weight)| {
            [(middle - half * node, half * weight), (middle + half * node, half * weight)]
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_means_differ_as_a_normal_variable_does() {
        // The range of two is |x - y| with variance 2.
        for q in [0.1, 1.0, 2.77, 6.0] {
            let expected = 2.0 * normal_cdf(-q / std::f64::consts::SQRT_2);
            assert!((studentized_range_sf(q, 2, f64::INFINITY) / expected - 1.0).abs() < 1e-9, "{q}");
        }
    }

    #[test]
    fn quantiles_undo_probabilities_and_tables_agree() {
        let q = studentized_range_quantile(0.05, 10, f64::INFINITY);
        assert!((q - 4.474_124).abs() < 1e-5, "{q}");
        let q = studentized_range_quantile(0.05, 3, 10.0);
        assert!((q - 3.877).abs() < 5e-4, "{q}");
        assert!((studentized_range_sf(q, 3, 10.0) - 0.05).abs() < 1e-9);
    }

    #[test]
    fn wrong_parameters_are_nan() {
        for value in [
            studentized_range_sf(1.0, 1, 5.0),
            studentized_range_sf(f64::NAN, 3, 5.0),
            studentized_range_quantile(0.0, 3, 5.0),
        ] {
            assert!(value.is_nan());
        }
        assert_eq!(studentized_range_sf(0.0, 3, 5.0), 1.0);
    }
}
