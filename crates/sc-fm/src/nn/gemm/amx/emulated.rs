//! The tile registers in plain Rust, as the processor's manual defines their instructions.

use super::{SIDE, Tiles};
use crate::nn::gemm::micro::{PANEL, Target, widen};
use crate::nn::gemm::scalar::store_row;

/// Eight registers of 16 rows of 16 words.
pub(crate) struct Emulated {
    registers: [[[u32; SIDE]; SIDE]; 8],
}

/// Subnormal numbers count as 0, in operands and results.
fn flush(value: f32) -> f32 {
    if value.is_subnormal() { 0f32.copysign(value) } else { value }
}

impl Tiles for Emulated {
    unsafe fn configure() -> Self {
        // Not 0, so that a register that is read before it was written shows.
        Self { registers: [[[f32::NAN.to_bits(); SIDE]; SIDE]; 8] }
    }

    unsafe fn zero<const T: u8>(&mut self) {
        self.registers[usize::from(T)] = [[0; SIDE]; SIDE];
    }

    unsafe fn load<const T: u8>(&mut self, from: *const u32, stride: usize) {
        for (i, row) in self.registers[usize::from(T)].iter_mut().enumerate() {
            // SAFETY: the caller says that these words can be read.
            row.copy_from_slice(unsafe { std::slice::from_raw_parts(from.add(i * stride), SIDE) });
        }
    }

    unsafe fn multiply<const SUM: u8, const A: u8, const B: u8>(&mut self) {
        let (a, b) = (self.registers[usize::from(A)], self.registers[usize::from(B)]);
        for (sums, a) in self.registers[usize::from(SUM)].iter_mut().zip(&a) {
            // Earlier and later values of the pairs are summed apart.
            let mut halves = [[0f32; 2]; SIDE];
            for (a, b) in a.iter().zip(&b) {
                for (half, b) in halves.iter_mut().zip(b) {
                    for (sum, shift) in half.iter_mut().zip([16, 0]) {
                        let value = |pair: u32| flush(widen(pair << shift >> 16));
                        *sum = flush(value(*a).mul_add(value(*b), *sum));
                    }
                }
            }
            for (sum, [early, late]) in sums.iter_mut().zip(halves) {
                *sum = flush(f32::from_bits(*sum) + flush(early + late)).to_bits();
            }
        }
    }

    unsafe fn store<const T: u8>(&mut self, to: *mut u32, stride: usize) {
        for (i, row) in self.registers[usize::from(T)].iter().enumerate() {
            // SAFETY: the caller says that these words can be written.
            unsafe { std::slice::from_raw_parts_mut(to.add(i * stride), SIDE) }.copy_from_slice(row);
        }
    }

    unsafe fn finish(sums: &[u32], target: &Target) {
        for (i, row) in sums.chunks_exact(PANEL).enumerate().take(target.rows) {
            let row = std::array::from_fn(|j| f32::from_bits(row[j]));
            // SAFETY: the caller owns the tile, and row `i` is in it.
            unsafe { store_row(&row, i, target) };
        }
    }
}
