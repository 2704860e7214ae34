//! Models that xgboost wrote, and models for xgboost to read.

use sc_eval::classifiers::{Classifier, Xgboost, XgboostParams};

use super::{cases, off};
use crate::support;

/// Sums of `f32` in xgboost, of `f64` here.
const SUMS: f32 = 1e-6;

fn written(file: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/trees").join(file);
    std::fs::read(path).unwrap()
}

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
