//! A trained model as a file for llama.cpp.

use std::path::Path;

use candle_core::{DType, Tensor};
use sc_fm::checkpoint::gguf::{self, Array, Kind, NewTensor, Value};
use sc_fm::nn::gemm::BlockFormat;

use super::names::{Architecture, Names};
use super::{ARCHITECTURE, CHAT_TEMPLATE, Error, tokens};
use crate::Result;
use crate::models::{Config, Sizes};
use crate::sft::Base;
use crate::tokenizer::Tokenizer;

/// How a file is written.
#[derive(Clone, Debug)]
pub struct WriteParams {
    /// How matrices are stored. A matrix whose rows are not whole blocks of `Q4_K` is stored as `Q8_0`, and of `Q8_0` as
    /// `F32`, as are vectors in any case. Default: `F32`.
    pub kind: Kind,
    /// The model's name in the file. Default: none.
    pub name: Option<String>,
    /// The template of chats. Default: none, for a model that reads plain text.
    pub chat_template: Option<String>,
    /// Whether a file that is there is replaced. Default: no.
    pub overwrite: bool,
}

impl Default for WriteParams {
    fn default() -> Self {
        Self { kind: Kind::F32, name: None, chat_template: None, overwrite: false }
    }
}

/// Writes a Qwen2 or a Phi with its tokeniser as a file that llama.cpp serves, and
/// [`models::open`](crate::models::open) opens.
///
/// The tokeniser is one of bytes that splits text as GPT-2 or as Qwen2 does, or one
/// [of words](Tokenizer::of_words). llama.cpp takes a word of the latter wherever it stands, the longest first, so a word
/// that is not among them is spelled in bytes by this crate, and perhaps in part by words there; texts of known words
/// become the same tokens. The file also holds the `tokenizer.json`, which this crate reads.
///
/// # Errors
/// [`Error::NotWritten`] and [`Error::NoName`] for what llama.cpp does not have; those of
/// [`gguf::write()`].
pub fn write(path: impl AsRef<Path>, base: &Base, tokenizer: &Tokenizer, params: &WriteParams) -> Result<()> {
    let config = Config::from_json(base.config())?;
    let (architecture, shape) = shape(&config)?;
    let mut metadata: Vec<(String, Value)> = vec![
        (ARCHITECTURE.to_owned(), Value::String(architecture.name().to_owned())),
        ("general.type".to_owned(), Value::String("model".to_owned())),
    ];
    if let Some(name) = &params.name {
        metadata.push(("general.name".to_owned(), Value::String(name.clone())));
    }
    if params.kind.blocks().is_some() {
        metadata.push(("general.quantization_version".to_owned(), Value::U32(2)));
    }
    metadata.extend(shape.into_iter().map(|(key, value)| (format!("{}.{key}", architecture.name()), value)));
    let n_rows = config.vocab_size();
    metadata.extend(vocabulary(tokenizer, n_rows)?);
    if let Some(template) = &params.chat_template {
        metadata.push((CHAT_TEMPLATE.to_owned(), Value::String(template.clone())));
    }
    let names = Names::to_write(architecture);
    let mut tensors = Vec::new();
    for (name, tensor) in base.tensors() {
        let own = names.in_file(name);
        let own =
            own.ok_or_else(|| Error::NoName { name: name.to_owned(), architecture: architecture.name() })?;
        tensors.push(new_tensor(own, tensor, params.kind));
    }
    let metadata: Vec<(&str, Value)> =
        metadata.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    Ok(gguf::write(path, &metadata, tensors, params.overwrite)?)
}

/// Keys behind the architecture's name, and their values.
type Shape = Vec<(&'static str, Value)>;

fn size(size: usize) -> Value {
    Value::U32(u32::try_from(size).unwrap_or(u32::MAX))
}

/// What every decoder's file says, and what this one's says beside it.
fn with_sizes<const N: usize>(sizes: Sizes, more: [(&'static str, Value); N]) -> Shape {
    let all = [
        ("context_length", size(sizes.max_position_embeddings)),
        ("embedding_length", size(sizes.hidden_size)),
        ("feed_forward_length", size(sizes.intermediate_size)),
        ("block_count", size(sizes.num_hidden_layers)),
        ("attention.head_count", size(sizes.num_attention_heads)),
        ("attention.head_count_kv", size(sizes.num_key_value_heads)),
    ];
    all.into_iter().chain(more).collect()
}

/// The values of the metadata that say what the model looks like.
fn shape(config: &Config) -> Result<(Architecture, Shape), Error> {
    let number = |number: f64| Value::F32(number as f32);
    let refuse = |what, found: String, expected| Err(Error::NotWritten { what, found, expected });
    match config {
        Config::Qwen2(config) => {
            if config.hidden_act != "silu" {
                return refuse("`hidden_act`", format!("{:?}", config.hidden_act), "silu");
            }
            if config.use_sliding_window {
                return refuse("`use_sliding_window`", "true".to_owned(), "false");
            }
            let theta = config.rope_theta().unwrap_or_default();
            Ok((
                Architecture::Qwen2,
                with_sizes(
                    config.sizes(),
                    [
                        ("attention.layer_norm_rms_epsilon", number(config.rms_norm_eps)),
                        ("rope.freq_base", number(theta)),
                    ],
                ),
            ))
        }
        Config::Phi(config) => {
            if config.qk_layernorm {
                return refuse("`qk_layernorm`", "true".to_owned(), "false");
            }
            if config.hidden_act != "gelu_new" {
                return refuse("`hidden_act`", format!("{:?}", config.hidden_act), "gelu_new");
            }
            let (turning, theta) = config.rotary().unwrap_or_default();
            Ok((
                Architecture::Phi,
                with_sizes(
                    config.sizes(),
                    [
                        ("attention.layer_norm_epsilon", number(config.layer_norm_eps)),
                        ("rope.dimension_count", size(turning)),
                        ("rope.freq_base", number(theta)),
                    ],
                ),
            ))
        }
        other => refuse("the architecture", other.architecture().name().to_owned(), "qwen2 or phi"),
    }
}

/// The tokeniser, filled up with tokens that are not used to the rows of the embedding.
fn vocabulary(tokenizer: &Tokenizer, n_rows: usize) -> Result<Vec<(String, Value)>, Error> {
    let json = tokenizer.json();
    let refuse = |what, found: &serde_json::Value, expected| {
        Err(Error::NotWritten { what, found: found.to_string(), expected })
    };
    let n_tokens = tokenizer.n_tokens();
    if n_tokens > n_rows {
        let found = format!("{n_tokens}, with {n_rows} rows of the embedding");
        return Err(Error::NotWritten {
            what: "the number of tokens",
            found,
            expected: "a row for each token",
        });
    }
    let model = &json["model"];
    if model["type"] != "BPE" || model["byte_fallback"] == true {
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
    let special = tokenizer.special();
    let text = |text: &str| Value::String(text.to_owned());
    let mut entries = vec![
        (tokens::MODEL, text("gpt2")),
        (tokens::PRE, text(pre)),
        (tokens::TOKENS, Value::Array(Array::String(texts))),
        (tokens::TYPES, Value::Array(Array::I32(types))),
        (tokens::MERGES, Value::Array(Array::String(merges))),
        (tokens::ADD_BOS, Value::Bool(!special.before.is_empty())),
        (tokens::ADD_EOS, Value::Bool(!special.after.is_empty())),
        (tokens::WHOLE, Value::String(tokenizer.whole_json().to_string())),
    ];
    let eos = special.eos.first().copied();
    let bos = special.before.first().copied().or(special.bos).or(eos);
    for (key, id) in [(tokens::BOS, bos), (tokens::EOS, eos), (tokens::PAD, special.pad)] {
        entries.extend(id.map(|id| (key, Value::U32(id))));
    }
    // A second end, such as that of base models beside that of chats.
    entries.extend(special.eos.get(1).map(|&id| (tokens::EOT, Value::U32(id))));
    Ok(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
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

fn new_tensor(name: String, tensor: &Tensor, kind: Kind) -> NewTensor<'_> {
    let shape = tensor.dims();
    let columns = shape.last().copied().unwrap_or(1);
    let fits = |kind: Kind| kind.blocks().is_none_or(|format| format.row_bytes(columns).is_ok());
    let q8_0 = Kind::Blocks(BlockFormat::Q8_0);
    let kind = match shape.len() {
        2 => [kind, q8_0, Kind::F32].into_iter().find(|kind| fits(*kind)).unwrap_or(Kind::F32),
        _ => Kind::F32,
    };
    let failed = |name: &str, source| sc_fm::checkpoint::Error::Tensor { name: name.to_owned(), source };
    let own = name.clone();
    NewTensor::new(name, shape, kind, move |rows, into| {
        let read = || {
            let some = match tensor.rank() {
                2 => tensor.narrow(0, rows.start, rows.len())?,
                _ => tensor.clone(),
            };
            some.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()
        };
        into.copy_from_slice(&read().map_err(|source| failed(&own, source))?);
        Ok(())
    })
}
