//! Files that tell the truth, and files that lie.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::Features;
use crate::classifiers::{Classifier, XgboostParams};

fn features() -> (Features, Vec<u32>) {
    let x = ndarray::Array2::from_shape_fn((60, 3), |(i, j)| ((i * (7 + j)) % 11) as f32);
    (Features::dense(x.view()).unwrap(), (0..60).map(|i| [0, 2, 3][i % 11 % 3]).collect())
}

fn fitted() -> Xgboost {
    let (x, y) = features();
    XgboostParams { n_rounds: 2, max_depth: 2, min_child_weight: 0.0, ..Default::default() }
        .fit(&x, &y, 5)
        .unwrap()
}

fn file() -> Value {
    serde_json::from_str(&fitted().to_json()).unwrap()
}

/// The message for a file in which the value at `pointer` is another.
fn changed(pointer: &str, value: Value) -> String {
    let mut file = file();
    *file.pointer_mut(pointer).unwrap() = value;
    let error = Xgboost::from_json(file.to_string().as_bytes()).unwrap_err();
    assert!(error.help().is_some());
    error.to_string()
}

const TREE: &str = "/learner/gradient_booster/model/trees/0";

#[test]
fn classes_without_training_cells_come_back() {
    let model = fitted();
    let again = Xgboost::from_json(model.to_json().as_bytes()).unwrap();
    assert_eq!(again, model);
    assert_eq!(file()["learner"]["attributes"][CLASSES], "0,2,3/5");
    let (x, _) = features();
    assert_eq!(again.predict(&x).unwrap(), model.predict(&x).unwrap());
}

#[test]
fn two_classes_of_a_softmax_are_one_logistic_function() {
    let tree = |id: u32, leaf: f32| {
        json!({"tree_param": {"num_nodes": "1"}, "left_children": [-1], "right_children": [-1], "split_indices": [0],
            "split_conditions": [leaf], "default_left": [true], "id": id})
    };
    let file = json!({"learner": {
        "gradient_booster": {"name": "gbtree", "model": {
            "gbtree_model_param": {"num_trees": "2"}, "tree_info": [0, 1], "trees": [tree(0, 0.3), tree(1, -0.1)]}},
        "learner_model_param": {"base_score": "5E-1", "num_class": "2", "num_feature": "1"},
        "objective": {"name": "multi:softprob"}}});
    let model = Xgboost::from_json(file.to_string().as_bytes()).unwrap();
    let x = Features::dense(ndarray::array![[0.0]].view()).unwrap();
    let p = model.predict(&x).unwrap().probabilities.unwrap();
    let expected = 1.0 / (1.0 + libm::exp(0.4));
    assert!((f64::from(p[[0, 1]]) - expected).abs() < 1e-6, "{p}");
}

#[test]
fn other_kinds_of_models_are_refused_by_name() {
    assert_eq!(
        changed("/learner/gradient_booster/name", "dart".into()),
        "`learner.gradient_booster.name` of the XGBoost model is \"dart\", expected \"gbtree\""
    );
    let objective = changed("/learner/objective/name", "rank:ndcg".into());
    assert!(objective.contains("is \"rank:ndcg\", expected \"multi:softprob\""), "{objective}");
    let categorical = changed(&format!("{TREE}/split_type/0"), 1.into());
    assert_eq!(
        categorical,
        "`model.trees[0].split_type` of the XGBoost model is a categorical split, expected numeric splits (0) only"
    );
    let vector = changed(&format!("{TREE}/tree_param/size_leaf_vector"), "3".into());
    assert!(vector.contains("size_leaf_vector` of the XGBoost model is 3"), "{vector}");
    let target = changed("/learner/learner_model_param/num_target", "2".into());
    assert!(target.contains("num_target` of the XGBoost model is 2"), "{target}");
}

#[test]
fn files_that_contradict_themselves_are_refused_with_the_place() {
    for (pointer, value, expected) in [
        ("/left_children/0", 0.into(), "left_children` of the XGBoost model is a way back to node 0"),
        (
            "/left_children/0",
            999.into(),
            "left_children[0]` of the XGBoost model is 999, expected a node below",
        ),
        ("/right_children/0", (-7).into(), "right_children[0]` of the XGBoost model is -7"),
        (
            "/split_indices/0",
            3.into(),
            "split_indices[0]` of the XGBoost model is 3, expected a feature below 3",
        ),
        ("/split_conditions/0", 1e300.into(), "not an XGBoost model in JSON"),
        ("/split_conditions", json!([]), "split_conditions` of the XGBoost model is 0 entries"),
        ("/tree_param/num_nodes", "4000000000".into(), "left_children` of the XGBoost model is"),
        ("/tree_param/num_nodes", "0".into(), "num_nodes` of the XGBoost model is 0"),
    ] {
        let found = changed(&format!("{TREE}{pointer}"), value);
        assert!(found.contains(expected), "{pointer}: {found}");
    }
    for (pointer, value, expected) in [
        ("/gradient_booster/model/tree_info/1", 3.into(), "tree_info[1]` of the XGBoost model is 3"),
        ("/gradient_booster/model/tree_info", json!([0]), "tree_info` of the XGBoost model is 1 entries"),
        (
            "/gradient_booster/model/gbtree_model_param/num_trees",
            "x".into(),
            "num_trees` of the XGBoost model is \"x\"",
        ),
        (
            "/learner_model_param/num_class",
            "4294967295".into(),
            "num_class` of the XGBoost model is 4294967295",
        ),
        ("/learner_model_param/num_class", "0".into(), "num_class` of the XGBoost model is 0"),
        ("/learner_model_param/base_score", "[1,2]".into(), "base_score` of the XGBoost model is 2 numbers"),
        ("/learner_model_param/base_score", "[1,nan,2]".into(), "base_score` of the XGBoost model is NaN"),
        ("/learner_model_param/base_score", "".into(), "base_score` of the XGBoost model is \"\""),
        (
            "/attributes/sc_eval.classes",
            "0,2/5".into(),
            "sc_eval.classes\"]` of the XGBoost model is \"0,2/5\"",
        ),
    ] {
        let found = changed(&format!("/learner{pointer}"), value);
        assert!(found.contains(expected), "{pointer}: {found}");
    }
    let syntax = changed("/learner/gradient_booster/model", 3.into());
    assert_eq!(syntax, "not an XGBoost model in JSON");
    let deep = "[".repeat(100_000);
    assert!(matches!(Xgboost::from_json(deep.as_bytes()), Err(Error::XgboostSyntax { .. })));
}

#[test]
fn a_chain_of_a_hundred_thousand_nodes_is_walked_without_recursion() {
    let n = 200_001;
    let inner = |at: usize| at % 2 == 0 && at + 2 < n;
    let left: Vec<i64> = (0..n).map(|at| if inner(at) { at as i64 + 1 } else { -1 }).collect();
    let right: Vec<i64> = (0..n).map(|at| if inner(at) { at as i64 + 2 } else { -1 }).collect();
    let mut file = file();
    *file.pointer_mut(TREE).unwrap() = json!({
        "tree_param": {"num_nodes": n.to_string()}, "left_children": left, "right_children": right,
        "split_indices": vec![0; n], "split_conditions": vec![-1.0; n], "default_left": vec![0; n]});
    let model = Xgboost::from_json(file.to_string().as_bytes()).unwrap();
    let (x, _) = features();
    assert_eq!(model.predict(&x).unwrap().codes.len(), 60);
}

#[test]
fn ubjson_reads_every_type_and_refuses_what_is_cut_short() {
    let bytes = b"{i\x01a[$d#i\x02\x3f\x80\x00\x00\xc0\x00\x00\x00U\x01b[TFZi\xffI\x01\x00]i\x01cSi\x02hii\x01dD\x3f\xf8\0\0\0\0\0\0}";
    let value = ubjson::parse(bytes).unwrap();
    assert_eq!(value, json!({"a": [1.0, -2.0], "b": [true, false, null, -1, 256], "c": "hi", "d": 1.5}));
    for end in 0..bytes.len() {
        assert!(ubjson::parse(&bytes[..end]).is_err(), "{end}");
    }
    for (bytes, expected) in [
        (&b"[#L\x7f\xff\xff\xff\xff\xff\xff\xff"[..], "byte 11: 1 bytes are needed, 0 are left"),
        (b"[$T#l\x7f\xff\xff\xff", "byte 9: a list of values without bytes"),
        (b"Si\xff", "byte 3: a length of -1"),
        (b"[]x", "byte 2: more than one value"),
        (b"x", "byte 1: 'x' marks no integer"),
        (&[b'['; 100], "byte 66: values more than 64 deep"),
    ] {
        assert_eq!(ubjson::parse(bytes).unwrap_err().to_string(), expected);
    }
}

proptest! {
    /// One changed byte may make another model or an error, but never a panic, here or when predicting.
    #[test]
    fn a_changed_byte_never_makes_a_panic(at in 0usize..1 << 20, byte in any::<u8>()) {
        let mut bytes = fitted().to_json().into_bytes();
        let n = bytes.len();
        bytes[at % n] = byte;
        if let Ok(model) = Xgboost::from_json(&bytes) {
            let x = Features::dense(ndarray::array![[0.0, 1.0, -2.0]].view()).unwrap();
            let _ = model.predict(&x);
            let _ = model.to_json();
        }
    }

    #[test]
    fn no_bytes_make_the_ubjson_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = ubjson::parse(&bytes);
    }
}
