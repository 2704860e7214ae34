//! SingleR against the package `singler`, which wraps the C++ code of the Bioconductor package.

use sc_eval::Features;
use sc_eval::classifiers::{SingleR, SingleRMarkers, SingleRParams};
use serde_json::Value;

use super::{codes, floats, integer, matrix};
use crate::support;

struct Case {
    json: Value,
    n_classes: usize,
    x: Features,
    test: Features,
}

fn cases() -> Vec<Case> {
    let all = support::golden("neural/singler.json");
    let case = |json: &Value| {
        let n_features = integer(&json["n_features"]);
        let dense = |key: &str| Features::dense(matrix(&json[key], n_features).view()).unwrap();
        Case {
            json: json.clone(),
            n_classes: integer(&json["n_classes"]),
            x: dense("x"),
            test: dense("test"),
        }
    };
    let cases: Vec<Case> = all.as_array().expect("a list").iter().map(case).collect();
    assert_eq!(cases.len(), 4);
    cases
}

impl Case {
    fn fit(&self, params: SingleRParams) -> SingleR {
        params.fit(&self.x, &codes(&self.json["y"]), self.n_classes).unwrap()
    }

    fn params(&self) -> SingleRParams {
        let n_markers = self.json["num_de"].as_u64().map(|n| n as usize);
        SingleRParams { n_markers, ..Default::default() }
    }

    #[track_caller]
    fn same_markers(&self, key: &str, model: &SingleR) {
        for label in 0..self.n_classes {
            for other in 0..self.n_classes {
                let found = model.markers(label as u32, other as u32);
                assert_eq!(found, codes(&self.json[key][label][other]), "{label} over {other}");
            }
        }
    }

    #[track_caller]
    fn same_answer(&self, key: &str, model: &SingleR) {
        let (found, expected) = (model.classify(&self.test).unwrap(), &self.json[key]);
        assert_eq!(found.codes, codes(&expected["best"]), "{key}");
        let scores = found.scores.iter().zip(floats(&expected["scores"]));
        let deltas = found.delta.iter().zip(floats(&expected["delta"]));
        for (found, expected) in scores.chain(deltas) {
            assert!((found - expected).abs() < 1e-9, "{key}: {found} instead of {expected}");
        }
    }
}

#[test]
fn markers_are_those_of_singler() {
    for case in cases() {
        let model = case.fit(case.params());
        case.same_markers("markers", &model);
        assert_eq!(model.genes(), codes(&case.json["used"]));
    }
}

#[test]
fn scores_labels_and_deltas_are_those_of_singler() {
    for case in cases() {
        case.same_answer("plain", &case.fit(SingleRParams { fine_tune: false, ..case.params() }));
        case.same_answer("tuned", &case.fit(case.params()));
        case.same_answer(
            "other",
            &case.fit(SingleRParams { quantile: 0.5, tune_threshold: 0.1, ..case.params() }),
        );
    }
}

#[test]
fn markers_by_cohens_d_are_those_of_singler_with_scranpy() {
    for case in cases() {
        let model = case.fit(SingleRParams {
            markers: SingleRMarkers::CohensD,
            n_markers: Some(4),
            ..Default::default()
        });
        case.same_markers("cohens_d_markers", &model);
        case.same_answer("cohens_d", &model);
    }
}
