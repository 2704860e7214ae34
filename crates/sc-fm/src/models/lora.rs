//! Adapters of low rank (Hu et al. 2021), <https://arxiv.org/abs/2106.09685>, as Hugging Face's `peft` saves them.

use std::path::Path;

use serde::Deserialize;

use super::{Error, LoadOptions, load};
use crate::Result;
use crate::checkpoint::Weights;

/// The fields of an `adapter_config.json` that decide what an adapter computes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
struct LoraConfig {
    peft_type: String,
    r: usize,
    lora_alpha: f64,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    use_dora: bool,
    #[serde(default)]
    fan_in_fan_out: bool,
    #[serde(default)]
    rank_pattern: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    alpha_pattern: serde_json::Map<String, serde_json::Value>,
}

impl LoraConfig {
    fn validate(&self) -> Result<(), Error> {
        if self.peft_type != "LORA" {
            return Err(load::refuse("peft_type", &self.peft_type, "LORA"));
        }
        load::check_sizes(&[("r", self.r)])?;
        if !(self.lora_alpha.is_finite() && self.lora_alpha > 0.0) {
            return Err(load::refuse("lora_alpha", self.lora_alpha, "a finite number above 0"));
        }
        for (field, is_set) in [("use_dora", self.use_dora), ("fan_in_fan_out", self.fan_in_fan_out)] {
            if is_set {
                return Err(load::refuse(field, true, "false"));
            }
        }
        for (field, pattern) in [("rank_pattern", &self.rank_pattern), ("alpha_pattern", &self.alpha_pattern)]
        {
            if !pattern.is_empty() {
                return Err(load::refuse(field, format!("{} entries", pattern.len()), "none"));
            }
        }
        Ok(())
    }
}

/// An adapter of low rank: for some linear layers `A` (`r × in`) and `B` (`out × r`), and layers trained whole.
#[derive(Debug)]
pub struct LoraAdapter {
    r: usize,
    scale: f64,
    weights: Weights,
}

const A: &str = ".lora_A.weight";
const B: &str = ".lora_B.weight";

impl LoraAdapter {
    /// From a folder with `adapter_config.json` and `adapter_model.safetensors` (or `.bin`).
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Parse`], [`Error::Config`] for adapters of another kind, and those of
    /// [`Weights::open_with`].
    pub fn load(folder: &Path, options: &LoadOptions) -> Result<Self> {
        let folder = load::folder(folder)?;
        let config: LoraConfig = load::config(&folder.join("adapter_config.json"), "a LoRA adapter")?;
        config.validate()?;
        let weights = load::weights(&folder, options)?;
        let bare = |name: &str| Some(name.strip_prefix("base_model.model.").unwrap_or(name).to_owned());
        let rank = config.r as f64;
        let scale = config.lora_alpha / if config.use_rslora { rank.sqrt() } else { rank };
        Ok(Self { r: config.r, scale, weights: weights.renamed(bare) })
    }

    /// `W + scale · B A` in place of each weight that has an adapter; layers that were trained whole replace theirs, or
    /// come in addition.
    ///
    /// * `weights`: of the model that the adapter was trained on, with the names of its file.
    ///
    /// # Errors
    /// [`Missing`](crate::checkpoint::Error::Missing) and [`Shape`](crate::checkpoint::Error::Shape) if the adapter is
    /// none of this model.
    pub fn merge_into(mut self, weights: &mut Weights) -> Result<()> {
        let names: Vec<String> = self.weights.names().map(str::to_owned).collect();
        for layer in names.iter().filter_map(|name| name.strip_suffix(A)) {
            let n = |name: String, axis: usize| {
                self.weights.shape(&name).and_then(|shape| shape.get(axis).copied())
            };
            let (inputs, outputs) = (n(format!("{layer}{A}"), 1), n(format!("{layer}{B}"), 0));
            let (inputs, outputs) = (inputs.unwrap_or(0), outputs.unwrap_or(0));
            let a = self.weights.take(&format!("{layer}{A}"), &[self.r, inputs])?;
            let b = self.weights.take(&format!("{layer}{B}"), &[outputs, self.r])?;
            let name = format!("{layer}.weight");
            let merged = (weights.take(&name, &[outputs, inputs])? + (b.matmul(&a)? * self.scale)?)?;
            weights.insert(name, merged);
        }
        let whole: Vec<String> = self.weights.names().map(str::to_owned).collect();
        for name in whole {
            let shape = self.weights.shape(&name).unwrap_or_default().to_vec();
            let tensor = self.weights.take(&name, &shape)?;
            if weights.contains(&name) {
                weights.take(&name, &shape)?;
            }
            weights.insert(name, tensor);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;

    fn config(more: &str) -> Result<(), Error> {
        let json = format!(r#"{{"peft_type": "LORA", "r": 2, "lora_alpha": 4{more}}}"#);
        serde_json::from_str::<LoraConfig>(&json).unwrap().validate()
    }

    #[test]
    fn adapters_that_compute_something_else_are_refused() {
        config(r#", "task_type": "SEQ_CLS", "use_rslora": true, "rank_pattern": {}"#).unwrap();
        let message = |more: &str| config(more).unwrap_err().to_string();
        assert_eq!(
            message(r#", "use_dora": true"#),
            "`use_dora` of the configuration is true, expected false"
        );
        assert!(message(r#", "fan_in_fan_out": true"#).contains("`fan_in_fan_out`"));
        assert!(message(r#", "rank_pattern": {"query": 8}"#).contains("1 entries, expected none"));
        assert!(message(r#", "alpha_pattern": {"query": 8}"#).contains("`alpha_pattern`"));
        let ia3 = r#"{"peft_type": "IA3", "r": 2, "lora_alpha": 4}"#;
        let ia3 = serde_json::from_str::<LoraConfig>(ia3).unwrap().validate().unwrap_err();
        assert!(ia3.to_string().ends_with("is IA3, expected LORA"));
    }

    #[test]
    fn the_product_is_added_and_whole_layers_replace_theirs() {
        let tensor =
            |values: &[f32], shape: [usize; 2]| Tensor::from_slice(values, &shape[..], &Device::Cpu).unwrap();
        let adapter = |name: &str| LoraAdapter {
            r: 1,
            scale: 2.0,
            weights: Weights::new([
                (format!("{name}.lora_A.weight"), tensor(&[1.0, -1.0], [1, 2])),
                (format!("{name}.lora_B.weight"), tensor(&[3.0, 0.5], [2, 1])),
                ("classifier.weight".to_owned(), tensor(&[7.0], [1, 1])),
            ]),
        };
        let base = || {
            let query = tensor(&[1.0, 2.0, 3.0, 4.0], [2, 2]);
            Weights::new([
                ("q.weight".to_owned(), query),
                ("classifier.weight".to_owned(), tensor(&[0.0], [1, 1])),
            ])
        };
        let mut weights = base();
        adapter("q").merge_into(&mut weights).unwrap();
        let merged = weights.take("q.weight", &[2, 2]).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(merged, [[7.0, -4.0], [4.0, 3.0]]);
        let whole = weights.take("classifier.weight", &[1, 1]).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(whole, [[7.0]]);
        weights.finish().unwrap();
        let error = adapter("k").merge_into(&mut base()).unwrap_err();
        assert!(error.to_string().contains("\"k.weight\""), "{error}");
    }
}
