//! Random forest: trees on bootstrap samples, a random subset of features at every split.

mod dense;
mod grow;
mod sorted;
mod sweep;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use self::dense::Dense;
use self::grow::{Search, Task};
use self::sorted::Sorted;
use super::binned::{Bytes, Table};
use super::boosting::normalised;
use super::training::{Classes, Training, by_row};
use super::tree::Tree;
use super::{ClassWeight, Classifier};
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
    /// A split leaves at least as many (distinct) training cells on each side. Default 1.
    pub min_samples_leaf: usize,
    /// Features looked at for a split. Default: the square root of their number.
    pub max_features: MaxFeatures,
    /// How much more often the bootstrap draws cells of one class than of another, as in scikit-learn 1.9 (where the
    /// weights of earlier releases multiplied the counts). Default: all the same.
    pub class_weight: ClassWeight,
    /// Most bins of a feature; one with fewer distinct values is split exactly. Default 256.
    pub max_bins: usize,
    /// Seed of bootstrap samples and feature subsets. Default 42.
    pub seed: u64,
}

/// How many features are looked at for a split, as scikit-learn's `max_features`. At least one, at most all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxFeatures {
    /// The square root of the number of features, rounded down.
    #[default]
    Sqrt,
    /// Its logarithm to base 2, rounded down.
    Log2,
    /// All features.
    All,
    /// This many.
    Count(usize),
    /// This share of them, rounded down; above 0, at most 1.
    Share(f64),
}

impl MaxFeatures {
    pub(crate) fn of(self, n_features: usize) -> Result<usize> {
        let refuse =
            |value: String, expected| Err(Error::Parameter { name: "max_features", value, expected });
        let wanted = match self {
            Self::Sqrt => n_features.isqrt(),
            Self::Log2 => n_features.checked_ilog2().unwrap_or_default() as usize,
            Self::All => n_features,
            Self::Count(0) => return refuse("0".into(), "at least 1"),
            Self::Count(count) => count,
            Self::Share(share) if share > 0.0 && share <= 1.0 => (n_features as f64 * share) as usize,
            Self::Share(share) => return refuse(share.to_string(), "a share above 0, at most 1"),
        };
        Ok(wanted.clamp(1, n_features.max(1)))
    }
}

impl Default for RandomForestParams {
    fn default() -> Self {
        Self {
            n_trees: 100,
            max_depth: 20,
            min_samples_split: 5,
            min_samples_leaf: 1,
            max_features: MaxFeatures::Sqrt,
            class_weight: ClassWeight::Uniform,
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
#[serde(try_from = "Unchecked")]
pub struct RandomForest {
    pub(crate) classes: Classes,
    trees: Vec<GrownTree>,
}

/// A forest as a file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    classes: Classes,
    trees: Vec<GrownTree>,
}

impl TryFrom<Unchecked> for RandomForest {
    type Error = String;

    fn try_from(Unchecked { classes, trees }: Unchecked) -> Result<Self, String> {
        let forest = Self { classes, trees };
        forest.check().map(|()| forest)
    }
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
    /// No cells, a wrong number of labels, a label that is not below `n_classes`, class weights that do not fit, or a
    /// parameter out of its range.
    pub fn fit(&self, x: &Features, y: &[u32], n_classes: usize) -> Result<RandomForest> {
        let rules = [
            ("n_trees", self.n_trees, 1, "at least 1"),
            ("min_samples_leaf", self.min_samples_leaf, 1, "at least 1"),
            ("max_bins", self.max_bins, 2, "at least 2"),
        ];
        for (name, value, least, expected) in rules {
            if value < least {
                return Err(Error::Parameter { name, value: value.to_string(), expected });
            }
        }
        let max_features = self.max_features.of(x.n_cols())?;
        let training = Training::new(x, y, n_classes)?;
        let weights = match self.class_weight {
            ClassWeight::Uniform => None,
            _ => Some(self.class_weight.of_rows(&training)?),
        };
        let cumulative: Option<Vec<f64>> = weights.map(|weights| {
            let sums = weights.iter().scan(0.0, |sum, weight| {
                *sum += weight;
                Some(*sum)
            });
            sums.collect()
        });
        let Training { codes, classes } = training;
        let task = Task {
            codes: &codes,
            n_classes: classes.n_present(),
            cumulative: cumulative.as_deref(),
            max_features,
            max_depth: self.max_depth,
            min_samples_split: self.min_samples_split.max(2),
            min_samples_leaf: self.min_samples_leaf,
        };
        let trees = match &Table::<Bytes>::new(x, self.max_bins) {
            Table::Runs(binned) => self.trees(&task, || Sorted::new(binned, &task)),
            Table::Dense(bytes) => self.trees(&task, || Dense::new(bytes, &task)),
        };
        Ok(RandomForest { classes, trees })
    }

    fn trees<S: Search>(&self, task: &Task<'_>, search: impl Fn() -> S + Sync) -> Vec<GrownTree> {
        let grow = |tree| {
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
            rng.set_stream(tree as u64);
            task.grow(&mut search(), &mut rng)
        };
        (0..self.n_trees).into_par_iter().map(grow).collect()
    }
}

impl RandomForest {
    /// The share of each feature in the decrease of impurity, as the mean over trees (`feature_importances_`).
    pub fn feature_importances(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.classes.n_features()];
        for grown in &self.trees {
            let total: f64 = grown.tree.splits().map(|(_, seen)| f64::from(seen.gain)).sum();
            for (column, seen) in grown.tree.splits().filter(|_| total > 0.0) {
                sums[column] += f64::from(seen.gain) / total;
            }
        }
        normalised(sums)
    }

    /// Proves what predicting relies on.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.classes.check()?;
        if self.trees.is_empty() {
            return Err("a forest without trees".into());
        }
        let k = self.classes.n_present();
        for (at, GrownTree { tree, frequencies }) in self.trees.iter().enumerate() {
            if frequencies.len() % k != 0 || !frequencies.iter().all(|p| (0.0..=1.0).contains(p)) {
                return Err(format!("tree {at} has leaves that are no shares of {k} classes"));
            }
            let found = tree.check(self.classes.n_features(), frequencies.len() / k);
            found.map_err(|problem| format!("tree {at}: {problem}"))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifiers::binned::{Binned, dense};
    use crate::classifiers::draw::below;

    /// Cells of `k` classes whose features have `n_values` values, `zeros` of 100 the first of them.
    fn made_up(n: usize, p: usize, k: usize, n_values: usize, zeros: usize) -> (Features, Vec<u32>) {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let y: Vec<u32> = (0..n).map(|_| below(&mut rng, k) as u32).collect();
        let x = ndarray::Array2::from_shape_fn((n, p), |(i, j)| {
            let value = below(&mut rng, n_values) as f32;
            let shift = if j % k == y[i] as usize { n_values as f32 / 3.0 } else { 0.0 };
            if below(&mut rng, 100) < zeros { 0.0 } else { value + shift.floor() - 4.0 }
        });
        (Features::dense(x.view()).unwrap(), y)
    }

    #[test]
    fn bytes_and_sorted_runs_grow_the_same_trees() {
        // Few and many values, few and many cells: chains and counts both get their turn, and so do ties.
        for (n, p, k, n_values, zeros) in
            [(300, 9, 3, 7, 30), (1800, 12, 3, 1000, 0), (1500, 10, 11, 40, 10), (2, 3, 2, 9, 0)]
        {
            let (x, y) = made_up(n, p, k, n_values, zeros);
            let Training { codes, classes } = Training::new(&x, &y, k).unwrap();
            for (max_features, min_samples_leaf) in [(p, 1), (2, 1), (3, 4)] {
                let task = Task {
                    codes: &codes,
                    n_classes: classes.n_present(),
                    cumulative: None,
                    max_features,
                    max_depth: 12,
                    min_samples_split: 2,
                    min_samples_leaf,
                };
                let params = RandomForestParams { n_trees: 3, ..Default::default() };
                let (runs, bytes): (_, Bytes) = (Binned::new(&x, 256), dense(&x, 256));
                let sorted = params.trees(&task, || Sorted::new(&runs, &task));
                assert_eq!(sorted, params.trees(&task, || Dense::new(&bytes, &task)));
                assert!(n < 100 || sorted.iter().all(|grown| grown.tree.nodes().len() > 20));
            }
        }
    }
}
