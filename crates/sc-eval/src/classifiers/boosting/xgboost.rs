//! XGBoost's trees and parameters.

use serde::{Deserialize, Serialize};

use super::ensemble::{Ensemble, Unchecked, normalised};
use super::fit::{Boosting, Validation};
use super::search::{Rules, Sums};
use crate::classifiers::training::{Classes, Training};
use crate::classifiers::tree::Seen;
use crate::classifiers::{ClassWeight, Classifier};
use crate::{Error, Features, Prediction, Result};

/// How to fit an [`Xgboost`]. Names are those of XGBoost's scikit-learn interface, `n_rounds` is its `n_estimators`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct XgboostParams {
    /// Rounds; each grows one tree per class (one in all for two classes). Default 100.
    pub n_rounds: usize,
    /// Shrinkage of every leaf, above 0, at most 1. Default 0.1 (XGBoost's is 0.3).
    pub learning_rate: f64,
    /// Most splits between the root and a leaf. Default 6.
    pub max_depth: usize,
    /// Smallest sum of second derivatives in a child. Default 1.
    pub min_child_weight: f64,
    /// L2 penalty on leaf values. Default 1.
    pub reg_lambda: f64,
    /// L1 penalty on leaf values. Default 0.
    pub reg_alpha: f64,
    /// Smallest gain of a split. Default 0.
    pub gamma: f64,
    /// Share of the cells that each tree is grown on, drawn without replacement. Default 1.
    pub subsample: f64,
    /// Share of the features that each tree may split on. Default 1.
    pub colsample_bytree: f64,
    /// Most bins of a feature; one with fewer distinct values is split exactly. Default 256.
    pub max_bin: usize,
    /// How much the cells of each class count. Default: all the same.
    pub class_weight: ClassWeight,
    /// Seed of `subsample` and `colsample_bytree`. Default 42.
    pub seed: u64,
}

impl Default for XgboostParams {
    fn default() -> Self {
        Self {
            n_rounds: 100,
            learning_rate: 0.1,
            max_depth: 6,
            min_child_weight: 1.0,
            reg_lambda: 1.0,
            reg_alpha: 0.0,
            gamma: 0.0,
            subsample: 1.0,
            colsample_bytree: 1.0,
            max_bin: 256,
            class_weight: ClassWeight::Uniform,
            seed: 42,
        }
    }
}

/// Fitted boosted trees: softmax over classes of the sum of leaves, a logistic function for two classes.
///
/// XGBoost's `multi:softprob` and `binary:logistic` with `tree_method="hist"`: the same gradients, gains, start values
/// and leaf values (Chen and Guestrin 2016, <https://doi.org/10.1145/2939672.2939785>). Thresholds lie midway between
/// neighbouring values (XGBoost's lie on the upper one), so single new cells may fall differently. Samples of cells and
/// features are drawn by another generator than XGBoost's, and of an exact size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Xgboost {
    pub(crate) classes: Classes,
    pub(super) ensemble: Ensemble,
}

/// What the importance of a feature counts, by XGBoost's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportanceType {
    /// Mean gain of its splits.
    #[default]
    Gain,
    /// Sum of the gains of its splits.
    TotalGain,
    /// Number of its splits.
    Weight,
    /// Mean sum of second derivatives at its splits.
    Cover,
    /// Sum over its splits of the sums of second derivatives.
    TotalCover,
}

impl TryFrom<Unchecked> for Xgboost {
    type Error = String;

    fn try_from(model: Unchecked) -> Result<Self, String> {
        let (classes, ensemble) = model.checked()?;
        Ok(Self { classes, ensemble })
    }
}

impl XgboostParams {
    fn validate(&self) -> Result<()> {
        let (at_least_0, share) = ("at least 0 and finite", "above 0, at most 1");
        let is_penalty = |value: f64| value >= 0.0 && value.is_finite();
        let is_share = |value: f64| value > 0.0 && value <= 1.0;
        let rules = [
            ("n_rounds", self.n_rounds as f64, self.n_rounds > 0, "at least 1"),
            ("learning_rate", self.learning_rate, is_share(self.learning_rate), share),
            ("min_child_weight", self.min_child_weight, is_penalty(self.min_child_weight), at_least_0),
            ("reg_lambda", self.reg_lambda, is_penalty(self.reg_lambda), at_least_0),
            ("reg_alpha", self.reg_alpha, is_penalty(self.reg_alpha), at_least_0),
            ("gamma", self.gamma, is_penalty(self.gamma), at_least_0),
            ("subsample", self.subsample, is_share(self.subsample), share),
            ("colsample_bytree", self.colsample_bytree, is_share(self.colsample_bytree), share),
            ("max_bin", self.max_bin as f64, self.max_bin >= 2, "at least 2"),
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
    pub fn fit(&self, x: &Features, y: &[u32], n_classes: usize) -> Result<Xgboost> {
        self.fit_rounds(x, y, n_classes, None)
    }

    /// As [`XgboostParams::fit`], but stops once `early_stopping_rounds` rounds have not lowered the cross-entropy on
    /// the validation cells, and keeps the rounds up to the best one (XGBoost's `EarlyStopping(save_best=True)`).
    ///
    /// # Errors
    /// As [`XgboostParams::fit`], also for the validation cells; `early_stopping_rounds` of 0.
    pub fn fit_early_stopping(
        &self,
        x: &Features,
        y: &[u32],
        n_classes: usize,
        validation: (&Features, &[u32]),
        early_stopping_rounds: usize,
    ) -> Result<Xgboost> {
        let (features, labels) = validation;
        let validation = Validation { x: features, y: labels, patience: early_stopping_rounds };
        self.fit_rounds(x, y, n_classes, Some(validation))
    }

    fn fit_rounds(
        &self,
        x: &Features,
        y: &[u32],
        n_classes: usize,
        validation: Option<Validation<'_>>,
    ) -> Result<Xgboost> {
        self.validate()?;
        let training = Training::new(x, y, n_classes)?;
        let weights = self.class_weight.of_rows(&training)?;
        let totals: Vec<f64> = {
            let each = self.class_weight.of_present(&training)?;
            training.counts().iter().zip(each).map(|(&n, weight)| n as f64 * weight).collect()
        };
        let rules = Rules {
            max_depth: self.max_depth,
            lightest: self.min_child_weight.max(Rules::MIN_SIDE),
            lambda: self.reg_lambda,
            alpha: self.reg_alpha,
            gain_above: MIN_GAIN,
            gain_at_least: self.gamma,
        };
        // XGBoost gives a root lighter than a child may be no value; children are never that light.
        let leaf = |sums: &Sums, _: &[u32], _: &[[f32; 2]]| match sums.second < self.min_child_weight {
            true => 0.0,
            false => rules.leaf(sums) * self.learning_rate,
        };
        let boosting = Boosting {
            n_rounds: self.n_rounds,
            rules,
            max_bin: self.max_bin,
            subsample: self.subsample,
            colsample: self.colsample_bytree,
            one_sample_a_round: false,
            seed: self.seed,
            second: if totals.len() == 2 { |p| p * (1.0 - p) } else { |p| 2.0 * p * (1.0 - p) },
            leaf: &leaf,
        };
        let ensemble = boosting.fit(x, &training, &weights, start(&totals), validation)?;
        Ok(Xgboost { classes: training.classes, ensemble })
    }
}

/// Gains at or below this are rounding, as in XGBoost.
const MIN_GAIN: f64 = 1e-6;

/// Margins before the first tree, from the weight of each class: the log-odds of the second of two classes, else the
/// logarithms of the shares around their mean. Rounded where XGBoost rounds, which also keeps them in its files.
fn start(totals: &[f64]) -> Vec<f64> {
    if let [first, second] = totals {
        let share = (second / (first + second)) as f32;
        return vec![log_odds(share.clamp(f32::EPSILON, 1.0 - f32::EPSILON))];
    }
    let logs: Vec<f64> = totals.iter().map(|&total| libm::log(total)).collect();
    let mean = logs.iter().sum::<f64>() / logs.len() as f64;
    logs.iter().map(|log| f64::from((log - mean) as f32)).collect()
}

/// The margin that stands for a probability, from the `f32` that XGBoost keeps of it.
pub(super) fn log_odds(p: f32) -> f64 {
    -libm::log(f64::from(1.0 / p - 1.0))
}

impl Xgboost {
    /// Number of trees, over all rounds and classes.
    pub fn n_trees(&self) -> usize {
        self.ensemble.trees.len()
    }

    /// The importance of each feature; 0 for one that no tree splits on.
    ///
    /// XGBoost's `Booster.get_score(importance_type=…)`, which leaves those features out.
    pub fn importance(&self, kind: ImportanceType) -> Vec<f64> {
        let number = self.sums(|_| 1.0);
        let mean = |mut sums: Vec<f64>| {
            sums.iter_mut().zip(&number).filter(|(_, n)| **n > 0.0).for_each(|(sum, n)| *sum /= n);
            sums
        };
        let gain = |seen: Seen| f64::from(seen.gain);
        let cover = |seen: Seen| f64::from(seen.cover);
        match kind {
            ImportanceType::Gain => mean(self.sums(gain)),
            ImportanceType::TotalGain => self.sums(gain),
            ImportanceType::Cover => mean(self.sums(cover)),
            ImportanceType::TotalCover => self.sums(cover),
            ImportanceType::Weight => number,
        }
    }

    fn sums(&self, of: impl Fn(Seen) -> f64) -> Vec<f64> {
        self.ensemble.sum_by_feature(self.classes.n_features(), of)
    }

    /// Mean gain of the splits of each feature, as shares that sum to 1 (`XGBClassifier.feature_importances_`).
    pub fn feature_importances(&self) -> Vec<f64> {
        normalised(self.importance(ImportanceType::Gain))
    }

    /// Proves what predicting relies on.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.ensemble.check(&self.classes)
    }
}

impl Classifier for Xgboost {
    fn predict(&self, x: &Features) -> Result<Prediction> {
        self.ensemble.predict(&self.classes, x)
    }
}
