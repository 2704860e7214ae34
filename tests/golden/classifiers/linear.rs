//! Penalties, weights, probabilities and the simple models against scikit-learn (`linear.json`).

use ndarray::{Array2, ArrayView2};
use sc_eval::classifiers::{
    ClassWeight, Classifier, GaussianNaiveBayesParams, KnnParams, LinearSvmParams, LogisticRegression,
    LogisticRegressionParams, Metric, NearestCentroidParams, NeighborWeights, Priors, RbfSvmParams,
};
use serde_json::Value;

use super::{Case, cases, close, codes, dense, sparse};
use crate::support;

fn answers() -> Vec<(Case, Value)> {
    let answers = support::golden("classifiers/linear.json");
    cases().into_iter().zip(answers.as_array().unwrap().clone()).collect()
}

fn matrix(value: &Value) -> Array2<f64> {
    let rows = value.as_array().unwrap();
    let n_cols = rows[0].as_array().unwrap().len();
    let values = rows.iter().flat_map(|r| r.as_array().unwrap()).map(|v| v.as_f64().unwrap());
    Array2::from_shape_vec((rows.len(), n_cols), values.collect()).unwrap()
}

#[track_caller]
fn near(found: ArrayView2<'_, f64>, expected: &Value, tolerance: f64) {
    let expected = matrix(expected);
    assert_eq!(found.dim(), expected.dim());
    for (place, &e) in expected.indexed_iter() {
        let f = found[place];
        assert!((f - e).abs() <= tolerance * e.abs().max(1.0), "{place:?}: {f} instead of {e}");
    }
}

/// `C · cross-entropy + penalty`, as scikit-learn writes it.
fn objective(model: &LogisticRegression, case: &Case, c: f64, l1_ratio: f64) -> f64 {
    let (w, b) = (model.coefficients(), model.intercepts());
    let mut loss = 0.0;
    for (row, &code) in case.x.rows().into_iter().zip(&case.y) {
        let score = |k: usize| w.row(k).iter().zip(row).map(|(w, &x)| w * f64::from(x)).sum::<f64>() + b[k];
        let mut scores: Vec<f64> = (0..b.len()).map(score).collect();
        if scores.len() == 1 {
            scores.insert(0, 0.0);
        }
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = scores.iter().map(|s| (s - largest).exp()).sum();
        loss += sum.ln() + largest - scores[code as usize];
    }
    let l1: f64 = w.iter().map(|v| v.abs()).sum();
    let l2: f64 = w.iter().map(|v| v * v).sum();
    c * loss + l1_ratio * l1 + (1.0 - l1_ratio) / 2.0 * l2
}

#[test]
fn sparse_logistic_regression_reaches_scikit_learns_objective() {
    let mut zeros = 0;
    for (case, answer) in answers() {
        for name in ["l1", "elastic_net"] {
            let expected = &answer[name];
            let [c, l1_ratio] = ["c", "l1_ratio"].map(|key| expected[key].as_f64().unwrap());
            let params = LogisticRegressionParams { c, l1_ratio, tolerance: 1e-7, ..Default::default() };
            let model = params.fit(&dense(&case.x), &case.y, case.n_classes).unwrap();
            assert!(model.converged(), "{} iterations", model.n_iter());
            let (found, best) =
                (objective(&model, &case, c, l1_ratio), expected["objective"].as_f64().unwrap());
            assert!((found - best).abs() <= 1e-6 * best, "{name}: {found} instead of {best}");
            let (w, expected_w) = (model.coefficients(), matrix(&expected["coefficients"]));
            // Which coefficients are exactly zero is part of the answer.
            for (place, &e) in expected_w.indexed_iter() {
                assert_eq!(w[place] == 0.0, e == 0.0, "{name} {place:?}: {} instead of {e}", w[place]);
                assert!((w[place] - e).abs() < 1e-4, "{name} {place:?}: {} instead of {e}", w[place]);
                zeros += usize::from(e == 0.0);
            }
            close(&model.predict(&dense(&case.test)).unwrap(), &expected["probabilities"], 1e-4);
            let over = params.fit(&sparse(&case.x), &case.y, case.n_classes).unwrap();
            let other = objective(&over, &case, c, l1_ratio);
            assert!((other - best).abs() <= 1e-6 * best, "{name}: {other} instead of {best}");
        }
    }
    assert!(zeros > 5, "the cases have {zeros} coefficients at zero");
}

#[test]
fn logistic_regression_has_scikit_learns_class_weights_and_coefficients() {
    for (case, answer) in answers() {
        let class_weight = ClassWeight::Balanced;
        let params = LogisticRegressionParams { class_weight, tolerance: 1e-8, ..Default::default() };
        let model = params.fit(&dense(&case.x), &case.y, case.n_classes).unwrap();
        close(&model.predict(&dense(&case.test)).unwrap(), &answer["logistic_balanced"], 1e-5);
        near(model.coefficients().view(), &answer["logistic_coefficients"], 1e-5);
        for (found, expected) in
            model.intercepts().iter().zip(answer["logistic_intercepts"].as_array().unwrap())
        {
            assert!((found - expected.as_f64().unwrap()).abs() < 1e-5);
        }
    }
}

#[test]
fn linear_svm_has_linear_svcs_balanced_planes() {
    for (case, answer) in answers() {
        let params = LinearSvmParams {
            c: 0.1,
            class_weight: ClassWeight::Balanced,
            tolerance: 1e-9,
            max_iter: 100_000,
            ..Default::default()
        };
        let model = params.fit(&dense(&case.x), &case.y, case.n_classes).unwrap();
        assert!(model.converged());
        near(model.coefficients().view(), &answer["svm_linear_balanced"], 1e-6);
    }
}

#[test]
fn linear_svm_has_the_probabilities_of_calibrated_linear_svc_and_the_same_classes() {
    for (case, answer) in answers() {
        let plain = LinearSvmParams { c: 0.1, tolerance: 1e-9, max_iter: 100_000, ..Default::default() };
        let with = LinearSvmParams { probability: true, ..plain.clone() };
        let fit = |params: &LinearSvmParams| {
            let model = params.fit(&dense(&case.x), &case.y, case.n_classes).unwrap();
            model.predict(&dense(&case.test)).unwrap()
        };
        let (plain, with) = (fit(&plain), fit(&with));
        assert_eq!((plain.codes, plain.probabilities), (with.codes.clone(), None));
        close(&with, &answer["svm_linear_probabilities"], 1e-5);
    }
}

#[test]
fn rbf_svm_weighs_classes_as_svc_does() {
    let mut moved = 0;
    for (case, answer) in answers() {
        let weights = (0..case.n_classes).map(|k| 1.0 + 2.0 * k as f64).collect();
        let plain = RbfSvmParams { tolerance: 1e-6, ..Default::default() };
        let weighted = RbfSvmParams { class_weight: ClassWeight::Given(weights), ..plain.clone() };
        let fit = |params: &RbfSvmParams| {
            let model = params.fit(&dense(&case.x), &case.y, case.n_classes).unwrap();
            assert!(model.converged());
            model.predict(&dense(&case.test)).unwrap().codes
        };
        let found = fit(&weighted);
        assert_eq!(found, codes(&answer["svm_rbf_weighted"]));
        moved += found.iter().zip(fit(&plain)).filter(|(a, b)| **a != *b).count();
    }
    assert!(moved > 10, "the weights move {moved} cells");
}

#[test]
fn rbf_svm_has_probabilities_as_good_as_svcs_and_the_same_classes() {
    for (case, answer) in answers() {
        let split = |from: usize, to: usize| dense(&case.x.slice(ndarray::s![from..to, ..]).to_owned());
        let (train, test) = (split(0, 100), split(100, 150));
        let plain = RbfSvmParams { tolerance: 1e-6, ..Default::default() };
        let losses: Vec<f64> = (0..5)
            .map(|seed| {
                let with = RbfSvmParams { probability: true, seed, ..plain.clone() };
                let model = with.fit(&train, &case.y[..100], case.n_classes).unwrap();
                let answer = model.predict(&test).unwrap();
                let without = plain.fit(&train, &case.y[..100], case.n_classes).unwrap();
                assert_eq!(answer.codes, without.predict(&test).unwrap().codes);
                let p = answer.probabilities.unwrap();
                assert!(p.rows().into_iter().all(|row| (row.sum() - 1.0).abs() < 1e-6));
                let own = |(i, &code): (usize, &u32)| -f64::from(p[[i, code as usize]]).ln();
                case.y[100..].iter().enumerate().map(own).sum::<f64>() / 50.0
            })
            .collect();
        let all = answer["svm_rbf_log_losses"].as_array().unwrap();
        let expected: f64 = all.iter().map(|v| v.as_f64().unwrap()).sum::<f64>() / all.len() as f64;
        for loss in losses {
            assert!((loss / expected - 1.0).abs() < 0.1, "{loss} instead of about {expected}");
        }
    }
}

#[test]
fn naive_bayes_has_gaussian_nbs_probabilities() {
    for (case, answer) in answers() {
        for x in [dense(&case.x), sparse(&case.x)] {
            let model = GaussianNaiveBayesParams::default().fit(&x, &case.y, case.n_classes).unwrap();
            near(model.means(), &answer["naive_bayes_means"], 1e-6);
            near(model.variances(), &answer["naive_bayes_variances"], 1e-6);
            close(&model.predict(&dense(&case.test)).unwrap(), &answer["naive_bayes"], 1e-6);
            close(&model.predict(&sparse(&case.test)).unwrap(), &answer["naive_bayes"], 1e-6);
        }
    }
}

#[test]
fn nearest_centroid_says_what_scikit_learns_does() {
    let params = [
        ("plain", NearestCentroidParams::default()),
        ("shrunk", NearestCentroidParams { shrink_threshold: Some(1.5), ..Default::default() }),
        ("empirical", NearestCentroidParams { priors: Priors::Empirical, ..Default::default() }),
    ];
    for (case, answer) in answers() {
        for (name, params) in &params {
            let expected = &answer[format!("centroid_{name}")];
            let model = params.fit(&dense(&case.x), &case.y, case.n_classes).unwrap();
            near(model.centroids(), &expected["centroids"], 1e-8);
            let found = model.predict(&dense(&case.test)).unwrap();
            assert_eq!(found.codes, codes(&expected["codes"]), "{name}");
            close(&found, &expected["probabilities"], 1e-6);
            let sparse_model = params.fit(&sparse(&case.x), &case.y, case.n_classes).unwrap();
            close(&sparse_model.predict(&sparse(&case.test)).unwrap(), &expected["probabilities"], 1e-5);
        }
    }
}

#[test]
fn nearest_neighbours_weigh_distances_and_angles_as_scikit_learns_do() {
    let params = |weights, metric| KnnParams { n_neighbors: 7, weights, metric };
    let params = [
        ("distance", params(NeighborWeights::Distance, Metric::Euclidean)),
        ("cosine", params(NeighborWeights::Uniform, Metric::Cosine)),
        ("cosine_distance", params(NeighborWeights::Distance, Metric::Cosine)),
    ];
    for (case, answer) in answers() {
        let test = ndarray::concatenate![
            ndarray::Axis(0),
            case.test.slice(ndarray::s![..20, ..]),
            case.x.slice(ndarray::s![..5, ..])
        ];
        for (name, params) in &params {
            let model = params.fit(&dense(&case.x), &case.y, case.n_classes).unwrap();
            close(&model.predict(&dense(&test)).unwrap(), &answer[format!("knn_{name}")], 1e-5);
        }
    }
}
