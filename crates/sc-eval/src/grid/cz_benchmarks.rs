//! Results as cz-benchmarks 0.15 writes those of its label prediction.

use serde::Serialize;

use super::Merged;
use super::store::pretty;
use crate::metrics::classification::{ClassScores, ConfusionMatrix, ZeroDivision};
use crate::protocol::{CrossValidation, FoldScores};

/// Its `MetricResult`.
#[derive(Serialize)]
struct MetricResult<'a> {
    metric_type: &'static str,
    value: f64,
    params: Params<'a>,
}

#[derive(Serialize)]
struct Params<'a> {
    classifier: &'a str,
    dataset: &'a str,
}

/// The score of a fold, if the model has it.
type Metric = fn(&FoldScores) -> Option<f64>;

const METRICS: [(&str, Metric); 5] = [
    ("mean_fold_accuracy", |fold| Some(fold.scores.accuracy)),
    ("mean_fold_f1", |fold| Some(averaged(&fold.confusion, fold.scores.f1_macro, |class| class.f1))),
    ("mean_fold_precision", |fold| {
        Some(averaged(&fold.confusion, fold.scores.precision_macro, |class| class.precision))
    }),
    ("mean_fold_recall", |fold| {
        Some(averaged(&fold.confusion, fold.scores.recall_macro, |class| class.recall))
    }),
    ("mean_fold_auroc", |fold| fold.scores.roc_auc_ovr),
];

/// The macro average; with two classes the score of the second, which scikit-learn calls the positive one.
fn averaged(counts: &ConfusionMatrix, macro_average: f64, score: fn(&ClassScores) -> f64) -> f64 {
    match counts.per_class(ZeroDivision::Zero).as_slice() {
        [_, positive] => score(positive),
        _ => macro_average,
    }
}

/// For each data set and seed: the mean over all models and folds, then the mean over folds of each model.
pub(super) fn json(merged: &Merged) -> Vec<u8> {
    let mut means = Vec::new();
    for data in &merged.datasets {
        let mut names: Vec<&str> = data.models.iter().map(|model| model.plan.name.as_str()).collect();
        names.sort_unstable();
        means.push(format!("MEAN({})", names.join(",")));
    }
    let mut entries = Vec::new();
    for (data, mean_of_all) in merged.datasets.iter().zip(&means) {
        let mut add = |classifier, results: &[&CrossValidation]| {
            for (metric_type, metric) in METRICS {
                let folds = results.iter().flat_map(|result| &result.folds);
                let values: Option<Vec<f64>> = folds.map(metric).collect();
                if let Some(values) = values {
                    let value = values.iter().sum::<f64>() / values.len() as f64;
                    let params = Params { classifier, dataset: &data.name };
                    entries.push(MetricResult { metric_type, value, params });
                }
            }
        };
        for &seed in &merged.plan.seeds {
            let of_seed: Vec<(&str, &CrossValidation)> = data
                .models
                .iter()
                .filter_map(|model| {
                    let found = model.seeds.iter().find(|entry| entry.seed == seed)?;
                    Some((model.plan.name.as_str(), &found.result))
                })
                .collect();
            if of_seed.is_empty() {
                continue;
            }
            add(mean_of_all, &of_seed.iter().map(|(_, result)| *result).collect::<Vec<_>>());
            for (name, result) in of_seed {
                add(name, &[result]);
            }
        }
    }
    pretty(&entries)
}
