//! Boosting and forests against xgboost and scikit-learn, and xgboost's files (`golden/trees/PROVENANCE.md`).

mod files;

use ndarray::Array2;
use sc_eval::Features;
use sc_eval::classifiers::{
    ClassWeight, Classifier, GradientBoostingParams, ImportanceType, MaxFeatures, RandomForestParams,
    XgboostParams,
};
use serde_json::Value;

use crate::support;

pub(crate) struct Case {
    name: String,
    n_classes: usize,
    x: Features,
    y: Vec<u32>,
    test: Features,
    json: Value,
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn matrix(value: &Value) -> Array2<f32> {
    let rows: Vec<Vec<f64>> = value.as_array().unwrap().iter().map(numbers).collect();
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j] as f32)
}

fn cases() -> Vec<Case> {
    let all = support::golden("trees/cases.json");
    let case = |json: &Value| Case {
        name: json["name"].as_str().unwrap().into(),
        n_classes: json["n_classes"].as_u64().unwrap() as usize,
        x: Features::dense(matrix(&json["x"]).view()).unwrap(),
        y: numbers(&json["y"]).into_iter().map(|code| code as u32).collect(),
        test: Features::dense(matrix(&json["test"]).view()).unwrap(),
        json: json.clone(),
    };
    all.as_array().unwrap().iter().map(case).collect()
}

/// Largest difference of probabilities.
fn off(model: &dyn Classifier, x: &Features, expected: &Value) -> f32 {
    let found = model.predict(x).unwrap().probabilities.unwrap();
    let expected = matrix(expected);
    assert_eq!(found.dim(), expected.dim());
    (found - expected).iter().fold(0.0, |largest, difference| difference.abs().max(largest))
}

#[track_caller]
fn close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "{what}: {found:?} instead of {expected:?}");
    }
}

#[test]
fn every_parameter_of_boosting_does_what_xgboosts_does() {
    for case in cases() {
        for rule in ["plain", "penalties", "light"] {
            for weighted in [false, true] {
                let key = if weighted { format!("{rule}_balanced") } else { rule.into() };
                let expected = &case.json["xgboost"][&key];
                let mut fields = expected["params"].clone();
                fields["n_rounds"] = 15.into();
                let mut params: XgboostParams = serde_json::from_value(fields).unwrap();
                if weighted {
                    params.class_weight = ClassWeight::Balanced;
                }
                let model = params.fit(&case.x, &case.y, case.n_classes).unwrap();
                let off = off(&model, &case.x, &expected["training"]);
                assert!(off < 1e-5, "{}, {key}: off by {off}", case.name);
                for (kind, name) in [
                    (ImportanceType::Gain, "gain"),
                    (ImportanceType::TotalGain, "total_gain"),
                    (ImportanceType::Weight, "weight"),
                    (ImportanceType::Cover, "cover"),
                    (ImportanceType::TotalCover, "total_cover"),
                ] {
                    let expected = numbers(&expected["importance"][name]);
                    close(&model.importance(kind), &expected, 1e-4, &format!("{}, {key}, {name}", case.name));
                }
            }
        }
    }
}

#[test]
fn gradient_boosting_has_scikit_learns_probabilities_and_importances() {
    let mut n_compared = 0;
    for case in cases() {
        for rule in ["leaves", "stumps", "balanced"] {
            let expected = &case.json["gradient_boosting"][rule];
            // Which of equally good features splits is a matter of scikit-learn's seed.
            if expected["luck"].as_f64().unwrap() > 1e-6 {
                continue;
            }
            n_compared += 1;
            let params: GradientBoostingParams = serde_json::from_value(expected["params"].clone()).unwrap();
            let model = params.fit(&case.x, &case.y, case.n_classes).unwrap();
            let on_training = off(&model, &case.x, &expected["training"]);
            assert!(on_training < 1e-5, "{}, {rule}: off by {on_training}", case.name);
            let on_test = off(&model, &case.test, &expected["test"]);
            assert!(on_test < 1e-5, "{}, {rule}: off by {on_test} on the test cells", case.name);
            let importances = numbers(&expected["importances"]);
            let what = format!("{}, {rule}", case.name);
            close(&model.feature_importances(), &importances, 1e-5, &what);
        }
    }
    assert!(n_compared >= 9, "only {n_compared} fits without a tie");
}

#[test]
fn a_forest_on_all_features_has_scikit_learns_probabilities_and_importances_up_to_its_luck() {
    for case in cases() {
        let params = RandomForestParams {
            n_trees: 900,
            max_depth: usize::MAX,
            min_samples_split: 2,
            min_samples_leaf: 3,
            max_features: MaxFeatures::All,
            class_weight: ClassWeight::Balanced,
            ..Default::default()
        };
        let model = params.fit(&case.x, &case.y, case.n_classes).unwrap();
        let expected = &case.json["forest"];
        // Two forests of 300 trees differ by this in scikit-learn; the expected one is the mean of three.
        let luck = expected["spread"].as_f64().unwrap() as f32;
        let off = off(&model, &case.x, &expected["training"]);
        assert!(off < luck, "{}: off by {off}, scikit-learn by {luck}", case.name);
        let importances = model.feature_importances();
        close(&importances, &numbers(&expected["importances"]), 0.02, &case.name);
    }
}

#[test]
fn samples_of_cells_and_features_change_with_the_seed_only() {
    for case in cases() {
        let fit = |seed| {
            let params = XgboostParams {
                n_rounds: 5,
                subsample: 0.5,
                colsample_bytree: 0.5,
                seed,
                ..Default::default()
            };
            params.fit(&case.x, &case.y, case.n_classes).unwrap()
        };
        assert_eq!(fit(1), fit(1));
        assert_ne!(fit(1), fit(2));
        let fit = |seed| {
            let params =
                GradientBoostingParams { n_estimators: 5, subsample: 0.5, seed, ..Default::default() };
            params.fit(&case.x, &case.y, case.n_classes).unwrap()
        };
        assert_eq!(fit(1), fit(1));
        assert_ne!(fit(1), fit(2));
    }
}

#[test]
fn boosting_stops_when_the_validation_cells_gain_nothing_and_keeps_the_best_rounds() {
    for case in cases() {
        let params = XgboostParams { n_rounds: 60, learning_rate: 0.3, ..Default::default() };
        // Labels that have nothing to do with the features: more rounds can only hurt.
        let lies: Vec<u32> = (0..case.test.n_rows()).map(|i| (i * 7 % case.n_classes) as u32).collect();
        let validation = (&case.test, lies.as_slice());
        let model = params.fit_early_stopping(&case.x, &case.y, case.n_classes, validation, 3).unwrap();
        let n_outputs = if case.n_classes == 2 { 1 } else { case.n_classes };
        let n_rounds = model.n_trees() / n_outputs;
        assert!(n_rounds < 20, "{}: {n_rounds} rounds", case.name);
        let plain =
            XgboostParams { n_rounds, ..params.clone() }.fit(&case.x, &case.y, case.n_classes).unwrap();
        assert_eq!(model, plain);
        // On the training cells every round helps.
        let validation = (&case.x, case.y.as_slice());
        let model = params.fit_early_stopping(&case.x, &case.y, case.n_classes, validation, 3).unwrap();
        assert!(model.n_trees() > 50 * n_outputs);
    }
}

#[test]
fn parameters_out_of_range_are_named() {
    let case = &cases()[0];
    let xgboost = |json: &str| {
        let params: XgboostParams = serde_json::from_str(json).unwrap();
        params.fit(&case.x, &case.y, 3).unwrap_err().to_string()
    };
    assert_eq!(xgboost(r#"{"subsample": 0}"#), "`subsample` is 0, expected above 0, at most 1");
    assert_eq!(xgboost(r#"{"reg_alpha": -1}"#), "`reg_alpha` is -1, expected at least 0 and finite");
    assert_eq!(xgboost(r#"{"colsample_bytree": 2}"#), "`colsample_bytree` is 2, expected above 0, at most 1");
    let boosting = |json: &str| {
        let params: GradientBoostingParams = serde_json::from_str(json).unwrap();
        params.fit(&case.x, &case.y, 3).unwrap_err().to_string()
    };
    assert_eq!(boosting(r#"{"max_depth": 0}"#), "`max_depth` is 0, expected at least 1");
    assert_eq!(
        boosting(r#"{"learning_rate": -0.1}"#),
        "`learning_rate` is -0.1, expected at least 0 and finite"
    );
    let forest = |json: &str| {
        let params: RandomForestParams = serde_json::from_str(json).unwrap();
        params.fit(&case.x, &case.y, 3).unwrap_err().to_string()
    };
    assert_eq!(forest(r#"{"min_samples_leaf": 0}"#), "`min_samples_leaf` is 0, expected at least 1");
    assert_eq!(forest(r#"{"max_features": {"count": 0}}"#), "`max_features` is 0, expected at least 1");
    let share = forest(r#"{"max_features": {"share": 1.5}}"#);
    assert_eq!(share, "`max_features` is 1.5, expected a share above 0, at most 1");
    let unknown = serde_json::from_str::<XgboostParams>(r#"{"eta": 0.3}"#).unwrap_err().to_string();
    assert!(unknown.starts_with("unknown field `eta`, expected one of `n_rounds`"), "{unknown}");
    let validation = (&case.x, &case.y[1..]);
    let params = XgboostParams::default();
    let short = params.fit_early_stopping(&case.x, &case.y, 3, validation, 1).unwrap_err().to_string();
    assert_eq!(short, "validation labels has 119 entries, expected 120");
    let never =
        params.fit_early_stopping(&case.x, &case.y, 3, (&case.x, &case.y), 0).unwrap_err().to_string();
    assert_eq!(never, "`early_stopping_rounds` is 0, expected at least 1");
}
