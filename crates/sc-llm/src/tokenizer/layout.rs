//! `vocab.json` and `merges.txt`, as GPT-2, GPT-Neo, OPT, CodeGen and Phi were published.

use serde_json::{Value, json};

use super::Error;
use super::files::Folder;

/// The same tokeniser as a `tokenizer.json`.
pub(super) fn from_vocab_and_merges(folder: &Folder) -> Result<Value, Error> {
    let (Some(vocab), Some(merges)) = (folder.json("vocab.json")?, folder.bytes("merges.txt")?) else {
        let spiece = ["spiece.model", "tokenizer.model"].into_iter().any(|name| folder.has(name));
        let folder = folder.path("");
        return Err(match spiece {
            true => Error::SentencePieceOnly { folder },
            false => Error::NoTokenizer { folder },
        });
    };
    let config = folder.json("tokenizer_config.json")?.unwrap_or_default();
    let model = folder.json("config.json")?.unwrap_or_default();
    check_family(folder, &config, &model)?;

    let path = folder.path("merges.txt");
    let invalid = |found: &str, expected: &str| Error::Invalid {
        path: path.clone(),
        slot: "the text".into(),
        found: found.into(),
        expected: expected.into(),
    };
    let merges = String::from_utf8(merges).map_err(|_| invalid("not UTF-8", "UTF-8"))?;
    let merges: Vec<&str> =
        merges.lines().filter(|line| !line.starts_with("#version") && !line.is_empty()).collect();

    let added = added_tokens(folder, &config, &vocab)?;
    // GPT-2's own `<|endoftext|>` is number 50256; OPT's vocabulary starts with these four.
    let is_opt = model["model_type"] == "opt"
        || ["<s>", "<pad>", "</s>", "<unk>"].into_iter().enumerate().all(|(id, token)| vocab[token] == id);
    let prepends = config["add_bos_token"].as_bool().unwrap_or(is_opt);
    let bos = named(&config["bos_token"]).unwrap_or(if is_opt { "</s>" } else { "<|endoftext|>" });
    let post_processor = match prepends {
        true => json!({
            "type": "TemplateProcessing", "pair": [],
            "single": [{"SpecialToken": {"id": bos, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "special_tokens": {bos: {"id": bos, "ids": [vocab[bos]], "tokens": [bos]}},
        }),
        false => json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false}),
    };
    let add_prefix_space = config["add_prefix_space"].as_bool().unwrap_or(false);
    Ok(json!({
        "added_tokens": added,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": true},
        "post_processor": post_processor,
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true},
        "model": {"type": "BPE", "vocab": vocab, "merges": merges},
    }))
}

/// Other families have the same files and split text in other ways before they merge.
fn check_family(folder: &Folder, config: &Value, model: &Value) -> Result<(), Error> {
    let refuse = |file: &str, slot: &str, found: &Value| {
        Err(Error::Invalid {
            path: folder.path(file),
            slot: slot.into(),
            found: found.to_string(),
            expected: "a GPT-2 or CodeGen tokeniser, as there is no tokenizer.json".into(),
        })
    };
    let families = ["GPT2Tokenizer", "GPT2TokenizerFast", "CodeGenTokenizer", "CodeGenTokenizerFast"];
    let class = &config["tokenizer_class"];
    if !class.is_null() && !families.iter().any(|family| class == family) {
        return refuse("tokenizer_config.json", "tokenizer_class", class);
    }
    let kind = &model["model_type"];
    let families = ["gpt2", "gpt_neo", "opt", "phi", "codegen"];
    if class.is_null() && !kind.is_null() && !families.iter().any(|family| kind == family) {
        return refuse("config.json", "model_type", kind);
    }
    Ok(())
}

/// What is added to the vocabulary: by id in `tokenizer_config.json`, else the tokens that the files name.
fn added_tokens(folder: &Folder, config: &Value, vocab: &Value) -> Result<Vec<Value>, Error> {
    let token = |id: &Value, content: &str, special: bool| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": !special, "special": special})
    };
    let mut added: Vec<Value> = Vec::new();
    if let Some(tokens) = config["added_tokens_decoder"].as_object() {
        for (id, fields) in tokens {
            let id = id.parse::<u64>().map_or_else(|_| json!(id), |id| json!(id));
            let mut token = token(&id, named(fields).unwrap_or_default(), fields["special"] == true);
            for flag in ["single_word", "lstrip", "rstrip", "normalized"] {
                if let Some(set) = fields[flag].as_bool() {
                    token[flag] = set.into();
                }
            }
            added.push(token);
        }
    } else {
        let map = folder.json("special_tokens_map.json")?.unwrap_or_default();
        let mut special: Vec<&str> = ["bos_token", "eos_token", "unk_token", "pad_token"]
            .into_iter()
            .flat_map(|slot| [named(&config[slot]), named(&map[slot])])
            .flatten()
            .collect();
        if special.is_empty() {
            let is_opt = vocab["</s>"] == 2;
            special = if is_opt { vec!["</s>", "<pad>"] } else { vec!["<|endoftext|>"] };
        }
        special.sort_unstable();
        special.dedup();
        special.retain(|name| vocab[name].is_u64());
        added.extend(special.iter().map(|name| token(&vocab[name], name, true)));
        let plain = folder.json("added_tokens.json")?.unwrap_or_default();
        let plain = plain.as_object().into_iter().flatten();
        added.extend(
            plain
                .filter(|(name, _)| !special.contains(&name.as_str()))
                .map(|(name, id)| token(id, name, false)),
        );
    }
    added.sort_by_key(|token| token["id"].as_u64());
    Ok(added)
}

/// A token is a text, or an object that holds it.
pub(super) fn named(token: &Value) -> Option<&str> {
    token.as_str().or_else(|| token["content"].as_str())
}
