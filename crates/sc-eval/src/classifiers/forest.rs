//! Random forest: trees on bootstrap samples, a random subset of features at every split.

mod grow;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Classifier;
use super::binned::Binned;
use super::planes::all_finite;
use super::training::{Classes, Training, by_row};
use super::tree::Tree;
use crate::{Error, Features, Prediction, Result};

/// How to fit a [`RandomForest`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandomForestParams {
    /// Number of trees. Default 100.
    pub n_trees: usize,
    /// Most splits between the root and a leaf. Default 20.
    pub max_depth: usize,
    /// A node with fewer (distinct) training cells is a leaf. Default 5.
    pub min_samples_split: usize,
    /// Features looked at for a split; `None` is the square root of their number. Default `None`.
    pub max_features: Option<usize>,
    /// Most bins of a feature; one with fewer distinct values is split exactly. Default 256.
    pub max_bins: usize,
    /// Seed of bootstrap samples and feature subsets. Default 42.
    pub seed: u64,
}

impl Default for RandomForestParams {
    fn default() -> Self {
        Self {
            n_trees: 100,
            max_depth: 20,
            min_samples_split: 5,
            max_features: None,
            max_bins: 256,
            seed: 42,
        }
    }
}

/// A fitted random forest: the mean over trees of the class frequencies in a cell's leaf.
///
/// As scikit-learn's `RandomForestClassifier` (Gini impurity, bootstrap, thresholds midway between neighbouring
/// values, constant features redrawn until one can split), on features in at most `max_bins` bins. Random numbers
/// differ from scikit-learn's, so single trees do, too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomForest {
    pub(crate) classes: Classes,
    trees: Vec<GrownTree>,
}

/// A tree and the class frequencies of its leaves (leaves × classes).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GrownTree {
    tree: Tree,
    frequencies: Vec<f32>,
}

impl RandomForestParams {
    /// Fits on the rows of `x` with class indices `y`, all below `n_classes`.
    ///
    /// # Errors
    /// No cells, a wrong number of labels, a label that is not below `n_classes`, or a parameter out of its range.
    pub fn fit(&self, x: &Features, y: &[u32], n_classes: usize) -> Result<RandomForest> {
        let positive = [("n_trees", self.n_trees), ("max_features", self.max_features.unwrap_or(1))];
        for (name, value) in positive {
            if value == 0 {
                return Err(Error::Parameter { name, value: value.to_string(), expected: "at least 1" });
            }
        }
        if self.max_bins < 2 {
            let value = self.max_bins.to_string();
            return Err(Error::Parameter { name: "max_bins", value, expected: "at least 2" });
        }
        let Training { codes, classes } = Training::new(x, y, n_classes)?;
        let binned = Binned::new(x, self.max_bins);
        let root = (x.n_cols() as f64).sqrt() as usize;
        let task = grow::Task {
            binned: &binned,
            codes: &codes,
            n_classes: classes.n_present(),
            max_features: self.max_features.unwrap_or(root).clamp(1, x.n_cols().max(1)),
            max_depth: self.max_depth,
            min_samples_split: self.min_samples_split.max(2),
        };
        let trees = (0..self.n_trees)
            .into_par_iter()
            .map(|tree| {
                let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
                rng.set_stream(tree as u64);
                task.grow(rng)
            })
            .collect();
        Ok(RandomForest { classes, trees })
    }
}

impl RandomForest {
    pub(crate) fn check(&self) -> Result<(), String> {
        self.classes.check()?;
        let k = self.classes.n_present();
        if self.trees.is_empty() {
            return Err("there are no trees".into());
        }
        for GrownTree { tree, frequencies } in &self.trees {
            if !frequencies.len().is_multiple_of(k) {
                return Err(format!("{} frequencies are not {k} for each leaf", frequencies.len()));
            }
            all_finite("frequencies", frequencies)?;
            tree.check(self.classes.n_features(), frequencies.len() / k)?;
        }
        Ok(())
    }
}

impl Classifier for RandomForest {
    fn predict(&self, x: &Features) -> Result<Prediction> {
        self.classes.check_features(x)?;
        let k = self.classes.n_present();
        let n_trees = self.trees.len() as f64;
        let probabilities = by_row(
            x,
            k,
            || (),
            |(), row, out| {
                for grown in &self.trees {
                    let leaf = grown.tree.find(row) as usize;
                    let frequencies = &grown.frequencies[leaf * k..(leaf + 1) * k];
                    out.iter_mut().zip(frequencies).for_each(|(sum, &p)| *sum += f64::from(p));
                }
                out.iter_mut().for_each(|sum| *sum /= n_trees);
            },
        );
        Ok(self.classes.with_probabilities(&probabilities))
    }
}
