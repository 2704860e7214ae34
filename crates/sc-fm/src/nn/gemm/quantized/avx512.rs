//! The kernels for processors with AVX-512-VNNI: four products of bytes and their sum in one step.

#![allow(unsafe_code, reason = "vector instructions, and vectors read through a pointer")]

use std::arch::x86_64::*;

use super::super::blocks::PARTS;
use super::activations::ROW_WORDS;
use super::panel::{BLOCK_WORDS, Q4_SCALES, Q8_SCALES};
use super::scalar::Sums;
use super::{GROUPS, PANEL};

/// How far ahead of its use a weight is asked for where few rows share it, in words: memory is further away than the
/// processor looks by itself.
const AHEAD: usize = 1024;

macro_rules! with_rows {
    ($kernel:ident, $sums:expr, $($argument:expr),+) => {
        match $sums.len() {
            1 => $kernel::<1>($($argument),+, $sums),
            2 => $kernel::<2>($($argument),+, $sums),
            3 => $kernel::<3>($($argument),+, $sums),
            4 => $kernel::<4>($($argument),+, $sums),
            5 => $kernel::<5>($($argument),+, $sums),
            6 => $kernel::<6>($($argument),+, $sums),
            7 => $kernel::<7>($($argument),+, $sums),
            8 => $kernel::<8>($($argument),+, $sums),
            9 => $kernel::<9>($($argument),+, $sums),
            10 => $kernel::<10>($($argument),+, $sums),
            11 => $kernel::<11>($($argument),+, $sums),
            _ => $kernel::<12>($($argument),+, $sums),
        }
    };
}

/// Weights of 8 bits.
///
/// # Safety
/// The processor has AVX-512 F, BW and VNNI.
pub(super) unsafe fn q8(a: &[u32], quants: &[u32], scales: &[u32], sums: &mut Sums) {
    let blocks = quants.len() / BLOCK_WORDS;
    assert!(sums.len() <= 12, "a tile has at most 12 rows");
    assert!(a.len() >= blocks * ROW_WORDS * sums.len(), "every row of the tile is packed");
    assert!(scales.len() >= blocks * Q8_SCALES, "every block has scales");
    // SAFETY: the caller says that the instructions exist; the operands reach as far as the blocks.
    unsafe { with_rows!(q8_rows, sums, a, quants, scales, blocks) }
}

/// Weights of 4 bits.
///
/// # Safety
/// As [`q8`].
pub(super) unsafe fn q4(a: &[u32], quants: &[u32], scales: &[u32], sums: &mut Sums) {
    let blocks = quants.len() / (PARTS / 2 * BLOCK_WORDS);
    assert!(sums.len() <= 12, "a tile has at most 12 rows");
    assert!(a.len() >= blocks * PARTS * ROW_WORDS * sums.len(), "every row of the tile is packed");
    assert!(scales.len() >= blocks * Q4_SCALES, "every block has scales");
    // SAFETY: as in `q8`.
    unsafe { with_rows!(q4_rows, sums, a, quants, scales, blocks) }
}

/// # Safety
/// As [`q8`]; `sums` has `R` rows, and the operands hold `blocks` blocks.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn q8_rows<const R: usize>(a: &[u32], quants: &[u32], scales: &[u32], blocks: usize, sums: &mut Sums) {
    let (mut a, mut quants, mut scales) = (a.as_ptr(), quants.as_ptr(), scales.as_ptr());
    let mut chains = [_mm512_setzero_ps(); R];
    for _ in 0..blocks {
        // SAFETY: the caller says that another block follows in each operand; a prefetch touches nothing.
        unsafe {
            let mut dots = [_mm512_setzero_si512(); R];
            for i in 0..R {
                dots[i] = _mm512_set1_epi32(*a.add((GROUPS + 1) * R + i).cast());
            }
            for g in 0..GROUPS {
                let w = _mm512_loadu_si512(quants.add(g * PANEL).cast());
                if R <= 4 {
                    _mm_prefetch::<_MM_HINT_T0>(quants.wrapping_add(AHEAD + g * PANEL).cast());
                }
                for i in 0..R {
                    dots[i] = _mm512_dpbusd_epi32(dots[i], w, _mm512_set1_epi32(*a.add(g * R + i).cast()));
                }
            }
            let d = _mm512_cvtph_ps(_mm256_loadu_si256(scales.cast()));
            for i in 0..R {
                let scale = _mm512_mul_ps(d, _mm512_set1_ps(*a.add(GROUPS * R + i).cast()));
                chains[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[i]), scale, chains[i]);
            }
            a = a.add(ROW_WORDS * R);
            quants = quants.add(BLOCK_WORDS);
            scales = scales.add(Q8_SCALES);
        }
    }
    for (sums, chain) in sums.iter_mut().zip(chains) {
        // SAFETY: a row of sums is one vector.
        unsafe { _mm512_storeu_ps(sums.as_mut_ptr(), chain) };
    }
}

/// # Safety
/// As [`q8_rows`].
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn q4_rows<const R: usize>(a: &[u32], quants: &[u32], scales: &[u32], blocks: usize, sums: &mut Sums) {
    let (mut a, mut quants, mut scales) = (a.as_ptr(), quants.as_ptr(), scales.as_ptr());
    let mut chains = [_mm512_setzero_ps(); R];
    let low = _mm512_set1_epi8(15);
    for _ in 0..blocks {
        // SAFETY: as in `q8_rows`.
        unsafe {
            let d = _mm512_cvtph_ps(_mm256_loadu_si256(scales.cast()));
            let dmin = _mm512_cvtph_ps(_mm256_loadu_si256(scales.add(PANEL / 2).cast()));
            for part in 0..PARTS {
                let mut dots = [_mm512_setzero_si512(); R];
                for g in 0..GROUPS {
                    let both = _mm512_loadu_si512(quants.add(g * PANEL).cast());
                    let w = match part % 2 {
                        0 => _mm512_and_si512(both, low),
                        _ => _mm512_and_si512(_mm512_srli_epi16::<4>(both), low),
                    };
                    if R <= 4 && part % 2 == 0 {
                        _mm_prefetch::<_MM_HINT_T0>(quants.wrapping_add(AHEAD + g * PANEL).cast());
                    }
                    for i in 0..R {
                        let a = _mm512_set1_epi32(*a.add(g * R + i).cast());
                        dots[i] = _mm512_dpbusd_epi32(dots[i], w, a);
                    }
                }
                let multiplier = |first: usize| {
                    let bytes = _mm_loadu_si128(scales.add(PANEL + (first + part) * PANEL / 4).cast());
                    _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes))
                };
                let (d, m) = (_mm512_mul_ps(d, multiplier(0)), _mm512_mul_ps(dmin, multiplier(PARTS)));
                for i in 0..R {
                    let scale = _mm512_mul_ps(d, _mm512_set1_ps(*a.add(GROUPS * R + i).cast()));
                    let total = _mm512_set1_ps(*a.add((GROUPS + 1) * R + i).cast());
                    chains[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[i]), scale, chains[i]);
                    chains[i] = _mm512_fnmadd_ps(m, total, chains[i]);
                }
                a = a.add(ROW_WORDS * R);
                if part % 2 == 1 {
                    quants = quants.add(BLOCK_WORDS);
                }
            }
            scales = scales.add(Q4_SCALES);
        }
    }
    for (sums, chain) in sums.iter_mut().zip(chains) {
        // SAFETY: as in `q8_rows`.
        unsafe { _mm512_storeu_ps(sums.as_mut_ptr(), chain) };
    }
}
