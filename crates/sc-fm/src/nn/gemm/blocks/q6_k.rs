//! 256 values of 6 bits, with scales of 8 bits for 16 values each.

use half::f16;

pub(super) const VALUES: usize = 256;
pub(super) const BYTES: usize = 210;

/// Low four bits of all values, high two bits of all, 16 scales, the scale of the scales. Each half of the block deals its
/// bytes out to four runs of 32 values.
pub(super) fn dequantize(block: &[u8; BYTES], values: &mut [f32; VALUES]) {
    let (low, rest) = block.split_at(128);
    let (high, rest) = rest.split_at(64);
    let (scales, d) = rest.split_at(16);
    let d = f16::from_le_bytes([d[0], d[1]]).to_f32();
    for (half, values) in values.chunks_exact_mut(128).enumerate() {
        let (low, high, scales) = (&low[64 * half..], &high[32 * half..], &scales[8 * half..]);
        for (run, values) in values.chunks_exact_mut(32).enumerate() {
            for (l, value) in values.iter_mut().enumerate() {
                let nibble = low[32 * (run % 2) + l] >> (4 * (run / 2)) & 15;
                let quant = i32::from(nibble | (high[l] >> (2 * run) & 3) << 4) - 32;
                let scale = d * f32::from(scales[2 * run + l / 16] as i8);
                *value = scale * quant as f32;
            }
        }
    }
}
