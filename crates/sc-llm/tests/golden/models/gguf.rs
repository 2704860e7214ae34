//! Models in GGUF files: those of other files to the bit, and those of llama.cpp.

use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};
use sc_fm::checkpoint::gguf::{Gguf, Kind, NewTensor, Value, write as write_file};
use sc_fm::checkpoint::write_safetensors;
use sc_fm::nn::gemm::Precision;
use sc_llm::decode::generate::GenerateParams;
use sc_llm::gguf::{WriteParams, write};
use sc_llm::models::{LanguageModel, OpenParams, open};
use sc_llm::sft::Base;
use sc_llm::tokenizer::Tokenizer;

use crate::support::{Folder, folders, same_bits};

/// Writes the model of a folder as a GGUF file.
fn written(folder: &Folder, kind: Kind) -> (tempfile::TempDir, PathBuf) {
    let to = tempfile::tempdir().unwrap();
    let path = to.path().join("model.gguf");
    let base = Base::open(&folder.path).unwrap();
    let has_own_head = base.tensors().any(|(name, _)| name == "lm_head.weight");
    match folder.architecture().as_str() {
        "t5" if has_own_head => {
            let file = folder.path.join("tokenizer.json");
            let mut json: serde_json::Value = match std::fs::read(file) {
                Ok(text) => serde_json::from_slice(&text).unwrap(),
                Err(_) => serde_json::json!({
                    "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"},
                    "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["▁", -1.0]]},
                }),
            };
            // llama.cpp has tables of characters instead.
            json["normalizer"].take();
            let tokenizer = Tokenizer::from_json(json.to_string().as_bytes()).unwrap();
            write(&path, &base, &tokenizer, &WriteParams { kind, ..WriteParams::default() }).unwrap();
            assert_eq!(Tokenizer::open(&path).unwrap().special(), tokenizer.special());
        }
        "t5" => write_t5(&path, &base),
        _ => {
            let tokenizer = match folder.path.join("tokenizer.json").is_file() {
                true => Tokenizer::open(&folder.path).unwrap(),
                false => Tokenizer::of_words(&["a word"], 260).unwrap(),
            };
            write(&path, &base, &tokenizer, &WriteParams { kind, ..WriteParams::default() }).unwrap();
        }
    }
    (to, path)
}

/// A T5 under the names that llama.cpp has.
fn write_t5(path: &Path, base: &Base) {
    let config = base.config();
    let is_gated = config["feed_forward_proj"] == "gated-gelu";
    let size = |field: &str| Value::U32(config[field].as_u64().unwrap() as u32);
    let metadata = [
        ("general.architecture", Value::String("t5".to_owned())),
        ("t5.embedding_length", size("d_model")),
        ("t5.feed_forward_length", size("d_ff")),
        ("t5.block_count", size("num_layers")),
        ("t5.decoder_block_count", size("num_decoder_layers")),
        ("t5.attention.head_count", size("num_heads")),
        ("t5.attention.key_length", size("d_kv")),
        ("t5.attention.value_length", size("d_kv")),
        ("t5.attention.relative_buckets_count", size("relative_attention_num_buckets")),
        (
            "t5.attention.layer_norm_rms_epsilon",
            Value::F32(config["layer_norm_epsilon"].as_f64().unwrap() as f32),
        ),
        ("t5.decoder_start_token_id", size("decoder_start_token_id")),
    ];
    let name = |name: &str| {
        let (module, kind) = name.rsplit_once('.').unwrap();
        let up = if is_gated { "DenseReluDense.wi_1" } else { "DenseReluDense.wi" };
        let last = if name.starts_with("decoder") { "layer.2" } else { "layer.1" };
        let renamed = match module {
            "shared" => "token_embd".to_owned(),
            "lm_head" => "output".to_owned(),
            _ => module
                .replace("encoder.block", "enc.blk")
                .replace("decoder.block", "dec.blk")
                .replace("encoder.final_layer_norm", "enc.output_norm")
                .replace("decoder.final_layer_norm", "dec.output_norm")
                .replace("layer.0.SelfAttention.relative_attention_bias", "attn_rel_b")
                .replace("layer.0.SelfAttention.", "attn_")
                .replace("layer.0.layer_norm", "attn_norm")
                .replace("layer.1.EncDecAttention.", "cross_attn_")
                .replace(&format!("{last}.layer_norm"), "ffn_norm")
                .replace("layer.1.layer_norm", "cross_attn_norm")
                .replace(&format!("{last}.DenseReluDense.wi_0"), "ffn_gate")
                .replace(&format!("{last}.{up}"), "ffn_up")
                .replace(&format!("{last}.DenseReluDense.wo"), "ffn_down"),
        };
        format!("{renamed}.{kind}")
    };
    let values: Vec<(String, Vec<usize>, Vec<f32>)> = base
        .tensors()
        .map(|(own, tensor)| (name(own), tensor.dims().to_vec(), crate::support::values(tensor)))
        .collect();
    let tensors = values
        .iter()
        .map(|(name, shape, values)| NewTensor::of(name.clone(), shape, Kind::F32, values).unwrap());
    write_file(path, &metadata, tensors.collect(), false).unwrap();
}

/// The logits of a folder's texts, one after another.
fn logits(folder: &Folder, model: &LanguageModel) -> Vec<f32> {
    let texts = folder.texts("right.input_ids", "right.attention_mask");
    let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    let all = match model.answer_start() {
        None => model.all_logits(&mut vec![model.empty(); texts.len()], &texts),
        Some(_) => {
            let answers = folder.io.ids("right.decoder_input_ids");
            let answers: Vec<&[u32]> = answers.iter().map(Vec::as_slice).collect();
            model.all_logits(&mut model.encode(&texts).unwrap(), &answers)
        }
    };
    all.unwrap().into_iter().flatten().collect()
}

/// The models that such a file can say; it has no word for other functions, windows, or norms of queries and keys.
fn models() -> Vec<Folder> {
    let mut all = folders(|architecture| ["qwen2", "phi", "t5"].contains(&architecture));
    all.retain(|folder| {
        let config = folder.json("config.json");
        let function = match folder.architecture().as_str() {
            "qwen2" => "silu",
            "phi" => "gelu_new",
            _ => return true,
        };
        config["hidden_act"] == function
            && config["use_sliding_window"] != true
            && config["qk_layernorm"] != true
    });
    all
}

#[test]
fn models_in_gguf_files_have_the_bits_of_those_in_folders() {
    // Files do not say the distance from which on all tokens are equally far: it is that of every published T5.
    let is_usual = |folder: &Folder| {
        let most = &folder.json("config.json")["relative_attention_max_distance"];
        most.is_null() || most == 128
    };
    for folder in models().into_iter().filter(is_usual) {
        let (_folder, path) = written(&folder, Kind::F32);
        let of = |path: &Path| logits(&folder, &open(path, &OpenParams::default()).unwrap());
        same_bits(&folder.name(), &of(&path), &of(&folder.path));
    }
}

#[test]
fn a_fused_projection_of_a_phi_is_split() {
    for folder in models().into_iter().filter(|folder| folder.architecture() == "phi") {
        let (to, path) = written(&folder, Kind::F32);
        let file = Gguf::open(&path).unwrap();
        let metadata: Vec<(&str, Value)> =
            file.metadata().iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        let mut values: Vec<(String, Vec<usize>, Vec<f32>)> = Vec::new();
        for tensor in file.tensors() {
            let (name, all) = (tensor.name().to_owned(), file.values(tensor.name()).unwrap());
            if name.contains("attn_k.") || name.contains("attn_v.") {
                continue;
            }
            if !name.contains("attn_q.") {
                values.push((name, tensor.shape().to_vec(), all));
                continue;
            }
            let parts = ["q", "k", "v"].map(|part| name.replace("attn_q", &format!("attn_{part}")));
            let mut shape = tensor.shape().to_vec();
            shape[0] = parts.iter().map(|part| file.tensor(part).unwrap().shape()[0]).sum();
            let all = parts.iter().flat_map(|part| file.values(part).unwrap()).collect();
            values.push((name.replace("attn_q", "attn_qkv"), shape, all));
        }
        let tensors = values
            .iter()
            .map(|(name, shape, values)| NewTensor::of(name.clone(), shape, Kind::F32, values).unwrap());
        let fused = to.path().join("fused.gguf");
        write_file(&fused, &metadata, tensors.collect(), false).unwrap();
        for trainable in [false, true] {
            let params = OpenParams { trainable, ..OpenParams::default() };
            let of = |path: &Path| logits(&folder, &open(path, &params).unwrap());
            same_bits(&folder.name(), &of(&fused), &of(&folder.path));
        }
    }
}

#[test]
fn halves_in_either_kind_of_file_are_the_numbers_that_they_stand_for() {
    let in_gguf: Vec<String> = models().iter().map(Folder::name).collect();
    for folder in folders(|_| true) {
        let base = Base::open(&folder.path).unwrap();
        let kinds = [(DType::F16, Kind::F16), (DType::BF16, Kind::BF16)];
        for (dtype, kind) in kinds {
            // All tensors, and the matrices alone as in GGUF files.
            for all in [true, false] {
                let half: Vec<(&str, Tensor)> = base
                    .tensors()
                    .map(|(name, tensor)| match all || tensor.rank() == 2 {
                        true => (name, tensor.to_dtype(dtype).unwrap()),
                        false => (name, tensor.clone()),
                    })
                    .collect();
                let tensors = half
                    .iter()
                    .map(|(name, tensor)| ((*name).to_owned(), tensor.to_dtype(DType::F32).unwrap()));
                let rounded = Base::new(base.config().clone(), tensors).unwrap();
                let expected = logits(&folder, &rounded.model(&OpenParams::default()).unwrap());
                let what = format!("{} {dtype:?}", folder.name());
                let to = tempfile::tempdir().unwrap();
                std::fs::copy(folder.path.join("config.json"), to.path().join("config.json")).unwrap();
                let tensors = half.iter().map(|(name, tensor)| (*name, tensor));
                write_safetensors(to.path().join("model.safetensors"), tensors, &[], false).unwrap();
                for trainable in [false, true] {
                    let params = OpenParams { trainable, ..OpenParams::default() };
                    let found = logits(&folder, &open(to.path(), &params).unwrap());
                    same_bits(&format!("{what}, trainable {trainable}"), &found, &expected);
                }
                assert_eq!(Base::open(to.path()).unwrap().n_parameters(), base.n_parameters());
                // Held as they are stored, halves give what the numbers that they stand for give in f32.
                let held = |precision| OpenParams { precision, ..OpenParams::default() };
                let exact = logits(&folder, &rounded.model(&held(Precision::F32)).unwrap());
                let as_stored = |path: &Path| logits(&folder, &open(path, &held(Precision::F16)).unwrap());
                if dtype == DType::F16 {
                    same_bits(&format!("{what}, held so"), &as_stored(to.path()), &exact);
                }
                if !all && folder.architecture() != "t5" && in_gguf.contains(&folder.name()) {
                    let (_folder, path) = written(&folder, kind);
                    let found = logits(&folder, &open(&path, &OpenParams::default()).unwrap());
                    same_bits(&format!("{what} in a GGUF file"), &found, &expected);
                    if dtype == DType::F16 {
                        same_bits(&format!("{what} in a GGUF file, held so"), &as_stored(&path), &exact);
                    }
                }
            }
        }
    }
}

/// What llama.cpp computes from a file that it quantised itself.
#[test]
fn a_file_that_llama_cpp_quantised_gives_its_logits_and_its_text() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gguf");
    let expected: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
    for case in expected.as_array().unwrap() {
        let path = folder.join(case["file"].as_str().unwrap());
        let kinds: Vec<&str> =
            Gguf::open(&path).unwrap().tensors().iter().map(|tensor| tensor.kind().name()).collect();
        for kind in case["kinds"].as_array().unwrap() {
            assert!(kinds.contains(&kind.as_str().unwrap()), "{}: {kinds:?}", path.display());
        }
        let tokenizer = Tokenizer::open(&path).unwrap();
        let prompt = crate::support::ids(&case["prompt_ids"]);
        assert_eq!(tokenizer.encode(case["prompt"].as_str().unwrap(), true).unwrap(), prompt);
        let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
        // In blocks, where both sides round what they multiply, each in its way; and the values that blocks stand for.
        for (logits, greedy, trainable, limit) in
            [("logits", "greedy", false, 0.05), ("exact_logits", "exact_greedy", true, 1e-5)]
        {
            let what = format!("{} {logits}", path.display());
            let model = open(&path, &OpenParams { trainable, ..OpenParams::default() }).unwrap();
            let (_, found) = model.start(&[&prompt]).unwrap().remove(0);
            let expected = case[logits].as_array().unwrap().iter().map(|logit| logit.as_f64().unwrap());
            let expected: Vec<f64> = expected.collect();
            assert_eq!(found.len(), expected.len(), "{what}");
            let apart = norm(&mut found.iter().zip(&expected).map(|(a, b)| f64::from(*a) - b));
            let size = norm(&mut expected.iter().copied());
            assert!(apart <= limit * size, "{what} differ by {:e} of their norm", apart / size);
            // A model of random weights goes another way after the first close call.
            let greedy = crate::support::ids(&case[greedy]);
            let same = if trainable { greedy.len() } else { 1 };
            let params = GenerateParams { max_new_tokens: same, ..GenerateParams::default() };
            assert_eq!(model.generate(&prompt, &params, 0).unwrap().tokens, greedy[..same], "{what}");
        }
    }
}

/// A T5 as llama.cpp's converter writes it: the same tokens, logits and text, and again after it was written here.
#[test]
fn a_t5_with_its_tokeniser_in_the_file_answers_as_in_llama_cpp() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gguf");
    let expected: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("t5_expected.json")).unwrap()).unwrap();
    let path = folder.join(expected["file"].as_str().unwrap());
    let to = tempfile::tempdir().unwrap();
    let again = to.path().join("again.gguf");
    let tokenizer = Tokenizer::from_gguf(&Gguf::open(&path).unwrap()).unwrap();
    write(&again, &Base::open(&path).unwrap(), &tokenizer, &WriteParams::default()).unwrap();
    // Without the whole `tokenizer.json`, which this crate alone reads.
    let lists = to.path().join("lists.gguf");
    let file = Gguf::open(&again).unwrap();
    let metadata = file.metadata().iter().filter(|(key, _)| *key != "tokenizer.huggingface.json");
    let metadata: Vec<(&str, Value)> = metadata.map(|(key, value)| (key.as_str(), value.clone())).collect();
    let values: Vec<_> = file.tensors().iter().map(|tensor| file.values(tensor.name()).unwrap()).collect();
    let tensors = file.tensors().iter().zip(&values);
    let tensors =
        tensors.map(|(tensor, values)| NewTensor::of(tensor.name(), tensor.shape(), Kind::F32, values));
    write_file(&lists, &metadata, tensors.map(Result::unwrap).collect(), false).unwrap();
    for path in [path, again, lists] {
        let what = path.display().to_string();
        let file = Gguf::open(&path).unwrap();
        let tokenizer = Tokenizer::from_gguf(&file).unwrap();
        let special = tokenizer.special();
        assert_eq!((&special.after, &special.eos, special.pad), (&vec![1], &vec![1], Some(0)), "{what}");
        assert_eq!((special.unk, special.bos), (Some(2), None), "{what}");
        // Rows behind the last token are no tokens.
        let n_rows = file.tensor("token_embd.weight").unwrap().shape()[0];
        assert!(tokenizer.n_tokens() < n_rows, "{what}: {}", tokenizer.n_tokens());
        for case in expected["cases"].as_array().unwrap() {
            let text = case["text"].as_str().unwrap();
            assert_eq!(
                tokenizer.encode(text, true).unwrap(),
                crate::support::ids(&case["ids"]),
                "{what}: {text:?}"
            );
        }
        let model = open(&path, &OpenParams::default()).unwrap();
        let prompt = crate::support::ids(&expected["prompt_ids"]);
        let (_, found) = model.start(&[&prompt]).unwrap().remove(0);
        let logits = expected["logits"].as_array().unwrap().iter().map(|logit| logit.as_f64().unwrap());
        let logits: Vec<f64> = logits.collect();
        assert_eq!(found.len(), logits.len(), "{what}");
        let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
        let apart = norm(&mut found.iter().zip(&logits).map(|(a, b)| f64::from(*a) - b));
        let size = norm(&mut logits.iter().copied());
        // llama.cpp looks up GELU in a table of 16 bits.
        assert!(apart <= 1e-3 * size, "{what}: logits differ by {:e} of their norm", apart / size);
        let greedy = crate::support::ids(&expected["greedy"]);
        let params = GenerateParams { max_new_tokens: greedy.len(), ..GenerateParams::default() };
        assert_eq!(model.generate(&prompt, &params, 0).unwrap().tokens, greedy, "{what}");
    }
}
