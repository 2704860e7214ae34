//! One score of two kinds of cells: ties, constant scores, one kind only.

use sc_eval::metrics::anomaly::{anomaly_scores, detection_error, fpr_at_tpr};
use sc_eval::metrics::classification::{
    average_precision, det_curve, precision_recall_curve, roc_auc, roc_auc_partial, roc_curve,
};
use serde_json::Value;

use crate::golden::eval::{EXACT, assert_all_close, assert_close, codes, items, number, numbers};
use crate::support::golden;

/// Calls `check` with name, positives, scores and expected values of each case.
fn for_each_case(check: impl Fn(&str, &[bool], &[f32], &Value)) {
    let cases = golden("scores/curves.json");
    assert_eq!(items(&cases).len(), 10);
    for case in items(&cases) {
        let positive: Vec<bool> = codes(&case["positive"]).iter().map(|&code| code == 1).collect();
        let scores: Vec<f32> = numbers(&case["scores"]).into_iter().map(|score| score as f32).collect();
        check(case["name"].as_str().unwrap(), &positive, &scores, &case["expected"]);
    }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

#[test]
fn curves_equal_scikit_learn() {
    for_each_case(|name, positive, scores, expected| {
        for (key, drop) in [("roc", true), ("roc_all", false)] {
            let curve = roc_curve(positive, scores, drop).unwrap();
            let found = [curve.fpr, curve.tpr, wide(&curve.thresholds)];
            for (found, expected) in found.iter().zip(items(&expected[key])) {
                assert_all_close(&format!("{name} {key}"), found, &numbers(expected), EXACT);
            }
        }
        let curve = precision_recall_curve(positive, scores).unwrap();
        let found = [curve.precision, curve.recall, wide(&curve.thresholds)];
        for (found, expected) in found.iter().zip(items(&expected["pr"])) {
            assert_all_close(&format!("{name} pr"), found, &numbers(expected), EXACT);
        }
        match expected.get("det") {
            None => {
                assert!(det_curve(positive, scores).is_err(), "{name}: scikit-learn refuses one kind too")
            }
            Some(expected) => {
                let curve = det_curve(positive, scores).unwrap();
                let found = [curve.fpr, curve.fnr, wide(&curve.thresholds)];
                for (found, expected) in found.iter().zip(items(expected)) {
                    assert_all_close(&format!("{name} det"), found, &numbers(expected), EXACT);
                }
            }
        }
    });
}

#[test]
fn areas_equal_scikit_learn() {
    for_each_case(|name, positive, scores, expected| {
        let areas = [
            ("average_precision", average_precision(positive, scores)),
            ("roc_auc", roc_auc(positive, scores)),
        ];
        for (key, found) in areas {
            assert_close(&format!("{name} {key}"), found.unwrap(), number(&expected[key]), EXACT);
        }
        let partial = [0.1, 0.35, 1.0].map(|rate| roc_auc_partial(positive, scores, rate).unwrap());
        assert_all_close(&format!("{name} partial"), &partial, &numbers(&expected["partial"]), EXACT);
    });
}

#[test]
fn open_set_scores_follow_from_the_curves_of_scikit_learn() {
    for_each_case(|name, novel, scores, expected| {
        if expected.get("aupr_in").is_none() {
            assert!(anomaly_scores(novel, scores).is_err());
            return;
        }
        let found = anomaly_scores(novel, scores).unwrap();
        let values = [
            ("roc_auc", found.auroc),
            ("aupr_in", found.aupr_in),
            ("aupr_out", found.aupr_out),
            ("detection_error", found.detection_error),
            ("detection_error", detection_error(novel, scores).unwrap()),
        ];
        for (key, found) in values {
            assert_close(&format!("{name} {key}"), found, number(&expected[key]), EXACT);
        }
        let rates = [0.5, 0.8, 0.95, 1.0].map(|tpr| fpr_at_tpr(novel, scores, tpr).unwrap());
        assert_eq!(found.fpr_at_95_tpr, rates[2]);
        assert_all_close(&format!("{name} rates"), &rates, &numbers(&expected["fpr_at_tpr"]), EXACT);
    });
}
