//! L-BFGS for a smooth function plus the sum of absolute values: orthant-wise (Andrew & Gao, ICML 2007).

use std::collections::VecDeque;

use super::lbfgs::{HISTORY, Minimum, Pair, descent, dot, largest};

pub(crate) struct OwlQn {
    pub(crate) max_iter: usize,
    /// Stop when no component of the subgradient of smallest length is larger.
    pub(crate) gradient_tolerance: f64,
    /// Weight of the sum of absolute values.
    pub(crate) l1: f64,
    /// How many variables, from the first, count in that sum.
    pub(crate) n_penalised: usize,
}

/// Share of the promised decrease that a step must bring.
const DECREASE: f64 = 1e-4;
/// Halvings of one line search.
const MAX_HALVINGS: usize = 40;

impl OwlQn {
    /// Minimises `f` plus the penalty; `f` returns its value at `x` and writes its gradient.
    pub(crate) fn minimise(&self, start: Vec<f64>, mut f: impl FnMut(&[f64], &mut [f64]) -> f64) -> Minimum {
        let mut x = start;
        let mut gradient = vec![0.0; x.len()];
        let mut value = f(&x, &mut gradient) + self.penalty(&x);
        let mut pairs: VecDeque<Pair> = VecDeque::with_capacity(HISTORY);
        let (mut next, mut next_gradient) = (x.clone(), gradient.clone());
        let mut n_iter = 0;
        loop {
            let slopes = self.subgradient(&x, &gradient);
            let converged = largest(&slopes) <= self.gradient_tolerance;
            if converged || n_iter == self.max_iter {
                return Minimum { x, n_iter, converged };
            }
            n_iter += 1;
            let mut direction = descent(&pairs, &slopes);
            // Only where the curvature agrees that it goes down.
            for (d, s) in direction.iter_mut().zip(&slopes) {
                if *d * s >= 0.0 {
                    *d = 0.0;
                }
            }
            let mut step = if pairs.is_empty() { 1.0 / dot(&slopes, &slopes).sqrt().max(1.0) } else { 1.0 };
            let mut found = None;
            for _ in 0..MAX_HALVINGS {
                self.step_into(&mut next, &x, &slopes, &direction, step);
                let next_value = f(&next, &mut next_gradient) + self.penalty(&next);
                let promised: f64 = slopes.iter().zip(&next).zip(&x).map(|((s, n), x)| s * (n - x)).sum();
                if next_value <= value + DECREASE * promised && promised < 0.0 {
                    found = Some(next_value);
                    break;
                }
                step *= 0.5;
            }
            match found {
                Some(next_value) => value = next_value,
                // The curvature misled the search: begin again without it, or give up.
                None if pairs.is_empty() => return Minimum { x, n_iter, converged: false },
                None => {
                    pairs.clear();
                    continue;
                }
            }
            let step: Vec<f64> = next.iter().zip(&x).map(|(new, old)| new - old).collect();
            let change: Vec<f64> = next_gradient.iter().zip(&gradient).map(|(new, old)| new - old).collect();
            let curvature = dot(&step, &change);
            if curvature > f64::EPSILON * dot(&change, &change) {
                if pairs.len() == HISTORY {
                    pairs.pop_front();
                }
                pairs.push_back(Pair { step, change, rho: 1.0 / curvature });
            }
            std::mem::swap(&mut x, &mut next);
            std::mem::swap(&mut gradient, &mut next_gradient);
        }
    }

    fn penalty(&self, x: &[f64]) -> f64 {
        self.l1 * x[..self.n_penalised].iter().map(|v| v.abs()).sum::<f64>()
    }

    /// The subgradient of smallest length: 0 where a variable at 0 gains nothing by leaving it.
    fn subgradient(&self, x: &[f64], gradient: &[f64]) -> Vec<f64> {
        let mut slopes = gradient.to_vec();
        for (slope, &x) in slopes.iter_mut().zip(&x[..self.n_penalised]) {
            *slope = if x > 0.0 {
                *slope + self.l1
            } else if x < 0.0 {
                *slope - self.l1
            } else {
                *slope - slope.clamp(-self.l1, self.l1)
            };
        }
        slopes
    }

    /// A step that stops at 0 where a penalised variable would change its sign.
    fn step_into(&self, next: &mut [f64], x: &[f64], slopes: &[f64], direction: &[f64], step: f64) {
        for ((next, x), d) in next.iter_mut().zip(x).zip(direction) {
            *next = x + step * d;
        }
        for ((next, &x), slope) in next[..self.n_penalised].iter_mut().zip(x).zip(slopes) {
            let side = if x == 0.0 { -slope } else { x };
            if *next * side <= 0.0 {
                *next = 0.0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_variables_end_at_zero_and_large_ones_are_shrunk_by_the_weight() {
        let target = [3.0, -0.5, 0.2, -2.0];
        let owlqn = OwlQn { max_iter: 100, gradient_tolerance: 1e-10, l1: 1.0, n_penalised: 3 };
        let found = owlqn.minimise(vec![0.0; 4], |x, g| {
            let mut value = 0.0;
            for i in 0..4 {
                g[i] = x[i] - target[i];
                value += 0.5 * g[i] * g[i];
            }
            value
        });
        assert!(found.converged);
        let expected = [2.0, 0.0, 0.0, -2.0];
        assert!(found.x.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{:?}", found.x);
        assert_eq!(&found.x[1..3], [0.0, 0.0]);
    }
}
