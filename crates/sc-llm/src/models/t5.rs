//! T5 and Flan-T5 (Raffel et al. 2020), <https://arxiv.org/abs/1910.10683>: an encoder that reads the prompt in both
//! directions, and a decoder that answers. Scores are not scaled; a bias by distance stands in for positions.

mod relative;
mod stack;
mod whole;

use std::sync::Arc;

use candle_core::{Result as TensorResult, Tensor};
use sc_fm::nn::{Activation, CacheRows, KvCache, Linear, Packing, TrainingStep};
use serde::Deserialize;

use self::relative::Buckets;
pub(super) use self::stack::Cross;
use self::stack::{Layer, Stack};
use super::config::{activation, check_eps, check_layers, check_sizes, refuse};
use super::decoder::{FeedForward, Projections, Table};
use super::parts::Parts;
use super::{Error, Limits};
use crate::Result;

/// The shape of a T5, as in its `config.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct T5Config {
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of hidden states.
    pub d_model: usize,
    /// Columns of a head; all heads together need not be as wide as hidden states.
    pub d_kv: usize,
    /// Inner width of the feed-forward parts.
    pub d_ff: usize,
    /// Layers of the encoder.
    pub num_layers: usize,
    /// Layers of the decoder; as many as of the encoder if not given.
    #[serde(default)]
    pub num_decoder_layers: Option<usize>,
    /// Heads.
    pub num_heads: usize,
    /// Groups of distances that share a bias.
    #[serde(default = "buckets")]
    pub relative_attention_num_buckets: usize,
    /// The distance from which on all are in the last group.
    #[serde(default = "distance")]
    pub relative_attention_max_distance: usize,
    /// The feed-forward part: `relu` or `gated-gelu`, where GELU is the approximation with tanh.
    #[serde(default = "relu")]
    pub feed_forward_proj: String,
    /// Whether the head is the embedding once more, and its input scaled; what files of transformers 5 mean by it says
    /// `scale_decoder_outputs`.
    #[serde(default = "yes")]
    pub tie_word_embeddings: bool,
    /// Whether the input of the head is multiplied by `1 / √d_model`, in files that say so.
    #[serde(default)]
    pub scale_decoder_outputs: Option<bool>,
    /// Added to the mean square in each norm.
    #[serde(default = "eps")]
    pub layer_norm_epsilon: f64,
    /// The token that an answer begins with.
    #[serde(default)]
    pub decoder_start_token_id: u32,
}

fn buckets() -> usize {
    32
}

fn distance() -> usize {
    128
}

fn relu() -> String {
    "relu".to_owned()
}

fn yes() -> bool {
    true
}

fn eps() -> f64 {
    1e-6
}

impl T5Config {
    /// Refuses what no T5 can be.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn validate(&self) -> Result<(), Error> {
        check_sizes(&[
            ("vocab_size", self.vocab_size),
            ("d_model", self.d_model),
            ("d_kv", self.d_kv),
            ("d_ff", self.d_ff),
            ("num_heads", self.num_heads),
        ])?;
        check_layers("num_layers", self.num_layers)?;
        check_layers("num_decoder_layers", self.n_decoder_layers())?;
        let (n, most) = (self.relative_attention_num_buckets, self.relative_attention_max_distance);
        if !(4..=1 << 12).contains(&n) {
            return Err(refuse("relative_attention_num_buckets", n, "4 to 4096"));
        }
        if most <= n / 2 || most > 1 << 16 {
            let expected = format!("above half of the {n} groups of distances, and at most 65,536");
            return Err(refuse("relative_attention_max_distance", most, expected));
        }
        if self.decoder_start_token_id as usize >= self.vocab_size {
            let expected = format!("a token below `vocab_size` {}", self.vocab_size);
            return Err(refuse("decoder_start_token_id", self.decoder_start_token_id, expected));
        }
        check_eps("layer_norm_epsilon", self.layer_norm_epsilon)?;
        self.feed_forward().map(|_| ())
    }

    pub(crate) fn n_decoder_layers(&self) -> usize {
        self.num_decoder_layers.unwrap_or(self.num_layers)
    }

    /// Whether the input of the head is multiplied by `1 / √d_model`.
    pub(crate) fn is_scaled(&self) -> bool {
        self.scale_decoder_outputs.unwrap_or(self.tie_word_embeddings)
    }

    /// The function of the feed-forward parts, and whether they have gates.
    fn feed_forward(&self) -> Result<(Activation, bool), Error> {
        match self.feed_forward_proj.strip_prefix("gated-") {
            Some("gelu") => Ok((Activation::GeluTanh, true)),
            Some(name) => Ok((activation("feed_forward_proj", name)?, true)),
            None => Ok((activation("feed_forward_proj", &self.feed_forward_proj)?, false)),
        }
    }

    pub(super) fn limits(&self) -> Limits {
        Limits { vocab_size: self.vocab_size, max_positions: None }
    }

    pub(super) fn build(&self, parts: &mut Parts<'_>) -> Result<T5> {
        self.validate()?;
        let width = self.d_model;
        let embedding = parts.embedding("shared", self.vocab_size, width)?;
        if let Table::Own(embedding) = &embedding {
            for copy in ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"] {
                parts.tied(copy, embedding, "the embedding of tokens")?;
            }
        }
        parts.ignore(
            &["EncDecAttention.relative_attention_bias.weight"],
            "distances to the prompt have no bias",
        );
        let encoder = self.stack(parts, "encoder", self.num_layers, false)?;
        let decoder = self.stack(parts, "decoder", self.n_decoder_layers(), true)?;
        let of_table = |source| super::parts::failed("shared.weight", source);
        let head = match &embedding {
            _ if parts.contains("lm_head.weight") => {
                parts.linear("lm_head", self.vocab_size, width, false)?
            }
            Table::Own(embedding) => parts.linear_of(embedding.clone(), None).map_err(of_table)?,
            Table::Packed(weight) => weight.clone(),
        };
        let embedding = parts.placed(embedding).map_err(of_table)?;
        Ok(T5 {
            embedding,
            encoder,
            decoder,
            head,
            scale: self.is_scaled().then(|| 1.0 / (width as f64).sqrt()),
            start: self.decoder_start_token_id,
        })
    }

    fn stack(&self, parts: &mut Parts<'_>, name: &str, n_layers: usize, is_decoder: bool) -> Result<Stack> {
        let (width, inner, eps) = (self.d_model, self.num_heads * self.d_kv, self.layer_norm_epsilon);
        let (n_buckets, n_heads) = (self.relative_attention_num_buckets, self.num_heads);
        let table = format!("{name}.block.0.layer.0.SelfAttention.relative_attention_bias");
        let buckets = Buckets {
            n: n_buckets,
            max_distance: self.relative_attention_max_distance,
            is_causal: is_decoder,
        };
        let relative = relative::Bias::new(parts.exact_embedding(&table, n_buckets, n_heads)?, buckets)
            .map_err(|source| super::parts::failed(&table, source))?;
        let (function, is_gated) = self.feed_forward()?;
        let attention = |parts: &mut Parts<'_>, name: String| -> Result<Projections> {
            Ok(Projections {
                query: parts.linear(&format!("{name}.q"), inner, width, false)?,
                key: parts.linear(&format!("{name}.k"), inner, width, false)?,
                value: parts.linear(&format!("{name}.v"), inner, width, false)?,
                output: parts.linear(&format!("{name}.o"), width, inner, false)?,
            })
        };
        let mut layers = Vec::with_capacity(n_layers);
        for block in (0..n_layers).map(|i| format!("{name}.block.{i}.layer")) {
            let cross = match is_decoder {
                true => Some((
                    parts.rms_norm(&format!("{block}.1.layer_norm"), width, eps)?,
                    attention(parts, format!("{block}.1.EncDecAttention"))?,
                )),
                false => None,
            };
            let last = format!("{block}.{}", if is_decoder { 2 } else { 1 });
            let mut linear = |name: &str, outputs, inputs| {
                parts.linear(&format!("{last}.DenseReluDense.{name}"), outputs, inputs, false)
            };
            let feed_forward = match is_gated {
                true => FeedForward::Gated {
                    gate: linear("wi_0", self.d_ff, width)?,
                    first: linear("wi_1", self.d_ff, width)?,
                    second: linear("wo", width, self.d_ff)?,
                    activation: function,
                },
                false => FeedForward::Plain {
                    first: linear("wi", self.d_ff, width)?,
                    second: linear("wo", width, self.d_ff)?,
                    activation: function,
                },
            };
            layers.push(Layer {
                norm: parts.rms_norm(&format!("{block}.0.layer_norm"), width, eps)?,
                attention: attention(parts, format!("{block}.0.SelfAttention"))?,
                cross,
                feed_forward_norm: parts.rms_norm(&format!("{last}.layer_norm"), width, eps)?,
                feed_forward,
            });
        }
        let final_norm = parts.rms_norm(&format!("{name}.final_layer_norm"), width, eps)?;
        let compute = parts.place.compute;
        Ok(Stack { layers, final_norm, relative, n_heads, head_size: self.d_kv, compute })
    }
}

/// An encoder and a decoder.
#[derive(Clone, Debug)]
pub(super) struct T5 {
    embedding: Table,
    encoder: Stack,
    decoder: Stack,
    pub(super) head: Linear,
    /// What the input of the head is multiplied by.
    pub(super) scale: Option<f64>,
    /// The token that an answer begins with.
    pub(super) start: u32,
}

/// The half of a model that a state belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It reads the prompt.
    Encoder,
    /// It answers.
    Decoder,
}

impl T5 {
    /// A cache for one answer.
    pub(super) fn cache(&self) -> KvCache {
        KvCache::new(self.decoder.layers.len(), self.decoder.n_heads * self.decoder.head_size)
    }

    /// What the decoder looks up of each prompt: computed once.
    pub(super) fn encode(&self, prompts: &[&[u32]]) -> TensorResult<Vec<Arc<Cross>>> {
        let packing = Packing::new(prompts.iter().map(|prompt| prompt.len()));
        let h = self.embedding.rows(&prompts.concat())?;
        let h = self.encoder.encode(h, &packing, None, &mut |_, _| {})?;
        self.decoder.cross(&h, &packing)
    }

    /// The states of the latest tokens of answers behind the last norm, `rows × width`.
    ///
    /// * `crosses`: for each item what its prompt became.
    pub(super) fn step(
        &self,
        ids: &[u32],
        items: &mut [CacheRows<'_>],
        crosses: &[Arc<Cross>],
    ) -> TensorResult<Tensor> {
        self.decoder.step(self.embedding.rows(ids)?, items, crosses)
    }

    /// The states of whole answers to prompts behind the last norm, `rows × width`; differentiable.
    ///
    /// * `step`: in training, what adapters drop of the texts.
    /// * `inspect`: called with the number of each layer and its result; the number of layers means the last norm.
    pub(super) fn whole(
        &self,
        prompts: &[&[u32]],
        answers: &[&[u32]],
        step: Option<&TrainingStep>,
        inspect: &mut dyn FnMut(Side, usize, &Tensor),
    ) -> TensorResult<Tensor> {
        let packing = |texts: &[&[u32]]| Packing::new(texts.iter().map(|text| text.len()));
        let (of_prompts, of_answers) = (packing(prompts), packing(answers));
        let h = self.embedding.rows(&prompts.concat())?;
        let encoded =
            self.encoder.encode(h, &of_prompts, step, &mut |layer, x| inspect(Side::Encoder, layer, x))?;
        let h = self.embedding.rows(&answers.concat())?;
        let inspect = &mut |layer: usize, x: &Tensor| inspect(Side::Decoder, layer, x);
        self.decoder.decode_whole(h, &of_answers, &encoded, &of_prompts, step, inspect)
    }
}
