//! From a path to weights.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::deferred::Deferred;
use super::find::find;
use super::pickle::Value;
use super::record::FileRecord;
use super::safetensors::Safetensors;
use super::source::Source;
use super::torch::TorchFile;
use super::{Error, KIND_BYTES, Weights, file_kind, json};

/// The index of a model with ten thousand tensors is a tenth of this.
const MAX_INDEX: u64 = 1 << 24;

/// How weights are read.
#[derive(Clone, Debug)]
pub struct OpenParams {
    /// The type of floating point numbers in memory: `F64`, `F32`, `F16` or `BF16`; as stored by default. Conversions are
    /// PyTorch's: by way of `F32`, rounded to the nearest, ties to even. Whole numbers stay whole.
    pub dtype: Option<DType>,
    /// Where tensors are put; the CPU by default.
    pub device: Device,
    /// Keys that lead to the dictionary of tensors in a PyTorch file that holds more than one, such as
    /// `["cell", "state_dict"]`; none by default. Files of other kinds have no keys, and refuse any.
    pub inside: Vec<String>,
}

impl Default for OpenParams {
    fn default() -> Self {
        Self { dtype: None, device: Device::Cpu, inside: Vec::new() }
    }
}

impl Weights {
    /// Reads all tensors of a checkpoint as they are stored; [`Weights::open_with`] says more.
    ///
    /// # Errors
    /// As [`Weights::open_with`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(path, &OpenParams::default())
    }

    /// Reads all tensors of a checkpoint.
    ///
    /// * `path`: a `.safetensors` file, a file of `torch.save`, the index of a sharded checkpoint, or a folder. A folder is
    ///   searched for `model.safetensors`, `model.safetensors.index.json`, `pytorch_model.bin`, its index,
    ///   `adapter_model.safetensors`, `best_model.pt` and `models.ckpt`, in this order; then for the one file that ends in
    ///   `.safetensors`, `.pt`, `.ckpt` or `.bin`. A model's folder in a hub cache (`models--<owner>--<name>`) means the
    ///   files of its revision `main`.
    ///
    /// Tensors are read in parallel, each straight into the memory that it keeps, so the peak is the checkpoint in its
    /// final type and a piece of the file per thread. Tensors that are one in the file are one in memory.
    ///
    /// # Errors
    /// What is wrong with the file and where: [`Error::Format`], [`Error::Pickle`], [`Error::Json`], [`Error::Dtype`],
    /// [`Error::Shards`], [`Error::NoStateDict`], [`Error::TorchScript`]; [`Error::NoCheckpoint`], [`Error::NotCached`],
    /// [`Error::Io`]; [`Error::WantedDtype`] for a type that is no floating point.
    pub fn open_with(path: impl AsRef<Path>, params: &OpenParams) -> Result<Self, Error> {
        Self::open_by(path.as_ref(), params, false)
    }

    pub(super) fn open_by(path: &Path, params: &OpenParams, is_deferred: bool) -> Result<Self, Error> {
        if let Some(dtype) = params.dtype
            && !matches!(dtype, DType::F64 | DType::F32 | DType::F16 | DType::BF16)
        {
            return Err(Error::WantedDtype { found: dtype.as_str() });
        }
        let found = find(path)?;
        let is_index =
            found.file.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".index.json"));
        let (parts, files) = match is_index {
            true => shards(&found.file, params)?,
            false => {
                let part = Part::open(&found.file, params)?;
                let file = part.record();
                (vec![part], vec![file])
            }
        };
        let mut weights = Self::loaded([], files, found.revision);
        for part in parts {
            match part {
                Part::Safetensors(file) if is_deferred => {
                    let (file, dtype, device) = (Arc::new(file), params.dtype, params.device.clone());
                    for entry in 0..file.len() {
                        weights.defer(Deferred::Safetensors {
                            file: file.clone(),
                            entry,
                            dtype,
                            device: device.clone(),
                        })?;
                    }
                }
                part => {
                    part.load(params)?.into_iter().for_each(|(name, tensor)| weights.insert(name, tensor))
                }
            }
        }
        Ok(weights)
    }
}

/// Every shard that an index names; the index and the shards must name the same tensors.
fn shards(index: &Path, params: &OpenParams) -> Result<(Vec<Part>, Vec<FileRecord>), Error> {
    let source = Source::open(index)?;
    let value = json::from_bytes(&source.read_all(MAX_INDEX)?, index)?;
    let wrong = |key: &str, found| Error::Entry {
        path: index.to_owned(),
        key: key.to_owned(),
        found,
        expected: "the file name of a shard beside the index",
    };
    let map = value
        .get("weight_map")
        .and_then(Value::entries)
        .ok_or_else(|| wrong("weight_map", "no dictionary"))?;
    let mut shards: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, shard) in map {
        let name = name.as_str().expect("JSON has text for keys");
        let shard = shard.as_str().ok_or_else(|| wrong(name, shard.kind()))?;
        if Path::new(shard).file_name() != Some(shard.as_ref()) || shard.contains(['/', '\\']) {
            return Err(wrong(name, "a path"));
        }
        shards.entry(shard).or_default().insert(name);
    }
    let folder = index.parent().unwrap_or(Path::new(""));
    let mut parts = Vec::with_capacity(shards.len());
    let mut files = vec![FileRecord::new(index, source.length())];
    for (shard, listed) in &shards {
        let part = Part::open(&folder.join(shard), params)?;
        let names: BTreeSet<&str> = part.names(params)?.into_iter().collect();
        if names != *listed {
            let owned = |name: &&str| (*name).to_owned();
            return Err(Error::Shards {
                index: index.to_owned(),
                shard: (*shard).to_owned(),
                missing: listed.difference(&names).map(owned).collect(),
                unlisted: names.difference(listed).map(owned).collect(),
            });
        }
        files.push(part.record());
        parts.push(part);
    }
    Ok((parts, files))
}

/// A file with tensors.
enum Part {
    Safetensors(Safetensors),
    Torch(TorchFile),
}

impl Part {
    /// By what is in the file, whatever its name.
    fn open(path: &Path, params: &OpenParams) -> Result<Self, Error> {
        let source = Source::open(path)?;
        let start = source.read(0, source.length().min(KIND_BYTES))?;
        if start.get(8) == Some(&b'{') {
            let nowhere = || Error::NoStateDict {
                path: path.to_owned(),
                inside: params.inside.join("."),
                candidates: Vec::new(),
            };
            return if params.inside.is_empty() {
                Safetensors::open(path).map(Self::Safetensors)
            } else {
                Err(nowhere())
            };
        }
        match TorchFile::is(&start) {
            true => TorchFile::open(path).map(Self::Torch),
            false => Err(source.format(0, file_kind(&start), "a .safetensors file or a file of torch.save")),
        }
    }

    fn source(&self) -> &Source {
        match self {
            Self::Safetensors(file) => file.source(),
            Self::Torch(file) => file.source(),
        }
    }

    fn record(&self) -> FileRecord {
        FileRecord::new(self.source().path(), self.source().length())
    }

    fn names(&self, params: &OpenParams) -> Result<Vec<&str>, Error> {
        match self {
            Self::Safetensors(file) => Ok(file.names().collect()),
            Self::Torch(file) => Ok(file.views(&params.inside)?.into_iter().map(|(name, _)| name).collect()),
        }
    }

    fn load(&self, params: &OpenParams) -> Result<Vec<(String, Tensor)>, Error> {
        match self {
            Self::Safetensors(file) => file.load(params.dtype, &params.device),
            Self::Torch(file) => file.load(&file.views(&params.inside)?, params.dtype, &params.device),
        }
    }
}

#[cfg(test)]
mod tests;
