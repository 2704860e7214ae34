//! The tokeniser of a file that is written.

use sc_fm::checkpoint::gguf::{Array, Value};

use super::super::names::Architecture;
use super::super::{Error, pieces, tokens};
use crate::tokenizer::Tokenizer;

/// The tokeniser, filled up with tokens that are not used to the rows of the embedding.
pub(super) fn of(
    tokenizer: &Tokenizer,
    architecture: Architecture,
    n_rows: usize,
) -> Result<Vec<(String, Value)>, Error> {
    let is_t5 = architecture == Architecture::T5;
    let expected = if is_t5 { "Unigram" } else { "BPE" };
    let kind = &tokenizer.json()["model"]["type"];
    if kind != expected {
        let (what, found) = ("the kind of the tokeniser", kind.to_string());
        let expected = if is_t5 { "Unigram, the tokeniser of a T5" } else { "BPE of bytes" };
        return Err(Error::NotWritten { what, found, expected });
    }
    let n_tokens = tokenizer.n_tokens();
    if n_tokens > n_rows {
        let found = format!("{n_tokens}, with {n_rows} rows of the embedding");
        return Err(Error::NotWritten {
            what: "the number of tokens",
            found,
            expected: "a row for each token",
        });
    }
    let mut entries = if is_t5 { pieces::entries(tokenizer, n_rows)? } else { of_bytes(tokenizer, n_rows)? };
    let special = tokenizer.special();
    entries.extend([
        (tokens::ADD_BOS, Value::Bool(!special.before.is_empty())),
        (tokens::ADD_EOS, Value::Bool(!special.after.is_empty())),
        (tokens::WHOLE, Value::String(tokenizer.whole_json().to_string())),
    ]);
    let eos = special.eos.first().copied();
    let bos = special.before.first().copied().or(special.bos).or(eos.filter(|_| !is_t5));
    for (key, id) in [(tokens::BOS, bos), (tokens::EOS, eos), (tokens::PAD, special.pad)] {
        entries.extend(id.map(|id| (key, Value::U32(id))));
    }
    // A second end, such as that of base models beside that of chats.
    entries.extend(special.eos.get(1).map(|&id| (tokens::EOT, Value::U32(id))));
    Ok(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// One of bytes.
fn of_bytes(tokenizer: &Tokenizer, n_rows: usize) -> Result<Vec<(&'static str, Value)>, Error> {
    let json = tokenizer.json();
    let refuse = |what, found: &serde_json::Value, expected| {
        Err(Error::NotWritten { what, found: found.to_string(), expected })
    };
    let model = &json["model"];
    if model["byte_fallback"] == true {
        return refuse("the kind of the tokeniser", &model["type"], "BPE of bytes");
    }
    let is_of_words = tokenizer.is_of_words();
    let pre = match splits(&json["pre_tokenizer"]) {
        _ if is_of_words => tokens::GPT2,
        Some(pre) => pre,
        None => return refuse("the pre-tokeniser", &json["pre_tokenizer"], "that of GPT-2 or Qwen2"),
    };
    let (mut texts, mut types) = (Vec::with_capacity(n_rows), Vec::with_capacity(n_rows));
    for id in 0..n_rows as u32 {
        let (text, kind) = match tokenizer.token(id) {
            Some(token) if tokenizer.is_special(id) => (token.to_owned(), tokens::CONTROL),
            Some(token) if tokenizer.is_added(id) => (token.to_owned(), tokens::USER_DEFINED),
            // A word as it is in a text; there are no merges that would make it.
            Some(token) if is_of_words && token.chars().nth(1).is_some() => {
                let bytes = tokenizer.token_bytes(id).unwrap_or_default();
                (String::from_utf8_lossy(&bytes).into_owned(), tokens::USER_DEFINED)
            }
            Some(token) => (token.to_owned(), tokens::NORMAL),
            None => (format!("[PAD{id}]"), tokens::UNUSED),
        };
        texts.push(text);
        types.push(kind);
    }
    let merge = |merge: &serde_json::Value| match merge.as_array().map(Vec::as_slice) {
        Some([left, right]) => {
            format!("{} {}", left.as_str().unwrap_or_default(), right.as_str().unwrap_or_default())
        }
        _ => merge.as_str().unwrap_or_default().to_owned(),
    };
    let merges = model["merges"].as_array().into_iter().flatten().map(merge);
    let merges: Vec<String> = merges.filter(|merge| !merge.starts_with("#version")).collect();
    let text = |text: &str| Value::String(text.to_owned());
    Ok(vec![
        (tokens::MODEL, text(tokens::BYTES)),
        (tokens::PRE, text(pre)),
        (tokens::TOKENS, Value::Array(Array::String(texts))),
        (tokens::TYPES, Value::Array(Array::I32(types))),
        (tokens::MERGES, Value::Array(Array::String(merges))),
    ])
}

/// What llama.cpp calls this way to split text.
fn splits(pre: &serde_json::Value) -> Option<&'static str> {
    let is_bytes = |step: &serde_json::Value, with_pattern: bool| {
        step["type"] == "ByteLevel"
            && step["add_prefix_space"] == false
            && step["use_regex"].as_bool().unwrap_or(true) == with_pattern
    };
    if is_bytes(pre, true) {
        return Some(tokens::GPT2);
    }
    match pre["pretokenizers"].as_array().map(Vec::as_slice) {
        Some([split, bytes])
            if split["type"] == "Split"
                && split["pattern"]["Regex"] == tokens::QWEN2_PATTERN
                && is_bytes(bytes, false) =>
        {
            Some(tokens::QWEN2)
        }
        _ => None,
    }
}
