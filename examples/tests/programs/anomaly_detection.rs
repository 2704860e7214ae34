//! Unseen types: what is noticed, and what is refused.

use std::fs;
use std::path::Path;

use ndarray::Array2;

use super::support::{Ended, counts, run, types, write_h5ad};

/// 60 cells of three types, each with six of 18 genes.
fn three_types(dir: &Path) -> std::path::PathBuf {
    let x = Array2::from_shape_fn((60, 18), |(i, j)| {
        ((i * 7 + j * 5) % 4 + if i % 3 == j / 6 { 4 } else { 0 }) as f32
    });
    let types: Vec<_> = (0..60).map(|i| Some(["B", "NK", "T"][i % 3])).collect();
    write_h5ad(dir, &x, &types)
}

fn detect(input: &Path, flags: &[&str]) -> Ended {
    let out = input.with_extension("results");
    let fixed = ["--input", input.to_str().unwrap(), "--out", out.to_str().unwrap(), "--label", "cell_type"];
    run("anomaly_detection", &[&fixed[..], flags].concat())
}

const QUICK: [&str; 4] = ["--models", "logistic_regression", "--n-components", "5"];

#[test]
fn without_models_given_it_compares_many_on_the_embedded_cells() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("results");
    let flags = ["--n-genes", "100", "--models", "logistic_regression,random_forest", "--min-cells", "100"];
    let ended = run("anomaly_detection", &[&["--out", out.to_str().unwrap()][..], &flags].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let csv = fs::read_to_string(out.join("unseen_types.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + 2 * 3 + 3, "{csv}");
    for line in csv.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let [auroc, low, high] = [2, 3, 4].map(|at| fields[at].parse::<f64>().unwrap());
        assert!(low <= auroc && auroc <= high, "{line}");
        // Classifiers take an unseen monocyte for a dendritic cell, and the other way round; distances do not.
        assert!(fields[1] != "nearest centroid" || auroc > 0.6, "{line}");
        assert!(ended.stdout.contains(fields[1]), "{}", ended.stdout);
    }
    // Two types have a hundred cells.
    let all = fs::read_to_string(out.join("every_type_and_method.csv")).unwrap();
    assert_eq!(all.lines().count(), 1 + 2 * 9);
    assert!(fs::read_to_string(out.join("report.md")).unwrap().contains("CD19+ B (95)"));
    for file in ["report.html", "metrics.json", "auroc_of_each_type.csv", "roc_of_the_best_method.csv"] {
        assert!(fs::metadata(out.join(file)).unwrap().len() > 100, "{file}");
    }
}

#[test]
fn types_of_their_own_are_noticed_in_one_split_and_in_folds_and_on_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    let input = three_types(dir.path());
    for split in [["--test-size", "0.3"], ["--cv", "3"]] {
        let table = |threads| {
            let flags = [&QUICK[..], &split, &["--force", "--threads", threads]].concat();
            let ended = detect(&input, &flags);
            assert_eq!(ended.code, 0, "{}", ended.stderr);
            fs::read_to_string(input.with_extension("results").join("unseen_types.csv")).unwrap()
        };
        let csv = table("1");
        for name in ["logistic_regression,entropy,1,1,1,", "autoencoder,reconstruction,1,1,1,"] {
            assert!(csv.contains(name), "no {name:?} in {csv}");
        }
        assert_eq!(table("3"), csv);
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let input = three_types(dir.path());
    let cases: [(&[&str], i32, &[&str]); 8] = [
        (&["--models", "forest"], 2, &["forest", "random_forest"]),
        (&["--models", "svm_linear"], 2, &["svm_linear", "leave it out of --models"]),
        (&["--models", "knn,knn"], 2, &["knn", "asked for twice"]),
        (&["--detectors", "isolation"], 2, &["isolation", "centroid_distance"]),
        (&["--min-cells", "21"], 2, &["`min_cells` is 21"]),
        (&["--test-size", "1.5"], 2, &["test_size", "1.5"]),
        (&["--cv", "1"], 2, &["n_splits"]),
        (&["--cv", "3", "--test-size", "0.2"], 2, &["--cv", "--test-size"]),
    ];
    for (flags, code, words) in cases {
        let ended = detect(&input, flags);
        assert_eq!(ended.code, code, "{flags:?}: {}", ended.stderr);
        for word in words {
            assert!(ended.stderr.contains(word), "{flags:?}: no {word:?} in {}", ended.stderr);
        }
        assert!(!input.with_extension("results").exists(), "a run that failed leaves no results");
    }
}

#[test]
fn two_types_are_too_few_to_leave_one_out() {
    let dir = tempfile::tempdir().unwrap();
    let input = write_h5ad(dir.path(), &counts(), &types());
    let ended = detect(&input, &QUICK);
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    for word in ["without \"B\"", "label \"T\"", "help:"] {
        assert!(ended.stderr.contains(word), "no {word:?} in {}", ended.stderr);
    }
}
