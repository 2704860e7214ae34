//! Tiles, shared out among threads.

#![allow(unsafe_code, reason = "kernels of this processor, and tiles written through a pointer")]

use std::ops::Range;

use rayon::prelude::*;

use super::super::Epilogue;
use super::super::block::Out;
use super::super::packed::Packed;
use super::super::view::View;
use super::activations::{Activations, ROW_WORDS};
use super::panel::quant_words;
use super::scalar::Sums;
use super::{PANEL, Quantized, Unit, Weight, scalar};

/// Most rows of a tile, for any kernel.
const ROWS: usize = 12;

/// Multiplications below which a product is not worth a second thread: some 10 µs.
const SERIAL: usize = 1 << 19;

/// Words of packed rows that a task goes through for each panel: half of a second-level cache of 1 MiB, so that the panel
/// fits beside them.
const TASK_WORDS: usize = 1 << 17;

/// Computes `a · wᵀ` with an epilogue on the threads of the caller's pool.
///
/// # Safety
/// `weight` is packed for `kernel`, and `out` names `a.rows()` rows of `weight.outputs` values that nobody else uses
/// meanwhile; initialised if the product is added to them.
pub(in crate::nn::gemm) unsafe fn parallel(
    kernel: Quantized,
    a: View<'_>,
    weight: &Packed,
    epilogue: &Epilogue<'_>,
    out: Out,
) {
    let work = a.rows().saturating_mul(weight.outputs).saturating_mul(weight.inputs);
    let threads = if work < SERIAL { 1 } else { rayon::current_num_threads() };
    let a = Activations::new(a, kernel.rows(), kernel.weight, threads);
    let product = Product { kernel, a: &a, weight, epilogue, out };
    if threads == 1 {
        // SAFETY: as the caller says.
        return unsafe { product.compute(0..a.tiles(), 0..product.panels()) };
    }
    let tile_words = kernel.rows() * weight.inputs.div_ceil(super::BLOCK) * ROW_WORDS;
    let row_blocks = a.tiles().div_ceil((TASK_WORDS / tile_words.max(1)).max(1));
    // Eight parts for each thread keep all of them busy to the end.
    let groups = (8 * threads).div_ceil(row_blocks.max(1)).min(product.panels());
    let part = |i: usize, parts: usize, of: usize| i * of / parts..(i + 1) * of / parts;
    (0..row_blocks * groups).into_par_iter().with_max_len(1).for_each(|task| {
        let tiles = part(task / groups, row_blocks, a.tiles());
        // SAFETY: as the caller says; tasks do not overlap.
        unsafe { product.compute(tiles, part(task % groups, groups, product.panels())) };
    });
}

/// As [`parallel`], on this thread alone.
///
/// # Safety
/// As [`parallel`].
pub(in crate::nn::gemm) unsafe fn serial(
    kernel: Quantized,
    a: View<'_>,
    weight: &Packed,
    epilogue: &Epilogue<'_>,
    out: Out,
) {
    let a = Activations::new(a, kernel.rows(), kernel.weight, 1);
    let product = Product { kernel, a: &a, weight, epilogue, out };
    // SAFETY: as the caller says.
    unsafe { product.compute(0..a.tiles(), 0..product.panels()) };
}

struct Product<'a> {
    kernel: Quantized,
    a: &'a Activations,
    weight: &'a Packed,
    epilogue: &'a Epilogue<'a>,
    out: Out,
}

impl Product<'_> {
    fn panels(&self) -> usize {
        self.weight.outputs.div_ceil(PANEL)
    }

    /// # Safety
    /// As [`parallel`], for these tiles and panels.
    unsafe fn compute(&self, tiles: Range<usize>, panels: Range<usize>) {
        let quant_words = quant_words(self.kernel.weight, self.weight.inputs);
        let mut sums = [[0.0; PANEL]; ROWS];
        // Rows that fit the cache together stay there while the panels pass.
        let tile_words = self.a.tile(tiles.start).1.len();
        let together = (TASK_WORDS / tile_words.max(1)).max(1);
        for first in tiles.clone().step_by(together) {
            for panel in panels.clone() {
                let (quants, scales) = self.weight.quantized_panel(panel).split_at(quant_words);
                for tile in first..tiles.end.min(first + together) {
                    let (rows, words) = self.a.tile(tile);
                    let sums = &mut sums[..rows.len()];
                    // SAFETY: a kernel exists only where it can run.
                    unsafe { multiply(self.kernel, words, quants, scales, sums) };
                    // SAFETY: as the caller says.
                    unsafe { self.store(sums, rows.start, panel * PANEL) };
                }
            }
        }
    }

    /// Writes a tile.
    ///
    /// # Safety
    /// As [`parallel`]; the tile begins inside the output, and has no more rows than it has from there.
    unsafe fn store(&self, sums: &Sums, row: usize, column: usize) {
        let columns = (self.weight.outputs - column).min(PANEL);
        let bias = self.epilogue.bias.map(|bias| &bias[column..][..columns]);
        for (i, sums) in sums.iter().enumerate() {
            // SAFETY: `columns` values of row `row + i` are inside the output, and ours.
            unsafe {
                let out = self.out.values.add((row + i) * self.out.stride + column);
                for (j, sum) in sums[..columns].iter().enumerate() {
                    let mut value = if self.epilogue.accumulate { *out.add(j) + sum } else { *sum };
                    if let Some(bias) = bias {
                        value += bias[j];
                    }
                    // Not `f32::max`, which would lose a NaN.
                    *out.add(j) = if self.epilogue.relu && 0.0 > value { 0.0 } else { value };
                }
            }
        }
    }
}

/// The sums of a tile.
///
/// # Safety
/// The processor has the instructions of the kernel.
unsafe fn multiply(kernel: Quantized, a: &[u32], quants: &[u32], scales: &[u32], sums: &mut Sums) {
    // SAFETY: the caller says.
    match (kernel.weight, kernel.unit) {
        (Weight::Q8, Unit::Scalar) => scalar::q8(a, quants, scales, sums),
        (Weight::Q4, Unit::Scalar) => scalar::q4(a, quants, scales, sums),
        #[cfg(target_arch = "x86_64")]
        (Weight::Q8, Unit::Avx2) => unsafe { super::avx2::q8(a, quants, scales, sums) },
        #[cfg(target_arch = "x86_64")]
        (Weight::Q4, Unit::Avx2) => unsafe { super::avx2::q4(a, quants, scales, sums) },
        #[cfg(target_arch = "x86_64")]
        (Weight::Q8, Unit::Avx512Vnni) => unsafe { super::avx512::q8(a, quants, scales, sums) },
        #[cfg(target_arch = "x86_64")]
        (Weight::Q4, Unit::Avx512Vnni) => unsafe { super::avx512::q4(a, quants, scales, sums) },
    }
}
