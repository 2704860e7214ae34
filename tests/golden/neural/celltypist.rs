//! CellTypist and its vote against the package of that name.

use ndarray::Array2;
use sc_eval::Features;
use sc_eval::classifiers::{CellTypist, CellTypistParams, Classifier, majority_vote};
use serde_json::Value;

use super::{codes, floats, integer, matrix};
use crate::support;

fn for_each_case(check: impl Fn(&Value, &CellTypist, &Features)) {
    let cases = support::golden("neural/celltypist.json");
    assert_eq!(cases.as_array().expect("a list").len(), 2);
    for case in cases.as_array().expect("a list") {
        let n_features = integer(&case["n_features"]);
        let dense = |key: &str| Features::dense(matrix(&case[key], n_features).view()).unwrap();
        let params = CellTypistParams { c: 0.5, tolerance: 1e-8, ..Default::default() };
        let model = params.fit(&dense("x"), &codes(&case["y"]), integer(&case["n_classes"])).unwrap();
        assert!(model.converged());
        check(case, &model, &dense("test"));
    }
}

#[track_caller]
fn close(found: &Array2<f64>, expected: &Value, tolerance: f64) {
    let expected = floats(expected);
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= tolerance, "{found} instead of {expected}");
    }
}

#[test]
fn genes_weights_and_answers_are_those_of_celltypist() {
    for_each_case(|case, model, test| {
        let (genes, weights) = model.coefficients();
        assert_eq!(genes, codes(&case["genes"]));
        close(&weights.t().to_owned(), &case["coefficients"], 1e-5);
        close(&model.decision_matrix(test).unwrap(), &case["decision"], 1e-4);
        close(&model.probability_matrix(test).unwrap(), &case["probability"], 1e-5);
        assert_eq!(model.predict(test).unwrap().codes, codes(&case["predicted"]));
    });
}

#[test]
fn votes_of_clusters_are_those_of_celltypist() {
    for_each_case(|case, _, _| {
        let (predicted, clusters) = (codes(&case["predicted"]), codes(&case["clusters"]));
        for (min_prop, votes) in
            floats(&case["min_prop"]).into_iter().zip(case["votes"].as_array().expect("votes"))
        {
            let expected: Vec<Option<u32>> = votes
                .as_array()
                .expect("a list")
                .iter()
                .map(|vote| vote.as_u64().map(|code| code as u32))
                .collect();
            assert_eq!(majority_vote(&predicted, &clusters, min_prop).unwrap(), expected, "{min_prop}");
        }
    });
}
