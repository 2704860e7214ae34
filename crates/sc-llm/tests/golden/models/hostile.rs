//! Damaged and lying models: an error or a model, never a panic and never more memory than the file stands for.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use sc_fm::checkpoint::gguf::Gguf;
use sc_llm::models::{Architecture, LanguageModel, OpenParams, open, open_files};
use sc_llm::tokenizer::Tokenizer;
use serde_json::{Value, json};

use crate::places;
use crate::support::folders;

/// Reads a few tokens, whatever comes of it.
fn use_it(model: &LanguageModel) {
    let mut states = match model.architecture() {
        Architecture::T5 => match model.encode(&[&[1, 2, 3, 2, 1]]) {
            Ok(states) => states,
            Err(_) => return,
        },
        _ => vec![model.empty()],
    };
    _ = model.read(&mut states, &[&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]]);
    _ = model.read(&mut states, &[&[1]]);
}

/// Each value of a configuration in turn, at any depth, replaced by others or left out.
fn changed(config: &Value) -> Vec<(String, Value)> {
    let others = [
        json!(null),
        json!(true),
        json!(false),
        json!(-1),
        json!(0),
        json!(1),
        json!(3),
        json!(1_u64 << 20),
        json!(1_u64 << 40),
        json!(u64::MAX),
        json!(0.3),
        json!(1e300),
        json!("gelu"),
        json!("linear"),
        json!([]),
        json!([["global", "local"], 1_u64 << 40]),
        json!([[["global"], u64::MAX]]),
        json!({}),
        json!({"rope_type": "default", "rope_theta": 1e300, "partial_rotary_factor": 1e300}),
    ];
    let mut all = Vec::new();
    for (name, value) in config.as_object().unwrap() {
        let mut with = |said: String, value: Option<Value>| {
            let mut config = config.clone();
            match value {
                Some(value) => _ = config.as_object_mut().unwrap().insert(name.clone(), value),
                None => _ = config.as_object_mut().unwrap().remove(name),
            }
            all.push((said, config));
        };
        with(format!("without {name}"), None);
        for other in &others {
            with(format!("{name} = {other}"), Some(other.clone()));
        }
        if value.is_object() {
            for (said, inner) in changed(value) {
                with(format!("{name}: {said}"), Some(inner));
            }
        }
    }
    all
}

#[test]
fn configurations_with_any_value_changed_are_refused_or_read() {
    for folder in folders(|_| true) {
        for path in folder.configs() {
            let config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            for (said, config) in changed(&config) {
                let to = tempfile::tempdir().unwrap();
                let file = to.path().join("config.json");
                std::fs::write(&file, config.to_string()).unwrap();
                match open_files(&file, &folder.path, &OpenParams::default()) {
                    Ok(model) => use_it(&model),
                    Err(error) => assert!(!error.to_string().is_empty(), "{}: {said}", folder.name()),
                }
            }
        }
    }
}

#[test]
fn gguf_files_with_any_byte_changed_are_refused_or_read() {
    for name in ["qwen2-mixed.gguf", "t5.gguf"] {
        let kept = places::kept("gguf").unwrap().join(name);
        let bytes = std::fs::read(&kept).unwrap();
        let file = Gguf::open(&kept).unwrap();
        let of_tensors: usize =
            file.tensors().iter().map(|tensor| file.bytes(tensor.name()).unwrap().len()).sum();
        let header = bytes.len() - of_tensors;
        let to = tempfile::tempdir().unwrap();
        let path = to.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        let mut changed = OpenOptions::new().write(true).open(&path).unwrap();
        let mut put = |at: usize, byte: u8| {
            changed.seek(SeekFrom::Start(at as u64)).unwrap();
            changed.write_all(&[byte]).unwrap();
        };
        // Every byte of what comes first, and one in so many of the tokeniser and the names of tensors.
        for at in (0..header.min(700)).chain((700..header).step_by(11)) {
            for byte in [0xff, bytes[at] ^ 1, bytes[at] ^ 0x40] {
                put(at, byte);
                if_it_opens(&path);
            }
            put(at, bytes[at]);
        }
    }
}

fn if_it_opens(path: &Path) {
    if let Ok(model) = open(path, &OpenParams::default()) {
        use_it(&model);
    }
    if let Ok(tokenizer) = Tokenizer::open(path)
        && let Ok(tokens) = tokenizer.encode("CD3D, LYZ: naïve T", true)
    {
        _ = tokenizer.decode(&tokens, true);
    }
}
