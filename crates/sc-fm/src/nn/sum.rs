//! Two tensors added.

use candle_core::{Result, Tensor};
use pulp::{Arch, Simd};
use rayon::prelude::*;

use super::cpu;
use super::simd::{Binary, map_binary};

/// Values that one thread takes at a time.
const CHUNK: usize = 1 << 14;

/// `x + y` for tensors of one shape; differentiable.
///
/// Where no gradient is wanted the caller's threads add, not a second pool beside them.
///
/// # Errors
/// What the tensor library reports, shapes that differ above all.
pub fn sum(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let is_plain = |x: &Tensor| x.is_contiguous() && !x.track_op();
    if !(cpu::is_fused(&[x, y]) && is_plain(x) && is_plain(y) && x.shape() == y.shape()) {
        return x + y;
    }
    let ((x_storage, x_layout), (y_storage, y_layout)) = (x.storage_and_layout(), y.storage_and_layout());
    let a = cpu::values(cpu::storage(&x_storage)?, x_layout)?;
    let b = cpu::values(cpu::storage(&y_storage)?, y_layout)?;
    let arch = Arch::new();
    let mut out = vec![0.0; a.len()];
    let chunks = out.par_chunks_mut(CHUNK).zip(a.par_chunks(CHUNK)).zip(b.par_chunks(CHUNK));
    chunks.for_each(|((out, a), b)| map_binary(arch, &Plus, a, b, out));
    Tensor::from_vec(out, x.shape(), x.device())
}

struct Plus;

impl Binary for Plus {
    #[inline(always)]
    fn apply<S: Simd>(&self, simd: S, x: S::f32s, y: S::f32s) -> S::f32s {
        simd.add_f32s(x, y)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::nn::testing::{numbers, same_bits};

    #[test]
    fn sums_are_those_of_the_tensor_library() {
        let tensor = |seed| Tensor::from_vec(numbers(seed, 300 * 131), (300, 131), &Device::Cpu).unwrap();
        let (x, y) = (tensor(1), tensor(2));
        let values = |x: Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let expected = values((&x + &y).unwrap());
        assert!(same_bits(&values(sum(&x, &y).unwrap()), &expected));
        let turned = sum(&x.t().unwrap(), &y.t().unwrap()).unwrap().t().unwrap();
        assert!(same_bits(&values(turned.contiguous().unwrap()), &expected));
        assert!(sum(&x, &y.t().unwrap()).is_err());
        let x = Var::from_tensor(&x).unwrap();
        let gradients = sum(&x, &y).unwrap().sum_all().unwrap().backward().unwrap();
        assert!(gradients.get(&x).is_some());
    }
}
