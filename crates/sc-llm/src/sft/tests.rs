use std::ops::ControlFlow;

use sc_fm::nn::TrainingStep;
use sc_fm::train::{Gradients, LoopParams, Schedule, unwatched};

use super::*;
use crate::tokenizer::Tokenizer;

const PAIRS: [(&str, &str); 4] = [
    ("CD3D IL7R\nAnswer:", " T cell"),
    ("MS4A1 CD79A\nAnswer:", " B cell"),
    ("NKG7\nAnswer:", " NK cell"),
    ("CD3D CD8A IL7R\nAnswer:", " T cell"),
];

fn small() -> (Tokenizer, Base, Vec<Example>) {
    let texts = PAIRS.map(|(prompt, answer)| format!("{prompt}{answer}\n"));
    let params =
        SmallParams { width: 16, n_heads: 2, n_layers: 2, max_positions: 32, ..SmallParams::default() };
    let (tokenizer, base) = small_decoder(&texts, &params).unwrap();
    let examples = PAIRS.map(|(prompt, answer)| Example {
        prompt: tokenizer.encode(prompt, true).unwrap(),
        answer: tokenizer.encode(&format!("{answer}\n"), false).unwrap(),
    });
    (tokenizer, base, examples.into())
}

fn params(epochs: usize) -> LoopParams {
    LoopParams { epochs, batch_size: 2, accumulate: 2, schedule: Schedule::linear(1e-2), ..sft_params() }
}

fn bits(base: &Base) -> Vec<u32> {
    let values = |(_, tensor): (&str, &candle_core::Tensor)| tensor.flatten_all().unwrap().to_vec1().unwrap();
    base.tensors().flat_map(values).map(f32::to_bits).collect()
}

#[test]
fn a_small_decoder_learns_its_examples_and_says_them_after_it_was_saved_and_opened() {
    let (tokenizer, base, examples) = small();
    let trained = train(&base, &examples, &examples, &params(40), None, &mut unwatched).unwrap();
    let last = trained.best_epoch().validation.unwrap();
    assert_eq!(last.accuracy, 1.0, "{last:?}");
    let folder = tempfile::tempdir().unwrap();
    trained.base().save(folder.path(), false).unwrap();
    tokenizer.save(folder.path()).unwrap();
    let model = crate::models::open(folder.path(), &OpenParams::default()).unwrap();
    let params = crate::decode::generate::GenerateParams {
        stop: tokenizer.encode("\n", false).unwrap(),
        ..Default::default()
    };
    for example in &examples {
        assert_eq!(model.generate(&example.prompt, &params, 0).unwrap().tokens, example.answer);
    }
    assert_eq!(bits(&Base::open(folder.path()).unwrap()), bits(trained.base()));
    assert!(trained.base().save(folder.path(), false).is_err(), "a model that is there stays");
}

#[test]
fn batches_of_a_step_are_one_large_batch() {
    let (_, base, examples) = small();
    let gradients = |batch_size, accumulate| {
        let params = LoopParams { epochs: 1, batch_size, accumulate, max_grad_norm: None, ..params(1) };
        train(&base, &examples, &[], &params, None, &mut unwatched).unwrap().history()[0]
    };
    let (whole, parts) = (gradients(4, 1), gradients(1, 4));
    assert!((whole.train_loss - parts.train_loss).abs() < 1e-5, "{whole:?} {parts:?}");
    assert!((whole.gradient_norm - parts.gradient_norm).abs() < 1e-4 * whole.gradient_norm);
}

#[test]
fn only_the_answer_is_learnt() {
    let (_, base, examples) = small();
    let mut weights = base.weights();
    let variables = Variables::of(&mut weights, |_| true).unwrap();
    let open = OpenParams { trainable: true, ..OpenParams::default() };
    let model = LanguageModel::new(&base.parsed().unwrap(), weights, &open).unwrap();
    let each: Vec<&Example> = examples.iter().collect();
    let n: usize = examples.iter().map(|example| example.answer.len()).sum();
    let together = loss(&model, &each).unwrap();
    let mut sum = 0.0;
    for example in &examples {
        let mut state = [model.empty()];
        let text = [example.prompt.as_slice(), &example.answer].concat();
        let logits = model.all_logits(&mut state, &[&text]).unwrap().remove(0);
        for (place, &token) in example.answer.iter().enumerate() {
            let row = logits.row(example.prompt.len() + place - 1).to_vec();
            sum += sc_fm::nn::log_sum_exp(&row) - f64::from(row[token as usize]);
        }
    }
    let found = f64::from(together.to_scalar::<f32>().unwrap());
    assert!((found - sum / n as f64).abs() < 1e-5, "{found} {}", sum / n as f64);
    let gradients = Gradients::of(&together, &variables).unwrap();
    assert!((0..variables.len()).all(|i| gradients.get(i).is_some()), "every tensor has a gradient");
}

#[test]
fn a_training_that_was_cut_off_goes_on_to_the_same_bits() {
    let (_, base, examples) = small();
    let whole = train(&base, &examples, &[], &params(3), None, &mut unwatched).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut steps = 0;
    let error = train(&base, &examples, &[], &params(3), Some(folder.path()), &mut |_| {
        steps += 1;
        if steps == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(error.unwrap_err().to_string().contains("stopped by the caller"));
    let rest = train(&base, &examples, &[], &params(3), Some(folder.path()), &mut unwatched).unwrap();
    assert_eq!(bits(rest.base()), bits(whole.base()));
    let other = train(&base, &examples[1..], &[], &params(3), Some(folder.path()), &mut unwatched);
    assert!(other.unwrap_err().to_string().contains("another training"));
}

#[test]
fn examples_that_cannot_be_learnt_are_named() {
    let (_, base, examples) = small();
    let of = |example: Example, params: &LoopParams| {
        let error = train(&base, &[examples[0].clone(), example], &[], params, None, &mut unwatched);
        let error = error.unwrap_err();
        (error.to_string(), error.help().is_some())
    };
    let (first, params) = (&examples[0], params(1));
    let (text, _) = of(Example { answer: vec![], ..first.clone() }, &params);
    assert_eq!(text, "the answer of training example 1 has no tokens");
    let (text, helps) = of(Example { prompt: vec![2; 40], ..first.clone() }, &params);
    assert!(text.starts_with("training example 1 has 42 tokens") && helps, "{text}");
    let (text, helps) = of(Example { prompt: vec![9999], ..first.clone() }, &params);
    assert!(text.contains("token 9999") && helps, "{text}");
    let (text, helps) = of(first.clone(), &LoopParams { memory: Some(1), ..params.clone() });
    assert!(text.contains("`memory`") && helps, "{text}");
    let error = train(&base, &[], &[], &params, None, &mut unwatched).unwrap_err();
    assert_eq!(error.to_string(), "there are no examples");
    let odd = SmallParams { width: 10, ..SmallParams::default() };
    assert!(small_decoder(&["x"], &odd).unwrap_err().to_string().contains("`width`"));
}

#[test]
fn an_adapter_learns_what_the_model_did_not_and_goes_into_its_weights() {
    let (tokenizer, base, examples) = small();
    let before = bits(&base);
    let start = base.new_adapter(&adapter_params(), 3).unwrap();
    let trained =
        train_adapter(&base, &start, &examples, &examples, &params(60), None, &mut unwatched).unwrap();
    let last = trained.best_epoch().validation.unwrap();
    assert!(last.loss < 0.7 * trained.history()[0].train_loss, "{last:?}");
    assert_eq!(bits(&base), before, "the model stays as it is");
    let folder = tempfile::tempdir().unwrap();
    let merged = base.merged(trained.adapter()).unwrap();
    let path = folder.path().join("model.gguf");
    crate::gguf::write(&path, &merged, &tokenizer, &crate::gguf::WriteParams::default()).unwrap();
    assert_eq!(bits(&Base::open(&path).unwrap()), bits(&merged));
    let beside = base.model_with(trained.adapter(), &OpenParams::default()).unwrap();
    let within = crate::models::open(&path, &OpenParams::default()).unwrap();
    for example in &examples {
        let logits = |model: &LanguageModel| model.start(&[&example.prompt]).unwrap().remove(0).1;
        let apart = logits(&beside).into_iter().zip(logits(&within)).map(|(a, b)| (a - b).abs());
        assert!(apart.fold(0.0, f32::max) < 1e-4);
    }
}

#[test]
fn a_training_of_an_adapter_that_was_cut_off_goes_on_to_the_same_bits() {
    let (_, base, examples) = small();
    let start = base.new_adapter(&adapter_params(), 3).unwrap();
    let run = |state: Option<&Path>, watch: &mut Watch<'_>| {
        train_adapter(&base, &start, &examples, &[], &params(3), state, watch)
    };
    let values = |trained: &TrainedAdapter| -> Vec<u32> {
        let tensors = trained.adapter().tensors();
        let values = tensors.flat_map(|(_, tensor)| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap());
        values.map(f32::to_bits).collect()
    };
    let whole = values(&run(None, &mut unwatched).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut steps = 0;
    let cut = run(Some(folder.path()), &mut |_| {
        steps += 1;
        if steps == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(cut.unwrap_err().to_string().contains("stopped by the caller"));
    assert_eq!(values(&run(Some(folder.path()), &mut unwatched).unwrap()), whole);
    let other = base.new_adapter(&LoraParams { alpha: 8.0, ..adapter_params() }, 3).unwrap();
    let again = train_adapter(&base, &other, &examples, &[], &params(3), Some(folder.path()), &mut unwatched);
    assert!(again.is_err(), "the state is that of another adapter");
}

/// The numbers of an adapter.
fn numbers(adapter: &LoraAdapter) -> Vec<u32> {
    let tensors = adapter.tensors();
    let values = tensors.flat_map(|(_, tensor)| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap());
    values.map(f32::to_bits).collect()
}

#[test]
fn what_an_adapter_drops_belongs_to_seed_step_and_example() {
    let (_, base, examples) = small();
    let start = |dropout| base.new_adapter(&LoraParams { dropout, ..adapter_params() }, 3).unwrap();
    let run = |dropout, params: &LoopParams, state: Option<&Path>, watch: &mut Watch<'_>| {
        train_adapter(&base, &start(dropout), &examples, &examples, params, state, watch)
    };
    let params = LoopParams { accumulate: 2, ..params(4) };
    let whole = run(0.5, &params, None, &mut unwatched).unwrap();
    let none = run(0.0, &params, None, &mut unwatched).unwrap();
    let tiny = run(1e-6, &params, None, &mut unwatched).unwrap();
    assert_ne!(numbers(whole.adapter()), numbers(none.adapter()));
    assert_eq!(numbers(tiny.adapter()), numbers(none.adapter()), "a rate that rounds to 0 is none");
    assert_eq!(numbers(run(0.5, &params, None, &mut unwatched).unwrap().adapter()), numbers(whole.adapter()));
    let other = LoopParams { seed: params.seed + 1, ..params.clone() };
    assert_ne!(numbers(run(0.5, &other, None, &mut unwatched).unwrap().adapter()), numbers(whole.adapter()));
    assert_eq!(whole.adapter().dropout(), 0.5);

    let folder = tempfile::tempdir().unwrap();
    let mut steps = 0;
    let cut = run(0.5, &params, Some(folder.path()), &mut |_| {
        steps += 1;
        if steps == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(cut.unwrap_err().to_string().contains("stopped by the caller"));
    let rest = run(0.5, &params, Some(folder.path()), &mut unwatched).unwrap();
    assert_eq!(numbers(rest.adapter()), numbers(whole.adapter()), "a training that was cut off");
    assert!(
        run(0.25, &params, Some(folder.path()), &mut unwatched).is_err(),
        "the state is of another dropout"
    );
}

#[test]
fn dropout_moves_the_loss_of_training_alone_and_does_not_depend_on_company() {
    let (_, base, examples) = small();
    let of: Vec<&Example> = examples.iter().collect();
    // Adapters that have learnt something: new ones add nothing yet.
    let model_of = |dropout: f64| {
        let start = base.new_adapter(&LoraParams { dropout, ..adapter_params() }, 3).unwrap();
        let trained =
            train_adapter(&base, &start, &examples, &[], &params(10), None, &mut unwatched).unwrap();
        base.model_with(trained.adapter(), &OpenParams::default()).unwrap()
    };
    let (plain, dropping) = (model_of(0.0), model_of(0.3));
    let value = |x: Tensor| f64::from(x.to_scalar::<f32>().unwrap());
    let step = |step: u64| TrainingStep::new(7, step, (0..of.len() as u64).collect::<Vec<u64>>());
    let none = value(loss(&plain, &of).unwrap());
    assert_eq!(value(loss::loss_with(&plain, &of, Some(&step(0))).unwrap()), none);
    let without = value(loss(&dropping, &of).unwrap());
    let losses: Vec<f64> =
        (0..200).map(|i| value(loss::loss_with(&dropping, &of, Some(&step(i))).unwrap())).collect();
    let mean = losses.iter().sum::<f64>() / 200.0;
    let spread = (losses.iter().map(|loss| (loss - mean).powi(2)).sum::<f64>() / 199.0).sqrt();
    assert!(spread > 1e-4, "{spread}");
    // Losses bend, so their mean need not be the loss of the mean; it is near.
    assert!((mean - without).abs() < 5.0 * spread, "{mean} with {spread}, {without} without");
    // One example alone drops what it drops in company.
    let alone = |item: usize| {
        let step = TrainingStep::new(7, 3, vec![item as u64]);
        value(loss::loss_with(&dropping, &[&examples[item]], Some(&step)).unwrap())
    };
    let n_tokens: usize = examples.iter().map(|example| example.answer.len()).sum();
    let together = value(loss::loss_with(&dropping, &of, Some(&step(3))).unwrap()) * n_tokens as f64;
    let apart: f64 = (0..examples.len()).map(|item| alone(item) * examples[item].answer.len() as f64).sum();
    assert!((together - apart).abs() < 1e-4 * together, "{together} and {apart}");
}
