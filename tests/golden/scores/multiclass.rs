//! Scores of several classes, with ties, with a class that no cell has, and with one class only.

use ndarray::Array2;
use sc_eval::Prediction;
use sc_eval::metrics::classification::{
    Average, KappaWeights, ZeroDivision, average_precision_ovr, average_precision_per_class,
    balanced_accuracy_adjusted, cohen_kappa_weighted, confusion_matrix, d2_brier_score, d2_log_loss_score,
    jaccard_score, multilabel_confusion_matrix, roc_auc_ovo, roc_auc_ovr, zero_one_loss,
};
use sc_eval::metrics::selective::risk_coverage_curve;
use serde_json::Value;

use super::CLOSE;
use crate::golden::eval::{EXACT, assert_all_close, assert_close, codes, items, number, numbers, size};
use crate::support::golden;

/// A case of the golden file.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) truth: Vec<u32>,
    pub(super) probabilities: Array2<f32>,
    pub(super) expected: Value,
    pub(super) calibration: Value,
}

pub(super) fn cases() -> Vec<Case> {
    let cases = golden("scores/multiclass.json");
    let case = |case: &Value| {
        let (truth, k) = (codes(&case["truth"]), size(&case["n_classes"]));
        let values = numbers(&case["probabilities"]).into_iter().map(|p| p as f32).collect();
        Case {
            name: case["name"].as_str().unwrap().to_owned(),
            probabilities: Array2::from_shape_vec((truth.len(), k), values).unwrap(),
            truth,
            expected: case["expected"].clone(),
            calibration: case["calibration"].clone(),
        }
    };
    let cases: Vec<Case> = items(&cases).iter().map(case).collect();
    assert_eq!(cases.len(), 6);
    cases
}

const AVERAGES: [(&str, Average); 3] =
    [("macro", Average::Macro), ("micro", Average::Micro), ("weighted", Average::Weighted)];

#[test]
fn scores_of_labels_equal_scikit_learn() {
    for Case { name, truth, probabilities, expected, .. } in cases() {
        let k = probabilities.ncols();
        let predicted = Prediction::from_probabilities(probabilities).codes;
        for (key, average) in AVERAGES {
            let found = jaccard_score(&truth, &predicted, k, average).unwrap();
            assert_close(&format!("{name} jaccard {key}"), found, number(&expected["jaccard"][key]), EXACT);
        }
        let counts = confusion_matrix(&truth, &predicted, k).unwrap();
        for (key, zero_division) in [("zero", ZeroDivision::Zero), ("one", ZeroDivision::One)] {
            let found = counts.jaccard_per_class(zero_division);
            let what = format!("{name} jaccard of classes, {key}");
            assert_all_close(&what, &found, &numbers(&expected["jaccard_none"][key]), EXACT);
        }
        let loss = zero_one_loss(&truth, &predicted).unwrap();
        assert_eq!(loss, 1.0 - counts.accuracy());
        assert_close("matrix", counts.zero_one_loss(), loss, EXACT);
        let kappa = |weights| cohen_kappa_weighted(&truth, &predicted, k, weights).unwrap();
        let values = [
            ("hamming_loss", loss),
            ("zero_one_loss", loss),
            ("balanced_accuracy_adjusted", balanced_accuracy_adjusted(&truth, &predicted, k).unwrap()),
            ("kappa_linear", kappa(KappaWeights::Linear)),
            ("kappa_quadratic", kappa(KappaWeights::Quadratic)),
        ];
        for (key, found) in values {
            assert_close(&format!("{name} {key}"), found, number(&expected[key]), EXACT);
        }
        let classes = multilabel_confusion_matrix(&truth, &predicted, k).unwrap();
        assert_eq!(classes.len(), items(&expected["multilabel"]).len());
        for (class, (four, ratios)) in classes
            .iter()
            .zip(items(&expected["multilabel"]).iter().zip(items(&expected["likelihood_ratios"])))
        {
            let found =
                [class.true_negative, class.false_positive, class.false_negative, class.true_positive];
            assert_eq!(found.map(|n| n as f64).as_slice(), numbers(four), "{name}");
            let found = [class.positive_likelihood_ratio(), class.negative_likelihood_ratio()];
            assert_all_close(&format!("{name} likelihood ratios"), &found, &numbers(ratios), EXACT);
        }
    }
}

#[test]
fn scores_of_probabilities_equal_scikit_learn() {
    for Case { name, truth, probabilities, expected, .. } in cases() {
        let p = probabilities.view();
        assert_close(&name, d2_brier_score(&truth, p).unwrap(), number(&expected["d2_brier"]), EXACT);
        let found = d2_log_loss_score(&truth, p).unwrap();
        // With one class the reference divides by a loss of one rounding error.
        let tolerance = if name == "one_class" { 1e-6 } else { EXACT };
        assert_close(&format!("{name} d2 log"), found, number(&expected["d2_log_loss"]), tolerance);
        let found = average_precision_per_class(&truth, p).unwrap();
        assert_all_close(&name, &found, &numbers(&expected["average_precision_none"]), EXACT);
        let mut checked = 0;
        for (key, average) in AVERAGES {
            let scores = [
                ("ap", average_precision_ovr(&truth, p, average)),
                ("ovr", roc_auc_ovr(&truth, p, average)),
                ("ovo", roc_auc_ovo(&truth, p, average)),
            ];
            for (score, found) in scores {
                if let Some(value) = expected.get(format!("{score}_{key}")) {
                    assert_close(&format!("{name} {score} {key}"), found.unwrap(), number(value), EXACT);
                    checked += 1;
                }
            }
        }
        assert!(checked >= 6, "{name}");
    }
}

#[test]
fn risk_and_coverage_equal_those_of_sorted_cells() {
    for Case { name, truth, probabilities, expected, .. } in cases() {
        let top = sc_eval::metrics::calibration::top_label(&truth, probabilities.view()).unwrap();
        let curve = risk_coverage_curve(&top.confidence, &top.correct).unwrap();
        assert_all_close(&name, &curve.coverage, &numbers(&expected["coverage"]), EXACT);
        assert_all_close(&name, &curve.risk, &numbers(&expected["risk"]), EXACT);
        assert_close(&name, curve.aurc(), number(&expected["aurc"]), EXACT);
        assert_close(&name, curve.excess_aurc(), number(&expected["excess_aurc"]), EXACT);
    }
}

#[test]
fn the_fitted_temperature_is_where_the_slope_of_the_loss_is_zero() {
    let mut fitted = 0;
    for Case { name, truth, probabilities, expected, .. } in cases() {
        let Some(temperature) = expected.get("temperature") else { continue };
        let scaling =
            sc_eval::metrics::calibration::TemperatureScaling::fit(&truth, probabilities.view()).unwrap();
        assert_close(&name, scaling.temperature, number(temperature), CLOSE);
        fitted += 1;
    }
    assert_eq!(fitted, 5);
}
