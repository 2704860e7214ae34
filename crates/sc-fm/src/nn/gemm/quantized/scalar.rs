//! The kernel that any processor can run, and that says what the others compute.

use half::f16;

use super::super::blocks::PARTS;
use super::activations::ROW_WORDS;
use super::panel::{BLOCK_WORDS, OFFSET, Q4_SCALES, Q8_SCALES, byte, half};
use super::{GROUPS, PANEL};

/// Sums of a tile: a chain for each row and column.
pub(super) type Sums = [[f32; PANEL]];

/// Weights of 8 bits. `a` holds a tile of as many rows as `sums`.
pub(super) fn q8(a: &[u32], quants: &[u32], scales: &[u32], sums: &mut Sums) {
    let r = sums.len();
    sums.as_flattened_mut().fill(0.0);
    let blocks = quants.chunks_exact(BLOCK_WORDS).zip(scales.chunks_exact(Q8_SCALES));
    for ((quants, scales), a) in blocks.zip(a.chunks_exact(r * ROW_WORDS)) {
        for (i, sums) in sums.iter_mut().enumerate() {
            let scale = f32::from_bits(a[GROUPS * r + i]);
            for (j, sum) in sums.iter_mut().enumerate() {
                let dot = dot(&a[i..], r, &quants[j..], |word| {
                    (word ^ OFFSET).to_le_bytes().map(|byte| byte as i8)
                });
                let d = f16::from_bits(half(scales, j)).to_f32();
                *sum = (dot as f32).mul_add(d * scale, *sum);
            }
        }
    }
}

/// Weights of 4 bits.
pub(super) fn q4(a: &[u32], quants: &[u32], scales: &[u32], sums: &mut Sums) {
    let r = sums.len();
    sums.as_flattened_mut().fill(0.0);
    for (b, a) in a.chunks_exact(r * ROW_WORDS).enumerate() {
        let (part, quants) = (b % PARTS, &quants[b / 2 * BLOCK_WORDS..]);
        let scales = &scales[b / PARTS * Q4_SCALES..][..Q4_SCALES];
        for (i, sums) in sums.iter_mut().enumerate() {
            let (scale, total) = (f32::from_bits(a[GROUPS * r + i]), f32::from_bits(a[(GROUPS + 1) * r + i]));
            for (j, sum) in sums.iter_mut().enumerate() {
                let dot = dot(&a[i..], r, &quants[j..], |word| {
                    word.to_le_bytes().map(|byte| (byte >> (4 * (part % 2)) & 15) as i8)
                });
                let factor = |of: usize, first: usize| {
                    let multiplier = byte(&scales[PANEL..], (first + part) * PANEL + j);
                    f16::from_bits(half(&scales[of * PANEL / 2..], j)).to_f32() * f32::from(multiplier)
                };
                *sum = (dot as f32).mul_add(factor(0, 0) * scale, *sum);
                *sum = (-factor(1, PARTS)).mul_add(total, *sum);
            }
        }
    }
}

/// The sum of products of 32 whole numbers, in words `stride` apart and `PANEL` apart.
fn dot(a: &[u32], stride: usize, w: &[u32], bytes: impl Fn(u32) -> [i8; 4]) -> i32 {
    let words = a.iter().step_by(stride).zip(w.iter().step_by(PANEL)).take(GROUPS);
    words.fold(0, |sum, (a, w)| {
        let (a, w) = (a.to_le_bytes().map(|byte| byte as i8), bytes(*w));
        a.iter().zip(w).fold(sum, |sum, (a, w)| sum + i32::from(*a) * i32::from(w))
    })
}
