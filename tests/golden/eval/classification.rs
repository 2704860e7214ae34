//! Metrics from counts, on patterns with classes that miss, that are only predicted, or that have one cell.

use sc_eval::metrics::classification::{
    Average, ClassScores, Normalize, ZeroDivision, accuracy, balanced_accuracy, cohen_kappa,
    confusion_matrix, f1_score, fbeta_score, matthews_corrcoef, precision_recall_fscore_support,
    precision_score, recall_score,
};
use serde_json::Value;

use super::{EXACT, assert_all_close, assert_close, codes, items, number, numbers, size};
use crate::support::golden;

const ZERO_DIVISIONS: [(&str, ZeroDivision); 3] =
    [("zero", ZeroDivision::Zero), ("one", ZeroDivision::One), ("nan", ZeroDivision::Nan)];
const AVERAGES: [(&str, Average); 3] =
    [("macro", Average::Macro), ("micro", Average::Micro), ("weighted", Average::Weighted)];

/// Calls `check` with name, truth, prediction, number of classes and expected values of each pattern.
fn for_each_case(check: impl Fn(&str, &[u32], &[u32], usize, &Value)) {
    let cases = golden("eval/classification.json");
    assert_eq!(items(&cases).len(), 14);
    for case in items(&cases) {
        let name = case["name"].as_str().expect("a name");
        let (truth, predicted) = (codes(&case["truth"]), codes(&case["predicted"]));
        check(name, &truth, &predicted, size(&case["n_classes"]), &case["expected"]);
    }
}

#[test]
fn one_number_scores_equal_scikit_learn() {
    for_each_case(|name, truth, predicted, k, expected| {
        let scores = [
            ("accuracy", accuracy(truth, predicted)),
            ("balanced_accuracy", balanced_accuracy(truth, predicted, k)),
            ("cohen_kappa", cohen_kappa(truth, predicted, k)),
            ("matthews_corrcoef", matthews_corrcoef(truth, predicted, k)),
        ];
        for (score, found) in scores {
            assert_close(&format!("{name} {score}"), found.unwrap(), number(&expected[score]), EXACT);
        }
    });
}

#[test]
fn averaged_precision_recall_and_f1_equal_scikit_learn() {
    for_each_case(|name, truth, predicted, k, expected| {
        for (zero_name, zero) in ZERO_DIVISIONS {
            for (average_name, average) in AVERAGES {
                let found = [precision_score, recall_score, f1_score]
                    .map(|score| score(truth, predicted, k, average, zero).unwrap());
                let key = format!("{average_name}_{zero_name}");
                assert_all_close(&format!("{name} {key}"), &found, &numbers(&expected[&key]), EXACT);
            }
            for (beta_name, beta) in [("0.5", 0.5), ("2", 2.0)] {
                let found = fbeta_score(truth, predicted, k, beta, Average::Macro, zero).unwrap();
                let key = format!("f{beta_name}_{zero_name}");
                assert_close(&format!("{name} {key}"), found, number(&expected[&key]), EXACT);
            }
        }
    });
}

#[test]
fn scores_of_each_class_equal_scikit_learn() {
    for_each_case(|name, truth, predicted, k, expected| {
        for (zero_name, zero) in ZERO_DIVISIONS {
            let found = precision_recall_fscore_support(truth, predicted, k, zero).unwrap();
            let expected = items(&expected[format!("none_{zero_name}")]);
            let columns: [fn(&ClassScores) -> f64; 4] =
                [|c| c.precision, |c| c.recall, |c| c.f1, |c| c.support as f64];
            for (column, expected) in columns.into_iter().zip(expected) {
                let found: Vec<f64> = found.iter().map(column).collect();
                assert_all_close(&format!("{name} {zero_name}"), &found, &numbers(expected), EXACT);
            }
        }
    });
}

#[test]
fn confusion_matrices_equal_scikit_learn() {
    for_each_case(|name, truth, predicted, k, expected| {
        let matrix = confusion_matrix(truth, predicted, k).unwrap();
        let counts: Vec<f64> = matrix.counts().iter().map(|&n| n as f64).collect();
        assert_eq!(counts, numbers(&expected["confusion"]), "{name}");
        let shares = [("true", Normalize::Truth), ("pred", Normalize::Predicted), ("all", Normalize::All)];
        for (key, normalize) in shares {
            let found: Vec<f64> = matrix.normalized(normalize).into_iter().collect();
            let expected = numbers(&expected[format!("confusion_{key}")]);
            assert_all_close(&format!("{name} {key}"), &found, &expected, EXACT);
        }
    });
}
