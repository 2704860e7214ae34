//! Qwen2, Qwen2.5 and QwQ (Yang et al. 2024), <https://arxiv.org/abs/2407.10671>: heads of queries that share keys, biases
//! of queries, keys and values alone, and a gated feed-forward part.

use sc_fm::nn::{CausalAttention, Rotary};
use serde::Deserialize;

use super::config::{Rope, Sizes, activation, check_eps, refuse};
use super::decoder::{Block, Decoder, FeedForward, Norm, Order, Positions, Projections};
use super::parts::{Parts, failed};
use super::{Error, Limits};
use crate::Result;

/// The shape of a Qwen2, as in its `config.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct Qwen2Config {
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
    /// The function of the gates.
    #[serde(default = "silu")]
    pub hidden_act: String,
    /// Most tokens of a text.
    pub max_position_embeddings: usize,
    /// Added to the mean square in each norm.
    #[serde(default = "eps")]
    pub rms_norm_eps: f64,
    /// Whether the head is the embedding once more.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    /// Whether layers from `max_window_layers` on see the latest `sliding_window` tokens alone.
    #[serde(default)]
    pub use_sliding_window: bool,
    /// Tokens that a token of such a layer sees; without meaning where `use_sliding_window` is false.
    #[serde(default)]
    pub sliding_window: Option<usize>,
    /// Layers at the beginning without a window.
    #[serde(default)]
    pub max_window_layers: Option<usize>,
    #[serde(flatten)]
    rope: Rope,
}

fn silu() -> String {
    "silu".to_owned()
}

fn eps() -> f64 {
    1e-6
}

impl Qwen2Config {
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

    /// Refuses what no Qwen2 can be.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn validate(&self) -> Result<(), Error> {
        self.sizes().check()?;
        check_eps("rms_norm_eps", self.rms_norm_eps)?;
        if self.use_sliding_window && self.sliding_window == Some(0) {
            return Err(refuse("sliding_window", 0, "at least 1"));
        }
        self.rope.dims(self.head_size(), 1.0)?;
        self.rope_theta()?;
        activation("hidden_act", &self.hidden_act).map(|_| ())
    }

    /// The base of the angles.
    pub(crate) fn rope_theta(&self) -> Result<f64, Error> {
        self.rope.theta(10_000.0)
    }

    fn n_kv_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    fn head_size(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// The window of a layer, if it has one.
    fn window(&self, layer: usize) -> Option<usize> {
        let has_window = self.use_sliding_window && layer >= self.max_window_layers.unwrap_or(28);
        self.sliding_window.filter(|_| has_window)
    }

    pub(super) fn limits(&self) -> Limits {
        Limits { vocab_size: self.vocab_size, max_positions: Some(self.max_position_embeddings) }
    }

    pub(super) fn build(&self, parts: &mut Parts<'_>) -> Result<Decoder> {
        self.validate()?;
        let (width, inner, eps) = (self.hidden_size, self.intermediate_size, self.rms_norm_eps);
        let kv_width = self.head_size() * self.n_kv_heads();
        parts.ignore(&[".rotary_emb.inv_freq"], "computed from the configuration");
        let embedding = parts.embedding("model.embed_tokens", self.vocab_size, width)?;
        let mut blocks = Vec::with_capacity(self.num_hidden_layers);
        for i in 0..self.num_hidden_layers {
            let layer = format!("model.layers.{i}");
            let mut norm = |name: &str| -> Result<Norm> {
                Ok(Norm::Rms(parts.rms_norm(&format!("{layer}.{name}"), width, eps)?))
            };
            let order = Order::Pre {
                attention: norm("input_layernorm")?,
                feed_forward: norm("post_attention_layernorm")?,
            };
            let mut linear = |name: &str, outputs, inputs, has_bias| {
                parts.linear(&format!("{layer}.{name}_proj"), outputs, inputs, has_bias)
            };
            blocks.push(Block {
                order,
                projections: Projections {
                    query: linear("self_attn.q", width, width, true)?,
                    key: linear("self_attn.k", kv_width, width, true)?,
                    value: linear("self_attn.v", kv_width, width, true)?,
                    output: linear("self_attn.o", width, width, false)?,
                },
                attention: CausalAttention {
                    n_heads: self.num_attention_heads,
                    n_kv_heads: self.n_kv_heads(),
                    scale: None,
                    window: self.window(i),
                },
                head_norms: None,
                feed_forward: FeedForward::Gated {
                    gate: linear("mlp.gate", inner, width, false)?,
                    first: linear("mlp.up", inner, width, false)?,
                    second: linear("mlp.down", width, inner, false)?,
                    activation: activation("hidden_act", &self.hidden_act)?,
                },
            });
        }
        let rotary = Rotary::new(self.rope.dims(self.head_size(), 1.0)?, self.rope_theta()?);
        let (embedding, head) = match self.tie_word_embeddings {
            true => parts.tied_head("lm_head.weight", embedding)?,
            false => {
                let embedding =
                    parts.placed(embedding).map_err(|source| failed("model.embed_tokens", source))?;
                (embedding, parts.linear("lm_head", self.vocab_size, width, false)?)
            }
        };
        Ok(Decoder {
            project_in: None,
            positions: Positions::Rotary(rotary.map_err(|source| failed("rotary", source))?),
            blocks,
            final_norm: Some(Norm::Rms(parts.rms_norm("model.norm", width, eps)?)),
            project_out: None,
            head,
            head_size: self.head_size(),
            embedding,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(more: &str) -> Qwen2Config {
        let json = format!(
            r#"{{"vocab_size": 9, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 4,
                "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 32, {more}}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn a_window_that_is_not_used_has_no_meaning() {
        let windows = |more| -> Vec<_> { (0..4).map(|layer| config(more).window(layer)).collect() };
        let unused = r#""use_sliding_window": false, "sliding_window": 8, "max_window_layers": 2"#;
        assert_eq!(windows(unused), [None; 4]);
        assert_eq!(windows(r#""sliding_window": null"#), [None; 4]);
        let used = r#""use_sliding_window": true, "sliding_window": 8, "max_window_layers": 2"#;
        assert_eq!(windows(used), [None, None, Some(8), Some(8)]);
    }

    #[test]
    fn rescaled_positions_are_refused() {
        let error = config(r#""rope_scaling": {"type": "yarn", "factor": 4.0}"#).validate().unwrap_err();
        assert!(error.to_string().contains("`rope_scaling`"), "{error}");
        assert!(error.help().is_some());
    }
}
