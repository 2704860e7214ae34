//! 256 values of 5 bits; every 32 of them have a scale and an offset of 6 bits.

use half::f16;

use super::q4_k;

pub(super) const VALUES: usize = 256;
pub(super) const BYTES: usize = 176;

/// The scale of the scales and that of the offsets; scales and offsets as in `Q4_K`; 32 bytes whose bit `p` is the fifth of
/// part `p`; the low four bits as in `Q4_K`.
pub(super) fn dequantize(block: &[u8; BYTES], values: &mut [f32; VALUES]) {
    let half = |at: usize| f16::from_le_bytes([block[at], block[at + 1]]).to_f32();
    let (d, dmin) = (half(0), half(2));
    let (packed, rest) = block[4..].split_at(q4_k::PACKED);
    let [scales, offsets] = q4_k::scales_and_offsets(packed);
    let (fifth, low) = rest.split_at(32);
    for (part, values) in values.chunks_exact_mut(32).enumerate() {
        let (scale, offset) = (d * f32::from(scales[part]), dmin * f32::from(offsets[part]));
        let low = &low[32 * (part / 2)..];
        for ((value, low), fifth) in values.iter_mut().zip(low).zip(fifth) {
            let quant = low >> (4 * (part % 2)) & 15 | (fifth >> part & 1) << 4;
            *value = scale * f32::from(quant) - offset;
        }
    }
}
