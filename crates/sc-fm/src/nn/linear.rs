//! `y = f(x Wᵀ + b)`.

mod adapter;
mod cross_entropy;
pub(super) mod op;

use std::sync::{Arc, OnceLock};

use candle_core::{DType, Device, Error, Result, Tensor};
use pulp::Arch;

use self::adapter::Adapter;
use self::op::{Frozen, Product};
use super::Activation;
use super::dropout::Site;
use super::gemm::{Kernel, Precision};
use super::{cpu, embedding};

/// A linear layer, with the weight as PyTorch stores it: `out × in`.
///
/// On the CPU, weights of f32, f16 and bf16 are multiplied by [`gemm`](super::gemm), with sums in f32. A weight that
/// cannot be trained is packed here, once; a variable with every call. Elsewhere, and in f64, the tensor library
/// multiplies.
#[derive(Clone, Debug)]
pub struct Linear {
    /// Without values once it was released.
    weight: Tensor,
    /// `(out, in)`.
    shape: Option<(usize, usize)>,
    bias: Option<Tensor>,
    kernel: Kernel,
    frozen: Option<Arc<Frozen>>,
    adapter: Option<Adapter>,
}

impl Linear {
    /// * `weight`: `out × in`; `bias`: `out`.
    pub fn new(weight: Tensor, bias: Option<Tensor>) -> Self {
        Self::with_precision(weight, bias, Precision::default())
    }

    /// As [`Linear::new`], with a say in how exact products on the CPU are.
    pub fn with_precision(weight: Tensor, bias: Option<Tensor>, precision: Precision) -> Self {
        let kernel = Kernel::new(precision);
        let frozen = Frozen::new(&weight, bias.as_ref(), kernel).map(Arc::new);
        Self { shape: weight.dims2().ok(), weight, bias, kernel, frozen, adapter: None }
    }

    /// The layer without the weight beside its packed copy, for computing alone: half the memory. It has no gradients and
    /// no weight to look at any more, and takes no adapter. A weight that is not packed stays.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn released(mut self) -> Result<Self> {
        if let Some(frozen) = self.frozen.take() {
            self.frozen = Some(Arc::new(Arc::unwrap_or_clone(frozen).released()));
            self.weight = Tensor::zeros((0, 0), self.weight.dtype(), self.weight.device())?;
        }
        Ok(self)
    }

    /// The layer with some of its outputs alone, in the order given; the same bits for each of them.
    ///
    /// # Errors
    /// An output that the layer does not have, and what the tensor library reports.
    pub fn select(&self, outputs: &[u32]) -> Result<Self> {
        let n = self.shape.map_or(0, |(outputs, _)| outputs);
        if let Some(output) = outputs.iter().find(|&&output| output as usize >= n) {
            return Err(Error::Msg(format!("linear: output {output} of a layer with {n}")).bt());
        }
        let bias = match &self.bias {
            Some(bias) => Some(bias.index_select(&Tensor::new(outputs, bias.device())?, 0)?),
            None => None,
        };
        match &self.frozen {
            Some(frozen) if self.adapter.is_none() => {
                let frozen = Arc::new(frozen.select(outputs));
                let weight = Tensor::zeros((0, 0), self.weight.dtype(), self.weight.device())?;
                let shape = self.shape.map(|(_, inputs)| (outputs.len(), inputs));
                Ok(Self { weight, shape, bias, kernel: self.kernel, frozen: Some(frozen), adapter: None })
            }
            _ => {
                let weight = self.merged()?.weight;
                let weight = weight.index_select(&Tensor::new(outputs, weight.device())?, 0)?;
                Ok(Self {
                    shape: weight.dims2().ok(),
                    weight,
                    bias,
                    kernel: self.kernel,
                    frozen: None,
                    adapter: None,
                })
            }
        }
    }

    /// Whether [`weight_rows`](Self::weight_rows) are those of the weight that the layer was made of, to the last bit.
    pub fn is_lossless(&self) -> bool {
        match (&self.frozen, self.held()) {
            (Some(frozen), Err(_)) => frozen.is_lossless(self.weight.dtype()),
            _ => true,
        }
    }

    /// Rows of the weight in f32, `rows × in`, from the packed copy where the weight was released: a layer that makes logits
    /// can be the table of embeddings too. Not differentiable.
    ///
    /// # Errors
    /// A row that the weight does not have, and what the tensor library reports.
    pub fn weight_rows(&self, rows: &[u32]) -> Result<Tensor> {
        match (&self.frozen, self.held()) {
            (Some(frozen), Err(_)) => frozen.rows(rows),
            (_, weight) => embedding(&weight?.detach(), rows)?.to_dtype(DType::F32),
        }
    }

    /// The weight, unless it was released.
    fn held(&self) -> Result<&Tensor> {
        match (self.shape, self.weight.dims()) {
            (Some((outputs, inputs)), &[0, 0]) if (outputs, inputs) != (0, 0) => {
                Err(Error::Msg("linear: the weight was released".to_owned()).bt())
            }
            _ => Ok(&self.weight),
        }
    }

    /// Adds `scale · (x Aᵀ) Bᵀ` to the product, before the activation (LoRA, Hu et al. 2021),
    /// <https://arxiv.org/abs/2106.09685>.
    ///
    /// * `a`: `r × in`; `b`: `out × r`.
    ///
    /// # Errors
    /// Shapes that do not fit the layer.
    pub fn with_adapter(self, a: Tensor, b: Tensor, scale: f64) -> Result<Self> {
        let adapter = Some(Adapter::new(a, b, scale, self.held()?)?);
        Ok(Self { adapter, ..self })
    }

    /// Drops some of what goes into the adapter, in training: the share `rate` of it, as `lora_dropout` of peft. Without an
    /// adapter nothing is dropped.
    pub fn with_adapter_dropout(mut self, rate: f64) -> Self {
        if let Some(adapter) = &mut self.adapter {
            adapter.dropout = rate;
        }
        self
    }

    /// The layer without its adapter, the adapter's product added to the weight; nothing of it can be trained.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn merged(&self) -> Result<Self> {
        let weight = match &self.adapter {
            Some(adapter) => (self.held()? + adapter.weight()?)?,
            None => self.held()?.clone(),
        };
        let (weight, bias) = (weight.detach(), self.bias.as_ref().map(Tensor::detach));
        let frozen = Frozen::new(&weight, bias.as_ref(), self.kernel).map(Arc::new);
        Ok(Self { weight, shape: self.shape, bias, kernel: self.kernel, frozen, adapter: None })
    }

    /// Whether something is added to the weight's product.
    pub(super) fn is_adapted(&self) -> bool {
        self.adapter.is_some()
    }

    /// The weight, `out × in`, without an adapter's part; without values after [`released`](Self::released) and
    /// [`select`](Self::select).
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The bias, one value for each output.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// The kernel that multiplies on the CPU.
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// `activation(x Wᵀ + b)` for `x`: `rows × in`; differentiable.
    ///
    /// The result has the type of `x`.
    ///
    /// # Errors
    /// What the tensor library reports, shapes that do not fit above all.
    pub fn forward(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        self.forward_with(x, activation, None)
    }

    /// [`forward`](Self::forward) with the dropout of [`with_adapter_dropout`](Self::with_adapter_dropout), drawn at
    /// `site`.
    ///
    /// # Errors
    /// As [`forward`](Self::forward), and those of [`Dropout::forward`](super::Dropout::forward).
    pub fn forward_with(&self, x: &Tensor, activation: Activation, site: Option<Site<'_>>) -> Result<Tensor> {
        let fused = self.adapter.is_none() && activation == Activation::Relu && self.on_cpu(x);
        let y = if self.on_cpu(x) { self.product(x, fused)? } else { self.composed(x)? };
        let y = match &self.adapter {
            Some(adapter) => (y + adapter.forward(x, site)?)?,
            None => y,
        };
        if fused { Ok(y) } else { activation.forward(&y) }
    }

    /// The [`cross_entropy`](super::cross_entropy()) of `forward(x)` with labels; differentiable.
    ///
    /// Rows without a label are not multiplied. In f32 on a processor, and with a bias and no adapter, the logits are never
    /// in memory all at once, and their gradients neither: for a vocabulary they would be the largest tensors of a step.
    ///
    /// # Errors
    /// As [`forward`](Self::forward) and [`cross_entropy`](super::cross_entropy()).
    pub fn cross_entropy(&self, x: &Tensor, labels: &[Option<u32>]) -> Result<Tensor> {
        let (rows, _) = x.dims2()?;
        super::cross_entropy::check(labels, rows, self.held()?.dim(0)?)?;
        let places: Vec<u32> =
            (0..).zip(labels).filter(|(_, label)| label.is_some()).map(|(row, _)| row).collect();
        let x = &if places.len() == rows { x.clone() } else { embedding(x, &places)? };
        let found: Vec<u32> = labels.iter().flatten().copied().collect();
        let Some(bias) = self.bias.as_ref().filter(|bias| {
            self.adapter.is_none() && cpu::is_fused(&[x, &self.weight, bias]) && bias.is_contiguous()
        }) else {
            let labels: Vec<Option<u32>> = found.into_iter().map(Some).collect();
            return super::cross_entropy(&self.forward(x, Activation::Identity)?, &labels);
        };
        self.check(x)?;
        x.apply_op3(
            &self.weight,
            bias,
            cross_entropy::LinearCrossEntropy {
                labels: found,
                kernel: self.kernel,
                arch: Arch::new(),
                wanted: [x, &self.weight, bias].map(Tensor::track_op),
                gradients: OnceLock::new(),
            },
        )
    }

    fn on_cpu(&self, x: &Tensor) -> bool {
        let ours = |tensor: &Tensor| matches!(tensor.device(), Device::Cpu) && op::is_ours(tensor.dtype());
        ours(x) && ours(&self.weight) && self.bias.as_ref().is_none_or(ours)
    }

    /// Refuses shapes that do not fit.
    fn check(&self, x: &Tensor) -> Result<()> {
        let mismatch = |lhs: &Tensor, rhs: &Tensor| {
            let (lhs, rhs) = (lhs.shape().clone(), rhs.shape().clone());
            Error::ShapeMismatchBinaryOp { lhs, rhs, op: "linear" }.bt()
        };
        let (_, columns) = x.dims2()?;
        let Some((outputs, inputs)) = self.shape else { return Err(mismatch(x, &self.weight)) };
        if columns != inputs {
            return Err(mismatch(x, &self.weight));
        }
        if let Some(bias) = self.bias.as_ref().filter(|bias| bias.dims() != [outputs]) {
            return Err(mismatch(&self.weight, bias));
        }
        Ok(())
    }

    fn product(&self, x: &Tensor, relu: bool) -> Result<Tensor> {
        self.check(x)?;
        let op = Product { frozen: self.frozen.clone(), kernel: self.kernel, relu };
        match (&self.frozen, &self.bias) {
            (Some(_), _) => x.apply_op1(op),
            (None, None) => x.apply_op2(&self.weight, op),
            (None, Some(bias)) => x.apply_op3(&self.weight, bias, op),
        }
    }

    /// The product by the tensor library.
    fn composed(&self, x: &Tensor) -> Result<Tensor> {
        let y = x.matmul(&self.weight.t()?)?;
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }
}

#[cfg(test)]
mod tests;
