//! Special tokens: which ones the files name.

use serde_json::{Value, json};

use super::files::Folder;
use super::layout::named;
use super::{Error, Tokenizer};

/// The tokens that are no part of any text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Starts a text.
    pub bos: Option<u32>,
    /// End a text: generation stops at any of them. The first is the one that a model is trained on.
    pub eos: Vec<u32>,
    /// Fills up batches; models here need none.
    pub pad: Option<u32>,
    /// Stands for what the vocabulary lacks.
    pub unk: Option<u32>,
    /// Put in front of a text: `</s>` by OPT.
    pub before: Vec<u32>,
    /// Put behind a text: `</s>` by T5.
    pub after: Vec<u32>,
}

/// Names that mean the end of a text, in the order in which a chat model prefers them.
const ENDS: [&str; 3] = ["<|im_end|>", "<|endoftext|>", "</s>"];

pub(super) fn by_name(tokenizer: &mut Tokenizer) {
    let special = |name: &str| tokenizer.id_of(name).filter(|&id| tokenizer.is_special(id));
    let eos: Vec<u32> = ENDS.into_iter().filter_map(special).collect();
    let pad = ["<pad>", "<|pad|>"].into_iter().find_map(special);
    let unk = special("<unk>");
    let found = &mut tokenizer.special;
    (found.eos, found.pad) = (eos, pad);
    found.unk = found.unk.or(unk);
}

/// Adds what the other files of the folder say; names serve where they say nothing.
pub(super) fn complete(tokenizer: &mut Tokenizer, folder: &Folder) -> Result<(), Error> {
    by_name(tokenizer);
    let n_tokens = tokenizer.n_tokens();
    let no_such = |file: &str, slot: &str, found: &Value| Error::NoSuchToken {
        path: folder.path(file),
        named_by: format!("{slot} {found}"),
        n_tokens,
    };
    let read = |file: &'static str| Ok::<_, Error>((file, folder.json(file)?.unwrap_or_default()));
    let names = [read("tokenizer_config.json")?, read("special_tokens_map.json")?];
    let numbers = [read("generation_config.json")?, read("config.json")?];

    let name_of = |slot: &str| {
        for (file, json) in &names {
            if let Some(name) = named(&json[slot]) {
                let id = tokenizer.id_of(name).ok_or_else(|| no_such(file, slot, &json[slot]))?;
                return Ok(Some(id));
            }
        }
        Ok::<_, Error>(None)
    };
    let numbers_of = |slot: &str| {
        for (file, json) in &numbers {
            let found = match &json[slot] {
                Value::Null => continue,
                Value::Array(ids) => ids.as_slice(),
                id => std::slice::from_ref(id),
            };
            let id = |id: &Value| {
                id.as_u64().and_then(|id| u32::try_from(id).ok()).filter(|&id| tokenizer.token(id).is_some())
            };
            let ids = found.iter().map(|found| id(found).ok_or_else(|| no_such(file, slot, found)));
            return ids.collect::<Result<Vec<u32>, Error>>();
        }
        Ok(Vec::new())
    };
    let one =
        |name: &str| Ok::<_, Error>(name_of(name)?.or(numbers_of(&format!("{name}_id"))?.first().copied()));

    let mut eos: Vec<u32> = name_of("eos_token")?.into_iter().chain(numbers_of("eos_token_id")?).collect();
    let mut seen = std::collections::BTreeSet::new();
    eos.retain(|&id| seen.insert(id));
    let (bos, pad, unk) = (one("bos_token")?, one("pad_token")?, name_of("unk_token")?);
    let is_opt = numbers[1].1["model_type"] == "opt";

    let special = &mut tokenizer.special;
    if !eos.is_empty() {
        special.eos = eos;
    }
    special.bos = bos;
    special.pad = pad.or(special.pad);
    special.unk = special.unk.or(unk);
    if is_opt && special.before.is_empty() {
        special.before.extend(bos);
    }
    Ok(())
}

/// A `tokenizer_config.json` that names the same special tokens.
pub(super) fn config_of(tokenizer: &Tokenizer) -> Value {
    let special = &tokenizer.special;
    let name = |id: Option<u32>| id.and_then(|id| tokenizer.token(id));
    json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": name(special.bos),
        "eos_token": name(special.eos.first().copied()),
        "pad_token": name(special.pad),
        "unk_token": name(special.unk),
        "clean_up_tokenization_spaces": false,
    })
}

/// The `tokenizer.json`, with the tokens around a text as its last step.
pub(super) fn with_special_around(tokenizer: &Tokenizer) -> Value {
    let mut json = tokenizer.json.clone();
    let SpecialTokens { before, after, .. } = &tokenizer.special;
    if before.is_empty() && after.is_empty() {
        return json;
    }
    let name = |&id: &u32| tokenizer.token(id).unwrap_or_default();
    let piece = |id: &u32| json!({"SpecialToken": {"id": name(id), "type_id": 0}});
    let text = |id: &str| json!({"Sequence": {"id": id, "type_id": 0}});
    let around = |text: Value| before.iter().map(piece).chain([text]).chain(after.iter().map(piece));
    let ids = before.iter().chain(after);
    let ids = ids.map(|id| (name(id).to_owned(), json!({"id": name(id), "ids": [id], "tokens": [name(id)]})));
    let template = json!({
        "type": "TemplateProcessing",
        "single": around(text("A")).collect::<Vec<_>>(),
        "pair": around(text("A")).chain(around(text("B"))).collect::<Vec<_>>(),
        "special_tokens": ids.collect::<serde_json::Map<_, _>>(),
    });
    json["post_processor"] = match json["post_processor"].take() {
        Value::Null => template,
        offsets => json!({"type": "Sequence", "processors": [offsets, template]}),
    };
    json
}
