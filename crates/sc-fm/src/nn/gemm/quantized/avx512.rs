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

/// Calls a kernel for as many rows as a tile has.
macro_rules! with_rows {
    ($kernel:ident, $n:expr, [$($rows:literal),+], $arguments:tt) => {
        match $n {
            $($rows => with_rows!(@call $kernel, $rows, $arguments),)+
            _ => unreachable!("a tile has no more rows"),
        }
    };
    (@call q8_rows, $rows:literal, ($($argument:expr),+)) => { q8_rows::<$rows, P>($($argument),+) };
    (@call q4_rows, $rows:literal, ($($argument:expr),+)) => { q4_rows::<$rows>($($argument),+) };
}

/// Weights of 8 bits.
///
/// # Safety
/// The processor has AVX-512 F, BW and VNNI.
pub(super) unsafe fn q8(a: &[u32], quants: &[u32], scales: &[u32], sums: &mut Sums) {
    // SAFETY: the caller says.
    unsafe { q8_panels(a, [quants], [scales], [sums]) }
}

/// Two panels of weights of 8 bits.
///
/// # Safety
/// As [`q8`].
pub(super) unsafe fn q8_two(a: &[u32], quants: [&[u32]; 2], scales: [&[u32]; 2], sums: [&mut Sums; 2]) {
    // SAFETY: the caller says.
    unsafe { q8_panels(a, quants, scales, sums) }
}

/// # Safety
/// As [`q8`].
unsafe fn q8_panels<const P: usize>(
    a: &[u32],
    quants: [&[u32]; P],
    scales: [&[u32]; P],
    sums: [&mut Sums; P],
) {
    let (blocks, rows) = (quants[0].len() / BLOCK_WORDS, sums[0].len());
    assert!(sums.iter().all(|sums| sums.len() == rows), "every panel has sums for the rows of the tile");
    assert!(a.len() >= blocks * ROW_WORDS * rows, "every row of the tile is packed");
    assert!(quants.iter().all(|quants| quants.len() == blocks * BLOCK_WORDS), "panels are as long");
    assert!(scales.iter().all(|scales| scales.len() >= blocks * Q8_SCALES), "every block has scales");
    // SAFETY: the caller says that the instructions exist; the operands reach as far as the blocks.
    unsafe { with_rows!(q8_rows, rows, [0, 1, 2, 3, 4, 5, 6], (a, quants, scales, blocks, sums)) }
}

/// Weights of 4 bits.
///
/// # Safety
/// As [`q8`].
pub(super) unsafe fn q4(a: &[u32], quants: &[u32], scales: &[u32], sums: &mut Sums) {
    let blocks = quants.len() / (PARTS / 2 * BLOCK_WORDS);
    assert!(a.len() >= blocks * PARTS * ROW_WORDS * sums.len(), "every row of the tile is packed");
    assert!(scales.len() >= blocks * Q4_SCALES, "every block has scales");
    // SAFETY: as in `q8`.
    unsafe {
        with_rows!(
            q4_rows,
            sums.len(),
            [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
            (a, quants, scales, blocks, sums)
        )
    }
}

/// # Safety
/// As [`q8`]; each of `sums` has `R` rows, and the operands hold `blocks` blocks.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn q8_rows<const R: usize, const P: usize>(
    a: &[u32],
    quants: [&[u32]; P],
    scales: [&[u32]; P],
    blocks: usize,
    sums: [&mut Sums; P],
) {
    let mut a = a.as_ptr();
    let (mut quants, mut scales) = (quants.map(<[u32]>::as_ptr), scales.map(<[u32]>::as_ptr));
    let mut chains = [[_mm512_setzero_ps(); P]; R];
    for _ in 0..blocks {
        // SAFETY: the caller says that another block follows in each operand; a prefetch touches nothing.
        unsafe {
            let mut dots = [[_mm512_setzero_si512(); P]; R];
            for (i, dots) in dots.iter_mut().enumerate() {
                *dots = [_mm512_set1_epi32(*a.add((GROUPS + 1) * R + i).cast()); P];
            }
            for g in 0..GROUPS {
                let mut w = [_mm512_setzero_si512(); P];
                for (w, quants) in w.iter_mut().zip(quants) {
                    *w = _mm512_loadu_si512(quants.add(g * PANEL).cast());
                    if R <= 4 {
                        _mm_prefetch::<_MM_HINT_T0>(quants.wrapping_add(AHEAD + g * PANEL).cast());
                    }
                }
                for (i, dots) in dots.iter_mut().enumerate() {
                    let a = _mm512_set1_epi32(*a.add(g * R + i).cast());
                    for (dot, &w) in dots.iter_mut().zip(&w) {
                        *dot = _mm512_dpbusd_epi32(*dot, w, a);
                    }
                }
            }
            let mut d = [_mm512_setzero_ps(); P];
            for (d, scales) in d.iter_mut().zip(scales) {
                *d = _mm512_cvtph_ps(_mm256_loadu_si256(scales.cast()));
            }
            for i in 0..R {
                let of_row = _mm512_set1_ps(*a.add(GROUPS * R + i).cast());
                for p in 0..P {
                    let scale = _mm512_mul_ps(d[p], of_row);
                    chains[i][p] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[i][p]), scale, chains[i][p]);
                }
            }
            a = a.add(ROW_WORDS * R);
            quants = quants.map(|quants| quants.add(BLOCK_WORDS));
            scales = scales.map(|scales| scales.add(Q8_SCALES));
        }
    }
    for (p, sums) in sums.into_iter().enumerate() {
        for (sums, chain) in sums.iter_mut().zip(&chains) {
            // SAFETY: a row of sums is one vector.
            unsafe { _mm512_storeu_ps(sums.as_mut_ptr(), chain[p]) };
        }
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
                    for (i, dot) in dots.iter_mut().enumerate() {
                        let a = _mm512_set1_epi32(*a.add(g * R + i).cast());
                        *dot = _mm512_dpbusd_epi32(*dot, w, a);
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
