//! How the gradients of many parameters leave an operation that the tensor library allows three tensors.
//!
//! A chain of operations, each of a weight and a bias, ends in one number that the operation takes and does not look at. Its
//! backward pass leaves the gradients in a common place, and those of the chain, whose turn comes after it, hand them on.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp3, Device, Layout, Result, Shape, Tensor, bail};

use crate::nn::{cpu, gather};

/// The gradients of a weight and a bias, where they are wanted.
pub(super) type Pair = [Option<Vec<f32>>; 2];

/// Where the gradients wait.
#[derive(Clone, Default)]
pub(super) struct Waiting(Arc<Mutex<Vec<Pair>>>);

impl Waiting {
    /// Leaves the gradients of all pairs, in their order.
    pub(super) fn put(&self, gradients: Vec<Pair>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = gradients;
    }

    fn take(&self, pair: usize) -> Option<Pair> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get_mut(pair).map(std::mem::take)
    }
}

/// The end of the chain of some pairs of weight and bias. It can be differentiated if one of them can.
pub(super) fn chain<'a>(
    pairs: impl IntoIterator<Item = [&'a Tensor; 2]>,
    waiting: &Waiting,
) -> Result<Tensor> {
    let mut end = Tensor::zeros(1, candle_core::DType::F32, &Device::Cpu)?;
    for (pair, [weight, bias]) in pairs.into_iter().enumerate() {
        if weight.track_op() || bias.track_op() {
            end = end.apply_op3(weight, bias, Link { waiting: waiting.clone(), pair })?;
        }
    }
    Ok(end)
}

/// The values of a contiguous tensor of f32 on the processor.
pub(super) fn values_of<T>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> T) -> Result<T> {
    let (storage, layout) = tensor.storage_and_layout();
    Ok(f(cpu::values(cpu::storage(&storage)?, layout)?))
}

struct Link {
    waiting: Waiting,
    pair: usize,
}

impl CustomOp3 for Link {
    fn name(&self) -> &'static str {
        "parameters"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        Ok(cpu::result(vec![0.0], 1))
    }

    fn bwd(
        &self,
        before: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        node: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Some([of_weight, of_bias]) = self.waiting.take(self.pair) else {
            bail!("a layer's parameters were differentiated before the layer");
        };
        let tensor = |values: Option<Vec<f32>>, like: &Tensor| {
            let values = values.and_then(|values| gather::offer(node, like, values));
            values.map(|values| Tensor::from_vec(values, like.shape(), like.device())).transpose()
        };
        let before = before.track_op().then(|| gradient.clone());
        Ok((before, tensor(of_weight, weight)?, tensor(of_bias, bias)?))
    }
}
