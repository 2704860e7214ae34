//! Matrices of f32 in the memory of the processor, as the fused layers see them.

use candle_core::{CpuStorage, DType, Layout, Result, Shape, Storage, Tensor};

use crate::compute;

/// A matrix whose rows are contiguous.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub(crate) data: &'a [f32],
    /// Distance between rows.
    pub(crate) stride: usize,
    pub(crate) n_rows: usize,
    pub(crate) n_cols: usize,
}

impl<'a> Matrix<'a> {
    /// Row `i`.
    #[inline(always)]
    pub(crate) fn row(self, i: usize) -> &'a [f32] {
        &self.data[i * self.stride..][..self.n_cols]
    }
}

/// Whether the fused layers take these tensors: f32 in the memory of the processor.
pub(crate) fn is_fused(tensors: &[&Tensor]) -> bool {
    tensors.iter().all(|x| is_ours(x) && x.dtype() == DType::F32)
}

/// Whether a tensor is for the kernels of this crate: in the memory of the processor, and not to be computed with otherwise.
pub(crate) fn is_ours(x: &Tensor) -> bool {
    x.device().is_cpu() && !compute::is_portable()
}

/// What `f` makes of a tensor; of one of 16 bits a value in f32 and back, where the kernels do not compute: sums and
/// exponentials of 16 bits lose too much.
pub(crate) fn widened(x: &Tensor, f: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    match x.dtype() {
        DType::F16 | DType::BF16 if !is_ours(x) => f(&x.to_dtype(DType::F32)?)?.to_dtype(x.dtype()),
        _ => f(x),
    }
}

/// The tensor with contiguous rows: itself where it has them.
pub(crate) fn contiguous_rows(x: &Tensor) -> Result<Tensor> {
    match *x.stride() {
        [_, 1] => Ok(x.clone()),
        _ => x.contiguous(),
    }
}

/// The matrix of a storage.
pub(crate) fn matrix<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<Matrix<'a>> {
    let (n_rows, n_cols) = layout.shape().dims2()?;
    let &[stride, 1] = layout.stride() else {
        candle_core::bail!("the rows of a matrix are not contiguous: strides {:?}", layout.stride());
    };
    // A part of a matrix without rows may begin behind its end.
    let data = storage.as_slice::<f32>()?.get(layout.start_offset()..).unwrap_or_default();
    Ok(Matrix { data, stride, n_rows, n_cols })
}

/// All values of a contiguous storage.
pub(crate) fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        candle_core::bail!("a tensor is not contiguous: strides {:?}", layout.stride());
    };
    Ok(&storage.as_slice::<f32>()?[start..end])
}

/// The processor's storage of a tensor.
pub(crate) fn storage(storage: &Storage) -> Result<&CpuStorage> {
    match storage {
        Storage::Cpu(storage) => Ok(storage),
        _ => candle_core::bail!("a fused layer of the processor was given a tensor elsewhere"),
    }
}

/// A result of an op.
pub(crate) fn result(data: Vec<f32>, shape: impl Into<Shape>) -> (CpuStorage, Shape) {
    (CpuStorage::F32(data), shape.into())
}

/// Cuts a slice in parts of the given lengths.
pub(crate) fn split<T>(mut rest: &mut [T], lengths: impl IntoIterator<Item = usize>) -> Vec<&mut [T]> {
    lengths
        .into_iter()
        .map(|length| {
            let (part, after) = std::mem::take(&mut rest).split_at_mut(length);
            rest = after;
            part
        })
        .collect()
}
