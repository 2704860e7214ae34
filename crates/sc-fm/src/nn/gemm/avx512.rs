//! The micro-kernels for processors with AVX-512: f32, with a right operand of f32 or f16, and bf16 where they have
//! AVX-512-BF16.

#![allow(unsafe_code, reason = "vector instructions, and tiles written through a pointer")]

use std::arch::x86_64::*;

use super::micro::{Format, Micro, Operands, PANEL, STRIDE, Target};

/// A whole panel and up to 12 rows: 24 sums, 2 values of the right operand, and some of the left in 32 registers.
/// The right operand is f16 (`HALF`) or f32.
pub(super) struct Avx512<const HALF: bool>;

/// The same tile from pairs of bf16.
pub(super) struct Avx512Bf16;

/// Calls a kernel with the number of rows as a constant, so that the sums stay in registers.
macro_rules! with_rows {
    ($kernel:ident, $rows:expr, $operands:expr, $target:expr) => {
        match $rows {
            1 => $kernel::<1>($operands, $target),
            2 => $kernel::<2>($operands, $target),
            3 => $kernel::<3>($operands, $target),
            4 => $kernel::<4>($operands, $target),
            5 => $kernel::<5>($operands, $target),
            6 => $kernel::<6>($operands, $target),
            7 => $kernel::<7>($operands, $target),
            8 => $kernel::<8>($operands, $target),
            9 => $kernel::<9>($operands, $target),
            10 => $kernel::<10>($operands, $target),
            11 => $kernel::<11>($operands, $target),
            _ => $kernel::<12>($operands, $target),
        }
    };
}

impl<const HALF: bool> Micro for Avx512<HALF> {
    const ROWS: usize = 12;
    const FORMAT: Format = if HALF { Format::F16 } else { Format::F32 };

    unsafe fn enter() -> Self {
        Self
    }

    unsafe fn tile(&mut self, operands: Operands<'_>, target: Target) {
        operands.check(target.rows, Self::FORMAT);
        // SAFETY: the processor has AVX-512, the caller says, and owns the tile.
        unsafe {
            match HALF {
                true => with_rows!(f16_rows, target.rows, &operands, &target),
                false => with_rows!(f32_rows, target.rows, &operands, &target),
            }
        }
    }
}

impl Micro for Avx512Bf16 {
    const ROWS: usize = 12;
    const FORMAT: Format = Format::Bf16;

    unsafe fn enter() -> Self {
        Self
    }

    unsafe fn convert(row: &[f32], high: &mut [u32], _: &mut [u32]) {
        // SAFETY: the processor has AVX-512-BF16, the caller says.
        unsafe { to_bf16(row, high) }
    }

    unsafe fn tile(&mut self, operands: Operands<'_>, target: Target) {
        operands.check(target.rows, Self::FORMAT);
        // SAFETY: the processor has AVX-512-BF16, the caller says, and owns the tile.
        unsafe { with_rows!(bf16_rows, target.rows, &operands, &target) }
    }
}

/// A kernel for a constant number of rows. One function from the first product to the last store, because sums that
/// another function sees live in memory: with the stores apart, a product took more than twice as long.
macro_rules! kernel {
    ($name:ident, $features:literal, $load:ident, |$sum:ident, $a:ident, $b:ident| $product:expr) => {
        /// # Safety
        /// As [`Micro::tile`]; `R` is `target.rows`.
        #[target_feature(enable = $features)]
        unsafe fn $name<const R: usize>(operands: &Operands<'_>, target: &Target) {
            let (a, b) = (operands.a.as_ptr().cast::<f32>(), operands.b.as_ptr());
            let mut sums = [[_mm512_setzero_ps(); 2]; R];
            for step in 0..operands.words {
                // SAFETY: `check` found all rows and the whole panel in the operands.
                let (b0, b1) = unsafe { $load(b, step) };
                for i in 0..R {
                    // SAFETY: as above.
                    let $a = unsafe { _mm512_set1_ps(*a.add(i * STRIDE + step)) };
                    let ($sum, $b) = (sums[i][0], b0);
                    sums[i][0] = $product;
                    let ($sum, $b) = (sums[i][1], b1);
                    sums[i][1] = $product;
                }
            }
            for half in 0..2 {
                for i in 0..R {
                    // SAFETY: as the caller says.
                    unsafe { store(sums[i][half], i, half, target) };
                }
            }
        }
    };
}

/// One step of a panel, 16 outputs each.
///
/// # Safety
/// `words` holds the step.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn f32_step(words: *const u32, step: usize) -> (__m512, __m512) {
    // SAFETY: as the caller says.
    unsafe {
        let step = words.add(step * PANEL).cast();
        (_mm512_loadu_ps(step), _mm512_loadu_ps(step.add(16)))
    }
}

/// As `f32_step`, of f16.
///
/// # Safety
/// As `f32_step`.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn f16_step(words: *const u32, step: usize) -> (__m512, __m512) {
    // SAFETY: as the caller says.
    unsafe {
        let step = words.add(step * Format::F16.step_words()).cast::<__m256i>();
        (_mm512_cvtph_ps(_mm256_loadu_si256(step)), _mm512_cvtph_ps(_mm256_loadu_si256(step.add(1))))
    }
}

kernel!(f32_rows, "avx512f", f32_step, |sum, a, b| _mm512_fmadd_ps(a, b, sum));
kernel!(f16_rows, "avx512f", f16_step, |sum, a, b| _mm512_fmadd_ps(a, b, sum));
// 16 floats are the same 512 bits as 16 pairs of bf16.
kernel!(bf16_rows, "avx512f,avx512bf16", f32_step, |sum, a, b| {
    // SAFETY: both types are 512 bits without a rule on them.
    let (a, b) =
        unsafe { (std::mem::transmute::<__m512, __m512bh>(a), std::mem::transmute::<__m512, __m512bh>(b)) };
    _mm512_dpbf16_ps(sum, a, b)
});

/// Writes half a row of a tile.
///
/// # Safety
/// As [`Micro::tile`] asks of `target`; row `i` is in the tile.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn store(mut value: __m512, i: usize, half: usize, target: &Target) {
    let wanted = target.columns.saturating_sub(16 * half).min(16);
    let mask = ((1u32 << wanted) - 1) as __mmask16;
    // SAFETY: lanes outside the tile are masked, and a masked lane touches no memory; the pointers may point past the
    // tile there, hence `wrapping_add`.
    unsafe {
        let out = target.out.wrapping_add(i * target.stride + 16 * half);
        if !target.first {
            value = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, out), value);
        }
        if !target.bias.is_null() {
            value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(mask, target.bias.wrapping_add(16 * half)));
        }
        if target.relu {
            // The second operand comes out where one is NaN.
            value = _mm512_max_ps(_mm512_setzero_ps(), value);
        }
        _mm512_mask_storeu_ps(out, mask, value);
    }
}

/// Writes the sums of a tile, `PANEL` to a row.
///
/// # Safety
/// The processor has AVX-512, and as [`Micro::tile`] asks of `target`.
#[target_feature(enable = "avx512f")]
#[cfg(target_os = "linux")]
pub(super) unsafe fn finish(sums: &[u32], target: &Target) {
    for (i, row) in sums.chunks_exact(PANEL).enumerate().take(target.rows) {
        for (half, lanes) in row.chunks_exact(16).enumerate() {
            // SAFETY: 16 lanes are read; the rest as the caller says.
            unsafe { store(_mm512_loadu_ps(lanes.as_ptr().cast()), i, half, target) };
        }
    }
}

/// Rounds a row to pairs of bf16, 32 values at a time, and fills the rest of the words with 0.
#[target_feature(enable = "avx512f,avx512bf16")]
fn to_bf16(row: &[f32], words: &mut [u32]) {
    let mut whole = row.chunks_exact(32);
    let mut filled = 0;
    for (values, words) in whole.by_ref().zip(words.chunks_exact_mut(16)) {
        // SAFETY: 32 values are read, and 32 bf16, the size of 16 words, are written.
        unsafe {
            let (early, late) = (_mm512_loadu_ps(values.as_ptr()), _mm512_loadu_ps(values.as_ptr().add(16)));
            let pairs: __m512i = std::mem::transmute(_mm512_cvtne2ps_pbh(late, early));
            _mm512_storeu_epi32(words.as_mut_ptr().cast(), pairs);
        }
        filled += 16;
    }
    Format::Bf16.convert(whole.remainder(), &mut words[filled..], &mut []);
}
