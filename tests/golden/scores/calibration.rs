//! Reliability curves and calibration errors.

use sc_eval::metrics::calibration::{
    BinStrategy, ReliabilityParams, brier_decomposition, classwise_calibration_error,
    expected_calibration_error, maximum_calibration_error, reliability_curve, top_label,
};

use super::multiclass::{Case, cases};
use crate::golden::eval::{EXACT, assert_all_close, assert_close, items, number, numbers, size};

#[test]
fn reliability_curves_equal_scikit_learn_and_errors_follow_from_them() {
    for Case { name, truth, probabilities, calibration, .. } in cases() {
        let p = probabilities.view();
        let top = top_label(&truth, p).unwrap();
        assert_eq!(items(&calibration).len(), 6);
        for expected in items(&calibration) {
            let strategy = match expected["strategy"].as_str() {
                Some("uniform") => BinStrategy::Uniform,
                _ => BinStrategy::Quantile,
            };
            let params =
                ReliabilityParams { n_bins: size(&expected["bins"]), strategy, ..Default::default() };
            let what = format!("{name} {params:?}");
            let bins = reliability_curve(&top.confidence, &top.correct, &params).unwrap();
            let accuracy: Vec<f64> = bins.iter().map(|bin| bin.accuracy).collect();
            let confidence: Vec<f64> = bins.iter().map(|bin| bin.confidence).collect();
            assert_all_close(&what, &accuracy, &numbers(&expected["accuracy"]), EXACT);
            assert_all_close(&what, &confidence, &numbers(&expected["confidence"]), EXACT);
            let ece = expected_calibration_error(&truth, p, &params).unwrap();
            assert_close(&what, ece, number(&expected["ece"]), EXACT);
            let mce = maximum_calibration_error(&truth, p, &params).unwrap();
            assert_close(&what, mce, number(&expected["mce"]), EXACT);
            let classwise = classwise_calibration_error(&truth, p, &params).unwrap();
            assert_all_close(&what, &classwise, &numbers(&expected["classwise"]), EXACT);
            let parts = brier_decomposition(&truth, p, &params).unwrap();
            let parts = [parts.reliability, parts.resolution, parts.uncertainty, parts.brier];
            assert_all_close(&what, &parts, &numbers(&expected["brier"]), EXACT);
        }
    }
}
