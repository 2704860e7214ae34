//! SentencePiece models inside GGUF files: the tokens of the same model's `tokenizer.json`.

use std::path::Path;

use sc_fm::checkpoint::gguf::{Array, Gguf, Kind, NewTensor, Value, write};
use sc_llm::tokenizer::Tokenizer;

use crate::labels::cell_ontology;
use crate::{Case, read, support};

const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const UNUSED: i32 = 5;

fn base64(text: &str) -> Vec<u8> {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = text.trim_end_matches('=').chars().flat_map(|c| {
        let six = alphabet.find(c).unwrap();
        (0..6).rev().map(move |bit| (six >> bit & 1) as u8)
    });
    let bits: Vec<u8> = bits.collect();
    bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |byte, bit| byte << 1 | bit)).collect()
}

/// A file with the tokeniser of a `tokenizer.json`, as llama.cpp's converter makes one of the SentencePiece model.
fn in_gguf(json: &serde_json::Value, path: &Path, n_rows: usize) {
    let vocab = json["model"]["vocab"].as_array().unwrap();
    let unk = json["model"]["unk_id"].as_u64().unwrap();
    let added: Vec<u64> =
        json["added_tokens"].as_array().unwrap().iter().map(|token| token["id"].as_u64().unwrap()).collect();
    let (mut texts, mut types, mut scores) = (Vec::new(), Vec::new(), Vec::new());
    for id in 0..n_rows as u64 {
        let piece = vocab.get(id as usize);
        let kind = match piece {
            None => UNUSED,
            Some(_) if id == unk => UNKNOWN,
            Some(_) if added.contains(&id) => CONTROL,
            Some(_) => NORMAL,
        };
        types.push(kind);
        texts.push(piece.map_or_else(|| format!("[PAD{id}]"), |piece| piece[0].as_str().unwrap().to_owned()));
        scores.push(piece.map_or(-1000.0, |piece| piece[1].as_f64().unwrap() as f32));
    }
    let text = |text: &str| Value::String(text.to_owned());
    let mut metadata = vec![
        ("general.architecture", text("t5")),
        ("tokenizer.ggml.model", text("t5")),
        ("tokenizer.ggml.pre", text("default")),
        ("tokenizer.ggml.tokens", Value::Array(Array::String(texts))),
        ("tokenizer.ggml.scores", Value::Array(Array::F32(scores))),
        ("tokenizer.ggml.token_type", Value::Array(Array::I32(types))),
        ("tokenizer.ggml.add_space_prefix", Value::Bool(true)),
        ("tokenizer.ggml.remove_extra_whitespaces", Value::Bool(true)),
        ("tokenizer.ggml.eos_token_id", Value::U32(1)),
        ("tokenizer.ggml.unknown_token_id", Value::U32(unk as u32)),
        ("tokenizer.ggml.padding_token_id", Value::U32(0)),
        ("tokenizer.ggml.add_eos_token", Value::Bool(true)),
    ];
    if let Some(table) = json["normalizer"]["precompiled_charsmap"].as_str() {
        // The other of the two types that files have.
        let table = base64(table).into_iter().map(|byte| byte as i8).collect();
        metadata.push(("tokenizer.ggml.precompiled_charsmap", Value::Array(Array::I8(table))));
    }
    let tensor = NewTensor::of("token_embd.weight", &[1], Kind::F32, &[0.0]).unwrap();
    write(path, &metadata, vec![tensor], true).unwrap();
}

/// Both tokenisers of a folder.
fn both(folder: &Path) -> (Tokenizer, Tokenizer) {
    let json: serde_json::Value = read(&folder.join("tokenizer.json"));
    let to = tempfile::tempdir().unwrap();
    let path = to.path().join("model.gguf");
    let n_pieces = json["model"]["vocab"].as_array().unwrap().len();
    in_gguf(&json, &path, n_pieces + 28);
    let found = Tokenizer::from_gguf(&Gguf::open(&path).unwrap()).unwrap();
    assert_eq!(found.n_tokens(), n_pieces);
    (found, Tokenizer::open(folder).unwrap())
}

fn same(found: &Tokenizer, expected: &Tokenizer, text: &str) {
    for special in [false, true] {
        let (found, expected) =
            (found.encode(text, special).unwrap(), expected.encode(text, special).unwrap());
        assert_eq!(found, expected, "{text:?}");
    }
    let ids = expected.encode(text, true).unwrap();
    assert_eq!(found.decode(&ids, true).unwrap(), expected.decode(&ids, true).unwrap(), "{text:?}");
}

#[test]
fn the_published_t5_has_the_same_tokens_in_a_gguf_file() {
    let Some(folder) = support::data("tokenizers") else { return };
    let (found, expected) = both(&folder.join("t5"));
    assert_eq!(found.special(), expected.special());
    let released: std::collections::BTreeMap<String, Vec<Case>> =
        read(&support::kept("tokenizer").unwrap().join("released.json"));
    for case in released.values().flatten() {
        same(&found, &expected, &case.text);
    }
    for text in ["", " ", "  \n\t ", "a\u{3000}b\u{a0}\u{a0}c", "<extra_id_3> T <extra_id_99>", "１２３ ﬁ ㎏"]
    {
        same(&found, &expected, text);
    }
    for name in cell_ontology().into_iter().flatten() {
        same(&found, &expected, &name);
        same(&found, &expected, &format!("  Answer:  {name} "));
    }
}

#[test]
fn small_sentence_piece_models_have_the_same_tokens_in_a_gguf_file() {
    let mut n_texts = 0;
    for folder in support::kept("tokenizer").into_iter().chain(support::fixtures("llm")) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if !path.join("tokenizer_cases.json").is_file() {
                continue;
            }
            let json: serde_json::Value = read(&path.join("tokenizer.json"));
            if json["model"]["type"] != "Unigram" {
                continue;
            }
            let (found, expected) = both(&path);
            let cases: Vec<Case> = read(&path.join("tokenizer_cases.json"));
            // These have no table of characters, but NFKC, and keep spaces at the ends.
            for case in cases.iter().filter(|case| case.text.is_ascii()) {
                same(&found, &expected, case.text.trim_matches(' '));
                n_texts += 1;
            }
        }
    }
    assert!(n_texts >= 8, "{n_texts} texts");
}
