//! The steps around the vocabulary: normaliser, pre-tokeniser, decoder, and the tokens put around a text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::super::Error;
use super::super::bytes::Scheme;
use super::At;

/// How many times as long a text may become before it is split: a handful of steps that each double it are not one
/// that any model needs, and forty of them fill any memory.
const MAX_GROWTH: usize = 128;
const MAX_STEPS: usize = 64;
const MAX_PATTERN_BYTES: usize = 8192;

const NORMALIZERS: [&str; 14] = [
    "Sequence",
    "NFC",
    "NFD",
    "NFKC",
    "NFKD",
    "Lowercase",
    "Strip",
    "StripAccents",
    "Nmt",
    "Precompiled",
    "Replace",
    "Prepend",
    "ByteLevel",
    "BertNormalizer",
];
const PRE_TOKENIZERS: [&str; 10] = [
    "Sequence",
    "ByteLevel",
    "Metaspace",
    "Split",
    "Whitespace",
    "WhitespaceSplit",
    "Digits",
    "Punctuation",
    "CharDelimiterSplit",
    "UnicodeScripts",
];
const DECODERS: [&str; 7] =
    ["Sequence", "ByteLevel", "Metaspace", "Replace", "Fuse", "Strip", "ByteFallback"];

pub(super) fn check(at: At<'_>, normalizer: &Value, pre: &Value, decoder: &Value) -> Result<(), Error> {
    let mut growth = Growth { at, factor: 1, steps: 0, pattern_bytes: 0 };
    growth.walk("normalizer", normalizer, &NORMALIZERS)?;
    growth.walk("pre_tokenizer", pre, &PRE_TOKENIZERS)?;
    growth.factor = 1;
    growth.walk("decoder", decoder, &DECODERS)
}

/// The steps of a part in order; what a list of steps is called differs from part to part.
fn steps(part: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["normalizers", "pretokenizers", "decoders", "processors"];
    lists.into_iter().filter_map(|list| part.get(list)?.as_array()).flatten()
}

struct Growth<'a> {
    at: At<'a>,
    factor: usize,
    steps: usize,
    pattern_bytes: usize,
}

impl Growth<'_> {
    fn walk(&mut self, slot: &str, part: &Value, known: &[&str]) -> Result<(), Error> {
        if part.is_null() {
            return Ok(());
        }
        let kind = part.get("type").unwrap_or(part);
        if !known.iter().any(|known| kind == known) {
            return Err(self.at.invalid(slot, kind, format!("one of {}", known.join(", "))));
        }
        self.steps += 1;
        let pattern = part.get("pattern").and_then(|p| p.get("Regex").or_else(|| p.get("String")));
        let pattern_bytes = pattern.and_then(Value::as_str).map_or(0, str::len);
        self.pattern_bytes += pattern_bytes;
        let content = part.get("content").and_then(Value::as_str).map_or(0, str::len);
        let is_regex = part.get("pattern").is_some_and(|p| p.get("Regex").is_some());
        let factor = match kind.as_str() {
            // What a SentencePiece model does with spaces: two bytes or more become one.
            Some("Replace") if is_regex && part["pattern"]["Regex"] == " {2,}" => content.div_ceil(2).max(1),
            Some("Replace") if is_regex || pattern_bytes == 0 => 1 + content,
            Some("Replace") => content.div_ceil(pattern_bytes).max(1),
            Some("Prepend") => 1 + content,
            Some("NFKC" | "NFKD") => 12,
            Some("NFD" | "ByteLevel" | "Metaspace" | "BertNormalizer") => 3,
            Some("Precompiled") => longest_replacement(self.at, slot, part)?,
            Some("Strip") if slot == "decoder" => {
                for side in ["start", "stop"] {
                    let count = part.get(side).unwrap_or(&Value::Null);
                    if count.as_u64().is_none_or(|count| count > 16) {
                        return Err(self.at.invalid(format!("{slot}: {side}"), count, "a count up to 16"));
                    }
                }
                1
            }
            _ => 1,
        };
        self.factor = self.factor.saturating_mul(factor);
        if self.factor > MAX_GROWTH || self.steps > MAX_STEPS || self.pattern_bytes > MAX_PATTERN_BYTES {
            let expected =
                format!("at most {MAX_STEPS} steps that make a text at most {MAX_GROWTH} times as long");
            return Err(self.at.invalid(slot, part, expected));
        }
        steps(part).try_for_each(|step| self.walk(slot, step, known))
    }
}

/// Bytes of the longest text that a SentencePiece table of characters puts in the place of one.
fn longest_replacement(at: At<'_>, slot: &str, part: &Value) -> Result<usize, Error> {
    let table = part.get("precompiled_charsmap").unwrap_or(&Value::Null);
    let bad =
        || at.invalid(format!("{slot}: precompiled_charsmap"), table, "a table of characters in base64");
    let bytes = BASE64.decode(at.text(slot, table)?).map_err(|_| bad())?;
    // The length of a trie in bytes, the trie, then the replacements, each closed by a zero.
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(bad)?;
    let length = u32::from_le_bytes(*length) as usize;
    if length == 0 || !length.is_multiple_of(4) {
        return Err(bad());
    }
    let (_, texts) = rest.split_at_checked(length).ok_or_else(bad)?;
    Ok(texts.split(|&byte| byte == 0).map(<[u8]>::len).max().unwrap_or(0).max(1))
}

pub(super) fn scheme(model: &Value, normalizer: &Value, pre: &Value, decoder: &Value) -> Scheme {
    if [normalizer, pre, decoder].into_iter().any(|part| find(part, "ByteLevel").is_some()) {
        return Scheme::ByteLevel;
    }
    let metaspace = find(decoder, "Metaspace").or_else(|| find(pre, "Metaspace"));
    let space = metaspace.and_then(|part| part.get("replacement")?.as_str()?.chars().next());
    // Others write the same with steps of replacement: ▁ for the space.
    let replaced = find(decoder, "Replace").filter(|part| part["content"] == " ");
    let replaced = replaced.and_then(|part| part["pattern"]["String"].as_str()?.chars().next());
    match space.or(replaced) {
        Some(space) => {
            let byte_fallback = model["byte_fallback"] == true || find(decoder, "ByteFallback").is_some();
            Scheme::Metaspace { space, byte_fallback }
        }
        None => Scheme::Plain,
    }
}

fn find<'v>(part: &'v Value, kind: &str) -> Option<&'v Value> {
    match part.get("type") {
        Some(found) if found == kind => Some(part),
        _ => steps(part).find_map(|step| find(step, kind)),
    }
}

/// The tokens put around a text, and how offsets are trimmed.
#[derive(Default)]
pub(super) struct Around {
    pub(super) before: Vec<u32>,
    pub(super) after: Vec<u32>,
    pub(super) offsets: Value,
}

impl Around {
    pub(super) fn read(&mut self, at: At<'_>, part: &Value) -> Result<(), Error> {
        let kinds = "ByteLevel, TemplateProcessing, RobertaProcessing, BertProcessing or Sequence";
        match part.get("type").and_then(Value::as_str) {
            None if part.is_null() => Ok(()),
            Some("ByteLevel") => {
                self.offsets = part.clone();
                Ok(())
            }
            Some("Sequence") => steps(part).try_for_each(|step| self.read(at, step)),
            Some("TemplateProcessing") => self.read_template(at, part),
            Some(kind @ ("RobertaProcessing" | "BertProcessing")) => {
                let id = |slot: &str| at.id(&format!("post_processor: {slot}"), &part[slot][1]);
                self.before.push(id("cls")?);
                self.after.push(id("sep")?);
                if kind == "RobertaProcessing" {
                    let flag = |slot: &str| part[slot].as_bool().unwrap_or(true);
                    let (space, trim) = (flag("add_prefix_space"), flag("trim_offsets"));
                    self.offsets =
                        json!({"type": "ByteLevel", "add_prefix_space": space, "trim_offsets": trim});
                }
                Ok(())
            }
            _ => Err(at.invalid("post_processor", part.get("type").unwrap_or(part), kinds)),
        }
    }

    fn read_template(&mut self, at: At<'_>, part: &Value) -> Result<(), Error> {
        let slot = "post_processor: single";
        let template = at.array(slot, &part["single"])?;
        let is_text = |piece: &Value| piece["Sequence"]["id"] == "A";
        if template.len() > MAX_STEPS || template.iter().filter(|piece| is_text(piece)).count() != 1 {
            return Err(at.invalid(slot, &part["single"], "one text, with special tokens around it"));
        }
        let mut is_behind = false;
        for piece in template {
            if is_text(piece) {
                is_behind = true;
                continue;
            }
            let name = at.text(slot, &piece["SpecialToken"]["id"])?;
            let ids = at.array("post_processor: special_tokens", &part["special_tokens"][name]["ids"])?;
            let ids = ids.iter().map(|id| at.id("post_processor: special_tokens", id));
            let to = if is_behind { &mut self.after } else { &mut self.before };
            for id in ids.take(MAX_STEPS) {
                to.push(id?);
            }
        }
        Ok(())
    }
}
