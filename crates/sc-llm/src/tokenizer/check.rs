//! What a `tokenizer.json` may say. It may be anybody's file: this runs before it is used.

mod model;
mod parts;

use std::path::Path;

use serde_json::{Map, Value, json};

use super::Error;
use super::bytes::Scheme;

/// Ids from here on are refused: tables are as long as the highest id.
pub(crate) const MAX_ID: u64 = 1 << 22;

/// A `tokenizer.json` that holds nothing unexpected.
pub(crate) struct Checked {
    /// The file, without truncation, padding and the tokens put around a text.
    pub(crate) json: Value,
    pub(crate) scheme: Scheme,
    pub(crate) added: Vec<Added>,
    pub(crate) before: Vec<u32>,
    pub(crate) after: Vec<u32>,
    pub(crate) unk: Option<u32>,
}

pub(crate) struct Added {
    pub(crate) id: u32,
    pub(crate) content: String,
    pub(crate) special: bool,
}

impl Checked {
    /// The tokens of the model, without the added ones.
    pub(crate) fn vocabulary(&self) -> impl Iterator<Item = (&str, u32)> {
        model::vocabulary(&self.json["model"])
    }
}

/// Names the places of a file in errors.
#[derive(Clone, Copy)]
struct At<'a>(&'a Path);

impl At<'_> {
    fn invalid(self, slot: impl Into<String>, found: &Value, expected: impl Into<String>) -> Error {
        let text = found.to_string();
        let found = match text.char_indices().nth(60) {
            Some((end, _)) => format!("{}...", &text[..end]),
            None => text,
        };
        Error::Invalid { path: self.0.into(), slot: slot.into(), found, expected: expected.into() }
    }

    fn object<'v>(self, slot: &str, value: &'v Value) -> Result<&'v Map<String, Value>, Error> {
        value.as_object().ok_or_else(|| self.invalid(slot, value, "an object"))
    }

    fn array<'v>(self, slot: &str, value: &'v Value) -> Result<&'v [Value], Error> {
        value.as_array().map(Vec::as_slice).ok_or_else(|| self.invalid(slot, value, "a list"))
    }

    fn text<'v>(self, slot: &str, value: &'v Value) -> Result<&'v str, Error> {
        value.as_str().ok_or_else(|| self.invalid(slot, value, "a text"))
    }

    fn id(self, slot: &str, value: &Value) -> Result<u32, Error> {
        let id = value.as_u64().filter(|&id| id < MAX_ID).and_then(|id| u32::try_from(id).ok());
        id.ok_or_else(|| self.invalid(slot, value, format!("the id of a token, below {MAX_ID}")))
    }
}

pub(crate) fn check(path: &Path, file: Value) -> Result<Checked, Error> {
    let at = At(path);
    let Value::Object(mut file) = file else {
        return Err(at.invalid("the file", &file, "an object"));
    };
    let mut part = |name: &str| file.remove(name).unwrap_or_default();
    let mut model = part("model");
    let unk = model::check(at, &mut model)?;
    let (normalizer, pre_tokenizer, decoder) = (part("normalizer"), part("pre_tokenizer"), part("decoder"));
    parts::check(at, &normalizer, &pre_tokenizer, &decoder)?;
    let scheme = parts::scheme(&model, &normalizer, &pre_tokenizer, &decoder);
    let added_tokens = part("added_tokens");
    let added = added(at, &added_tokens)?;
    let mut around = parts::Around::default();
    around.read(at, &part("post_processor"))?;
    let json = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added_tokens,
        "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": around.offsets,
        "decoder": decoder, "model": model,
    });
    Ok(Checked { json, scheme, added, before: around.before, after: around.after, unk })
}

fn added(at: At<'_>, tokens: &Value) -> Result<Vec<Added>, Error> {
    if tokens.is_null() {
        return Ok(Vec::new());
    }
    let read = |token: &Value| {
        let slot = "added_tokens";
        let fields = at.object(slot, token)?;
        let content = at.text("added_tokens: content", fields.get("content").unwrap_or(&Value::Null))?;
        if content.is_empty() || content.len() > 4096 {
            return Err(at.invalid("added_tokens: content", token, "a text of 1 to 4096 bytes"));
        }
        let id = at.id("added_tokens: id", fields.get("id").unwrap_or(&Value::Null))?;
        let special = fields.get("special").and_then(Value::as_bool).unwrap_or(false);
        Ok(Added { id, content: content.to_owned(), special })
    };
    at.array("added_tokens", tokens)?.iter().map(read).collect()
}
