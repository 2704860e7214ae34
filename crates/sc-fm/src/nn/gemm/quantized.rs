//! Products with weights in blocks: exact sums of whole numbers within a block, f32 from block to block.
//!
//! Rows are rounded to 8 bits where they are multiplied, once for each product: 32 inputs share the scale
//! `s = max |x| / 127`, and `a = round(x / s)`, halves to even. With weights `w = d · q` (`Q8_0`), a result is
//!
//! `y = held + chain`, `chain = fma(Σ a q of block b, s_b · d_b, … fma(Σ a q of block 0, s_0 · d_0, 0))`, then the bias;
//!
//! for `Q4_K`, `w = d · q − m`, each of its parts of 32 inputs does a second step, `fma(−m, s · Σ a, …)`. Every kernel
//! does these operations in this order, so the bits do not depend on the processor, the threads or the other rows. A
//! row with a value that is not finite gives NaN for all its outputs.

mod activations;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod panel;
mod product;
mod scalar;

#[cfg(test)]
mod tests;

use super::blocks::BlockFormat;

pub(super) use panel::{copy_row, from_blocks, from_rows, panel_words, to_rows};
pub(super) use product::{parallel, serial};

/// Inputs that share a scale of the left operand, and a sum of whole numbers.
const BLOCK: usize = 32;

/// Words of four inputs in a block.
const GROUPS: usize = BLOCK / 4;

/// Columns of a panel of the weight.
pub(super) const PANEL: usize = 16;

/// Most sums of a tile, rows × panels: so many vectors stay in registers with what they are made of.
const SUMS: usize = 12;

/// Most panels of a tile.
const MAX_PANELS: usize = 4;

/// A panel: its whole numbers, and its scales.
type Panel<'a> = (&'a [u32], &'a [u32]);

/// Blocks and instructions to multiply them with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Quantized {
    pub(super) weight: Weight,
    pub(super) unit: Unit,
}

/// The blocks that are multiplied with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Weight {
    Q8,
    Q4,
}

/// The instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Unit {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
}

impl Quantized {
    /// Those that this processor can run; plain ones first.
    pub(super) fn available() -> Vec<Self> {
        let mut units = vec![Unit::Scalar];
        #[cfg(target_arch = "x86_64")]
        {
            let has_avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c");
            if has_avx2 {
                units.push(Unit::Avx2);
            }
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vnni")
            {
                units.push(Unit::Avx512Vnni);
            }
        }
        let of = |weight| units.iter().map(move |&unit| Self { weight, unit });
        of(Weight::Q8).chain(of(Weight::Q4)).collect()
    }

    pub(super) fn name(self) -> &'static str {
        match (self.weight, self.unit) {
            (Weight::Q8, Unit::Scalar) => "q8_0-scalar",
            (Weight::Q4, Unit::Scalar) => "q4_k-scalar",
            #[cfg(target_arch = "x86_64")]
            (Weight::Q8, Unit::Avx2) => "q8_0-avx2",
            #[cfg(target_arch = "x86_64")]
            (Weight::Q4, Unit::Avx2) => "q4_k-avx2",
            #[cfg(target_arch = "x86_64")]
            (Weight::Q8, Unit::Avx512Vnni) => "q8_0-avx512vnni",
            #[cfg(target_arch = "x86_64")]
            (Weight::Q4, Unit::Avx512Vnni) => "q4_k-avx512vnni",
        }
    }

    pub(super) fn format(self) -> BlockFormat {
        match self.weight {
            Weight::Q8 => BlockFormat::Q8_0,
            Weight::Q4 => BlockFormat::Q4_K,
        }
    }

    /// Itself, or the kernel of 8 bits for rows that are not whole blocks of 4 bits. Blocks of 8 bits are filled up with
    /// zeros.
    pub(super) fn for_inputs(self, inputs: usize) -> Self {
        match inputs.is_multiple_of(BlockFormat::Q4_K.values()) {
            true => self,
            false => Self { weight: Weight::Q8, ..self },
        }
    }

    /// Rows of the left operand that a tile has, at most.
    fn rows(self) -> usize {
        match (self.weight, self.unit) {
            #[cfg(target_arch = "x86_64")]
            (Weight::Q8, Unit::Avx512Vnni) => 6,
            #[cfg(target_arch = "x86_64")]
            (Weight::Q4, Unit::Avx512Vnni) => 12,
            _ => 4,
        }
    }

    /// Panels that a tile of so many rows has, of those that are left. Side by side, each value of the left operand is
    /// loaded once for all of them; and where rows are few, a core reads memory faster in several places at once.
    fn panels(self, rows: usize, left: usize) -> usize {
        let most = match (self.unit, rows) {
            #[cfg(target_arch = "x86_64")]
            (Unit::Avx512Vnni, ..=2) => MAX_PANELS,
            #[cfg(target_arch = "x86_64")]
            (Unit::Avx512Vnni, ..=6) => 2,
            _ => 1,
        };
        if left < most { most.min(2).min(left) } else { most }
    }
}
