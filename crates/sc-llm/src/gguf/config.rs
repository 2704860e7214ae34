//! The configuration in a file's metadata.

use sc_fm::checkpoint::gguf::{Gguf, Value};
use serde_json::json;

use super::Error;
use super::names::{Architecture, is_gated};

/// The configuration of a model, as a `config.json` of the hub says it.
///
/// # Errors
/// [`Error::Architecture`]; [`Error::Metadata`] for a value that is missing, or that no model here has.
pub fn config(file: &Gguf) -> Result<serde_json::Value, Error> {
    let architecture = Architecture::of(file)?;
    let metadata = Metadata { file, architecture };
    let tied = file.tensor("output.weight").is_none();
    let vocab_size = file.tensor("token_embd.weight").map_or(0, |tensor| tensor.dims().0);
    metadata.check_scaling()?;
    let n_heads = metadata.size("attention.head_count")?;
    let width = metadata.size("embedding_length")?;
    let (inner, n_layers) = (metadata.size("feed_forward_length")?, metadata.size("block_count")?);
    let decoder = || -> Result<_, Error> {
        let head_size = width.checked_div(n_heads).unwrap_or(0);
        for key in ["attention.key_length", "attention.value_length"] {
            let found = metadata.size_or(key, head_size)?;
            if found != head_size {
                return Err(metadata.wrong(
                    key,
                    found.to_string(),
                    format!("the {head_size} columns of a head"),
                ));
            }
        }
        let n_positions = metadata.size("context_length")?;
        Ok((head_size, n_positions, metadata.size_or("attention.head_count_kv", n_heads)?))
    };
    match architecture {
        Architecture::Qwen2 => {
            let (_, n_positions, n_kv_heads) = decoder()?;
            Ok(json!({
                "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "vocab_size": vocab_size,
                "hidden_size": width, "intermediate_size": inner, "num_hidden_layers": n_layers,
                "num_attention_heads": n_heads, "num_key_value_heads": n_kv_heads, "hidden_act": "silu",
                "max_position_embeddings": n_positions, "use_sliding_window": false,
                "rms_norm_eps": metadata.number("attention.layer_norm_rms_epsilon", None)?,
                "rope_theta": metadata.number("rope.freq_base", Some(10_000.0))?,
                "tie_word_embeddings": tied,
            }))
        }
        Architecture::Phi => {
            let (head_size, n_positions, n_kv_heads) = decoder()?;
            let turning = metadata.size_or("rope.dimension_count", head_size)?;
            // The product with the columns of a head is rounded down.
            let share = ((turning as f64 + 0.5) / head_size as f64).min(1.0);
            Ok(json!({
                "architectures": ["PhiForCausalLM"], "model_type": "phi", "vocab_size": vocab_size,
                "hidden_size": width, "intermediate_size": inner, "num_hidden_layers": n_layers,
                "num_attention_heads": n_heads, "num_key_value_heads": n_kv_heads, "hidden_act": "gelu_new",
                "max_position_embeddings": n_positions, "partial_rotary_factor": share,
                "layer_norm_eps": metadata.number("attention.layer_norm_epsilon", None)?,
                "rope_theta": metadata.number("rope.freq_base", Some(10_000.0))?,
                "tie_word_embeddings": false,
            }))
        }
        Architecture::T5 => Ok(json!({
            "architectures": ["T5ForConditionalGeneration"], "model_type": "t5", "vocab_size": vocab_size,
            "d_model": width, "d_ff": inner, "num_layers": n_layers, "num_heads": n_heads,
            "d_kv": metadata.size("attention.key_length")?,
            "num_decoder_layers": metadata.size_or("decoder_block_count", n_layers)?,
            "relative_attention_num_buckets": metadata.size_or("attention.relative_buckets_count", 32)?,
            "relative_attention_max_distance": 128,
            "feed_forward_proj": if is_gated(file) { "gated-gelu" } else { "relu" },
            "layer_norm_epsilon": metadata.number("attention.layer_norm_rms_epsilon", None)?,
            "tie_word_embeddings": tied,
            "decoder_start_token_id": metadata.size_or("decoder_start_token_id", 0)?,
        })),
    }
}

/// The values of an architecture, whose keys begin with its name.
struct Metadata<'a> {
    file: &'a Gguf,
    architecture: Architecture,
}

impl Metadata<'_> {
    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture.name())
    }

    fn wrong(&self, key: &str, found: String, expected: impl Into<String>) -> Error {
        Error::Metadata {
            path: self.file.record().path,
            key: self.key(key),
            found,
            expected: expected.into(),
        }
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.file.get(&self.key(key))
    }

    fn size(&self, key: &str) -> Result<usize, Error> {
        let expected = "a whole number";
        let value = self.get(key).ok_or_else(|| self.wrong(key, "not there".to_owned(), expected))?;
        let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
        size.ok_or_else(|| self.wrong(key, "something else".to_owned(), expected))
    }

    fn size_or(&self, key: &str, default: usize) -> Result<usize, Error> {
        self.get(key).map_or(Ok(default), |_| self.size(key))
    }

    fn number(&self, key: &str, default: Option<f64>) -> Result<f64, Error> {
        let number = match self.get(key) {
            None => default,
            // The number that was meant, such as 1e-6, and not the nearest one of 32 bits.
            Some(Value::F32(value)) => value.to_string().parse().ok(),
            Some(value) => value.as_f64(),
        };
        let found = if self.get(key).is_some() { "something else" } else { "not there" };
        number.ok_or_else(|| self.wrong(key, found.to_owned(), "a number"))
    }

    /// Refuses positions that are rescaled.
    fn check_scaling(&self) -> Result<(), Error> {
        let key = "rope.scaling.type";
        match self.get(key).and_then(Value::as_str) {
            None | Some("none") => Ok(()),
            Some(other) => Err(self.wrong(key, format!("{other:?}"), "none: angles are not rescaled here")),
        }
    }
}
