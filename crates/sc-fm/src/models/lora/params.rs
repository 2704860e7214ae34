//! New adapters.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::checkpoint::{Adapters, LORA_A, LORA_B, Weights};
use crate::models::normal::uniform_within;
use crate::models::parts::QKV;
use crate::models::{Error, load};

/// What adapters of low rank a model is given to train.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoraParams {
    /// Rows of `A`, columns of `B`. Default 8; at least 1.
    pub rank: usize,
    /// `B A` is multiplied by `alpha / rank`. Default 16; above 0.
    pub alpha: f64,
    /// Share of the adapter's input that is dropped in training. Default 0; below 1.
    pub dropout: f64,
    /// Linear layers of the encoder that get an adapter: the end of the name, from a dot on, as peft's `target_modules`.
    /// Default `query` and `value`, peft's choice for a BERT, and `q_proj` and `v_proj`, the same for scGPT.
    ///
    /// Geneformer has `query`, `key`, `value`, `attention.output.dense`, `intermediate.dense` and `output.dense` (which
    /// is the end of `attention.output.dense` too); scGPT `q_proj`, `k_proj`, `v_proj`, `out_proj`, `linear1`, `linear2`.
    /// The first three are parts of its fused `in_proj`, each with an adapter of its own. Language models have the names of
    /// their files. `all-linear` means all of them; heads and embeddings are never among them.
    pub targets: Vec<String>,
}

impl Default for LoraParams {
    fn default() -> Self {
        let targets = ["query", "value", "q_proj", "v_proj"].map(str::to_owned);
        Self { rank: 8, alpha: 16.0, dropout: 0.0, targets: targets.to_vec() }
    }
}

/// Streams of random numbers of adapters begin behind those of heads.
const FIRST_STREAM: u64 = 2 << 32;

impl LoraParams {
    /// Refuses what makes no adapter.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn validate(&self) -> Result<(), Error> {
        load::check_sizes(&[("rank", self.rank)])?;
        if !(self.alpha.is_finite() && self.alpha > 0.0) {
            return Err(load::refuse("alpha", self.alpha, "a finite number above 0"));
        }
        load::check_share("dropout", self.dropout)
    }

    /// What `B A` is multiplied by.
    pub(super) fn scale(&self) -> f64 {
        self.alpha / self.rank as f64
    }

    pub(crate) fn adapters(&self) -> Adapters {
        Adapters { scale: self.scale(), dropout: self.dropout, own: BTreeMap::new() }
    }

    /// Adds adapters to the weights of a Geneformer, an scGPT or a language model: `A` uniform within `±1/√inputs`, `B` zero, so that
    /// the model computes what it did. Each has a stream of random numbers of its own. Returns the names of the layers
    /// with adapters, sorted.
    ///
    /// The names of their tensors end in `.lora_A.weight` and `.lora_B.weight`.
    ///
    /// # Errors
    /// Those of [`validate`](Self::validate); [`Error::NoTarget`] if no layer has such a name.
    pub fn put_on(&self, weights: &mut Weights, seed: u64) -> Result<Vec<String>> {
        self.validate()?;
        let mut layers = layers(weights);
        let is_target = |name: &str, target: &str| target == "all-linear" || is_end(name, target);
        layers.retain(|(name, ..)| self.targets.iter().any(|target| is_target(name, target)));
        if layers.is_empty() {
            return Err(Error::NoTarget { targets: self.targets.clone() }.into());
        }
        weights.set_adapters(self.adapters());
        for (stream, (name, outputs, inputs)) in (FIRST_STREAM..).zip(&layers) {
            let bound = 1.0 / (*inputs as f64).sqrt();
            let a = uniform_within(self.rank * inputs, bound, seed, stream);
            let a = Tensor::from_vec(a, (self.rank, *inputs), &Device::Cpu)?;
            let b = Tensor::zeros((*outputs, self.rank), DType::F32, &Device::Cpu)?;
            weights.insert(format!("{name}{LORA_A}"), a);
            weights.insert(format!("{name}{LORA_B}"), b);
        }
        Ok(layers.into_iter().map(|(name, ..)| name).collect())
    }
}

/// What the names of tensors inside the layers of a network have in them.
const INSIDE: [&str; 7] = [
    "encoder.layer.",
    "transformer_encoder.layers.",
    "model.layers.",
    "decoder.layers.",
    "transformer.h.",
    "encoder.block.",
    "decoder.block.",
];

/// Name, outputs and inputs of each linear layer inside the network, sorted by name.
fn layers(weights: &Weights) -> Vec<(String, usize, usize)> {
    let mut layers = vec![];
    for name in weights.names() {
        let inside =
            INSIDE.iter().any(|part| name.contains(part)) && !name.contains("relative_attention_bias");
        let Some(&[outputs, inputs]) = weights.shape(name).filter(|_| inside) else { continue };
        if let Some(fused) = fused(name) {
            layers.extend(QKV.map(|part| (format!("{fused}.{part}"), inputs, inputs)));
        } else if let Some(layer) = name
            .strip_suffix(".weight")
            .filter(|layer| !layer.ends_with(".lora_A") && !layer.ends_with(".lora_B"))
        {
            layers.push((layer.to_owned(), outputs, inputs));
        }
    }
    layers.sort_unstable();
    layers
}

/// The attention to which a fused projection belongs, under any of its names.
pub(super) fn fused(name: &str) -> Option<&str> {
    [".in_proj_weight", ".Wqkv.weight"].iter().find_map(|end| name.strip_suffix(end))
}

fn is_end(name: &str, target: &str) -> bool {
    name.strip_suffix(target).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}
