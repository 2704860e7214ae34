//! What a model was built of.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use crate::Result;
use crate::nn::gemm::Precision;

/// The tensors of a model by name, and how exact its products are: what it takes to build another one like it. The
/// layers hold the same memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Source {
    tensors: Arc<BTreeMap<String, Tensor>>,
    pub(crate) precision: Precision,
}

impl Source {
    pub(crate) fn new(tensors: BTreeMap<String, Tensor>, precision: Precision) -> Self {
        Self { tensors: Arc::new(tensors), precision }
    }

    /// Constants of f32 on the CPU, in the order of their names.
    pub(crate) fn constants(&self) -> Result<BTreeMap<String, Tensor>> {
        let constant = |(name, tensor): (&String, &Tensor)| {
            let tensor = tensor.detach().to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
            Ok((name.clone(), tensor))
        };
        self.tensors.iter().map(constant).collect()
    }

    /// The names, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Rows of a tensor, if it is there.
    pub(crate) fn rows(&self, name: &str) -> Option<usize> {
        self.tensors.get(name)?.dims().first().copied()
    }

    /// Whether adapters of low rank are among them.
    pub(crate) fn has_adapters(&self) -> bool {
        self.names().any(|name| name.contains(".lora_"))
    }
}
