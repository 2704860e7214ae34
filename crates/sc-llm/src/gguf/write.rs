//! A trained model as a file for llama.cpp.

mod vocabulary;

use std::path::Path;

use candle_core::{DType, Tensor};
use sc_fm::checkpoint::gguf::{self, Kind, NewTensor, Value};
use sc_fm::nn::gemm::BlockFormat;

use super::names::{Architecture, Names};
use super::{ARCHITECTURE, CHAT_TEMPLATE, Error};
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

/// Writes a Qwen2, a Phi or a T5 with its tokeniser as a file that llama.cpp serves, and
/// [`models::open`](crate::models::open) opens.
///
/// The tokeniser is one of bytes that splits text as GPT-2 or as Qwen2 does, or one
/// [of words](Tokenizer::of_words). llama.cpp takes a word of the latter wherever it stands, the longest first, so a word
/// that is not among them is spelled in bytes by this crate, and perhaps in part by words there; texts of known words
/// become the same tokens. That of a T5 is a SentencePiece model; llama.cpp leaves out spaces at the ends of a text where it
/// makes one of several. The file also holds the `tokenizer.json`, which this crate reads.
///
/// # Errors
/// [`Error::NotWritten`] and [`Error::NoName`] for what llama.cpp does not have; those of
/// [`gguf::write()`].
pub fn write(path: impl AsRef<Path>, base: &Base, tokenizer: &Tokenizer, params: &WriteParams) -> Result<()> {
    let config = Config::from_json(base.config())?;
    let (architecture, shape) = shape(&config)?;
    if architecture == Architecture::T5 && !base.tensors().any(|(name, _)| name == "lm_head.weight") {
        let found = "the embedding".to_owned();
        return Err(Error::NotWritten { what: "the head", found, expected: "a matrix of its own" }.into());
    }
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
    metadata.extend(vocabulary::of(tokenizer, architecture, n_rows)?);
    if let Some(template) = &params.chat_template {
        metadata.push((CHAT_TEMPLATE.to_owned(), Value::String(template.clone())));
    }
    let is_gated = base.tensors().any(|(name, _)| name.ends_with(".DenseReluDense.wi_0.weight"));
    let names = Names::to_write(architecture, is_gated);
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
        Config::T5(config) => {
            let distance = config.relative_attention_max_distance;
            if distance != 128 {
                return refuse("`relative_attention_max_distance`", distance.to_string(), "128");
            }
            if !["relu", "gated-gelu"].contains(&config.feed_forward_proj.as_str()) {
                let found = format!("{:?}", config.feed_forward_proj);
                return refuse("`feed_forward_proj`", found, "relu or gated-gelu");
            }
            if config.is_scaled() {
                return refuse(
                    "the head",
                    "the embedding, its input scaled".to_owned(),
                    "a matrix of its own",
                );
            }
            let (width, eps) = (size(config.d_kv), number(config.layer_norm_epsilon));
            Ok((
                Architecture::T5,
                vec![
                    // Distances have no end; it is what the published ones say.
                    ("context_length", size(512)),
                    ("embedding_length", size(config.d_model)),
                    ("feed_forward_length", size(config.d_ff)),
                    ("block_count", size(config.num_layers)),
                    ("decoder_block_count", size(config.n_decoder_layers())),
                    ("attention.head_count", size(config.num_heads)),
                    ("attention.key_length", width.clone()),
                    ("attention.value_length", width),
                    ("attention.relative_buckets_count", size(config.relative_attention_num_buckets)),
                    ("attention.layer_norm_epsilon", eps.clone()),
                    ("attention.layer_norm_rms_epsilon", eps),
                    ("decoder_start_token_id", Value::U32(config.decoder_start_token_id)),
                ],
            ))
        }
        other => refuse("the architecture", other.architecture().name().to_owned(), "qwen2, phi or t5"),
    }
}

fn new_tensor(name: String, tensor: &Tensor, kind: Kind) -> NewTensor<'_> {
    let shape = tensor.dims();
    let columns = shape.last().copied().unwrap_or(1);
    let fits = |kind: Kind| kind.blocks().is_none_or(|format| format.row_bytes(columns).is_ok());
    let q8_0 = Kind::Blocks(BlockFormat::Q8_0);
    let kind = match shape.len() {
        // Small, and added to every score.
        2 if name.ends_with(".attn_rel_b.weight") => Kind::F32,
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
