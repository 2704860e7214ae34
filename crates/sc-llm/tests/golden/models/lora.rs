//! Adapters of low rank beside Hugging Face's `peft`.

use candle_core::{Device, Tensor};
use sc_fm::models::{LoadOptions, LoraAdapter};
use sc_fm::train::{
    AdamParams, Decline, Gradients, LoopParams, Schedule, Select, Variables, Warmup, unwatched,
};
use sc_llm::models::{Config, LanguageModel, OpenParams, open, open_with_adapter};
use sc_llm::sft::{Base, adapter_params, loss, sft_params, train_adapter};

use super::sft::examples;
use crate::support::{Folder, Tensors, close, folders, values};

/// The folders with an adapter.
pub(super) fn adapted() -> Vec<Folder> {
    let all = folders(|_| true).into_iter();
    all.filter(|folder| folder.path.join("lora/adapter_config.json").is_file()).collect()
}

fn adapter(folder: &Folder) -> LoraAdapter {
    LoraAdapter::load(&folder.path.join("lora"), &LoadOptions::default()).unwrap()
}

/// The logits of a folder's first text.
pub(super) fn logits(folder: &Folder, model: &LanguageModel) -> Tensor {
    let text = folder.texts("right.input_ids", "right.attention_mask").remove(0);
    let logits = match model.answer_start() {
        None => model.all_logits(&mut [model.empty()], &[&text]),
        Some(_) => {
            let answer = folder.io.ids("right.decoder_input_ids").remove(0);
            model.all_logits(&mut model.encode(&[&text]).unwrap(), &[&answer])
        }
    };
    let logits = logits.unwrap().remove(0);
    let shape = logits.dim();
    Tensor::from_vec(logits.into_raw_vec_and_offset().0, shape, &Device::Cpu).unwrap()
}

fn norm(x: &[f32]) -> f64 {
    x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
}

fn difference(a: &[f32], b: &[f32]) -> f64 {
    norm(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f32>>())
}

#[test]
fn logits_with_an_adapter_beside_the_weights_or_in_them_are_those_of_the_reference() {
    for folder in adapted() {
        let name = folder.name();
        let expected = folder.io.floats("lora.right.logits_row0");
        // Logits of random weights with a large adapter are large.
        let largest = values(&expected).iter().fold(0_f32, |largest, logit| largest.max(logit.abs()));
        // Rounding differs between the two ways in the reference too, and more where weights let it grow.
        let apart = folder.json("expected.json")["lora"]["merged_vs_unmerged_maxdiff"].as_f64().unwrap();
        let limit = 2e-4_f32.max(1e-4 * largest) + 2.0 * apart as f32;
        let beside = open_with_adapter(&folder.path, folder.path.join("lora"), &OpenParams::default());
        close(&format!("{name}, beside"), &logits(&folder, &beside.unwrap()), &expected, limit, 1e-4);
        let base = Base::open(&folder.path).unwrap();
        let plain = logits(&folder, &base.model(&OpenParams::default()).unwrap());
        assert!(difference(&values(&plain), &values(&expected)) > 0.01 * norm(&values(&expected)), "{name}");
        let with = base.model_with(&adapter(&folder), &OpenParams::default()).unwrap();
        close(&format!("{name}, with"), &logits(&folder, &with), &expected, limit, 1e-4);

        let merged = base.merged(&adapter(&folder)).unwrap();
        let reference = Tensors::open(folder.path.join("merged_targets.safetensors"));
        assert_eq!(reference.names().len(), adapter(&folder).layers().count(), "{name}");
        for tensor in reference.names() {
            let (_, found) = merged.tensors().find(|(name, _)| *name == tensor).unwrap();
            close(&format!("{name} {tensor}"), found, &reference.floats(&tensor), 1e-6, 1e-6);
        }
        let to = tempfile::tempdir().unwrap();
        merged.save(to.path(), false).unwrap();
        let plain = open(to.path(), &OpenParams::default()).unwrap();
        close(&format!("{name}, merged"), &logits(&folder, &plain), &expected, limit, 1e-4);
    }
}

#[test]
fn gradients_by_adapters_are_those_of_the_reference() {
    let with_gradients = |folder: &Folder| folder.path.join("lora_grads_step0.safetensors").is_file();
    for folder in adapted().into_iter().filter(with_gradients) {
        let name = folder.name();
        let base = Base::open(&folder.path).unwrap();
        let mut weights = sc_fm::checkpoint::Weights::new(
            base.tensors().map(|(name, tensor)| (name.to_owned(), tensor.clone())),
        );
        adapter(&folder).put_on(&mut weights).unwrap();
        let variables = Variables::of(&mut weights, |name| name.contains(".lora_")).unwrap();
        let config = Config::from_json(base.config()).unwrap();
        let model = LanguageModel::new(&config, weights, &OpenParams::default()).unwrap();
        let examples = examples(&folder);
        let loss = loss(&model, &examples.iter().collect::<Vec<_>>()).unwrap();
        let gradients = Gradients::of(&loss, &variables).unwrap();
        let reference = Tensors::open(folder.path.join("lora_grads_step0.safetensors"));
        assert_eq!(reference.names().len(), variables.len(), "{name}");
        for tensor in reference.names() {
            let expected = values(&reference.floats(&tensor));
            let own = tensor.strip_prefix("base_model.model.").unwrap();
            let index = variables.index(own).unwrap_or_else(|| panic!("{name} {own}: not trained"));
            let (apart, size) = (difference(gradients.get(index).unwrap(), &expected), norm(&expected));
            assert!(
                apart <= 1e-3 * size + 1e-6,
                "{name} {own}: the gradient differs by {apart:e} of {size:e}"
            );
        }
    }
}

#[test]
fn steps_along_the_cosine_are_those_of_the_reference() {
    for folder in adapted() {
        let name = folder.name();
        let expected = &folder.json("expected.json")["lora"]["train"];
        let numbers = |field: &str| -> Vec<f64> {
            expected[field].as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
        };
        let (losses, rates) = (numbers("losses_before_step"), numbers("lr_at_step"));
        let learning_rate = rates.iter().copied().fold(0.0, f64::max);
        let warmup = Warmup::Steps(rates.iter().position(|&rate| rate == learning_rate).unwrap());
        let schedule = Schedule { learning_rate, warmup, decline: Decline::Cosine };
        for (step, rate) in rates.iter().enumerate() {
            let found = schedule.at(step, rates.len(), step);
            assert!((found - rate).abs() < 1e-12, "{name} step {step}: rate {found}, expected {rate}");
        }
        let examples = examples(&folder);
        // An epoch is a step: its loss is that before it.
        let params = LoopParams {
            epochs: losses.len(),
            batch_size: examples.len(),
            accumulate: 1,
            schedule,
            optimizer: AdamParams::adamw(0.0),
            max_grad_norm: Some(1.0),
            select: Select::Last,
            ..sft_params()
        };
        let base = Base::open(&folder.path).unwrap();
        let start = adapter(&folder);
        let trained = train_adapter(&base, &start, &examples, &[], &params, None, &mut unwatched).unwrap();
        assert_eq!(trained.history().len(), losses.len(), "{name}");
        for (epoch, expected) in trained.history().iter().zip(losses) {
            let found = epoch.train_loss;
            assert!(
                (found - expected).abs() <= 1e-3 * expected,
                "{name} step {}: loss {found}, expected {expected}",
                epoch.epoch
            );
        }
        // Through the files: the same scales, ranks and values.
        let to = tempfile::tempdir().unwrap();
        trained.adapter().save(to.path(), Some("base"), false).unwrap();
        let again = open_with_adapter(&folder.path, to.path(), &OpenParams::default()).unwrap();
        let expected = base.model_with(trained.adapter(), &OpenParams::default()).unwrap();
        close(&name, &logits(&folder, &again), &logits(&folder, &expected), 1e-5, 1e-5);
        let (written, own) =
            (to.path().join("adapter_config.json"), folder.path.join("lora/adapter_config.json"));
        let json = |path: &std::path::Path| -> serde_json::Value {
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
        };
        let (written, own) = (json(&written), json(&own));
        for field in ["peft_type", "task_type", "bias"] {
            assert_eq!(written[field], own[field], "{name} {field}");
        }
    }
}

#[test]
fn a_new_adapter_is_on_every_linear_layer_but_the_head_and_changes_nothing() {
    for folder in folders(|_| true) {
        let base = Base::open(&folder.path).unwrap();
        let adapter = base.new_adapter(&adapter_params(), 1).unwrap();
        let matrices = |name: &&str| {
            let tables = ["embed", "shared", "lm_head", "wte", "wpe", "project_", "relative_attention_bias"];
            let (_, tensor) = base.tensors().find(|(other, _)| other == name).unwrap();
            tensor.rank() == 2 && !tables.iter().any(|table| name.contains(table))
        };
        let expected: Vec<&str> = base.tensors().map(|(name, _)| name).filter(matrices).collect();
        let layers: Vec<String> = adapter.layers().map(|layer| format!("{layer}.weight")).collect();
        assert_eq!(layers, expected, "{}", folder.name());
        let plain = logits(&folder, &base.model(&OpenParams::default()).unwrap());
        let with = logits(&folder, &base.model_with(&adapter, &OpenParams::default()).unwrap());
        close(&folder.name(), &with, &plain, 1e-6, 1e-6);
    }
}

#[test]
fn adapters_of_other_models_are_refused_by_the_name_of_a_layer() {
    let folder = adapted().remove(0);
    let to = tempfile::tempdir().unwrap();
    let own = folder.path.join("lora");
    let config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(own.join("adapter_config.json")).unwrap()).unwrap();
    let tensors = Tensors::open(own.join("adapter_model.safetensors"));
    let names = tensors.names();
    let message = |rename: &dyn Fn(&str) -> String, field: &str, value: serde_json::Value| {
        let renamed: Vec<(String, Tensor)> =
            names.iter().map(|name| (rename(name), tensors.floats(name))).collect();
        let renamed = renamed.iter().map(|(name, tensor)| (name.as_str(), tensor));
        let path = to.path().join("adapter_model.safetensors");
        sc_fm::checkpoint::write_safetensors(path, renamed, &[], true).unwrap();
        let mut config = config.clone();
        config[field] = value;
        std::fs::write(to.path().join("adapter_config.json"), config.to_string()).unwrap();
        open_with_adapter(&folder.path, to.path(), &OpenParams::default()).unwrap_err()
    };
    let same = |name: &str| name.to_owned();
    let error = message(&same, "use_dora", true.into());
    assert!(error.to_string().contains("`use_dora` of the configuration is true"), "{error}");
    let error = message(&same, "bias", "lora_only".into());
    assert!(error.to_string().contains(r#"`bias` of the configuration is "lora_only""#), "{error}");
    let error = message(&same, "fan_in_fan_out", true.into());
    assert!(error.to_string().contains("`fan_in_fan_out`"), "{error}");
    let error = message(&same, "r", 99.into());
    assert!(error.to_string().contains(".lora_A.weight"), "{error}");
    let layer = names[0].strip_prefix("base_model.model.").unwrap().strip_suffix(".lora_A.weight").unwrap();
    let error = message(&|name| name.replace(layer, "elsewhere.q_proj"), "r", config["r"].clone());
    assert!(error.to_string().contains("elsewhere.q_proj.weight"), "{error}");
    let vector = |name: &str| match name.contains(&format!("{layer}.lora_B.weight")) {
        true => name.replace(".lora_B.weight", ".lora_magnitude_vector"),
        false => name.to_owned(),
    };
    let error = message(&vector, "r", config["r"].clone());
    assert!(error.to_string().contains(".lora_B.weight"), "{error}");
}
