//! `y = f(x Wᵀ + b)`.

mod adapter;
mod cross_entropy;
pub(super) mod op;

use std::sync::{Arc, OnceLock};

use candle_core::{DType, Device, Error, Result, Shape, Tensor};
use pulp::Arch;

use self::adapter::Adapter;
use self::op::{Frozen, Product};
use super::Activation;
use super::dropout::Site;
use super::gemm::{Kernel, Packed, Precision, View};
use super::{cpu, embedding};

/// A linear layer, with the weight as PyTorch stores it: `out × in`.
///
/// On the CPU, weights of f32, f16 and bf16 are multiplied by [`gemm`](super::gemm), with sums in f32. A weight that
/// cannot be trained is packed here, once; a variable with every call. Elsewhere, and in f64, the tensor library
/// multiplies in the type of the weight, to which rows of another type are rounded.
///
/// A layer may hold its weight packed and nothing else ([`Linear::packed`], and [`Precision::Q8_0`] and
/// [`Precision::Q4_K`] for weights that are not trained): that is for the CPU alone. Gradients by its input are those of
/// the weight as it was rounded, unpacked some rows at a time.
#[derive(Clone, Debug)]
pub struct Linear {
    /// None where it is packed and nowhere else.
    weight: Option<Tensor>,
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
    ///
    /// A weight in blocks (`Q8_0`, `Q4_K`) is kept in blocks alone. One that can be trained, that is not on the CPU or that
    /// blocks or `F16` cannot hold, is multiplied as for [`Precision::F32Grade`]; [`Packed::try_new`] says why.
    pub fn with_precision(weight: Tensor, bias: Option<Tensor>, precision: Precision) -> Self {
        let kernel = Kernel::new(precision);
        let frozen = Frozen::new(&weight, bias.as_ref(), kernel).map(Arc::new);
        match frozen {
            None if precision.has_limits() => Self::with_precision(weight, bias, Precision::F32Grade),
            Some(frozen) if precision.is_quantized() => {
                let kernel = frozen.packed().kernel();
                Self { weight: None, bias, kernel, frozen: Some(frozen), adapter: None }
            }
            frozen => Self { weight: Some(weight), bias, kernel, frozen, adapter: None },
        }
    }

    /// Of a weight that is packed already, and in memory nowhere else. It cannot be trained.
    ///
    /// * `bias`: one value for each output, on the CPU, not trained either.
    ///
    /// # Errors
    /// A bias of another length or elsewhere.
    pub fn packed(weight: Packed, bias: Option<Tensor>) -> Result<Self> {
        let bias = bias.map(|bias| bias.detach());
        let kernel = weight.kernel();
        let frozen = Some(Arc::new(Frozen::packed_only(weight, bias.as_ref())?));
        Ok(Self { weight: None, bias, kernel, frozen, adapter: None })
    }

    /// The layer without the tensor beside its packed weight: half the memory. A weight that is not packed stays.
    #[must_use]
    pub fn released(mut self) -> Self {
        if let Some(frozen) = self.frozen.take() {
            self.frozen = Some(Arc::new(Arc::unwrap_or_clone(frozen).released()));
            self.weight = None;
        }
        self
    }

    /// The layer with some of its outputs alone, in the order given; the same bits for each of them.
    ///
    /// # Errors
    /// An output that the layer does not have, and what the tensor library reports.
    pub fn select(&self, outputs: &[u32]) -> Result<Self> {
        let (n, _) = self.dims()?;
        if let Some(output) = outputs.iter().find(|&&output| output as usize >= n) {
            return Err(Error::Msg(format!("linear: output {output} of a layer with {n}")).bt());
        }
        let some = |tensor: &Tensor| tensor.index_select(&Tensor::new(outputs, tensor.device())?, 0);
        let bias = self.bias.as_ref().map(some).transpose()?;
        if let (Some(frozen), None) = (&self.frozen, &self.adapter) {
            return Self::packed(frozen.packed().select(outputs), bias);
        }
        let merged = self.merged()?;
        match &merged.weight {
            Some(weight) => Ok(Self {
                weight: Some(some(weight)?),
                bias,
                kernel: self.kernel,
                frozen: None,
                adapter: None,
            }),
            None => merged.select(outputs),
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
        let adapter = Some(Adapter::new(a, b, scale, self.dims()?)?);
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
        let bias = self.bias.as_ref().map(Tensor::detach);
        let Some(adapter) = &self.adapter else {
            let weight = self.weight.as_ref().map(Tensor::detach);
            let frozen = match &weight {
                Some(weight) => Frozen::new(weight, bias.as_ref(), self.kernel).map(Arc::new),
                None => self.frozen.clone(),
            };
            return Ok(Self { weight, bias, kernel: self.kernel, frozen, adapter: None });
        };
        match (&self.weight, &self.frozen) {
            (Some(weight), _) => {
                let weight = (weight + adapter.weight()?)?.detach();
                let frozen = Frozen::new(&weight, bias.as_ref(), self.kernel).map(Arc::new);
                Ok(Self { weight: Some(weight), bias, kernel: self.kernel, frozen, adapter: None })
            }
            (None, Some(frozen)) => {
                let weight = frozen.with_added(&adapter.weight()?)?;
                Self::packed(weight, bias)
            }
            (None, None) => unreachable!("a layer has a weight"),
        }
    }

    /// The weight, `out × in`, without an adapter's part; none where it is packed and nowhere else.
    pub fn weight(&self) -> Option<&Tensor> {
        self.weight.as_ref()
    }

    /// The packed weight, where it cannot be trained and is multiplied here.
    pub fn packed_weight(&self) -> Option<&Packed> {
        self.frozen.as_deref().map(Frozen::packed)
    }

    /// Whether [`weight_rows`](Self::weight_rows) are those of the weight that the layer was made of, to the last bit.
    pub fn is_lossless(&self) -> bool {
        self.weight.is_some() || self.frozen.as_ref().is_some_and(|frozen| frozen.is_lossless())
    }

    /// Rows of the weight in f32, `rows × in`, from the packed copy where there is no other: a layer that makes logits can be
    /// the table of embeddings too. Not differentiable.
    ///
    /// # Errors
    /// A row that the weight does not have, and what the tensor library reports.
    pub fn weight_rows(&self, rows: &[u32]) -> Result<Tensor> {
        match (&self.weight, &self.frozen) {
            (None, Some(frozen)) => frozen.rows(rows),
            (Some(weight), _) => embedding(&weight.detach(), rows)?.to_dtype(DType::F32),
            (None, None) => unreachable!("a layer has a weight"),
        }
    }

    /// Where the weight is.
    pub fn device(&self) -> &Device {
        self.weight.as_ref().map_or(&Device::Cpu, Tensor::device)
    }

    /// Number of outputs and of inputs.
    ///
    /// # Errors
    /// A weight that is no matrix.
    pub fn dims(&self) -> Result<(usize, usize)> {
        match (&self.weight, &self.frozen) {
            (Some(weight), _) => weight.dims2(),
            (None, Some(frozen)) => Ok((frozen.packed().outputs(), frozen.packed().inputs())),
            (None, None) => unreachable!("a layer has a weight"),
        }
    }

    /// The product alone, into memory that is there: of a layer that has neither an adapter nor anything to train.
    pub(super) fn frozen_product(&self) -> Option<impl Fn(View<'_>, &mut [f32])> {
        let frozen = self.frozen.as_deref().filter(|_| self.adapter.is_none())?;
        Some(|x: View<'_>, out: &mut [f32]| frozen.forward(x, out))
    }

    /// Whether something is added to the weight's product.
    pub(super) fn is_adapted(&self) -> bool {
        self.adapter.is_some()
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
        super::cross_entropy::check(labels, rows, self.dims()?.0)?;
        let places: Vec<u32> =
            (0..).zip(labels).filter(|(_, label)| label.is_some()).map(|(row, _)| row).collect();
        let x = &if places.len() == rows { x.clone() } else { embedding(x, &places)? };
        let found: Vec<u32> = labels.iter().flatten().copied().collect();
        let both = self.weight.as_ref().zip(self.bias.as_ref()).filter(|(weight, bias)| {
            self.adapter.is_none() && cpu::is_fused(&[x, weight, bias]) && bias.is_contiguous()
        });
        let Some((weight, bias)) = both else {
            let labels: Vec<Option<u32>> = found.into_iter().map(Some).collect();
            return super::cross_entropy(&self.forward(x, Activation::Identity)?, &labels);
        };
        self.check(x)?;
        x.apply_op3(
            weight,
            bias,
            cross_entropy::LinearCrossEntropy {
                labels: found,
                kernel: self.kernel,
                arch: Arch::new(),
                wanted: [x, weight, bias].map(Tensor::track_op),
                gradients: OnceLock::new(),
            },
        )
    }

    fn on_cpu(&self, x: &Tensor) -> bool {
        let ours = |tensor: &Tensor| cpu::is_ours(tensor) && op::is_ours(tensor.dtype());
        ours(x) && self.weight.as_ref().is_none_or(ours) && self.bias.as_ref().is_none_or(ours)
    }

    /// Refuses shapes that do not fit.
    fn check(&self, x: &Tensor) -> Result<()> {
        let mismatch = |lhs: Shape, rhs: Shape| Error::ShapeMismatchBinaryOp { lhs, rhs, op: "linear" }.bt();
        let ((_, columns), (outputs, inputs)) = (x.dims2()?, self.dims()?);
        if columns != inputs {
            return Err(mismatch(x.shape().clone(), (outputs, inputs).into()));
        }
        if let Some(bias) = self.bias.as_ref().filter(|bias| bias.dims() != [outputs]) {
            return Err(mismatch((outputs, inputs).into(), bias.shape().clone()));
        }
        Ok(())
    }

    fn product(&self, x: &Tensor, relu: bool) -> Result<Tensor> {
        self.check(x)?;
        let op = Product { frozen: self.frozen.clone(), kernel: self.kernel, relu };
        match (&self.weight, &self.bias) {
            _ if self.frozen.is_some() => x.apply_op1(op),
            (Some(weight), None) => x.apply_op2(weight, op),
            (Some(weight), Some(bias)) => x.apply_op3(weight, bias, op),
            (None, _) => unreachable!("a layer has a weight"),
        }
    }

    /// The product by the tensor library.
    fn composed(&self, x: &Tensor) -> Result<Tensor> {
        let Some(weight) = &self.weight else {
            let (dtype, device) = (x.dtype(), x.device().location());
            candle_core::bail!(
                "a packed weight takes floating point numbers of the CPU, found {dtype:?} on {device:?}"
            );
        };
        let y = x.to_dtype(weight.dtype())?.contiguous()?.matmul(&weight.t()?)?.to_dtype(x.dtype())?;
        match &self.bias {
            Some(bias) => y.broadcast_add(&bias.to_dtype(x.dtype())?),
            None => Ok(y),
        }
    }
}

#[cfg(test)]
mod tests;
