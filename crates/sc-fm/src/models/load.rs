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
