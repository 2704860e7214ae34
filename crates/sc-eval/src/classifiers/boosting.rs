//! Gradient-boosted trees with second-order gains, as XGBoost grows them.

mod grow;
mod scan;

use std::sync::Mutex;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Classifier;
use super::binned::Binned;
use super::planes::all_finite;
use super::training::{Classes, Training, by_row, softmax};
use super::tree::Tree;
use crate::{Error, Features, Prediction, Result};
use grow::{Grower, Rules};

/// How to fit an [`Xgboost`]. Names and defaults of the rules are XGBoost's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct XgboostParams {
    /// Rounds; each grows one tree per class (one in all for two classes). Default 100.
    pub n_rounds: usize,
    /// Shrinkage of every leaf. Default 0.1.
    pub eta: f64,
    /// Most splits between the root and a leaf. Default 6.
    pub max_depth: usize,
    /// Smallest sum of second derivatives in a child. Default 1.
    pub min_child_weight: f64,
    /// L2 penalty on leaf values. Default 1.
    pub lambda: f64,
    /// Smallest gain of a split. Default 0.
    pub gamma: f64,
    /// Most bins of a feature; one with fewer distinct values is split exactly. Default 256.
    pub max_bins: usize,
}

impl Default for XgboostParams {
    fn default() -> Self {
        Self {
            n_rounds: 100,
            eta: 0.1,
            max_depth: 6,
            min_child_weight: 1.0,
            lambda: 1.0,
            gamma: 0.0,
            max_bins: 256,
        }
    }
}

/// Fitted boosted trees: softmax over classes of the sum of leaves, a logistic function for two classes.
///
/// XGBoost's `multi:softprob` and `binary:logistic` with `tree_method="hist"`, without sampling: the same gradients,
/// gains and leaf values. Thresholds lie midway between neighbouring bins (XGBoost's lie on the upper one), so
/// single cells may fall differently.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Xgboost {
    pub(crate) classes: Classes,
    n_outputs: usize,
    /// Added to the sum of leaves, per output.
    base: Vec<f64>,
    /// Round by round, one tree per output.
    trees: Vec<BoostedTree>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BoostedTree {
    tree: Tree,
    values: Vec<f32>,
}

impl XgboostParams {
    fn validate(&self) -> Result<()> {
        let at_least_0 = "at least 0";
        let rules = [
            ("n_rounds", self.n_rounds as f64, self.n_rounds > 0, "at least 1"),
            ("eta", self.eta, self.eta > 0.0 && self.eta <= 1.0, "above 0, at most 1"),
            ("min_child_weight", self.min_child_weight, self.min_child_weight >= 0.0, at_least_0),
            ("lambda", self.lambda, self.lambda >= 0.0, at_least_0),
            ("gamma", self.gamma, self.gamma >= 0.0, at_least_0),
            ("max_bins", self.max_bins as f64, self.max_bins >= 2, "at least 2"),
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
    pub fn fit(&self, x: &Features, y: &[u32], n_classes: usize) -> Result<Xgboost> {
        self.validate()?;
        let training = Training::new(x, y, n_classes)?;
        let n_outputs = if training.classes.n_present() == 2 { 1 } else { training.classes.n_present() };
        let base = start(&training.counts());
        let binned = Binned::new(x, self.max_bins);
        let rules = Rules {
            max_depth: self.max_depth,
            min_child_weight: self.min_child_weight,
            lambda: self.lambda,
            gamma: self.gamma,
            eta: self.eta,
        };
        let mut outputs: Vec<Output> = base.iter().map(|&base| Output::new(x.n_rows(), base)).collect();
        // As many growers as threads ask for one at a time; what is in their buffers is of no consequence.
        let growers: Mutex<Vec<Grower>> = Mutex::default();
        let mut trees = Vec::with_capacity(self.n_rounds * n_outputs);
        for _ in 0..self.n_rounds {
            derive(&mut outputs, &training.codes);
            let grown: Vec<BoostedTree> = outputs
                .par_iter_mut()
                .map(|output| {
                    let spare = growers.lock().ok().and_then(|mut growers| growers.pop());
                    let mut grower = spare.unwrap_or_default();
                    let (tree, values) =
                        grower.grow(&binned, &rules, &output.derivatives, &mut output.margins);
                    if let Ok(mut growers) = growers.lock() {
                        growers.push(grower);
                    }
                    BoostedTree { tree, values }
                })
                .collect();
            trees.extend(grown);
        }
        Ok(Xgboost { classes: training.classes, n_outputs, base, trees })
    }
}

/// Margins before the first tree: the log-odds of the second of two classes, else the logarithms of the class
/// frequencies around their mean.
fn start(counts: &[usize]) -> Vec<f64> {
    let logs: Vec<f64> = counts.iter().map(|&n| libm::log(n as f64)).collect();
    match logs.as_slice() {
        [first, second] => vec![second - first],
        logs => {
            let mean = logs.iter().sum::<f64>() / logs.len() as f64;
            logs.iter().map(|log| log - mean).collect()
        }
    }
}

/// One class while it is fitted.
struct Output {
    /// Sum of leaves of each row.
    margins: Vec<f64>,
    /// First and second derivative of the loss by the margin of each row.
    derivatives: Vec<[f32; 2]>,
}

impl Output {
    fn new(n_rows: usize, base: f64) -> Self {
        Self { margins: vec![base; n_rows], derivatives: vec![[0.0; 2]; n_rows] }
    }
}

/// Smallest second derivative, as in XGBoost: no leaf value may divide by zero.
const MIN_SECOND: f64 = 1e-16;

/// Derivatives of the cross-entropy at the current margins.
fn derive(outputs: &mut [Output], codes: &[u32]) {
    if let [output] = outputs {
        for ((d, &margin), &code) in output.derivatives.iter_mut().zip(&output.margins).zip(codes) {
            let p = 1.0 / (1.0 + libm::exp(-margin));
            *d = [(p - f64::from(code)) as f32, (p * (1.0 - p)).max(MIN_SECOND) as f32];
        }
        return;
    }
    let mut p = vec![0.0; outputs.len()];
    for (i, &code) in codes.iter().enumerate() {
        p.iter_mut().zip(&*outputs).for_each(|(p, output)| *p = output.margins[i]);
        softmax(&mut p);
        for (k, (output, &p)) in outputs.iter_mut().zip(&p).enumerate() {
            let truth = if k == code as usize { 1.0 } else { 0.0 };
            output.derivatives[i] = [(p - truth) as f32, (2.0 * p * (1.0 - p)).max(MIN_SECOND) as f32];
        }
    }
}

impl Xgboost {
    pub(crate) fn check(&self) -> Result<(), String> {
        self.classes.check()?;
        let k = self.classes.n_present();
        let n_outputs = if k == 2 { 1 } else { k };
        if self.n_outputs != n_outputs
            || self.base.len() != n_outputs
            || !self.trees.len().is_multiple_of(n_outputs)
        {
            return Err(format!("{} trees and {} bases for {k} classes", self.trees.len(), self.base.len()));
        }
        all_finite("bases", &self.base)?;
        for BoostedTree { tree, values } in &self.trees {
            all_finite("leaves", values)?;
            tree.check(self.classes.n_features(), values.len())?;
        }
        Ok(())
    }
}

impl Classifier for Xgboost {
    fn predict(&self, x: &Features) -> Result<Prediction> {
        self.classes.check_features(x)?;
        let k = self.classes.n_present();
        let probabilities = by_row(
            x,
            k,
            || self.base.clone(),
            |margins, row, out| {
                margins.copy_from_slice(&self.base);
                for round in self.trees.chunks_exact(self.n_outputs) {
                    for (margin, boosted) in margins.iter_mut().zip(round) {
                        *margin += f64::from(boosted.values[boosted.tree.find(row) as usize]);
                    }
                }
                if self.n_outputs == k {
                    softmax(margins);
                    out.copy_from_slice(margins);
                } else {
                    let second = 1.0 / (1.0 + libm::exp(-margins[0]));
                    out.copy_from_slice(&[1.0 - second, second]);
                }
            },
        );
        Ok(self.classes.with_probabilities(&probabilities))
    }
}
