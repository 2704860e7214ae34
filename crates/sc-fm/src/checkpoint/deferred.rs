//! Tensors that stay on disk until a model takes them.

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::safetensors::Safetensors;
use super::{Error, OpenParams, Weights};

/// Where a tensor is, and what it becomes.
#[derive(Clone, Debug)]
pub(super) struct Deferred {
    pub(super) file: Arc<Safetensors>,
    /// Its number in the file.
    pub(super) entry: usize,
    pub(super) dtype: Option<DType>,
    pub(super) device: Device,
}

impl Deferred {
    pub(super) fn read(&self) -> Result<Tensor, Error> {
        self.file.read(self.entry, self.dtype, &self.device)
    }

    /// Something of its shape that takes no memory.
    pub(super) fn placeholder(&self) -> Result<Tensor, Error> {
        let (name, shape) = self.file.entry(self.entry);
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
}
