//! OPT (Zhang et al. 2022), <https://arxiv.org/abs/2205.01068>: learned positions that begin with the third row of their
//! table. The model of 350 million parameters has its norms behind the parts of a layer and an embedding of its own width.

use sc_fm::nn::{CausalAttention, LayerNorm, Linear};
use serde::Deserialize;

use super::config::{activation, check_divides, check_layers, check_sizes};
use super::decoder::{Block, Decoder, FeedForward, Norm, Order, Positions, Projections};
use super::parts::{Parts, failed};
use super::{Error, Limits};
use crate::Result;

/// The shape of an OPT, as in its `config.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct OptConfig {
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of hidden states.
    pub hidden_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Heads; they divide the width.
    pub num_attention_heads: usize,
    /// Inner width of the feed-forward parts.
    pub ffn_dim: usize,
    /// Width of the embedding; that of hidden states if not given.
    #[serde(default)]
    pub word_embed_proj_dim: Option<usize>,
    /// Whether norms stand before the parts of a layer, or behind them.
    #[serde(default = "yes")]
    pub do_layer_norm_before: bool,
    /// Whether there is no norm behind the last layer, as in some early files.
    #[serde(default, rename = "_remove_final_layer_norm")]
    pub remove_final_layer_norm: bool,
    /// Whether linear layers have biases.
    #[serde(default = "yes")]
    pub enable_bias: bool,
    /// Whether norms have weights and biases.
    #[serde(default = "yes")]
    pub layer_norm_elementwise_affine: bool,
    /// The function inside the feed-forward parts.
    #[serde(default = "relu")]
    pub activation_function: String,
    /// Most tokens of a text.
    pub max_position_embeddings: usize,
}

fn yes() -> bool {
    true
}

fn relu() -> String {
    "relu".to_owned()
}

/// The norms' summand, which no configuration names.
const EPS: f64 = 1e-5;

/// Rows of the table of positions before the first.
const OFFSET: u32 = 2;

impl OptConfig {
    /// Refuses what no OPT can be.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn validate(&self) -> Result<(), Error> {
        check_sizes(&[
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_attention_heads", self.num_attention_heads),
            ("ffn_dim", self.ffn_dim),
            ("word_embed_proj_dim", self.embedded()),
            ("max_position_embeddings", self.max_position_embeddings),
        ])?;
        check_layers("num_hidden_layers", self.num_hidden_layers)?;
        check_divides("num_attention_heads", self.num_attention_heads, "hidden_size", self.hidden_size)?;
        activation("activation_function", &self.activation_function).map(|_| ())
    }

    fn embedded(&self) -> usize {
        self.word_embed_proj_dim.unwrap_or(self.hidden_size)
    }

    pub(super) fn limits(&self) -> Limits {
        Limits { vocab_size: self.vocab_size, max_positions: Some(self.max_position_embeddings) }
    }

    fn norm(&self, parts: &mut Parts<'_>, name: &str) -> Result<LayerNorm> {
        let width = self.hidden_size;
        if self.layer_norm_elementwise_affine {
            return Ok(parts.layer_norm(name, width, EPS)?);
        }
        let plain = || Ok(LayerNorm::new(parts.full(1.0, width)?, parts.full(0.0, width)?, EPS));
        plain().map_err(|source| failed(name, source).into())
    }

    pub(super) fn build(&self, parts: &mut Parts<'_>) -> Result<Decoder> {
        self.validate()?;
        let (width, embedded) = (self.hidden_size, self.embedded());
        let embedding = parts.embedding("model.decoder.embed_tokens", self.vocab_size, embedded)?;
        let n_positions = self.max_position_embeddings + OFFSET as usize;
        let table = parts.positions("model.decoder.embed_positions", n_positions, width)?;
        let mut project = |name: &str, outputs, inputs| -> Result<Option<Linear>> {
            match embedded == width {
                true => Ok(None),
                false => Ok(Some(parts.linear(&format!("model.decoder.{name}"), outputs, inputs, false)?)),
            }
        };
        let (project_in, project_out) =
            (project("project_in", width, embedded)?, project("project_out", embedded, width)?);
        let mut blocks = Vec::with_capacity(self.num_hidden_layers);
        for layer in (0..self.num_hidden_layers).map(|i| format!("model.decoder.layers.{i}")) {
            let first = self.norm(parts, &format!("{layer}.self_attn_layer_norm"))?;
            let second = self.norm(parts, &format!("{layer}.final_layer_norm"))?;
            let mut linear = |name: &str, outputs, inputs| {
                parts.linear(&format!("{layer}.{name}"), outputs, inputs, self.enable_bias)
            };
            blocks.push(Block {
                order: match self.do_layer_norm_before {
                    true => Order::Pre { attention: Norm::Layer(first), feed_forward: Norm::Layer(second) },
                    false => Order::Post { attention: first, feed_forward: second },
                },
                projections: Projections {
                    query: linear("self_attn.q_proj", width, width)?,
                    key: linear("self_attn.k_proj", width, width)?,
                    value: linear("self_attn.v_proj", width, width)?,
                    output: linear("self_attn.out_proj", width, width)?,
                },
                attention: CausalAttention {
                    n_heads: self.num_attention_heads,
                    n_kv_heads: self.num_attention_heads,
                    scale: None,
                    window: None,
                },
                head_norms: None,
                feed_forward: FeedForward::Plain {
                    first: linear("fc1", self.ffn_dim, width)?,
                    second: linear("fc2", width, self.ffn_dim)?,
                    activation: activation("activation_function", &self.activation_function)?,
                },
            });
        }
        let final_norm = match self.do_layer_norm_before && !self.remove_final_layer_norm {
            true => Some(Norm::Layer(self.norm(parts, "model.decoder.final_layer_norm")?)),
            false => None,
        };
        let (embedding, head) = parts.tied_head("lm_head.weight", embedding)?;
        Ok(Decoder {
            positions: Positions::Learned { table, offset: OFFSET },
            project_in,
            blocks,
            final_norm,
            project_out,
            head,
            head_size: width / self.num_attention_heads,
            embedding,
        })
    }
}

/// The name of a tensor in files that were written before the prefix `model.`.
pub(super) fn rename(name: &str) -> Option<String> {
    match name.starts_with("decoder.") {
        true => Some(format!("model.{name}")),
        false => Some(name.to_owned()),
    }
}
