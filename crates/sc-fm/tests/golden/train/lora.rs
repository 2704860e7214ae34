//! Adapters of low rank beside Hugging Face's peft.

use sc_fm::models::geneformer::GeneformerConfig;
use sc_fm::models::{Geneformer, Layer, LoadOptions, LoraAdapter, LoraParams, TokenBatch};
use sc_fm::nn::gemm::Precision;
use sc_fm::train::{Gradients, Variables, loss};

use super::steps::{close_gradients, close_number, close_values, number, run};
use crate::models::compare::{self, TOLERANCE, Tensors, close};
use crate::models::geneformer::{cells, format};

/// The name that peft has for a tensor while it trains.
fn in_training(name: &str) -> String {
    for part in ["lora_A", "lora_B"] {
        if let Some(layer) = name.strip_suffix(&format!(".{part}.weight")) {
            return format!("base_model.model.{layer}.{part}.default.weight");
        }
    }
    format!("base_model.model.{}", name.replacen("classifier.", "classifier.modules_to_save.default.", 1))
}

fn is_trained(name: &str) -> bool {
    name.contains(".lora_") || name.starts_with("classifier.")
}

#[test]
fn logits_gradients_steps_and_files() {
    compare::for_each("geneformer_tiny", |folder| {
        let (adapter, base) = (folder.join("lora_adapter"), folder.join("cell_classifier"));
        if !adapter.is_dir() || !base.is_dir() {
            return;
        }
        let io = Tensors::open(folder.join("lora_io.safetensors"));
        let scalars = &compare::json(&folder.join("meta.json"))["scalars"];
        let config = GeneformerConfig::read(&base.join("config.json")).unwrap();
        let base_weights = || compare::weights(&base.join("model.safetensors"));
        let load = |folder: &std::path::Path| LoraAdapter::load(folder, &LoadOptions::default()).unwrap();
        let mut weights = base_weights();
        load(&adapter).put_on(&mut weights).unwrap();
        let variables = Variables::of(&mut weights, is_trained).unwrap();
        assert_eq!(scalars["lora.trainable"], variables.n_parameters());
        let build = |mut weights| {
            Geneformer::from_weights(config.clone(), format(folder), &mut weights, Precision::default())
                .unwrap()
        };
        let model = build(weights);

        let cells = cells(&Tensors::open(folder.join("io.safetensors")));
        let batch = TokenBatch::new(&cells);
        let targets = Tensors::open(folder.join("cell_classifier_io.safetensors")).id_row("labels");
        let targets: Vec<Option<u32>> = targets.into_iter().map(Some).collect();
        let logits = |model: &Geneformer| {
            model.cell_logits(&model.forward_checked(&batch, Layer::Last).unwrap()).unwrap()
        };
        close("logits with the adapter", &logits(&model), &io.get("logits"), TOLERANCE);
        let loss = || loss::cross_entropy(&logits(&model), &targets, None).unwrap();
        close_number("lora.loss", number(&loss()), &scalars["lora.loss"], 1e-5);
        let gradients = Gradients::of(&loss(), &variables).unwrap();
        let n =
            close_gradients(&variables, &gradients, &io, |name| format!("plain.grad.{}", in_training(name)));
        assert_eq!(n, variables.len());
        let way = run(&format!("{}, lora", folder.display()), &scalars["lora.plain"], &variables, loss);
        let n = close_values(&variables, &io, way, |name| format!("plain.final.{}", in_training(name)));
        assert_eq!(n, variables.len());

        // What was trained, through the files and merged, is what was trained.
        let saved = tempfile::tempdir().unwrap();
        let params = LoraParams { rank: 4, alpha: 8.0, ..LoraParams::default() };
        let trained = LoraAdapter::of(&params, &variables).unwrap();
        trained.save(saved.path(), Some("base"), false).unwrap();
        let config = compare::json(&saved.path().join("adapter_config.json"));
        let theirs = compare::json(&adapter.join("adapter_config.json"));
        for field in ["peft_type", "r", "lora_alpha", "lora_dropout", "bias", "fan_in_fan_out", "use_rslora"]
        {
            assert_eq!(config[field], theirs[field], "{field}");
        }
        let names = |folder: &std::path::Path| {
            let tensors = compare::weights(&folder.join("adapter_model.safetensors"));
            tensors.names().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(names(saved.path()), names(&adapter));
        let mut merged = base_weights();
        load(saved.path()).merge_into(&mut merged).unwrap();
        close("logits of the merged model", &logits(&build(merged)), &logits(&model), 1e-5);
    });
}

#[test]
fn new_adapters_change_nothing_until_they_are_trained() {
    compare::for_each("geneformer_tiny", |folder| {
        let base = folder.join("cell_classifier");
        if !base.is_dir() {
            return;
        }
        let config = GeneformerConfig::read(&base.join("config.json")).unwrap();
        let mut weights = compare::weights(&base.join("model.safetensors"));
        let params =
            LoraParams { targets: vec!["dense".to_owned(), "query".to_owned()], ..LoraParams::default() };
        let layers = params.put_on(&mut weights, 5).unwrap();
        assert_eq!(layers.len(), 4 * config.num_hidden_layers);
        let variables = Variables::of(&mut weights, is_trained).unwrap();
        let model =
            Geneformer::from_weights(config, format(folder), &mut weights, Precision::default()).unwrap();
        let io = Tensors::open(folder.join("cell_classifier_io.safetensors"));
        let cells = cells(&Tensors::open(folder.join("io.safetensors")));
        let last = model.forward_checked(&TokenBatch::new(&cells), Layer::Last).unwrap();
        let logits = model.cell_logits(&last).unwrap();
        close("logits", &logits, &io.get("logits"), TOLERANCE);
        assert_eq!(variables.len(), 2 * layers.len() + 2);
    });
}
