//! The kernels for processors with AVX-512-VNNI: four products of bytes and their sum in one step.

#![allow(unsafe_code, reason = "vector instructions, and vectors read through a pointer")]

use std::arch::x86_64::*;

use super::super::blocks::PARTS;
use super::activations::ROW_WORDS;
use super::panel::{BLOCK_WORDS, Q4_SCALES, Q8_SCALES};
use super::scalar::Sums;
use super::{GROUPS, PANEL, Panel};

/// Calls a kernel for as many rows and panels as a tile has.
macro_rules! with_shape {
    ($kernel:ident, $rows:expr, $panels:expr, $arguments:tt, $($p:literal: $($r:literal)+;)+) => {
        match ($rows, $panels.len()) {
            $($(($r, $p) => with_shape!(@call $kernel, $r, $p, $panels, $arguments),)+)+
            _ => unreachable!("a tile has no more rows and panels"),
        }
    };
    (@call $kernel:ident, $r:literal, $p:literal, $panels:expr, ($($argument:expr),+)) => {
        $kernel::<$r, $p>($panels.try_into().expect("it has as many panels"), $($argument),+)
    };
}

/// Weights of 8 bits, in 1, 2 or 4 panels. `sums` has the rows of the tile for each panel.
///
/// # Safety
/// The processor has AVX-512 F, BW and VNNI.
pub(super) unsafe fn q8(a: &[u32], panels: &[Panel<'_>], sums: &mut Sums) {
    let (blocks, rows) = sizes(a, panels, sums, [BLOCK_WORDS, Q8_SCALES, ROW_WORDS]);
    // SAFETY: the caller says that the instructions exist; the operands reach as far as the blocks.
    unsafe { with_shape!(q8_rows, rows, panels, (a, blocks, sums), 1: 1 2 3 4 5 6; 2: 1 2 3 4 5 6; 4: 1 2;) }
}

/// Weights of 4 bits, as [`q8`].
///
/// # Safety
/// As [`q8`].
pub(super) unsafe fn q4(a: &[u32], panels: &[Panel<'_>], sums: &mut Sums) {
    let (blocks, rows) = sizes(a, panels, sums, [PARTS / 2 * BLOCK_WORDS, Q4_SCALES, PARTS * ROW_WORDS]);
    // SAFETY: as in `q8`.
    unsafe {
        with_shape!(q4_rows, rows, panels, (a, blocks, sums), 1: 1 2 3 4 5 6 7 8 9 10 11 12; 2: 1 2 3 4 5 6; 4: 1 2;)
    }
}

/// Blocks of a panel and rows of the tile, where the operands reach as far as they say.
///
/// * `words`: of the whole numbers, the scales and each row of a block.
fn sizes(a: &[u32], panels: &[Panel<'_>], sums: &Sums, words: [usize; 3]) -> (usize, usize) {
    let (blocks, rows) = (panels[0].0.len() / words[0], sums.len() / panels.len());
    assert_eq!(sums.len(), rows * panels.len(), "every panel has sums for the rows of the tile");
    assert!(panels.iter().all(|(quants, _)| quants.len() == blocks * words[0]), "panels are as long");
    assert!(panels.iter().all(|(_, scales)| scales.len() >= blocks * words[1]), "every block has scales");
    assert!(a.len() >= blocks * words[2] * rows, "every row of the tile is packed");
    (blocks, rows)
}

/// # Safety
/// As [`q8`]; `sums` has `R` rows for each panel, and the operands hold `blocks` blocks.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn q8_rows<const R: usize, const P: usize>(
    panels: &[Panel<'_>; P],
    a: &[u32],
    blocks: usize,
    sums: &mut Sums,
) {
    let mut a = a.as_ptr();
    let mut quants = panels.map(|(quants, _)| quants.as_ptr());
    let mut scales = panels.map(|(_, scales)| scales.as_ptr());
    let mut chains = [[_mm512_setzero_ps(); R]; P];
    for _ in 0..blocks {
        // SAFETY: the caller says that another block follows in each operand.
        unsafe {
            let mut dots = [[_mm512_setzero_si512(); R]; P];
            for i in 0..R {
                let start = _mm512_set1_epi32(*a.add((GROUPS + 1) * R + i).cast());
                dots.iter_mut().for_each(|dots| dots[i] = start);
            }
            for g in 0..GROUPS {
                let w = quants.map(|quants| _mm512_loadu_si512(quants.add(g * PANEL).cast()));
                for i in 0..R {
                    let a = _mm512_set1_epi32(*a.add(g * R + i).cast());
                    for (dots, &w) in dots.iter_mut().zip(&w) {
                        dots[i] = _mm512_dpbusd_epi32(dots[i], w, a);
                    }
                }
            }
            let d = scales.map(|scales| _mm512_cvtph_ps(_mm256_loadu_si256(scales.cast())));
            for i in 0..R {
                let of_row = _mm512_set1_ps(*a.add(GROUPS * R + i).cast());
                for p in 0..P {
                    let scale = _mm512_mul_ps(d[p], of_row);
                    chains[p][i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[p][i]), scale, chains[p][i]);
                }
            }
            a = a.add(ROW_WORDS * R);
            quants = quants.map(|quants| quants.add(BLOCK_WORDS));
            scales = scales.map(|scales| scales.add(Q8_SCALES));
        }
    }
    for (sums, chain) in sums.iter_mut().zip(chains.as_flattened()) {
        // SAFETY: a row of sums is one vector.
        unsafe { _mm512_storeu_ps(sums.as_mut_ptr(), *chain) };
    }
}

/// # Safety
/// As [`q8_rows`].
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn q4_rows<const R: usize, const P: usize>(
    panels: &[Panel<'_>; P],
    a: &[u32],
    blocks: usize,
    sums: &mut Sums,
) {
    let mut a = a.as_ptr();
    let mut quants = panels.map(|(quants, _)| quants.as_ptr());
    let mut scales = panels.map(|(_, scales)| scales.as_ptr());
    let mut chains = [[_mm512_setzero_ps(); R]; P];
    let low = _mm512_set1_epi8(15);
    for _ in 0..blocks {
        // SAFETY: as in `q8_rows`.
        unsafe {
            for part in 0..PARTS {
                let mut dots = [[_mm512_setzero_si512(); R]; P];
                for g in 0..GROUPS {
                    let w = quants.map(|quants| {
                        let both = _mm512_loadu_si512(quants.add(g * PANEL).cast());
                        match part % 2 {
                            0 => _mm512_and_si512(both, low),
                            _ => _mm512_and_si512(_mm512_srli_epi16::<4>(both), low),
                        }
                    });
                    for i in 0..R {
                        let a = _mm512_set1_epi32(*a.add(g * R + i).cast());
                        for (dots, &w) in dots.iter_mut().zip(&w) {
                            dots[i] = _mm512_dpbusd_epi32(dots[i], w, a);
                        }
                    }
                }
                for p in 0..P {
                    let factor = |of: usize, first: usize| {
                        let d = _mm512_cvtph_ps(_mm256_loadu_si256(scales[p].add(of * PANEL / 2).cast()));
                        let bytes = scales[p].add(PANEL + (first + part) * PANEL / 4);
                        let multiplier = _mm512_cvtepu8_epi32(_mm_loadu_si128(bytes.cast()));
                        _mm512_mul_ps(d, _mm512_cvtepi32_ps(multiplier))
                    };
                    let (d, m) = (factor(0, 0), factor(1, PARTS));
                    for i in 0..R {
                        let scale = _mm512_mul_ps(d, _mm512_set1_ps(*a.add(GROUPS * R + i).cast()));
                        let total = _mm512_set1_ps(*a.add((GROUPS + 1) * R + i).cast());
                        let sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[p][i]), scale, chains[p][i]);
                        chains[p][i] = _mm512_fnmadd_ps(m, total, sum);
                    }
                }
                a = a.add(ROW_WORDS * R);
                if part % 2 == 1 {
                    quants = quants.map(|quants| quants.add(BLOCK_WORDS));
                }
            }
            scales = scales.map(|scales| scales.add(Q4_SCALES));
        }
    }
    for (sums, chain) in sums.iter_mut().zip(chains.as_flattened()) {
        // SAFETY: as in `q8_rows`.
        unsafe { _mm512_storeu_ps(sums.as_mut_ptr(), *chain) };
    }
}
