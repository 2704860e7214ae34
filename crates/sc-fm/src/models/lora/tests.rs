use candle_core::Device;

use super::*;
use crate::models::Error;

fn config(more: &str) -> Result<(), Error> {
    let json = format!(r#"{{"peft_type": "LORA", "r": 2, "lora_alpha": 4{more}}}"#);
    serde_json::from_str::<LoraConfig>(&json).unwrap().validate()
}

#[test]
fn adapters_that_compute_something_else_are_refused() {
    config(r#", "task_type": "SEQ_CLS", "use_rslora": true, "rank_pattern": {}"#).unwrap();
    let message = |more: &str| config(more).unwrap_err().to_string();
    assert_eq!(message(r#", "use_dora": true"#), "`use_dora` of the configuration is true, expected false");
    assert!(message(r#", "fan_in_fan_out": true"#).contains("`fan_in_fan_out`"));
    assert_eq!(message(r#", "bias": "all""#), r#"`bias` of the configuration is "all", expected none"#);
    assert!(message(r#", "target_parameters": ["w"]"#).contains("`target_parameters`"));
    assert!(
        message(r#", "rank_pattern": {"(q|v)": 8}"#)
            .contains(r#""(q|v)", expected the end of a layer's name"#)
    );
    assert!(message(r#", "rank_pattern": {"q": 0}"#).contains("`rank_pattern`"));
    assert!(message(r#", "alpha_pattern": {"query": -8}"#).contains("`alpha_pattern`"));
    let ia3 = r#"{"peft_type": "IA3", "r": 2, "lora_alpha": 4}"#;
    let ia3 = serde_json::from_str::<LoraConfig>(ia3).unwrap().validate().unwrap_err();
    assert!(ia3.to_string().ends_with("is IA3, expected LORA"));
}

#[test]
fn ranks_and_scales_may_be_those_of_single_layers() {
    let json = r#"{"peft_type": "LORA", "r": 4, "lora_alpha": 8, "use_rslora": true, "bias": "none",
        "rank_pattern": {"0.q": 9, "^a\\.k": 1}, "alpha_pattern": {"q": 6}}"#;
    let config: LoraConfig = serde_json::from_str(json).unwrap();
    config.validate().unwrap();
    assert_eq!(config.of("a.0.q").unwrap(), (9, 2.0));
    assert_eq!(config.of("a.10.q").unwrap(), (4, 3.0));
    assert_eq!(config.of("a.k").unwrap(), (1, 8.0));
    assert_eq!(config.of("b.a.k").unwrap(), (4, 4.0));
    let json = json.replace(r#""q": 6"#, r#""q": 6, "0.q": 7"#);
    let config: LoraConfig = serde_json::from_str(&json).unwrap();
    assert!(config.of("a.0.q").unwrap_err().to_string().ends_with("expected one for a.0.q"));
}

#[test]
fn the_product_is_added_and_whole_layers_replace_theirs() {
    let tensor =
        |values: &[f32], shape: [usize; 2]| Tensor::from_slice(values, &shape[..], &Device::Cpu).unwrap();
    let adapter = |name: &str| {
        let weights = Weights::new([
            (format!("{name}.lora_A.weight"), tensor(&[1.0, -1.0], [1, 2])),
            (format!("{name}.lora_B.weight"), tensor(&[3.0, 0.5], [2, 1])),
            ("classifier.weight".to_owned(), tensor(&[7.0], [1, 1])),
        ]);
        LoraAdapter::of_weights(weights, 0.0, |_| Ok((1, 2.0))).unwrap()
    };
    let base = || {
        let query = tensor(&[1.0, 2.0, 3.0, 4.0], [2, 2]);
        Weights::new([
            ("q.weight".to_owned(), query),
            ("classifier.weight".to_owned(), tensor(&[0.0], [1, 1])),
        ])
    };
    let mut weights = base();
    adapter("q").merge_into(&mut weights).unwrap();
    let merged = weights.take("q.weight", &[2, 2]).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(merged, [[7.0, -4.0], [4.0, 3.0]]);
    let whole = weights.take("classifier.weight", &[1, 1]).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(whole, [[7.0]]);
    weights.finish().unwrap();
    let error = adapter("k").merge_into(&mut base()).unwrap_err();
    assert!(error.to_string().contains("\"k.weight\""), "{error}");
}

/// Weights of a small scGPT, and how a model is built of them.
fn scgpt() -> (Weights, impl Fn(&mut Weights) -> crate::models::Scgpt) {
    let json = r#"{"embsize": 8, "nheads": 2, "d_hid": 12, "nlayers": 2}"#;
    let config: crate::models::ScgptConfig = serde_json::from_str(json).unwrap();
    let mut weights = crate::models::Scgpt::random_weights(&config, 20, 1).unwrap();
    crate::models::Scgpt::put_new_classifier(&mut weights, 8, 3, 2, 1).unwrap();
    let specials = crate::models::scgpt::Specials { pad: 17, cls: 18 };
    let build = move |weights: &mut Weights| {
        let precision = crate::nn::gemm::Precision::F32;
        crate::models::Scgpt::from_weights(config.clone(), 20, specials, weights, precision).unwrap()
    };
    (weights, build)
}

fn logits(model: &crate::models::Scgpt) -> Tensor {
    use crate::models::scgpt::{Cell, ScgptBatch};
    let cells = [(&[18, 3, 5, 9][..], &[0.0, 4.0, 2.0, 7.0][..]), (&[18, 4][..], &[0.0, 1.0][..])];
    let cells = cells.map(|(genes, values)| Cell { genes, values, batch_label: None });
    let batch = ScgptBatch::new(&cells).unwrap();
    let encoded = model.encode(&batch, crate::models::Layer::Last).unwrap();
    model.class_logits(&model.cell_embeddings(&encoded, &batch).unwrap()).unwrap()
}

fn difference(a: &Tensor, b: &Tensor) -> f32 {
    (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar().unwrap()
}

#[test]
fn every_projection_of_an_scgpt_has_an_adapter_that_trains() {
    use crate::train::{Adam, AdamParams, Gradients, loss};
    let (mut weights, build) = scgpt();
    let plain = logits(&build(&mut scgpt().0));
    let targets = ["q_proj", "k_proj", "v_proj", "out_proj", "linear1", "linear2"].map(str::to_owned);
    let params = LoraParams { rank: 2, alpha: 4.0, targets: targets.to_vec(), ..LoraParams::default() };
    let layers = params.put_on(&mut weights, 3).unwrap();
    assert_eq!(layers.len(), 12);
    assert_eq!(layers[0], "transformer_encoder.layers.0.linear1");
    let variables =
        Variables::of(&mut weights, |name| name.contains(".lora_") || name.starts_with("cls_decoder."))
            .unwrap();
    let model = build(&mut weights);
    assert!(difference(&logits(&model), &plain) < 1e-6);
    let mut adam = Adam::new(&variables, AdamParams::default()).unwrap();
    let gradients = || {
        let loss = loss::cross_entropy(&logits(&model), &[Some(0), Some(2)], None).unwrap();
        Gradients::of(&loss, &variables).unwrap()
    };
    // B is 0: A moves with the second step.
    adam.step(&variables, &gradients(), 1e-2).unwrap();
    let after = gradients();
    for (index, (name, _)) in variables.iter().enumerate() {
        let largest = after.get(index).unwrap().iter().fold(0f32, |a, x| a.max(x.abs()));
        assert!(largest > 1e-9, "{name} does not train");
    }
    adam.step(&variables, &after, 1e-2).unwrap();

    let adapted = logits(&model);
    assert!(difference(&adapted, &plain) > 1e-3);
    let mut merged = scgpt().0;
    LoraAdapter::of(&params, &variables).unwrap().merge_into(&mut merged).unwrap();
    assert!(difference(&logits(&build(&mut merged)), &adapted) < 1e-5);
    // Through files, under any name of the fused projection.
    let folder = tempfile::tempdir().unwrap();
    let adapter = LoraAdapter::of(&params, &variables).unwrap();
    adapter.save(folder.path(), None, false).unwrap();
    assert!(adapter.save(folder.path(), None, false).unwrap_err().to_string().contains("adapter_model"));
    adapter.save(folder.path(), None, true).unwrap();
    for put_on in [true, false] {
        let flash = |name: &str| Some(name.replace(".in_proj_", ".Wqkv."));
        let mut weights = scgpt().0.renamed(flash);
        let adapter = LoraAdapter::load(folder.path(), &LoadOptions::default()).unwrap();
        match put_on {
            true => adapter.put_on(&mut weights).unwrap(),
            false => adapter.merge_into(&mut weights).unwrap(),
        }
        assert!(difference(&logits(&build(&mut weights)), &adapted) < 1e-5);
    }
}

#[test]
fn new_adapters_are_repeated_by_their_seed() {
    let a = |seed| {
        let (mut weights, _) = scgpt();
        LoraParams::default().put_on(&mut weights, seed).unwrap();
        let name = "transformer_encoder.layers.1.self_attn.v_proj.lora_A.weight";
        weights.take(name, &[8, 8]).unwrap().to_vec2::<f32>().unwrap()
    };
    assert_eq!(a(1), a(1));
    assert_ne!(a(1), a(2));
    let bound = 1.0 / 8f32.sqrt();
    assert!(a(1).iter().flatten().all(|x| x.abs() <= bound));
    assert!(a(1).iter().flatten().any(|x| x.abs() > 0.8 * bound));
}

#[test]
fn adapters_that_cannot_be_are_refused() {
    let message = |params: LoraParams| params.put_on(&mut scgpt().0, 0).unwrap_err();
    let error =
        message(LoraParams { targets: vec!["query".to_owned(), "proj".to_owned()], ..LoraParams::default() });
    assert_eq!(error.to_string(), "no linear layer of the encoder has a name that ends in query, proj");
    assert!(error.help().unwrap().contains("`q_proj`"));
    let error = message(LoraParams { rank: 0, ..LoraParams::default() });
    assert!(error.to_string().contains("`rank`"), "{error}");
    assert!(message(LoraParams { alpha: 0.0, ..LoraParams::default() }).to_string().contains("`alpha`"));
    assert!(message(LoraParams { dropout: 1.0, ..LoraParams::default() }).to_string().contains("`dropout`"));
}

#[test]
fn an_adapter_of_another_model_cannot_be_put_on() {
    let (mut weights, _) = scgpt();
    let adapter = |layer: &str, inputs: usize| {
        let tensor =
            |shape: [usize; 2]| Tensor::zeros(&shape[..], candle_core::DType::F32, &Device::Cpu).unwrap();
        let weights = Weights::new([
            (format!("{layer}.lora_A.weight"), tensor([1, inputs])),
            (format!("{layer}.lora_B.weight"), tensor([8, 1])),
        ]);
        LoraAdapter::of_weights(weights, 0.0, |_| Ok((1, 1.0))).unwrap()
    };
    let attention = "transformer_encoder.layers.0.self_attn";
    adapter(&format!("{attention}.out_proj"), 8).put_on(&mut weights).unwrap();
    let error = adapter(&format!("{attention}.q_proj"), 9).put_on(&mut weights).unwrap_err();
    assert!(error.to_string().contains("in_proj_weight"), "{error}");
    let error = adapter("transformer_encoder.layers.2.linear1", 8).put_on(&mut weights).unwrap_err();
    assert!(error.to_string().contains("layers.2.linear1.weight"), "{error}");
}
