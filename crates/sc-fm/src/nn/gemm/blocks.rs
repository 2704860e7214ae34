//! Weights in blocks of small whole numbers with a scale, byte for byte as GGML defines them.

mod q4_k;
mod q6_k;
mod q8_0;

use super::Error;
pub(super) use q4_k::{PARTS, Q4K};
pub(super) use q8_0::Q8;

/// How the values of a block are stored. A matrix in blocks has its rows one after another, each of whole blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(non_camel_case_types, reason = "the names of GGML")]
pub enum BlockFormat {
    /// 32 values: a scale in f16, and 8 bits for each value. `w = d · q`.
    Q8_0,
    /// 256 values: a scale and an offset in f16, multiplied by 6 bits each for every 32 values, and 4 bits for each value.
    /// `w = d · s · q − dmin · m`.
    Q4_K,
    /// 256 values: a scale in f16, multiplied by 8 bits for every 16 values, and 6 bits for each value. `w = d · s · q`.
    /// It is read, not multiplied with.
    Q6_K,
}

impl BlockFormat {
    /// Its name in GGML.
    pub fn name(self) -> &'static str {
        match self {
            Self::Q8_0 => "Q8_0",
            Self::Q4_K => "Q4_K",
            Self::Q6_K => "Q6_K",
        }
    }

    /// Values in a block.
    pub fn values(self) -> usize {
        match self {
            Self::Q8_0 => q8_0::VALUES,
            Self::Q4_K => q4_k::VALUES,
            Self::Q6_K => q6_k::VALUES,
        }
    }

    /// Bytes of a block.
    pub fn bytes(self) -> usize {
        match self {
            Self::Q8_0 => q8_0::BYTES,
            Self::Q4_K => q4_k::BYTES,
            Self::Q6_K => q6_k::BYTES,
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
            Self::Q8_0 => {
                let (blocks, values) = (blocks.as_chunks().0, values.as_chunks_mut().0);
                blocks
                    .iter()
                    .zip(values)
                    .for_each(|(block, values)| Q8::from_bytes(block).dequantize(values));
            }
            Self::Q4_K => {
                let (blocks, values) = (blocks.as_chunks().0, values.as_chunks_mut().0);
                blocks
                    .iter()
                    .zip(values)
                    .for_each(|(block, values)| Q4K::from_bytes(block).dequantize(values));
            }
            Self::Q6_K => {
                let (blocks, values) = (blocks.as_chunks().0, values.as_chunks_mut().0);
                blocks.iter().zip(values).for_each(|(block, values)| q6_k::dequantize(block, values));
            }
        }
    }

    /// Appends the blocks of values, as many as fill whole blocks. `Q8_0` gives the bytes of GGML's reference; the search
    /// for the scales of `Q4_K` is our own. A block with a value that it cannot hold has a NaN for its scale.
    ///
    /// Nothing is written in `Q6_K`: returns `false`.
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
            Self::Q6_K => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests;
