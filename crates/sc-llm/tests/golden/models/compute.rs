//! Models that do not compute with the kernels of the processor: the operations of a GPU on the processor, and on a GPU
//! where a build with the feature `cuda` finds one.

use candle_core::Tensor;
use sc_fm::nn::gemm::Precision;
use sc_llm::decode::generate::GenerateParams;
use sc_llm::decode::trie::Trie;
use sc_llm::models::{Compute, LanguageModel, OpenParams, Scoring, Side, open, open_with_adapter};

use super::decoders::{self, compare, decoders, last, slices};
use super::{lora, t5};
use crate::places;
use crate::support::{Folder, close, folders, ids, values};

/// Where models compute here, besides the processor.
fn elsewhere() -> Vec<OpenParams> {
    let mut all = vec![Compute::Portable];
    match Compute::Cuda(0).device() {
        Ok(_) => all.push(Compute::Cuda(0)),
        Err(error) => eprintln!("left out: {error}"),
    }
    all.into_iter().map(|compute| OpenParams { compute, ..OpenParams::default() }).collect()
}

fn opened(folder: &Folder, params: &OpenParams) -> (LanguageModel, String) {
    let model = open(&folder.path, params).unwrap();
    assert_eq!(model.compute(), params.compute);
    (model, format!("{} {}", folder.name(), params.compute))
}

/// The largest difference of two tensors.
fn distance(found: &Tensor, expected: &Tensor) -> f32 {
    let (found, expected) = (values(found), values(expected));
    found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn local(x: &Tensor) -> Tensor {
    x.to_device(&candle_core::Device::Cpu).unwrap()
}

#[test]
fn every_layer_and_the_logits_of_decoders_are_those_of_the_reference() {
    for params in elsewhere() {
        for folder in decoders() {
            let (model, what) = opened(&folder, &params);
            let texts = folder.texts("right.input_ids", "right.attention_mask");
            let n = texts[0].len();
            let hidden = model.hidden(&slices(&texts), &mut |layer, states| {
                let expected = folder.io.floats(&format!("right.hidden_row0.block.{layer}"));
                let found = local(&states.narrow(0, 0, n).unwrap());
                close(&format!("{what}, block {layer}"), &found, &expected, 2e-4, 1e-4);
            });
            let hidden = hidden.unwrap();
            let through_caches = decoders::logits(&model, &texts);
            compare(&folder, &what, &through_caches, 2e-4, 1e-4);
            let whole = local(&model.logits_of(&hidden).unwrap());
            let through_caches = Tensor::cat(&through_caches, 0).unwrap();
            close(&format!("{what}, with and without a cache"), &through_caches, &whole, 1e-4, 1e-4);
            if folder.io.has("left.input_ids") {
                let found = decoders::logits(&model, &folder.texts("left.input_ids", "left.attention_mask"));
                let expected = folder.io.floats("left.logits_last8");
                for (row, found) in found.iter().enumerate() {
                    let expected = expected.get(row).unwrap();
                    let found = last(found, expected.dim(0).unwrap());
                    close(&format!("{what}, left, text {row}"), &found, &expected, 2e-4, 1e-4);
                }
            }
        }
    }
}

#[test]
fn every_layer_and_the_logits_of_encoders_and_decoders_are_those_of_the_reference() {
    for params in elsewhere() {
        for folder in t5::models() {
            let (model, what) = opened(&folder, &params);
            let prompts = folder.texts("right.input_ids", "right.attention_mask");
            let answers = folder.io.ids("right.decoder_input_ids");
            let mut inspect = |side: Side, layer: usize, states: &Tensor| {
                let (side, rows) = match side {
                    Side::Encoder => ("encoder", prompts[0].len()),
                    Side::Decoder => ("decoder", answers[0].len()),
                };
                let block = format!("right.hidden_row0.{side}.block.{layer}");
                if folder.io.has(&block) {
                    let found = local(&states.narrow(0, 0, rows).unwrap());
                    close(&format!("{what} {block}"), &found, &folder.io.floats(&block), 2e-4, 1e-4);
                }
            };
            let hidden = model.hidden_of_answers(&slices(&prompts), &slices(&answers), &mut inspect);
            let whole = local(&model.logits_of(&hidden.unwrap()).unwrap());
            let stepped = Tensor::cat(&t5::logits(&model, &prompts, &answers), 0).unwrap();
            close(&format!("{what}, with and without a cache"), &stepped, &whole, 1e-4, 1e-4);
            for side in ["right", "left"] {
                if !folder.io.has(&format!("{side}.logits")) {
                    continue;
                }
                let prompts = folder.texts(&format!("{side}.input_ids"), &format!("{side}.attention_mask"));
                let answers = folder.io.ids(&format!("{side}.decoder_input_ids"));
                let expected = folder.io.floats(&format!("{side}.logits"));
                // Rounding grows in a model with random weights: the kernels of the processor have some of it too.
                let here =
                    t5::logits(&open(&folder.path, &OpenParams::default()).unwrap(), &prompts, &answers);
                for (row, found) in t5::logits(&model, &prompts, &answers).iter().enumerate() {
                    let expected = expected.get(row).unwrap();
                    let limit = 2e-4_f32.max(4.0 * distance(&here[row], &expected));
                    close(&format!("{what} {side}, {row}"), found, &expected, limit, 1e-4);
                }
            }
        }
    }
}

#[test]
fn texts_in_chunks_and_forks_are_those_read_at_once() {
    for params in elsewhere() {
        for folder in decoders() {
            let (model, what) = opened(&folder, &params);
            let texts = folder.texts("right.input_ids", "right.attention_mask");
            let together = decoders::logits(&model, &texts);
            let n = model.vocab_size();
            for size in [1, 7] {
                let mut states: Vec<_> = texts.iter().map(|_| model.empty()).collect();
                let mut found = vec![Vec::new(); texts.len()];
                let longest = texts.iter().map(Vec::len).max().unwrap();
                for start in (0..longest).step_by(size) {
                    // Those that go on, together.
                    let (mut going, mut next, mut rows) = (Vec::new(), Vec::new(), Vec::new());
                    for (row, text) in texts.iter().enumerate().filter(|(_, text)| text.len() > start) {
                        going.push(states[row].clone());
                        next.push(&text[start..text.len().min(start + size)]);
                        rows.push(row);
                    }
                    let logits = model.all_logits(&mut going, &next).unwrap();
                    for ((row, state), logits) in rows.into_iter().zip(going).zip(logits) {
                        found[row].extend(logits);
                        states[row] = state;
                    }
                }
                for (row, (found, text)) in found.into_iter().zip(&texts).enumerate() {
                    let found = Tensor::from_vec(found, (text.len(), n), &candle_core::Device::Cpu).unwrap();
                    close(&format!("{what} text {row} by {size}"), &found, &together[row], 1e-4, 1e-4);
                }
            }
            // One prefix for all, and a token taken back.
            let (start, end) = texts[0].split_at(texts[0].len().min(18) / 2);
            let (mut prefix, _) = model.start(&[start]).unwrap().remove(0);
            model.read(std::slice::from_mut(&mut prefix), &[&[1]]).unwrap();
            prefix.truncate(start.len()).unwrap();
            let mut forks = vec![prefix.clone(), prefix.clone(), prefix];
            let ends = [&end[..1], &end[..end.len().min(5)], end];
            for (found, end) in model.read(&mut forks, &ends).unwrap().into_iter().zip(ends) {
                let found = Tensor::from_vec(found, n, &candle_core::Device::Cpu).unwrap();
                let expected = together[0].get(start.len() + end.len() - 1).unwrap();
                close(&format!("{what} forks"), &found, &expected, 1e-4, 1e-4);
            }
        }
    }
}

#[test]
fn greedy_texts_are_those_of_the_reference() {
    for params in elsewhere() {
        for folder in folders(|_| true) {
            let (model, what) = opened(&folder, &params);
            let expected = folder.json("expected.json");
            let prompts: Vec<Vec<u32>> = expected["prompt_ids"].as_array().unwrap().iter().map(ids).collect();
            let greedy = expected["greedy"].as_array().unwrap();
            assert_eq!(prompts.len(), greedy.len(), "{what}");
            for (row, (prompt, greedy)) in prompts.iter().zip(greedy).enumerate() {
                // The reference counts the token that begins an answer.
                let start: Vec<u32> = model.answer_start().into_iter().collect();
                let greedy = ids(greedy);
                let max_new_tokens = greedy.len() - start.len();
                let params = GenerateParams { max_new_tokens, ..GenerateParams::default() };
                let found = model.generate(prompt, &params, 0).unwrap().tokens;
                assert_eq!([start, found].concat(), greedy, "{what} text {row}");
            }
        }
    }
}

#[test]
fn scores_of_labels_agree_in_every_way_of_asking() {
    for params in elsewhere() {
        for folder in folders(|_| true) {
            let (model, what) = opened(&folder, &params);
            let (expected, scores) = (folder.json("expected.json"), folder.json("label_scores.json"));
            let labels: Vec<Vec<u32>> =
                scores["label_token_ids"].as_array().unwrap().iter().map(ids).collect();
            let trie = Trie::new(&labels, scores["eos"].as_u64().unwrap() as u32).unwrap();
            let prompts = expected["prompt_ids"].as_array().unwrap().iter().map(ids);
            for (row, (prompt, scores)) in prompts.zip(scores["prompts"].as_array().unwrap()).enumerate() {
                let (state, logits) = model.start(&[&prompt]).unwrap().remove(0);
                // Label by label is slow here.
                let ways = [Scoring::Tree, Scoring::Batched, Scoring::Serial];
                for scoring in ways.into_iter().take(if row == 0 { 3 } else { 1 }) {
                    let found =
                        model.label_scores(&state, &logits, &trie, model.vocab_size(), scoring).unwrap();
                    for (label, found) in found.log_prob.iter().enumerate() {
                        let expected = scores["sum_with_eos"][label].as_f64().unwrap();
                        assert!(
                            (found - expected).abs() <= 5e-4 + 1e-4 * expected.abs(),
                            "{what} text {row}, label {label}, {scoring:?}: {found}, expected {expected}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn bf16_drifts_no_further_than_twice_the_reference_and_f16_half_as_far() {
    let precisions = [(Precision::Bf16, 2.0), (Precision::F16, 0.5)];
    for (params, (precision, times)) in
        elsewhere().into_iter().flat_map(|params| precisions.map(|precision| (params.clone(), precision)))
    {
        let params = OpenParams { precision, ..params };
        for folder in folders(|_| true).into_iter().filter(|folder| folder.io.has("right.logits_bf16_row0")) {
            let (model, what) = opened(&folder, &params);
            let text = folder.texts("right.input_ids", "right.attention_mask").remove(0);
            let (found, exact) = match model.answer_start() {
                None => (decoders::logits(&model, &[text]), folder.io.floats("right.logits_row0")),
                Some(_) => {
                    let answer = folder.io.ids("right.decoder_input_ids").remove(0);
                    let exact = folder.io.floats("right.logits").get(0).unwrap();
                    (t5::logits(&model, &[text], &[answer]), exact)
                }
            };
            let drift = |x: &Tensor| {
                let squares = (x - &exact).unwrap().sqr().unwrap().mean_all().unwrap();
                squares.to_scalar::<f32>().unwrap().sqrt()
            };
            let allowed = times * drift(&folder.io.floats("right.logits_bf16_row0"));
            let found = drift(&found[0]);
            assert!(0.0 < found && found <= allowed, "{what} {precision:?}: {found} against {allowed}");
        }
    }
}

#[test]
fn logits_with_an_adapter_are_those_of_the_reference() {
    for params in elsewhere() {
        for folder in lora::adapted() {
            let expected = folder.io.floats("lora.right.logits_row0");
            // Logits of random weights with a large adapter are large.
            let largest = values(&expected).iter().fold(0_f32, |largest, logit| largest.max(logit.abs()));
            let logits = |params: &OpenParams| {
                let model = open_with_adapter(&folder.path, folder.path.join("lora"), params).unwrap();
                lora::logits(&folder, &model)
            };
            let here = distance(&logits(&OpenParams::default()), &expected);
            let limit = 2e-4_f32.max(1e-4 * largest).max(4.0 * here);
            close(&format!("{} {}", folder.name(), params.compute), &logits(&params), &expected, limit, 1e-4);
        }
    }
}

#[test]
fn weights_in_blocks_become_numbers() {
    let entries = std::fs::read_dir(places::kept("gguf").unwrap()).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    let mut n_files = 0;
    for file in files.filter(|path| path.extension().is_some_and(|ending| ending == "gguf")) {
        // What can be trained is held in f32 on the processor too.
        let plain = open(&file, &OpenParams { trainable: true, ..OpenParams::default() }).unwrap();
        let text = [3, 1, 4, 1, 5, 9, 2, 6];
        let start = |model: &LanguageModel| {
            let logits = model.start(&[&text]).unwrap().remove(0).1;
            Tensor::new(logits, &candle_core::Device::Cpu).unwrap()
        };
        for params in elsewhere() {
            let found = start(&open(&file, &params).unwrap());
            close(&file.display().to_string(), &found, &start(&plain), 2e-4, 1e-4);
        }
        n_files += 1;
    }
    assert!(n_files > 0, "there are files with blocks");
}

#[test]
fn what_is_for_the_processor_alone_is_refused_with_advice() {
    let folder = decoders().remove(0);
    let refused = |params: OpenParams| {
        let error = open(&folder.path, &params).unwrap_err();
        assert!(error.help().is_some(), "{error}");
        error.to_string()
    };
    let portable = OpenParams { compute: Compute::Portable, ..OpenParams::default() };
    for precision in [Precision::Q8_0, Precision::Q4_K] {
        let message = refused(OpenParams { precision, ..portable.clone() });
        assert!(message.contains("are multiplied on the processor alone"), "{message}");
    }
    let message = refused(OpenParams { trainable: true, ..portable });
    assert!(message.contains("a model is trained on the processor alone"), "{message}");
    let message = refused(OpenParams { compute: Compute::Cuda(1 << 10), ..OpenParams::default() });
    assert!(message.starts_with("GPU 1024 "), "{message}");
}

#[test]
fn a_text_belongs_to_where_it_was_begun() {
    let folder = decoders().remove(0);
    let on = |compute| open(&folder.path, &OpenParams { compute, ..OpenParams::default() }).unwrap();
    let (mut state, _) = on(Compute::Cpu).start(&[&[3, 4, 5]]).unwrap().remove(0);
    let error = on(Compute::Portable).read(std::slice::from_mut(&mut state), &[&[6]]).unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    assert!(source.to_string().contains("read elsewhere"), "{source}");
}
