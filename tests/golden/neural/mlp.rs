//! The multi-layer perceptron and the autoencoder against scikit-learn's `MLPClassifier` and `MLPRegressor`, from the same
//! seeds.

use ndarray::Array1;
use sc_eval::Features;
use sc_eval::classifiers::{AutoencoderParams, ClassWeight, Classifier, Mlp, MlpLayer, MlpParams};
use serde_json::Value;

use super::{codes, floats, integer, matrix};
use crate::support;

struct Case {
    n_classes: usize,
    n_features: usize,
    params: MlpParams,
    x: Features,
    y: Vec<u32>,
    test: Features,
    json: Value,
}

fn for_each_case(check: impl Fn(&Case)) {
    let cases = support::golden("neural/mlp.json");
    assert_eq!(cases.as_array().expect("a list").len(), 3);
    for json in cases.as_array().expect("a list") {
        let n_features = integer(&json["n_features"]);
        let dense = |key: &str| Features::dense(matrix(&json[key], n_features).view()).unwrap();
        let hidden_layer_sizes = codes(&json["hidden"]).into_iter().map(|n| n as usize).collect();
        check(&Case {
            n_classes: integer(&json["n_classes"]),
            n_features,
            params: MlpParams { hidden_layer_sizes, batch_size: 50, max_iter: 30, ..Default::default() },
            x: dense("x"),
            y: codes(&json["y"]),
            test: dense("test"),
            json: json.clone(),
        });
    }
}

impl Case {
    fn fit(&self, params: &MlpParams) -> Mlp {
        params.fit(&self.x, &self.y, self.n_classes).unwrap()
    }

    #[track_caller]
    fn close(&self, key: &str, found: &[f64], tolerance: f64) {
        let expected = floats(&self.json[key]);
        assert_eq!(found.len(), expected.len(), "{key}");
        for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!(
                (found - expected).abs() <= tolerance,
                "{key}, entry {at}: {found} instead of {expected}"
            );
        }
    }

    #[track_caller]
    fn close_probabilities(&self, key: &str, model: &Mlp, tolerance: f64) {
        let answer = model.predict(&self.test).unwrap().probabilities.expect("probabilities");
        self.close(key, &answer.iter().map(|&p| f64::from(p)).collect::<Vec<_>>(), tolerance);
    }
}

#[test]
fn losses_and_probabilities_of_30_passes_are_those_of_scikit_learn() {
    for_each_case(|case| {
        let plain = case.fit(&MlpParams { shuffle: false, seed: 1, ..case.params.clone() });
        case.close("unshuffled", plain.loss_curve(), 1e-5);
        case.close_probabilities("unshuffled_probabilities", &plain, 1e-4);
        let shuffled = case.fit(&MlpParams { alpha: 0.01, seed: 2, ..case.params.clone() });
        case.close("shuffled", shuffled.loss_curve(), 1e-5);
    });
}

#[test]
fn weights_of_classes_are_scikit_learns_weights_of_samples() {
    for_each_case(|case| {
        let class_weight = ClassWeight::Given(floats(&case.json["class_weight"]));
        let model = case.fit(&MlpParams { class_weight, max_iter: 20, seed: 3, ..case.params.clone() });
        case.close("weighted", model.loss_curve(), 1e-5);
    });
}

#[test]
fn early_stopping_keeps_the_same_cells_out_and_ends_in_the_same_pass() {
    for_each_case(|case| {
        let model = case.fit(&MlpParams {
            learning_rate: 0.01,
            early_stopping: true,
            validation_fraction: 0.2,
            n_iter_no_change: 4,
            max_iter: 200,
            seed: 4,
            ..case.params.clone()
        });
        case.close("stopped_scores", model.validation_scores(), 1e-7);
        case.close("stopped", model.loss_curve(), 1e-4);
        case.close_probabilities("stopped_probabilities", &model, 1e-3);
    });
}

#[test]
fn the_first_passes_from_given_weights_are_those_of_scikit_learn() {
    for_each_case(|case| {
        let layer = |value: &Value| {
            let intercepts: Vec<f32> = floats(&value["intercepts"]).into_iter().map(|v| v as f32).collect();
            let weights = matrix(&value["weights"], intercepts.len());
            MlpLayer { weights, intercepts: Array1::from_vec(intercepts) }
        };
        let start: Vec<MlpLayer> = case.json["start"].as_array().expect("layers").iter().map(layer).collect();
        let params = MlpParams { shuffle: false, max_iter: 10, ..case.params.clone() };
        let model = params.fit_from(&case.x, &case.y, case.n_classes, &start).unwrap();
        case.close("from_start", model.loss_curve(), 5e-5);
    });
}

#[test]
fn a_linear_autoencoder_is_scikit_learns_regression_of_the_cells_on_themselves() {
    for_each_case(|case| {
        let params = AutoencoderParams {
            hidden_layer_sizes: Vec::new(),
            code_size: 3,
            batch_size: 50,
            max_iter: 30,
            seed: 6,
            ..Default::default()
        };
        let model = params.fit(&case.x).unwrap();
        assert_eq!(model.encode(&case.x).unwrap().dim(), (case.y.len(), 3));
        assert_eq!(model.reconstruct(&case.x).unwrap().ncols(), case.n_features);
        // Our penalty is per feature, theirs is not: at alpha 1e-4 they differ by 5e-5 at most.
        case.close("autoencoder", model.loss_curve(), 1e-4);
        case.close("autoencoder_errors", &model.reconstruction_error(&case.test).unwrap(), 1e-4);
    });
}
