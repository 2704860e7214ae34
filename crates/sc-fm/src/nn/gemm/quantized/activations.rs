//! The left operand: rows rounded to 8 bits, in tiles.

use std::cell::Cell;
use std::ops::Range;

use pulp::Arch;
use rayon::prelude::*;

use super::super::buffer::Buffer;
use super::super::view::View;
use super::{BLOCK, GROUPS, Weight};

/// Words that a row takes in a block: its whole numbers, its scale, and what the kernel needs of their sum.
pub(super) const ROW_WORDS: usize = GROUPS + 2;

/// The largest value below which a block is taken for zeros: the reciprocal of smaller ones would overflow.
const TINY: f32 = 1e-30;

thread_local! {
    /// Taken while it is used, because a thread may begin another product while it waits for the parts of one.
    static MEMORY: Cell<Buffer> = Cell::default();
}

/// Rows in tiles of up to `height` rows, blocks one after another in a tile. In a block of a tile of `r` rows: 8 groups of
/// `r` words, one for each row, their bytes 4 inputs; `r` scales of f32; and for each row, with weights of 8 bits, −128
/// times the sum of its whole numbers, which undoes the 128 in the weight; with weights of 4 bits, that sum times the scale.
pub(super) struct Activations {
    words: Buffer,
    rows: usize,
    blocks: usize,
    height: usize,
}

impl Activations {
    pub(super) fn new(a: View<'_>, height: usize, weight: Weight, threads: usize) -> Self {
        let (rows, blocks) = (a.rows(), a.columns().div_ceil(BLOCK));
        let mut all = Self { words: MEMORY.take(), rows, blocks, height };
        let used = rows * blocks * ROW_WORDS;
        all.words.at_least(used);
        let size = height * blocks * ROW_WORDS;
        if size > 0 {
            let fill = |(tile, words): (usize, &mut [u32])| {
                let rows = tile * height..rows.min((tile + 1) * height);
                Arch::new().dispatch(|| quantize(a, rows.clone(), weight, words));
            };
            let words = &mut all.words[..used];
            match threads {
                1 => words.chunks_mut(size).enumerate().for_each(fill),
                _ => words.par_chunks_mut(size).enumerate().for_each(fill),
            }
        }
        all
    }

    pub(super) fn tiles(&self) -> usize {
        self.rows.div_ceil(self.height)
    }

    /// The rows of a tile and its words.
    pub(super) fn tile(&self, tile: usize) -> (Range<usize>, &[u32]) {
        let rows = tile * self.height..self.rows.min((tile + 1) * self.height);
        let words = self.blocks * ROW_WORDS;
        let range = rows.start * words..rows.end * words;
        (rows, &self.words[range])
    }
}

impl Drop for Activations {
    fn drop(&mut self) {
        MEMORY.set(std::mem::take(&mut self.words));
    }
}

#[inline(always)]
fn quantize(a: View<'_>, rows: Range<usize>, weight: Weight, tile: &mut [u32]) {
    let (r, inputs) = (rows.len(), a.columns());
    for (i, row) in rows.enumerate() {
        let whole = a.in_row(row, 0..inputs);
        for (b, words) in tile.chunks_exact_mut(r * ROW_WORDS).enumerate() {
            let span = b * BLOCK..inputs.min((b + 1) * BLOCK);
            let mut values = [0.0; BLOCK];
            let into = &mut values[..span.len()];
            match whole {
                Some(whole) => into.copy_from_slice(&whole[span]),
                None => a.t().copy_column(span.start, row, into),
            }
            let (quants, scale) = block(&values);
            let sum: i32 = quants.iter().map(|&quant| i32::from(quant)).sum();
            for (word, four) in words[i..].iter_mut().step_by(r).zip(quants.as_chunks::<4>().0) {
                *word = u32::from_le_bytes(four.map(|quant| quant as u8));
            }
            words[GROUPS * r + i] = scale.to_bits();
            words[(GROUPS + 1) * r + i] = match weight {
                Weight::Q8 => (-128 * sum) as u32,
                Weight::Q4 => (scale * sum as f32).to_bits(),
            };
        }
    }
}

/// Whole numbers and their scale.
#[inline(always)]
fn block(values: &[f32; BLOCK]) -> ([i8; BLOCK], f32) {
    // As bits, so that a NaN is larger than any number.
    let largest = values.iter().fold(0, |largest: u32, value| largest.max(value.to_bits() & 0x7fff_ffff));
    let largest = f32::from_bits(largest);
    if !largest.is_finite() {
        return ([0; BLOCK], f32::NAN);
    }
    if largest < TINY {
        return ([0; BLOCK], 0.0);
    }
    let inverse = 127.0 / largest;
    // Adding 1.5 · 2²³ leaves no bits below 1, and rounds on the way: the low bits are the whole number.
    let magic = 12_582_912.0_f32;
    let quants = values.map(|value| (value * inverse + magic).to_bits() as i8);
    (quants, largest / 127.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_rounded_to_the_nearest_of_255_and_halves_to_even() {
        let mut values = [0.0; BLOCK];
        values[..6].copy_from_slice(&[254.0, 1.0, 3.0, -3.0, -254.0, 7.2]);
        let (quants, scale) = block(&values);
        assert_eq!((&quants[..7], scale), ([127, 0, 2, -2, -127, 4, 0].as_slice(), 2.0));
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            values[9] = value;
            assert!(block(&values).1.is_nan());
        }
        assert_eq!(block(&[1e-31; BLOCK]), ([0; BLOCK], 0.0));
        let (quants, scale) = block(&[f32::MAX; BLOCK]);
        assert!(quants == [127; BLOCK] && scale.is_finite());
    }
}
