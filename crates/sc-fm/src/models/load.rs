//! From a directory to weights.

use std::path::Path;

use candle_core::{DType, Device};
use serde::de::DeserializeOwned;

use super::Error;
use crate::Result;
use crate::checkpoint::Weights;

/// How a model is loaded.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Where it computes. Default: the CPU.
    pub device: Device,
    /// What it computes in: `F32` (default), `F16` or `BF16`. Embeddings are `F32` in any case.
    pub dtype: DType,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { device: Device::Cpu, dtype: DType::F32 }
    }
}

/// Reads a configuration.
pub(crate) fn config<T: DeserializeOwned>(path: &Path, model: &'static str) -> Result<T, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.into(), source })?;
    serde_json::from_str(&text).map_err(|source| Error::Parse { path: path.into(), model, source })
}

/// Reads the weights of a directory.
pub(crate) fn weights(directory: &Path, options: &LoadOptions) -> Result<Weights> {
    let tensors = candle_core::safetensors::load(directory.join("model.safetensors"), &options.device)?;
    let tensors: candle_core::Result<Vec<_>> =
        tensors.into_iter().map(|(name, tensor)| Ok((name, tensor.to_dtype(options.dtype)?))).collect();
    Ok(Weights::new(tensors?))
}

/// Refuses sizes that no model has: 0, and those that would overflow when multiplied.
pub(crate) fn check_sizes(sizes: &[(&'static str, usize)]) -> Result<(), Error> {
    match sizes.iter().find(|(_, size)| !(1..=1 << 24).contains(size)) {
        Some(&(field, size)) => Err(refuse(field, size, "1 to 16,777,216")),
        None => Ok(()),
    }
}

/// Refuses heads that do not divide the width.
pub(crate) fn check_heads(
    field: &'static str,
    n_heads: usize,
    width_field: &str,
    width: usize,
) -> Result<(), Error> {
    match width.is_multiple_of(n_heads) {
        true => Ok(()),
        false => Err(refuse(field, n_heads, format!("a divisor of `{width_field}` {width}"))),
    }
}

/// Refuses a share to drop that leaves nothing.
pub(crate) fn check_share(field: &'static str, share: f64) -> Result<(), Error> {
    match (0.0..1.0).contains(&share) {
        true => Ok(()),
        false => Err(refuse(field, share, "at least 0 and below 1")),
    }
}

/// A field with a value that the model cannot have.
pub(crate) fn refuse(field: &'static str, found: impl ToString, expected: impl Into<String>) -> Error {
    Error::Config { field, found: found.to_string(), expected: expected.into() }
}
