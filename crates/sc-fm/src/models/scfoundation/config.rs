//! The configuration inside a checkpoint of scFoundation.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::checkpoint::pickle::Value;
use crate::models::{Error, load};

/// The shape of an scFoundation, with the names that its checkpoint uses. Other fields are left aside.
///
/// The released models: 19,264 genes, an encoder of 12 layers of 768, a decoder of 6 layers of 512.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScfoundationConfig {
    /// Genes and two totals: 19,266.
    pub seq_len: usize,
    /// The transformer over the expressed genes.
    pub encoder: PartConfig,
    /// The Performer over all genes.
    pub decoder: PartConfig,
    /// Bins that a value is spread over; 100.
    pub bin_num: usize,
    /// Share of the first bin layer that is added to the second; 1.
    pub bin_alpha: f64,
    /// The value that means padding to the reference; 103. No cell may have it.
    pub pad_token_id: f32,
    /// The value that means a masked one to the reference; 102. No cell may have it.
    pub mask_token_id: f32,
}

/// The shape of the encoder or the decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartConfig {
    /// Width of the hidden states.
    pub hidden_dim: usize,
    /// Number of layers.
    pub depth: usize,
    /// Heads of each attention.
    pub heads: usize,
    /// Width of each head; in the encoder the width divided by the heads.
    pub dim_head: usize,
    /// `transformer` for the encoder, `performer` for the decoder.
    pub module_type: String,
    /// Whether the encoder's norms stand before its parts. Default false.
    #[serde(default)]
    pub norm_first: bool,
}

impl ScfoundationConfig {
    /// From the `config` beside the tensors of one of the models in a checkpoint.
    ///
    /// # Errors
    /// [`Error::Parse`], and those of [`validate`](Self::validate).
    pub fn from_checkpoint(path: &Path, config: &Value) -> Result<Self, Error> {
        let architecture = config.get("model").and_then(Value::as_str).unwrap_or_default();
        if architecture != ARCHITECTURE {
            return Err(load::refuse("model", format!("{architecture:?}"), ARCHITECTURE));
        }
        let fields = config.get("model_config").and_then(|models| models.get(ARCHITECTURE));
        let json = fields.map_or(serde_json::Value::Null, json);
        let config: Self = serde_json::from_value(json).map_err(|source| Error::Parse {
            path: path.to_owned(),
            model: "scFoundation",
            source,
        })?;
        config.validate()?;
        Ok(config)
    }

    /// Number of genes.
    pub fn n_genes(&self) -> usize {
        self.seq_len.saturating_sub(2)
    }

    /// Refuses what no scFoundation can be.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn validate(&self) -> Result<(), Error> {
        if !(3..=1 << 24).contains(&self.seq_len) {
            return Err(load::refuse("seq_len", self.seq_len, "3 to 16,777,216"));
        }
        load::check_sizes(&[("bin_num", self.bin_num)])?;
        for (part, kind) in [(&self.encoder, "transformer"), (&self.decoder, "performer")] {
            if part.module_type != kind {
                return Err(load::refuse("module_type", &part.module_type, kind));
            }
            load::check_sizes(&[
                ("hidden_dim", part.hidden_dim),
                ("heads", part.heads),
                ("dim_head", part.dim_head),
            ])?;
            load::check_layers("depth", part.depth)?;
        }
        let encoder = &self.encoder;
        load::check_heads("heads", encoder.heads, "hidden_dim", encoder.hidden_dim)?;
        match self.bin_alpha.is_finite() {
            true => Ok(()),
            false => Err(load::refuse("bin_alpha", self.bin_alpha, "a finite number")),
        }
    }
}

/// The only architecture that was released.
const ARCHITECTURE: &str = "mae_autobin";

/// Plain data as JSON; anything else is null.
fn json(value: &Value) -> serde_json::Value {
    if let Some(entries) = value.entries() {
        let entries = entries.iter().filter_map(|(key, value)| Some((key.as_str()?.to_owned(), json(value))));
        return serde_json::Value::Object(entries.collect());
    }
    if let Some(items) = value.items() {
        return items.iter().map(json).collect();
    }
    if let Some(text) = value.as_str() {
        return text.into();
    }
    let bool = value.as_bool().map(serde_json::Value::from);
    let whole = || value.as_i64().map(serde_json::Value::from);
    bool.or_else(whole).or_else(|| value.as_f64().map(serde_json::Value::from)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TINY: &str = r#"{"seq_len": 12, "bin_num": 4, "bin_alpha": 1.0, "pad_token_id": 103, "mask_token_id": 102,
        "encoder": {"hidden_dim": 8, "depth": 1, "heads": 2, "dim_head": 4, "module_type": "transformer"},
        "decoder": {"hidden_dim": 6, "depth": 1, "heads": 2, "dim_head": 3, "module_type": "performer"}}"#;

    #[test]
    fn shapes_that_cannot_be_are_refused() {
        let config: ScfoundationConfig = serde_json::from_str(TINY).unwrap();
        config.validate().unwrap();
        assert_eq!((config.n_genes(), config.encoder.norm_first), (10, false));
        let message = |from: &str, to: &str| {
            let text = TINY.replacen(from, to, 1);
            assert_ne!(text, TINY);
            match serde_json::from_str::<ScfoundationConfig>(&text) {
                Ok(config) => config.validate().unwrap_err().to_string(),
                Err(error) => error.to_string(),
            }
        };
        let expected = "`module_type` of the configuration is mamba, expected performer";
        assert_eq!(message("performer", "mamba"), expected);
        assert!(message(r#""heads": 2"#, r#""heads": 3"#).contains("a divisor of `hidden_dim` 8"));
        assert!(message(r#""seq_len": 12"#, r#""seq_len": 2"#).contains("3 to 16,777,216"));
        assert!(message(r#""bin_num": 4,"#, "").starts_with("missing field `bin_num`"));
    }

    #[test]
    fn other_architectures_in_a_checkpoint_are_refused() {
        let text = |text: &str| Value::Str(text.to_owned());
        let config = Value::Dict(vec![(text("model"), text("mae"))]);
        let error = ScfoundationConfig::from_checkpoint(Path::new("models.ckpt"), &config).unwrap_err();
        assert_eq!(error.to_string(), "`model` of the configuration is \"mae\", expected mae_autobin");
        let config = Value::Dict(vec![(text("model"), text("mae_autobin"))]);
        let error = ScfoundationConfig::from_checkpoint(Path::new("models.ckpt"), &config).unwrap_err();
        assert_eq!(error.to_string(), "models.ckpt is no configuration of scFoundation");
    }
}
