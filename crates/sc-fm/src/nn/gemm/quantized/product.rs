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
        let panel_of = |panel| self.weight.quantized_panel(panel).split_at(quant_words);
        let mut sums = [[[0.0; PANEL]; ROWS]; 2];
        // Rows that fit the cache together stay there while the panels pass.
        let tile_words = self.a.tile(tiles.start).1.len();
        let together = (TASK_WORDS / tile_words.max(1)).max(1);
        for first in tiles.clone().step_by(together) {
            let mut panel = panels.start;
            while panel < panels.end {
                let n = self.kernel.panels().min(panels.end - panel);
                let (quants, scales) = panel_of(panel);
                let next = (n == 2).then(|| panel_of(panel + 1));
                for tile in first..tiles.end.min(first + together) {
                    let (rows, words) = self.a.tile(tile);
                    let [sums, next_sums] = sums.each_mut().map(|sums| &mut sums[..rows.len()]);
                    self.announce(rows.clone(), panel * PANEL);
                    // SAFETY: a kernel exists only where it can run.
                    unsafe {
                        match next {
                            Some(next) => multiply_two(
                                self.kernel,
                                words,
                                [quants, next.0],
                                [scales, next.1],
                                [sums, next_sums],
                            ),
                            None => multiply(self.kernel, words, quants, scales, sums),
                        }
                    }
                    // SAFETY: as the caller says.
                    unsafe {
                        self.store(sums, rows.start, panel * PANEL);
                        if n == 2 {
                            self.store(next_sums, rows.start, (panel + 1) * PANEL);
                        }
                    }
                }
                panel += n;
            }
        }
    }

    /// Asks for the memory that a tile is written to, which is seldom near: it comes while the tile is computed.
    fn announce(&self, rows: Range<usize>, column: usize) {
        #[cfg(target_arch = "x86_64")]
        for row in rows {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: a prefetch touches nothing.
            unsafe {
                let out = self.out.values.wrapping_add(row * self.out.stride + column);
                _mm_prefetch::<_MM_HINT_T0>(out.cast());
                _mm_prefetch::<_MM_HINT_T0>(out.wrapping_add(PANEL).cast());
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (rows, column);
    }

    /// Writes a tile.
    ///
    /// # Safety
    /// As [`parallel`]; the tile begins inside the output, and has no more rows than it has from there.
    unsafe fn store(&self, sums: &Sums, row: usize, column: usize) {
        let Epilogue { bias, relu, accumulate } = *self.epilogue;
        let columns = (self.weight.outputs - column).min(PANEL);
        let bias = bias.map(|bias| &bias[column..][..columns]);
        for (i, sums) in sums.iter().enumerate() {
            // SAFETY: `columns` values of row `row + i` are inside the output, and ours; what is read was initialised.
            unsafe {
                let out = self.out.values.add((row + i) * self.out.stride + column);
                let mut values = *sums;
                if accumulate {
                    let held = std::slice::from_raw_parts(out, columns);
                    values.iter_mut().zip(held).for_each(|(value, held)| *value += held);
                }
                if let Some(bias) = bias {
                    values.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
                }
                if relu {
                    // Not `f32::max`, which would lose a NaN.
                    values.iter_mut().for_each(|value| *value = if 0.0 > *value { 0.0 } else { *value });
                }
                match columns {
                    PANEL => out.cast::<[f32; PANEL]>().write_unaligned(values),
                    _ => std::ptr::copy_nonoverlapping(values.as_ptr(), out, columns),
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

/// The sums of a tile with two panels that lie one after the other.
///
/// # Safety
/// As [`multiply`].
unsafe fn multiply_two(
    kernel: Quantized,
    a: &[u32],
    quants: [&[u32]; 2],
    scales: [&[u32]; 2],
    sums: [&mut Sums; 2],
) {
    match (kernel.weight, kernel.unit) {
        // SAFETY: the caller says.
        #[cfg(target_arch = "x86_64")]
        (Weight::Q8, Unit::Avx512Vnni) => unsafe { super::avx512::q8_two(a, quants, scales, sums) },
        _ => {
            for ((quants, scales), sums) in quants.into_iter().zip(scales).zip(sums) {
                // SAFETY: the caller says.
                unsafe { multiply(kernel, a, quants, scales, sums) }
            }
        }
    }
}
