//! The vocabulary and its merges.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::super::Error;
use super::At;

/// The id of the token for what is unknown.
pub(super) fn check(at: At<'_>, model: &mut Value) -> Result<Option<u32>, Error> {
    let kind = kind(at, model)?;
    model["type"] = kind.into();
    let fields = at.object("model", model)?;
    let vocab = fields.get("vocab").unwrap_or(&Value::Null);
    match kind {
        "Unigram" => {
            let pieces = pieces(at, vocab)?;
            match fields.get("unk_id").unwrap_or(&Value::Null) {
                Value::Null => Ok(None),
                id => match at.id("model.unk_id", id)? {
                    unk if (unk as usize) < pieces => Ok(Some(unk)),
                    _ => Err(at.invalid("model.unk_id", id, format!("one of the {pieces} pieces"))),
                },
            }
        }
        _ => {
            let vocab = words(at, vocab)?;
            if kind == "BPE" {
                bpe(at, fields, vocab)?;
            }
            match fields.get("unk_token").unwrap_or(&Value::Null) {
                Value::Null => Ok(None),
                token => {
                    let id = vocab.get(at.text("model.unk_token", token)?).and_then(Value::as_u64);
                    let id =
                        id.ok_or_else(|| at.invalid("model.unk_token", token, "a token of the vocabulary"))?;
                    Ok(Some(id as u32))
                }
            }
        }
    }
}

/// All tokens of a model that was checked.
pub(super) fn vocabulary(model: &Value) -> impl Iterator<Item = (&str, u32)> {
    let words = model["vocab"].as_object().into_iter().flatten();
    let words = words.filter_map(|(token, id)| Some((token.as_str(), id.as_u64()? as u32)));
    let pieces = model["vocab"].as_array().into_iter().flatten().enumerate();
    words.chain(pieces.filter_map(|(id, piece)| Some((piece[0].as_str()?, id as u32))))
}

/// Old files do not name the kind of the model.
fn kind(at: At<'_>, model: &Value) -> Result<&'static str, Error> {
    let fields = at.object("model", model)?;
    let guess = match (fields.get("vocab"), fields.contains_key("merges")) {
        (Some(Value::Array(_)), _) => "Unigram",
        (_, true) => "BPE",
        _ => "WordLevel",
    };
    match fields.get("type") {
        None => Ok(guess),
        Some(named) => ["BPE", "Unigram", "WordLevel"]
            .into_iter()
            .find(|kind| named == kind)
            .ok_or_else(|| at.invalid("model.type", named, "BPE, Unigram or WordLevel")),
    }
}

fn pieces(at: At<'_>, vocab: &Value) -> Result<usize, Error> {
    let pieces = at.array("model.vocab", vocab)?;
    if pieces.is_empty() || pieces.len() as u64 > super::MAX_ID {
        return Err(at.invalid("model.vocab", vocab, "at least one piece, with its score"));
    }
    let mut seen = BTreeSet::new();
    for entry in pieces {
        let piece = match entry.as_array().map(Vec::as_slice) {
            Some([Value::String(piece), Value::Number(_)]) if !piece.is_empty() => piece,
            _ => return Err(at.invalid("model.vocab", entry, "a piece and its score")),
        };
        if !seen.insert(piece) {
            return Err(at.invalid("model.vocab", entry, "each piece once"));
        }
    }
    Ok(pieces.len())
}

fn words<'v>(at: At<'_>, vocab: &'v Value) -> Result<&'v Map<String, Value>, Error> {
    let words = at.object("model.vocab", vocab)?;
    if words.is_empty() {
        return Err(at.invalid("model.vocab", vocab, "at least one token"));
    }
    let mut seen = BTreeSet::new();
    for (token, id) in words {
        if token.is_empty() || !seen.insert(at.id("model.vocab", id)?) {
            return Err(at.invalid(format!("model.vocab: id of {token:?}"), id, "an id of its own"));
        }
    }
    Ok(words)
}

fn bpe(at: At<'_>, fields: &Map<String, Value>, vocab: &Map<String, Value>) -> Result<(), Error> {
    let is_empty =
        |value: &Value| value.is_null() || value.as_str() == Some("") || value.as_f64() == Some(0.0);
    for (slot, expected) in [
        ("dropout", "none: the same text would become other tokens each time"),
        ("continuing_subword_prefix", "none"),
        ("end_of_word_suffix", "none"),
    ] {
        if let Some(found) = fields.get(slot).filter(|&value| !is_empty(value)) {
            return Err(at.invalid(format!("model.{slot}"), found, expected));
        }
    }
    for merge in at.array("model.merges", fields.get("merges").unwrap_or(&Value::Null))? {
        let pair = match merge {
            Value::String(line) if line.starts_with("#version") => continue,
            Value::String(line) => line.split_once(' '),
            Value::Array(pair) => match pair.as_slice() {
                [Value::String(left), Value::String(right)] => Some((left.as_str(), right.as_str())),
                _ => None,
            },
            _ => None,
        };
        let Some((left, right)) = pair else {
            return Err(at.invalid("model.merges", merge, "two tokens"));
        };
        if ![left, right, &format!("{left}{right}")].into_iter().all(|token| vocab.contains_key(token)) {
            return Err(at.invalid("model.merges", merge, "two tokens of the vocabulary that make a third"));
        }
    }
    Ok(())
}
