//! L-BFGS with a strong Wolfe line search (Nocedal & Wright, *Numerical Optimization*, algorithms 3.5, 3.6 and 7.5).

use std::collections::VecDeque;

/// Where a minimisation ended.
pub(crate) struct Minimum {
    pub(crate) x: Vec<f64>,
    pub(crate) n_iter: usize,
    pub(crate) converged: bool,
}

pub(crate) struct Lbfgs {
    pub(crate) max_iter: usize,
    /// Stop when no component of the gradient is larger.
    pub(crate) gradient_tolerance: f64,
}

/// Curvature pairs kept.
pub(super) const HISTORY: usize = 10;
/// Sufficient decrease and curvature conditions, as in the reference L-BFGS-B.
const DECREASE: f64 = 1e-3;
const CURVATURE: f64 = 0.9;
/// Evaluations of one line search.
const MAX_EVALUATIONS: usize = 30;

/// A step, the change of the gradient along it, and one over their product.
pub(super) struct Pair {
    pub(super) step: Vec<f64>,
    pub(super) change: Vec<f64>,
    pub(super) rho: f64,
}

impl Lbfgs {
    /// Minimises `f`, which returns its value at `x` and writes its gradient.
    pub(crate) fn minimise(&self, start: Vec<f64>, mut f: impl FnMut(&[f64], &mut [f64]) -> f64) -> Minimum {
        let mut x = start;
        let mut gradient = vec![0.0; x.len()];
        let mut value = f(&x, &mut gradient);
        let mut pairs: VecDeque<Pair> = VecDeque::with_capacity(HISTORY);
        for n_iter in 0..self.max_iter {
            if largest(&gradient) <= self.gradient_tolerance {
                return Minimum { x, n_iter, converged: true };
            }
            let mut direction = descent(&pairs, &gradient);
            if dot(&direction, &gradient) >= 0.0 {
                pairs.clear();
                direction = gradient.iter().map(|g| -g).collect();
            }
            let first = if pairs.is_empty() { 1.0 / dot(&gradient, &gradient).sqrt().max(1.0) } else { 1.0 };
            let Some(found) = search(&mut f, &x, &direction, value, &gradient, first) else {
                return Minimum { x, n_iter, converged: false };
            };
            let step: Vec<f64> = found.x.iter().zip(&x).map(|(new, old)| new - old).collect();
            let change: Vec<f64> = found.gradient.iter().zip(&gradient).map(|(new, old)| new - old).collect();
            let curvature = dot(&step, &change);
            if curvature > f64::EPSILON * dot(&change, &change) {
                if pairs.len() == HISTORY {
                    pairs.pop_front();
                }
                pairs.push_back(Pair { step, change, rho: 1.0 / curvature });
            }
            (x, value, gradient) = (found.x, found.value, found.gradient);
        }
        let converged = largest(&gradient) <= self.gradient_tolerance;
        Minimum { x, n_iter: self.max_iter, converged }
    }
}

/// The two-loop recursion: minus the inverse Hessian estimate times the gradient.
pub(super) fn descent(pairs: &VecDeque<Pair>, gradient: &[f64]) -> Vec<f64> {
    let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut alphas = Vec::with_capacity(pairs.len());
    for pair in pairs.iter().rev() {
        let alpha = pair.rho * dot(&pair.step, &q);
        add(&mut q, -alpha, &pair.change);
        alphas.push(alpha);
    }
    if let Some(last) = pairs.back() {
        let scale = 1.0 / (last.rho * dot(&last.change, &last.change));
        q.iter_mut().for_each(|v| *v *= scale);
    }
    for (pair, alpha) in pairs.iter().zip(alphas.into_iter().rev()) {
        let beta = pair.rho * dot(&pair.change, &q);
        add(&mut q, alpha - beta, &pair.step);
    }
    q
}

struct Point {
    at: f64,
    x: Vec<f64>,
    value: f64,
    gradient: Vec<f64>,
    slope: f64,
}

/// A step along `direction` that meets the strong Wolfe conditions, or the best decrease found.
fn search(
    f: &mut impl FnMut(&[f64], &mut [f64]) -> f64,
    x: &[f64],
    direction: &[f64],
    value: f64,
    gradient: &[f64],
    first: f64,
) -> Option<Point> {
    let slope = dot(direction, gradient);
    let mut evaluations = 0;
    let mut at_step = |at: f64| {
        evaluations += 1;
        let x: Vec<f64> = x.iter().zip(direction).map(|(x, d)| x + at * d).collect();
        let mut gradient = vec![0.0; x.len()];
        let value = f(&x, &mut gradient);
        let slope = dot(direction, &gradient);
        (Point { at, x, value, gradient, slope }, evaluations >= MAX_EVALUATIONS)
    };
    let enough = |p: &Point| p.value <= value + DECREASE * p.at * slope;
    let flat = |p: &Point| p.slope.abs() <= -CURVATURE * slope;
    let mut low = Point { at: 0.0, x: x.to_vec(), value, gradient: gradient.to_vec(), slope };
    let mut step = first;
    let mut high = loop {
        let (point, last) = at_step(step);
        if !enough(&point) || (low.at > 0.0 && point.value >= low.value) {
            break point;
        }
        if flat(&point) || last {
            return Some(point);
        }
        if point.slope >= 0.0 {
            break std::mem::replace(&mut low, point);
        }
        step = 2.0 * point.at;
        low = point;
    };
    loop {
        let (point, last) = at_step(between(&low, &high));
        let better = enough(&point) && point.value < low.value;
        if better && flat(&point) {
            return Some(point);
        }
        if better {
            if point.slope * (high.at - low.at) >= 0.0 {
                high = std::mem::replace(&mut low, point);
            } else {
                low = point;
            }
        } else {
            high = point;
        }
        if last || (high.at - low.at).abs() <= 1e-12 * high.at.abs().max(low.at.abs()) {
            return (low.at > 0.0).then_some(low);
        }
    }
}

/// The minimum of the cubic through two points and their slopes, kept inside the middle 80 % of the interval.
fn between(a: &Point, b: &Point) -> f64 {
    let width = b.at - a.at;
    let d1 = a.slope + b.slope - 3.0 * (b.value - a.value) / width;
    let square = d1 * d1 - a.slope * b.slope;
    let cubic = if square >= 0.0 {
        let d2 = width.signum() * square.sqrt();
        b.at - width * (b.slope + d2 - d1) / (b.slope - a.slope + 2.0 * d2)
    } else {
        f64::NAN
    };
    let (inner, outer) = (a.at + 0.1 * width, b.at - 0.1 * width);
    if cubic.is_finite() { cubic.clamp(inner.min(outer), inner.max(outer)) } else { a.at + 0.5 * width }
}

/// Inner product in eight fixed partial sums.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0f64; 8];
    let (blocks_a, blocks_b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = blocks_a.remainder().iter().zip(blocks_b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in blocks_a.zip(blocks_b) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f64>() + rest
}

fn add(target: &mut [f64], factor: f64, values: &[f64]) {
    for (t, v) in target.iter_mut().zip(values) {
        *t += factor * v;
    }
}

pub(super) fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest, v| largest.max(v.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_minimum_of_the_rosenbrock_valley() {
        let lbfgs = Lbfgs { max_iter: 200, gradient_tolerance: 1e-9 };
        let found = lbfgs.minimise(vec![-1.2, 1.0], |x, g| {
            let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
            g[0] = -2.0 * a - 400.0 * x[0] * b;
            g[1] = 200.0 * b;
            a * a + 100.0 * b * b
        });
        assert!(found.converged, "{} iterations", found.n_iter);
        assert!((found.x[0] - 1.0).abs() < 1e-8 && (found.x[1] - 1.0).abs() < 1e-8, "{:?}", found.x);
    }

    #[test]
    fn says_when_it_was_stopped_before_the_minimum() {
        let lbfgs = Lbfgs { max_iter: 1, gradient_tolerance: 1e-9 };
        let found = lbfgs.minimise(vec![3.0, -2.0], |x, g| {
            g[0] = 2.0 * x[0];
            g[1] = 20.0 * x[1];
            x[0] * x[0] + 10.0 * x[1] * x[1]
        });
        assert!(!found.converged);
        assert_eq!(found.n_iter, 1);
    }
}
