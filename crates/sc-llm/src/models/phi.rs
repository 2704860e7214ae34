//! Phi-1 and Phi-1.5 (Li et al. 2023), <https://arxiv.org/abs/2309.05463>: attention and feed-forward part side by side
//! behind one norm, half of each head turning, and a head with a bias.

use candle_core::Tensor;
use sc_fm::nn::{Activation, CausalAttention, LayerNorm, Linear, Rotary};
use serde::Deserialize;

use super::config::{Rope, Sizes, activation, check_eps};
use super::decoder::{Block, Decoder, FeedForward, Norm, Order, Positions, Projections};
use super::parts::{Parts, failed};
use super::{Error, Limits};
use crate::Result;

/// The shape of a Phi, as in its `config.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct PhiConfig {
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of hidden states.
    pub hidden_size: usize,
    /// Inner width of the feed-forward parts.
    pub intermediate_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Heads of queries; they divide the width.
    pub num_attention_heads: usize,
    /// Heads of keys and values; as many as of queries if not given.
    #[serde(default)]
    pub num_key_value_heads: Option<usize>,
    /// The function inside the feed-forward parts.
    #[serde(default = "gelu_new")]
    pub hidden_act: String,
    /// Most tokens of a text.
    pub max_position_embeddings: usize,
    /// Added to the variance in each norm.
    #[serde(default = "eps")]
    pub layer_norm_eps: f64,
    /// Whether heads of queries and keys are normalised.
    #[serde(default)]
    pub qk_layernorm: bool,
    /// Whether the head is the embedding once more.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    #[serde(flatten)]
    rope: Rope,
}

fn gelu_new() -> String {
    "gelu_new".to_owned()
}

fn eps() -> f64 {
    1e-5
}

/// A tensor that only files in the layout of the first upload have.
const FIRST_LAYOUT: &str = "layers.0.wte.weight";

impl PhiConfig {
    /// Its sizes under the names that both configurations have.
    pub(crate) fn sizes(&self) -> Sizes {
        Sizes {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            num_key_value_heads: self.n_kv_heads(),
            max_position_embeddings: self.max_position_embeddings,
        }
    }

    /// Refuses what no Phi can be.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn validate(&self) -> Result<(), Error> {
        self.sizes().check()?;
        check_eps("layer_norm_eps", self.layer_norm_eps)?;
        if self.tie_word_embeddings {
            return Err(super::config::refuse(
                "tie_word_embeddings",
                true,
                "false: the head of a Phi has a bias",
            ));
        }
        self.rotary()?;
        activation("hidden_act", &self.hidden_act).map(|_| ())
    }

    fn n_kv_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    fn rotary_dims(&self) -> Result<usize, Error> {
        self.rope.dims(self.hidden_size / self.num_attention_heads, 0.5)
    }

    /// The columns of a head that turn, and the base of the angles.
    pub(crate) fn rotary(&self) -> Result<(usize, f64), Error> {
        Ok((self.rotary_dims()?, self.rope.theta(10_000.0)?))
    }

    pub(super) fn limits(&self) -> Limits {
        Limits { vocab_size: self.vocab_size, max_positions: Some(self.max_position_embeddings) }
    }

    pub(super) fn build(&self, parts: &mut Parts<'_>) -> Result<Decoder> {
        self.validate()?;
        let names = Names { is_first: parts.contains(FIRST_LAYOUT), n_layers: self.num_hidden_layers };
        let (width, inner, eps) = (self.hidden_size, self.intermediate_size, self.layer_norm_eps);
        let head_size = width / self.num_attention_heads;
        parts.ignore(&[".rotary_emb.inv_freq"], "computed from the configuration");
        let embedding = parts.embedding(names.embedding(), self.vocab_size, width)?;
        let embedding = parts.placed(embedding).map_err(|source| failed(names.embedding(), source))?;
        let mut blocks = Vec::with_capacity(self.num_hidden_layers);
        for i in 0..self.num_hidden_layers {
            let norm = Norm::Layer(parts.layer_norm(&names.norm(i), width, eps)?);
            let [query, key, value] = self.projections(parts, &names, i)?;
            let mut head_norm = |name: &str| -> Result<LayerNorm> {
                Ok(parts.layer_norm(&format!("{}.{name}_layernorm", names.attention(i)), head_size, eps)?)
            };
            let head_norms = match self.qk_layernorm {
                true => Some([head_norm("q")?, head_norm("k")?]),
                false => None,
            };
            let mlp = names.feed_forward(i);
            blocks.push(Block {
                order: Order::Parallel { norm },
                projections: Projections {
                    query,
                    key,
                    value,
                    output: parts.linear(&names.output(i), width, width, true)?,
                },
                attention: CausalAttention {
                    n_heads: self.num_attention_heads,
                    n_kv_heads: self.n_kv_heads(),
                    scale: None,
                    window: None,
                },
                head_norms,
                feed_forward: FeedForward::Plain {
                    first: parts.linear(&format!("{mlp}.fc1"), inner, width, true)?,
                    second: parts.linear(&format!("{mlp}.fc2"), width, inner, true)?,
                    activation: self.activation()?,
                },
            });
        }
        let (turning, theta) = self.rotary()?;
        let rotary = Rotary::new(turning, theta);
        Ok(Decoder {
            embedding,
            project_in: None,
            positions: Positions::Rotary(rotary.map_err(|source| failed("rotary", source))?),
            blocks,
            final_norm: Some(Norm::Layer(parts.layer_norm(&names.final_norm(), width, eps)?)),
            project_out: None,
            head: parts.linear(&names.head(), self.vocab_size, width, true)?,
            head_size,
        })
    }

    fn activation(&self) -> Result<Activation, Error> {
        activation("hidden_act", &self.hidden_act)
    }

    /// Queries, keys and values of a layer; in some files rows of one matrix.
    fn projections(&self, parts: &mut Parts<'_>, names: &Names, layer: usize) -> Result<[Linear; 3]> {
        let width = self.hidden_size;
        let kv_width = width / self.num_attention_heads * self.n_kv_heads();
        let attention = names.attention(layer);
        let name = format!("{attention}.Wqkv");
        if !parts.contains(&format!("{name}.weight")) {
            let mut linear =
                |name: &str, outputs| parts.linear(&format!("{attention}.{name}_proj"), outputs, width, true);
            return Ok([linear("q", width)?, linear("k", kv_width)?, linear("v", kv_width)?]);
        }
        let fused = parts.linear(&name, width + 2 * kv_width, width, true)?;
        let part = |first: usize, n: usize| -> Result<Linear> {
            let narrow = |x: &Tensor| x.narrow(0, first, n)?.contiguous();
            let part = match (fused.weight(), fused.bias()) {
                (Some(weight), Some(bias)) => {
                    narrow(weight).and_then(|weight| parts.linear_of(weight, Some(narrow(bias)?)))
                }
                _ => fused.select(&(first as u32..(first + n) as u32).collect::<Vec<_>>()),
            };
            part.map_err(|source| failed(&name, source).into())
        };
        Ok([part(0, width)?, part(width, kv_width)?, part(width + kv_width, kv_width)?])
    }
}

/// Names of tensors: those of today, or those of the first upload, where the layers of the network are numbered through
/// from the embedding to the head.
struct Names {
    is_first: bool,
    n_layers: usize,
}

impl Names {
    fn either(&self, first: String, now: String) -> String {
        if self.is_first { first } else { now }
    }

    fn embedding(&self) -> &'static str {
        if self.is_first { "layers.0.wte" } else { "model.embed_tokens" }
    }

    fn norm(&self, layer: usize) -> String {
        self.either(format!("layers.{}.ln", layer + 1), format!("model.layers.{layer}.input_layernorm"))
    }

    fn attention(&self, layer: usize) -> String {
        self.either(format!("layers.{}.mixer", layer + 1), format!("model.layers.{layer}.self_attn"))
    }

    fn output(&self, layer: usize) -> String {
        let part = if self.is_first { "out_proj" } else { "dense" };
        format!("{}.{part}", self.attention(layer))
    }

    fn feed_forward(&self, layer: usize) -> String {
        self.either(format!("layers.{}.mlp", layer + 1), format!("model.layers.{layer}.mlp"))
    }

    fn final_norm(&self) -> String {
        self.either(format!("layers.{}.ln", self.n_layers + 1), "model.final_layernorm".to_owned())
    }

    fn head(&self) -> String {
        self.either(format!("layers.{}.linear", self.n_layers + 1), "lm_head".to_owned())
    }
}
