//! `adapter_config.json`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::models::{Error, load};

/// The fields of an `adapter_config.json` that decide what an adapter computes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct LoraConfig {
    peft_type: String,
    r: usize,
    lora_alpha: f64,
    #[serde(default)]
    pub(super) lora_dropout: f64,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    pub(super) task_type: Option<String>,
    #[serde(default)]
    rank_pattern: BTreeMap<String, usize>,
    #[serde(default)]
    alpha_pattern: BTreeMap<String, f64>,
    #[serde(flatten)]
    others: serde_json::Map<String, Value>,
}

/// Fields that change what an adapter computes, and their values that do not.
const REFUSED: [(&str, &str); 15] = [
    ("use_dora", "false"),
    ("fan_in_fan_out", "false"),
    ("bias", "none"),
    ("lora_bias", "false"),
    ("use_qalora", "false"),
    ("use_bdlora", "unset"),
    ("alora_invocation_tokens", "unset"),
    ("arrow_config", "unset"),
    ("kasa_config", "unset"),
    ("velora_config", "unset"),
    ("monteclora_config", "unset"),
    ("megatron_config", "unset"),
    ("layer_replication", "unset"),
    ("target_parameters", "unset"),
    ("trainable_token_indices", "unset"),
];

impl LoraConfig {
    pub(super) fn validate(&self) -> Result<(), Error> {
        if self.peft_type != "LORA" {
            return Err(load::refuse("peft_type", &self.peft_type, "LORA"));
        }
        load::check_share("lora_dropout", self.lora_dropout)?;
        for (field, expected) in REFUSED {
            let value = self.others.get(field).unwrap_or(&Value::Null);
            if !value.is_null() && value != false && value != "none" {
                return Err(load::refuse(field, value, expected));
            }
        }
        let ranks = [("r", self.r)].into_iter();
        for (field, rank) in ranks.chain(self.rank_pattern.values().map(|&rank| ("rank_pattern", rank))) {
            load::check_sizes(&[(field, rank)])?;
        }
        let alphas = [("lora_alpha", self.lora_alpha)].into_iter();
        for (field, alpha) in alphas.chain(self.alpha_pattern.values().map(|&alpha| ("alpha_pattern", alpha)))
        {
            if !(alpha.is_finite() && alpha > 0.0) {
                return Err(load::refuse(field, alpha, "a finite number above 0"));
            }
        }
        let keys = |field| move |key: &String| (field, key.clone());
        let ranks = self.rank_pattern.keys().map(keys("rank_pattern"));
        for (field, key) in ranks.chain(self.alpha_pattern.keys().map(keys("alpha_pattern"))) {
            let is_plain = |c: char| c.is_alphanumeric() || ['_', '-', '.'].contains(&c);
            if key.is_empty() || !plain(&key).chars().all(is_plain) {
                return Err(load::refuse(field, format!("{key:?}"), "the end of a layer's name"));
            }
        }
        Ok(())
    }

    /// The rank of a layer's adapter, and what its product is multiplied by.
    pub(super) fn of(&self, layer: &str) -> Result<(usize, f64), Error> {
        let rank = pattern("rank_pattern", &self.rank_pattern, layer)?.unwrap_or(self.r);
        let alpha = pattern("alpha_pattern", &self.alpha_pattern, layer)?.unwrap_or(self.lora_alpha);
        let by = rank as f64;
        Ok((rank, alpha / if self.use_rslora { by.sqrt() } else { by }))
    }
}

/// A name that was written as a pattern.
fn plain(key: &str) -> String {
    key.strip_prefix('^').unwrap_or(key).replace("\\.", ".")
}

/// The value whose key a layer's name ends in, or is, if the key begins with `^`.
fn pattern<T: Copy + PartialEq + std::fmt::Display>(
    field: &'static str,
    values: &BTreeMap<String, T>,
    layer: &str,
) -> Result<Option<T>, Error> {
    let is_of = |key: &String| {
        let rest = layer.strip_suffix(&plain(key));
        rest.is_some_and(|rest| rest.is_empty() || (rest.ends_with('.') && !key.starts_with('^')))
    };
    let mut found = values.iter().filter(|(key, _)| is_of(key)).map(|(_, value)| *value);
    let first = found.next();
    match found.find(|value| Some(*value) != first) {
        Some(other) => {
            Err(load::refuse(field, format!("{other} and another value"), format!("one for {layer}")))
        }
        None => Ok(first),
    }
}

/// What is written in an `adapter_config.json`.
pub(super) struct Written<'a> {
    /// Whole names of layers, and the rank and scale of each.
    pub(super) targets: BTreeMap<&'a str, (usize, f64)>,
    pub(super) dropout: f64,
    /// Names of modules trained whole.
    pub(super) whole: Vec<String>,
    pub(super) task: Option<&'a str>,
    pub(super) base: Option<&'a str>,
}

impl Written<'_> {
    pub(super) fn json(&self) -> Value {
        let has = |module: &str| self.whole.iter().any(|whole| whole == module);
        // What the heads are in Hugging Face's words; others are of no model of theirs.
        let task = match (has("classifier"), has("pooler")) {
            (true, true) => Some("SEQ_CLS"),
            (true, false) => Some("TOKEN_CLS"),
            _ => self.task,
        };
        let alpha = |(rank, scale): (usize, f64)| {
            let alpha = scale * rank as f64;
            if alpha.fract() == 0.0 { json!(alpha as u64) } else { json!(alpha) }
        };
        // That of the first layer for all, and patterns for those that have another.
        let common = self.targets.values().next().copied().unwrap_or((1, 1.0));
        let others = || self.targets.iter().filter(|(_, own)| **own != common);
        let ranks: serde_json::Map<_, _> =
            others().map(|(layer, own)| ((*layer).to_owned(), own.0.into())).collect();
        let alphas: serde_json::Map<_, _> =
            others().map(|(layer, own)| ((*layer).to_owned(), alpha(*own))).collect();
        json!({
            "peft_type": "LORA", "task_type": task, "base_model_name_or_path": self.base, "inference_mode": true,
            "r": common.0, "lora_alpha": alpha(common), "lora_dropout": self.dropout,
            "target_modules": self.targets.keys().collect::<Vec<_>>(),
            "modules_to_save": (!self.whole.is_empty()).then_some(&self.whole), "bias": "none",
            "fan_in_fan_out": false, "init_lora_weights": true, "use_rslora": false, "use_dora": false,
            "rank_pattern": ranks, "alpha_pattern": alphas,
        })
    }
}
