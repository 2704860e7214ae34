//! Matrix products on the CPU: `A · Wᵀ`, with the weight packed once and the micro-kernel chosen at run time.
//!
//! [`Packed`] holds a weight in the order in which a [`Kernel`] reads it; [`gemm`] multiplies rows with it. Results
//! depend on nothing but the operands and the kernel: not on the number of threads, nor on the other rows. For the
//! kernels named `f32-…` they do not depend on the kernel either. With blocks of 384 inputs,
//!
//! `y = ((s₀ + s₁) + s₂ …) + bias`, `s_b = fma(a_k, w_k, … fma(a_1, w_1, fma(a_0, w_0, 0)))` over the inputs of block
//! `b` in order. Kernels named `f16-…` compute the same, with weights that are held in f16.
//!
//! [`Serial`] does the same on one thread and in memory that is reused, for blocks held in the cache. Scores of
//! attention, `Q · Kᵀ`, take the keys as the weight; `P · V` takes [`View::t`] of the values, and adds to what is there.
//!
//! Weights that do not change may be packed in blocks of whole numbers ([`BlockFormat`]), a quarter or an eighth of the
//! memory: [`Packed::try_new`], [`Packed::from_pieces`] for weights that never are in memory whole, and
//! [`Packed::from_blocks`] for those that are stored so. Rows are rounded to 8 bits where they are multiplied, 32 inputs
//! to a scale `s = max |x| / 127`; sums of whole numbers are exact; and from block to block, in order,
//!
//! `y = fma(Σ a q, s · d, y)`, and with 4 bits also `y = fma(−m, s · Σ a, y)`, from 0 on, for weights `w = d · q − m`.
//!
//! All kernels named `q8_0-…` give the same bits, and all named `q4_k-…`.

mod block;
mod blocks;
mod buffer;
mod error;
mod kernel;
#[cfg_attr(
    not(all(target_arch = "x86_64", target_os = "linux")),
    allow(dead_code, reason = "bf16 is for processors that multiply it")
)]
mod micro;
mod packed;
mod parallel;
mod quantized;
mod scalar;
mod select;
mod view;

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

#[cfg(test)]
mod tests;

pub use blocks::BlockFormat;
pub use error::Error;
pub use kernel::{Kernel, Precision};
pub use packed::Packed;
pub use parallel::{Serial, gemm, gemm_vec};
pub use view::View;

/// What happens to a product on its way to memory: what is there already is added (or not), then the bias, then the
/// activation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// Whether the product is added to what the output holds.
    pub accumulate: bool,
    /// One value for each output.
    pub bias: Option<&'a [f32]>,
    /// Whether values below 0 become 0; a NaN stays.
    pub relu: bool,
}
