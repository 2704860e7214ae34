//! Classifiers against scikit-learn and xgboost (`golden/classifiers/PROVENANCE.md`), and what all of them keep.

mod linear;

use ndarray::Array2;
use sc_eval::classifiers::{
    Classifier, KnnParams, LinearSvmParams, LogisticRegressionParams, Model, RandomForestParams,
    RbfSvmParams, XgboostParams,
};
use sc_eval::{Features, Prediction};
use serde_json::Value;

use crate::support;

struct Case {
    n_classes: usize,
    x: Array2<f32>,
    y: Vec<u32>,
    test: Array2<f32>,
    json: Value,
}

fn matrix(value: &Value) -> Array2<f32> {
    let rows = value.as_array().unwrap();
    let n_cols = rows[0].as_array().unwrap().len();
    let values = rows.iter().flat_map(|r| r.as_array().unwrap()).map(|v| v.as_f64().unwrap() as f32);
    Array2::from_shape_vec((rows.len(), n_cols), values.collect()).unwrap()
}

fn codes(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect()
}

fn cases() -> Vec<Case> {
    let all = support::golden("classifiers/cases.json");
    let case = |json: &Value| Case {
        n_classes: json["n_classes"].as_u64().unwrap() as usize,
        x: matrix(&json["x"]),
        y: codes(&json["y"]),
        test: matrix(&json["test"]),
        json: json.clone(),
    };
    all.as_array().unwrap().iter().map(case).collect()
}

fn dense(x: &Array2<f32>) -> Features {
    Features::dense(x.view()).unwrap()
}

/// The same values, written out over a background that is no value's own in the first column.
fn sparse(x: &Array2<f32>) -> Features {
    let mut background = vec![0.0; x.ncols()];
    background[0] = 0.125;
    let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
    for row in x.rows() {
        for (j, (&v, &b)) in row.iter().zip(&background).enumerate() {
            if v != b {
                indices.push(j as u32);
                values.push(v);
            }
        }
        indptr.push(indices.len());
    }
    Features::sparse(indptr, indices, values, background).unwrap()
}

#[track_caller]
fn close(answer: &Prediction, expected: &Value, tolerance: f32) {
    let expected = matrix(expected);
    let found = answer.probabilities.as_ref().unwrap();
    for (place, &p) in expected.indexed_iter() {
        assert!((found[place] - p).abs() <= tolerance, "{place:?}: {} instead of {p}", found[place]);
    }
}

fn agreement(found: &[u32], expected: &[u32]) -> f64 {
    found.iter().zip(expected).filter(|(a, b)| a == b).count() as f64 / expected.len() as f64
}

#[test]
fn logistic_regression_has_scikit_learns_probabilities() {
    for case in cases() {
        let params = LogisticRegressionParams { tolerance: 1e-7, ..Default::default() };
        let model = params.fit(&dense(&case.x), &case.y, case.n_classes).unwrap();
        assert!(model.converged());
        close(&model.predict(&dense(&case.test)).unwrap(), &case.json["logistic_regression"], 1e-5);
    }
}

#[test]
fn linear_svm_says_what_linear_svc_says() {
    for case in cases() {
        let params = LinearSvmParams { c: 0.1, tolerance: 1e-7, max_iter: 100_000, ..Default::default() };
        let model = params.fit(&dense(&case.x), &case.y, case.n_classes).unwrap();
        assert_eq!(model.predict(&dense(&case.test)).unwrap().codes, codes(&case.json["svm_linear"]));
    }
}

#[test]
fn rbf_svm_says_what_svc_says() {
    for case in cases() {
        let params = RbfSvmParams { tolerance: 1e-6, ..Default::default() };
        let model = params.fit(&dense(&case.x), &case.y, case.n_classes).unwrap();
        assert_eq!(model.predict(&dense(&case.test)).unwrap().codes, codes(&case.json["svm_rbf"]));
        // Without room for kernel rows they are computed again, and nothing else changes.
        let tight = RbfSvmParams { cache_bytes: 0, ..params };
        let again = tight.fit(&dense(&case.x), &case.y, case.n_classes).unwrap();
        assert_eq!(again.predict(&dense(&case.test)).unwrap(), model.predict(&dense(&case.test)).unwrap());
    }
}

#[test]
fn knn_has_scikit_learns_vote_shares() {
    for case in cases() {
        let model = KnnParams { n_neighbors: 7, ..Default::default() }
            .fit(&dense(&case.x), &case.y, case.n_classes)
            .unwrap();
        close(&model.predict(&dense(&case.test)).unwrap(), &case.json["knn"], 1e-6);
    }
}

#[test]
fn boosting_has_xgboosts_probabilities_on_the_training_cells() {
    for case in cases() {
        let params = XgboostParams { n_rounds: 20, max_depth: 3, learning_rate: 0.3, ..Default::default() };
        let model = params.fit(&dense(&case.x), &case.y, case.n_classes).unwrap();
        close(&model.predict(&dense(&case.x)).unwrap(), &case.json["xgboost_on_training_cells"], 1e-5);
    }
}

#[test]
fn a_forest_fits_the_training_cells_as_well_as_scikit_learns() {
    for case in cases() {
        let model = RandomForestParams::default().fit(&dense(&case.x), &case.y, case.n_classes).unwrap();
        let found = agreement(&model.predict(&dense(&case.x)).unwrap().codes, &case.y);
        let expected = case.json["random_forest_accuracy_on_training_cells"].as_f64().unwrap();
        assert!((found - expected).abs() < 0.03, "{found} instead of {expected}");
    }
}

#[test]
fn every_model_gives_the_same_bits_on_any_number_of_threads() {
    let pool = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
    for case in cases() {
        for model in Model::all() {
            let run = || {
                let fitted = model.fit(&sparse(&case.x), &case.y, case.n_classes).unwrap();
                fitted.predict(&sparse(&case.test)).unwrap()
            };
            let one = pool(1).install(run);
            assert_eq!(one, pool(2).install(run), "{}", model.name());
            assert_eq!(one, pool(5).install(run), "{}", model.name());
        }
    }
}

#[test]
fn every_model_reads_dense_and_sparse_features_alike() {
    for case in cases() {
        for model in Model::all() {
            let from_dense = model.fit(&dense(&case.x), &case.y, case.n_classes).unwrap();
            let from_sparse = model.fit(&sparse(&case.x), &case.y, case.n_classes).unwrap();
            let answers = [
                from_dense.predict(&dense(&case.test)).unwrap(),
                from_dense.predict(&sparse(&case.test)).unwrap(),
                from_sparse.predict(&dense(&case.test)).unwrap(),
                from_sparse.predict(&sparse(&case.test)).unwrap(),
            ];
            for answer in &answers[1..] {
                let same = agreement(&answer.codes, &answers[0].codes);
                assert!(same >= 59.0 / 60.0, "{}: {same}", model.name());
            }
        }
    }
}

#[test]
fn a_class_without_training_cells_is_never_predicted_and_keeps_its_index() {
    let case = &cases()[0];
    for model in Model::all() {
        // Class 1 of 4 is missing: old 1 becomes 2, old 2 becomes 3.
        let y: Vec<u32> = case.y.iter().map(|&c| if c == 0 { 0 } else { c + 1 }).collect();
        let gap = model.fit(&dense(&case.x), &y, 4).unwrap().predict(&dense(&case.test)).unwrap();
        let full = model.fit(&dense(&case.x), &case.y, 3).unwrap().predict(&dense(&case.test)).unwrap();
        let renumbered: Vec<u32> = full.codes.iter().map(|&c| if c == 0 { 0 } else { c + 1 }).collect();
        assert_eq!(gap.codes, renumbered, "{}", model.name());
        if let Some(p) = gap.probabilities {
            assert!(p.column(1).iter().all(|&p| p == 0.0));
            assert!(p.rows().into_iter().all(|row| (row.sum() - 1.0).abs() < 1e-5), "{}", model.name());
        }
    }
}

#[test]
fn one_class_is_predicted_for_everybody() {
    let case = &cases()[0];
    for model in Model::all() {
        let only = model.fit(&dense(&case.x), &vec![2; case.y.len()], 3).unwrap();
        assert_eq!(only.predict(&dense(&case.test)).unwrap().codes, vec![2; 60], "{}", model.name());
    }
}

#[test]
fn wrong_shapes_and_parameters_are_refused() {
    let case = &cases()[0];
    let narrow = dense(&case.x.slice(ndarray::s![.., ..3]).to_owned());
    for model in Model::all() {
        let fitted = model.fit(&dense(&case.x), &case.y, 3).unwrap();
        assert!(fitted.predict(&narrow).is_err(), "{}", model.name());
        assert!(model.fit(&dense(&case.x), &case.y[1..], 3).is_err(), "{}", model.name());
        assert!(model.fit(&dense(&case.x), &case.y, 2).is_err(), "{}", model.name());
    }
    let x = dense(&case.x);
    assert!(LogisticRegressionParams { c: 0.0, ..Default::default() }.fit(&x, &case.y, 3).is_err());
    assert!(LinearSvmParams { c: f64::NAN, ..Default::default() }.fit(&x, &case.y, 3).is_err());
    assert!(RbfSvmParams { gamma: Some(-1.0), ..Default::default() }.fit(&x, &case.y, 3).is_err());
    assert!(RandomForestParams { n_trees: 0, ..Default::default() }.fit(&x, &case.y, 3).is_err());
    assert!(XgboostParams { learning_rate: 0.0, ..Default::default() }.fit(&x, &case.y, 3).is_err());
    assert!(XgboostParams { max_bin: 1, ..Default::default() }.fit(&x, &case.y, 3).is_err());
}
