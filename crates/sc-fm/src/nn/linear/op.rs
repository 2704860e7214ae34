//! The product and its derivatives, as an operation of the tensor library.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, DType, Device, Error, Layout, Result, Shape, Storage, Tensor,
};
use rayon::prelude::*;

use crate::nn::gemm::{self, Epilogue, Kernel, Packed, Precision, View, gemm, gemm_vec};
use crate::nn::{activation, cpu};

/// Whether products of this type are computed here.
pub(super) fn is_ours(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F16 | DType::BF16)
}

/// Outputs whose rows are unpacked at a time: one block of the products' inner dimension, so that sums are those of the
/// whole weight.
const UNPACKED: usize = 384;

/// A weight that does not change, packed.
#[derive(Clone, Debug)]
pub(super) struct Frozen {
    /// The tensor that it was packed from; none where it is gone.
    weight: Option<Tensor>,
    packed: Packed,
    /// Whether the packed weight has every bit of the one that it was packed from.
    is_lossless: bool,
    bias: Option<Vec<f32>>,
    /// For the derivative by `x`; packed when one is first asked for, where the tensor is there.
    transposed: OnceLock<Packed>,
}

impl Frozen {
    /// Nothing where the weight or the bias can be trained, or is not a thing that we multiply with. Blocks are kept
    /// without the tensor.
    pub(super) fn new(weight: &Tensor, bias: Option<&Tensor>, kernel: Kernel) -> Option<Self> {
        let fixed = |tensor: &Tensor| cpu::is_ours(tensor) && is_ours(tensor.dtype()) && !tensor.track_op();
        let (outputs, _) = weight.dims2().ok()?;
        if !fixed(weight) || !bias.is_none_or(|bias| fixed(bias) && bias.dims() == [outputs]) {
            return None;
        }
        let packed = with_matrix(weight, |view| Packed::try_new(view, kernel)).ok()?.ok()?;
        let bias = match bias {
            Some(bias) => Some(vector(bias).ok()?),
            None => None,
        };
        let is_lossless = packed.is_lossless(weight.dtype());
        let weight = kernel.blocks().is_none().then(|| weight.clone());
        Some(Self { weight, packed, is_lossless, bias, transposed: OnceLock::new() })
    }

    /// Of a weight without a tensor.
    pub(super) fn packed_only(packed: Packed, bias: Option<&Tensor>) -> Result<Self> {
        if let Some(bias) = bias.filter(|bias| bias.dims() != [packed.outputs()]) {
            let (lhs, rhs) = (Shape::from((packed.outputs(), packed.inputs())), bias.shape().clone());
            return Err(Error::ShapeMismatchBinaryOp { lhs, rhs, op: "linear" }.bt());
        }
        if let Some(bias) = bias.filter(|bias| !bias.device().is_cpu()) {
            return Err(
                Error::Msg(format!("a packed weight with a bias on {:?}", bias.device().location())).bt()
            );
        }
        let bias = bias.map(vector).transpose()?;
        Ok(Self { weight: None, packed, is_lossless: false, bias, transposed: OnceLock::new() })
    }

    /// The packed weight alone.
    pub(super) fn released(self) -> Self {
        Self { weight: None, transposed: OnceLock::new(), ..self }
    }

    pub(super) fn packed(&self) -> &Packed {
        &self.packed
    }

    /// Whether the packed weight has every bit of the one that it was packed from.
    pub(super) fn is_lossless(&self) -> bool {
        self.is_lossless
    }

    /// Rows of the weight, from the packed copy.
    pub(super) fn rows(&self, rows: &[u32]) -> Result<Tensor> {
        let (outputs, inputs) = (self.packed.outputs(), self.packed.inputs());
        if let Some(row) = rows.iter().find(|&&row| row as usize >= outputs) {
            return Err(Error::Msg(format!("linear: row {row} of a weight of {outputs}")).bt());
        }
        let mut values = vec![0.0; rows.len() * inputs];
        for (values, &row) in values.chunks_exact_mut(inputs.max(1)).zip(rows) {
            self.packed.unpack(row as usize..row as usize + 1, values);
        }
        Tensor::from_vec(values, (rows.len(), inputs), &Device::Cpu)
    }

    /// The packed weight plus another, packed again.
    pub(super) fn with_added(&self, other: &Tensor) -> Result<Packed> {
        let (outputs, inputs) = (self.packed.outputs(), self.packed.inputs());
        let other = vector(other)?;
        let sum = |rows: std::ops::Range<usize>, values: &mut [f32]| {
            self.packed.unpack(rows.clone(), values);
            let other = &other[rows.start * inputs..rows.end * inputs];
            values.iter_mut().zip(other).for_each(|(value, other)| *value += other);
            Ok::<(), gemm::Error>(())
        };
        Packed::from_pieces((outputs, inputs), self.packed.kernel(), sum).map_err(Error::wrap)
    }

    /// `out = x Wᵀ + b`.
    pub(super) fn forward(&self, x: View<'_>, out: &mut [f32]) {
        gemm(x, &self.packed, Epilogue { bias: self.bias.as_deref(), ..Epilogue::default() }, out);
    }

    /// `grad · W`: the derivative by `x`.
    fn by_input(&self, grad: View<'_>) -> Result<Vec<f32>> {
        let plain = Epilogue::default();
        if let Some(weight) = &self.weight {
            if self.transposed.get().is_none() {
                let packed = with_matrix(weight, |view| Packed::new(view.t(), self.packed.kernel()))?;
                _ = self.transposed.set(packed);
            }
            let transposed = self.transposed.get().expect("it was set right above, or by another thread");
            return Ok(gemm_vec(grad, transposed, plain));
        }
        let (outputs, inputs) = (self.packed.outputs(), self.packed.inputs());
        let kernel = match self.packed.kernel().blocks() {
            Some(_) => Kernel::new(Precision::F32Grade),
            None => self.packed.kernel(),
        };
        let mut by_input = vec![0.0; grad.rows() * inputs];
        let mut values = vec![0.0; UNPACKED.min(outputs) * inputs];
        for first in (0..outputs).step_by(UNPACKED) {
            let rows = first..outputs.min(first + UNPACKED);
            let values = &mut values[..rows.len() * inputs];
            self.packed.unpack(rows.clone(), values);
            let packed = Packed::new(View::new(values, rows.len(), inputs).t(), kernel);
            let epilogue = Epilogue { accumulate: first > 0, ..plain };
            gemm(grad.columns_of(rows), &packed, epilogue, &mut by_input);
        }
        Ok(by_input)
    }
}

/// `x Wᵀ + b`, and 0 in place of what is below, if asked. Of one tensor (`x`) where the weight is frozen, else of two
/// or three: `x`, the weight, the bias.
pub(super) struct Product {
    pub(super) frozen: Option<Arc<Frozen>>,
    pub(super) kernel: Kernel,
    pub(super) relu: bool,
}

impl Product {
    fn forward(
        &self,
        (x, layout): (&CpuStorage, &Layout),
        weight: &Packed,
        bias: Option<&[f32]>,
    ) -> Result<(CpuStorage, Shape)> {
        let x_matrix = Matrix::new(x, layout)?;
        let epilogue = Epilogue { bias, relu: self.relu, accumulate: false };
        let shape = Shape::from((x_matrix.rows, weight.outputs()));
        let y = CpuStorage::F32(gemm_vec(x_matrix.view(), weight, epilogue));
        match x.dtype() {
            DType::F32 => Ok((y, shape)),
            dtype => Ok((y.to_dtype(&Layout::contiguous(&shape), dtype)?, shape)),
        }
    }

    /// The gradients by `x`, the weight and the bias, as far as they are wanted.
    fn backward(
        &self,
        x: &Tensor,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        (y, grad): (&Tensor, &Tensor),
    ) -> Result<[Option<Tensor>; 3]> {
        let (rows, outputs) = grad.dims2()?;
        let grad = match self.relu {
            true => Tensor::from_vec(where_positive(y, grad)?, (rows, outputs), &Device::Cpu)?,
            false => grad.contiguous()?.to_dtype(DType::F32)?,
        };
        let (storage, layout) = grad.storage_and_layout();
        let grad = cpu::values(cpu::storage(&storage)?, layout)?;
        let view = View::new(grad, rows, outputs);
        let plain = Epilogue::default();
        let wanted = |tensor: &&Tensor| tensor.track_op();
        let tensor = |values: Vec<f32>, like: &Tensor| {
            Tensor::from_vec(values, like.shape(), &Device::Cpu)?.to_dtype(like.dtype())
        };
        let by_x = match (&self.frozen, weight) {
            _ if !x.track_op() => None,
            (Some(frozen), _) => Some(frozen.by_input(view)?),
            (None, Some(weight)) => {
                let packed = with_matrix(weight, |weight| Packed::new(weight.t(), self.kernel))?;
                Some(gemm_vec(view, &packed, plain))
            }
            (None, None) => None,
        };
        let by_weight = match weight.filter(wanted) {
            Some(weight) => {
                let packed = with_matrix(x, |x| Packed::new(x.t(), self.kernel))?;
                Some(tensor(gemm_vec(view.t(), &packed, plain), weight)?)
            }
            None => None,
        };
        let by_bias = match bias.filter(wanted) {
            Some(bias) => Some(tensor(column_sums(grad, outputs), bias)?),
            None => None,
        };
        Ok([by_x.map(|values| tensor(values, x)).transpose()?, by_weight, by_bias])
    }
}

impl CustomOp1 for Product {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let frozen = self.frozen.as_ref().expect("an operation of one tensor has a frozen weight");
        self.forward((x, layout), &frozen.packed, frozen.bias.as_deref())
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let [by_x, ..] = self.backward(x, None, None, (y, grad))?;
        Ok(by_x)
    }
}

impl CustomOp2 for Product {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let packed = Packed::new(Matrix::new(w, wl)?.view(), self.kernel);
        self.forward((x, xl), &packed, None)
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [by_x, by_weight, _] = self.backward(x, Some(weight), None, (y, grad))?;
        Ok((by_x, by_weight))
    }
}

impl CustomOp3 for Product {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
        b: &CpuStorage,
        bl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let packed = Packed::new(Matrix::new(w, wl)?.view(), self.kernel);
        let bias = Matrix::new(b, bl)?;
        let bias: Vec<f32> = (0..bias.columns).map(|j| bias.data[j * bias.strides.1]).collect();
        self.forward((x, xl), &packed, Some(&bias))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [by_x, by_weight, by_bias] = self.backward(x, Some(weight), Some(bias), (y, grad))?;
        Ok((by_x, by_weight, by_bias))
    }
}

/// The values of a tensor of at most two dimensions in f32: as they lie, or a copy.
pub(super) struct Matrix<'a> {
    data: Cow<'a, [f32]>,
    pub(super) rows: usize,
    pub(super) columns: usize,
    strides: (usize, usize),
}

impl<'a> Matrix<'a> {
    pub(super) fn new(storage: &'a CpuStorage, layout: &Layout) -> Result<Self> {
        let (rows, columns, row, column) = match (layout.dims(), layout.stride()) {
            (&[columns], &[column]) => (1, columns, 0, column),
            (&[rows, columns], &[row, column]) => (rows, columns, row, column),
            _ => return Err(Error::Msg(format!("expected a matrix, found {:?}", layout.shape())).bt()),
        };
        let places = || (0..rows).flat_map(move |i| (0..columns).map(move |j| i * row + j * column));
        let offset = layout.start_offset();
        let (data, strides): (Cow<'a, [f32]>, _) = match storage {
            CpuStorage::F32(values) => {
                (Cow::Borrowed(values.get(offset..).unwrap_or_default()), (row, column))
            }
            CpuStorage::F16(values) => {
                (places().map(|at| values[offset + at].to_f32()).collect(), (columns, 1))
            }
            CpuStorage::BF16(values) => {
                (places().map(|at| values[offset + at].to_f32()).collect(), (columns, 1))
            }
            _ => return Err(Error::UnsupportedDTypeForOp(storage.dtype(), "linear").bt()),
        };
        Ok(Self { data, rows, columns, strides })
    }

    /// Some of the rows.
    pub(super) fn rows(&self, first: usize, n: usize) -> View<'_> {
        View::strided(&self.data[first * self.strides.0..], (n, self.columns), self.strides)
    }

    pub(super) fn view(&self) -> View<'_> {
        View::strided(&self.data, (self.rows, self.columns), self.strides)
    }
}

/// Calls `f` with a tensor on the CPU as a matrix.
fn with_matrix<T>(tensor: &Tensor, f: impl FnOnce(View<'_>) -> T) -> Result<T> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => Ok(f(Matrix::new(storage, layout)?.view())),
        _ => Err(Error::Msg("expected a tensor on the CPU".to_owned()).bt()),
    }
}

/// The values of a tensor in f32, row after row.
fn vector(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1()
}

/// `grad` where `y` is not 0 or below: the derivative of the fused activation. A NaN in `y` lets it pass.
fn where_positive(y: &Tensor, grad: &Tensor) -> Result<Vec<f32>> {
    let plain = |x: &Tensor| x.contiguous()?.to_dtype(DType::F32);
    let (y, grad) = (plain(y)?, plain(grad)?);
    let ((y, y_layout), (grad, grad_layout)) = (y.storage_and_layout(), grad.storage_and_layout());
    let y = cpu::values(cpu::storage(&y)?, y_layout)?;
    let grad = cpu::values(cpu::storage(&grad)?, grad_layout)?;
    let mut out = grad.to_vec();
    activation::where_positive(y, &mut out);
    Ok(out)
}

/// Columns that one thread sums at a time.
const COLUMNS: usize = 128;

/// The sum of each column, over rows in order, in f64.
pub(in crate::nn) fn column_sums(values: &[f32], columns: usize) -> Vec<f32> {
    let mut sums = vec![0f64; columns];
    sums.par_chunks_mut(COLUMNS).enumerate().for_each(|(chunk, sums)| {
        for row in values.chunks_exact(columns) {
            for (sum, value) in sums.iter_mut().zip(&row[chunk * COLUMNS..]) {
                *sum += f64::from(*value);
            }
        }
    });
    sums.into_iter().map(|sum| sum as f32).collect()
}
