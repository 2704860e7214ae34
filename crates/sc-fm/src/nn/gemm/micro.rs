//! What a micro-kernel is: one tile of the product, for one block of the inner dimension.

#![allow(unsafe_code, reason = "a kernel may run only where its instructions exist")]

/// Most words of the inner dimension that one block sums up, and those of every f32 kernel: their result is the sum
/// over blocks of a chain of fused multiply-adds, so the number is part of its definition.
pub(crate) const BLOCK: usize = 384;

/// Words between two rows of a packed left operand. A line more than a block, so that rows do not meet in the same
/// sets of the cache.
pub(crate) const STRIDE: usize = BLOCK + 16;

/// Columns of a panel, the unit in which a right operand is packed.
pub(crate) const PANEL: usize = 32;

/// The operands of a tile. The low parts are there for kernels that split values in two, else empty.
#[derive(Clone, Copy)]
pub(super) struct Operands<'a> {
    /// Rows of the left operand, `STRIDE` words apart.
    pub(super) a: &'a [u32],
    pub(super) a_low: &'a [u32],
    /// One panel of the right operand: [`Format::step_words`] for each step of the inner dimension.
    pub(super) b: &'a [u32],
    pub(super) b_low: &'a [u32],
    /// Steps of the inner dimension; at most `BLOCK`.
    pub(super) words: usize,
}

impl Operands<'_> {
    /// Says that the operands reach as far as a kernel reads, for tiles of `rows` rows.
    #[inline(always)]
    pub(super) fn check(&self, rows: usize, format: Format) {
        assert!((1..=BLOCK).contains(&self.words), "a block has 1 to {BLOCK} steps");
        assert!(self.a.len() >= (rows - 1) * STRIDE + self.words, "every row of the tile is packed");
        assert!(self.b.len() >= self.words * format.step_words(), "the whole panel is packed");
    }
}

/// Where a tile goes, and what is done with it on the way. The order is fixed: what is there (unless `first`), plus
/// the sum of the block, plus the bias, then the activation.
#[derive(Clone, Copy)]
pub(super) struct Target {
    /// The upper left value of the tile.
    pub(super) out: *mut f32,
    /// Values between two rows.
    pub(super) stride: usize,
    /// At least 1, at most the kernel's `ROWS`.
    pub(super) rows: usize,
    /// At least 1, at most `PANEL`.
    pub(super) columns: usize,
    /// Whether the tile is written without looking at what is there.
    pub(super) first: bool,
    /// `columns` values, or null.
    pub(super) bias: *const f32,
    /// Whether values below 0 become 0.
    pub(super) relu: bool,
}

/// A way to compute a tile. A value of the type is what a thread holds while it computes (the configuration of tile
/// registers, for those that have them).
pub(super) trait Micro {
    /// Most rows of a tile.
    const ROWS: usize;
    /// How a step of the inner dimension is stored.
    const FORMAT: Format;
    /// Words of the inner dimension that one block sums up.
    const BLOCK: usize = BLOCK;

    /// Gets the thread ready.
    ///
    /// # Safety
    /// The processor has the instructions.
    unsafe fn enter() -> Self;

    /// Converts a row of the left operand to words; `low` is empty unless the format has two parts.
    ///
    /// # Safety
    /// As [`Micro::enter`].
    unsafe fn convert(row: &[f32], high: &mut [u32], low: &mut [u32]) {
        Self::FORMAT.convert(row, high, low);
    }

    /// Computes one tile.
    ///
    /// # Safety
    /// As [`Micro::enter`]; `target` names `rows × columns` values that nobody else uses meanwhile, initialised unless
    /// `first`.
    unsafe fn tile(&mut self, operands: Operands<'_>, target: Target);
}

/// How values are stored in words: those of the inner dimension side by side, unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// One f32 a word.
    F32,
    /// As `F32`, with the right operand in f16: two outputs a word, the earlier in the low half.
    F16,
    /// Two bf16 a word, the earlier in the low half.
    Bf16,
    /// As `Bf16`, and the rounding error of each, again as bf16, in a second set of words.
    Bf16Split,
}

impl Format {
    /// Words that hold `values` values; pairs are padded to whole rows of a tile register.
    pub(super) fn words(self, values: usize) -> usize {
        match self {
            Self::F32 | Self::F16 => values,
            Self::Bf16 | Self::Bf16Split => values.div_ceil(32) * 16,
        }
    }

    /// Values in a word.
    pub(super) fn per_word(self) -> usize {
        match self {
            Self::F32 | Self::F16 => 1,
            Self::Bf16 | Self::Bf16Split => 2,
        }
    }

    /// Words of a panel for one step of the inner dimension.
    pub(super) const fn step_words(self) -> usize {
        match self {
            Self::F16 => PANEL / 2,
            Self::F32 | Self::Bf16 | Self::Bf16Split => PANEL,
        }
    }

    /// Sets of words: 2 where values are split.
    pub(super) fn parts(self) -> usize {
        if self == Self::Bf16Split { 2 } else { 1 }
    }

    /// The words of two neighbours (the second is 0 past the end, and no part of an f32 word).
    #[inline(always)]
    pub(super) fn word(self, first: f32, second: f32) -> [u32; 2] {
        match self {
            Self::F32 | Self::F16 => [first.to_bits(), 0],
            Self::Bf16 => [bf16(first) | bf16(second) << 16, 0],
            Self::Bf16Split => {
                let ([first, first_low], [second, second_low]) = (split(first), split(second));
                [first | second << 16, first_low | second_low << 16]
            }
        }
    }

    /// Converts values that lie side by side, and fills the rest of the words with 0.
    #[inline(always)]
    pub(super) fn convert(self, row: &[f32], high: &mut [u32], low: &mut [u32]) {
        let used = row.len().div_ceil(self.per_word());
        match self {
            Self::F32 | Self::F16 => {
                high.iter_mut().zip(row).for_each(|(word, value)| *word = value.to_bits())
            }
            Self::Bf16 => {
                let pairs = row.chunks_exact(2);
                let rest = pairs.remainder();
                for (word, pair) in high.iter_mut().zip(pairs) {
                    *word = bf16(pair[0]) | bf16(pair[1]) << 16;
                }
                if let [last] = rest {
                    high[used - 1] = bf16(*last);
                }
            }
            Self::Bf16Split => {
                let pairs = row.chunks_exact(2);
                let rest = pairs.remainder();
                for ((word, below), pair) in high.iter_mut().zip(&mut *low).zip(pairs) {
                    [*word, *below] = self.word(pair[0], pair[1]);
                }
                if let [last] = rest {
                    [high[used - 1], low[used - 1]] = self.word(*last, 0.0);
                }
                low[used..].fill(0);
            }
        }
        high[used..].fill(0);
    }
}

/// The nearest bf16, ties to even, as the processor rounds: values too small for a normal f32 become 0, a NaN stays
/// one.
#[inline(always)]
pub(super) fn bf16(value: f32) -> u32 {
    let bits = value.to_bits();
    let rounded = (bits.wrapping_add(0x7fff + (bits >> 16 & 1))) >> 16;
    let magnitude = bits & 0x7fff_ffff;
    if magnitude > 0x7f80_0000 {
        bits >> 16 | 0x40
    } else if magnitude < 0x0080_0000 {
        bits >> 16 & 0x8000
    } else {
        rounded
    }
}

/// The value of a bf16.
#[inline(always)]
pub(super) fn widen(bf16: u32) -> f32 {
    f32::from_bits(bf16 << 16)
}

/// A value as the sum of two bf16, to 16 bits of its significand. The low part of a value that is not finite is 0.
#[inline(always)]
pub(super) fn split(value: f32) -> [u32; 2] {
    let nearest = bf16(value);
    // The largest values round to infinity, which has no rest: they are cut instead.
    let overflows = nearest & 0x7fff == 0x7f80 && value.is_finite();
    let high = if overflows { value.to_bits() >> 16 } else { nearest };
    let low = if value.is_finite() { bf16(value - widen(high)) } else { 0 };
    [high, low]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_to_bf16_is_to_the_nearest_and_ties_go_to_even() {
        for (value, expected) in [
            (1.0, 1.0),
            (1.0 + 1.0 / 256.0, 1.0), // half way between 1 and 1 + 2^-7: even is below
            (1.0 + 3.0 / 256.0, 1.015_625), // half way again: even is above
            (1.004, 1.007_812_5),
            (-3.0, -3.0),
            (f32::INFINITY, f32::INFINITY),
            (f32::MAX, f32::INFINITY),
            (1e-40, 0.0),
        ] {
            assert_eq!(widen(bf16(value)), expected, "{value}");
        }
        assert!(widen(bf16(f32::NAN)).is_nan());
        assert!(widen(bf16(f32::from_bits(0x7f80_0001))).is_nan(), "a NaN whose upper half looks infinite");
    }

    #[test]
    fn two_bf16_hold_sixteen_bits_of_a_value() {
        for value in [1.234_567_8_f32, -9.876_543e-12, 3.141_592_7e20, f32::MAX, 0.0] {
            let [high, low] = split(value);
            let error = (f64::from(widen(high)) + f64::from(widen(low)) - f64::from(value)).abs();
            assert!(error <= f64::from(value.abs()) * 2f64.powi(-16), "{value}: {error}");
        }
        assert_eq!(split(f32::INFINITY), [0x7f80, 0]);
        assert!(widen(split(f32::NAN)[0]).is_nan());
    }
}
