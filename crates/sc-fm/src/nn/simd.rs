//! Arithmetic on whole vectors, with the same bits whatever the width of the processor's registers.
//!
//! Two rules make it so. Sums along a row run in [`LANES`] chains, value `i` in the chain `i % LANES`, which are then
//! added in a fixed order ([`sum_lanes`]): one register of AVX-512, two of AVX2 and sixteen scalars do the same
//! additions. And functions are made of operations that are exactly rounded everywhere: `+ − × ÷`, fused
//! multiply-add, comparisons and integer arithmetic, never of a processor's approximations.

mod exp;
mod map;
mod normal;
mod sigmoid;
mod tanh;

use pulp::Simd;

pub(crate) use exp::exp;
pub(crate) use map::{Binary, Unary, map_binary, map_unary};
pub(crate) use normal::{gelu, gelu_gradient};
pub(crate) use sigmoid::{gelu_tanh, gelu_tanh_gradient, silu, silu_gradient};
pub(crate) use tanh::tanh;

/// Number of chains that a sum along a row runs in; a multiple of the lanes of every register.
pub(crate) const LANES: usize = 16;

/// Sixteen chains, in the first `LANES / S::F32_LANES` registers.
pub(crate) type Chains<S> = [<S as Simd>::f32s; LANES];

/// Registers that hold the chains.
pub(crate) const fn registers<S: Simd>() -> usize {
    LANES / S::F32_LANES
}

/// All chains at one value.
#[inline(always)]
pub(crate) fn chains<S: Simd>(simd: S, value: f32) -> Chains<S> {
    [simd.splat_f32s(value); LANES]
}

/// The sixteen numbers of the chains.
#[inline(always)]
pub(crate) fn lanes<S: Simd>(chains: &Chains<S>) -> [f32; LANES] {
    let mut lanes = [0.0; LANES];
    S::as_mut_simd_f32s(&mut lanes).0.copy_from_slice(&chains[..registers::<S>()]);
    lanes
}

/// The sum of the chains: halves are added to halves, so that the order is the same for every width.
#[inline(always)]
pub(crate) fn sum_lanes(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// The largest of the lanes; NaN lanes are passed over.
#[inline(always)]
pub(crate) fn max_lanes(lanes: [f32; LANES]) -> f32 {
    lanes.into_iter().fold(f32::NEG_INFINITY, |high, x| if x > high { x } else { high })
}

/// Splits a row into whole groups of [`LANES`] and the rest.
#[inline(always)]
pub(crate) fn groups(row: &[f32]) -> (&[f32], &[f32]) {
    row.split_at(row.len() / LANES * LANES)
}

/// `Σ f(xᵢ, yᵢ)` added into sixteen chains, by steps `f(sum, x, y)`; `y` is as long as `x`.
#[inline(always)]
pub(crate) fn sum_rows<S: Simd>(simd: S, x: &[f32], y: &[f32], step: impl Step) -> f32 {
    let ((x, x_rest), (y, y_rest)) = (groups(x), groups(y));
    let mut sums = chains(simd, 0.0);
    for (x, y) in x.chunks_exact(LANES).zip(y.chunks_exact(LANES)) {
        let (x, y) = (S::as_simd_f32s(x).0, S::as_simd_f32s(y).0);
        for r in 0..registers::<S>() {
            sums[r] = step.add(simd, sums[r], x[r], y[r]);
        }
    }
    let mut sums = lanes::<S>(&sums);
    for ((sum, &x), &y) in sums.iter_mut().zip(x_rest).zip(y_rest) {
        *sum = step.add(pulp::Scalar::new(), *sum, x, y);
    }
    sum_lanes(sums)
}

/// One step of a sum over pairs of values.
pub(crate) trait Step: Copy {
    /// The sum with one more pair in it.
    fn add<S: Simd>(self, simd: S, sum: S::f32s, x: S::f32s, y: S::f32s) -> S::f32s;
}

/// `Σ x y`.
#[derive(Clone, Copy)]
pub(crate) struct Product;

impl Step for Product {
    #[inline(always)]
    fn add<S: Simd>(self, simd: S, sum: S::f32s, x: S::f32s, y: S::f32s) -> S::f32s {
        simd.mul_add_f32s(x, y, sum)
    }
}

/// The processors' vector units that tests compare.
#[cfg(test)]
pub(crate) fn every_arch() -> Vec<pulp::Arch> {
    let mut all = vec![pulp::Arch::Scalar];
    #[cfg(target_arch = "x86_64")]
    {
        all.extend(pulp::x86::V3::try_new().map(pulp::Arch::V3));
        all.extend(pulp::x86::V4::try_new().map(pulp::Arch::V4));
    }
    all
}
