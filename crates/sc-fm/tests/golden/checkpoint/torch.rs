//! Files of `torch.save` hold the same numbers as the same tensors in `.safetensors`.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Tensor};
use sc_fm::checkpoint::pickle::Value;
use sc_fm::checkpoint::torch::TorchFile;
use sc_fm::checkpoint::{Error, OpenParams, Weights};

use super::assert_same;
use crate::support;

fn inside(keys: &[&str]) -> OpenParams {
    OpenParams { inside: keys.iter().map(|key| (*key).to_owned()).collect(), ..OpenParams::default() }
}

fn all(mut weights: Weights) -> BTreeMap<String, Tensor> {
    let names: Vec<String> = weights.names().map(str::to_owned).collect();
    let take = |name: String| {
        let shape = weights.shape(&name).unwrap().to_vec();
        let tensor = weights.take(&name, &shape).unwrap();
        (name, tensor)
    };
    names.into_iter().map(take).collect()
}

fn assert_equal(found: Weights, expected: Weights) {
    let (found, expected) = (all(found), all(expected));
    assert!(found.keys().eq(expected.keys()), "{:?} for {:?}", found.keys(), expected.keys());
    found.iter().for_each(|(name, tensor)| assert_same(name, tensor, &expected[name]));
}

#[test]
fn every_type_view_and_layout_of_pytorch_is_read() {
    let folder = support::kept().join("checkpoint");
    for file in ["zip.pt", "older.pt", "protocol4.pt"] {
        for part in ["state", "module"] {
            let found = Weights::open_with(folder.join(file), &inside(&[part])).unwrap();
            let expected = Weights::open(folder.join(part).with_extension("safetensors")).unwrap();
            assert_equal(found, expected);
        }
    }
}

#[test]
fn conversions_round_as_pytorch_does() {
    let folder = support::kept().join("checkpoint");
    for dtype in [DType::F16, DType::BF16, DType::F32, DType::F64] {
        let params = OpenParams { dtype: Some(dtype), ..inside(&["state"]) };
        let found = all(Weights::open_with(folder.join("zip.pt"), &params).unwrap());
        for (name, stored) in all(Weights::open(folder.join("state.safetensors")).unwrap()) {
            let expected = match stored.dtype().is_float() {
                true => stored.to_dtype(DType::F32).unwrap().to_dtype(dtype).unwrap(),
                false => stored.clone(),
            };
            let direct = if stored.dtype() == dtype { stored } else { expected };
            assert_same(&name, &found[&name], &direct);
        }
    }
}

#[test]
fn tensors_that_are_one_in_the_file_are_one_in_memory() {
    for file in ["zip.pt", "older.pt"] {
        let path = support::kept().join("checkpoint").join(file);
        let tensors = all(Weights::open_with(path, &inside(&["tied"])).unwrap());
        let (a, b) = (tensors["a"].storage_and_layout().0, tensors["b"].storage_and_layout().0);
        assert!(std::ptr::eq(&*a, &*b));
    }
}

#[test]
fn what_lies_beside_the_tensors_can_be_read() {
    let folder = support::kept().join("checkpoint");
    for file in ["zip.pt", "older.pt", "protocol4.pt"] {
        let file = TorchFile::open(folder.join(file)).unwrap();
        let config = file.value().get("config").unwrap();
        let expected = [
            ("n", Value::Int(3)),
            ("x", Value::Float(0.25)),
            ("name", Value::Str("tiny".into())),
            ("on", Value::Bool(true)),
            ("none", Value::None),
            (
                "list",
                Value::List(vec![Value::Int(1), Value::Tuple(vec![Value::Int(2), Value::Str("a".into())])]),
            ),
            ("size", Value::Tuple(vec![Value::Int(5), Value::Int(4)])),
            ("big", Value::Int(1 << 40)),
            ("minus", Value::Int(-5)),
        ];
        let expected = expected.map(|(key, value)| (Value::Str(key.into()), value));
        assert_eq!(config.entries().unwrap(), expected);
    }
}

#[test]
fn the_place_of_the_tensors_is_asked_for_where_there_are_several() {
    let path = support::kept().join("checkpoint/zip.pt");
    let error = Weights::open(&path).unwrap_err();
    let message = error.to_string();
    assert!(
        message
            .ends_with("what was saved is not a dictionary of tensors alone; these are: module, state, tied"),
        "{message}"
    );
    assert_eq!(error.help(), Some("say which one with `OpenParams::inside`"));
    let error = Weights::open_with(&path, &inside(&["config"])).unwrap_err();
    assert!(error.to_string().contains("\"config\" is not a dictionary of tensors"), "{error}");
}

#[test]
fn a_program_is_refused() {
    let error = Weights::open(support::kept().join("checkpoint/program.pt")).unwrap_err();
    assert!(matches!(error, Error::TorchScript { .. }), "{error}");
    assert!(error.help().unwrap().contains("state_dict"));
}

/// Each folder of scGPT: a `.pt` file holds what the `.safetensors` file beside it with the same names holds.
fn scgpt(root: &Path) -> usize {
    let mut compared = 0;
    for folder in std::fs::read_dir(root.join("scgpt_tiny")).unwrap().map(|entry| entry.unwrap().path()) {
        let files = || std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let ends = |path: &Path, ending: &str| path.extension().is_some_and(|found| found == ending);
        if !folder.is_dir() {
            continue;
        }
        for file in files().filter(|path| ends(path, "pt")) {
            let plain = |name: &str| Some(name.strip_prefix("module.").unwrap_or(name).to_owned());
            let load = || Weights::open(&file).unwrap().renamed(plain);
            let names: Vec<String> = load().names().map(str::to_owned).collect();
            for other in files().filter(|path| ends(path, "safetensors")) {
                let expected = Weights::open(other).unwrap();
                if names.iter().map(String::as_str).eq(expected.names()) {
                    assert_equal(load(), expected);
                    compared += 1;
                }
            }
        }
    }
    compared
}

#[test]
fn the_files_of_scgpt_hold_the_same_numbers_in_both_formats() {
    assert!(scgpt(&support::kept()) > 0);
    let Some(root) = support::fixtures() else { return };
    assert!(scgpt(&root) > 1);
}

#[test]
fn the_three_models_in_a_file_of_scfoundation_are_found() {
    let Some(root) = support::fixtures() else { return };
    let folder = root.join("scfoundation_tiny");
    let path = folder.join("models_layout.ckpt");
    let file = TorchFile::open(&path).unwrap();
    let meta: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("meta.json")).unwrap()).unwrap();
    let models = file.value().entries().unwrap();
    assert!(!models.is_empty());
    for (key, model) in models {
        let key = key.as_str().unwrap();
        let config = model.get("config").unwrap();
        let name = config.get("model").and_then(Value::as_str).unwrap();
        let found = config.get("model_config").and_then(|config| config.get(name)).unwrap();
        for part in ["encoder", "decoder"] {
            let (found, expected) = (found.get(part).unwrap(), &meta["config"][part]);
            assert_eq!(
                found.get("hidden_dim").and_then(Value::as_i64),
                expected["hidden_dim"].as_i64(),
                "{key} {part}"
            );
        }
        let plain = |name: &str| Some(name.strip_prefix("model.").unwrap_or(name).to_owned());
        let weights = Weights::open_with(&path, &inside(&[key, "state_dict"])).unwrap().renamed(plain);
        assert_equal(weights, Weights::open(folder.join("model.safetensors")).unwrap());
    }
}
