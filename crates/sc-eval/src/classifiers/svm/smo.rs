//! Sequential minimal optimisation of one two-class kernel SVM.
//!
//! Working sets by second-order information (Fan, Chen & Lin, JMLR 2005), as in LIBSVM, without shrinking.

/// Kernel values of a subset of rows, by position in the subset.
pub(super) trait KernelRows {
    /// `K(i, ·)`, one value per row of the subset, into `out`.
    fn row(&self, i: usize, out: &mut [f32]);
}

pub(super) struct Solution {
    /// `alpha · sign` of each row; 0 for rows that are no support vectors.
    pub(super) coefficients: Vec<f64>,
    /// Subtracted from the decision value.
    pub(super) rho: f64,
    /// Whether the optimum was reached to the tolerance.
    pub(super) converged: bool,
}

/// Largest alpha of a row with sign 1, and of one with sign -1.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) positive: f64,
    pub(super) negative: f64,
}

impl Bounds {
    fn of(self, sign: f64) -> f64 {
        if sign > 0.0 { self.positive } else { self.negative }
    }
}

/// Smallest curvature that a step divides by, for kernels that are not positive definite to rounding.
const MIN_CURVATURE: f64 = 1e-12;

/// Maximises the dual for signs `sign` (±1), each alpha from 0 to its bound in `c`, stopping at `tolerance`. `K(i, i)`
/// is 1.
pub(super) fn solve(
    kernel: &impl KernelRows,
    sign: &[f64],
    c: Bounds,
    tolerance: f64,
    max_iter: usize,
) -> Solution {
    let n = sign.len();
    let mut alpha = vec![0.0f64; n];
    let mut gradient = vec![-1.0f64; n];
    let (mut row_i, mut row_j) = (vec![0f32; n], vec![0f32; n]);
    let mut converged = false;
    for _ in 0..max_iter {
        let Some((i, largest)) = most_violating(&alpha, &gradient, sign, c) else {
            converged = true;
            break;
        };
        kernel.row(i, &mut row_i);
        let Some(j) = partner(largest, &row_i, &alpha, &gradient, sign, c, tolerance) else {
            converged = true;
            break;
        };
        kernel.row(j, &mut row_j);
        let curvature = (2.0 - 2.0 * f64::from(row_i[j])).max(MIN_CURVATURE);
        let (old_i, old_j) = (alpha[i], alpha[j]);
        // The pair moves along the line on which the sum of alpha · sign stays what it is.
        let step = (-sign[i] * gradient[i] + sign[j] * gradient[j]) / curvature;
        let room_i = if sign[i] > 0.0 { c.positive - old_i } else { old_i };
        let room_j = if sign[j] > 0.0 { old_j } else { c.negative - old_j };
        let step = step.min(room_i).min(room_j);
        alpha[i] = at_bound(old_i + sign[i] * step, step == room_i, sign[i] > 0.0, c.of(sign[i]));
        alpha[j] = at_bound(old_j - sign[j] * step, step == room_j, sign[j] < 0.0, c.of(sign[j]));
        let (di, dj) = ((alpha[i] - old_i) * sign[i], (alpha[j] - old_j) * sign[j]);
        for (((g, &s), &ki), &kj) in gradient.iter_mut().zip(sign).zip(&row_i).zip(&row_j) {
            *g += s * (di * f64::from(ki) + dj * f64::from(kj));
        }
    }
    let rho = offset(&alpha, &gradient, sign, c);
    let coefficients = alpha.iter().zip(sign).map(|(a, s)| a * s).collect();
    Solution { coefficients, rho, converged }
}

/// Lands on the bound exactly, so that rounding leaves no alpha a hair inside it.
fn at_bound(alpha: f64, reached: bool, upwards: bool, c: f64) -> f64 {
    match (reached, upwards) {
        (true, true) => c,
        (true, false) => 0.0,
        _ => alpha,
    }
}

fn can_rise(alpha: f64, sign: f64, c: f64) -> bool {
    if sign > 0.0 { alpha < c } else { alpha > 0.0 }
}

fn can_fall(alpha: f64, sign: f64, c: f64) -> bool {
    if sign > 0.0 { alpha > 0.0 } else { alpha < c }
}

/// The row with the largest `-sign · gradient` among those that can rise, and that value.
fn most_violating(alpha: &[f64], gradient: &[f64], sign: &[f64], c: Bounds) -> Option<(usize, f64)> {
    let mut best: Option<(usize, f64)> = None;
    for t in 0..alpha.len() {
        let value = -sign[t] * gradient[t];
        if can_rise(alpha[t], sign[t], c.of(sign[t])) && best.is_none_or(|(_, largest)| value > largest) {
            best = Some((t, value));
        }
    }
    best
}

/// The row that, moved together with the most violating one, promises the largest gain; `None` at the optimum.
fn partner(
    largest: f64,
    row_i: &[f32],
    alpha: &[f64],
    gradient: &[f64],
    sign: &[f64],
    c: Bounds,
    tolerance: f64,
) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    let mut smallest = f64::INFINITY;
    for t in 0..alpha.len() {
        if !can_fall(alpha[t], sign[t], c.of(sign[t])) {
            continue;
        }
        let value = -sign[t] * gradient[t];
        smallest = smallest.min(value);
        let difference = largest - value;
        if difference > 0.0 {
            let curvature = (2.0 - 2.0 * f64::from(row_i[t])).max(MIN_CURVATURE);
            let gain = difference * difference / curvature;
            if best.is_none_or(|(_, largest)| gain > largest) {
                best = Some((t, gain));
            }
        }
    }
    if largest - smallest < tolerance { None } else { best.map(|(t, _)| t) }
}

/// The offset that free support vectors agree on; the middle of what the bounds allow if there is none.
fn offset(alpha: &[f64], gradient: &[f64], sign: &[f64], c: Bounds) -> f64 {
    let (mut sum, mut free) = (0.0, 0usize);
    let (mut upper, mut lower) = (f64::INFINITY, f64::NEG_INFINITY);
    for t in 0..alpha.len() {
        let value = sign[t] * gradient[t];
        if alpha[t] > 0.0 && alpha[t] < c.of(sign[t]) {
            sum += value;
            free += 1;
        } else if can_rise(alpha[t], sign[t], c.of(sign[t])) {
            upper = upper.min(value);
        } else {
            lower = lower.max(value);
        }
    }
    if free > 0 { sum / free as f64 } else { (upper + lower) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(c: f64) -> Bounds {
        Bounds { positive: c, negative: c }
    }

    struct Full(Vec<Vec<f32>>);

    impl KernelRows for Full {
        fn row(&self, i: usize, out: &mut [f32]) {
            out.copy_from_slice(&self.0[i]);
        }
    }

    #[test]
    fn two_points_share_one_alpha_and_the_offset_lies_between_them() {
        let kernel = Full(vec![vec![1.0, 0.5], vec![0.5, 1.0]]);
        let solution = solve(&kernel, &[1.0, -1.0], bounds(10.0), 1e-6, 100);
        // The dual 2a - a²(1 - k) is largest at 1 / (1 - k) = 2.
        assert!((solution.coefficients[0] - 2.0).abs() < 1e-6, "{:?}", solution.coefficients);
        assert!((solution.coefficients[0] + solution.coefficients[1]).abs() < 1e-12);
        assert!(solution.rho.abs() < 1e-6 && solution.converged);
    }

    #[test]
    fn the_box_holds() {
        let kernel = Full(vec![vec![1.0, 0.5], vec![0.5, 1.0]]);
        let solution = solve(&kernel, &[1.0, -1.0], bounds(0.25), 1e-6, 100);
        assert_eq!(solution.coefficients, [0.25, -0.25]);
    }
}
