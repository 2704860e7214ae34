//! Decoders: every layer, the logits, and what is generated.

use std::path::Path;

use candle_core::{Device, Tensor};
use sc_fm::nn::gemm::Precision;
use sc_llm::decode::generate::GenerateParams;
use sc_llm::models::{LanguageModel, OpenParams, State, open, open_files};

use crate::support::{Folder, close, folders, ids, same_bits, values};

const DECODERS: [&str; 4] = ["gpt_neo", "opt", "phi", "qwen2"];

pub(super) fn decoders() -> Vec<Folder> {
    folders(|architecture| DECODERS.contains(&architecture))
}

pub(super) fn slices(texts: &[Vec<u32>]) -> Vec<&[u32]> {
    texts.iter().map(Vec::as_slice).collect()
}

/// Logits of whole texts through the caches.
pub(super) fn logits(model: &LanguageModel, texts: &[Vec<u32>]) -> Vec<Tensor> {
    let mut states: Vec<State> = texts.iter().map(|_| model.empty()).collect();
    let all = model.all_logits(&mut states, &slices(texts)).unwrap();
    let tensor = |logits: ndarray::Array2<f32>| {
        let shape = logits.dim();
        Tensor::from_vec(logits.into_raw_vec_and_offset().0, shape, &Device::Cpu).unwrap()
    };
    all.into_iter().map(tensor).collect()
}

pub(super) fn last(x: &Tensor, n: usize) -> Tensor {
    x.narrow(0, x.dim(0).unwrap() - n, n).unwrap()
}

/// Compares logits of texts with those of the right-padded batch.
pub(super) fn compare(folder: &Folder, what: &str, found: &[Tensor], absolute: f32, relative: f32) {
    let what = format!("{} {what}", folder.name());
    close(&format!("{what}, text 0"), &found[0], &folder.io.floats("right.logits_row0"), absolute, relative);
    let names = folder.io.names();
    let mut n_compared = 0;
    for (row, found) in found.iter().enumerate().skip(1) {
        let prefix = format!("right.logits_row{row}_last");
        for name in names.iter().filter(|name| name.starts_with(&prefix)) {
            let expected = folder.io.floats(name);
            let found = last(found, expected.dim(0).unwrap());
            close(&format!("{what}, text {row}"), &found, &expected, absolute, relative);
            n_compared += 1;
        }
    }
    let of_ends = |name: &&String| name.starts_with("right.logits_row") && name.contains("_last");
    assert_eq!(n_compared, names.iter().filter(of_ends).count(), "{what}");
}

#[test]
fn every_layer_and_the_logits_are_those_of_the_reference_with_either_configuration() {
    for folder in decoders() {
        let texts = folder.texts("right.input_ids", "right.attention_mask");
        for config in folder.configs() {
            let model = open_files(&config, &folder.path, &OpenParams::default()).unwrap();
            let what = format!("{} {}", folder.name(), config.file_name().unwrap().to_string_lossy());
            let n = texts[0].len();
            let mut blocks = 0;
            let hidden = model.hidden(&slices(&texts), &mut |layer, states| {
                let expected = folder.io.floats(&format!("right.hidden_row0.block.{layer}"));
                let found = states.narrow(0, 0, n).unwrap();
                close(&format!("{what}, block {layer}"), &found, &expected, 2e-4, 1e-4);
                blocks += 1;
            });
            let hidden = hidden.unwrap();
            let n_blocks = folder.io.names().iter().filter(|name| name.contains("row0.block.")).count();
            assert_eq!(blocks, n_blocks, "{what}");
            // Where OPT projects what it has normed, that comes after.
            let config = folder.json("config.json");
            let is_projected = config["word_embed_proj_dim"].is_u64()
                && config["word_embed_proj_dim"] != config["hidden_size"];
            if folder.io.has("right.hidden_row0.final_norm") && !is_projected {
                let expected = folder.io.floats("right.hidden_row0.final_norm");
                let found = hidden.narrow(0, 0, n).unwrap();
                close(&format!("{what}, final norm"), &found, &expected, 2e-4, 1e-4);
            }
            let through_caches = logits(&model, &texts);
            compare(&folder, &what, &through_caches, 2e-4, 1e-4);
            let whole = model.logits_of(&hidden).unwrap();
            let through_caches: Vec<f32> = through_caches.iter().flat_map(values).collect();
            same_bits(&format!("{what}: with and without a cache"), &through_caches, &values(&whole));
        }
    }
}

#[test]
fn padding_on_the_left_is_no_part_of_a_text() {
    for folder in decoders().into_iter().filter(|folder| folder.io.has("left.input_ids")) {
        let model = open(&folder.path, &OpenParams::default()).unwrap();
        let found = logits(&model, &folder.texts("left.input_ids", "left.attention_mask"));
        let expected = folder.io.floats("left.logits_last8");
        for (row, found) in found.iter().enumerate() {
            let expected = expected.get(row).unwrap();
            let found = last(found, expected.dim(0).unwrap());
            close(&format!("{} text {row}", folder.name()), &found, &expected, 2e-4, 1e-4);
        }
    }
}

#[test]
fn other_files_of_the_same_weights_give_the_same_bits() {
    for folder in decoders() {
        let texts = folder.texts("right.input_ids", "right.attention_mask");
        let of = |weights: &Path| {
            let model =
                open_files(&folder.path.join("config.json"), weights, &OpenParams::default()).unwrap();
            logits(&model, &texts).iter().flat_map(values).collect::<Vec<f32>>()
        };
        let expected = of(&folder.path);
        for name in ["pytorch_model.bin", "model_mixformer.safetensors"] {
            let path = folder.path.join(name);
            if path.is_file() {
                same_bits(&format!("{} {name}", folder.name()), &of(&path), &expected);
            }
        }
    }
}

#[test]
fn bits_do_not_depend_on_company_chunks_and_threads() {
    for folder in decoders() {
        let model = open(&folder.path, &OpenParams::default()).unwrap();
        let texts = folder.texts("right.input_ids", "right.attention_mask");
        let together: Vec<Vec<f32>> = logits(&model, &texts).iter().map(values).collect();
        for (row, text) in texts.iter().enumerate() {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(row + 1).build().unwrap();
            for size in [1, 7, text.len().max(2) - 1] {
                let mut states = [model.empty()];
                let chunks = text.chunks(size).flat_map(|chunk| {
                    let logits = pool.install(|| model.all_logits(&mut states, &[chunk])).unwrap();
                    logits.into_iter().flatten().collect::<Vec<f32>>()
                });
                let what = format!("{} text {row} in chunks of {size}", folder.name());
                same_bits(&what, &chunks.collect::<Vec<f32>>(), &together[row]);
            }
        }
        // One prefix for all, and a token taken back.
        let (start, end) = texts[0].split_at(texts[0].len().min(18) / 2);
        let (mut prefix, _) = model.start(&[start]).unwrap().remove(0);
        let n = model.read(std::slice::from_mut(&mut prefix), &[&[1]]).unwrap()[0].len();
        prefix.truncate(start.len()).unwrap();
        let mut forks = vec![prefix.clone(), prefix.clone(), prefix];
        let ends = [&end[..1], &end[..end.len().min(5)], end];
        let found = model.read(&mut forks, &ends).unwrap();
        for (found, end) in found.iter().zip(ends) {
            let at = (start.len() + end.len() - 1) * n;
            same_bits(&format!("{} forks", folder.name()), found, &together[0][at..at + n]);
        }
    }
}

#[test]
fn logits_of_some_tokens_have_the_bits_of_all() {
    for folder in decoders() {
        let model = open(&folder.path, &OpenParams::default()).unwrap();
        let text = &folder.texts("right.input_ids", "right.attention_mask")[0];
        let (_, all) = model.start(&[text]).unwrap().remove(0);
        let tokens = [5, 0, model.vocab_size() as u32 - 1, 5];
        let vocabulary = model.vocabulary_of(&tokens).unwrap();
        let some = model.read_for(&mut [model.empty()], &[text], &vocabulary).unwrap().remove(0);
        same_bits(&folder.name(), &some, &tokens.map(|token| all[token as usize]));
    }
}

#[test]
fn greedy_texts_are_those_of_the_reference() {
    for folder in decoders() {
        let model = open(&folder.path, &OpenParams::default()).unwrap();
        let expected = folder.json("expected.json");
        let prompts: Vec<Vec<u32>> = expected["prompt_ids"].as_array().unwrap().iter().map(ids).collect();
        let generated = |prompt: &[u32], n, repetition_penalty| {
            let params =
                GenerateParams { max_new_tokens: n, repetition_penalty, ..GenerateParams::default() };
            model.generate(prompt, &params, 0).unwrap().tokens
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
    for folder in decoders().into_iter().filter(|folder| folder.io.has("right.logits_bf16_row0")) {
        let text = folder.texts("right.input_ids", "right.attention_mask").remove(0);
        let exact = folder.io.floats("right.logits_row0");
        let drift = |x: &Tensor| {
            let squares = (x - &exact).unwrap().sqr().unwrap().mean_all().unwrap();
            squares.to_scalar::<f32>().unwrap().sqrt()
        };
        let reference = drift(&folder.io.floats("right.logits_bf16_row0"));
        for (precision, allowed) in [(Precision::Bf16, 2.0 * reference), (Precision::F16, 0.5 * reference)] {
            let model = open(&folder.path, &OpenParams { precision, ..OpenParams::default() }).unwrap();
            let found = drift(&logits(&model, std::slice::from_ref(&text))[0]);
            assert!(
                0.0 < found && found <= allowed,
                "{} {precision:?}: {found} against {allowed}",
                folder.name()
            );
        }
    }
}

#[test]
fn what_a_model_cannot_read_is_named() {
    let folder = decoders().remove(0);
    let model = open(&folder.path, &OpenParams::default()).unwrap();
    let limit = model.max_positions().unwrap();
    let message = |texts: &[&[u32]]| model.start(texts).unwrap_err();
    let error = message(&[&[1], &vec![1; limit + 1]]);
    let expected = format!("text 1 has {} tokens, but the model reads {limit} at most", limit + 1);
    assert!(error.to_string() == expected && error.help().is_some(), "{error}");
    let error = message(&[&[1, 2], &[]]);
    assert!(error.to_string() == "text 1 has no tokens" && error.help().is_some(), "{error}");
    let n = model.vocab_size();
    let error = message(&[&[1, n as u32]]);
    assert_eq!(error.to_string(), format!("token 1 of text 0 is {n}, but the model has {n} tokens"));
    assert!(error.help().is_some());
    let error = model.read(&mut [model.empty()], &[&[1], &[2]]).unwrap_err();
    assert_eq!(error.to_string(), "2 texts go on, expected 1");
    let (mut state, _) = model.start(&[&vec![1; limit][..]]).unwrap().remove(0);
    let error = model.read(std::slice::from_mut(&mut state), &[&[1]]).unwrap_err();
    assert_eq!(error.to_string(), expected.replace("text 1", "text 0"));
}

#[test]
fn an_unknown_architecture_names_the_known_ones() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), r#"{"model_type": "mamba"}"#).unwrap();
    let error = open(folder.path(), &OpenParams::default()).unwrap_err();
    assert!(error.to_string().contains(r#""mamba", expected one of gpt_neo, opt, "#), "{error}");
    assert!(error.help().is_some());
    std::fs::write(folder.path().join("config.json"), r#"{"model_type": "opt"}"#).unwrap();
    let error = open(folder.path(), &OpenParams::default()).unwrap_err();
    assert!(error.to_string().ends_with("config.json is no configuration of OPT"), "{error}");
}

#[test]
fn weights_that_overflow_end_in_an_error_that_names_the_place() {
    let folder = decoders().remove(0);
    let config = sc_llm::models::Config::read(&folder.path.join("config.json")).unwrap();
    let weights = sc_fm::checkpoint::Weights::open(&folder.path).unwrap();
    let spoiled = weights.names().map(str::to_owned).collect::<Vec<_>>();
    let mut weights = weights;
    let spoiled = spoiled.into_iter().map(|name| {
        let shape = weights.shape(&name).unwrap().to_vec();
        let tensor = weights.take(&name, &shape).unwrap();
        let factor = if name.contains("embed_tokens") || name.contains("wte") { f64::NAN } else { 1.0 };
        (name, (tensor * factor).unwrap())
    });
    let weights = sc_fm::checkpoint::Weights::new(spoiled);
    let model = LanguageModel::new(&config, weights, &OpenParams::default()).unwrap();
    let error = model.start(&[&[3, 4, 5]]).unwrap_err();
    assert!(error.to_string().starts_with("the logits after 3 tokens of text 0 are no numbers"), "{error}");
    assert!(error.help().is_some());
}
