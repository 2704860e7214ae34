use serde_json::{Value, json};

use super::*;
use crate::classifiers::{
    ClassWeight, LinearSvmParams, LogisticRegressionParams, Metric, Model, NearestCentroidParams,
    RbfSvmParams,
};

/// Three classes of four on 24 cells and 3 features, of which 0 is common.
fn cells() -> (Features, Vec<u32>) {
    let y: Vec<u32> = (0..24).map(|i| [0, 2, 3][i % 3]).collect();
    let x = ndarray::Array2::from_shape_fn((24, 3), |(i, j)| {
        let own = if i % 3 == j { 2.0 } else { 0.0 };
        if (i * 7 + j * 5) % 4 == 0 { 0.0 } else { own + ((i * 13 + j * 29) % 11) as f32 * 0.1 }
    });
    (Features::dense(x.view()).unwrap(), y)
}

fn fitted(model: &Model) -> Fitted {
    let (x, y) = cells();
    model.fit(&x, &y, 4).unwrap()
}

/// All models, and those whose files look different with other parameters.
fn models() -> Vec<Model> {
    let mut models = Model::all();
    models.extend([
        Model::SvmLinear(LinearSvmParams { probability: true, ..Default::default() }),
        Model::SvmRbf(RbfSvmParams { probability: true, ..Default::default() }),
        Model::LogisticRegression(LogisticRegressionParams {
            l1_ratio: 1.0,
            class_weight: ClassWeight::Balanced,
            ..Default::default()
        }),
        Model::NearestCentroid(NearestCentroidParams { metric: Metric::Cosine, ..Default::default() }),
    ]);
    models
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// The error of loading `bytes`, with what lies under it.
fn refusal(bytes: &[u8]) -> (Error, String) {
    let folder = folder();
    let path = folder.path().join("model.json");
    fs::write(&path, bytes).unwrap();
    let error = Fitted::load(&path).unwrap_err();
    let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    (error, source)
}

/// The file of a model as a tree of values, to be spoilt.
fn file(model: &str) -> Value {
    let fitted = fitted(&model.parse().unwrap());
    serde_json::to_value(Written { format: FORMAT, version: VERSION, classifier: &fitted }).unwrap()
}

#[test]
fn a_loaded_model_says_the_same_bit_for_bit() {
    let (folder, (x, _)) = (folder(), cells());
    for model in models() {
        let before = fitted(&model);
        let path = folder.path().join(format!("{}.json", model.name()));
        before.save(&path).unwrap();
        let after = Fitted::load(&path).unwrap();
        assert_eq!(before, after);
        assert_eq!(before.predict(&x).unwrap(), after.predict(&x).unwrap(), "{}", model.name());
        assert_eq!((after.name(), after.n_features(), after.n_classes()), (model.name(), 3, 4));
        assert_eq!(after.present_classes(), [0, 2, 3]);
    }
    // Nothing but the models is left.
    let files = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files, Model::all().len());
}

#[test]
fn names_of_genes_and_classes_go_with_the_model() {
    let (x, y) = cells();
    let names = |names: [&str; 3]| names.map(String::from).to_vec();
    let x = x.with_names(names(["CD3D", "NKG7", "MS4A1"])).unwrap();
    let classes: Vec<String> = ["T", "absent", "NK", "B"].map(String::from).to_vec();
    let model = Model::Majority.fit(&x, &y, 4).unwrap().with_class_names(classes.clone()).unwrap();
    let folder = folder();
    let path = folder.path().join("model.json");
    model.save(&path).unwrap();
    let loaded = Fitted::load(&path).unwrap();
    assert_eq!(loaded.feature_names().unwrap(), ["CD3D", "NKG7", "MS4A1"]);
    assert_eq!(loaded.class_names().unwrap(), classes);
    let other = cells().0.with_names(names(["CD3D", "GNLY", "MS4A1"])).unwrap();
    let refused = loaded.predict(&other).unwrap_err();
    assert!(matches!(refused, Error::FeatureName { column: 1, .. }), "{refused}");
    loaded.predict(&cells().0).unwrap();
    assert!(matches!(model.with_class_names(vec![]), Err(Error::Length { found: 0, expected: 4, .. })));
}

#[test]
fn saving_replaces_a_file_and_needs_a_folder() {
    let folder = folder();
    let path = folder.path().join("model.json");
    fs::write(&path, "something else").unwrap();
    fitted(&Model::Majority).save(&path).unwrap();
    Fitted::load(&path).unwrap();
    let nowhere = folder.path().join("nowhere").join("model.json");
    let refused = fitted(&Model::Majority).save(&nowhere).unwrap_err();
    assert!(matches!(refused, Error::Io { action: "write", .. }), "{refused}");
    let missing = Fitted::load(&nowhere).unwrap_err();
    assert!(missing.to_string().starts_with("cannot read `"), "{missing}");
}

#[test]
fn what_is_no_model_file_is_refused() {
    let good = file("logistic_regression").to_string();
    let cut = &good.as_bytes()[..good.len() / 2];
    let deep = "[".repeat(100_000);
    let cases: [(&[u8], &str); 9] = [
        (b"", "EOF while parsing"),
        (b"not json", "expected"),
        (b"\x00\xff\xfe\x80", "expected"),
        (b"[]", "invalid length 0, expected struct Head"),
        (b"{}", "missing field `format`"),
        (b"{\"format\": \"sc-eval classifier\"}", "missing field `version`"),
        (b"{\"format\": \"sc-eval report\", \"version\": 1}", "its format is \"sc-eval report\""),
        (cut, "EOF while parsing"),
        (deep.as_bytes(), "expected"),
    ];
    for (bytes, expected) in cases {
        let (error, source) = refusal(bytes);
        assert!(matches!(error, Error::ModelFile { .. }), "{error}");
        assert!(error.to_string().starts_with("cannot read a fitted model from `"), "{error}");
        assert!(error.help().is_some());
        assert!(source.contains(expected), "{source:?} without {expected:?}");
    }
}

#[test]
fn another_version_is_named() {
    let mut newer = file("majority");
    newer["version"] = json!(7);
    newer["a field of the future"] = json!(true);
    let (error, _) = refusal(newer.to_string().as_bytes());
    assert!(matches!(error, Error::ModelVersion { found: 7, expected: 1, .. }), "{error}");
    assert!(error.to_string().ends_with("holds a fitted model of format 7, this release reads format 1"));
    assert!(error.help().is_some());
}

/// Sets what is at the JSON pointer `place` of a model's file, and loads it.
#[track_caller]
fn spoilt(model: &str, place: &str, value: Value, expected: &str) {
    let mut file = file(model);
    *file.pointer_mut(place).unwrap_or_else(|| panic!("{model} has no {place}")) = value;
    // What was fitted stands before the name of the model: it is held before it is looked at.
    file.sort_all_objects();
    let (error, source) = refusal(file.to_string().as_bytes());
    assert!(matches!(error, Error::ModelFile { .. }), "{error}");
    assert!(source.contains(expected), "{model} {place}: {source:?} without {expected:?}");
}

#[test]
fn files_that_lie_are_refused() {
    let at = |field: &str| format!("/classifier/fitted/{field}");
    let spoil =
        |model: &str, field: &str, value: Value, expected: &str| spoilt(model, &at(field), value, expected);
    spoilt("majority", "/classifier/model", json!("oracle"), "unknown variant `oracle`");
    spoilt("majority", "/classifier/model", json!("knn"), "unknown field `frequencies`");
    spoilt("majority", "/classifier", json!({"model": "majority"}), "missing field `fitted`");
    spoil("majority", "frequencies", json!([0.5, 0.5]), "there are 2 shares of 3 classes");
    spoil("majority", "frequencies/1", json!(1.5), "a class share is 1.5");
    spoil("majority", "frequencies/1", json!(null), "invalid type: null");
    spoil("majority", "classes/present", json!([]), "the 0 classes that occur");
    spoil("majority", "classes/present", json!([0, 3, 2]), "not an ascending choice of 4");
    spoil("majority", "classes/present/2", json!(4), "not an ascending choice of 4");
    spoil("majority", "classes/n_classes", json!(1u64 << 60), "are more than the 65536 of a file");
    spoil("majority", "classes/n_classes", json!(-1), "invalid value: integer `-1`");
    spoil("random_by_prior", "frequencies/0", json!(-0.1), "a class share is -0.1");
    spoil("logistic_regression", "classes/n_features", json!(4), "weights are not 8 for each of 4 features");
    spoil("logistic_regression", "classes/n_features", json!(u64::MAX), "weights are not 8 for each of");
    spoil("logistic_regression", "planes/width", json!(0), "rows of 0 weights for 3 outputs");
    spoil("logistic_regression", "planes/intercepts", json!([0.0]), "there are 1 intercepts");
    spoil("svm_linear", "planes/weights/5", json!("NaN"), "invalid type: string");
    spoil("svm_linear", "sigmoids", json!([{"a": 1.0, "b": 0.0}]), "there are 1 sigmoids for 3 planes");
    spoil("svm_rbf", "support/rows/start/1", json!(1_000_000), "do not rise from 0");
    spoil("svm_rbf", "support/rows/index/0", json!(3), "do not ascend within 3");
    spoil("svm_rbf", "support/rows/value/0", json!(1e300), "line 0 holds inf");
    spoil("svm_rbf", "planes/0/terms/0/0", json!(99), "has terms out of bounds");
    spoil("svm_rbf", "planes/0/second", json!(9), "not those of all pairs of 3 classes");
    spoil("svm_rbf", "planes/0/sigmoid", json!({"a": 1.0, "b": 0.0}), "1 of 3 planes have a sigmoid");
    spoil("svm_rbf", "gamma", json!(0.0), "gamma is 0");
    spoil("svm_rbf", "background", json!([0.0]), "there are 1 background values");
    spoil("knn", "codes/3", json!(3), "a training cell is of class 3 of 3");
    spoil("knn", "n_neighbors", json!(25), "25 neighbours are asked for among 24 cells");
    spoil("knn", "cells/dense/rows/7", json!(-1e300), "entry 7 of the training cells is -inf");
    spoil("knn", "cells/dense/width", json!(1u64 << 63), "are not 24 cells in rows of 16");
    spoil("knn", "metric", json!("manhattan"), "unknown variant `manhattan`");
    spoil("gaussian_naive_bayes", "variances/4", json!(0.0), "a variance or a prior is not above 0");
    spoil("gaussian_naive_bayes", "means", json!([1.0]), "there are 1 means for 3 classes");
    spoil("nearest_centroid", "centroids", json!([]), "the centroids have 0 values for 3 classes");
    spoil("nearest_centroid", "priors/0", json!(0.0), "a prior is not above 0");
}

/// The first value under the key `key`.
fn first<'a>(value: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    match value {
        Value::Object(fields) => {
            if fields.contains_key(key) {
                return fields.get_mut(key);
            }
            fields.values_mut().find_map(|value| first(value, key))
        }
        Value::Array(values) => values.iter_mut().find_map(|value| first(value, key)),
        _ => None,
    }
}

#[test]
fn trees_that_point_out_of_bounds_or_backwards_are_refused() {
    for (key, value) in [("column", 3), ("left", 0), ("right", 1_000_000), ("value", 1_000_000)] {
        for model in ["random_forest", "xgboost"] {
            let mut spoilt = file(model);
            *first(&mut spoilt, key).unwrap() = json!(value);
            let (error, source) = refusal(spoilt.to_string().as_bytes());
            assert!(
                matches!(error, Error::ModelFile { .. }) && source.starts_with("tree 0: "),
                "{model} {key}: {source}"
            );
        }
    }
}

#[test]
fn a_spoilt_tree_is_refused_wherever_it_is_read_from() {
    fn refusal<T: serde::de::DeserializeOwned>(model: &str) -> String {
        let mut fitted = file(model)["classifier"]["fitted"].take();
        assert!(serde_json::from_value::<T>(fitted.clone()).is_ok());
        *first(&mut fitted, "column").unwrap() = json!(3);
        serde_json::from_value::<T>(fitted).err().map(|e| e.to_string()).unwrap_or_default()
    }
    let expected = "tree 0: node 0 splits column 3 of 3";
    assert_eq!(refusal::<RandomForest>("random_forest"), expected);
    assert_eq!(refusal::<Xgboost>("xgboost"), expected);
    assert_eq!(refusal::<GradientBoosting>("gradient_boosting"), expected);
}

#[test]
fn numbers_beyond_their_type_are_refused() {
    let text = file("gaussian_naive_bayes").to_string();
    let priors = text.find("\"priors\":[").unwrap() + "\"priors\":[".len();
    let beyond = format!("{}1e999,{}", &text[..priors], &text[priors..]);
    let (error, source) = refusal(beyond.as_bytes());
    assert!(matches!(error, Error::ModelFile { .. }) && source.contains("out of range"), "{source}");
}

#[test]
fn a_model_with_values_that_no_file_can_hold_is_not_saved() {
    let Fitted::LogisticRegression(model) = fitted(&"logistic_regression".parse().unwrap()) else {
        unreachable!("the name is its own")
    };
    let mut value = serde_json::to_value(&model).unwrap();
    value["planes"]["intercepts"] = json!([0.0, 0.0]);
    let broken: LogisticRegression = serde_json::from_value(value).unwrap();
    let folder = folder();
    let path = folder.path().join("model.json");
    let refused = Fitted::from(broken).save(&path).unwrap_err();
    assert!(refused.to_string().starts_with("the fitted `logistic_regression` cannot be saved: there are 2"));
    assert!(refused.help().is_some() && !path.exists());
}
