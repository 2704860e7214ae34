//! Models that xgboost wrote, and models for xgboost to read.

use sc_eval::classifiers::{Classifier, ImportanceType, Xgboost, XgboostParams};
use serde_json::Value;

use super::{cases, close, off};
use crate::support;

/// Sums of `f32` in xgboost, of `f64` here.
const SUMS: f32 = 1e-6;

#[test]
fn a_model_of_xgboost_predicts_here_what_it_predicts_there() {
    let mut n_files = 0;
    for case in cases() {
        for file in [format!("{}.xgb.json", case.name), format!("{}.ubj", case.name)] {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/trees").join(&file);
            if !path.exists() {
                continue;
            }
            n_files += 1;
            let model = Xgboost::read_json(&path).unwrap();
            let off = off(&model, &case.test, &case.json["file"]);
            assert!(off < SUMS, "{file}: off by {off}");
        }
    }
    assert_eq!(n_files, 4);
}

#[test]
fn xgboost_predicts_with_a_model_from_here_what_is_predicted_here() {
    let answers = support::golden("trees/written.json");
    for case in cases() {
        let params = XgboostParams { n_rounds: 3, max_depth: 3, min_child_weight: 0.5, ..Default::default() };
        let model = params.fit(&case.x, &case.y, case.n_classes).unwrap();
        let written: Value = serde_json::from_str(&model.to_json()).unwrap();
        let expected = support::golden(&format!("trees/written_{}.json", case.name));
        assert_eq!(written, expected, "{}: not the file that xgboost was given", case.name);
        let answer = &answers[&case.name];
        let off = off(&model, &case.test, &answer["test"]);
        assert!(off < SUMS, "{}: off by {off}", case.name);
        assert_eq!(model.n_trees(), 3 * if case.n_classes == 2 { 1 } else { case.n_classes });
        assert_eq!(answer["rounds"], 3);
        let gains = model.importance(ImportanceType::Gain);
        let theirs = |j: usize| answer["gain"][format!("f{j}")].as_f64().unwrap_or_default();
        let theirs: Vec<f64> = (0..gains.len()).map(theirs).collect();
        close(&gains, &theirs, 1e-6, &case.name);
    }
}

#[test]
fn a_model_survives_its_own_file() {
    for case in cases() {
        let params = XgboostParams { n_rounds: 4, ..Default::default() };
        let model = params.fit(&case.x, &case.y, case.n_classes).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.json");
        model.write_json(&path).unwrap();
        let again = Xgboost::read_json(&path).unwrap();
        if case.n_classes > 2 {
            assert_eq!(again, model);
        }
        let (a, b) = (model.predict(&case.test).unwrap(), again.predict(&case.test).unwrap());
        let (a, b) = (a.probabilities.unwrap(), b.probabilities.unwrap());
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < SUMS));
        assert_eq!(again.to_json(), Xgboost::from_json(again.to_json().as_bytes()).unwrap().to_json());
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    }
}
