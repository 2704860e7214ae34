//! Weights in blocks of small whole numbers with a scale, byte for byte as GGML defines them.

mod of_32;
mod q2_k;
mod q3_k;
mod q4_k;
mod q5_k;
mod q6_k;
mod q8_0;

use std::borrow::Cow;

use super::Error;
use of_32::Layout;
pub(super) use q4_k::{PARTS, Q4K};
pub(super) use q8_0::Q8;

/// How the values of a block are stored. A matrix in blocks has its rows one after another, each of whole blocks.
///
/// Products are computed with `Q8_0` and `Q4_K` ([`product_format`](Self::product_format)); the others are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(non_camel_case_types, reason = "the names of GGML")]
#[non_exhaustive]
pub enum BlockFormat {
    /// 32 values: a scale in f16, and 4 bits for each value, from −8 on. `w = d · q`.
    Q4_0,
    /// 32 values: a scale and an offset in f16, and 4 bits for each value. `w = d · q + m`.
    Q4_1,
    /// 32 values: a scale in f16, and 5 bits for each value, from −16 on. `w = d · q`.
    Q5_0,
    /// 32 values: a scale and an offset in f16, and 5 bits for each value. `w = d · q + m`.
    Q5_1,
    /// 32 values: a scale in f16, and 8 bits for each value. `w = d · q`.
    Q8_0,
    /// 256 values: a scale and an offset in f16, multiplied by 4 bits each for every 16 values, and 2 bits for each value.
    /// `w = d · s · q − dmin · m`.
    Q2_K,
    /// 256 values: a scale in f16, multiplied by 6 bits for every 16 values, from −32 on, and 3 bits for each value, from −4
    /// on. `w = d · s · q`.
    Q3_K,
    /// 256 values: a scale and an offset in f16, multiplied by 6 bits each for every 32 values, and 4 bits for each value.
    /// `w = d · s · q − dmin · m`.
    Q4_K,
    /// 256 values: as `Q4_K`, with 5 bits for each value.
    Q5_K,
    /// 256 values: a scale in f16, multiplied by 8 bits for every 16 values, and 6 bits for each value. `w = d · s · q`.
    Q6_K,
}

impl BlockFormat {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q8_0,
        Self::Q2_K,
        Self::Q3_K,
        Self::Q4_K,
        Self::Q5_K,
        Self::Q6_K,
    ];

    /// Its name in GGML.
    pub fn name(self) -> &'static str {
        match self {
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q5_1 => "Q5_1",
            Self::Q8_0 => "Q8_0",
            Self::Q2_K => "Q2_K",
            Self::Q3_K => "Q3_K",
            Self::Q4_K => "Q4_K",
            Self::Q5_K => "Q5_K",
            Self::Q6_K => "Q6_K",
        }
    }

    /// That of 32 values of 4 or 5 bits.
    fn of_32(self) -> Option<Layout> {
        let (has_offset, has_fifth) = match self {
            Self::Q4_0 => (false, false),
            Self::Q4_1 => (true, false),
            Self::Q5_0 => (false, true),
            Self::Q5_1 => (true, true),
            _ => return None,
        };
        Some(Layout { has_offset, has_fifth })
    }

    /// Values in a block.
    pub fn values(self) -> usize {
        match self {
            Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 => of_32::VALUES,
            Self::Q8_0 => q8_0::VALUES,
            Self::Q2_K => q2_k::VALUES,
            Self::Q3_K => q3_k::VALUES,
            Self::Q4_K => q4_k::VALUES,
            Self::Q5_K => q5_k::VALUES,
            Self::Q6_K => q6_k::VALUES,
        }
    }

    /// Bytes of a block.
    pub fn bytes(self) -> usize {
        match self {
            Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 => {
                self.of_32().expect("these are of 32 values").bytes()
            }
            Self::Q8_0 => q8_0::BYTES,
            Self::Q2_K => q2_k::BYTES,
            Self::Q3_K => q3_k::BYTES,
            Self::Q4_K => q4_k::BYTES,
            Self::Q5_K => q5_k::BYTES,
            Self::Q6_K => q6_k::BYTES,
        }
    }

    /// The blocks that products with it are computed in: `Q4_K` for itself, and `Q8_0` for all others. `Q8_0` holds the
    /// values of `Q4_0` and `Q5_0` as they are. Those of the others are rounded to it, to within 1/220 of the largest of
    /// their 32.
    pub fn product_format(self) -> Self {
        match self {
            Self::Q4_K => Self::Q4_K,
            _ => Self::Q8_0,
        }
    }

    /// Bytes of a row.
    ///
    /// # Errors
    /// [`Error::Ragged`] if its values do not fill whole blocks, [`Error::TooLarge`].
    pub fn row_bytes(self, inputs: usize) -> Result<usize, Error> {
        if !inputs.is_multiple_of(self.values()) {
            return Err(Error::Ragged { format: self.name(), inputs, block: self.values() });
        }
        let bytes = (inputs / self.values()).checked_mul(self.bytes());
        bytes.ok_or(Error::TooLarge { outputs: 1, inputs })
    }

    /// The values of whole blocks; the same bits as GGML's reference.
    ///
    /// # Panics
    /// If `blocks` is not whole blocks, or `values` does not have a place for each of their values.
    pub fn dequantize(self, blocks: &[u8], values: &mut [f32]) {
        assert!(blocks.len().is_multiple_of(self.bytes()), "blocks are whole");
        assert_eq!(values.len(), blocks.len() / self.bytes() * self.values(), "every value has a place");
        match self {
            Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 => {
                let layout = self.of_32().expect("these are of 32 values");
                let pairs = blocks.chunks_exact(layout.bytes()).zip(values.chunks_exact_mut(of_32::VALUES));
                pairs.for_each(|(block, values)| layout.dequantize(block, values));
            }
            Self::Q8_0 => each(blocks, values, |block, values| Q8::from_bytes(block).dequantize(values)),
            Self::Q2_K => each(blocks, values, q2_k::dequantize),
            Self::Q3_K => each(blocks, values, q3_k::dequantize),
            Self::Q4_K => each(blocks, values, |block, values| Q4K::from_bytes(block).dequantize(values)),
            Self::Q5_K => each(blocks, values, q5_k::dequantize),
            Self::Q6_K => each(blocks, values, q6_k::dequantize),
        }
    }

    /// Blocks of the [`product_format`](Self::product_format) with the same values, if it can hold them.
    pub(super) fn product_blocks(self, blocks: &[u8]) -> Option<Cow<'_, [u8]>> {
        if self == self.product_format() {
            return Some(Cow::Borrowed(blocks));
        }
        let layout = self.of_32().filter(|layout| !layout.has_offset)?;
        let blocks = blocks.chunks_exact(layout.bytes());
        let mut eight = vec![0; blocks.len() * q8_0::BYTES];
        blocks.zip(eight.as_chunks_mut().0).for_each(|(block, eight)| layout.to_q8_0(block, eight));
        Some(Cow::Owned(eight))
    }

    /// Appends the blocks of values, as many as fill whole blocks. `Q8_0` gives the bytes of GGML's reference; the search
    /// for the scales of `Q4_K` is our own. A block with a value that it cannot hold has a NaN for its scale.
    ///
    /// Nothing is written in the others: returns `false`.
    ///
    /// # Panics
    /// If the values do not fill whole blocks.
    pub fn quantize(self, values: &[f32], blocks: &mut Vec<u8>) -> bool {
        assert!(values.len().is_multiple_of(self.values()), "blocks are whole");
        match self {
            Self::Q8_0 => {
                values.as_chunks().0.iter().for_each(|values| blocks.extend(Q8::new(values).to_bytes()));
            }
            Self::Q4_K => {
                values.as_chunks().0.iter().for_each(|values| blocks.extend(Q4K::new(values).to_bytes()));
            }
            _ => return false,
        }
        true
    }
}

fn each<const BYTES: usize, const VALUES: usize>(
    blocks: &[u8],
    values: &mut [f32],
    dequantize: impl Fn(&[u8; BYTES], &mut [f32; VALUES]),
) {
    let pairs = blocks.as_chunks().0.iter().zip(values.as_chunks_mut().0);
    pairs.for_each(|(block, values)| dequantize(block, values));
}

#[cfg(test)]
mod tests;
