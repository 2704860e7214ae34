//! scikit-learn's gradient boosting.

use serde::{Deserialize, Serialize};

use super::ensemble::{Ensemble, Unchecked, normalised};
use super::fit::Boosting;
use super::search::{Rules, Sums};
use crate::classifiers::training::{Classes, Training};
use crate::classifiers::{ClassWeight, Classifier};
use crate::{Error, Features, Prediction, Result};

/// How to fit a [`GradientBoosting`]. Names and defaults are scikit-learn's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GradientBoostingParams {
    /// Rounds; each grows one tree per class (one in all for two classes). Default 100.
    pub n_estimators: usize,
    /// Shrinkage of every leaf, at least 0. Default 0.1.
    pub learning_rate: f64,
    /// Most splits between the root and a leaf. Default 3.
    pub max_depth: usize,
    /// Smallest number of training cells in a leaf; with class weights, their smallest weight. Default 1.
    pub min_samples_leaf: usize,
    /// Share of the cells that each round is grown on, drawn without replacement. Default 1.
    pub subsample: f64,
    /// Most bins of a feature; one with fewer distinct values is split exactly. Default 256.
    pub max_bins: usize,
    /// How much the cells of each class count. Default: all the same.
    pub class_weight: ClassWeight,
    /// Seed of `subsample`. Default 42.
    pub seed: u64,
}

impl Default for GradientBoostingParams {
    fn default() -> Self {
        Self {
            n_estimators: 100,
            learning_rate: 0.1,
            max_depth: 3,
            min_samples_leaf: 1,
            subsample: 1.0,
            max_bins: 256,
            class_weight: ClassWeight::Uniform,
            seed: 42,
        }
    }
}

/// Fitted gradient boosting: trees on the residuals of the multinomial deviance, of the binomial one for two classes.
///
/// scikit-learn's `GradientBoostingClassifier` (Friedman 2001, <https://doi.org/10.1214/aos/1013203451>): splits by
/// `friedman_mse`, leaves by one Newton step, multinomial steps times `(K - 1) / K`, the class shares as start. On
/// features in at most `max_bins` bins, where scikit-learn tries every value. A tie goes to the first feature;
/// scikit-learn draws it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct GradientBoosting {
    pub(crate) classes: Classes,
    ensemble: Ensemble,
}

impl TryFrom<Unchecked> for GradientBoosting {
    type Error = String;

    fn try_from(model: Unchecked) -> Result<Self, String> {
        let (classes, ensemble) = model.checked()?;
        Ok(Self { classes, ensemble })
    }
}

impl GradientBoostingParams {
    fn validate(&self) -> Result<()> {
        let (at_least_1, share) = ("at least 1", "above 0, at most 1");
        let rate = self.learning_rate;
        let rules = [
            ("n_estimators", self.n_estimators as f64, self.n_estimators > 0, at_least_1),
            ("learning_rate", rate, rate >= 0.0 && rate.is_finite(), "at least 0 and finite"),
            ("max_depth", self.max_depth as f64, self.max_depth > 0, at_least_1),
            ("min_samples_leaf", self.min_samples_leaf as f64, self.min_samples_leaf > 0, at_least_1),
            ("subsample", self.subsample, self.subsample > 0.0 && self.subsample <= 1.0, share),
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
    /// No cells, a wrong number of labels, a label that is not below `n_classes`, class weights that do not fit, or a
    /// parameter out of its range.
    pub fn fit(&self, x: &Features, y: &[u32], n_classes: usize) -> Result<GradientBoosting> {
        self.validate()?;
        let training = Training::new(x, y, n_classes)?;
        let weights = self.class_weight.of_rows(&training)?;
        let each = self.class_weight.of_present(&training)?;
        let totals: Vec<f64> =
            training.counts().iter().zip(&each).map(|(&n, weight)| n as f64 * weight).collect();
        let n_classes = totals.len() as f64;
        let step = if totals.len() > 2 { (n_classes - 1.0) / n_classes } else { 1.0 };
        let leaf = |sums: &Sums, rows: &[u32], derivatives: &[[f32; 2]]| {
            let mut curvature = 0.0;
            for &r in rows {
                let [residual, weight] = derivatives[r as usize].map(f64::from);
                // A row that was not drawn weighs nothing.
                if weight > 0.0 {
                    let away = residual.abs() / weight;
                    curvature += weight * away * (1.0 - away);
                }
            }
            let newton = if curvature < SAFE { 0.0 } else { -sums.first * step / curvature };
            newton * self.learning_rate
        };
        let lightest = match self.min_samples_leaf {
            // Any cell is heavy enough, however little its class counts.
            1 => each.iter().copied().fold(1.0, f64::min) / 2.0,
            least => least as f64,
        };
        let boosting = Boosting {
            n_rounds: self.n_estimators,
            // The squared sum of residuals by their weight is what `friedman_mse` compares.
            rules: Rules {
                max_depth: self.max_depth,
                lightest,
                lambda: 0.0,
                alpha: 0.0,
                gain_above: 0.0,
                gain_at_least: 0.0,
            },
            max_bin: self.max_bins,
            subsample: self.subsample,
            colsample: 1.0,
            one_sample_a_round: true,
            seed: self.seed,
            second: |_| 1.0,
            leaf: &leaf,
        };
        let ensemble = boosting.fit(x, &training, &weights, start(&totals), None)?;
        Ok(GradientBoosting { classes: training.classes, ensemble })
    }
}

/// A curvature below this gives no step, as in scikit-learn.
const SAFE: f64 = 1e-150;

/// Margins before the first tree: log-odds of the second of two classes, else logarithms of the shares around their
/// mean.
fn start(totals: &[f64]) -> Vec<f64> {
    let logs: Vec<f64> = totals.iter().map(|&total| libm::log(total)).collect();
    if let [first, second] = logs.as_slice() {
        return vec![second - first];
    }
    let mean = logs.iter().sum::<f64>() / logs.len() as f64;
    logs.iter().map(|log| log - mean).collect()
}

impl GradientBoosting {
    /// The share of each feature in the sum of all impurity decreases (`feature_importances_`).
    pub fn feature_importances(&self) -> Vec<f64> {
        let n_features = self.classes.n_features();
        normalised(self.ensemble.sum_by_feature(n_features, |seen| f64::from(seen.gain)))
    }

    /// Proves what predicting relies on.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.ensemble.check(&self.classes)
    }
}

impl Classifier for GradientBoosting {
    fn predict(&self, x: &Features) -> Result<Prediction> {
        self.ensemble.predict(&self.classes, x)
    }
}
