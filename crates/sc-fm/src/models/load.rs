//! From a directory to weights.

use std::io::Write;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use serde::de::DeserializeOwned;

use super::Error;
use crate::Result;
use crate::checkpoint::{self, OpenParams, Weights, hub};
use crate::nn::gemm::Precision;

/// How a model is loaded.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Where it computes. Default: the CPU. [`Compute::device`](crate::compute::Compute::device) is that of a GPU, for
    /// inference.
    pub device: Device,
    /// What tensors are stored in: `F32` (default), `F16` or `BF16`. Embeddings are `F32` in any case. On a GPU norms,
    /// softmax and activations of 16 bits compute in `F32`.
    pub dtype: DType,
    /// How exact products on the CPU are. Default: errors of single precision, in the fastest way that there is.
    pub precision: Precision,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { device: Device::Cpu, dtype: DType::F32, precision: Precision::default() }
    }
}

/// Reads a configuration.
pub(crate) fn config<T: DeserializeOwned>(path: &Path, model: &'static str) -> Result<T, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.into(), source })?;
    serde_json::from_str(&text).map_err(|source| Error::Parse { path: path.into(), model, source })
}

/// The folder that holds a model's files: itself, or the snapshot `main` of a model's folder in a hub cache.
pub(crate) fn folder(path: &Path) -> Result<PathBuf> {
    match path.join("snapshots").is_dir() {
        true => Ok(hub::resolve(path, "main")?.path),
        false => Ok(path.to_owned()),
    }
}

/// Reads the weights of a folder, or of a file.
pub(crate) fn weights(path: &Path, options: &LoadOptions) -> Result<Weights> {
    let params =
        OpenParams { dtype: Some(options.dtype), device: options.device.clone(), ..OpenParams::default() };
    Ok(Weights::open_with(path, &params)?)
}

/// Makes a folder for a model, if it is not there.
pub(crate) fn make_folder(path: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(path).map_err(|source| Error::Folder { path: path.to_owned(), source })
}

/// Writes a file of JSON into a folder.
pub(crate) fn write_json(
    folder: &Path,
    name: &str,
    value: &serde_json::Value,
    overwrite: bool,
) -> Result<(), checkpoint::Error> {
    // Keys are written in order, whatever order a map keeps in this build.
    let mut value = value.clone();
    value.sort_all_objects();
    let text = format!("{value:#}\n");
    Ok(sc_io::atomic::write_aside(folder.join(name), overwrite, |file| file.write_all(text.as_bytes()))?)
}

/// Refuses sizes that no model has: 0, and those that would overflow when multiplied.
pub(crate) fn check_sizes(sizes: &[(&'static str, usize)]) -> Result<(), Error> {
    match sizes.iter().find(|(_, size)| !(1..=1 << 24).contains(size)) {
        Some(&(field, size)) => Err(refuse(field, size, "1 to 16,777,216")),
        None => Ok(()),
    }
}

/// Most layers of a model.
const MOST_LAYERS: usize = 1 << 12;

/// Refuses numbers of layers that no model has. A list of that many must cost nothing, whatever a file says.
pub(crate) fn check_layers(field: &'static str, n: usize) -> Result<(), Error> {
    match (1..=MOST_LAYERS).contains(&n) {
        true => Ok(()),
        false => Err(refuse(field, n, "1 to 4,096")),
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
