//! A SentencePiece tokeniser in a file: pieces with scores, of which a text becomes the likeliest row.

use sc_fm::checkpoint::gguf::{Array, Gguf, Value as Entry};
use serde_json::{Value, json};

use super::Error;
use super::tokens::{self, List, wrong};
use crate::tokenizer::{Tokenizer, base64};

/// What llama.cpp calls it.
pub(super) const KIND: &str = "t5";

/// Keys of the metadata.
const SCORES: &str = "tokenizer.ggml.scores";
const CHARSMAP: &str = "tokenizer.ggml.precompiled_charsmap";
const ADD_SPACE: &str = "tokenizer.ggml.add_space_prefix";
const REMOVE_SPACES: &str = "tokenizer.ggml.remove_extra_whitespaces";

/// How pieces write a space.
const SPACE: char = '▁';

/// Spaces at the ends of a text, and more than one inside.
const AT_ENDS: &str = r"\A +| +\z";
const SEVERAL: &str = " {2,}";

/// The score of a row that no token has.
const NO_TOKEN: f32 = -1000.0;

/// The `tokenizer.json` of a file.
pub(super) fn json_of(file: &Gguf, list: &List<'_>) -> Result<Value, Error> {
    let n = list.0.len();
    let expected = format!("a finite number of 32 bits for each of {n} tokens");
    let scores = match file.get(SCORES) {
        Some(Entry::Array(Array::F32(scores)))
            if scores.len() == n && scores.iter().all(|score| score.is_finite()) =>
        {
            scores
        }
        None => return Err(wrong(file, SCORES, "not there".to_owned(), &expected)),
        Some(_) => return Err(wrong(file, SCORES, "something else".to_owned(), &expected)),
    };
    let normal = list.0.iter().zip(scores).filter(|((_, kind), _)| *kind == tokens::NORMAL);
    let lowest = normal.map(|(_, score)| *score).fold(0.0, f32::min);
    // Rows behind the last token are there to fill up the embedding.
    let last = list.0.iter().rposition(|(_, kind)| *kind != tokens::UNUSED);
    let used = list.0.iter().zip(scores).take(last.map_or(0, |last| last + 1));
    let vocab: Vec<Value> = used
        .map(|((token, kind), score)| match *kind {
            tokens::NORMAL => json!([token, score]),
            // What is unknown scores less than all others: these would make it too little.
            tokens::UNUSED | tokens::BYTE => json!([token, score.max(lowest)]),
            _ => json!([token, 0.0]),
        })
        .collect();
    let unknown = list.0.iter().position(|(_, kind)| *kind == tokens::UNKNOWN);
    let unknown = match file.get(tokens::UNK) {
        None => unknown.map(|id| id as u64),
        Some(id) => {
            let wrong = || wrong(file, tokens::UNK, "no whole number".to_owned(), "the number of a token");
            Some(id.as_u64().ok_or_else(wrong)?)
        }
    };
    let has_bytes = list.0.iter().any(|(_, kind)| *kind == tokens::BYTE);
    let is_set = |key: &str| file.get(key).and_then(Entry::as_bool).unwrap_or(false);
    let scheme = if is_set(ADD_SPACE) { "always" } else { "never" };
    // Where no piece goes on after a space, words can be looked at one by one.
    let splits = list.0.iter().all(|(token, _)| !token.chars().skip(1).any(|c| c == SPACE));
    let metaspace =
        json!({"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": splits});
    let replace = |pattern: &str, content: &str| json!({"type": "Replace", "pattern": {"Regex": pattern}, "content": content});
    let mut steps = Vec::new();
    if let Some(table) = charsmap(file)? {
        steps.push(json!({"type": "Precompiled", "precompiled_charsmap": base64::encode(&table)}));
    }
    if is_set(REMOVE_SPACES) {
        steps.extend([replace(AT_ENDS, ""), replace(SEVERAL, " ")]);
    }
    let decoder = match has_bytes {
        false => metaspace.clone(),
        true => {
            let space = json!({"type": "Replace", "pattern": {"String": SPACE}, "content": " "});
            let start = json!({"type": "Strip", "content": " ", "start": 1, "stop": 0});
            json!({"type": "Sequence", "decoders": [space, {"type": "ByteFallback"}, {"type": "Fuse"}, start]})
        }
    };
    Ok(json!({
        "added_tokens": list.added(),
        "normalizer": {"type": "Sequence", "normalizers": steps},
        "pre_tokenizer": metaspace,
        "decoder": decoder,
        "model": {"type": "Unigram", "unk_id": unknown, "vocab": vocab, "byte_fallback": has_bytes},
    }))
}

/// The table of characters that stand for others.
fn charsmap(file: &Gguf) -> Result<Option<Vec<u8>>, Error> {
    let table = match file.get(CHARSMAP) {
        None => return Ok(None),
        Some(Entry::Array(Array::U8(table))) => table.clone(),
        Some(Entry::Array(Array::I8(table))) => table.iter().map(|byte| *byte as u8).collect(),
        Some(_) => return Err(wrong(file, CHARSMAP, "something else".to_owned(), "a list of bytes")),
    };
    Ok(Some(table).filter(|table| !table.is_empty()))
}

/// The tokeniser as entries of a file, filled up with tokens that are not used to the rows of the embedding.
pub(super) fn entries(tokenizer: &Tokenizer, n_rows: usize) -> Result<Vec<(&'static str, Entry)>, Error> {
    let json = tokenizer.json();
    let steps = Steps::of(json)?;
    let unk = tokenizer.special().unk;
    let (mut texts, mut types, mut scores) = (Vec::new(), Vec::new(), Vec::new());
    for id in 0..n_rows as u32 {
        let score = json["model"]["vocab"][id as usize][1].as_f64().unwrap_or_default() as f32;
        let (text, kind, score) = match tokenizer.token(id) {
            Some(token) if Some(id) == unk => (token.to_owned(), tokens::UNKNOWN, score),
            Some(token) if tokenizer.is_special(id) => (token.to_owned(), tokens::CONTROL, score),
            Some(token) if tokenizer.is_added(id) => (token.to_owned(), tokens::USER_DEFINED, score),
            Some(token) => (token.to_owned(), tokens::NORMAL, score),
            None => (format!("[PAD{id}]"), tokens::UNUSED, NO_TOKEN),
        };
        texts.push(text);
        types.push(kind);
        scores.push(score);
    }
    let mut entries = vec![
        (tokens::MODEL, Entry::String(KIND.to_owned())),
        (tokens::PRE, Entry::String("default".to_owned())),
        (tokens::TOKENS, Entry::Array(Array::String(texts))),
        (SCORES, Entry::Array(Array::F32(scores))),
        (tokens::TYPES, Entry::Array(Array::I32(types))),
        (ADD_SPACE, Entry::Bool(steps.adds_space)),
        (REMOVE_SPACES, Entry::Bool(steps.removes_spaces)),
    ];
    entries.extend(steps.charsmap.map(|table| (CHARSMAP, Entry::Array(Array::U8(table)))));
    entries.extend(unk.map(|unk| (tokens::UNK, Entry::U32(unk))));
    Ok(entries)
}

/// What happens to a text before it is looked up.
#[derive(Default)]
struct Steps {
    charsmap: Option<Vec<u8>>,
    adds_space: bool,
    removes_spaces: bool,
}

impl Steps {
    /// Those of a `tokenizer.json`, if llama.cpp has them.
    fn of(json: &Value) -> Result<Self, Error> {
        let refuse = |what, found: &Value, expected| {
            let mut found = found.to_string();
            // A table of characters is long.
            found.truncate(found.char_indices().nth(200).map_or(found.len(), |(at, _)| at));
            Err(Error::NotWritten { what, found, expected })
        };
        if json["model"]["byte_fallback"] == true {
            return refuse("`byte_fallback`", &true.into(), "false");
        }
        let mut steps = Self::default();
        for step in list(&json["normalizer"], "normalizers") {
            let replaces = || {
                let (from, to) = (&step["pattern"]["Regex"], &step["content"]);
                from == SEVERAL && (to == " " || *to == SPACE.to_string()) || from == AT_ENDS && to == ""
            };
            match step["type"].as_str() {
                Some("Precompiled") if steps.charsmap.is_none() => {
                    let table = step["precompiled_charsmap"].as_str().unwrap_or_default();
                    steps.charsmap = base64::decode(table);
                }
                Some("Strip") => steps.removes_spaces = true,
                Some("Replace") if replaces() => steps.removes_spaces = true,
                _ => {
                    return refuse("the normaliser", step, "that of a SentencePiece model");
                }
            }
        }
        let mut has_spaces = false;
        for step in list(&json["pre_tokenizer"], "pretokenizers") {
            match step["type"].as_str() {
                Some("WhitespaceSplit") => steps.removes_spaces = true,
                Some("Metaspace")
                    if step["replacement"] == SPACE.to_string() && step["prepend_scheme"] != "first" =>
                {
                    has_spaces = true;
                    steps.adds_space = step["prepend_scheme"] != "never" && step["add_prefix_space"] != false;
                }
                _ => return refuse("the pre-tokeniser", step, "that of a SentencePiece model"),
            }
        }
        match has_spaces {
            true => Ok(steps),
            false => refuse("the pre-tokeniser", &json["pre_tokenizer"], "that of a SentencePiece model"),
        }
    }
}

/// The steps of a part.
fn list<'v>(part: &'v Value, steps: &str) -> Vec<&'v Value> {
    match (part, part[steps].as_array()) {
        (Value::Null, _) => Vec::new(),
        (_, Some(steps)) => steps.iter().collect(),
        (one, None) => vec![one],
    }
}
