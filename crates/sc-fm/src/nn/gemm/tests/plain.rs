//! The micro-kernel of bf16 pairs in plain Rust.

use crate::nn::gemm::micro::{Format, Micro, Operands, PANEL, STRIDE, Target, widen};
use crate::nn::gemm::scalar::store_row;

/// Each step adds the product of the later values of two pairs, then that of the earlier ones.
pub(crate) struct PlainBf16;

impl Micro for PlainBf16 {
    const ROWS: usize = 12;
    const FORMAT: Format = Format::Bf16;

    unsafe fn enter() -> Self {
        Self
    }

    unsafe fn tile(&mut self, operands: Operands<'_>, target: Target) {
        operands.check(target.rows, Self::FORMAT);
        for i in 0..target.rows {
            let mut sums = [0f32; PANEL];
            for (step, b) in operands.b.chunks_exact(PANEL).enumerate().take(operands.words) {
                let a = operands.a[i * STRIDE + step];
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = widen(a >> 16).mul_add(widen(b >> 16), *sum);
                    *sum = widen(a & 0xffff).mul_add(widen(b & 0xffff), *sum);
                }
            }
            // SAFETY: the caller owns the tile, and row `i` is in it.
            unsafe { store_row(&sums, i, &target) };
        }
    }
}
