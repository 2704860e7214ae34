//! 256 values of 2 bits; every 16 of them have a scale and an offset of 4 bits.

use half::f16;

pub(super) const VALUES: usize = 256;
pub(super) const BYTES: usize = 84;

/// A byte for each 16 values, the scale below and the offset above; 2 bits of all values; the scale of the scales and that
/// of the offsets. Each half of the block deals its bytes out to four runs of 32 values.
pub(super) fn dequantize(block: &[u8; BYTES], values: &mut [f32; VALUES]) {
    let half = |at: usize| f16::from_le_bytes([block[at], block[at + 1]]).to_f32();
    let (d, dmin) = (half(80), half(82));
    let (scales, quants) = (&block[..16], &block[16..80]);
    for (part, values) in values.chunks_exact_mut(16).enumerate() {
        let scale = d * f32::from(scales[part] & 15);
        let offset = dmin * f32::from(scales[part] >> 4);
        let (run, bytes) = (part / 2 % 4, &quants[32 * (part / 8) + 16 * (part % 2)..][..16]);
        for (value, byte) in values.iter_mut().zip(bytes) {
            *value = scale * f32::from(byte >> (2 * run) & 3) - offset;
        }
    }
}
