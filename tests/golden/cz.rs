//! cz-benchmarks' tasks and metrics against its own code and scikit-learn; see `cz/PROVENANCE.md`.

use std::path::Path;

use ndarray::Array2;
use sc_eval::metrics::clustering::{
    calinski_harabasz, davies_bouldin, fowlkes_mallows, pair_confusion_matrix,
};
use sc_eval::metrics::correlation::{mean_squared_error, pearson_correlation, spearman_correlation};
use sc_eval::metrics::integration::{Neighbors, entropy_per_cell};
use sc_eval::metrics::registry::MetricType;
use sc_eval::metrics::sequential::sequential_alignment;
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
    // The solvers of `lr` stop at different points of the same tolerance: a cell of a fold, which the scores of a rare type show.
    for (classifier, tolerance, of_mean) in [("lr", 1e-2, 2e-3), ("knn", 1e-9, 1e-9)] {
        let own: Vec<_> = found.folds.iter().filter(|fold| fold.classifier == classifier).collect();
        let scores = ["accuracy", "f1", "precision", "recall", "auroc"];
        for score in scores {
            let expected = numbers(&expected["folds"][classifier][score]);
            assert_eq!(own.len(), expected.len());
            let mut sum = 0.0;
            for (fold, expected) in own.iter().zip(&expected) {
                let value = match score {
                    "accuracy" => fold.accuracy,
                    "f1" => fold.f1,
                    "precision" => fold.precision,
                    "recall" => fold.recall,
                    _ => fold.auroc,
                };
                let what = format!("{classifier} {score} of fold {}", fold.split);
                assert!((value - expected).abs() <= tolerance, "{what}: {value}, scikit-learn {expected}");
                sum += value - expected;
            }
            assert!(sum.abs() / 5.0 <= of_mean, "mean {classifier} {score} differs by {}", sum / 5.0);
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

fn codes(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect()
}

fn rows(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

#[track_caller]
fn close(what: &str, found: f64, expected: &Value, tolerance: f64) {
    let expected = expected.as_f64().unwrap();
    assert!(
        (found - expected).abs() <= tolerance * expected.abs().max(1.0),
        "{what}: {found} is not {expected}"
    );
}

#[test]
fn partitions_and_dispersions_equal_scikit_learn() {
    let all = golden("cz/metrics.json");
    for case in rows(&all["partitions"]) {
        let (truth, clusters) = (codes(&case["truth"]), codes(&case["clusters"]));
        close(
            "fowlkes_mallows",
            fowlkes_mallows(&truth, &clusters).unwrap(),
            &case["fowlkes_mallows"],
            1e-12,
        );
        let pairs = pair_confusion_matrix(&truth, &clusters).unwrap().concat();
        assert_eq!(pairs, codes(&case["pairs"]).into_iter().map(u64::from).collect::<Vec<_>>());
    }
    for case in rows(&all["clusters"]) {
        let values: Vec<f32> = numbers(&case["x"]).into_iter().map(|v| v as f32).collect();
        let n = case["n"].as_u64().unwrap() as usize;
        let x = Array2::from_shape_vec((n, values.len() / n), values).unwrap();
        let clusters = codes(&case["clusters"]);
        let found = calinski_harabasz(x.view(), &clusters).unwrap();
        close("calinski_harabasz", found, &case["calinski_harabasz"], 1e-9);
        close("davies_bouldin", davies_bouldin(x.view(), &clusters).unwrap(), &case["davies_bouldin"], 1e-9);
    }
}

#[test]
fn correlations_equal_scipy() {
    for case in rows(&golden("cz/metrics.json")["pairs"]) {
        let (a, b) = (numbers(&case["a"]), numbers(&case["b"]));
        close("squared error", mean_squared_error(&a, &b).unwrap(), &case["mean_squared_error"], 1e-12);
        close("pearson", pearson_correlation(&a, &b).unwrap(), &case["pearson"], 1e-12);
        close("spearman", spearman_correlation(&a, &b).unwrap(), &case["spearman"], 1e-12);
    }
}

#[test]
fn metrics_of_neighbours_equal_cz_benchmarks() {
    for case in rows(&golden("cz/metrics.json")["neighbors"]) {
        let (n, indices) = (case["n"].as_u64().unwrap() as usize, codes(&case["indices"]));
        let indices = Array2::from_shape_vec((n, indices.len() / n), indices).unwrap();
        let distances = Array2::zeros(indices.dim());
        let neighbors = Neighbors::new(indices.view(), distances.view()).unwrap();
        let entropy = entropy_per_cell(neighbors, &codes(&case["batches"])).unwrap();
        close("entropy", entropy, &case["entropy_per_cell"], 1e-12);
        let times = numbers(&case["times"]);
        let found = sequential_alignment(neighbors, &times).unwrap();
        // The part that is not drawn at random, exactly; the score within what twenty draws span.
        let pairs = (0..n).flat_map(|i| (0..i).map(move |j| (i, j)));
        let by_chance =
            pairs.map(|(i, j)| (times[i] - times[j]).abs()).sum::<f64>() / (n * (n - 1) / 2) as f64;
        close("mean distance", (1.0 - found) * by_chance, &case["mean_distance"], 1e-12);
        let draws = numbers(&case["sequential_alignment"]);
        let (low, high) = draws.iter().fold((1.0f64, 0.0f64), |(a, b), &v| (a.min(v), b.max(v)));
        assert!(found >= low && found <= high, "{found} is not within {low} to {high}");
    }
}
