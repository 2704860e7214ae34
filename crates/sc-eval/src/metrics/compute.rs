//! How metrics use the machine: blocks of cells on the caller's threads, loops compiled for its SIMD instructions.
//!
//! Without the feature `parallel` the same blocks run one after the other, to the same bits.

/// A loop over slices that gains from wide registers. `run` must be `#[inline(always)]`, so that it is compiled for the
/// instructions that [`dispatch`] finds.
pub(crate) trait Kernel {
    type Output;
    fn run<M: Arithmetic>(self) -> Self::Output;
}

/// What differs between machines in the speed, not in the result.
pub(crate) trait Arithmetic {
    /// `a b + c` where the product of `a` and `b` is exact, so that rounding it first changes nothing.
    fn exact_product_add(a: f64, b: f64, c: f64) -> f64;
}

/// Machines without a fused multiply-add.
struct Separate;

impl Arithmetic for Separate {
    #[inline(always)]
    fn exact_product_add(a: f64, b: f64, c: f64) -> f64 {
        a * b + c
    }
}

#[cfg(feature = "parallel")]
mod imp {
    use std::marker::PhantomData;

    use pulp::{Arch, NullaryFnOnce};
    use rayon::prelude::*;

    use super::{Arithmetic, Kernel, Separate};

    struct Fused;

    impl Arithmetic for Fused {
        #[inline(always)]
        fn exact_product_add(a: f64, b: f64, c: f64) -> f64 {
            a.mul_add(b, c)
        }
    }

    struct Run<K, M>(K, PhantomData<M>);

    impl<K: Kernel, M: Arithmetic> NullaryFnOnce for Run<K, M> {
        type Output = K::Output;

        #[inline(always)]
        fn call(self) -> K::Output {
            self.0.run::<M>()
        }
    }

    pub(crate) fn dispatch<K: Kernel>(kernel: K) -> K::Output {
        let arch = Arch::new();
        // On these two, all that is above the baseline has a fused multiply-add.
        let known = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));
        if known && !matches!(arch, Arch::Scalar) {
            arch.dispatch(Run(kernel, PhantomData::<Fused>))
        } else {
            arch.dispatch(Run(kernel, PhantomData::<Separate>))
        }
    }

    pub(crate) fn map_blocks<T: Send>(n_blocks: usize, f: impl Fn(usize) -> T + Send + Sync) -> Vec<T> {
        (0..n_blocks).into_par_iter().map(f).collect()
    }
}

#[cfg(not(feature = "parallel"))]
mod imp {
    use super::{Kernel, Separate};

    pub(crate) fn dispatch<K: Kernel>(kernel: K) -> K::Output {
        kernel.run::<Separate>()
    }

    pub(crate) fn map_blocks<T: Send>(n_blocks: usize, f: impl Fn(usize) -> T + Send + Sync) -> Vec<T> {
        (0..n_blocks).map(f).collect()
    }
}

/// `f(0), f(1), ..` in this order, computed on the caller's threads where there are any.
pub(crate) use imp::map_blocks;

/// Runs a kernel with the widest instructions of this machine.
pub(crate) use imp::dispatch;

/// Sum of `values` over chunks of a fixed size, so that it does not depend on who sums which chunk.
pub(crate) fn sum(values: &[f64]) -> f64 {
    values.chunks(1024).map(|chunk| chunk.iter().sum::<f64>()).sum()
}

/// Mean of `values`; NaN without any.
pub(crate) fn mean(values: &[f64]) -> f64 {
    sum(values) / values.len() as f64
}
