//! `adapter_config.json`.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::models::{Error, load};

/// The fields of an `adapter_config.json` that decide what an adapter computes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct LoraConfig {
    peft_type: String,
    pub(super) r: usize,
    lora_alpha: f64,
    #[serde(default)]
    pub(super) lora_dropout: f64,
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
    pub(super) fn validate(&self) -> Result<(), Error> {
        if self.peft_type != "LORA" {
            return Err(load::refuse("peft_type", &self.peft_type, "LORA"));
        }
        load::check_sizes(&[("r", self.r)])?;
        if !(self.lora_alpha.is_finite() && self.lora_alpha > 0.0) {
            return Err(load::refuse("lora_alpha", self.lora_alpha, "a finite number above 0"));
        }
        load::check_share("lora_dropout", self.lora_dropout)?;
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

    /// What `B A` is multiplied by.
    pub(super) fn scale(&self) -> f64 {
        let rank = self.r as f64;
        self.lora_alpha / if self.use_rslora { rank.sqrt() } else { rank }
    }
}

/// What is written in an `adapter_config.json`.
pub(super) struct Written<'a> {
    pub(super) r: usize,
    pub(super) scale: f64,
    pub(super) dropout: f64,
    /// Whole names of layers.
    pub(super) targets: Vec<String>,
    /// Names of modules trained whole.
    pub(super) whole: Vec<String>,
    pub(super) base: Option<&'a str>,
}

impl Written<'_> {
    pub(super) fn json(&self) -> Value {
        let has = |module: &str| self.whole.iter().any(|whole| whole == module);
        // What the heads are in Hugging Face's words; others are of no model of theirs.
        let task = match (has("classifier"), has("pooler")) {
            (true, true) => Some("SEQ_CLS"),
            (true, false) => Some("TOKEN_CLS"),
            _ => None,
        };
        let modules = (!self.whole.is_empty()).then_some(&self.whole);
        let alpha = self.scale * self.r as f64;
        let alpha = if alpha.fract() == 0.0 { json!(alpha as u64) } else { json!(alpha) };
        json!({
            "peft_type": "LORA", "task_type": task, "base_model_name_or_path": self.base, "inference_mode": true,
            "r": self.r, "lora_alpha": alpha, "lora_dropout": self.dropout, "target_modules": self.targets,
            "modules_to_save": modules, "bias": "none", "fan_in_fan_out": false, "init_lora_weights": true,
            "use_rslora": false, "use_dora": false, "rank_pattern": {}, "alpha_pattern": {},
        })
    }
}
