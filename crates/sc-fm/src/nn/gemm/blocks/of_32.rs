//! 32 values of 4 or 5 bits with one scale, and perhaps an offset.

use half::f16;

use super::q8_0;

pub(super) const VALUES: usize = 32;

/// What a block holds beside its scale and the low four bits of its values.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// `w = d · q + m`, `q` from 0 on. Without an offset `w = d · q`, and as many `q` are below 0 as not.
    pub(super) has_offset: bool,
    /// Values have a fifth bit.
    pub(super) has_fifth: bool,
}

impl Layout {
    /// Scale, offset, fifth bits, low bits.
    pub(super) const fn bytes(self) -> usize {
        let offset = if self.has_offset { 2 } else { 0 };
        let fifth = if self.has_fifth { 4 } else { 0 };
        2 + offset + fifth + VALUES / 2
    }

    /// Byte `l` of the low bits holds value `l` below and value `16 + l` above; bit `l` of the fifth bits is that of value
    /// `l`.
    fn quants(self, block: &[u8]) -> [i8; VALUES] {
        let (rest, low) = block.split_at(block.len() - VALUES / 2);
        let (fifth, zero) = match (self.has_fifth, rest) {
            (true, [.., a, b, c, d]) => (u32::from_le_bytes([*a, *b, *c, *d]), 16),
            _ => (0, 8),
        };
        let zero = if self.has_offset { 0 } else { zero };
        std::array::from_fn(|l| {
            let nibble = low[l % 16] >> (l / 16 * 4) & 15;
            (nibble | ((fifth >> l & 1) as u8) << 4) as i8 - zero
        })
    }

    pub(super) fn dequantize(self, block: &[u8], values: &mut [f32]) {
        let half = |at: usize| f16::from_le_bytes([block[at], block[at + 1]]).to_f32();
        let (d, quants) = (half(0), self.quants(block));
        match self.has_offset {
            true => {
                let m = half(2);
                values.iter_mut().zip(quants).for_each(|(value, quant)| *value = d * f32::from(quant) + m);
            }
            false => values.iter_mut().zip(quants).for_each(|(value, quant)| *value = d * f32::from(quant)),
        }
    }

    /// The same values in a block of 8 bits each; for a block without an offset.
    pub(super) fn to_q8_0(self, block: &[u8], eight: &mut [u8; q8_0::BYTES]) {
        eight[..2].copy_from_slice(&block[..2]);
        eight[2..].iter_mut().zip(self.quants(block)).for_each(|(byte, quant)| *byte = quant as u8);
    }
}
