//! What the configurations of several architectures have in common.
//!
//! Fields are read in both forms in use: those of the files on the hub (`rope_theta` and `partial_rotary_factor` beside the
//! others), and those that transformers 5 writes (both inside `rope_parameters`).

use std::path::Path;

use sc_fm::nn::Activation;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Error;

/// Reads a JSON file.
pub(crate) fn read<T: DeserializeOwned>(path: &Path, model: &'static str) -> Result<T, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.into(), source })?;
    serde_json::from_str(&text).map_err(|source| Error::Parse { path: path.into(), model, source })
}

/// A field with a value that the model cannot have.
pub(crate) fn refuse(field: &'static str, found: impl ToString, expected: impl Into<String>) -> Error {
    Error::Config { field, found: found.to_string(), expected: expected.into() }
}

/// Refuses sizes that no model has: 0, and those that would overflow when multiplied.
pub(crate) fn check_sizes(sizes: &[(&'static str, usize)]) -> Result<(), Error> {
    match sizes.iter().find(|(_, size)| !(1..=1 << 24).contains(size)) {
        Some(&(field, size)) => Err(refuse(field, size, "1 to 16,777,216")),
        None => Ok(()),
    }
}

/// Most layers of a model.
pub(crate) const MOST_LAYERS: usize = 1 << 12;

/// Refuses numbers of layers that no model has. A list of that many must cost nothing, whatever a file says.
pub(crate) fn check_layers(field: &'static str, n: usize) -> Result<(), Error> {
    match (1..=MOST_LAYERS).contains(&n) {
        true => Ok(()),
        false => Err(refuse(field, n, "1 to 4,096")),
    }
}

/// Refuses a size that does not divide another.
pub(crate) fn check_divides(field: &'static str, size: usize, of: &str, whole: usize) -> Result<(), Error> {
    match size > 0 && whole.is_multiple_of(size) {
        true => Ok(()),
        false => Err(refuse(field, size, format!("a divisor of `{of}` {whole}"))),
    }
}

/// The sizes of a decoder whose configuration has the names of Llama's, which Phi's and Qwen2's have.
pub(crate) struct Sizes {
    pub(crate) vocab_size: usize,
    pub(crate) hidden_size: usize,
    pub(crate) intermediate_size: usize,
    pub(crate) num_hidden_layers: usize,
    pub(crate) num_attention_heads: usize,
    pub(crate) num_key_value_heads: usize,
    pub(crate) max_position_embeddings: usize,
}

impl Sizes {
    /// Refuses sizes that do not fit one another.
    pub(crate) fn check(&self) -> Result<(), Error> {
        check_sizes(&[
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_attention_heads", self.num_attention_heads),
            ("max_position_embeddings", self.max_position_embeddings),
        ])?;
        check_layers("num_hidden_layers", self.num_hidden_layers)?;
        let heads = ("num_attention_heads", self.num_attention_heads);
        check_divides(heads.0, heads.1, "hidden_size", self.hidden_size)?;
        check_divides("num_key_value_heads", self.num_key_value_heads, heads.0, heads.1)
    }
}

/// Refuses what cannot be added to a variance.
pub(crate) fn check_eps(field: &'static str, eps: f64) -> Result<(), Error> {
    match eps > 0.0 && eps < 1.0 {
        true => Ok(()),
        false => Err(refuse(field, eps, "above 0 and below 1")),
    }
}

/// The function that a configuration names.
pub(crate) fn activation(field: &'static str, name: &str) -> Result<Activation, Error> {
    match name {
        "relu" => Ok(Activation::Relu),
        "gelu" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
        "silu" | "swish" => Ok(Activation::Silu),
        other => Err(refuse(field, format!("{other:?}"), "relu, gelu, gelu_new or silu")),
    }
}

/// The entries about rotary positions, in either form.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Rope {
    rope_theta: Option<f64>,
    partial_rotary_factor: Option<f64>,
    rope_parameters: Option<RopeParameters>,
    rope_scaling: Option<RopeParameters>,
}

#[derive(Clone, Debug, Deserialize)]
struct RopeParameters {
    #[serde(alias = "type")]
    rope_type: Option<String>,
    rope_theta: Option<f64>,
    partial_rotary_factor: Option<f64>,
}

impl Rope {
    /// The base of the angles.
    pub(crate) fn theta(&self, default: f64) -> Result<f64, Error> {
        for parameters in [&self.rope_scaling, &self.rope_parameters].into_iter().flatten() {
            if let Some(kind) = parameters.rope_type.as_deref().filter(|kind| *kind != "default") {
                return Err(refuse(
                    "rope_scaling",
                    format!("of type {kind:?}"),
                    "none: angles are not rescaled here",
                ));
            }
        }
        let inside = self.rope_parameters.as_ref().and_then(|parameters| parameters.rope_theta);
        let theta = inside.or(self.rope_theta).unwrap_or(default);
        match theta.is_finite() && theta > 1.0 {
            true => Ok(theta),
            false => Err(refuse("rope_theta", theta, "above 1")),
        }
    }

    /// Columns of a head that turn.
    pub(crate) fn dims(&self, head_size: usize, default: f64) -> Result<usize, Error> {
        let inside = self.rope_parameters.as_ref().and_then(|parameters| parameters.partial_rotary_factor);
        let factor = inside.or(self.partial_rotary_factor).unwrap_or(default);
        let dims = (head_size as f64 * factor) as usize;
        match factor > 0.0 && factor <= 1.0 && dims > 0 && dims.is_multiple_of(2) {
            true => Ok(dims),
            false => {
                let expected = format!("a share of {head_size} columns that is an even number of them");
                Err(refuse("partial_rotary_factor", factor, expected))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rope(json: &str) -> Rope {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn both_forms_of_rotary_entries_are_read() {
        for json in [
            r#"{"rope_theta": 5e5, "partial_rotary_factor": 0.5}"#,
            r#"{"rope_parameters": {"rope_type": "default", "rope_theta": 5e5, "partial_rotary_factor": 0.5}}"#,
            r#"{"rope_theta": 5e5, "partial_rotary_factor": 0.5, "rope_scaling": null}"#,
        ] {
            let rope = rope(json);
            assert_eq!((rope.theta(1e4).unwrap(), rope.dims(64, 1.0).unwrap()), (5e5, 32), "{json}");
        }
        let rope = Rope::default();
        assert_eq!((rope.theta(1e4).unwrap(), rope.dims(64, 1.0).unwrap()), (1e4, 64));
    }

    #[test]
    fn rescaled_angles_are_refused_with_what_to_do() {
        for json in [
            r#"{"rope_scaling": {"type": "yarn", "factor": 4.0}}"#,
            r#"{"rope_parameters": {"rope_type": "yarn", "factor": 4.0}}"#,
        ] {
            let error = rope(json).theta(1e4).unwrap_err();
            assert!(
                error.to_string().contains(r#"`rope_scaling` of the configuration is of type "yarn""#),
                "{error}"
            );
            assert!(error.help().unwrap().contains("remove the entry"));
        }
    }

    #[test]
    fn sizes_and_shares_that_no_model_has_are_refused() {
        assert!(check_sizes(&[("a", 1), ("b", 0)]).unwrap_err().to_string().contains("`b`"));
        assert!(
            check_divides("heads", 3, "width", 8).is_err() && check_divides("heads", 0, "width", 8).is_err()
        );
        assert!(check_eps("eps", 0.0).is_err() && check_eps("eps", f64::NAN).is_err());
        assert!(activation("act", "mish").unwrap_err().to_string().contains(r#""mish""#));
        assert!(rope(r#"{"partial_rotary_factor": 0.01}"#).dims(64, 1.0).is_err());
        assert!(rope(r#"{"rope_theta": -1}"#).theta(1e4).is_err());
    }
}
