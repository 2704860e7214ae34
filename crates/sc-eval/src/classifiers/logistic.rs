//! Multinomial logistic regression with an L2 penalty, an L1 penalty, or both.

pub(super) mod lbfgs;
mod owlqn;

use ndarray::Array2;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::design::{Design, accumulate};
use super::planes::Planes;
use super::training::{Classes, ROW_CHUNK, Training, softmax};
use super::{ClassWeight, Classifier};
use crate::features::Lines;
use crate::{Error, Features, Prediction, Result};
use lbfgs::{Lbfgs, dot};
use owlqn::OwlQn;

/// How to fit a [`LogisticRegression`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogisticRegressionParams {
    /// Inverse strength of the penalty, as scikit-learn's `C`: larger fits the training cells closer. Default 1.
    pub c: f64,
    /// Share of the L1 penalty, 0 to 1, as scikit-learn's `l1_ratio`: above 0, coefficients that do not pay for
    /// themselves are exactly 0. Default 0: L2 alone.
    pub l1_ratio: f64,
    /// How much the cells of each class count. Default uniform.
    pub class_weight: ClassWeight,
    /// Most iterations of L-BFGS. Default 1,000.
    pub max_iter: usize,
    /// Stop when no component of the gradient of the mean loss is larger (with L1, of its smallest subgradient).
    /// Default 1e-4.
    pub tolerance: f64,
}

impl Default for LogisticRegressionParams {
    fn default() -> Self {
        let class_weight = ClassWeight::Uniform;
        Self { c: 1.0, l1_ratio: 0.0, class_weight, max_iter: 1000, tolerance: 1e-4 }
    }
}

/// A fitted logistic regression: the softmax over classes of `x · w + intercept`.
///
/// Minimises scikit-learn's objective (`LogisticRegression`): the mean cross-entropy over cells, weighted by class, plus
/// `((1 - l1_ratio) ‖w‖² / 2 + l1_ratio ‖w‖₁) / (C n)`, where `n` is the sum of the cells' weights; intercepts without
/// penalty. With two classes there is one logistic function instead of a softmax. If all training cells are of one class,
/// it is predicted for everybody with probability 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogisticRegression {
    pub(crate) classes: Classes,
    planes: Planes,
    n_iter: usize,
    converged: bool,
}

impl LogisticRegressionParams {
    pub(crate) fn validate(&self) -> Result<()> {
        let rules = [
            ("c", self.c, self.c > 0.0 && self.c.is_finite(), "above 0"),
            ("l1_ratio", self.l1_ratio, (0.0..=1.0).contains(&self.l1_ratio), "0 to 1"),
            ("tolerance", self.tolerance, self.tolerance >= 0.0, "at least 0"),
        ];
        for (name, value, holds, expected) in rules {
            if !holds {
                return Err(Error::Parameter { name, value: value.to_string(), expected });
            }
        }
        Ok(())
    }

    /// Fits on the rows of `x` with class indices `y`, all below `n_classes`.
    ///
    /// # Errors
    /// No cells, a wrong number of labels, a label that is not below `n_classes`, or a parameter out of its range.
    pub fn fit(&self, x: &Features, y: &[u32], n_classes: usize) -> Result<LogisticRegression> {
        self.validate()?;
        let training = Training::new(x, y, n_classes)?;
        let row_weights = self.class_weight.of_rows(&training)?;
        let Training { codes, classes } = training;
        let n_outputs = n_outputs(&classes);
        let width = Planes::width(n_outputs);
        let design = Design::new(x);
        let total: f64 = row_weights.iter().sum();
        let penalty = 1.0 / (self.c * total);
        let mut loss = Loss {
            columns: design.columns(),
            residuals: vec![0.0; design.n_rows * width],
            penalty: (1.0 - self.l1_ratio) * penalty,
            codes: &codes,
            row_weights: &row_weights,
            total,
            design: &design,
            binary: classes.n_present() == 2,
            n_outputs,
            width,
        };
        let start = vec![0.0; (design.n_cols + 1) * width];
        let objective = |w: &[f64], gradient: &mut [f64]| loss.evaluate(w, gradient);
        let (max_iter, gradient_tolerance) = (self.max_iter, self.tolerance);
        let found = if self.l1_ratio > 0.0 {
            let (l1, n_penalised) = (self.l1_ratio * penalty, design.n_cols * width);
            OwlQn { max_iter, gradient_tolerance, l1, n_penalised }.minimise(start, objective)
        } else {
            Lbfgs { max_iter, gradient_tolerance }.minimise(start, objective)
        };
        let mut weights = found.x;
        let mut intercepts = weights.split_off(design.n_cols * width);
        intercepts.truncate(n_outputs);
        let planes = Planes::new(weights, intercepts);
        Ok(LogisticRegression { classes, planes, n_iter: found.n_iter, converged: found.converged })
    }
}

/// Two classes share one score.
fn n_outputs(classes: &Classes) -> usize {
    if classes.n_present() == 2 { 1 } else { classes.n_present() }
}

struct Loss<'a> {
    design: &'a Design,
    columns: Lines,
    codes: &'a [u32],
    row_weights: &'a [f64],
    /// Sum of the row weights.
    total: f64,
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
        let (row_weights, n) = (self.row_weights, self.total);
        let (weights, intercepts) = w.split_at(self.design.n_cols * width);
        self.design.times(width, weights, &mut self.residuals);
        let chunks: Vec<(f64, Vec<f64>)> = self
            .residuals
            .par_chunks_mut(ROW_CHUNK * width)
            .enumerate()
            .map(|(chunk, rows)| {
                let (mut loss, mut sums) = (0.0, vec![0.0; width]);
                let cells = codes[chunk * ROW_CHUNK..].iter().zip(&row_weights[chunk * ROW_CHUNK..]);
                for (row, (&code, &weight)) in rows.chunks_exact_mut(width).zip(cells) {
                    let z = &mut row[..n_outputs];
                    z.iter_mut().zip(intercepts).for_each(|(z, b)| *z += b);
                    loss += weight * residual(z, code as usize, binary);
                    z.iter_mut().for_each(|r| *r *= weight);
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
    /// The weights `w`, outputs × features, as scikit-learn's `coef_`: a row for each class that occurs in training, in
    /// order of its index; one row, that of the second class, for two classes.
    pub fn coefficients(&self) -> Array2<f64> {
        self.planes.coefficients()
    }

    /// One intercept per row of [`LogisticRegression::coefficients`].
    pub fn intercepts(&self) -> &[f64] {
        self.planes.intercepts()
    }

    /// Iterations that L-BFGS took.
    pub fn n_iter(&self) -> usize {
        self.n_iter
    }

    /// Whether the gradient fell below the tolerance.
    pub fn converged(&self) -> bool {
        self.converged
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        self.classes.check()?;
        self.planes.check(self.classes.n_features(), n_outputs(&self.classes))
    }
}

impl Classifier for LogisticRegression {
    fn predict(&self, x: &Features) -> Result<Prediction> {
        self.classes.check_features(x)?;
        let mut scores = self.planes.scores(x);
        let mut probabilities = Vec::with_capacity(x.n_rows() * self.classes.n_present());
        for z in scores.chunks_exact_mut(self.planes.n_outputs()) {
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
