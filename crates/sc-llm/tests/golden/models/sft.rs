//! Supervised training: the loss of answers, its gradients, and the first steps of the optimizer.

use sc_fm::checkpoint::Weights;
use sc_fm::train::{
    AdamParams, Decline, Gradients, LoopParams, Schedule, Select, Variables, Warmup, unwatched,
};
use sc_llm::models::{Config, LanguageModel, OpenParams};
use sc_llm::sft::{Base, Example, loss, sft_params, train};

use super::gradients::labels;
use crate::support::{Folder, Tensors, folders, values};

/// Examples of the reference: prompts have no labels, answers have.
pub(super) fn examples(folder: &Folder) -> Vec<Example> {
    let texts = folder.texts("sft.input_ids", "sft.attention_mask");
    let is_t5 = folder.architecture() == "t5";
    let example = |(text, labels): (Vec<u32>, Vec<Option<u32>>)| {
        if is_t5 {
            return Example { prompt: text, answer: labels.into_iter().flatten().collect() };
        }
        let labels = &labels[..text.len()];
        let first = labels.iter().position(Option::is_some).unwrap();
        let end = first + labels[first..].iter().take_while(|label| label.is_some()).count();
        assert!(labels[end..].iter().all(Option::is_none), "an answer is in one piece");
        Example { prompt: text[..first].to_vec(), answer: text[first..end].to_vec() }
    };
    texts.into_iter().zip(labels(folder)).map(example).collect()
}

#[test]
fn the_loss_of_answers_and_its_gradients_are_those_of_the_reference() {
    for folder in
        folders(|_| true).into_iter().filter(|folder| folder.path.join("sft_grads.safetensors").is_file())
    {
        let name = folder.name();
        let examples = examples(&folder);
        let base = Base::open(&folder.path).unwrap();
        let mut weights =
            Weights::new(base.tensors().map(|(name, tensor)| (name.to_owned(), tensor.clone())));
        let variables = Variables::of(&mut weights, |_| true).unwrap();
        let config = Config::read(&folder.path.join("config.json")).unwrap();
        let open = OpenParams { trainable: true, ..OpenParams::default() };
        let model = LanguageModel::new(&config, weights, &open).unwrap();
        let loss = loss(&model, &examples.iter().collect::<Vec<_>>()).unwrap();
        let found = f64::from(loss.to_scalar::<f32>().unwrap());
        let expected = folder.json("expected.json")["sft"]["loss"].as_f64().unwrap();
        assert!((found - expected).abs() < 1e-4 * expected, "{name}: loss {found}, expected {expected}");

        let gradients = Gradients::of(&loss, &variables).unwrap();
        let reference = Tensors::open(folder.path.join("sft_grads.safetensors"));
        let norm = |x: &[f32]| x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        for tensor in reference.names() {
            let expected = values(&reference.floats(&tensor));
            let index = variables.index(&tensor).unwrap_or_else(|| panic!("{name} {tensor}: not trained"));
            let zeros = vec![0.0; expected.len()];
            let found = gradients.get(index).unwrap_or(&zeros);
            let difference: Vec<f32> = found.iter().zip(&expected).map(|(a, b)| a - b).collect();
            let (difference, size) = (norm(&difference), norm(&expected));
            assert!(
                difference <= 1e-3 * size + 1e-6,
                "{name} {tensor}: the gradient differs by {difference:e} of {size:e}"
            );
        }
    }
}

#[test]
fn four_steps_of_adamw_are_those_of_the_reference() {
    for folder in folders(|_| true).into_iter().filter(|folder| folder.io.has("sft.labels")) {
        let expected = folder.json("expected.json")["sft"]["adamw"].clone();
        let losses = expected["losses_before_each_of_4_steps"].as_array().unwrap();
        let number = |name: &str| expected[name].as_f64().unwrap();
        let examples = examples(&folder);
        let schedule =
            Schedule { learning_rate: number("lr"), warmup: Warmup::Steps(0), decline: Decline::Constant };
        // An epoch is a step: its loss is that before it.
        let params = LoopParams {
            epochs: losses.len(),
            batch_size: examples.len(),
            accumulate: 1,
            schedule,
            optimizer: AdamParams {
                beta1: expected["betas"][0].as_f64().unwrap(),
                beta2: expected["betas"][1].as_f64().unwrap(),
                eps: number("eps"),
                ..AdamParams::adamw(number("weight_decay"))
            },
            max_grad_norm: Some(number("max_grad_norm")),
            select: Select::Last,
            ..sft_params()
        };
        let base = Base::open(&folder.path).unwrap();
        let trained = train(&base, &examples, &[], &params, None, &mut unwatched).unwrap();
        for (epoch, expected) in trained.history().iter().zip(losses) {
            let (found, expected) = (epoch.train_loss, expected.as_f64().unwrap());
            assert!(
                (found - expected).abs() <= 1e-3 * expected,
                "{} step {}: loss {found}, expected {expected}",
                folder.name(),
                epoch.epoch
            );
        }
    }
}
