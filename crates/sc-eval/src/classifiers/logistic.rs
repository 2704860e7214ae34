//! Multinomial logistic regression with an L2 penalty.

pub(super) mod lbfgs;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Classifier;
use super::design::{Design, LANES, accumulate};
use super::training::{Classes, ROW_CHUNK, Training, softmax};
use crate::features::Lines;
use crate::{Error, Features, Prediction, Result};
use lbfgs::{Lbfgs, dot};

/// How to fit a [`LogisticRegression`].
#[derive(Clone, Debug, PartialEq)]
pub struct LogisticRegressionParams {
    /// Inverse strength of the L2 penalty, as scikit-learn's `C`: larger fits the training cells closer. Default 1.
    pub c: f64,
    /// Most iterations of L-BFGS. Default 1,000.
    pub max_iter: usize,
    /// Stop when no component of the gradient of the mean loss is larger. Default 1e-4.
    pub tolerance: f64,
}

impl Default for LogisticRegressionParams {
    fn default() -> Self {
        Self { c: 1.0, max_iter: 1000, tolerance: 1e-4 }
    }
}

/// A fitted logistic regression: the softmax over classes of `x · w + intercept`.
///
/// Minimises scikit-learn's objective (`LogisticRegression`, lbfgs): the mean cross-entropy plus
/// `‖w‖² / (2 C n)`, intercepts without penalty; with two classes one logistic function instead of a softmax.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogisticRegression {
    pub(crate) classes: Classes,
    /// `n_features × width`, row-major.
    weights: Vec<f64>,
    intercepts: Vec<f64>,
    width: usize,
    n_outputs: usize,
    n_iter: usize,
    converged: bool,
}

impl LogisticRegressionParams {
    /// Fits on the rows of `x` with class indices `y`, all below `n_classes`.
    ///
    /// # Errors
    /// No cells, a wrong number of labels, a label that is not below `n_classes`, or a parameter out of its range.
    pub fn fit(&self, x: &Features, y: &[u32], n_classes: usize) -> Result<LogisticRegression> {
        if !(self.c > 0.0 && self.c.is_finite()) {
            return Err(Error::Parameter { name: "c", value: self.c.to_string(), expected: "above 0" });
        }
        let Training { codes, classes } = Training::new(x, y, n_classes)?;
        let n_outputs = if classes.n_present() == 2 { 1 } else { classes.n_present() };
        let width = n_outputs.next_multiple_of(LANES);
        let design = Design::new(x);
        let mut loss = Loss {
            columns: design.columns(),
            residuals: vec![0.0; design.n_rows * width],
            penalty: 1.0 / (self.c * design.n_rows as f64),
            codes: &codes,
            design: &design,
            binary: classes.n_present() == 2,
            n_outputs,
            width,
        };
        let lbfgs = Lbfgs { max_iter: self.max_iter, gradient_tolerance: self.tolerance };
        let start = vec![0.0; (design.n_cols + 1) * width];
        let found = lbfgs.minimise(start, |w, gradient| loss.evaluate(w, gradient));
        let mut weights = found.x;
        let intercepts = weights.split_off(design.n_cols * width);
        let (n_iter, converged) = (found.n_iter, found.converged);
        Ok(LogisticRegression { classes, weights, intercepts, width, n_outputs, n_iter, converged })
    }
}

struct Loss<'a> {
    design: &'a Design,
    columns: Lines,
    codes: &'a [u32],
    /// Scores, then probability minus truth: rows × width.
    residuals: Vec<f64>,
    penalty: f64,
    /// Two classes, one score.
    binary: bool,
    n_outputs: usize,
    width: usize,
}

impl Loss<'_> {
    /// The objective at `w` (weights, then intercepts) and its gradient.
    fn evaluate(&mut self, w: &[f64], gradient: &mut [f64]) -> f64 {
        let (width, n_outputs, codes, binary) = (self.width, self.n_outputs, self.codes, self.binary);
        let n = self.design.n_rows as f64;
        let (weights, intercepts) = w.split_at(self.design.n_cols * width);
        self.design.times(width, weights, &mut self.residuals);
        let chunks: Vec<(f64, Vec<f64>)> = self
            .residuals
            .par_chunks_mut(ROW_CHUNK * width)
            .enumerate()
            .map(|(chunk, rows)| {
                let (mut loss, mut sums) = (0.0, vec![0.0; width]);
                for (row, &code) in rows.chunks_exact_mut(width).zip(&codes[chunk * ROW_CHUNK..]) {
                    let z = &mut row[..n_outputs];
                    z.iter_mut().zip(intercepts).for_each(|(z, b)| *z += b);
                    loss += residual(z, code as usize, binary);
                    sums.iter_mut().zip(&*z).for_each(|(sum, r)| *sum += r);
                    row[n_outputs..].fill(0.0);
                }
                (loss, sums)
            })
            .collect();
        let mut loss = 0.0;
        let mut sums = vec![0.0; width];
        for (chunk_loss, chunk_sums) in chunks {
            loss += chunk_loss;
            sums.iter_mut().zip(chunk_sums).for_each(|(sum, s)| *sum += s);
        }
        let (by_weight, by_intercept) = gradient.split_at_mut(weights.len());
        for (row, &b) in by_weight.chunks_exact_mut(width).zip(&self.design.background) {
            row.iter_mut().zip(&sums).for_each(|(g, sum)| *g = b * sum);
        }
        accumulate(&self.columns, width, &self.residuals, by_weight);
        for (g, w) in by_weight.iter_mut().zip(weights) {
            *g = *g / n + self.penalty * w;
        }
        by_intercept.iter_mut().zip(&sums).for_each(|(g, sum)| *g = sum / n);
        loss / n + 0.5 * self.penalty * dot(weights, weights)
    }
}

/// Turns the scores `z` of one cell into probability minus truth and returns its cross-entropy. With two classes there
/// is one score, and its logistic function is the probability of the second class.
fn residual(z: &mut [f64], code: usize, binary: bool) -> f64 {
    if let ([z], true) = (&mut *z, binary) {
        let signed = if code == 1 { -*z } else { *z };
        let loss = if signed > 0.0 {
            signed + libm::log1p(libm::exp(-signed))
        } else {
            libm::log1p(libm::exp(signed))
        };
        *z = 1.0 / (1.0 + libm::exp(-*z)) - code as f64;
        return loss;
    }
    let largest = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let own = z[code] - largest;
    let mut sum = 0.0;
    for value in z.iter_mut() {
        *value = libm::exp(*value - largest);
        sum += *value;
    }
    z.iter_mut().for_each(|value| *value /= sum);
    z[code] -= 1.0;
    libm::log(sum) - own
}

impl LogisticRegression {
    /// Iterations that L-BFGS took.
    pub fn n_iter(&self) -> usize {
        self.n_iter
    }

    /// Whether the gradient fell below the tolerance.
    pub fn converged(&self) -> bool {
        self.converged
    }

    /// Proves what prediction relies on, for a model that was read from a file.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.classes.check()?;
        let n_outputs = if self.classes.n_present() == 2 { 1 } else { self.classes.n_present() };
        let width = n_outputs.next_multiple_of(LANES);
        let fits = self.n_outputs == n_outputs
            && self.width == width
            && self.intercepts.len() == width
            && Some(self.weights.len()) == self.classes.n_features().checked_mul(width);
        if !fits {
            return Err(format!("{} weights do not make {n_outputs} outputs", self.weights.len()));
        }
        match self.weights.iter().chain(&self.intercepts).all(|w| w.is_finite()) {
            true => Ok(()),
            false => Err("a weight is not finite".to_owned()),
        }
    }
}

impl Classifier for LogisticRegression {
    fn predict(&self, x: &Features) -> Result<Prediction> {
        self.classes.check_features(x)?;
        let mut scores = vec![0.0; x.n_rows() * self.width];
        Design::new(x).times(self.width, &self.weights, &mut scores);
        let mut probabilities = Vec::with_capacity(x.n_rows() * self.classes.n_present());
        for row in scores.chunks_exact_mut(self.width) {
            let z = &mut row[..self.n_outputs];
            z.iter_mut().zip(&self.intercepts).for_each(|(z, b)| *z += b);
            if let ([z], 2) = (&mut *z, self.classes.n_present()) {
                let second = 1.0 / (1.0 + libm::exp(-*z));
                probabilities.extend([1.0 - second, second]);
            } else {
                softmax(z);
                probabilities.extend_from_slice(z);
            }
        }
        Ok(self.classes.with_probabilities(&probabilities))
    }
}
