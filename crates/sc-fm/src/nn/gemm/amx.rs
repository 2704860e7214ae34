//! The micro-kernels for processors with tile registers (AMX): bf16, and f32 from three products of bf16.

#![allow(unsafe_code, reason = "tile instructions, and tiles written through a pointer")]

mod registers;

use super::buffer::Buffer;
use super::micro::{Format, Micro, Operands, PANEL, STRIDE, Target};
pub(super) use registers::{Registers, permitted};

/// Eight registers of 16 rows of 64 bytes, numbered from 0: what the kernels here need of a processor.
pub(super) trait Tiles {
    /// Gets the thread's registers ready; dropping gives them back.
    ///
    /// # Safety
    /// The processor has the instructions, and the process may use them.
    unsafe fn configure() -> Self;

    /// Fills a register with 0.
    ///
    /// # Safety
    /// As for [`Tiles::configure`].
    unsafe fn zero<const T: u8>(&mut self);

    /// Reads 16 rows of 16 words, `stride` words apart.
    ///
    /// # Safety
    /// As for [`Tiles::configure`]; all of these words can be read.
    unsafe fn load<const T: u8>(&mut self, from: *const u32, stride: usize);

    /// Adds to `SUM` (16 × 16 f32) the product of `A` (16 rows of 16 pairs) and `B` (16 pairs of rows of 16 columns).
    ///
    /// # Safety
    /// As for [`Tiles::configure`].
    unsafe fn multiply<const SUM: u8, const A: u8, const B: u8>(&mut self);

    /// Writes 16 rows of 16 words, `stride` words apart.
    ///
    /// # Safety
    /// As for [`Tiles::configure`]; all of these words can be written.
    unsafe fn store<const T: u8>(&mut self, to: *mut u32, stride: usize);

    /// Writes sums, `PANEL` to a row, to where they belong.
    ///
    /// # Safety
    /// As for [`Tiles::configure`], and as [`Micro::tile`] asks of `target`.
    unsafe fn finish(sums: &[u32], target: &Target);
}

/// A tile of 32 × 32 sums in four registers; two more hold rows of the left operand, two columns of the right.
/// `SPLIT` adds, to the products of the high parts, those of high with low and low with high.
pub(super) struct Amx<T, const SPLIT: bool> {
    tiles: T,
    sums: Buffer,
}

/// Rows and columns of a register of sums; words of a row of any.
const SIDE: usize = 16;

impl<T: Tiles, const SPLIT: bool> Micro for Amx<T, SPLIT> {
    const ROWS: usize = 2 * SIDE;
    const FORMAT: Format = if SPLIT { Format::Bf16Split } else { Format::Bf16 };
    // Both operands of a tile, 24 KiB each, fit the first-level cache of these processors.
    const BLOCK: usize = 192;

    unsafe fn enter() -> Self {
        let mut sums = Buffer::default();
        sums.at_least(2 * SIDE * PANEL);
        // SAFETY: the caller says.
        Self { tiles: unsafe { T::configure() }, sums }
    }

    unsafe fn tile(&mut self, operands: Operands<'_>, target: Target) {
        operands.check(Self::ROWS, Self::FORMAT);
        assert!(operands.words.is_multiple_of(SIDE), "steps fill registers");
        if SPLIT {
            let low = Operands { a: operands.a_low, b: operands.b_low, ..operands };
            low.check(Self::ROWS, Self::FORMAT);
        }
        let tiles = &mut self.tiles;
        // Not more registers than the tile has rows and columns for.
        let (tall, wide) = (target.rows > SIDE, target.columns > SIDE);
        // SAFETY: the caller says that the instructions exist. `check` found the rows of both halves and the whole
        // panel in the operands, for each step of 16 words; `sums` holds the four registers of sums.
        unsafe {
            tiles.zero::<0>();
            tiles.zero::<1>();
            tiles.zero::<2>();
            tiles.zero::<3>();
            for step in (0..operands.words).step_by(SIDE) {
                load_rows(tiles, operands.a, step, tall);
                load_columns(tiles, operands.b, step, wide);
                multiply(tiles, tall, wide);
                if SPLIT {
                    load_columns(tiles, operands.b_low, step, wide);
                    multiply(tiles, tall, wide);
                    load_rows(tiles, operands.a_low, step, tall);
                    load_columns(tiles, operands.b, step, wide);
                    multiply(tiles, tall, wide);
                }
            }
            let sums = self.sums.as_mut_ptr();
            tiles.store::<0>(sums, PANEL);
            tiles.store::<1>(sums.add(SIDE), PANEL);
            tiles.store::<2>(sums.add(SIDE * PANEL), PANEL);
            tiles.store::<3>(sums.add(SIDE * PANEL + SIDE), PANEL);
            T::finish(&self.sums, &target);
        }
    }
}

/// # Safety
/// As [`Tiles::load`]: `a` holds 32 rows to the step after `step`.
#[inline(always)]
unsafe fn load_rows<T: Tiles>(tiles: &mut T, a: &[u32], step: usize, tall: bool) {
    // SAFETY: the caller says.
    unsafe {
        tiles.load::<4>(a.as_ptr().add(step), STRIDE);
        if tall {
            tiles.load::<5>(a.as_ptr().add(SIDE * STRIDE + step), STRIDE);
        }
    }
}

/// # Safety
/// As [`Tiles::load`]: `b` holds 16 steps from `step` on.
#[inline(always)]
unsafe fn load_columns<T: Tiles>(tiles: &mut T, b: &[u32], step: usize, wide: bool) {
    // SAFETY: the caller says.
    unsafe {
        tiles.load::<6>(b.as_ptr().add(step * PANEL), PANEL);
        if wide {
            tiles.load::<7>(b.as_ptr().add(step * PANEL + SIDE), PANEL);
        }
    }
}

/// # Safety
/// As [`Tiles::multiply`].
#[inline(always)]
unsafe fn multiply<T: Tiles>(tiles: &mut T, tall: bool, wide: bool) {
    // SAFETY: the caller says.
    unsafe {
        tiles.multiply::<0, 4, 6>();
        if wide {
            tiles.multiply::<1, 4, 7>();
        }
        if tall {
            tiles.multiply::<2, 5, 6>();
        }
        if tall && wide {
            tiles.multiply::<3, 5, 7>();
        }
    }
}

#[cfg(test)]
pub(super) mod emulated;
