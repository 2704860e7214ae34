//! Tensors that stay on disk until a model takes them.

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::gguf::Gguf;
use super::safetensors::Safetensors;
use super::{Error, OpenParams, Weights};
use crate::nn::gemm::{Kernel, Packed};

/// Where a tensor is, and what it becomes.
#[derive(Clone, Debug)]
pub(super) enum Deferred {
    Safetensors {
        file: Arc<Safetensors>,
        /// Its number in the file.
        entry: usize,
        dtype: Option<DType>,
        device: Device,
    },
    Gguf {
        file: Arc<Gguf>,
        /// Its number in the file.
        entry: usize,
    },
}

impl Deferred {
    /// Its name in the file, and its shape.
    pub(super) fn entry(&self) -> (&str, &[usize]) {
        match self {
            Self::Safetensors { file, entry, .. } => file.entry(*entry),
            Self::Gguf { file, entry } => (file.tensors()[*entry].name(), file.tensors()[*entry].shape()),
        }
    }

    pub(super) fn read(&self) -> Result<Tensor, Error> {
        match self {
            Self::Safetensors { file, entry, dtype, device } => file.read(*entry, *dtype, device),
            Self::Gguf { file, entry } => file.to_tensor(file.tensors()[*entry].name()),
        }
    }

    /// A weight in blocks, packed for products as it is stored; none if it is not stored so.
    pub(super) fn packed(&self) -> Result<Option<Packed>, Error> {
        match self {
            Self::Gguf { file, entry } if file.tensors()[*entry].kind().blocks().is_some() => {
                let name = file.tensors()[*entry].name();
                file.packed(name, Kernel::new(file.precision(name)?)).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Something of its shape that takes no memory.
    pub(super) fn placeholder(&self) -> Result<Tensor, Error> {
        let (name, shape) = self.entry();
        let zero = Tensor::zeros((), DType::F32, &Device::Cpu).and_then(|zero| zero.broadcast_as(shape));
        zero.map_err(|source| Error::Tensor { name: name.to_owned(), source })
    }
}

impl Weights {
    /// As [`Weights::open_with`], but each tensor of a `.safetensors` file is read when it is [taken](Weights::take): a model
    /// that makes something else of its tensors one by one never holds the checkpoint whole. Files of other kinds are read
    /// at once.
    ///
    /// # Errors
    /// As [`Weights::open_with`]; what is wrong with a tensor may come when it is taken.
    pub fn open_deferred(path: impl AsRef<Path>, params: &OpenParams) -> Result<Self, Error> {
        Self::open_by(path.as_ref(), params, true)
    }

    /// The tensors of a GGUF file, each read when it is [taken](Weights::take): floating point numbers as they are stored,
    /// blocks of whole numbers in f32. [`Weights::take_blocks`] takes these as they are.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn of_gguf(file: Arc<Gguf>) -> Result<Self, Error> {
        let mut weights = Self::loaded([], vec![file.record()], None);
        for entry in 0..file.tensors().len() {
            weights.defer(Deferred::Gguf { file: file.clone(), entry })?;
        }
        Ok(weights)
    }
}
