//! Boosted trees once they are fitted.

use serde::{Deserialize, Serialize};

use crate::classifiers::training::{Classes, by_row, softmax};
use crate::classifiers::tree::{Seen, Tree};
use crate::{Features, Prediction, Result};

/// Trees whose leaves are summed per output: one output per class that occurs, one in all for two classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ensemble {
    /// Added to the sum of leaves, per output.
    pub(super) base: Vec<f64>,
    pub(super) trees: Vec<BoostedTree>,
}

/// A boosted model as a file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Unchecked {
    classes: Classes,
    ensemble: Ensemble,
}

impl Unchecked {
    /// What can be predicted with.
    pub(super) fn checked(self) -> Result<(Classes, Ensemble), String> {
        let Self { classes, ensemble } = self;
        ensemble.check(&classes)?;
        Ok((classes, ensemble))
    }
}

/// A tree and the values of its leaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BoostedTree {
    pub(super) output: u32,
    pub(super) tree: Tree,
    pub(super) values: Vec<f32>,
    /// Whether a missing value goes left, per node; empty where it goes right everywhere. Features here are never
    /// missing: XGBoost's files have this, and keep it.
    pub(super) default_left: Vec<bool>,
}

impl BoostedTree {
    pub(super) fn new(output: u32, tree: Tree, values: Vec<f32>) -> Self {
        Self { output, tree, values, default_left: Vec::new() }
    }

    pub(super) fn value(&self, row: &[f32]) -> f64 {
        f64::from(self.values[self.tree.find(row) as usize])
    }
}

/// Outputs of a model of `n_classes` classes: two classes share one.
pub(super) fn n_outputs(n_classes: usize) -> usize {
    if n_classes == 2 { 1 } else { n_classes }
}

/// Margins of one row to probabilities of all classes.
pub(super) fn probabilities(margins: &mut [f64], out: &mut [f64]) {
    if let ([margin], [_, _]) = (&*margins, &*out) {
        let second = 1.0 / (1.0 + libm::exp(-margin));
        out.copy_from_slice(&[1.0 - second, second]);
    } else {
        softmax(margins);
        out.copy_from_slice(margins);
    }
}

impl Ensemble {
    pub(super) fn predict(&self, classes: &Classes, x: &Features) -> Result<Prediction> {
        classes.check_features(x)?;
        let present = by_row(
            x,
            classes.n_present(),
            || self.base.clone(),
            |margins, row, out| {
                margins.copy_from_slice(&self.base);
                for boosted in &self.trees {
                    margins[boosted.output as usize] += boosted.value(row);
                }
                probabilities(margins, out);
            },
        );
        Ok(classes.with_probabilities(&present))
    }

    /// Sum over all splits of what `of` says of each, by feature.
    pub(super) fn sum_by_feature(&self, n_features: usize, of: impl Fn(Seen) -> f64) -> Vec<f64> {
        let mut sums = vec![0.0; n_features];
        for (column, seen) in self.trees.iter().flat_map(|boosted| boosted.tree.splits()) {
            sums[column] += of(seen);
        }
        sums
    }

    /// Proves what [`Ensemble::predict`] relies on, for a value that was read from a file.
    pub(super) fn check(&self, classes: &Classes) -> Result<(), String> {
        classes.check()?;
        let n_outputs = n_outputs(classes.n_present());
        if self.base.len() != n_outputs {
            return Err(format!("{} start values for {n_outputs} outputs", self.base.len()));
        }
        if let Some(base) = self.base.iter().find(|base| !base.is_finite()) {
            return Err(format!("a start value is {base}"));
        }
        for (at, boosted) in self.trees.iter().enumerate() {
            let found = boosted.tree.check(classes.n_features(), boosted.values.len());
            found.map_err(|problem| format!("tree {at}: {problem}"))?;
            if boosted.output as usize >= n_outputs {
                return Err(format!("tree {at} belongs to output {} of {n_outputs}", boosted.output));
            }
            if let Some(value) = boosted.values.iter().find(|value| !value.is_finite()) {
                return Err(format!("tree {at} has a leaf of {value}"));
            }
            let n_nodes = boosted.tree.nodes().len();
            if ![0, n_nodes].contains(&boosted.default_left.len()) {
                let n_directions = boosted.default_left.len();
                return Err(format!("tree {at} has {n_directions} default directions for {n_nodes} nodes"));
            }
        }
        Ok(())
    }
}

/// Values as shares of their sum; all zero where it is zero.
pub(in crate::classifiers) fn normalised(mut values: Vec<f64>) -> Vec<f64> {
    let sum: f64 = values.iter().sum();
    if sum > 0.0 {
        values.iter_mut().for_each(|value| *value /= sum);
    }
    values
}
