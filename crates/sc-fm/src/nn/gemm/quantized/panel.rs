//! A weight in the order in which the kernels read it.
//!
//! Panels of 16 outputs. First the whole numbers of a panel: for each block of 32 inputs, 8 groups of 4 inputs; in a group
//! one word for each output, its bytes the 4 inputs. Those of 8 bits are stored with 128 added, because instructions
//! multiply unsigned bytes with signed ones. Those of 4 bits share bytes: the low halves are a block, the high halves the
//! next one. Then the scales, for each block: 16 of f16 (8 words); with 4 bits for each 256 inputs: 16 scales and 16
//! offsets of f16, then 8 × 16 bytes that multiply the scales and 8 × 16 bytes that multiply the offsets.

use half::f16;

use super::super::blocks::{PARTS, Q4K, Q8};
use super::{BLOCK, GROUPS, PANEL, Weight};

/// Words of the whole numbers of a block.
pub(super) const BLOCK_WORDS: usize = GROUPS * PANEL;

/// Words of the scales of a block of 8 bits.
pub(super) const Q8_SCALES: usize = PANEL / 2;

/// Words of the scales of a block of 4 bits: `d`, `dmin`, and their multipliers.
pub(super) const Q4_SCALES: usize = 2 * (PANEL / 2) + 2 * PARTS * PANEL / 4;

/// Values of a block of 4 bits.
const SUPER: usize = PARTS * BLOCK;

/// Added to whole numbers of 8 bits, in every byte of a word.
pub(super) const OFFSET: u32 = 0x8080_8080;

/// Words of the whole numbers of a panel.
pub(super) fn quant_words(weight: Weight, inputs: usize) -> usize {
    match weight {
        Weight::Q8 => inputs.div_ceil(BLOCK) * BLOCK_WORDS,
        Weight::Q4 => inputs.div_ceil(SUPER) * (PARTS / 2 * BLOCK_WORDS),
    }
}

/// Words of a panel.
pub(in crate::nn::gemm) fn panel_words(weight: Weight, inputs: usize) -> usize {
    let scales = match weight {
        Weight::Q8 => inputs.div_ceil(BLOCK) * Q8_SCALES,
        Weight::Q4 => inputs.div_ceil(SUPER) * Q4_SCALES,
    };
    quant_words(weight, inputs) + scales
}

/// Packs a panel of up to 16 rows of values that lie one after another.
///
/// # Errors
/// Row and column of the first value that a block cannot hold.
#[inline(always)]
pub(in crate::nn::gemm) fn from_rows(
    weight: Weight,
    values: &[f32],
    inputs: usize,
    panel: &mut [u32],
) -> Result<(), (usize, usize)> {
    let (quants, scales) = panel.split_at_mut(quant_words(weight, inputs));
    quants.fill(if weight == Weight::Q8 { OFFSET } else { 0 });
    scales.fill(0);
    let mut held = Ok(());
    let mut note = |row: usize, first: usize, block: &[f32]| {
        let refused = |value: &f32| !value.is_finite() || value.abs() > 127.0 * 65_504.0;
        let at = block.iter().position(refused).unwrap_or(0);
        held = std::mem::replace(&mut held, Ok(())).and(Err((row, first + at)));
    };
    for (j, row) in values.chunks_exact(inputs.max(1)).enumerate() {
        match weight {
            Weight::Q8 => {
                for (b, block) in row.chunks(BLOCK).enumerate() {
                    let mut full = [0.0; BLOCK];
                    full[..block.len()].copy_from_slice(block);
                    let quantized = Q8::new(&full);
                    put_q8(&quantized, j, b, quants, scales);
                    if f16::from_bits(quantized.scale).is_nan() {
                        note(j, b * BLOCK, block);
                    }
                }
            }
            Weight::Q4 => {
                for (b, block) in row.as_chunks::<SUPER>().0.iter().enumerate() {
                    let quantized = Q4K::new(block);
                    put_q4(&quantized, j, b, quants, scales);
                    if f16::from_bits(quantized.d).is_nan() {
                        note(j, b * SUPER, block);
                    }
                }
            }
        }
    }
    held
}

/// Packs a panel of up to 16 rows of blocks, as GGML stores them.
pub(in crate::nn::gemm) fn from_blocks(weight: Weight, blocks: &[u8], inputs: usize, panel: &mut [u32]) {
    let (quants, scales) = panel.split_at_mut(quant_words(weight, inputs));
    quants.fill(if weight == Weight::Q8 { OFFSET } else { 0 });
    scales.fill(0);
    match weight {
        Weight::Q8 => {
            let row = inputs / BLOCK;
            for (at, block) in blocks.as_chunks().0.iter().enumerate() {
                put_q8(&Q8::from_bytes(block), at / row, at % row, quants, scales);
            }
        }
        Weight::Q4 => {
            let row = inputs / SUPER;
            for (at, block) in blocks.as_chunks().0.iter().enumerate() {
                put_q4(&Q4K::from_bytes(block), at / row, at % row, quants, scales);
            }
        }
    }
}

#[inline(always)]
fn put_q8(block: &Q8, j: usize, b: usize, quants: &mut [u32], scales: &mut [u32]) {
    let words = &mut quants[b * BLOCK_WORDS..][..BLOCK_WORDS];
    for (word, four) in words[j..].iter_mut().step_by(PANEL).zip(block.quants.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(four.map(|quant| quant as u8)) ^ OFFSET;
    }
    put_half(&mut scales[b * Q8_SCALES..], j, block.scale);
}

#[inline(always)]
fn put_q4(block: &Q4K, j: usize, b: usize, quants: &mut [u32], scales: &mut [u32]) {
    let words = &mut quants[b * (PARTS / 2) * BLOCK_WORDS..][..PARTS / 2 * BLOCK_WORDS];
    for (word, four) in words[j..].iter_mut().step_by(PANEL).zip(block.nibbles.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*four);
    }
    let scales = &mut scales[b * Q4_SCALES..][..Q4_SCALES];
    put_half(scales, j, block.d);
    put_half(&mut scales[PANEL / 2..], j, block.dmin);
    for part in 0..PARTS {
        put_byte(&mut scales[PANEL..], part * PANEL + j, block.scales[part]);
        put_byte(&mut scales[PANEL..], (PARTS + part) * PANEL + j, block.offsets[part]);
    }
}

/// Halves and bytes of words, the lowest first; those of new words are 0.
fn put_half(words: &mut [u32], at: usize, half: u16) {
    words[at / 2] |= u32::from(half) << (16 * (at % 2));
}

fn put_byte(words: &mut [u32], at: usize, byte: u8) {
    words[at / 4] |= u32::from(byte) << (8 * (at % 4));
}

pub(super) fn half(words: &[u32], at: usize) -> u16 {
    (words[at / 2] >> (16 * (at % 2))) as u16
}

pub(super) fn byte(words: &[u32], at: usize) -> u8 {
    (words[at / 4] >> (8 * (at % 4))) as u8
}

/// The values of some rows of a panel, row after row.
pub(in crate::nn::gemm) fn to_rows(
    weight: Weight,
    panel: &[u32],
    inputs: usize,
    rows: std::ops::Range<usize>,
    values: &mut [f32],
) {
    let (quants, scales) = panel.split_at(quant_words(weight, inputs));
    for (j, row) in rows.zip(values.chunks_exact_mut(inputs.max(1))) {
        match weight {
            Weight::Q8 => {
                for (b, block) in row.chunks_mut(BLOCK).enumerate() {
                    let mut full = [0.0; BLOCK];
                    get_q8(j, b, quants, scales).dequantize(&mut full);
                    block.copy_from_slice(&full[..block.len()]);
                }
            }
            Weight::Q4 => {
                for (b, block) in row.as_chunks_mut::<SUPER>().0.iter_mut().enumerate() {
                    get_q4(j, b, quants, scales).dequantize(block);
                }
            }
        }
    }
}

/// Copies a row of a panel to a row of another that holds nothing yet.
pub(in crate::nn::gemm) fn copy_row(
    weight: Weight,
    inputs: usize,
    (from, j): (&[u32], usize),
    (to, place): (&mut [u32], usize),
) {
    let words = quant_words(weight, inputs);
    let ((from_quants, from_scales), (quants, scales)) = (from.split_at(words), to.split_at_mut(words));
    match weight {
        Weight::Q8 => (0..inputs.div_ceil(BLOCK)).for_each(|b| {
            put_q8(&get_q8(j, b, from_quants, from_scales), place, b, quants, scales);
        }),
        Weight::Q4 => (0..inputs / SUPER).for_each(|b| {
            put_q4(&get_q4(j, b, from_quants, from_scales), place, b, quants, scales);
        }),
    }
}

fn get_q8(j: usize, b: usize, quants: &[u32], scales: &[u32]) -> Q8 {
    let words = &quants[b * BLOCK_WORDS..][..BLOCK_WORDS];
    let mut block = Q8 { scale: half(&scales[b * Q8_SCALES..], j), quants: [0; BLOCK] };
    for (word, four) in words[j..].iter().step_by(PANEL).zip(block.quants.as_chunks_mut::<4>().0) {
        *four = (word ^ OFFSET).to_le_bytes().map(|byte| byte as i8);
    }
    block
}

fn get_q4(j: usize, b: usize, quants: &[u32], scales: &[u32]) -> Q4K {
    let words = &quants[b * (PARTS / 2) * BLOCK_WORDS..][..PARTS / 2 * BLOCK_WORDS];
    let scales = &scales[b * Q4_SCALES..][..Q4_SCALES];
    let mut nibbles = [0; SUPER / 2];
    for (word, four) in words[j..].iter().step_by(PANEL).zip(nibbles.as_chunks_mut::<4>().0) {
        *four = word.to_le_bytes();
    }
    let multipliers =
        |first: usize| std::array::from_fn(|part| byte(&scales[PANEL..], (first + part) * PANEL + j));
    Q4K {
        d: half(scales, j),
        dmin: half(&scales[PANEL / 2..], j),
        scales: multipliers(0),
        offsets: multipliers(PARTS),
        nibbles,
    }
}
