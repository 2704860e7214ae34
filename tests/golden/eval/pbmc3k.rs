//! The 2,638 labelled cells of PBMC 3k: folds of seed 42, and a cross-validation of noisy answers.

use std::convert::Infallible;

use sc_eval::metrics::classification::{ZeroDivision, classification_report};
use sc_eval::protocol::{CrossValidation, FoldOutput, Scores, cross_validate};
use sc_eval::split::{Split, StratifiedKFold};
use sc_eval::{Labels, Prediction};
use serde_json::Value;

use super::splits::fold_of_cell;
use super::{EXACT, assert_all_close, assert_close, digits, items, number};
use crate::support::{data, golden};

fn labels(case: &Value) -> Labels {
    let name = |code: &u32| case["classes"][*code as usize].as_str().unwrap();
    Labels::new(&digits(&case["codes"]).iter().map(name).collect::<Vec<_>>()).unwrap()
}

fn cross_validation(case: &Value, labels: &Labels) -> CrossValidation {
    let answers = digits(&case["predicted"]);
    let splits: Vec<Split> = StratifiedKFold::default().split(labels).unwrap();
    cross_validate(labels, &splits, |_, test| {
        let codes = test.iter().map(|&cell| answers[cell]).collect();
        let prediction = Prediction { codes, probabilities: None };
        Ok::<_, Infallible>(FoldOutput { prediction, fit_seconds: 0.0, predict_seconds: 0.0 })
    })
    .unwrap()
}

#[test]
fn folds_of_real_cells_are_those_of_scikit_learn() {
    let case = golden("eval/pbmc3k.json");
    let labels = labels(&case);
    assert_eq!((labels.len(), labels.codes()), (2638, &digits(&case["codes"])[..]));
    for (shuffle, key) in [(true, "folds"), (false, "ordered_folds")] {
        let splits = StratifiedKFold { shuffle, ..Default::default() }.split(&labels).unwrap();
        assert_eq!(fold_of_cell(&splits, labels.len()), digits(&case[key]), "{key}");
    }
}

#[test]
fn the_committed_labels_are_those_of_the_data() {
    let Some(path) = data("pbmc3k/labels.csv") else { return };
    let text = std::fs::read_to_string(path).unwrap();
    let names = text.lines().skip(1).map(|line| line.split(',').nth(1).unwrap());
    let names: Vec<&str> = names.filter(|name| !["", "NA", "nan"].contains(name)).collect();
    assert_eq!(Labels::new(&names).unwrap(), labels(&golden("eval/pbmc3k.json")));
}

#[test]
fn scores_of_each_fold_and_their_mean_and_spread_equal_scikit_learn() {
    let case = golden("eval/pbmc3k.json");
    let result = cross_validation(&case, &labels(&case));
    let check = |what: &str, scores: &Scores, expected: &Value| {
        let mut n_compared = 0;
        for (name, value) in scores.iter() {
            if let Some(value) = value {
                assert_close(&format!("{what} {name}"), value, number(&expected[name]), EXACT);
                n_compared += 1;
            }
        }
        assert_eq!(n_compared, expected.as_object().unwrap().len());
    };
    for (fold, expected) in result.folds.iter().zip(items(&case["scores"])) {
        check("fold", &fold.scores, expected);
    }
    check("mean", &result.mean, &case["mean"]);
    check("sd", &result.sd.unwrap(), &case["sd"]);
}

#[test]
fn the_report_over_all_folds_equals_scikit_learn() {
    let case = golden("eval/pbmc3k.json");
    let result = cross_validation(&case, &labels(&case));
    let report = classification_report(&result.confusion, &result.classes, ZeroDivision::Zero).unwrap();
    let expected = |name: &str| {
        ["precision", "recall", "f1-score", "support"].map(|column| number(&case["report"][name][column]))
    };
    for ((name, found), pooled) in report.classes.iter().zip(&result.per_class) {
        assert_eq!(found, pooled);
        let row = [found.precision, found.recall, found.f1, found.support as f64];
        assert_all_close(name, &row, &expected(name), EXACT);
    }
    for (name, found) in [("macro avg", report.macro_avg), ("weighted avg", report.weighted_avg)] {
        let row = [found.precision, found.recall, found.f1, report.support as f64];
        assert_all_close(name, &row, &expected(name), EXACT);
    }
    assert_close("accuracy", report.accuracy, number(&case["report"]["accuracy"]), EXACT);
}

#[test]
fn the_reported_mean_lies_within_its_interval() {
    let case = golden("eval/pbmc3k.json");
    let result = cross_validation(&case, &labels(&case));
    for (name, value) in result.mean.iter() {
        if let Some(interval) = result.intervals.get(name) {
            let value = value.unwrap();
            assert!(interval.low < value && value < interval.high, "{name}: {value} in {interval:?}");
        }
    }
}
