//! The micro-kernel that any processor can run, and that says what the others compute.

#![allow(unsafe_code, reason = "tiles are written through a pointer: threads own columns of the same rows")]

use super::micro::{Format, Micro, Operands, PANEL, STRIDE, Target};

/// Fused multiply-adds in f32, in the order that every f32 kernel keeps, with a right operand of f16 (`HALF`) or f32.
pub(super) struct Scalar<const HALF: bool>;

impl<const HALF: bool> Micro for Scalar<HALF> {
    const ROWS: usize = 12;
    const FORMAT: Format = if HALF { Format::F16 } else { Format::F32 };

    unsafe fn enter() -> Self {
        Self
    }

    unsafe fn tile(&mut self, operands: Operands<'_>, target: Target) {
        operands.check(target.rows, Self::FORMAT);
        for i in 0..target.rows {
            let row = &operands.a[i * STRIDE..][..operands.words];
            let mut sums = [0f32; PANEL];
            for (a, b) in row.iter().zip(operands.b.chunks_exact(Self::FORMAT.step_words())) {
                for (j, sum) in sums.iter_mut().enumerate() {
                    let b = if HALF { half(b, j) } else { f32::from_bits(b[j]) };
                    *sum = f32::from_bits(*a).mul_add(b, *sum);
                }
            }
            // SAFETY: the caller owns the tile, and row `i` is in it.
            unsafe { store_row(&sums, i, &target) };
        }
    }
}

/// Output `j` of a step of f16.
#[inline(always)]
pub(super) fn half(step: &[u32], j: usize) -> f32 {
    half::f16::from_bits((step[j / 2] >> (16 * (j % 2))) as u16).to_f32()
}

/// Writes row `i` of a tile.
///
/// # Safety
/// As [`Micro::tile`] asks of `target`; `i` is below its `rows`.
#[inline(always)]
pub(super) unsafe fn store_row(sums: &[f32; PANEL], i: usize, target: &Target) {
    for (j, &sum) in sums.iter().enumerate().take(target.columns) {
        // SAFETY: `(i, j)` is inside the tile, which the caller owns; it is read only where it was written before;
        // `bias` has as many values as the tile has columns.
        unsafe {
            let out = target.out.add(i * target.stride + j);
            let mut value = if target.first { sum } else { *out + sum };
            if !target.bias.is_null() {
                value += *target.bias.add(j);
            }
            // Not `f32::max`, which would lose a NaN.
            *out = if target.relu && 0.0 > value { 0.0 } else { value };
        }
    }
}
