//! cz-benchmarks' tasks and metrics against its own code and scikit-learn; see `cz/PROVENANCE.md`.

use std::path::Path;

use ndarray::Array2;
use sc_eval::metrics::registry::MetricType;
use sc_eval::protocol::{LabelPredictionParams, label_prediction};
use serde_json::Value;

use crate::support::golden;

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// 50 principal components of 3,000 simulated cells, in 1,024ths.
fn components() -> Array2<f32> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/cz/sim_3k_pca.i16");
    let bytes = std::fs::read(path).unwrap();
    let values = bytes.chunks_exact(2).map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 1024.0);
    Array2::from_shape_vec((3000, 50), values.collect()).unwrap()
}

#[test]
fn label_prediction_equals_cz_benchmarks() {
    let expected = golden("cz/label_prediction.json");
    let classes: Vec<&str> =
        expected["classes"].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect();
    let codes = expected["codes"].as_str().unwrap().chars();
    let labels: Vec<&str> = codes.map(|c| classes[c.to_digit(10).unwrap() as usize]).collect();
    let found = label_prediction(components().view(), &labels, &LabelPredictionParams::default()).unwrap();
    assert_eq!(found.classes, classes);
    for (classifier, tolerance) in [("lr", 2e-3), ("knn", 1e-9)] {
        let own: Vec<_> = found.folds.iter().filter(|fold| fold.classifier == classifier).collect();
        let scores = ["accuracy", "f1", "precision", "recall", "auroc"];
        for score in scores {
            let expected = numbers(&expected["folds"][classifier][score]);
            assert_eq!(own.len(), expected.len());
            for (fold, expected) in own.iter().zip(expected) {
                let value = match score {
                    "accuracy" => fold.accuracy,
                    "f1" => fold.f1,
                    "precision" => fold.precision,
                    "recall" => fold.recall,
                    _ => fold.auroc,
                };
                let what = format!("{classifier} {score} of fold {}", fold.split);
                assert!((value - expected).abs() <= tolerance, "{what}: {value}, scikit-learn {expected}");
            }
        }
    }
    // Other random numbers: within what ten seeds of scikit-learn span, and as much again on either side.
    let metrics = [
        (MetricType::MeanFoldAccuracy, "accuracy"),
        (MetricType::MeanFoldF1Score, "f1"),
        (MetricType::MeanFoldPrecision, "precision"),
        (MetricType::MeanFoldRecall, "recall"),
        (MetricType::MeanFoldAuroc, "auroc"),
    ];
    for (metric, name) in metrics {
        let value = found.mean(metric, Some("rf")).unwrap();
        let seeds = numbers(&expected["rf_seeds"][name]);
        let (low, high) = seeds.iter().fold((f64::INFINITY, 0.0f64), |(a, b), &v| (a.min(v), b.max(v)));
        let margin = high - low;
        assert!(
            value >= low - margin && value <= high + margin,
            "rf {name}: {value}, scikit-learn {low} to {high}"
        );
    }
}
