use candle_core::Tensor;
use sc_fm::checkpoint::gguf::{Array, Kind, NewTensor, write as write_file};
use sc_fm::nn::gemm::{BlockFormat, Precision};

use super::tokens::{CONTROL, NORMAL, UNUSED, USER_DEFINED};
use super::*;
use crate::chat::{Chat, Message, Role};
use crate::models::{OpenParams, open as open_model};
use crate::sft::{Base, SmallParams, small_decoder};
use crate::tokenizer::Tokenizer;

const TEXTS: [&str; 2] = ["Genes: CD3D, CD3E, MS4A1\nAnswer:", " T cell\n B cell\n"];

fn small(width: usize) -> (Tokenizer, Base) {
    let params = SmallParams { n_layers: 2, width, n_heads: 4, max_positions: 64, ..SmallParams::default() };
    small_decoder(&TEXTS, &params).unwrap()
}

fn bits(model: &crate::models::LanguageModel, text: &[u32]) -> Vec<u32> {
    let logits = model.all_logits(&mut [model.empty()], &[text]).unwrap();
    logits[0].iter().map(|logit| logit.to_bits()).collect()
}

/// A file of metadata and one tensor.
fn file_of(folder: &Path, metadata: &[(&str, Value)]) -> PathBuf {
    let path = folder.join("model.gguf");
    let values = [0.0; 32];
    let tensors = vec![NewTensor::of("token_embd.weight", &[8, 4], Kind::F32, &values).unwrap()];
    write_file(&path, metadata, tensors, true).unwrap();
    path
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

#[test]
fn a_model_in_blocks_has_the_bits_of_one_that_is_rounded_to_blocks_when_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    for (kind, precision, width) in [
        (Kind::F32, Precision::F32, 64),
        (Kind::Blocks(BlockFormat::Q8_0), Precision::Q8_0, 64),
        (Kind::Blocks(BlockFormat::Q4_K), Precision::Q4_K, 256),
    ] {
        let (tokenizer, base) = small(width);
        let path = folder.path().join(format!("{}.gguf", kind.name()));
        write(&path, &base, &tokenizer, &WriteParams { kind, ..WriteParams::default() }).unwrap();
        let ids = tokenizer.encode(TEXTS[0], true).unwrap();
        let expected = base.model(&OpenParams { precision, ..OpenParams::default() }).unwrap();
        // What is in blocks stays so.
        let asked = if kind == Kind::F32 { precision } else { Precision::default() };
        let found = open_model(&path, &OpenParams { precision: asked, ..OpenParams::default() }).unwrap();
        assert_eq!(bits(&found, &ids), bits(&expected, &ids), "{}", kind.name());
        assert_eq!(found.max_positions(), Some(64));
        assert_eq!(found.report().renamed.len(), base.tensors().count());
        // The values that blocks stand for, to be trained on.
        let again = Base::open(&path).unwrap();
        assert_eq!(again.n_parameters(), base.n_parameters());
        if kind == Kind::F32 {
            for ((name, a), (other, b)) in base.tensors().zip(again.tensors()) {
                let values = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                assert!(name == other && values(a) == values(b), "{name}");
            }
        }
        let trainable = OpenParams { trainable: true, precision: Precision::F32, ..OpenParams::default() };
        let by_values = bits(&again.model(&trainable).unwrap(), &ids);
        assert_eq!(bits(&open_model(&path, &trainable).unwrap(), &ids), by_values, "{}", kind.name());
    }
    let error = open_model(folder.path(), &OpenParams::default()).unwrap_err();
    assert!(error.to_string().contains("3 GGUF files: F32.gguf, Q4_K.gguf, Q8_0.gguf"), "{error}");
    assert_eq!(error.help(), Some("name the file itself"));
}

#[test]
fn a_folder_means_its_file_unless_there_are_other_weights() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(find(folder.path()).unwrap(), None);
    std::fs::write(folder.path().join("tokenizer.json"), "{}").unwrap();
    let path = folder.path().join("a.GGUF");
    std::fs::write(&path, "").unwrap();
    assert_eq!(find(folder.path()).unwrap(), Some(path.clone()));
    assert_eq!(find(&path).unwrap(), Some(path));
    std::fs::write(folder.path().join("model.safetensors"), "").unwrap();
    assert_eq!(find(folder.path()).unwrap(), None);
    assert_eq!(folder_of(Path::new("a.gguf")), Path::new("."));
}

#[test]
fn tokeniser_and_template_come_out_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let (tokenizer, base) = small(64);
    let params = WriteParams {
        chat_template: Some("{{ messages[0]['content'] }}{{ eos_token }}".to_owned()),
        name: Some("small".to_owned()),
        ..WriteParams::default()
    };
    let path = folder.path().join("model.gguf");
    write(&path, &base, &tokenizer, &params).unwrap();
    let again = Tokenizer::open(folder.path()).unwrap();
    // Words that are not among the tokens are spelled in bytes, as before.
    for text in [TEXTS[0], " CD3DX γδ", ""] {
        assert_eq!(again.encode(text, true).unwrap(), tokenizer.encode(text, true).unwrap(), "{text}");
    }
    assert_eq!(again.special().eos, tokenizer.special().eos);
    assert_eq!(again.special().pad, tokenizer.special().pad);
    let rendered = |path: &Path| {
        let chat = Chat::open(path).unwrap().expect("it has a template");
        chat.render(&[Message::new(Role::User, "CD3E?")], true).unwrap()
    };
    assert_eq!(rendered(&path), "CD3E?<|endoftext|>");
    // What lies beside the file comes first.
    std::fs::write(folder.path().join("chat_template.jinja"), "{{ messages[0]['role'] }}").unwrap();
    assert_eq!(rendered(&path), "user");
    Tokenizer::of_words(&["x y"], 300).unwrap().save(folder.path()).unwrap();
    assert_eq!(Tokenizer::open(&path).unwrap().n_tokens(), 259, "that of the file beside it");

    let error = write(&path, &base, &tokenizer, &params).unwrap_err();
    assert!(error.to_string().contains("model.gguf"), "{error}");
}

#[test]
fn the_lists_of_tokens_alone_make_the_same_tokeniser() {
    let folder = tempfile::tempdir().unwrap();
    let letters = ["Ġ", "a", "b", "Ġa", "Ġab", "1", "2", "12"];
    let added = ["<|endoftext|>", "<|im_end|>", "  "];
    let tokens: Vec<String> = letters.iter().chain(&added).map(|token| (*token).to_owned()).collect();
    let types = [vec![NORMAL; letters.len()], vec![CONTROL, CONTROL, USER_DEFINED, UNUSED]].concat();
    let metadata = |pre: &str| {
        [
            (ARCHITECTURE, text("qwen2")),
            (tokens::MODEL, text("gpt2")),
            (tokens::PRE, text(pre)),
            (tokens::TOKENS, Value::Array(Array::String([&tokens[..], &["[PAD]".to_owned()]].concat()))),
            (tokens::TYPES, Value::Array(Array::I32(types.clone()))),
            (tokens::MERGES, Value::Array(Array::String(["Ġ a", "Ġa b", "1 2"].map(str::to_owned).to_vec()))),
            (tokens::EOS, Value::U32(8)),
            (tokens::BOS, Value::U32(8)),
            (tokens::ADD_BOS, Value::Bool(pre != "qwen2")),
        ]
    };
    let path = file_of(folder.path(), &metadata("phi-2"));
    let tokenizer = Tokenizer::open(&path).unwrap();
    assert_eq!(tokenizer.encode(" ab12  <|im_end|>", true).unwrap(), [8, 4, 7, 10, 9]);
    assert_eq!(tokenizer.special().eos, [8, 9], "the file's own first");
    assert_eq!((tokenizer.n_tokens(), tokenizer.token(11)), (11, None), "tokens that are not used are none");
    let path = file_of(folder.path(), &metadata("qwen2"));
    let tokenizer = Tokenizer::open(&path).unwrap();
    assert_eq!(tokenizer.encode("a12", true).unwrap(), [1, 5, 6], "digits stand alone");

    for (pre, key) in [("llama-bpe", "pre"), ("", "pre")] {
        let error = Tokenizer::open(file_of(folder.path(), &metadata(pre))).unwrap_err();
        let expected = format!("tokenizer.ggml.{key} is {pre:?}, expected gpt-2, phi-2 or qwen2");
        assert!(error.to_string().ends_with(&expected), "{error}");
        assert_eq!(error.help(), Some("put the model's tokenizer.json beside the file"));
    }
    let mut other = metadata("qwen2");
    other[1].1 = text("bert");
    let error = Tokenizer::open(file_of(folder.path(), &other)).unwrap_err();
    assert!(error.to_string().contains(r#"tokenizer.ggml.model is "bert", expected gpt2"#), "{error}");
    let mut other = metadata("qwen2");
    other[6].1 = Value::U32(11);
    let error = Tokenizer::open(file_of(folder.path(), &other)).unwrap_err();
    assert!(error.to_string().contains("token 11 is not one of the 11 tokens"), "{error}");
    let mut other = metadata("qwen2");
    other[4].1 = Value::Array(Array::I32(vec![NORMAL]));
    let error = Tokenizer::open(file_of(folder.path(), &other)).unwrap_err();
    assert!(error.to_string().contains("expected a number of 32 bits for each of 12 tokens"), "{error}");
}

/// The metadata of a small SentencePiece model, and its scores and types.
fn pieces() -> Vec<(&'static str, Value)> {
    let tokens = ["<pad>", "</s>", "<unk>", "▁", "▁T", "a", "b", "ab", "<x>", "[PAD9]"];
    let types = vec![3, 3, 2, 1, 1, 1, 1, 1, USER_DEFINED, UNUSED];
    let scores = vec![0.0, 0.0, 0.0, -2.0, -3.0, -4.0, -4.0, -5.0, -1000.0, -1000.0];
    vec![
        (ARCHITECTURE, text("t5")),
        (tokens::MODEL, text("t5")),
        (tokens::TOKENS, Value::Array(Array::String(tokens.map(str::to_owned).to_vec()))),
        (tokens::TYPES, Value::Array(Array::I32(types))),
        ("tokenizer.ggml.scores", Value::Array(Array::F32(scores))),
        ("tokenizer.ggml.add_space_prefix", Value::Bool(true)),
        ("tokenizer.ggml.remove_extra_whitespaces", Value::Bool(false)),
    ]
}

#[test]
fn pieces_with_scores_make_a_tokeniser() {
    let folder = tempfile::tempdir().unwrap();
    let ids = |metadata: &[(&str, Value)], text: &str| {
        let tokenizer = Tokenizer::open(file_of(folder.path(), metadata)).unwrap();
        assert_eq!((tokenizer.n_tokens(), tokenizer.special().unk), (9, Some(2)));
        tokenizer.encode(text, true).unwrap()
    };
    let mut metadata = pieces();
    // Ends by itself; spaces are kept, and one put in front.
    assert_eq!(ids(&metadata, "Tab"), [4, 7, 1]);
    assert_eq!(ids(&metadata, "T  Tγb <x>"), [4, 3, 4, 2, 6, 3, 8, 1]);
    metadata[6].1 = Value::Bool(true);
    assert_eq!(ids(&metadata, "  T  Tb "), [4, 4, 6, 1]);
    metadata[5].1 = Value::Bool(false);
    assert_eq!(ids(&metadata, "ab ab"), [7, 3, 7, 1]);
    metadata.push((tokens::ADD_EOS, Value::Bool(false)));
    assert_eq!(ids(&metadata, "ab"), [7]);
    // A piece with a space inside is found as any other.
    let Value::Array(Array::String(texts)) = &mut metadata[2].1 else { panic!() };
    texts[7] = "b▁a".to_owned();
    assert_eq!(ids(&metadata, "ab ab"), [5, 7, 6]);
}

#[test]
fn bytes_stand_in_for_what_is_no_piece() {
    let folder = tempfile::tempdir().unwrap();
    let mut metadata = pieces();
    let bytes = (0..=255).map(|byte| format!("<0x{byte:02X}>"));
    let first = ["<pad>", "</s>", "<unk>", "▁", "a"].map(str::to_owned);
    let all: Vec<String> = first.into_iter().chain(bytes).collect();
    metadata[4].1 = Value::Array(Array::F32(vec![-1.0; all.len()]));
    metadata[3].1 = Value::Array(Array::I32([vec![3, 3, 2, 1, 1], vec![6; 256]].concat()));
    metadata[2].1 = Value::Array(Array::String(all));
    let tokenizer = Tokenizer::open(file_of(folder.path(), &metadata)).unwrap();
    let ids = tokenizer.encode("aγ a", true).unwrap();
    assert_eq!(ids, [3, 4, 5 + 0xCE, 5 + 0xB3, 3, 4, 1]);
    assert_eq!(tokenizer.decode(&ids, true).unwrap(), "aγ a");
}

#[test]
fn pieces_that_are_damaged_are_named() {
    let folder = tempfile::tempdir().unwrap();
    type Metadata = Vec<(&'static str, Value)>;
    let message = |change: &dyn Fn(&mut Metadata)| {
        let mut metadata: Metadata = pieces();
        change(&mut metadata);
        Tokenizer::open(file_of(folder.path(), &metadata)).unwrap_err().to_string()
    };
    let error = message(&|metadata| _ = metadata.remove(4));
    assert!(
        error.ends_with("scores is not there, expected a finite number of 32 bits for each of 10 tokens")
    );
    for scores in [vec![0.0; 9], vec![f32::NAN; 10], vec![f32::INFINITY; 10]] {
        let error = message(&|metadata| metadata[4].1 = Value::Array(Array::F32(scores.clone())));
        assert!(error.contains("scores is something else, expected a finite number"), "{error}");
    }
    let table = |table: Value| {
        message(&|metadata| metadata.push(("tokenizer.ggml.precompiled_charsmap", table.clone())))
    };
    assert!(table(Value::U8(1)).contains("precompiled_charsmap is something else, expected a list of bytes"));
    for bytes in [vec![1, 0, 0], vec![8, 0, 0, 0, 1, 2], vec![4, 0, 0, 0, 255, 255, 255, 255, 0xff, 0xfe]] {
        let error = table(Value::Array(Array::U8(bytes)));
        assert!(error.contains("precompiled_charsmap") || error.contains("model.gguf"), "{error}");
    }
    let error = message(&|metadata| metadata.push((tokens::UNK, Value::U32(99))));
    assert!(error.contains("model.unk_id is 99, expected one of the 9 pieces"), "{error}");
    let error = message(&|metadata| metadata.push((tokens::UNK, text("a"))));
    assert!(error.contains("unknown_token_id is no whole number, expected the number of a token"), "{error}");
    let error = message(&|metadata| {
        let Value::Array(Array::String(texts)) = &mut metadata[2].1 else { panic!() };
        texts[5] = "b".to_owned();
    });
    assert!(error.contains("expected each piece once"), "{error}");
    let error = message(&|metadata| metadata[3].1 = Value::Array(Array::I32(vec![UNUSED; 10])));
    assert!(error.contains("expected at least one piece"), "{error}");
}

#[test]
fn metadata_that_make_no_model_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let message = |metadata: &[(&str, Value)]| {
        open_model(file_of(folder.path(), metadata), &OpenParams::default()).unwrap_err()
    };
    let error = message(&[(ARCHITECTURE, text("llama"))]);
    assert!(error.to_string().ends_with(r#"the architecture is "llama", expected one of qwen2, phi2, t5"#));
    assert!(error.help().unwrap().contains("endpoint"));
    let mut metadata = vec![(ARCHITECTURE, text("qwen2"))];
    let error = message(&metadata);
    assert!(error.to_string().ends_with("qwen2.attention.head_count is not there, expected a whole number"));
    for (key, size) in [
        ("qwen2.attention.head_count", 2),
        ("qwen2.embedding_length", 4),
        ("qwen2.feed_forward_length", 4),
        ("qwen2.block_count", 1),
        ("qwen2.context_length", 8),
    ] {
        metadata.push((key, Value::U32(size)));
    }
    let error = message(&metadata);
    assert!(error.to_string().ends_with("layer_norm_rms_epsilon is not there, expected a number"), "{error}");
    metadata.push(("qwen2.attention.layer_norm_rms_epsilon", Value::F32(1e-6)));
    let json = config(&Gguf::open(file_of(folder.path(), &metadata)).unwrap()).unwrap();
    assert_eq!((&json["rms_norm_eps"], &json["tie_word_embeddings"]), (&1e-6.into(), &true.into()));
    // The tensors are looked for then.
    assert!(message(&metadata).to_string().contains("model.layers.0."));
    metadata.push(("qwen2.attention.key_length", Value::U32(3)));
    let error = message(&metadata);
    assert!(error.to_string().ends_with("key_length is 3, expected the 2 columns of a head"), "{error}");
    metadata.pop();
    metadata.push(("qwen2.rope.scaling.type", text("yarn")));
    let error = message(&metadata);
    assert!(error.to_string().contains(r#"qwen2.rope.scaling.type is "yarn", expected none"#), "{error}");
    metadata.push((SPLIT, Value::U16(2)));
    let error = message(&metadata);
    assert!(error.to_string().ends_with("one of 2 parts of a model, expected the whole"), "{error}");
    assert!(error.help().unwrap().contains("--merge"));
}

#[test]
fn what_llama_cpp_does_not_have_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let (tokenizer, base) = small(64);
    let message = |base: &Base, tokenizer: &Tokenizer| {
        write(folder.path().join("model.gguf"), base, tokenizer, &WriteParams::default()).unwrap_err()
    };
    let changed = |key: &str, value: serde_json::Value| {
        let mut config = base.config().clone();
        config[key] = value;
        let tensors = base.tensors().map(|(name, tensor)| (name.to_owned(), tensor.clone()));
        Base::new(config, tensors).unwrap()
    };
    let error = message(&changed("hidden_act", "relu".into()), &tokenizer);
    assert!(error.to_string().contains("`hidden_act` is \"relu\""), "{error}");
    assert!(error.help().unwrap().contains("Base::save"));
    let windowed = changed("use_sliding_window", true.into());
    assert!(message(&windowed, &tokenizer).to_string().contains("`use_sliding_window`"));
    let longer = Tokenizer::of_words(&["more words than the model has rows, for all of them are new"], 400);
    let error = message(&base, &longer.unwrap());
    assert!(error.to_string().contains("the number of tokens"), "{error}");
    let json = br#"{"added_tokens": [], "pre_tokenizer": {"type": "Whitespace"}, "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}"#;
    let error = message(&base, &Tokenizer::from_json(json).unwrap());
    assert!(error.to_string().contains("the pre-tokeniser is"), "{error}");
    let json =
        br#"{"added_tokens": [], "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}}"#;
    let error = message(&base, &Tokenizer::from_json(json).unwrap());
    assert!(error.to_string().contains("expected BPE of bytes"), "{error}");
}

#[test]
fn a_t5_that_llama_cpp_would_compute_in_another_way_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gguf/t5.gguf");
    let (base, tokenizer) = (Base::open(&golden).unwrap(), Tokenizer::open(&golden).unwrap());
    let path = folder.path().join("model.gguf");
    let message = |base: &Base, tokenizer: &Tokenizer| {
        let error = write(&path, base, tokenizer, &WriteParams::default()).unwrap_err();
        assert!(error.help().unwrap().contains("Base::save"), "{error}");
        error.to_string()
    };
    let changed = |key: &str, value: serde_json::Value| {
        let mut config = base.config().clone();
        config[key] = value;
        let tensors = base.tensors().map(|(name, tensor)| (name.to_owned(), tensor.clone()));
        Base::new(config, tensors).unwrap()
    };
    let error = message(&changed("relative_attention_max_distance", 64.into()), &tokenizer);
    assert!(error.contains("`relative_attention_max_distance` is 64"), "{error}");
    let error = message(&changed("feed_forward_proj", "gated-relu".into()), &tokenizer);
    assert!(error.contains("`feed_forward_proj` is \"gated-relu\""), "{error}");
    let error = message(&changed("tie_word_embeddings", true.into()), &tokenizer);
    assert!(error.contains("the head is the embedding, its input scaled"), "{error}");
    let headless = base.tensors().filter(|(name, _)| *name != "lm_head.weight");
    let headless = Base::new(base.config().clone(), headless.map(|(name, x)| (name.to_owned(), x.clone())));
    assert!(message(&headless.unwrap(), &tokenizer).contains("the head is the embedding"));

    let with = |part: &str, value: serde_json::Value| {
        let mut json = tokenizer.whole_json();
        json[part] = value;
        Tokenizer::from_json(json.to_string().as_bytes()).unwrap()
    };
    let error = message(&base, &with("normalizer", serde_json::json!({"type": "NFKC"})));
    assert!(error.contains("the normaliser is {\"type\":\"NFKC\"}"), "{error}");
    let error = message(&base, &with("pre_tokenizer", serde_json::Value::Null));
    assert!(error.contains("the pre-tokeniser is null"), "{error}");
    let mut model = tokenizer.whole_json()["model"].take();
    model["byte_fallback"] = true.into();
    assert!(message(&base, &with("model", model)).contains("`byte_fallback` is true"));
    let (of_words, qwen2) = small(64);
    assert!(message(&base, &of_words).contains("expected Unigram, the tokeniser of a T5"));
    assert!(message(&qwen2, &tokenizer).contains("expected BPE of bytes"));
    // Steps that others write for the same.
    let metaspace = serde_json::json!({"type": "Metaspace", "replacement": "▁", "add_prefix_space": true});
    let steps =
        serde_json::json!({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]});
    let params = WriteParams { kind: Kind::Blocks(BlockFormat::Q8_0), ..WriteParams::default() };
    write(&path, &base, &with("pre_tokenizer", steps), &params).unwrap();
    let file = Gguf::open(&path).unwrap();
    for key in ["add_space_prefix", "remove_extra_whitespaces"] {
        assert_eq!(file.get(&format!("tokenizer.ggml.{key}")), Some(&Value::Bool(true)), "{key}");
    }
    // Biases of distances stay as they are.
    assert_eq!(file.tensor("enc.blk.0.attn_rel_b.weight").unwrap().kind(), Kind::F32);
    assert_eq!(file.tensor("enc.blk.0.attn_q.weight").unwrap().kind(), params.kind);
    assert!(open_model(&path, &OpenParams::default()).is_ok());
}
