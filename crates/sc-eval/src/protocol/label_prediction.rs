//! The label prediction task of cz-benchmarks: three standard classifiers on an embedding.

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayView2, Axis};

use crate::classifiers::{Classifier, KnnParams, LogisticRegressionParams, RandomForestParams};
use crate::metrics::classification::{Average, AverageScores, ZeroDivision, confusion_matrix, roc_auc_ovr};
use crate::metrics::registry::{MetricResult, MetricType};
use crate::split::StratifiedKFold;
use crate::{Error, Features, Labels, Prediction, Result};

/// How to run [`label_prediction`]; the default is cz-benchmarks 0.15.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelPredictionParams {
    /// Number of folds. Default 5.
    pub n_folds: usize,
    /// Labels with fewer cells are left out before anything else. Default 10.
    pub min_class_size: usize,
    /// Seed of the folds and of the forests, below 2³². Default 42.
    pub seed: u64,
}

impl Default for LabelPredictionParams {
    fn default() -> Self {
        Self { n_folds: 5, min_class_size: 10, seed: 42 }
    }
}

/// The scores of one classifier in one fold.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelPredictionFold {
    /// `lr`, `knn` or `rf`.
    pub classifier: &'static str,
    /// The fold, from 0.
    pub split: usize,
    /// Share of cells that were given their label.
    pub accuracy: f64,
    /// F1 of the second of two labels, or the mean over labels.
    pub f1: f64,
    /// Precision, likewise.
    pub precision: f64,
    /// Recall, likewise.
    pub recall: f64,
    /// Area under the ROC curve, one label against the rest, mean over labels; NaN if the fold tests no cell of one.
    pub auroc: f64,
}

/// The scores of all classifiers and folds.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelPrediction {
    /// Labels that were predicted, sorted.
    pub classes: Vec<String>,
    /// Folds of `lr`, then of `knn`, then of `rf`.
    pub folds: Vec<LabelPredictionFold>,
}

/// Predicts the labels of cells from an embedding by logistic regression, nearest neighbours and a random forest, in
/// stratified folds.
///
/// * `x`: cells × dimensions; `labels`: label of each cell.
///
/// cz-benchmarks' `MetadataLabelPredictionTask`, with scikit-learn's folds cell for cell: `lr` has 100 iterations and
/// `knn` five neighbours, both on features over their standard deviation in the training cells; `rf` has 100 trees
/// grown to the end. The trees draw other random numbers than scikit-learn's, so `rf` agrees with it as far as two
/// seeds agree. Where a fold lacks a label, its AUROC is NaN, and so is the mean, as there;
/// [`LabelPrediction::metrics`] keeps that visible.
///
/// # Errors
/// [`Error::Length`] unless there is a label for each cell; [`Error::NotFinite`]; the errors of [`Labels::new`] for the
/// labels that are left, and of [`StratifiedKFold::split`].
pub fn label_prediction<S: AsRef<str>>(
    x: ArrayView2<'_, f32>,
    labels: &[S],
    params: &LabelPredictionParams,
) -> Result<LabelPrediction> {
    if labels.len() != x.nrows() {
        return Err(Error::Length { what: "labels", found: labels.len(), expected: x.nrows() });
    }
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    labels.iter().for_each(|label| *sizes.entry(label.as_ref()).or_default() += 1);
    let kept: Vec<usize> =
        (0..labels.len()).filter(|&cell| sizes[labels[cell].as_ref()] >= params.min_class_size).collect();
    let names: Vec<&str> = kept.iter().map(|&cell| labels[cell].as_ref()).collect();
    let (labels, x) = (Labels::new(&names)?, x.select(Axis(0), &kept));
    let folds = StratifiedKFold {
        n_splits: params.n_folds,
        shuffle: true,
        seed: params.seed,
        allow_small_classes: true,
    };
    let splits = folds.split(&labels)?;
    let mut rows = Vec::with_capacity(3 * splits.len());
    for classifier in ["lr", "knn", "rf"] {
        for (split, cells) in splits.iter().enumerate() {
            let (mut train, mut test) = (x.select(Axis(0), &cells.train), x.select(Axis(0), &cells.test));
            if classifier != "rf" {
                let scale = standard_deviations(train.view());
                divide(&mut train, &scale);
                divide(&mut test, &scale);
            }
            let (train, test) = (Features::dense(train.view())?, Features::dense(test.view())?);
            let (codes, n) = (labels.select(&cells.train), labels.n_classes());
            let prediction = match classifier {
                "lr" => {
                    let params = LogisticRegressionParams { max_iter: 100, ..Default::default() };
                    params.fit(&train, &codes, n)?.predict(&test)?
                }
                "knn" => {
                    let params = KnnParams { n_neighbors: 5, ..Default::default() };
                    params.fit(&train, &codes, n)?.predict(&test)?
                }
                _ => forest(params.seed).fit(&train, &codes, n)?.predict(&test)?,
            };
            rows.push(score(classifier, split, &labels.select(&cells.test), &prediction, n)?);
        }
    }
    Ok(LabelPrediction { classes: labels.classes().to_vec(), folds: rows })
}

/// scikit-learn's defaults: trees grown until every leaf is pure, on features split wherever they differ.
fn forest(seed: u64) -> RandomForestParams {
    RandomForestParams {
        n_trees: 100,
        max_depth: usize::MAX,
        min_samples_split: 2,
        max_bins: 1 << 16,
        seed,
        ..Default::default()
    }
}

/// Standard deviation of each column, 1 for one that does not vary; `StandardScaler(with_mean=False)`.
fn standard_deviations(x: ArrayView2<'_, f32>) -> Vec<f64> {
    let n = x.nrows() as f64;
    let deviation = |column: ndarray::ArrayView1<'_, f32>| {
        let mean = column.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let variance = column.iter().map(|&v| (f64::from(v) - mean) * (f64::from(v) - mean)).sum::<f64>() / n;
        // Rounding alone, which scikit-learn's bound takes for no variance.
        let noise = n * f64::EPSILON * variance + (n * mean * f64::EPSILON) * (n * mean * f64::EPSILON);
        if variance <= noise { 1.0 } else { variance.sqrt() }
    };
    x.columns().into_iter().map(deviation).collect()
}

fn divide(x: &mut Array2<f32>, scale: &[f64]) {
    for mut row in x.rows_mut() {
        row.iter_mut().zip(scale).for_each(|(v, s)| *v = (f64::from(*v) / s) as f32);
    }
}

fn score(
    classifier: &'static str,
    split: usize,
    truth: &[u32],
    prediction: &Prediction,
    n_classes: usize,
) -> Result<LabelPredictionFold> {
    let counts = confusion_matrix(truth, &prediction.codes, n_classes)?;
    let AverageScores { precision, recall, f1 } = if n_classes == 2 {
        let second = counts.per_class(ZeroDivision::Zero)[1];
        AverageScores { precision: second.precision, recall: second.recall, f1: second.f1 }
    } else {
        counts.averaged(Average::Macro, ZeroDivision::Zero)
    };
    let auroc = match &prediction.probabilities {
        Some(probabilities) => roc_auc_ovr(truth, probabilities.view(), Average::Macro)?,
        None => f64::NAN,
    };
    let accuracy = counts.accuracy();
    Ok(LabelPredictionFold { classifier, split, accuracy, f1, precision, recall, auroc })
}

impl LabelPrediction {
    /// Mean of each score over the folds of a classifier (`lr`, `knn`, `rf`), or over all folds of all classifiers.
    pub fn mean(&self, metric: MetricType, classifier: Option<&str>) -> Option<f64> {
        let value = |fold: &LabelPredictionFold| match metric {
            MetricType::MeanFoldAccuracy => Some(fold.accuracy),
            MetricType::MeanFoldF1Score => Some(fold.f1),
            MetricType::MeanFoldPrecision => Some(fold.precision),
            MetricType::MeanFoldRecall => Some(fold.recall),
            MetricType::MeanFoldAuroc => Some(fold.auroc),
            _ => None,
        };
        let own = self.folds.iter().filter(|fold| classifier.is_none_or(|name| fold.classifier == name));
        let values: Vec<f64> = own.map(value).collect::<Option<_>>()?;
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }

    /// The means that cz-benchmarks returns, in its order: over all classifiers, then for each.
    pub fn metrics(&self) -> Vec<MetricResult> {
        let metrics = [
            MetricType::MeanFoldAccuracy,
            MetricType::MeanFoldF1Score,
            MetricType::MeanFoldPrecision,
            MetricType::MeanFoldRecall,
            MetricType::MeanFoldAuroc,
        ];
        let mut results = Vec::with_capacity(4 * metrics.len());
        for classifier in [None, Some("lr"), Some("knn"), Some("rf")] {
            for metric in metrics {
                let value = self.mean(metric, classifier).unwrap_or(f64::NAN);
                let name = classifier.unwrap_or("MEAN(knn,lr,rf)");
                results.push(MetricResult::new(metric, value).with("classifier", name));
            }
        }
        results
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(n: usize, labels: &[&'static str]) -> (Array2<f32>, Vec<&'static str>) {
        let names: Vec<&str> = (0..n).map(|i| labels[i % labels.len()]).collect();
        let x = Array2::from_shape_fn((n, 3), |(i, j)| {
            ((i % labels.len()) * (j + 2)) as f32 * 4.0 + ((i * 31 + j * 17) % 13) as f32 * 0.1
        });
        (x, names)
    }

    #[test]
    fn labels_that_are_apart_are_predicted() {
        let (x, labels) = cells(90, &["B", "NK", "T"]);
        let found = label_prediction(x.view(), &labels, &LabelPredictionParams::default()).unwrap();
        assert_eq!(found.classes, ["B", "NK", "T"]);
        assert_eq!(found.folds.len(), 15);
        assert!(found.folds.iter().all(|f| f.accuracy == 1.0 && f.f1 == 1.0 && f.auroc == 1.0), "{found:?}");
        let metrics = found.metrics();
        assert_eq!(metrics.len(), 20);
        assert_eq!(metrics[0].params["classifier"], "MEAN(knn,lr,rf)");
        assert_eq!(
            (metrics[6].metric_type, metrics[6].params["classifier"].as_str()),
            (MetricType::MeanFoldF1Score, "lr")
        );
        assert_eq!(found.mean(MetricType::Jaccard, None), None);
        assert_eq!(found.mean(MetricType::MeanFoldAccuracy, Some("svm")), None);
    }

    #[test]
    fn small_labels_are_left_out_and_two_labels_are_scored_by_the_second() {
        let (x, mut labels) = cells(60, &["B", "T"]);
        labels[..9].fill("rare");
        let found = label_prediction(x.view(), &labels, &LabelPredictionParams::default()).unwrap();
        assert_eq!(found.classes, ["B", "T"]);
        let prediction = Prediction { codes: vec![0, 1, 1, 1], probabilities: None };
        let row = score("lr", 0, &[0, 0, 1, 1], &prediction, 2).unwrap();
        assert_eq!((row.precision, row.recall, row.f1), (2.0 / 3.0, 1.0, 0.8));
        assert!(row.auroc.is_nan());
    }

    #[test]
    fn columns_without_variance_are_not_scaled() {
        let x = ndarray::array![[0.1f32, 1.0], [0.1, 3.0], [0.1, 1.0], [0.1, 3.0]];
        assert_eq!(standard_deviations(x.view()), [1.0, 1.0]);
        assert_eq!(standard_deviations((&x * 3.0).view())[1], 3.0);
    }

    #[test]
    fn faults_are_named() {
        let (x, labels) = cells(30, &["B", "T"]);
        let params = LabelPredictionParams::default();
        let error = label_prediction(x.view(), &labels[1..], &params).unwrap_err();
        assert_eq!(error.to_string(), "labels has 29 entries, expected 30");
        let strict = LabelPredictionParams { min_class_size: 16, ..params };
        let error = label_prediction(x.view(), &labels, &strict).unwrap_err();
        assert_eq!(error.to_string(), "labels is empty");
    }
}
