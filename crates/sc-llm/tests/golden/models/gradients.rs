//! Gradients of a loss by every weight.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor, Var};
use sc_fm::checkpoint::Weights;
use sc_fm::nn::cross_entropy;
use sc_llm::models::{Config, LanguageModel, OpenParams};

use super::decoders::decoders;
use crate::support::{Folder, Tensors, values};

/// The weights of a folder as variables.
pub(super) fn variables(folder: &Folder) -> BTreeMap<String, Var> {
    let mut weights = Weights::open(&folder.path).unwrap();
    let names: Vec<String> = weights.names().map(str::to_owned).collect();
    let variable = |name: String| {
        let shape = weights.shape(&name).unwrap().to_vec();
        let tensor = weights.take(&name, &shape).unwrap();
        (name, Var::from_tensor(&tensor).unwrap())
    };
    names.into_iter().map(variable).collect()
}

pub(super) fn trainable(folder: &Folder, variables: &BTreeMap<String, Var>) -> LanguageModel {
    let config = Config::read(&folder.path.join("config.json")).unwrap();
    let tensors = variables.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone()));
    LanguageModel::new(
        &config,
        Weights::new(tensors),
        &OpenParams { trainable: true, ..OpenParams::default() },
    )
    .unwrap()
}

/// Compares the gradients of a loss with those of the reference, each by the norm of the difference.
pub(super) fn compare(folder: &Folder, loss: &Tensor, variables: &BTreeMap<String, Var>) {
    let expected = folder.json("expected.json")["sft"]["loss"].as_f64().unwrap();
    let found = f64::from(loss.to_scalar::<f32>().unwrap());
    assert!(
        (found - expected).abs() < 1e-4 * expected,
        "{}: loss {found}, expected {expected}",
        folder.name()
    );
    let gradients = loss.backward().unwrap();
    let reference = Tensors::open(folder.path.join("sft_grads.safetensors"));
    let norm = |x: &[f32]| x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    for name in reference.names() {
        let expected = values(&reference.floats(&name));
        let found = gradients.get(&variables[&name]).map_or_else(|| vec![0.0; expected.len()], values);
        let difference: Vec<f32> = found.iter().zip(&expected).map(|(a, b)| a - b).collect();
        let (difference, size) = (norm(&difference), norm(&expected));
        assert!(
            difference <= 1e-3 * size + 1e-6,
            "{} {name}: the gradient differs by {difference:e} of {size:e}",
            folder.name()
        );
    }
}

#[test]
fn gradients_by_every_weight_are_those_of_the_reference() {
    for folder in decoders().into_iter().filter(|folder| folder.path.join("sft_grads.safetensors").is_file())
    {
        let variables = variables(&folder);
        let model = trainable(&folder, &variables);
        let texts = folder.texts("sft.input_ids", "sft.attention_mask");
        let slices: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        let hidden = model.hidden(&slices, &mut |_, _| {}).unwrap();
        let logits = model.logits_of(&hidden).unwrap();
        // A token's state says what the next one is; the last of a text says nothing.
        let labels = labels(&folder);
        let shifted = texts.iter().zip(labels).flat_map(|(text, labels)| {
            let labels: Vec<Option<u32>> = labels[..text.len()].to_vec();
            labels.into_iter().skip(1).chain([None])
        });
        let loss = cross_entropy(&logits, &shifted.collect::<Vec<_>>()).unwrap();
        compare(&folder, &loss, &variables);
    }
}

/// The labels of each padded row; those below 0 are none.
pub(super) fn labels(folder: &Folder) -> Vec<Vec<Option<u32>>> {
    let labels: Vec<Vec<i64>> = candle_core::safetensors::load(
        folder.path.join("io.safetensors"),
        &Device::Cpu,
    )
    .unwrap()["sft.labels"]
        .to_vec2()
        .unwrap();
    labels.into_iter().map(|row| row.into_iter().map(|label| u32::try_from(label).ok()).collect()).collect()
}
