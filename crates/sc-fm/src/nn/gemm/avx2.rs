//! The f32 micro-kernel for processors with AVX2, FMA and F16C, with a right operand of f32 or f16.

#![allow(unsafe_code, reason = "vector instructions, and tiles written through a pointer")]

use std::arch::x86_64::*;

use super::micro::{Format, Micro, Operands, PANEL, STRIDE, Target};

/// Half a panel of columns and up to 6 rows at a time: 12 sums, 2 values of the right operand and 1 of the left in
/// 16 registers. The right operand is f16 (`HALF`) or f32.
pub(super) struct Avx2<const HALF: bool>;

impl<const HALF: bool> Micro for Avx2<HALF> {
    const ROWS: usize = 12;
    const FORMAT: Format = if HALF { Format::F16 } else { Format::F32 };

    unsafe fn enter() -> Self {
        Self
    }

    unsafe fn tile(&mut self, operands: Operands<'_>, target: Target) {
        operands.check(target.rows, Self::FORMAT);
        for columns in (0..target.columns).step_by(16) {
            for row in (0..target.rows).step_by(6) {
                let rows = (target.rows - row).min(6);
                let part = Part { row, rows, column: columns, columns: (target.columns - columns).min(16) };
                // SAFETY: the processor has the instructions, the caller says; the part is inside the tile.
                unsafe {
                    match rows {
                        1 => part.compute::<1, HALF>(&operands, &target),
                        2 => part.compute::<2, HALF>(&operands, &target),
                        3 => part.compute::<3, HALF>(&operands, &target),
                        4 => part.compute::<4, HALF>(&operands, &target),
                        5 => part.compute::<5, HALF>(&operands, &target),
                        _ => part.compute::<6, HALF>(&operands, &target),
                    }
                }
            }
        }
    }
}

/// A part of a tile that fits the registers.
struct Part {
    row: usize,
    rows: usize,
    column: usize,
    columns: usize,
}

impl Part {
    /// # Safety
    /// As [`Micro::tile`]; `R` is `rows`.
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn compute<const R: usize, const HALF: bool>(&self, operands: &Operands<'_>, target: &Target) {
        debug_assert_eq!(R, self.rows);
        let a = operands.a[self.row * STRIDE..].as_ptr().cast::<f32>();
        let b = if HALF { &operands.b[self.column / 2..] } else { &operands.b[self.column..] };
        let mut sums = [[_mm256_setzero_ps(); 2]; R];
        for step in 0..operands.words {
            // SAFETY: `check` found all rows and the whole panel in the operands; a panel has 16 columns from
            // `column` on, which is 0 or 16.
            let (b0, b1) = unsafe {
                if HALF {
                    let b = b.as_ptr().cast::<u16>().add(step * PANEL);
                    let half = |b: *const u16| _mm256_cvtph_ps(_mm_loadu_si128(b.cast()));
                    (half(b), half(b.add(8)))
                } else {
                    let b = b.as_ptr().cast::<f32>().add(step * PANEL);
                    (_mm256_loadu_ps(b), _mm256_loadu_ps(b.add(8)))
                }
            };
            for (i, sums) in sums.iter_mut().enumerate() {
                // SAFETY: as above.
                let a = unsafe { _mm256_set1_ps(*a.add(i * STRIDE + step)) };
                sums[0] = _mm256_fmadd_ps(a, b0, sums[0]);
                sums[1] = _mm256_fmadd_ps(a, b1, sums[1]);
            }
        }
        let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        for (half, first_lane) in [0, 8].into_iter().enumerate() {
            let wanted = _mm256_set1_epi32(self.columns as i32 - first_lane);
            let mask = _mm256_cmpgt_epi32(wanted, lanes);
            for (i, sums) in sums.iter().enumerate() {
                // SAFETY: lanes outside the tile are masked, and a masked lane touches no memory; the pointers may
                // point past the tile there, hence `wrapping_add`.
                unsafe {
                    let column = self.column + first_lane as usize;
                    let out = target.out.wrapping_add((self.row + i) * target.stride + column);
                    let mut value = sums[half];
                    if !target.first {
                        value = _mm256_add_ps(_mm256_maskload_ps(out, mask), value);
                    }
                    if !target.bias.is_null() {
                        let bias = _mm256_maskload_ps(target.bias.wrapping_add(column), mask);
                        value = _mm256_add_ps(value, bias);
                    }
                    if target.relu {
                        // The second operand comes out where one is NaN.
                        value = _mm256_max_ps(_mm256_setzero_ps(), value);
                    }
                    _mm256_maskstore_ps(out, mask, value);
                }
            }
        }
    }
}
