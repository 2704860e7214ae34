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
use super::{MAX_PANELS, PANEL, Panel, Quantized, SUMS, Unit, Weight, scalar};

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
    // Panels that go side by side stay together; eight parts for each thread keep all of them busy to the end.
    let together = kernel.panels(a.tile(0).0.len(), product.panels());
    let units = product.panels().div_ceil(together);
    let groups = (8 * threads).div_ceil(row_blocks.max(1)).min(units);
    let part = |i: usize, parts: usize, of: usize| i * of / parts..(i + 1) * of / parts;
    (0..row_blocks * groups).into_par_iter().with_max_len(1).for_each(|task| {
        let tiles = part(task / groups, row_blocks, a.tiles());
        let units = part(task % groups, groups, units);
        let panels = units.start * together..product.panels().min(units.end * together);
        // SAFETY: as the caller says; tasks do not overlap.
        unsafe { product.compute(tiles, panels) };
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
        let mut sums = [[0.0; PANEL]; SUMS];
        // Rows that fit the cache together stay there while the panels pass.
        let tile_words = self.a.tile(tiles.start).1.len();
        let together = (TASK_WORDS / tile_words.max(1)).max(1);
        for first in tiles.clone().step_by(together) {
            let height = self.a.tile(first).0.len();
            let mut panel = panels.start;
            while panel < panels.end {
                let n = self.kernel.panels(height, panels.end - panel);
                let mut side_by_side: [Panel<'_>; MAX_PANELS] = [(&[], &[]); MAX_PANELS];
                for (i, place) in side_by_side[..n].iter_mut().enumerate() {
                    *place = panel_of(panel + i);
                }
                for tile in first..tiles.end.min(first + together) {
                    let (rows, words) = self.a.tile(tile);
                    let sums = &mut sums[..n * rows.len()];
                    self.announce(rows.clone(), panel * PANEL);
                    // SAFETY: a kernel exists only where it can run.
                    unsafe { multiply(self.kernel, words, &side_by_side[..n], sums) };
                    for (i, sums) in sums.chunks_exact(rows.len()).enumerate() {
                        // SAFETY: as the caller says.
                        unsafe { self.store(sums, rows.start, (panel + i) * PANEL) };
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

/// The sums of a tile, rows of the first panel first.
///
/// # Safety
/// The processor has the instructions of the kernel.
unsafe fn multiply(kernel: Quantized, a: &[u32], panels: &[Panel<'_>], sums: &mut Sums) {
    #[cfg(target_arch = "x86_64")]
    if kernel.unit == Unit::Avx512Vnni {
        // SAFETY: the caller says.
        return match kernel.weight {
            Weight::Q8 => unsafe { super::avx512::q8(a, panels, sums) },
            Weight::Q4 => unsafe { super::avx512::q4(a, panels, sums) },
        };
    }
    let rows = sums.len() / panels.len();
    for (&(quants, scales), sums) in panels.iter().zip(sums.chunks_exact_mut(rows)) {
        // SAFETY: the caller says.
        match (kernel.weight, kernel.unit) {
            #[cfg(target_arch = "x86_64")]
            (Weight::Q8, Unit::Avx2) => unsafe { super::avx2::q8(a, quants, scales, sums) },
            #[cfg(target_arch = "x86_64")]
            (Weight::Q4, Unit::Avx2) => unsafe { super::avx2::q4(a, quants, scales, sums) },
            (Weight::Q8, _) => scalar::q8(a, quants, scales, sums),
            (Weight::Q4, _) => scalar::q4(a, quants, scales, sums),
        }
    }
}
