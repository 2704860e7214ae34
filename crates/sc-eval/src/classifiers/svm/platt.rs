//! Probabilities from decision values: Platt's sigmoid, and the coupling of pairs.

use serde::{Deserialize, Serialize};

/// Parts of the training cells that take turns at being held out.
pub(super) const N_FOLDS: usize = 5;

/// `1 / (1 + exp(a · f + b))` for a decision value `f` (Platt 1999).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sigmoid {
    pub(super) a: f64,
    pub(super) b: f64,
}

/// Newton steps, and halvings of one.
const MAX_ITER: usize = 100;
const MIN_STEP: f64 = 1e-10;
/// Largest component of the gradient at the end.
const TOLERANCE: f64 = 1e-8;
/// Added to the diagonal of the Hessian, which is singular where all decision values agree.
const RIDGE: f64 = 1e-12;

impl Sigmoid {
    /// Fits to decision values of held-out cells by Newton's method (Lin, Lin & Weng, Machine Learning 2007). Targets are
    /// Platt's, a little inside 0 and 1.
    pub(super) fn fit(decisions: &[f64], positive: &[bool]) -> Self {
        let n_positive = positive.iter().filter(|&&p| p).count() as f64;
        let n_negative = positive.len() as f64 - n_positive;
        let (high, low) = ((n_positive + 1.0) / (n_positive + 2.0), 1.0 / (n_negative + 2.0));
        let target = |i: usize| if positive[i] { high } else { low };
        let loss = |s: Self| -> f64 {
            let cell = |(i, &f): (usize, &f64)| {
                let z = s.a * f + s.b;
                if z >= 0.0 {
                    target(i) * z + libm::log1p(libm::exp(-z))
                } else {
                    (target(i) - 1.0) * z + libm::log1p(libm::exp(z))
                }
            };
            decisions.iter().enumerate().map(cell).sum()
        };
        let mut found = Self { a: 0.0, b: libm::log((n_negative + 1.0) / (n_positive + 1.0)) };
        let mut value = loss(found);
        for _ in 0..MAX_ITER {
            let (mut haa, mut hbb, mut hab) = (RIDGE, RIDGE, 0.0);
            let (mut ga, mut gb) = (0.0, 0.0);
            for (i, &f) in decisions.iter().enumerate() {
                let p = found.probability(f);
                let curvature = p * (1.0 - p);
                haa += f * f * curvature;
                hbb += curvature;
                hab += f * curvature;
                let residual = target(i) - p;
                ga += f * residual;
                gb += residual;
            }
            if ga.abs() < TOLERANCE && gb.abs() < TOLERANCE {
                break;
            }
            let determinant = haa * hbb - hab * hab;
            let (da, db) = (-(hbb * ga - hab * gb) / determinant, -(haa * gb - hab * ga) / determinant);
            let slope = ga * da + gb * db;
            let mut step = 1.0;
            let better = loop {
                let next = Self { a: found.a + step * da, b: found.b + step * db };
                let next_value = loss(next);
                if next_value < value + 1e-4 * step * slope {
                    break Some((next, next_value));
                }
                step /= 2.0;
                if step < MIN_STEP {
                    break None;
                }
            };
            let Some(better) = better else { break };
            (found, value) = better;
        }
        found
    }

    /// Proves that probabilities come out, for a value that was read from a file.
    pub(super) fn check(&self) -> Result<(), String> {
        match self.a.is_finite() && self.b.is_finite() {
            true => Ok(()),
            false => Err(format!("a sigmoid has the slope {} and the offset {}", self.a, self.b)),
        }
    }

    /// The probability of the positive class.
    pub(super) fn probability(self, f: f64) -> f64 {
        let z = self.a * f + self.b;
        if z >= 0.0 {
            let e = libm::exp(-z);
            e / (1.0 + e)
        } else {
            1.0 / (1.0 + libm::exp(z))
        }
    }
}

/// Nearest that the probability of a pair may come to 0 or 1, as in LIBSVM.
pub(super) const EDGE: f64 = 1e-7;

/// Class probabilities that agree best with those of all pairs (Wu, Lin & Weng, JMLR 2004, second method).
///
/// * `pairs`: `k × k`; entry `(i, j)` is the probability of `i` for a cell that is of `i` or `j`; the diagonal plays no part.
/// * `out`: `k` probabilities.
pub(super) fn couple(pairs: &[f64], out: &mut [f64]) {
    let k = out.len();
    let mut q = vec![0.0; k * k];
    for t in 0..k {
        for j in (0..k).filter(|&j| j != t) {
            q[t * k + t] += pairs[j * k + t] * pairs[j * k + t];
            q[t * k + j] = -pairs[j * k + t] * pairs[t * k + j];
        }
    }
    out.fill(1.0 / k as f64);
    let mut qp = vec![0.0; k];
    for _ in 0..MAX_ITER.max(k) {
        for (qp, row) in qp.iter_mut().zip(q.chunks_exact(k)) {
            *qp = row.iter().zip(&*out).map(|(q, p)| q * p).sum();
        }
        let mut pqp: f64 = out.iter().zip(&qp).map(|(p, qp)| p * qp).sum();
        if qp.iter().all(|qp| (qp - pqp).abs() < TOLERANCE / k as f64) {
            break;
        }
        for t in 0..k {
            let own = q[t * k + t];
            let step = (pqp - qp[t]) / own;
            out[t] += step;
            let scale = 1.0 + step;
            pqp = (pqp + step * (step * own + 2.0 * qp[t])) / (scale * scale);
            for j in 0..k {
                qp[j] = (qp[j] + step * q[t * k + j]) / scale;
                out[j] /= scale;
            }
        }
    }
}

/// The part of each cell, `0..N_FOLDS`: cell for cell scikit-learn's `StratifiedKFold(5)` without shuffling, on which
/// small classes are not an error.
pub(super) fn stratified_folds(codes: &[u32], n_classes: usize) -> Vec<usize> {
    let mut cells: Vec<Vec<usize>> = vec![Vec::new(); n_classes];
    let mut order = Vec::new();
    for (i, &code) in codes.iter().enumerate() {
        if cells[code as usize].is_empty() {
            order.push(code as usize);
        }
        cells[code as usize].push(i);
    }
    let (mut fold_of_cell, mut dealt) = (vec![0; codes.len()], 0);
    for code in order {
        let own = &cells[code];
        let mut folds: Vec<usize> = (dealt..dealt + own.len()).map(|i| i % N_FOLDS).collect();
        folds.sort_unstable();
        dealt += own.len();
        own.iter().zip(folds).for_each(|(&cell, fold)| fold_of_cell[cell] = fold);
    }
    fold_of_cell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sigmoid_of_two_kinds_of_cells_reaches_their_shares() {
        // Decision 1: 3 of 4 positive; decision -1: 1 of 4. Platt's targets pull both towards the middle.
        let decisions = [1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0];
        let positive = [true, true, true, false, true, false, false, false];
        let sigmoid = Sigmoid::fit(&decisions, &positive);
        let (high, low) = (5.0 / 6.0, 1.0 / 6.0);
        assert!((sigmoid.probability(1.0) - (3.0 * high + low) / 4.0).abs() < 1e-9);
        assert!((sigmoid.probability(-1.0) - (high + 3.0 * low) / 4.0).abs() < 1e-9);
    }

    #[test]
    fn cells_that_look_all_the_same_get_the_share_of_the_class() {
        let sigmoid =
            Sigmoid::fit(&[0.5; 10], &[true, true, false, false, false, false, false, false, false, false]);
        assert!((sigmoid.probability(0.5) - (2.0 * 0.75 + 8.0 * 0.1) / 10.0).abs() < 1e-6);
        assert!(sigmoid.a.is_finite() && sigmoid.b.is_finite());
    }

    #[test]
    fn pairs_that_agree_give_back_the_probabilities_they_come_from() {
        let p = [0.6, 0.3, 0.1];
        let pairs: Vec<f64> = (0..9).map(|at| p[at / 3] / (p[at / 3] + p[at % 3])).collect();
        let mut out = [0.0; 3];
        couple(&pairs, &mut out);
        assert!(out.iter().zip(p).all(|(a, b)| (a - b).abs() < 1e-7), "{out:?}");
    }

    #[test]
    fn every_part_has_its_share_of_each_class() {
        let folds = stratified_folds(&[0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2], 3);
        assert_eq!(folds, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0]);
    }
}
