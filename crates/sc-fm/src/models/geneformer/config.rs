//! Geneformer's `config.json`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::models::{Error, load};
use crate::nn::Activation;

/// The shape of a Geneformer, with the names and defaults of its `config.json` (a BERT of Hugging Face). Other fields
/// of the file are left aside.
///
/// | release | layers | width | heads | inner width | tokens | positions |
/// |---|---|---|---|---|---|---|
/// | V1-10M | 6 | 256 | 4 | 512 | 25,426 | 2,048 |
/// | V2-104M | 12 | 768 | 12 | 3,072 | 20,275 | 4,096 |
/// | V2-316M | 18 | 1,152 | 18 | 4,608 | 20,275 | 4,096 |
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeneformerConfig {
    /// Always `bert`.
    pub model_type: String,
    /// Width of the hidden states.
    pub hidden_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Heads of each attention; they divide the width.
    pub num_attention_heads: usize,
    /// Width inside the feed-forward parts.
    pub intermediate_size: usize,
    /// Number of tokens, equal to that of the token dictionary.
    pub vocab_size: usize,
    /// Tokens of the longest cell, special ones included.
    pub max_position_embeddings: usize,
    /// Entries of the token type table, of which the first is used.
    #[serde(default = "two")]
    pub type_vocab_size: usize,
    /// Added to the variance in each norm.
    #[serde(default = "tiny")]
    pub layer_norm_eps: f64,
    /// The function inside the feed-forward parts and the head of the masked language model.
    pub hidden_act: HiddenAct,
    /// Share of hidden values dropped in training.
    #[serde(default = "tenth")]
    pub hidden_dropout_prob: f64,
    /// Share of attention weights dropped in training.
    #[serde(default = "tenth")]
    pub attention_probs_dropout_prob: f64,
    /// Standard deviation of new weights.
    #[serde(default = "fiftieth")]
    pub initializer_range: f64,
    /// The token of padding.
    #[serde(default)]
    pub pad_token_id: u32,
    /// Always `absolute`.
    #[serde(default = "absolute")]
    pub position_embedding_type: String,
    /// Names of the classes of a classifier; without any there are two, as in Hugging Face's reading.
    #[serde(default = "two_labels")]
    pub id2label: BTreeMap<u32, String>,
}

/// The functions that a configuration can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HiddenAct {
    /// `max(x, 0)`; all released models.
    Relu,
    /// `x · Φ(x)` with the error function.
    Gelu,
}

impl HiddenAct {
    /// The function.
    pub fn activation(self) -> Activation {
        match self {
            Self::Relu => Activation::Relu,
            Self::Gelu => Activation::Gelu,
        }
    }
}

fn two() -> usize {
    2
}

fn tiny() -> f64 {
    1e-12
}

fn tenth() -> f64 {
    0.1
}

fn fiftieth() -> f64 {
    0.02
}

fn absolute() -> String {
    "absolute".to_owned()
}

fn two_labels() -> BTreeMap<u32, String> {
    (0..2).map(|label| (label, format!("LABEL_{label}"))).collect()
}

/// What a tensor is before training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// N(0, `initializer_range`²).
    Normal,
    /// As [`Start::Normal`], with the row of padding zero.
    NormalButPadding,
    Zeros,
    Ones,
}

impl GeneformerConfig {
    /// Reads and checks a `config.json`.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Parse`], and those of [`validate`](Self::validate).
    pub fn read(path: &Path) -> Result<Self, Error> {
        let config: Self = load::config(path, "Geneformer")?;
        config.validate()?;
        Ok(config)
    }

    /// Number of classes of a classifier.
    pub fn n_labels(&self) -> usize {
        self.id2label.len()
    }

    /// Refuses what no Geneformer can be.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn validate(&self) -> Result<(), Error> {
        if self.model_type != "bert" {
            return Err(load::refuse("model_type", &self.model_type, "bert"));
        }
        if self.position_embedding_type != "absolute" {
            return Err(load::refuse("position_embedding_type", &self.position_embedding_type, "absolute"));
        }
        load::check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("vocab_size", self.vocab_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("type_vocab_size", self.type_vocab_size),
            ("id2label", self.n_labels()),
        ])?;
        load::check_layers("num_hidden_layers", self.num_hidden_layers)?;
        load::check_heads("num_attention_heads", self.num_attention_heads, "hidden_size", self.hidden_size)?;
        if self.pad_token_id as usize >= self.vocab_size {
            let expected = format!("a token below `vocab_size` {}", self.vocab_size);
            return Err(load::refuse("pad_token_id", self.pad_token_id, expected));
        }
        let eps = self.layer_norm_eps;
        if !(eps > 0.0 && eps < 1.0) {
            return Err(load::refuse("layer_norm_eps", eps, "above 0 and below 1"));
        }
        let deviation = self.initializer_range;
        if !(deviation > 0.0 && deviation < 10.0) {
            return Err(load::refuse("initializer_range", deviation, "above 0 and below 10"));
        }
        load::check_share("hidden_dropout_prob", self.hidden_dropout_prob)?;
        load::check_share("attention_probs_dropout_prob", self.attention_probs_dropout_prob)
    }

    /// Name, shape and start of every tensor of the model with its masked language model head, as they stand in
    /// Hugging Face's files.
    pub(super) fn parameters(&self) -> Vec<(String, Vec<usize>, Start)> {
        let (width, inner) = (self.hidden_size, self.intermediate_size);
        let mut all = vec![];
        let mut add = |name: String, shape: &[usize], start| all.push((name, shape.to_vec(), start));
        let embeddings = "bert.embeddings";
        let (words, positions) = (self.vocab_size, self.max_position_embeddings);
        add(format!("{embeddings}.word_embeddings.weight"), &[words, width], Start::NormalButPadding);
        add(format!("{embeddings}.position_embeddings.weight"), &[positions, width], Start::Normal);
        add(
            format!("{embeddings}.token_type_embeddings.weight"),
            &[self.type_vocab_size, width],
            Start::Normal,
        );
        let mut norms = vec![format!("{embeddings}.LayerNorm")];
        let mut linears = vec![];
        for layer in (0..self.num_hidden_layers).map(|i| format!("bert.encoder.layer.{i}")) {
            for part in ["self.query", "self.key", "self.value", "output.dense"] {
                linears.push((format!("{layer}.attention.{part}"), width, width));
            }
            linears.push((format!("{layer}.intermediate.dense"), inner, width));
            linears.push((format!("{layer}.output.dense"), width, inner));
            norms.push(format!("{layer}.attention.output.LayerNorm"));
            norms.push(format!("{layer}.output.LayerNorm"));
        }
        linears.push(("cls.predictions.transform.dense".to_owned(), width, width));
        norms.push("cls.predictions.transform.LayerNorm".to_owned());
        for (name, outputs, inputs) in linears {
            add(format!("{name}.weight"), &[outputs, inputs], Start::Normal);
            add(format!("{name}.bias"), &[outputs], Start::Zeros);
        }
        for name in norms {
            add(format!("{name}.weight"), &[width], Start::Ones);
            add(format!("{name}.bias"), &[width], Start::Zeros);
        }
        add("cls.predictions.bias".to_owned(), &[words], Start::Zeros);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<GeneformerConfig, serde_json::Error> {
        serde_json::from_str(json)
    }

    const TINY: &str = r#"{"model_type": "bert", "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 16, "vocab_size": 10, "max_position_embeddings": 6, "hidden_act": "relu",
        "gradient_checkpointing": false}"#;

    #[test]
    fn fields_that_are_absent_have_the_library_s_defaults() {
        let config = parse(TINY).unwrap();
        config.validate().unwrap();
        assert_eq!((config.type_vocab_size, config.pad_token_id, config.n_labels()), (2, 0, 2));
        assert_eq!((config.layer_norm_eps, config.initializer_range), (1e-12, 0.02));
        let labels = parse(&TINY.replace('{', r#"{"id2label": {"0": "B", "1": "T", "2": "NK"},"#)).unwrap();
        assert_eq!(labels.n_labels(), 3);
    }

    #[test]
    fn configurations_of_other_models_are_refused() {
        let message = |from: &str, to: &str| {
            let text = TINY.replace(from, to);
            assert_ne!(text, TINY);
            match parse(&text) {
                Ok(config) => config.validate().unwrap_err().to_string(),
                Err(error) => error.to_string(),
            }
        };
        assert_eq!(message("bert", "llama"), "`model_type` of the configuration is llama, expected bert");
        assert_eq!(
            message(r#"heads": 2"#, r#"heads": 3"#),
            "`num_attention_heads` of the configuration is 3, expected a divisor of `hidden_size` 8"
        );
        assert!(message("relu", "silu").starts_with("unknown variant `silu`, expected `relu` or `gelu`"));
        assert!(message(r#""hidden_size": 8,"#, "").starts_with("missing field `hidden_size`"));
        assert!(message(r#"vocab_size": 10"#, r#"vocab_size": 0"#).contains("`vocab_size`"));
        assert!(message(r#"size": 8"#, r#"size": 4294967296"#).contains("1 to 16,777,216"));
        let rotary = r#"{"position_embedding_type": "rotary","#;
        assert!(message("{", rotary).contains("expected absolute"));
        assert!(message("{", r#"{"pad_token_id": 10,"#).contains("a token below `vocab_size` 10"));
        assert!(message("{", r#"{"hidden_dropout_prob": 1.0,"#).contains("hidden_dropout_prob"));
        assert!(message("{", r#"{"layer_norm_eps": 0.0,"#).contains("layer_norm_eps"));
        assert!(message("{", r#"{"initializer_range": -1.0,"#).contains("initializer_range"));
    }
}
