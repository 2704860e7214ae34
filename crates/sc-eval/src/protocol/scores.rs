//! The scores of one test set, under the names of scikit-learn's scorers.

use ndarray::ArrayView2;

use crate::Result;
use crate::metrics::classification::{Average, ConfusionMatrix, ZeroDivision, log_loss, roc_auc_ovr};

/// The scores of one test set, or their mean or standard deviation over test sets.
///
/// Fields carry the names of scikit-learn's scorers and their definitions; an undefined ratio counts as 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// Share of cells that were given their true class.
    pub accuracy: f64,
    /// Mean recall of the classes that have cells.
    pub balanced_accuracy: f64,
    /// F1, mean over classes.
    pub f1_macro: f64,
    /// F1, mean weighted by the number of cells.
    pub f1_weighted: f64,
    /// Precision, mean over classes.
    pub precision_macro: f64,
    /// Precision, mean weighted by the number of cells.
    pub precision_weighted: f64,
    /// Recall, mean over classes; a class that is only predicted counts as 0.
    pub recall_macro: f64,
    /// Recall, mean weighted by the number of cells; equals accuracy.
    pub recall_weighted: f64,
    /// Matthews correlation coefficient.
    pub matthews_corrcoef: f64,
    /// Area under the ROC curve, one class against the rest, mean over classes; `None` without probabilities, or if a
    /// class has no cell in the test set (where scikit-learn's scorer is NaN).
    pub roc_auc_ovr: Option<f64>,
    /// Mean negative log-likelihood of the true class (lower is better); `None` without probabilities.
    pub log_loss: Option<f64>,
}

impl Scores {
    /// Number of scores.
    pub const LEN: usize = 11;

    /// Names and values in the order of the fields.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Option<f64>)> {
        NAMES.into_iter().zip(self.values())
    }

    /// Scores from the counts of a test set and, where there are any, its probabilities.
    pub(crate) fn new(
        counts: &ConfusionMatrix,
        truth: &[u32],
        probabilities: Option<ArrayView2<'_, f32>>,
    ) -> Result<Self> {
        let macro_ = counts.averaged(Average::Macro, ZeroDivision::Zero);
        let weighted = counts.averaged(Average::Weighted, ZeroDivision::Zero);
        let roc_auc = probabilities.map(|p| roc_auc_ovr(truth, p, Average::Macro)).transpose()?;
        Ok(Self {
            accuracy: counts.accuracy(),
            balanced_accuracy: counts.balanced_accuracy(),
            f1_macro: macro_.f1,
            f1_weighted: weighted.f1,
            precision_macro: macro_.precision,
            precision_weighted: weighted.precision,
            recall_macro: macro_.recall,
            recall_weighted: weighted.recall,
            matthews_corrcoef: counts.matthews_corrcoef(),
            roc_auc_ovr: roc_auc.filter(|auc| !auc.is_nan()),
            log_loss: probabilities.map(|p| log_loss(truth, p)).transpose()?,
        })
    }

    /// Mean of each score over `folds`; a score that one fold lacks is `None`.
    pub(crate) fn mean(folds: &[Self]) -> Self {
        Self::fold(folds, |values| values.iter().sum::<f64>() / values.len() as f64)
    }

    /// Standard deviation over `folds` with `n - 1` in the denominator; `None` below two folds.
    pub(crate) fn sd(folds: &[Self]) -> Option<Self> {
        let sd = |values: &[f64]| {
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0)).sqrt()
        };
        (folds.len() > 1).then(|| Self::fold(folds, sd))
    }

    fn fold(folds: &[Self], reduce: impl Fn(&[f64]) -> f64) -> Self {
        let rows: Vec<_> = folds.iter().map(Self::values).collect();
        Self::from_values(std::array::from_fn(|score| {
            let column: Option<Vec<f64>> = rows.iter().map(|row| row[score]).collect();
            column.map(|values| reduce(&values))
        }))
    }

    fn values(&self) -> [Option<f64>; Self::LEN] {
        [
            Some(self.accuracy),
            Some(self.balanced_accuracy),
            Some(self.f1_macro),
            Some(self.f1_weighted),
            Some(self.precision_macro),
            Some(self.precision_weighted),
            Some(self.recall_macro),
            Some(self.recall_weighted),
            Some(self.matthews_corrcoef),
            self.roc_auc_ovr,
            self.log_loss,
        ]
    }

    fn from_values(values: [Option<f64>; Self::LEN]) -> Self {
        let number = |score: usize| values[score].unwrap_or(f64::NAN);
        Self {
            accuracy: number(0),
            balanced_accuracy: number(1),
            f1_macro: number(2),
            f1_weighted: number(3),
            precision_macro: number(4),
            precision_weighted: number(5),
            recall_macro: number(6),
            recall_weighted: number(7),
            matthews_corrcoef: number(8),
            roc_auc_ovr: values[9],
            log_loss: values[10],
        }
    }
}

const NAMES: [&str; Scores::LEN] = [
    "accuracy",
    "balanced_accuracy",
    "f1_macro",
    "f1_weighted",
    "precision_macro",
    "precision_weighted",
    "recall_macro",
    "recall_weighted",
    "matthews_corrcoef",
    "roc_auc_ovr",
    "log_loss",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::classification::confusion_matrix;

    #[test]
    fn names_and_values_go_together() {
        let truth = [0, 1, 1, 0];
        let counts = confusion_matrix(&truth, &[0, 1, 0, 0], 2).unwrap();
        let p = ndarray::array![[0.9f32, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]];
        let scores = Scores::new(&counts, &truth, Some(p.view())).unwrap();
        let by_name: std::collections::BTreeMap<_, _> = scores.iter().collect();
        assert_eq!(by_name.len(), Scores::LEN);
        assert_eq!(by_name["accuracy"], Some(0.75));
        assert_eq!(by_name["f1_macro"], Some(counts.f1_macro()));
        assert_eq!(by_name["recall_weighted"], Some(0.75));
        assert_eq!(by_name["roc_auc_ovr"], Some(1.0));
        assert_eq!(Scores::from_values(scores.values()), scores);
    }

    #[test]
    fn spread_needs_two_folds_and_divides_by_one_less() {
        let score = |predicted: &[u32]| {
            Scores::new(&confusion_matrix(&[0, 1], predicted, 2).unwrap(), &[0, 1], None).unwrap()
        };
        let (right, half) = (score(&[0, 1]), score(&[0, 0]));
        assert_eq!(Scores::sd(&[right]), None);
        assert_eq!(Scores::mean(&[right, half]).accuracy, 0.75);
        assert_eq!(Scores::mean(&[right, half]).roc_auc_ovr, None);
        assert_eq!(Scores::sd(&[right, half]).unwrap().accuracy, 0.125f64.sqrt());
    }
}
