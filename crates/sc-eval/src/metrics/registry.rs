//! Metrics by the names that cz-benchmarks gives them, and results in its layout.
//!
//! ```
//! use sc_eval::metrics::registry::MetricType;
//!
//! let metric: MetricType = "mean_fold_f1".parse()?;
//! assert_eq!(metric, MetricType::MeanFoldF1Score);
//! assert!(metric.info().higher_is_better);
//! # Ok::<(), sc_eval::Error>(())
//! ```

mod result;

use std::fmt;
use std::str::FromStr;

pub use result::{AggregatedMetricResult, MetricResult, aggregate_results};

use crate::{Error, Result};

/// What is known of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricInfo {
    /// Its name in results, in the spelling of cz-benchmarks.
    pub name: &'static str,
    /// What it says.
    pub description: &'static str,
    /// The groups that it is in: `clustering`, `embedding`, `integration`, `label_prediction`, `perturbation`,
    /// `sequential`.
    pub tags: &'static [&'static str],
    /// What it is computed from, in the words of cz-benchmarks.
    pub required_args: &'static [&'static str],
    /// Whether a larger value is a better one.
    pub higher_is_better: bool,
    /// Path of the function or the type of this crate that computes it.
    pub function: &'static str,
}

const FOLD_SCORES: &[&str] = &["results_df"];
const ONE_SCORE: &[&str] = &["results_df", "metric"];
const ANSWERS: &[&str] = &["y_true", "y_pred"];
const PARTITIONS: &[&str] = &["labels_true", "labels_pred"];
const LABELS: &[&str] = &["label_prediction"];
const LABELS_AND_PERTURBATION: &[&str] = &["label_prediction", "perturbation"];

macro_rules! metrics {
    ($($variant:ident $name:literal $higher:literal $tags:expr, $args:expr, $function:literal, $description:literal;)*) => {
        /// A metric of cz-benchmarks 0.15.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        pub enum MetricType {
            $(
                #[doc = $description]
                #[cfg_attr(feature = "serde", serde(rename = $name))]
                $variant,
            )*
        }

        impl MetricType {
            /// All metrics, in the order of cz-benchmarks' enumeration.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// What is known of the metric.
            pub const fn info(self) -> MetricInfo {
                match self {
                    $(Self::$variant => MetricInfo {
                        name: $name,
                        description: $description,
                        tags: $tags,
                        required_args: $args,
                        higher_is_better: $higher,
                        function: $function,
                    },)*
                }
            }
        }
    };
}

metrics! {
    AdjustedRandIndex "adjusted_rand_index" true &["clustering"], PARTITIONS,
        "metrics::clustering::adjusted_rand_index",
        "Agreement of clusters and labels on pairs of cells, beyond chance.";
    NormalizedMutualInfo "normalized_mutual_info" true &["clustering"], PARTITIONS,
        "metrics::clustering::normalized_mutual_info",
        "Information that clusters and labels share, over the mean of their entropies.";
    SilhouetteScore "silhouette_score" true &["embedding"], &["X", "labels"],
        "metrics::integration::silhouette_label",
        "Mean silhouette of the labels, scaled to 0..=1.";
    EntropyPerCell "entropy_per_cell" true &["integration"], &["X", "labels"],
        "metrics::integration::entropy_per_cell",
        "Mean entropy of the batches around a cell, over its largest value.";
    BatchSilhouette "batch_silhouette" true &["integration"], &["X", "labels", "batch"],
        "metrics::integration::silhouette_batch",
        "One minus the silhouette of the batches within each label.";
    MeanSquaredError "mean_squared_error" false &["perturbation"], ANSWERS,
        "metrics::correlation::mean_squared_error",
        "Mean of the squared differences of true and predicted values.";
    PearsonCorrelation "PEARSON_CORRELATION" true &["perturbation"], &["x", "y"],
        "metrics::correlation::pearson_correlation",
        "Linear correlation of true and predicted values.";
    Accuracy "accuracy" true LABELS, ONE_SCORE,
        "metrics::classification::accuracy",
        "Share of cells with the true label, of one run.";
    AccuracyCalculation "accuracy_calculation" true LABELS_AND_PERTURBATION, ANSWERS,
        "metrics::classification::accuracy",
        "Share of cells with the true label.";
    MeanFoldAccuracy "mean_fold_accuracy" true LABELS, FOLD_SCORES,
        "protocol::label_prediction",
        "Accuracy, mean over folds.";
    Auroc "auroc" true LABELS, ONE_SCORE,
        "metrics::classification::roc_auc_ovr",
        "Area under the ROC curve, one label against the rest, of one run.";
    MeanFoldAuroc "mean_fold_auroc" true LABELS, FOLD_SCORES,
        "protocol::label_prediction",
        "Area under the ROC curve, mean over folds.";
    F1Score "f1" true LABELS, ONE_SCORE,
        "metrics::classification::f1_score",
        "F1, of one run.";
    F1Calculation "f1_calculation" true LABELS_AND_PERTURBATION, ANSWERS,
        "metrics::classification::f1_score",
        "F1; an undefined ratio counts as 0.";
    MeanFoldF1Score "mean_fold_f1" true LABELS, FOLD_SCORES,
        "protocol::label_prediction",
        "F1, mean over folds.";
    Jaccard "jaccard" true &["perturbation"], ANSWERS,
        "metrics::correlation::jaccard",
        "What two sets share over what either holds.";
    Precision "precision" true LABELS, ONE_SCORE,
        "metrics::classification::precision_score",
        "Precision, of one run.";
    PrecisionCalculation "precision_calculation" true LABELS_AND_PERTURBATION, ANSWERS,
        "metrics::classification::precision_score",
        "Precision; an undefined ratio counts as 0.";
    MeanFoldPrecision "mean_fold_precision" true LABELS, FOLD_SCORES,
        "protocol::label_prediction",
        "Precision, mean over folds.";
    Recall "recall" true LABELS, ONE_SCORE,
        "metrics::classification::recall_score",
        "Recall, of one run.";
    RecallCalculation "recall_calculation" true LABELS_AND_PERTURBATION, ANSWERS,
        "metrics::classification::recall_score",
        "Recall; an undefined ratio counts as 0.";
    MeanFoldRecall "mean_fold_recall" true LABELS, FOLD_SCORES,
        "protocol::label_prediction",
        "Recall, mean over folds.";
    SpearmanCorrelationCalculation "spearman_correlation_calculation" true LABELS_AND_PERTURBATION, &["a", "b"],
        "metrics::correlation::spearman_correlation",
        "Rank correlation of true and predicted values.";
    SequentialAlignment "sequential_alignment" true &["sequential"], &["X", "labels"],
        "metrics::sequential::sequential_alignment",
        "How near in time the neighbours of a cell are, compared with cells drawn by chance.";
}

impl MetricType {
    /// The metric's name in results.
    pub const fn as_str(self) -> &'static str {
        self.info().name
    }

    /// The metrics that carry all of these tags; all metrics without any.
    pub fn with_tags(tags: &[&str]) -> Vec<Self> {
        let carries = |metric: &Self| tags.iter().all(|tag| metric.info().tags.contains(tag));
        Self::ALL.iter().copied().filter(carries).collect()
    }
}

impl fmt::Display for MetricType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for MetricType {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.iter().copied().find(|metric| metric.as_str() == name).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|metric| metric.as_str()).collect();
            Error::UnknownMetric { name: name.to_owned(), known: known.join(", ") }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_metric() {
        assert_eq!(MetricType::ALL.len(), 24);
        for &metric in MetricType::ALL {
            assert_eq!(metric.to_string().parse::<MetricType>().unwrap(), metric);
        }
        let error = "f2".parse::<MetricType>().unwrap_err();
        assert!(error.to_string().starts_with("no metric is called \"f2\"; there are adjusted_rand_index, "));
    }

    #[test]
    fn tags_select() {
        assert_eq!(MetricType::with_tags(&["sequential"]), [MetricType::SequentialAlignment]);
        assert_eq!(MetricType::with_tags(&["label_prediction", "perturbation"]).len(), 5);
        assert_eq!(MetricType::with_tags(&[]).len(), 24);
        assert!(MetricType::with_tags(&["none"]).is_empty());
        let lower: Vec<_> = MetricType::ALL.iter().filter(|m| !m.info().higher_is_better).collect();
        assert_eq!(lower, [&MetricType::MeanSquaredError]);
    }
}
