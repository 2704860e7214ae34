//! The curve `1 / (1 + a d^(2b))` that turns a distance in the layout into a membership.

use crate::error::Error;

/// Points of the fit, spread over `[0, 3 spread]`, as in umap-learn.
const N_POINTS: usize = 300;

/// Damped Gauss-Newton steps at most; fits within the allowed range take a few dozen.
const MAX_STEPS: usize = 500;

pub(super) fn check(spread: f64, min_dist: f64) -> Result<(), Error> {
    if !(1e-3..=1e3).contains(&spread) {
        let (name, value) = ("spread", spread.to_string());
        return Err(Error::Parameter { name, value, expected: "0.001 to 1000" });
    }
    if !(min_dist >= 0.0 && min_dist <= spread) {
        let (name, value) = ("min_dist", min_dist.to_string());
        return Err(Error::Parameter { name, value, expected: "0 to `spread`" });
    }
    Ok(())
}

/// Fits `a` and `b` so that `1 / (1 + a d^(2b))` comes closest to 1 up to `min_dist` and `exp(-(d - min_dist) / spread)`
/// from there on: umap-learn's function of that name.
///
/// Least squares over 300 distances in `[0, 3 spread]`; umap-learn's values agree to 1e-5, where SciPy's fit stops.
///
/// # Errors
/// [`Error::Parameter`]: `spread` is outside 0.001 to 1000, or `min_dist` outside 0 to `spread`.
///
/// ```
/// let (a, b) = sc_prep::umap::find_ab_params(1.0, 0.5)?;
/// assert!((a - 0.583).abs() < 1e-3 && (b - 1.334).abs() < 1e-3);
/// # Ok::<(), sc_prep::Error>(())
/// ```
pub fn find_ab_params(spread: f64, min_dist: f64) -> Result<(f64, f64), Error> {
    check(spread, min_dist)?;
    // In units of the spread the problem is the same at every scale: `a` takes the units back at the end.
    let min_dist = min_dist / spread;
    let mut parameters = (1.0, 1.0);
    let mut damping = 1e-3;
    let mut fit = Fit::at(parameters, min_dist);
    for _ in 0..MAX_STEPS {
        let (da, db) = fit.step(damping);
        let tried = (parameters.0 + da, parameters.1 + db);
        let next = Fit::at(tried, min_dist);
        // The comparisons are false for NaN.
        if tried.0 > 0.0 && tried.1 > 0.0 && next.error <= fit.error {
            let settled = da.abs() <= 1e-12 * tried.0 && db.abs() <= 1e-12 * tried.1;
            (parameters, fit) = (tried, next);
            damping = (damping * 0.1).max(1e-15);
            if settled {
                break;
            }
        } else {
            damping *= 10.0;
            if damping > 1e12 {
                break;
            }
        }
    }
    let (a, b) = parameters;
    Ok((a / libm::pow(spread, 2.0 * b), b))
}

/// Squared error of a curve, and its normal equations. Distances are in units of the spread.
struct Fit {
    error: f64,
    aa: f64,
    ab: f64,
    bb: f64,
    gradient_a: f64,
    gradient_b: f64,
}

impl Fit {
    fn at((a, b): (f64, f64), min_dist: f64) -> Self {
        let mut fit = Self { error: 0.0, aa: 0.0, ab: 0.0, bb: 0.0, gradient_a: 0.0, gradient_b: 0.0 };
        for i in 0..N_POINTS {
            let d = 3.0 * i as f64 / (N_POINTS - 1) as f64;
            let wanted = if d < min_dist { 1.0 } else { libm::exp(min_dist - d) };
            let power = libm::pow(d, 2.0 * b);
            let curve = 1.0 / (1.0 + a * power);
            let residual = wanted - curve;
            let by_a = -power * curve * curve;
            let by_b = if d > 0.0 { a * by_a * 2.0 * libm::log(d) } else { 0.0 };
            fit.error += residual * residual;
            fit.aa += by_a * by_a;
            fit.ab += by_a * by_b;
            fit.bb += by_b * by_b;
            fit.gradient_a += by_a * residual;
            fit.gradient_b += by_b * residual;
        }
        fit
    }

    /// The step of Levenberg and Marquardt.
    fn step(&self, damping: f64) -> (f64, f64) {
        let (aa, bb) = (self.aa * (1.0 + damping), self.bb * (1.0 + damping));
        let determinant = aa * bb - self.ab * self.ab;
        let da = (self.gradient_a * bb - self.gradient_b * self.ab) / determinant;
        let db = (self.gradient_b * aa - self.gradient_a * self.ab) / determinant;
        (da, db)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fit_is_that_of_scipy() {
        // umap-learn 0.5.12, SciPy 1.17.1: find_ab_params(spread, min_dist).
        for (spread, min_dist, a, b) in SCIPY {
            let (found_a, found_b) = find_ab_params(spread, min_dist).unwrap();
            assert!((found_a / a - 1.0).abs() < 1e-5, "{spread} {min_dist}: {found_a}, not {a}");
            assert!((found_b / b - 1.0).abs() < 1e-5, "{spread} {min_dist}: {found_b}, not {b}");
        }
    }

    #[test]
    fn every_allowed_pair_gives_a_finite_curve() {
        for spread in [1e-3, 0.1, 1.0, 50.0, 1e3] {
            for part in [0.0, 1e-9, 0.01, 0.5, 0.99, 1.0] {
                let (a, b) = find_ab_params(spread, part * spread).unwrap();
                assert!(a > 0.0 && a.is_finite() && b > 0.0 && b.is_finite(), "{spread} {part}: {a} {b}");
            }
        }
    }

    #[test]
    fn a_distance_beyond_the_spread_is_refused() {
        assert!(matches!(find_ab_params(1.0, 1.5), Err(Error::Parameter { name: "min_dist", .. })));
        assert!(matches!(find_ab_params(0.0, 0.0), Err(Error::Parameter { name: "spread", .. })));
        assert!(matches!(find_ab_params(f64::NAN, 0.0), Err(Error::Parameter { name: "spread", .. })));
        assert!(matches!(find_ab_params(1.0, f64::NAN), Err(Error::Parameter { name: "min_dist", .. })));
    }

    const SCIPY: [(f64, f64, f64, f64); 5] = [
        (1.0, 0.5, 0.5830300203414425, 1.3341669924314914),
        (1.0, 0.1, 1.5769434602697652, 0.8950608778515733),
        (1.0, 0.0, 1.93280839734315, 0.7904949732233831),
        (2.0, 0.3, 0.3794946886311041, 0.9488152194414622),
        (1.0, 0.99, 0.11930529992407873, 1.9163904168802517),
    ];
}
