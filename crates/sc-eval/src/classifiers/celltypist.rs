//! The CellTypist classifier: scaled genes, and one logistic function per class.

mod one_vs_rest;
mod scaling;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::Classifier;
use super::training::{Classes, Training, argmax};
use crate::{Error, Features, Prediction, Result};
use one_vs_rest::{Fit, OneVsRest};
use scaling::Scaling;

/// How to fit a [`CellTypist`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CellTypistParams {
    /// Inverse strength of the L2 penalty, as `C` of `celltypist.train`. Default 1.
    pub c: f64,
    /// Most iterations of L-BFGS. Default 1,000.
    pub max_iter: usize,
    /// Stop when no component of the gradient of a mean loss is larger. Default 1e-4.
    pub tolerance: f64,
    /// Whether to fit twice: the second time on the genes with the largest weights of the first. Default false.
    pub feature_selection: bool,
    /// Genes that each class brings into the second fit, those with its largest absolute weights. Default 300.
    pub top_genes: usize,
    /// Strength of the L2 penalty of the first of two fits, `alpha / 2 ‖w‖²` beside the mean loss. Default 1e-4.
    pub alpha: f64,
}

impl Default for CellTypistParams {
    fn default() -> Self {
        Self {
            c: 1.0,
            max_iter: 1000,
            tolerance: 1e-4,
            feature_selection: false,
            top_genes: 300,
            alpha: 1e-4,
        }
    }
}

/// A fitted CellTypist model (Domínguez Conde et al., Science 2022): every gene standardised and cut off at 10 above its
/// mean, then a logistic regression of each class against the rest.
///
/// The features are log-normalised expression, `ln(1 + counts per 10,000)`, of all genes or of a choice: means and standard
/// deviations are learnt here, from the training cells. Genes that no training cell has are left out.
///
/// The same objective as `celltypist.train(C=c)` (scikit-learn's `LogisticRegression(multi_class="ovr")`), whose minimum
/// is unique. With `feature_selection` CellTypist makes the first fit by stochastic gradient descent; here L-BFGS
/// minimises the same objective, for 100 iterations at most, so the genes chosen are not all the same.
/// [`majority_vote`](super::majority_vote) is CellTypist's second step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellTypist {
    pub(crate) classes: Classes,
    scaling: Scaling,
    planes: OneVsRest,
    n_iter: usize,
    converged: bool,
}

/// Iterations of the first of two fits: it only ranks genes.
const FIRST_ITERATIONS: usize = 100;

impl CellTypistParams {
    /// Fits on the rows of `x` with class indices `y`, all below `n_classes`.
    ///
    /// # Errors
    /// No cells, a wrong number of labels, a label that is not below `n_classes`, or a parameter out of its range.
    pub fn fit(&self, x: &Features, y: &[u32], n_classes: usize) -> Result<CellTypist> {
        let positive = |v: f64| v > 0.0 && v.is_finite();
        let rules = [
            ("c", self.c.to_string(), positive(self.c), "above 0"),
            ("alpha", self.alpha.to_string(), positive(self.alpha), "above 0"),
            ("tolerance", self.tolerance.to_string(), self.tolerance >= 0.0, "at least 0"),
            ("top_genes", self.top_genes.to_string(), self.top_genes > 0, "at least 1"),
        ];
        if let Some((name, value, _, expected)) = rules.into_iter().find(|(_, _, holds, _)| !holds) {
            return Err(Error::Parameter { name, value, expected });
        }
        let Training { codes, classes } = Training::new(x, y, n_classes)?;
        let mut scaling = Scaling::fit(x);
        if self.feature_selection {
            let first = Fit {
                penalty: self.alpha,
                max_iter: self.max_iter.min(FIRST_ITERATIONS),
                tolerance: self.tolerance,
            };
            let (planes, _) = first.run(&scaling.transform(x), &codes, classes.n_present());
            scaling = scaling.select(&planes.top_features(self.top_genes));
        }
        let fit = Fit {
            penalty: 1.0 / (self.c * codes.len() as f64),
            max_iter: self.max_iter,
            tolerance: self.tolerance,
        };
        let (planes, minimum) = fit.run(&scaling.transform(x), &codes, classes.n_present());
        let (n_iter, converged) = (minimum.n_iter, minimum.converged);
        let model = CellTypist { classes, scaling, planes, n_iter, converged };
        debug_assert_eq!(model.check(), Ok(()));
        Ok(model)
    }
}

impl CellTypist {
    /// The weight of each gene in the score of each class that occurs in training: for every feature that is used, its
    /// column, and one weight per class (one in all for two classes, that of the second).
    pub fn coefficients(&self) -> (Vec<u32>, Array2<f64>) {
        (self.scaling.columns().to_vec(), self.planes.coefficients())
    }

    /// Iterations that L-BFGS took in the last fit.
    pub fn n_iter(&self) -> usize {
        self.n_iter
    }

    /// Whether the gradient fell below the tolerance in the last fit.
    pub fn converged(&self) -> bool {
        self.converged
    }

    /// CellTypist's decision matrix, cells × classes: log-odds of each class against the rest; minus infinity for a class
    /// without training cells.
    ///
    /// # Errors
    /// [`Error::Length`] if `x` has another number of features than the training cells had.
    pub fn decision_matrix(&self, x: &Features) -> Result<Array2<f64>> {
        self.classes.check_features(x)?;
        let scores = self.scores(x);
        let mut all = Array2::from_elem((x.n_rows(), self.classes.n_classes()), f64::NEG_INFINITY);
        for (mut row, scores) in all.rows_mut().into_iter().zip(scores.chunks_exact(self.classes.n_present()))
        {
            for (&code, &score) in self.classes.present().iter().zip(scores) {
                row[code as usize] = score;
            }
        }
        Ok(all)
    }

    /// CellTypist's probability matrix, cells × classes: the logistic function of the decision matrix. The probabilities of
    /// a cell are answers to as many questions, and do not sum to 1; those of [`Classifier::predict`] do.
    ///
    /// # Errors
    /// As [`CellTypist::decision_matrix`].
    pub fn probability_matrix(&self, x: &Features) -> Result<Array2<f64>> {
        Ok(self.decision_matrix(x)?.mapv_into(logistic))
    }

    /// The score of each class that occurs in training, rows × classes.
    fn scores(&self, x: &Features) -> Vec<f64> {
        let scores = self.planes.scores(&self.scaling.transform(x));
        match self.classes.n_present() {
            2 => scores.into_iter().flat_map(|z| [-z, z]).collect(),
            _ => scores,
        }
    }

    /// Proves what prediction relies on, for a model that was read from a file.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.classes.check()?;
        self.scaling.check(self.classes.n_features())?;
        self.planes.check(self.scaling.columns().len(), self.classes.n_present())
    }
}

fn logistic(z: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-z))
}

impl Classifier for CellTypist {
    /// The class with the largest score. Probabilities are those of [`CellTypist::probability_matrix`] divided by their sum.
    fn predict(&self, x: &Features) -> Result<Prediction> {
        self.classes.check_features(x)?;
        let scores = self.scores(x);
        let width = self.classes.n_present();
        let mut winners = Vec::with_capacity(x.n_rows());
        let mut probabilities = Vec::with_capacity(scores.len());
        for row in scores.chunks_exact(width) {
            winners.push(argmax(row));
            // Relative to the most certain class, so that the sum is not 0 where all are improbable.
            let odds = |z: &f64| -libm::log1p(libm::exp(-z.abs())) + z.min(0.0);
            let largest = row.iter().map(odds).fold(f64::NEG_INFINITY, f64::max);
            let shares: Vec<f64> = row.iter().map(|z| libm::exp(odds(z) - largest)).collect();
            let sum: f64 = shares.iter().sum();
            probabilities.extend(shares.into_iter().map(|share| share / sum));
        }
        let mut answer = self.classes.with_probabilities(&probabilities);
        // Scores tell apart what probabilities near 1 do not.
        answer.codes = self.classes.with_codes(winners.into_iter()).codes;
        Ok(answer)
    }
}

#[cfg(test)]
mod tests;
