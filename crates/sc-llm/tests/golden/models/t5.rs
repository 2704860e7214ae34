//! T5: every layer of both sides, the logits, what is generated, scores of labels and gradients.

use candle_core::{Device, Tensor};
use sc_fm::nn::cross_entropy;
use sc_fm::nn::gemm::Precision;
use sc_llm::decode::generate::GenerateParams;
use sc_llm::models::{LanguageModel, OpenParams, Side, open, open_files};

use super::gradients;
use crate::support::{Folder, close, folders, ids, same_bits, values};

pub(super) fn models() -> Vec<Folder> {
    folders(|architecture| architecture == "t5")
}

fn slices(texts: &[Vec<u32>]) -> Vec<&[u32]> {
    texts.iter().map(Vec::as_slice).collect()
}

/// Logits of whole answers through the caches.
pub(super) fn logits(model: &LanguageModel, prompts: &[Vec<u32>], answers: &[Vec<u32>]) -> Vec<Tensor> {
    let mut states = model.encode(&slices(prompts)).unwrap();
    let all = model.all_logits(&mut states, &slices(answers)).unwrap();
    let tensor = |logits: ndarray::Array2<f32>| {
        let shape = logits.dim();
        Tensor::from_vec(logits.into_raw_vec_and_offset().0, shape, &Device::Cpu).unwrap()
    };
    all.into_iter().map(tensor).collect()
}

#[test]
fn logits_beyond_the_ninth_token_are_those_of_the_reference_with_either_configuration() {
    for folder in models() {
        for config in folder.configs() {
            let model = open_files(&config, &folder.path, &OpenParams::default()).unwrap();
            for side in ["right", "left"] {
                if !folder.io.has(&format!("{side}.logits")) {
                    continue;
                }
                let prompts = folder.texts(&format!("{side}.input_ids"), &format!("{side}.attention_mask"));
                let answers = folder.io.ids(&format!("{side}.decoder_input_ids"));
                assert!(answers[0].len() > 9);
                let expected = folder.io.floats(&format!("{side}.logits"));
                for (row, found) in logits(&model, &prompts, &answers).iter().enumerate() {
                    let what = format!("{} {side}, text {row}", folder.name());
                    close(&what, found, &expected.get(row).unwrap(), 2e-4, 1e-4);
                }
            }
        }
    }
}

#[test]
fn every_layer_of_both_sides_is_that_of_the_reference() {
    for folder in models() {
        let model = open(&folder.path, &OpenParams::default()).unwrap();
        let prompts = folder.texts("right.input_ids", "right.attention_mask");
        let answers = folder.io.ids("right.decoder_input_ids");
        let mut n = 0;
        let mut inspect = |side: Side, layer: usize, states: &Tensor| {
            let (side, rows) = match side {
                Side::Encoder => ("encoder", prompts[0].len()),
                Side::Decoder => ("decoder", answers[0].len()),
            };
            let block = format!("right.hidden_row0.{side}.block.{layer}");
            let name = match folder.io.has(&block) {
                true => block,
                false => format!("right.hidden_row0.{side}.final_norm"),
            };
            let found = states.narrow(0, 0, rows).unwrap();
            close(&format!("{} {name}", folder.name()), &found, &folder.io.floats(&name), 2e-4, 1e-4);
            n += 1;
        };
        let hidden = model.hidden_of_answers(&slices(&prompts), &slices(&answers), &mut inspect).unwrap();
        assert_eq!(n, folder.io.names().iter().filter(|name| name.contains("hidden_row0")).count());
        // The plain attention that gradients are computed of, and the one with caches.
        let whole = model.logits_of(&hidden).unwrap();
        let stepped = Tensor::cat(&logits(&model, &prompts, &answers), 0).unwrap();
        close(&folder.name(), &stepped, &whole, 1e-4, 1e-4);
    }
}

#[test]
fn bits_do_not_depend_on_company_and_steps() {
    for folder in models() {
        let model = open(&folder.path, &OpenParams::default()).unwrap();
        let prompts = folder.texts("right.input_ids", "right.attention_mask");
        let answers = folder.io.ids("right.decoder_input_ids");
        let together = logits(&model, &prompts, &answers);
        for (row, (prompt, answer)) in prompts.iter().zip(&answers).enumerate() {
            let mut states = model.encode(&[prompt]).unwrap();
            let steps =
                answer.iter().flat_map(|token| model.read(&mut states, &[&[*token]]).unwrap().remove(0));
            let what = format!("{} text {row}", folder.name());
            same_bits(&what, &steps.collect::<Vec<f32>>(), &values(&together[row]));
        }
    }
}

#[test]
fn greedy_answers_are_those_of_the_reference() {
    for folder in models() {
        let model = open(&folder.path, &OpenParams::default()).unwrap();
        let expected = folder.json("expected.json");
        let prompts: Vec<Vec<u32>> = expected["prompt_ids"].as_array().unwrap().iter().map(ids).collect();
        // The reference counts the token that begins an answer.
        let generated = |prompt: &[u32], n: usize, repetition_penalty| {
            let params =
                GenerateParams { max_new_tokens: n - 1, repetition_penalty, ..GenerateParams::default() };
            let answer = model.generate(prompt, &params, 0).unwrap().tokens;
            model.answer_start().into_iter().chain(answer).collect::<Vec<u32>>()
        };
        let greedy = expected["greedy"].as_array().unwrap();
        assert_eq!(prompts.len(), greedy.len(), "{}", folder.name());
        for (row, (prompt, greedy)) in prompts.iter().zip(greedy).enumerate() {
            let greedy = ids(greedy);
            assert_eq!(generated(prompt, greedy.len(), 1.0), greedy, "{} text {row}", folder.name());
        }
        let penalised = ids(&expected["greedy_repetition_penalty_1.1_prompt0"]);
        assert_eq!(generated(&prompts[0], penalised.len(), 1.1), penalised, "{}", folder.name());
    }
}

#[test]
fn bf16_drifts_no_further_than_twice_the_reference_and_f16_half_as_far() {
    for folder in models().into_iter().filter(|folder| folder.io.has("right.logits_bf16_row0")) {
        let prompts = folder.texts("right.input_ids", "right.attention_mask");
        let answers = folder.io.ids("right.decoder_input_ids");
        let exact = folder.io.floats("right.logits").get(0).unwrap();
        let drift = |x: &Tensor| {
            let squares = (x - &exact).unwrap().sqr().unwrap().mean_all().unwrap();
            squares.to_scalar::<f32>().unwrap().sqrt()
        };
        let reference = drift(&folder.io.floats("right.logits_bf16_row0"));
        for (precision, allowed) in [(Precision::Bf16, 2.0 * reference), (Precision::F16, 0.5 * reference)] {
            let model = open(&folder.path, &OpenParams { precision, ..OpenParams::default() }).unwrap();
            let found = drift(&logits(&model, &prompts[..1], &answers[..1])[0]);
            assert!(
                0.0 < found && found <= allowed,
                "{} {precision:?}: {found} against {allowed}",
                folder.name()
            );
        }
    }
}

#[test]
fn gradients_by_every_weight_are_those_of_the_reference() {
    for folder in models().into_iter().filter(|folder| folder.path.join("sft_grads.safetensors").is_file()) {
        let variables = gradients::variables(&folder);
        let model = gradients::trainable(&folder, &variables);
        let prompts = folder.texts("sft.input_ids", "sft.attention_mask");
        let labels = gradients::labels(&folder);
        let answers: Vec<Vec<u32>> = labels
            .iter()
            .map(|labels| {
                let before = labels[..labels.len() - 1].iter().map(|label| label.unwrap_or(0));
                model.answer_start().into_iter().chain(before).collect()
            })
            .collect();
        let hidden =
            model.hidden_of_answers(&slices(&prompts), &slices(&answers), &mut |_, _, _| {}).unwrap();
        let loss = cross_entropy(&model.logits_of(&hidden).unwrap(), &labels.concat()).unwrap();
        gradients::compare(&folder, &loss, &variables);
    }
}

#[test]
fn an_answer_needs_a_prompt_and_a_decoder_has_no_encoder() {
    let folder = models().remove(0);
    let model = open(&folder.path, &OpenParams::default()).unwrap();
    let error = model.read(&mut [model.empty()], &[&[1]]).unwrap_err();
    assert!(error.to_string().starts_with("text 0 answers no prompt"), "{error}");
    assert!(error.help().is_some());
    let decoder = super::decoders::decoders().remove(0);
    let error = open(&decoder.path, &OpenParams::default()).unwrap().encode(&[&[1]]).unwrap_err();
    assert!(error.to_string().ends_with("has no encoder"), "{error}");
}
