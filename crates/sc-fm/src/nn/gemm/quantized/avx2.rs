//! The kernels for processors with AVX2, FMA and F16C.

#![allow(unsafe_code, reason = "vector instructions, and vectors read through a pointer")]

use std::arch::x86_64::*;

use super::super::blocks::PARTS;
use super::activations::ROW_WORDS;
use super::panel::{BLOCK_WORDS, Q4_SCALES, Q8_SCALES};
use super::scalar::Sums;
use super::{GROUPS, PANEL};

/// Columns of a register; a panel has two of them.
const HALF: usize = PANEL / 2;

macro_rules! with_rows {
    ($kernel:ident, $sums:expr, $($argument:expr),+) => {
        match $sums.len() {
            1 => $kernel::<1>($($argument),+, $sums),
            2 => $kernel::<2>($($argument),+, $sums),
            3 => $kernel::<3>($($argument),+, $sums),
            _ => $kernel::<4>($($argument),+, $sums),
        }
    };
}

/// Weights of 8 bits.
///
/// # Safety
/// The processor has AVX2, FMA and F16C.
pub(super) unsafe fn q8(a: &[u32], quants: &[u32], scales: &[u32], sums: &mut Sums) {
    let blocks = quants.len() / BLOCK_WORDS;
    assert!(sums.len() <= 4, "a tile has at most 4 rows");
    assert!(a.len() >= blocks * ROW_WORDS * sums.len(), "every row of the tile is packed");
    assert!(scales.len() >= blocks * Q8_SCALES, "every block has scales");
    for half in 0..2 {
        // SAFETY: the caller says that the instructions exist; the operands reach as far as the blocks.
        unsafe { with_rows!(q8_rows, sums, a, quants, scales, blocks, half) }
    }
}

/// Weights of 4 bits.
///
/// # Safety
/// As [`q8`].
pub(super) unsafe fn q4(a: &[u32], quants: &[u32], scales: &[u32], sums: &mut Sums) {
    let blocks = quants.len() / (PARTS / 2 * BLOCK_WORDS);
    assert!(sums.len() <= 4, "a tile has at most 4 rows");
    assert!(a.len() >= blocks * PARTS * ROW_WORDS * sums.len(), "every row of the tile is packed");
    assert!(scales.len() >= blocks * Q4_SCALES, "every block has scales");
    for half in 0..2 {
        // SAFETY: as in `q8`.
        unsafe { with_rows!(q4_rows, sums, a, quants, scales, blocks, half) }
    }
}

/// # Safety
/// As [`q8`]; `sums` has `R` rows, the operands hold `blocks` blocks, and `half` is 0 or 1.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn q8_rows<const R: usize>(
    a: &[u32],
    quants: &[u32],
    scales: &[u32],
    blocks: usize,
    half: usize,
    sums: &mut Sums,
) {
    let (offset, ones) = (_mm256_set1_epi8(-128), _mm256_set1_epi16(1));
    let mut chains = [_mm256_setzero_ps(); R];
    for b in 0..blocks {
        // SAFETY: the caller says that there is a block `b` in each operand.
        unsafe {
            let a = a.as_ptr().add(b * ROW_WORDS * R);
            let quants = quants.as_ptr().add(b * BLOCK_WORDS + half * HALF);
            let mut dots = [_mm256_setzero_si256(); R];
            for g in 0..GROUPS {
                let w = _mm256_xor_si256(_mm256_loadu_si256(quants.add(g * PANEL).cast()), offset);
                let size = _mm256_abs_epi8(w);
                for i in 0..R {
                    // |w| · (a with the sign of w): two products of at most 128 · 127 fit 16 bits.
                    let a = _mm256_sign_epi8(_mm256_set1_epi32(*a.add(g * R + i).cast()), w);
                    let pairs = _mm256_madd_epi16(_mm256_maddubs_epi16(size, a), ones);
                    dots[i] = _mm256_add_epi32(dots[i], pairs);
                }
            }
            let d = scales.as_ptr().add(b * Q8_SCALES + half * HALF / 2);
            let d = _mm256_cvtph_ps(_mm_loadu_si128(d.cast()));
            for i in 0..R {
                let scale = _mm256_mul_ps(d, _mm256_set1_ps(*a.add(GROUPS * R + i).cast()));
                chains[i] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots[i]), scale, chains[i]);
            }
        }
    }
    for (sums, chain) in sums.iter_mut().zip(chains) {
        // SAFETY: a row of sums is two vectors.
        unsafe { _mm256_storeu_ps(sums.as_mut_ptr().add(half * HALF), chain) };
    }
}

/// # Safety
/// As [`q8_rows`].
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn q4_rows<const R: usize>(
    a: &[u32],
    quants: &[u32],
    scales: &[u32],
    blocks: usize,
    half: usize,
    sums: &mut Sums,
) {
    let (low, ones) = (_mm256_set1_epi8(15), _mm256_set1_epi16(1));
    let mut chains = [_mm256_setzero_ps(); R];
    for b in 0..blocks * PARTS {
        // SAFETY: as in `q8_rows`; two parts share their words, and eight their scales.
        unsafe {
            let part = b % PARTS;
            let a = a.as_ptr().add(b * ROW_WORDS * R);
            let quants = quants.as_ptr().add(b / 2 * BLOCK_WORDS + half * HALF);
            let scales = scales.as_ptr().add(b / PARTS * Q4_SCALES);
            let mut dots = [_mm256_setzero_si256(); R];
            for g in 0..GROUPS {
                let both = _mm256_loadu_si256(quants.add(g * PANEL).cast());
                let w = match part % 2 {
                    0 => _mm256_and_si256(both, low),
                    _ => _mm256_and_si256(_mm256_srli_epi16::<4>(both), low),
                };
                for i in 0..R {
                    // Two products of at most 15 · 127 fit 16 bits.
                    let a = _mm256_set1_epi32(*a.add(g * R + i).cast());
                    let pairs = _mm256_madd_epi16(_mm256_maddubs_epi16(w, a), ones);
                    dots[i] = _mm256_add_epi32(dots[i], pairs);
                }
            }
            let factor = |of: usize, first: usize| {
                let d = scales.add(of * PANEL / 2 + half * HALF / 2);
                let multiplier = scales.add(PANEL + (first + part) * PANEL / 4 + half * HALF / 4);
                let multiplier = _mm256_cvtepu8_epi32(_mm_loadl_epi64(multiplier.cast()));
                _mm256_mul_ps(_mm256_cvtph_ps(_mm_loadu_si128(d.cast())), _mm256_cvtepi32_ps(multiplier))
            };
            let (d, m) = (factor(0, 0), factor(1, PARTS));
            for i in 0..R {
                let scale = _mm256_mul_ps(d, _mm256_set1_ps(*a.add(GROUPS * R + i).cast()));
                let total = _mm256_set1_ps(*a.add((GROUPS + 1) * R + i).cast());
                chains[i] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots[i]), scale, chains[i]);
                chains[i] = _mm256_fnmadd_ps(m, total, chains[i]);
            }
        }
    }
    for (sums, chain) in sums.iter_mut().zip(chains) {
        // SAFETY: as in `q8_rows`.
        unsafe { _mm256_storeu_ps(sums.as_mut_ptr().add(half * HALF), chain) };
    }
}
