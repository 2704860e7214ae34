//! GPT-Neo (Black et al. 2021): every other layer sees the latest 256 tokens alone, and scores are not scaled.

use sc_fm::nn::CausalAttention;
use serde::Deserialize;

use super::config::{MOST_LAYERS, activation, check_divides, check_eps, check_layers, check_sizes, refuse};
use super::decoder::{Block, Decoder, FeedForward, Norm, Order, Positions, Projections};
use super::parts::Parts;
use super::{Error, Limits};
use crate::Result;

/// The shape of a GPT-Neo, as in its `config.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct GptNeoConfig {
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of hidden states.
    pub hidden_size: usize,
    /// Number of layers.
    pub num_layers: usize,
    /// Heads; they divide the width.
    pub num_heads: usize,
    /// Inner width of the feed-forward parts; four times the width if not given.
    #[serde(default)]
    pub intermediate_size: Option<usize>,
    /// Kinds of layers, and how often each list of them is repeated: `[[["global", "local"], 12]]`.
    #[serde(default)]
    pub attention_types: Vec<(Vec<String>, usize)>,
    /// The kind of each layer, in place of `attention_types`.
    #[serde(default)]
    pub attention_layers: Vec<String>,
    /// Tokens that a token of a local layer sees, itself included.
    #[serde(default = "window")]
    pub window_size: usize,
    /// Most tokens of a text.
    pub max_position_embeddings: usize,
    /// The function inside the feed-forward parts.
    #[serde(default = "gelu_new")]
    pub activation_function: String,
    /// Added to the variance in each norm.
    #[serde(default = "eps")]
    pub layer_norm_epsilon: f64,
}

fn window() -> usize {
    256
}

fn gelu_new() -> String {
    "gelu_new".to_owned()
}

fn eps() -> f64 {
    1e-5
}

impl GptNeoConfig {
    /// Refuses what no GPT-Neo can be.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn validate(&self) -> Result<(), Error> {
        check_sizes(&[
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_heads", self.num_heads),
            ("intermediate_size", self.inner()),
            ("window_size", self.window_size),
            ("max_position_embeddings", self.max_position_embeddings),
        ])?;
        check_layers("num_layers", self.num_layers)?;
        check_divides("num_heads", self.num_heads, "hidden_size", self.hidden_size)?;
        check_eps("layer_norm_epsilon", self.layer_norm_epsilon)?;
        activation("activation_function", &self.activation_function)?;
        self.windows().map(|_| ())
    }

    fn inner(&self) -> usize {
        self.intermediate_size.unwrap_or(self.hidden_size.saturating_mul(4))
    }

    /// The window of each layer, if it has one.
    fn windows(&self) -> Result<Vec<Option<usize>>, Error> {
        let mut kinds: Vec<&str> = self.attention_layers.iter().map(String::as_str).collect();
        if kinds.is_empty() {
            for (list, times) in &self.attention_types {
                let room = MOST_LAYERS.saturating_sub(kinds.len());
                let repeated = std::iter::repeat_n(list, (*times).min(MOST_LAYERS)).flatten();
                kinds.extend(repeated.map(String::as_str).take(room));
            }
        }
        if kinds.len() != self.num_layers {
            let expected = format!("one for each of `num_layers` {}", self.num_layers);
            return Err(refuse("attention_types", format!("of {} layers", kinds.len()), expected));
        }
        let window = |kind: &str| match kind {
            "global" => Ok(None),
            "local" => Ok(Some(self.window_size)),
            other => Err(refuse("attention_types", format!("{other:?}"), "global or local")),
        };
        kinds.into_iter().map(window).collect()
    }

    pub(super) fn limits(&self) -> Limits {
        Limits { vocab_size: self.vocab_size, max_positions: Some(self.max_position_embeddings) }
    }

    pub(super) fn build(&self, parts: &mut Parts<'_>) -> Result<Decoder> {
        self.validate()?;
        let (width, eps) = (self.hidden_size, self.layer_norm_epsilon);
        parts.ignore(&[".attn.attention.bias", ".attn.attention.masked_bias"], "a mask");
        let embedding = parts.embedding("transformer.wte", self.vocab_size, width)?;
        let table = parts.positions("transformer.wpe", self.max_position_embeddings, width)?;
        let mut blocks = Vec::with_capacity(self.num_layers);
        for (i, window) in self.windows()?.into_iter().enumerate() {
            let layer = format!("transformer.h.{i}");
            let attention = format!("{layer}.attn.attention");
            let mut projection =
                |name: &str, has_bias| parts.linear(&format!("{attention}.{name}"), width, width, has_bias);
            let projections = Projections {
                query: projection("q_proj", false)?,
                key: projection("k_proj", false)?,
                value: projection("v_proj", false)?,
                output: projection("out_proj", true)?,
            };
            blocks.push(Block {
                order: Order::Pre {
                    attention: Norm::Layer(parts.layer_norm(&format!("{layer}.ln_1"), width, eps)?),
                    feed_forward: Norm::Layer(parts.layer_norm(&format!("{layer}.ln_2"), width, eps)?),
                },
                projections,
                attention: CausalAttention {
                    n_heads: self.num_heads,
                    n_kv_heads: self.num_heads,
                    scale: Some(1.0),
                    window,
                },
                head_norms: None,
                feed_forward: FeedForward::Plain {
                    first: parts.linear(&format!("{layer}.mlp.c_fc"), self.inner(), width, true)?,
                    second: parts.linear(&format!("{layer}.mlp.c_proj"), width, self.inner(), true)?,
                    activation: activation("activation_function", &self.activation_function)?,
                },
            });
        }
        let (embedding, head) = parts.tied_head("lm_head.weight", embedding)?;
        Ok(Decoder {
            positions: Positions::Learned { table, offset: 0 },
            project_in: None,
            blocks,
            final_norm: Some(Norm::Layer(parts.layer_norm("transformer.ln_f", width, eps)?)),
            project_out: None,
            head,
            head_size: width / self.num_heads,
            embedding,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(lists: &str) -> GptNeoConfig {
        let json = format!(
            r#"{{"vocab_size": 9, "hidden_size": 8, "num_layers": 3, "num_heads": 2, "window_size": 4,
                "max_position_embeddings": 16, {lists}}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn kinds_of_layers_are_repeated_or_listed() {
        let expected = [None, Some(4), None];
        let repeated = config(r#""attention_types": [[["global", "local"], 1], [["global"], 1]]"#);
        assert_eq!(repeated.windows().unwrap(), expected);
        let listed =
            config(r#""attention_layers": ["global", "local", "global"], "intermediate_size": null"#);
        assert_eq!(listed.windows().unwrap(), expected);
        assert_eq!(listed.inner(), 32);
    }

    #[test]
    fn layers_without_a_kind_or_of_another_kind_are_refused() {
        let message = |lists| config(lists).validate().unwrap_err().to_string();
        let error = message(r#""attention_types": [[["global", "local"], 4294967296]]"#);
        assert!(error.contains("is of 4096 layers, expected one for each of `num_layers` 3"), "{error}");
        let error = message(r#""attention_layers": ["global", "sparse", "global"]"#);
        assert!(error.contains(r#""sparse", expected global or local"#), "{error}");
    }
}
