//! The tokeniser in a file.

use sc_fm::checkpoint::gguf::{Array, Gguf, Value as Entry};
use serde_json::{Value, json};

use super::{Error, pieces};

/// Keys of the metadata.
pub(super) const MODEL: &str = "tokenizer.ggml.model";
pub(super) const PRE: &str = "tokenizer.ggml.pre";
pub(super) const TOKENS: &str = "tokenizer.ggml.tokens";
pub(super) const TYPES: &str = "tokenizer.ggml.token_type";
pub(super) const MERGES: &str = "tokenizer.ggml.merges";
pub(super) const BOS: &str = "tokenizer.ggml.bos_token_id";
pub(super) const EOS: &str = "tokenizer.ggml.eos_token_id";
pub(super) const EOT: &str = "tokenizer.ggml.eot_token_id";
pub(super) const UNK: &str = "tokenizer.ggml.unknown_token_id";
pub(super) const PAD: &str = "tokenizer.ggml.padding_token_id";
pub(super) const ADD_BOS: &str = "tokenizer.ggml.add_bos_token";
pub(super) const ADD_EOS: &str = "tokenizer.ggml.add_eos_token";
/// A whole `tokenizer.json`.
pub(super) const WHOLE: &str = "tokenizer.huggingface.json";

/// Types of tokens in the format.
pub(super) const NORMAL: i32 = 1;
pub(super) const UNKNOWN: i32 = 2;
pub(super) const CONTROL: i32 = 3;
pub(super) const USER_DEFINED: i32 = 4;
pub(super) const UNUSED: i32 = 5;
pub(super) const BYTE: i32 = 6;

/// The kind of a tokeniser of bytes.
pub(super) const BYTES: &str = "gpt2";

/// How GPT-2 splits text: the pattern of the step `ByteLevel` itself.
pub(super) const GPT2: &str = "gpt-2";
pub(super) const QWEN2: &str = "qwen2";
/// How Qwen2 splits text: single digits stand alone.
pub(super) const QWEN2_PATTERN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// What a file says of tokens.
pub(crate) struct Tokens {
    /// As a `tokenizer.json` says it.
    pub(crate) json: Value,
    pub(crate) bos: Option<u32>,
    pub(crate) eos: Vec<u32>,
    pub(crate) pad: Option<u32>,
    /// Whether texts begin with the one and end with the other.
    pub(crate) adds_bos: bool,
    pub(crate) adds_eos: bool,
}

impl Tokens {
    /// Those of a file.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] for a kind that is not read, [`Error::Metadata`] for lists that are missing or damaged.
    pub(crate) fn of(file: &Gguf) -> Result<Self, Error> {
        let id = |key: &str| {
            let Some(value) = file.get(key) else { return Ok(None) };
            let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
            let wrong = || wrong(file, key, "no whole number".to_owned(), "the number of a token");
            id.map(Some).ok_or_else(wrong)
        };
        let is_set = |key: &str| file.get(key).and_then(Entry::as_bool);
        Ok(Self {
            json: json_of(file)?,
            bos: id(BOS)?,
            eos: id(EOS)?.into_iter().chain(id(EOT)?).collect(),
            pad: id(PAD)?,
            adds_bos: is_set(ADD_BOS).unwrap_or(false),
            adds_eos: is_set(ADD_EOS).unwrap_or(text(file, MODEL) == pieces::KIND),
        })
    }
}

pub(super) fn wrong(file: &Gguf, key: &str, found: String, expected: &str) -> Error {
    Error::Metadata { path: file.record().path, key: key.to_owned(), found, expected: expected.to_owned() }
}

fn json_of(file: &Gguf) -> Result<Value, Error> {
    if let Some(text) = file.get(WHOLE).and_then(Entry::as_str) {
        return serde_json::from_str(text)
            .map_err(|problem| wrong(file, WHOLE, format!("no JSON ({problem})"), "a tokenizer.json"));
    }
    match text(file, MODEL) {
        BYTES => of_bytes(file),
        pieces::KIND => pieces::json_of(file, &List::of(file)?),
        found => Err(other(file, MODEL, found, "gpt2 (a tokeniser of bytes) or t5 (of pieces with scores)")),
    }
}

fn text<'f>(file: &'f Gguf, key: &str) -> &'f str {
    file.get(key).and_then(Entry::as_str).unwrap_or_default()
}

fn other(file: &Gguf, key: &'static str, found: &str, expected: &'static str) -> Error {
    Error::Tokenizer { path: file.record().path, key, found: found.to_owned(), expected }
}

fn texts<'f>(file: &'f Gguf, key: &str) -> Result<&'f [String], Error> {
    let strings = file.get(key).and_then(Entry::as_strings);
    strings.ok_or_else(|| wrong(file, key, "not there".to_owned(), "a list of texts"))
}

/// The tokens of a file with their types, in the order of their numbers.
pub(super) struct List<'f>(pub(super) Vec<(&'f str, i32)>);

impl<'f> List<'f> {
    fn of(file: &'f Gguf) -> Result<Self, Error> {
        let tokens = texts(file, TOKENS)?;
        let types = match file.get(TYPES) {
            None => &vec![NORMAL; tokens.len()],
            Some(Entry::Array(Array::I32(types))) if types.len() == tokens.len() => types,
            Some(_) => {
                let expected = format!("a number of 32 bits for each of {} tokens", tokens.len());
                return Err(wrong(file, TYPES, "something else".to_owned(), &expected));
            }
        };
        Ok(Self(tokens.iter().map(String::as_str).zip(types.iter().copied()).collect()))
    }

    /// Those that stand for themselves wherever they are in a text, as a `tokenizer.json` says it.
    pub(super) fn added(&self) -> Vec<Value> {
        let added = self
            .0
            .iter()
            .enumerate()
            .filter(|(_, (_, kind))| matches!(*kind, UNKNOWN | CONTROL | USER_DEFINED));
        let json = |(id, (token, kind)): (usize, &(&str, i32))| {
            json!({
                "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": *kind != USER_DEFINED,
            })
        };
        added.map(json).collect()
    }
}

/// A tokeniser of bytes.
fn of_bytes(file: &Gguf) -> Result<Value, Error> {
    let byte_level = |use_regex: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex});
    let (normalizer, pre_tokenizer) = match text(file, PRE) {
        GPT2 | "phi-2" => (Value::Null, byte_level(true)),
        QWEN2 => {
            let split = json!({"type": "Split", "pattern": {"Regex": QWEN2_PATTERN}, "behavior": "Isolated", "invert": false});
            let steps = json!({"type": "Sequence", "pretokenizers": [split, byte_level(false)]});
            (json!({"type": "NFC"}), steps)
        }
        found => return Err(other(file, PRE, found, "gpt-2, phi-2 or qwen2")),
    };
    let (list, merges) = (List::of(file)?, texts(file, MERGES)?);
    let mut vocab = serde_json::Map::new();
    for (id, (token, kind)) in list.0.iter().enumerate() {
        if *kind != UNUSED && vocab.insert((*token).to_owned(), id.into()).is_some() {
            return Err(wrong(file, TOKENS, format!("a list with {token:?} twice"), "each token once"));
        }
    }
    Ok(json!({
        "added_tokens": list.added(),
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "decoder": byte_level(true),
        "model": {"type": "BPE", "vocab": vocab, "merges": merges},
    }))
}
